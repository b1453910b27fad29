//! Which life of a collection this is: a name may be deleted and created again between two looks.

use serde::{Deserialize, Serialize};

use super::client::Client;
use crate::error::{Error, Kind, Reaction, Result};
use crate::model::{CollectionName, Definition};

/// What stays the same while a collection lives and changes when it is created anew.
///
/// Shard names are random at each creation. With tenants the shards bear the tenants' names and say nothing;
/// then only the definition is compared, as it is where shards may not be listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation {
    /// Sorted; empty if they say nothing.
    pub shards: Vec<String>,
}

impl Incarnation {
    /// Of a collection that is there now. Fails, as what may pass, if a part of it is on a node that is away.
    pub async fn of(
        client: &Client,
        name: &CollectionName,
        definition: &Definition,
    ) -> Result<Self> {
        let replicas = definition.replicas()?;
        if definition.has_tenants()? {
            client.check_nodes(name, replicas).await?;
            return Ok(Incarnation { shards: Vec::new() });
        }
        match client.shards(name, replicas).await {
            Ok(shards) => Ok(Incarnation { shards }),
            // A key may not be allowed to list shards.
            Err(error) if error.kind() == Kind::Unauthorised => {
                Ok(Incarnation { shards: Vec::new() })
            }
            // The server answers 404 while a definition and its shards are being set up or taken down.
            Err(error) if error.reaction() == Reaction::Permanent => {
                Err(error.with_reaction(Reaction::Suspect))
            }
            Err(error) => Err(error),
        }
    }

    /// False if both are known and differ.
    pub fn may_equal(&self, other: &Incarnation) -> bool {
        self.shards.is_empty() || other.shards.is_empty() || self.shards == other.shards
    }

    /// As one line, for a record.
    pub fn to_text(&self) -> String {
        self.shards.join(",")
    }

    /// From the line of a record.
    pub fn from_text(text: &str) -> Self {
        Incarnation {
            shards: text
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }
}

/// The error for a collection that is not the one the job began with.
pub(super) fn replaced(client: &Client, name: &CollectionName, what: &str) -> Error {
    Error::new(
        client.role().refused(),
        format!(
            "collection `{name}` at {} {what} since the job began",
            client.address()
        ),
    )
    // What was written before may be gone: no count of it would be true.
    .with_kept("nothing more was written")
    .with_hint("find out who changed it, then start anew with --restart")
}
