//! What must be undone or finished whatever happens, each written before the effect that makes it due.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::state::{check_version, to_json};
use crate::error::{Error, Kind, Result};

/// One thing that this job owes to a server or a file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Obligation {
    /// Tenants that were inactive are put to sleep again.
    WokenTenants {
        /// The address of the server.
        url: String,
        /// Their collection.
        collection: String,
        /// Their names.
        tenants: Vec<String>,
    },
    /// Automation flags of a collection get their values back.
    PinnedFlags {
        /// The address of the server.
        url: String,
        /// The collection.
        collection: String,
        /// Name and the value to be set again.
        flags: Vec<(String, bool)>,
    },
    /// A collection made for a probe is dropped.
    ScratchCollection {
        /// The address of the server.
        url: String,
        /// Its name.
        name: String,
        /// Its shards: another collection of that name is not ours.
        shards: Vec<String>,
    },
    /// A collection that this job created; nothing else may be removed by a restart.
    CreatedCollection {
        /// The address of the server.
        url: String,
        /// Its name.
        name: String,
        /// Its shards: another collection of that name is not ours.
        shards: Vec<String>,
    },
    /// A collection was dropped and must be made anew from `definition.json`.
    DroppedCollection {
        /// The address of the server.
        url: String,
        /// Its name.
        name: String,
        /// What told it from another one of that name.
        shards: Vec<String>,
    },
    /// A file that is not complete is deleted, or finished.
    PartialFile {
        /// Absolute path or address.
        path: String,
    },
}

impl Obligation {
    /// The server and the collection that it is about, if it is about one.
    pub fn place(&self) -> Option<(&str, &str)> {
        match self {
            Obligation::WokenTenants {
                url, collection, ..
            }
            | Obligation::PinnedFlags {
                url, collection, ..
            } => Some((url, collection)),
            Obligation::ScratchCollection { url, name, .. }
            | Obligation::CreatedCollection { url, name, .. }
            | Obligation::DroppedCollection { url, name, .. } => Some((url, name)),
            Obligation::PartialFile { .. } => None,
        }
    }
}

const KINDS: [&str; 6] = [
    "woken_tenants",
    "pinned_flags",
    "scratch_collection",
    "created_collection",
    "dropped_collection",
    "partial_file",
];

#[derive(Serialize, Deserialize)]
struct Document<T> {
    version: u8,
    obligations: Vec<T>,
}

pub(super) fn encode(obligations: &[Obligation]) -> Result<Vec<u8>> {
    to_json(&Document {
        version: 1,
        obligations: obligations.to_vec(),
    })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Obligation>> {
    check_version(bytes, "obligations.json")?;
    let document: Document<Value> = serde_json::from_slice(bytes).map_err(unreadable)?;
    document.obligations.into_iter().map(read).collect()
}

fn read(value: Value) -> Result<Obligation> {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or("");
    if !KINDS.contains(&kind) {
        return Err(Error::new(
            Kind::Incompatible,
            format!("`{kind}` is an obligation that this elysiactl does not know"),
        )
        .with_hint("use the release of elysiactl that ran the job last"));
    }
    serde_json::from_value(value).map_err(unreadable)
}

fn unreadable(cause: serde_json::Error) -> Error {
    Error::new(
        Kind::Failed,
        "the list of obligations is not what was written",
    )
    .with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_is_refused_by_its_name() {
        let text = br#"{"version":1,"obligations":[{"kind":"paid_bill","amount":3}]}"#;
        let error = decode(text).unwrap_err();
        assert_eq!(error.kind(), Kind::Incompatible);
        assert!(error.message().contains("`paid_bill`"), "{error}");
    }

    #[test]
    fn every_kind_comes_back() {
        let (url, name) = ("http://h".to_owned(), "A".to_owned());
        let shards = vec!["s".to_owned()];
        let all = vec![
            Obligation::WokenTenants {
                url: url.clone(),
                collection: name.clone(),
                tenants: shards.clone(),
            },
            Obligation::PinnedFlags {
                url: url.clone(),
                collection: name.clone(),
                flags: vec![("autoTenantCreation".into(), true)],
            },
            Obligation::ScratchCollection {
                url: url.clone(),
                name: name.clone(),
                shards: shards.clone(),
            },
            Obligation::CreatedCollection {
                url: url.clone(),
                name: name.clone(),
                shards: shards.clone(),
            },
            Obligation::DroppedCollection { url, name, shards },
            Obligation::PartialFile {
                path: "/b/x".into(),
            },
        ];
        assert_eq!(all.len(), KINDS.len());
        assert_eq!(decode(&encode(&all).unwrap()).unwrap(), all);
    }
}
