//! What a key may see. A server with roles leaves out of its lists, without a word, what the key may not read; asked for
//! one thing by its name it refuses, whether that is there or not.

use reqwest::StatusCode;
use serde::Deserialize;

use super::client::Client;
use crate::error::{Error, Kind, Result};
use crate::model::{CollectionName, matches_glob};

/// A name that no pattern of names that a key may read is likely to have in mind.
const NO_TENANT: &str = "ELYSIACTL_no_such_tenant";

impl Client {
    /// Refuses a key that may not read every tenant there can be: the list of them that it gets may lack some, or all.
    pub async fn check_sees_tenants(&self, name: &CollectionName) -> Result<()> {
        // It is not there, or the server knows no such question (1.27, which has no roles either).
        let asked = self
            .get(&format!("schema/{name}/tenants/{NO_TENANT}"))
            .await;
        asked.map(drop).map_err(|error| match error.kind() {
            Kind::Unauthorised => Error::new(
                Kind::Unauthorised,
                format!("the key may not see every tenant of `{name}`: {error}"),
            )
            .with_hint("let it read_tenants of all tenants, or choose among those that it may see with --tenant"),
            _ => error,
        })
    }

    /// Refuses a key that may not read the objects of a collection, whether that is there or not.
    pub async fn check_reads_objects(&self, name: &CollectionName) -> Result<()> {
        let path = format!("objects?class={name}&limit=0");
        self.get(&path).await.map(drop)
    }

    /// True if the key may read every alias of the collection, as far as the server tells what a key may do.
    pub async fn sees_aliases(&self, name: &CollectionName) -> Result<bool> {
        let reply = match self.get("users/own-info").await {
            Ok(reply) if reply.status == StatusCode::OK => reply,
            Err(error) if error.is_transient() => return Err(error),
            // Where there are no roles there is nothing to ask.
            _ => return Ok(true),
        };
        let told = serde_json::from_slice::<Told>(&reply.body).unwrap_or_default();
        let roles = told.roles.unwrap_or_default();
        let mut rights = roles.iter().flat_map(|role| &role.permissions);
        Ok(roles.is_empty() || rights.any(|right| right.reads_aliases_of(name)))
    }

    /// The error for a count that was refused: GraphQL says so inside a 200.
    pub(super) fn cannot_count(&self, name: &str, said: &str) -> Error {
        let message = format!("{} cannot count `{name}`: {said}", self.address());
        // A node is away.
        const AWAY: [&str; 3] = [
            "no read replica found",
            "leader not found",
            "resolve node name",
        ];
        if AWAY.iter().any(|words| said.contains(words)) {
            return Error::transient(message);
        }
        match said.contains("authorization, forbidden action") {
            true => Error::new(Kind::Unauthorised, message)
                .with_hint("the key needs more permissions; README lists them per command"),
            false => Error::new(self.role().refused(), message),
        }
    }
}

/// What the server tells of a key.
#[derive(Default, Deserialize)]
struct Told {
    roles: Option<Vec<Role>>,
}

#[derive(Deserialize)]
struct Role {
    #[serde(default)]
    permissions: Vec<Right>,
}

#[derive(Deserialize)]
struct Right {
    action: String,
    aliases: Option<OfAliases>,
}

#[derive(Deserialize)]
struct OfAliases {
    alias: Option<String>,
    collection: Option<String>,
}

impl Right {
    fn reads_aliases_of(&self, name: &CollectionName) -> bool {
        let Some(aliases) = self
            .aliases
            .as_ref()
            .filter(|_| self.action == "read_aliases")
        else {
            return false;
        };
        let is_every = |pattern: &str| matches!(pattern, "*" | ".*");
        let of = aliases
            .collection
            .as_deref()
            .unwrap_or("*")
            .replace(".*", "*");
        aliases.alias.as_deref().is_none_or(is_every) && matches_glob(&of, name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_that_to_every_alias_of_the_collection() {
        let right = |text: &str| serde_json::from_str::<Right>(text).unwrap();
        let name = CollectionName::parse("Customer").unwrap();
        for (text, is_enough) in [
            (
                r#"{"action":"read_aliases","aliases":{"alias":"*","collection":"*"}}"#,
                true,
            ),
            (
                r#"{"action":"read_aliases","aliases":{"alias":"*","collection":"Cust.*"}}"#,
                true,
            ),
            (
                r#"{"action":"read_aliases","aliases":{"collection":"Customer"}}"#,
                true,
            ),
            (
                r#"{"action":"read_aliases","aliases":{"alias":"*","collection":"Order"}}"#,
                false,
            ),
            (
                r#"{"action":"read_aliases","aliases":{"alias":"News","collection":"*"}}"#,
                false,
            ),
            (
                r#"{"action":"create_aliases","aliases":{"alias":"*","collection":"*"}}"#,
                false,
            ),
            (
                r#"{"action":"read_collections","collections":{"collection":"*"}}"#,
                false,
            ),
        ] {
            assert_eq!(right(text).reads_aliases_of(&name), is_enough, "{text}");
        }
    }
}
