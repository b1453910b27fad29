//! Where a job owes what it owes.
//!
//! An address is not an identity: the same collection at another address is gone on with. But what is missing at
//! another address cannot be recognised, and is neither made nor forgotten there.

use crate::error::{Error, Kind, Result};
use crate::job::JobId;
use crate::journal::Obligation;
use crate::model::CollectionName;
use crate::weaviate::{Client, Collection};

/// Refuses what is owed at another address, if its collection is not here.
pub(super) async fn check_place(client: &Client, job: &JobId, owed: &Obligation) -> Result<()> {
    let Some((url, name)) = owed.place().filter(|(url, _)| *url != client.address()) else {
        return Ok(());
    };
    match client.collection(&CollectionName::parse(name)?).await? {
        Collection::Missing => Err(elsewhere(client, job, url, name)),
        Collection::Found(_) | Collection::Alias(_) => Ok(()),
    }
}

/// The error for a collection that a job knows of at one address and that is missing at another.
pub(super) fn elsewhere(client: &Client, job: &JobId, url: &str, name: &str) -> Error {
    Error::new(
        Kind::Mismatch,
        format!(
            "job {job} worked on collection `{name}` at {url}; there is none at {}, and nothing tells whether that is the same server",
            client.address()
        ),
    )
    .with_hint(format!(
        "pass --url {url}; if the server has moved, create the collection there with `elysiactl col create` and try again"
    ))
}
