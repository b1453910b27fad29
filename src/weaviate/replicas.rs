//! What of a collection is not at hand because a node of the cluster is away.
//!
//! The other nodes say nothing of it (1.40). Of a shard that none of them holds, the objects are left out of pages and
//! counts: that is never gone on with. Of a shard that has fewer replicas than it should have, the others answer; what is
//! written or deleted meanwhile reaches those alone, and what the lost one held alone is not seen.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde_json::Value;

use super::client::Client;
use crate::error::{Error, Result};
use crate::model::CollectionName;

/// Whether replicas were away and that was allowed, and whether anybody was told.
#[derive(Default)]
pub(super) struct Replicas {
    lacking: OnceLock<String>,
    is_told: AtomicBool,
}

/// A shard as its server lists it: older ones do not tell its nodes.
#[derive(Deserialize)]
pub(super) struct Shard {
    pub name: String,
    status: Option<String>,
    per_node_status: Option<serde_json::Map<String, Value>>,
}

impl Shard {
    fn is_away(&self) -> bool {
        self.status.as_deref().unwrap_or_default().is_empty()
    }

    /// On how many nodes it is, if that is fewer than it should be.
    fn lacks(&self, replicas: usize) -> Option<usize> {
        let nodes = self.per_node_status.as_ref()?.len();
        (nodes < replicas).then_some(nodes)
    }
}

impl Client {
    /// Why not every replica was at hand, if that was seen and allowed.
    pub fn degraded(&self) -> Option<&str> {
        self.replicas.lacking.get().map(String::as_str)
    }

    /// As [`Client::degraded`], once.
    pub fn news_of_replicas(&self) -> Option<&str> {
        let news = self.degraded()?;
        let is_told = self.replicas.is_told.swap(true, Ordering::Relaxed);
        (!is_told).then_some(news)
    }

    /// Refuses a collection of which some shard is away, or lacks replicas and may not.
    pub(super) async fn check_shards(
        &self,
        name: &CollectionName,
        shards: &[Shard],
        replicas: usize,
    ) -> Result<()> {
        if let Some(away) = shards.iter().find(|shard| shard.is_away()) {
            let message = format!(
                "shard `{}` of `{name}` is on no node that {} reaches{}: its objects would be missing",
                away.name,
                self.address(),
                self.who_is_away().await
            );
            return Err(Error::transient(message).with_hint("bring back the node that holds it"));
        }
        let lacking = |shard: &Shard| Some((shard.name.clone(), shard.lacks(replicas)?));
        match shards.iter().find_map(lacking) {
            None => Ok(()),
            Some((shard, nodes)) => {
                let who = self.who_is_away().await;
                self.lacks(format!(
                    "shard `{shard}` of `{name}` is on {nodes} of {replicas} nodes{who}"
                ))
            }
        }
    }

    /// As [`Client::check_shards`] for a collection with tenants, whose shards are too many to be listed: no node may be
    /// away. A tenant with one replica needs no look: whatever is asked of it fails while its node is away.
    pub(super) async fn check_nodes(&self, name: &CollectionName, replicas: usize) -> Result<()> {
        if replicas < 2 {
            return Ok(());
        }
        match self.nodes_away().await?.as_slice() {
            [] => Ok(()),
            away => self.lacks(format!(
                "`{name}` should be on {replicas} nodes for each tenant; {}",
                are_away(away)
            )),
        }
    }

    fn lacks(&self, what: String) -> Result<()> {
        if self.allows_degraded() {
            self.replicas.lacking.get_or_init(|| what);
            return Ok(());
        }
        Err(Error::transient(what)
            .with_hint("bring back the node, or pass --allow-degraded to do without it"))
    }

    async fn who_is_away(&self) -> String {
        match self.nodes_away().await.unwrap_or_default().as_slice() {
            [] => String::new(),
            away => format!(" ({})", are_away(away)),
        }
    }

    /// The members of the cluster that do not answer the one that is asked; none if the key may not know.
    async fn nodes_away(&self) -> Result<Vec<String>> {
        let reply = match self.get("cluster/statistics").await {
            Err(error) if error.is_transient() => return Err(error),
            Err(_) => return Ok(Vec::new()),
            Ok(reply) => reply,
        };
        let told = serde_json::from_slice::<Members>(&reply.body).unwrap_or_default();
        Ok(told.away())
    }
}

fn are_away(nodes: &[String]) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("`{node}`")).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb} away", names.join(", "))
}

#[derive(Default, Deserialize)]
struct Members {
    #[serde(default)]
    statistics: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    name: Option<String>,
    status: Option<String>,
    #[serde(default)]
    raft: Value,
}

impl Member {
    fn is_there(&self) -> bool {
        !matches!(self.status.as_deref(), Some("UNAVAILABLE" | "TIMEOUT"))
    }

    /// Whom it knows as members, itself included.
    fn known(&self) -> impl Iterator<Item = &str> {
        let all = self
            .raft
            .get("latestConfiguration")
            .and_then(Value::as_array);
        let ids = all.into_iter().flatten().filter_map(|one| one.get("id"));
        ids.filter_map(Value::as_str)
    }
}

impl Members {
    /// Whoever is gone for some time is not listed any more; the others still know that there should be one.
    fn away(&self) -> Vec<String> {
        let there = || self.statistics.iter().filter(|member| member.is_there());
        let is_there = |name: &str| there().any(|member| member.name.as_deref() == Some(name));
        let listed = self.statistics.iter().filter_map(|one| one.name.as_deref());
        let known = self.statistics.iter().flat_map(Member::known).chain(listed);
        let mut away: Vec<String> = known
            .filter(|name| !is_there(name))
            .map(str::to_owned)
            .collect();
        away.sort();
        away.dedup();
        away
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(statistics: &str) -> Vec<String> {
        let text = format!(r#"{{"statistics":[{statistics}]}}"#);
        serde_json::from_str::<Members>(&text).unwrap().away()
    }

    #[test]
    fn a_member_that_is_known_and_does_not_answer_is_away() {
        let a = r#"{"name":"a","status":"HEALTHY","raft":{"latestConfiguration":[{"id":"a"},{"id":"b"}]}}"#;
        let lost = r#"{"name":"b","status":"UNAVAILABLE"}"#;
        let slow = r#"{"name":"b","status":"TIMEOUT"}"#;
        let there = r#"{"name":"b","status":"UNHEALTHY","raft":{"latestConfiguration":null}}"#;
        assert_eq!(away(a), ["b"]);
        assert_eq!(away(&format!("{a},{lost}")), ["b"]);
        assert_eq!(away(&format!("{a},{slow}")), ["b"]);
        assert_eq!(away(&format!("{a},{there}")), [""; 0]);
        assert_eq!(away(r#"{"name":"a","status":"HEALTHY"}"#), [""; 0]);
    }

    #[test]
    fn a_shard_lacks_replicas_only_if_its_nodes_are_told() {
        let shard = |text: &str| serde_json::from_str::<Shard>(text).unwrap();
        let told = shard(r#"{"name":"s","status":"READY","per_node_status":{"a":"READY"}}"#);
        assert_eq!((told.lacks(1), told.lacks(2)), (None, Some(1)));
        let older = shard(r#"{"name":"s","status":"READY"}"#);
        assert_eq!((older.lacks(2), older.is_away()), (None, false));
        assert!(shard(r#"{"name":"s","per_node_status":{}}"#).is_away());
    }
}
