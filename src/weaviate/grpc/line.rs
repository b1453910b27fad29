//! One HTTP/2 connection that all calls share, and its replacement.
//!
//! A connection can die without a word (a router forgets it, a machine is moved). All that shows is that no reply comes, and
//! HTTP/2 would send every later call down the same hole. So after a call that timed out the next one takes a new
//! connection; calls still under way keep the old one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Result;
use crate::weaviate::connection::Connection;

/// Where to, how, and by what for now.
pub(super) struct Line {
    connection: Connection,
    address: String,
    patience: Duration,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    http: reqwest::Client,
    number: u64,
}

impl Line {
    /// Connects with the first request. `patience` is how long a silence may last.
    pub fn new(connection: &Connection, address: &str, patience: Duration) -> Result<Self> {
        let http = connection.http2(address, patience)?;
        Ok(Line {
            connection: connection.clone(),
            address: address.to_owned(),
            patience,
            current: Mutex::new(Current { http, number: 0 }),
        })
    }

    /// What the next call goes over, and its number for [`Line::replace`].
    pub fn take(&self) -> (reqwest::Client, u64) {
        let current = self.current().clone();
        (current.http, current.number)
    }

    /// Has later calls go over a new connection, unless somebody replaced this one already.
    pub fn replace(&self, number: u64) {
        let mut current = self.current();
        if current.number != number {
            return;
        }
        // What made the first makes another; if not (a certificate's file is gone), the old one is what there is.
        if let Ok(http) = self.connection.http2(&self.address, self.patience) {
            *current = Current {
                http,
                number: number + 1,
            };
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
