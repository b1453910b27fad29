//! What a key may see. A server with roles leaves out of its lists, without a word, what the key may not read; asked for
//! one thing by its name it refuses, whether that is there or not.

use super::client::Client;
use crate::error::{Error, Kind, Result};
use crate::model::CollectionName;

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
}
