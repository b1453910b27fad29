//! What a job owes to a server beyond its data, and where: woken tenants and pinned automation flags, put back.
//!
//! An address is not an identity: the same collection at another address is gone on with. But what is missing at
//! another address cannot be recognised, and is neither made nor forgotten there.

use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::job::JobId;
use crate::journal::{JobFolder, Obligation};
use crate::model::CollectionName;
use crate::weaviate::{Client, Collection, TenantState, TenantStatus, with_automation};

/// Puts back what this job changed and still owes. Safe to repeat.
pub(super) async fn settle(session: &Session, folder: &JobFolder, client: &Client) -> Result<()> {
    let policy = session.first_contact();
    for owed in folder.obligations()? {
        let is_met = policy
            .run("put back what was changed", || meet(client, &owed))
            .await?;
        if let Some(note) = is_met {
            folder.discharge(&owed)?;
            session.reporter.event(&Event::Note(&note));
        }
    }
    Ok(())
}

/// What was done, in words; `None` for obligations that others meet.
async fn meet(client: &Client, owed: &Obligation) -> Result<Option<String>> {
    match owed {
        Obligation::WokenTenants {
            url,
            collection,
            tenants,
        } => {
            let name = CollectionName::parse(collection)?;
            if find(client, &name, url).await?.is_none() {
                return Ok(Some(format!(
                    "collection `{name}` is gone, and its tenants with it"
                )));
            }
            let count = put_to_sleep(client, &name, tenants).await?;
            Ok(Some(format!(
                "{count} tenants of `{name}` are inactive again"
            )))
        }
        Obligation::PinnedFlags {
            url,
            collection,
            flags,
        } => {
            let name = CollectionName::parse(collection)?;
            let Some(found) = find(client, &name, url).await? else {
                return Ok(Some(format!(
                    "collection `{name}` is gone, and its flags with it"
                )));
            };
            client
                .update(&name, &with_automation(&found, flags)?)
                .await?;
            Ok(Some(format!(
                "the automation flags of `{name}` are as they were"
            )))
        }
        _ => Ok(None),
    }
}

/// Makes tenants inactive that were woken; only those that are found active, as somebody may have moved them meanwhile.
pub(super) async fn put_to_sleep(
    client: &Client,
    name: &CollectionName,
    tenants: &[String],
) -> Result<usize> {
    let states = client.states_of(name, tenants).await?;
    let awake: Vec<TenantState> = states
        .into_iter()
        .filter(|tenant| tenant.status == TenantStatus::Hot)
        .map(|tenant| TenantState {
            status: TenantStatus::Cold,
            ..tenant
        })
        .collect();
    client.set_tenants(name, &awake).await?;
    Ok(awake.len())
}

/// The collection, if it is there. At another address than the one where it was changed it must be.
async fn find(
    client: &Client,
    name: &CollectionName,
    url: &str,
) -> Result<Option<crate::model::Definition>> {
    match client.collection(name).await? {
        Collection::Found(found) => Ok(Some(found)),
        _ if client.address() == url => Ok(None),
        _ => Err(Error::new(
            Kind::Mismatch,
            format!("something of `{name}` is to be put back at {url}, and there is no such collection at {}", client.address()),
        )
        .with_hint(format!("run it again with --url {url}"))),
    }
}

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
