//! Objects that were there when a job began: where the shards of a collection say nothing, they tell its life.
//!
//! Shards bear the tenants' names where there are tenants, and a key may not be allowed to list them. An object that is
//! written anew gets another creation time, so a witness with its time proves that the collection is the old one.

use serde::{Deserialize, Serialize};

use super::census;
use crate::error::Result;
use crate::model::{CollectionName, Key};
use crate::retry::Policy;
use crate::weaviate::{Client, CollectionSource};

/// Enough to know a collection by, although some of them may be deleted meanwhile.
const MOST: usize = 16;

/// Some objects of a collection; none if it was empty or has better marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Witnesses(Vec<Witness>);

/// An object that was there when the job began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Witness {
    key: Key,
    /// By the server's clock, in Unix milliseconds.
    created: i64,
}

impl Witnesses {
    /// The first objects of a source.
    pub async fn call(policy: &Policy, source: &CollectionSource) -> Result<Witnesses> {
        let first = census::first(policy, source, MOST).await?;
        let readable = first.into_iter().filter(|(_, times)| times.created != 0);
        let witnesses = readable.map(|(key, times)| Witness {
            key,
            created: times.created,
        });
        Ok(Witnesses(witnesses.collect()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if one of them is still there, created when it was.
    pub async fn is_any_there(&self, client: &Client, name: &CollectionName) -> Result<bool> {
        for witness in &self.0 {
            if client.created(name, &witness.key).await? == Some(witness.created) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if one of them is still there, or among the first objects of `source` one that is as old: all witnesses
    /// may have been deleted in a collection that lives on. True as well if there were none to ask.
    pub async fn know(
        &self,
        policy: &Policy,
        client: &Client,
        name: &CollectionName,
        source: &CollectionSource,
    ) -> Result<bool> {
        let Some(youngest) = self.0.iter().map(|witness| witness.created).max() else {
            return Ok(true);
        };
        let asked = policy.run("look at the collection", || self.is_any_there(client, name));
        if asked.await? {
            return Ok(true);
        }
        let now = Witnesses::call(policy, source).await?;
        Ok(now.0.iter().any(|object| object.created <= youngest))
    }
}
