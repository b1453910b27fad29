//! What a clear keeps of a collection in its job folder: enough to make it again, and to know it again.

use serde::{Deserialize, Serialize};

use super::census;
use crate::error::{Error, Kind, Result};
use crate::journal::JobFolder;
use crate::model::{CollectionName, Definition, Key, Tenant};
use crate::retry::Policy;
use crate::weaviate::{
    Client, CollectionSource, Incarnation, ReadPlan, TenantState, TenantStatus, Wanted,
};
use std::sync::Arc;

/// Enough objects to know a collection by, although some of them may be deleted meanwhile.
const WITNESSES: usize = 16;

/// An object that was there when the job began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Witness {
    key: Key,
    /// By the server's clock; an object that is written anew elsewhere gets another one.
    created: i64,
}

/// What is kept of a collection to make it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub version: u32,
    pub definition: Definition,
    pub tenants: Vec<TenantState>,
    pub incarnation: Incarnation,
    /// Where shards say nothing.
    #[serde(default)]
    pub witnesses: Vec<Witness>,
}

impl Kept {
    pub fn new(
        definition: Definition,
        tenants: Vec<TenantState>,
        incarnation: Incarnation,
        witnesses: Vec<Witness>,
    ) -> Self {
        Kept {
            version: 1,
            definition,
            tenants,
            incarnation,
            witnesses,
        }
    }

    /// As the job folder keeps it.
    pub fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|cause| {
            Error::new(Kind::Failed, "the definition cannot be kept").with_cause(cause)
        })
    }

    /// What the job folder keeps, if it does.
    pub fn read(folder: &JobFolder) -> Result<Option<Self>> {
        let Some(text) = folder.definition()? else {
            return Ok(None);
        };
        let kept: Kept = serde_json::from_str(&text).map_err(|cause| {
            let path = folder.path().join("definition.json");
            Error::new(
                Kind::JournalDamaged,
                format!("`{}` cannot be read", path.display()),
            )
            .with_cause(cause)
        })?;
        match kept.version {
            1 => Ok(Some(kept)),
            other => Err(Error::new(
                Kind::Incompatible,
                format!("definition.json has version {other}, this program reads 1"),
            )),
        }
    }

    /// True if one of the witnesses is still there, created when it was.
    pub async fn is_witnessed(&self, client: &Client, name: &CollectionName) -> Result<bool> {
        for witness in &self.witnesses {
            if client.created(name, &witness.key).await? == Some(witness.created) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The first objects of a collection whose shards say nothing; none where they do.
pub(super) async fn witnesses(
    policy: &Policy,
    client: &Arc<Client>,
    name: &CollectionName,
    definition: &Definition,
    tenants: &[TenantState],
    incarnation: &Incarnation,
) -> Result<Vec<Witness>> {
    if !incarnation.shards.is_empty() {
        return Ok(Vec::new());
    }
    let active = match definition.has_tenants()? {
        true => active(tenants),
        false => vec![Tenant::NONE],
    };
    let plan = ReadPlan::choose(client, definition, Wanted::Keys)?;
    let source = CollectionSource::new(client.clone(), name.clone(), active, plan);
    let first = census::first(policy, &source, WITNESSES).await?;
    let readable = first.into_iter().filter(|(_, times)| times.created != 0);
    Ok(readable
        .map(|(key, times)| Witness {
            key,
            created: times.created,
        })
        .collect())
}

/// Those that can be read and counted without being woken.
pub(super) fn active(tenants: &[TenantState]) -> Vec<Tenant> {
    let active = tenants
        .iter()
        .filter(|tenant| tenant.status == TenantStatus::Hot);
    active.map(|tenant| Tenant::named(&tenant.name)).collect()
}
