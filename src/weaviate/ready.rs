//! Whether the server's word counts: for some seconds after a start it answers before its collections are loaded.
//!
//! Seen on 1.40: gRPC is open 8 s before REST; then definitions, shards and tenants come one by one, and what is not loaded
//! yet "could not be found". All the while `/v1/.well-known/ready` answers 503. So no refusal, and nothing that is read of
//! the schema after a failure, is believed before the server calls itself ready.
//!
//! It answers 503 for other reasons as well, which may last: a member of the cluster that is not healthy, a module that does
//! not answer, maintenance. So it is asked once more: each node tells in `/v1/cluster/statistics` whether its own
//! collections are loaded, by the same flags as in `ready` (1.40). Nodes that cannot be reached do not answer us either.

use std::sync::atomic::Ordering;

use reqwest::{Method, StatusCode};

use serde::Deserialize;

use super::client::{Client, Patience};
use crate::error::{Error, Kind, Reaction, Result};

impl Client {
    /// An error that may go away by itself while the server says that it is not ready.
    pub(super) async fn expect_ready(&self) -> Result<()> {
        let asked = self.exchange(&Method::GET, ".well-known/ready", None, Patience::Read);
        let is_ready = match asked.await?.status {
            StatusCode::SERVICE_UNAVAILABLE => self.has_loaded().await,
            _ => true,
        };
        self.is_known_ready.store(is_ready, Ordering::Relaxed);
        match is_ready {
            true => Ok(()),
            false => Err(Error::transient(format!(
                "{} is not ready: its collections may not be loaded yet",
                self.address()
            ))),
        }
    }

    /// True if the nodes say that all is loaded; a key may not be allowed to ask, or the server may not know.
    async fn has_loaded(&self) -> bool {
        let asked = self.exchange(&Method::GET, "cluster/statistics", None, Patience::Read);
        match asked.await {
            Ok(reply) if reply.status == StatusCode::OK => {
                serde_json::from_slice(&reply.body).is_ok_and(|found: Statistics| found.is_loaded())
            }
            _ => false,
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

#[derive(Deserialize)]
struct Statistics {
    statistics: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    status: Option<String>,
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    db_loaded: bool,
}

impl Statistics {
    fn is_loaded(&self) -> bool {
        let is_there = |node: &&Node| match node.status.as_deref() {
            Some("UNAVAILABLE" | "TIMEOUT") => false,
            Some(_) | None => true,
        };
        let mut there = self.statistics.iter().filter(is_there).peekable();
        there.peek().is_some() && there.all(|node| node.ready && node.db_loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_nodes_that_can_be_reached_must_have_loaded() {
        let loaded = r#"{"status":"UNHEALTHY","ready":true,"dbLoaded":true}"#;
        let away = r#"{"status":"UNAVAILABLE","name":"b"}"#;
        for (nodes, is_loaded) in [
            (vec![loaded], true),
            (vec![loaded, away, r#"{"status":"TIMEOUT"}"#], true),
            (vec![loaded, r#"{"status":"HEALTHY"}"#], false),
            (vec![loaded, r#"{"ready":true}"#], false),
            (
                vec![loaded, r#"{"status":"HEALTHY","dbLoaded":true}"#],
                false,
            ),
            (vec![away], false),
            (vec![], false),
        ] {
            let text = format!(r#"{{"statistics":[{}]}}"#, nodes.join(","));
            let found: Statistics = serde_json::from_str(&text).unwrap();
            assert_eq!(found.is_loaded(), is_loaded, "{text}");
        }
    }
}
