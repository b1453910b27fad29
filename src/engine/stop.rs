//! Stopping early: no new work, what is in flight comes to its end, then the run is over.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};

/// Asked for by a signal; cheap to clone, all clones are one.
#[derive(Clone)]
pub struct Stop {
    token: CancellationToken,
    grace: Duration,
}

impl Stop {
    /// A stop that nobody has asked for. What is in flight gets `grace` to come to its end.
    pub fn new(grace: Duration) -> Self {
        Stop {
            token: CancellationToken::new(),
            grace,
        }
    }

    /// Asks the run to stop. Repeating it changes nothing.
    pub fn ask(&self) {
        self.token.cancel();
    }

    /// True once somebody asked.
    pub fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns when somebody asks.
    pub async fn asked(&self) {
        self.token.cancelled().await;
    }

    /// What `work` comes to, or [`Kind::Interrupted`] as soon as somebody asks: it is dropped where it is.
    pub async fn cuts_short<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            outcome = work => outcome,
            () = self.asked() => Err(interrupted()),
        }
    }

    /// How long what is in flight may take.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// [`Kind::Interrupted`] once somebody asked.
    pub fn check(&self) -> Result<()> {
        match self.is_asked() {
            true => Err(interrupted()),
            false => Ok(()),
        }
    }

    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

pub(super) fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "stopped before the end")
}
