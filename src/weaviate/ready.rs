//! Whether the server's word counts: for some seconds after a start it answers before its collections are loaded.
//!
//! Seen on 1.40: gRPC is open 8 s before REST; then definitions, shards and tenants come one by one, and what is not loaded
//! yet "could not be found". All the while `/v1/.well-known/ready` answers 503. So no refusal, and nothing that is read of
//! the schema after a failure, is believed before the server calls itself ready.

use std::sync::atomic::Ordering;

use reqwest::{Method, StatusCode};

use super::client::{Client, Patience};
use crate::error::{Error, Kind, Reaction, Result};

impl Client {
    /// An error that may go away by itself while the server says that it is not ready.
    pub(super) async fn expect_ready(&self) -> Result<()> {
        let asked = self.exchange(&Method::GET, ".well-known/ready", None, Patience::Read);
        let is_ready = asked.await?.status != StatusCode::SERVICE_UNAVAILABLE;
        self.is_known_ready.store(is_ready, Ordering::Relaxed);
        match is_ready {
            true => Ok(()),
            false => Err(Error::transient(format!(
                "{} is not ready: its collections may not be loaded yet",
                self.address()
            ))),
        }
    }

    /// Before the schema is read or changed: after a failure the server may be another process.
    pub(super) async fn expect_schema(&self, path: &str) -> Result<()> {
        let is_of_schema = path.starts_with("schema") || path.starts_with("aliases");
        match is_of_schema && !self.is_known_ready.load(Ordering::Relaxed) {
            true => self.expect_ready().await,
            false => Ok(()),
        }
    }

    /// What a failure tells of the server: one that may pass, that it may have been started anew; a refusal, nothing
    /// before it is ready.
    pub(super) async fn believe(&self, error: Error) -> Error {
        if error.is_transient() {
            self.is_known_ready.store(false, Ordering::Relaxed);
            return error;
        }
        if error.reaction() != Reaction::Permanent || error.kind() == Kind::Unauthorised {
            return error;
        }
        self.expect_ready().await.err().unwrap_or(error)
    }
}
