//! What a clear keeps of a collection in its job folder: enough to make it again, and to know it again.

use serde::{Deserialize, Serialize};

use super::witness::Witnesses;
use crate::error::{Error, Kind, Result};
use crate::journal::JobFolder;
use crate::model::{CollectionName, Definition, Tenant};
use crate::retry::Policy;
use crate::weaviate::{
    Client, CollectionSource, Incarnation, ReadPlan, TenantState, TenantStatus, Wanted,
};
use std::sync::Arc;

/// What is kept of a collection to make it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub version: u32,
    pub definition: Definition,
    pub tenants: Vec<TenantState>,
    pub incarnation: Incarnation,
    /// Where shards say nothing.
    #[serde(default)]
    pub witnesses: Witnesses,
}

impl Kept {
    pub fn new(
        definition: Definition,
        tenants: Vec<TenantState>,
        incarnation: Incarnation,
        witnesses: Witnesses,
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
}

/// The definition in the text that a clear keeps.
pub(super) fn definition_in(text: &str) -> Option<Definition> {
    let kept: Kept = serde_json::from_str(text).ok()?;
    Some(kept.definition)
}

/// The first objects of a collection whose shards say nothing; none where they do.
pub(super) async fn witnesses(
    policy: &Policy,
    client: &Arc<Client>,
    name: &CollectionName,
    definition: &Definition,
    tenants: &[TenantState],
    incarnation: &Incarnation,
) -> Result<Witnesses> {
    if !incarnation.shards.is_empty() {
        return Ok(Witnesses::default());
    }
    let active = match definition.has_tenants()? {
        true => active(tenants),
        false => vec![Tenant::NONE],
    };
    let plan = ReadPlan::choose(client, definition, Wanted::Keys)?;
    let source = CollectionSource::new(client.clone(), name.clone(), active, plan);
    Witnesses::call(policy, &source).await
}

/// Those that can be read and counted without being woken.
pub(super) fn active(tenants: &[TenantState]) -> Vec<Tenant> {
    let active = tenants
        .iter()
        .filter(|tenant| tenant.status == TenantStatus::Hot);
    active.map(|tenant| Tenant::named(&tenant.name)).collect()
}
