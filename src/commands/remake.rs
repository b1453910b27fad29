//! Deleting a collection and creating it again, so that no crash in between loses it.
//!
//! What is needed to make it again is kept in plain files before anything is deleted. It is deleted only while it is
//! the one that was looked at, and what appears in the gap and is not ours is never deleted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::Facts;
use crate::error::{Error, Kind, Result};
use crate::journal::{JobFolder, Obligation};
use crate::model::{CollectionName, Definition, Tenant};
use crate::weaviate::{
    Client, Collection, Incarnation, TenantState, creatable, definitions_match, with_name,
};

/// The first letters of every collection that this program makes for itself.
const SCRATCH: &str = "ELYSIACTL_scratch_";

/// What is kept of a collection to make it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    version: u32,
    pub definition: Definition,
    pub tenants: Vec<TenantState>,
    pub incarnation: Incarnation,
}

/// A collection's definition, tenants and incarnation, as the job folder keeps them.
pub(super) fn keep(
    definition: &Definition,
    tenants: &[TenantState],
    incarnation: &Incarnation,
) -> Result<String> {
    let kept = Kept {
        version: 1,
        definition: definition.clone(),
        tenants: tenants.to_vec(),
        incarnation: incarnation.clone(),
    };
    serde_json::to_string(&kept).map_err(|cause| {
        Error::new(Kind::Failed, "the definition cannot be kept").with_cause(cause)
    })
}

/// What the job folder keeps, if it does.
pub(super) fn read_kept(folder: &JobFolder) -> Result<Option<Kept>> {
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

/// One collection and the folder that keeps it.
pub(super) struct Remake {
    pub client: Arc<Client>,
    pub name: CollectionName,
    pub folder: Arc<JobFolder>,
}

impl Remake {
    fn kept(&self) -> Result<Kept> {
        read_kept(&self.folder)?.ok_or_else(|| {
            Error::new(
                Kind::JournalDamaged,
                "the job has lost the definition of the collection",
            )
            .with_hint("look for definition.json in the job folder")
        })
    }

    fn owed(&self, kept: &Kept) -> Obligation {
        Obligation::DroppedCollection {
            url: self.client.address().to_owned(),
            name: self.name.to_string(),
            shards: kept.incarnation.shards.clone(),
        }
    }

    /// Creates a collection of the same definition under a scratch name, compares, and drops it.
    pub async fn prove(&self, job: &str) -> Result<()> {
        let kept = self.kept()?;
        let name = CollectionName::parse(&format!("{SCRATCH}{job}"))?;
        let owed = Obligation::ScratchCollection {
            url: self.client.address().to_owned(),
            name: name.to_string(),
            shards: Vec::new(),
        };
        self.folder.save_obligation(&owed)?;
        self.client.delete(&name).await?;
        let wanted = with_name(&kept.definition, &name)?;
        let made = create(&self.client, &wanted).await;
        let compared = made.and_then(|made| definitions_match(&wanted, &made));
        self.client.delete(&name).await?;
        self.folder.discharge(&owed)?;
        let differences = compared.map_err(|error| refused(error, &self.name))?;
        match differences.first() {
            None => Ok(()),
            Some(first) => Err(Error::new(
                Kind::Incompatible,
                format!(
                    "this server would not give `{}` the same definition again: {first}",
                    self.name
                ),
            )
            .with_kept("nothing was deleted")
            .with_hint("pass --method by-id to delete the objects only")),
        }
    }

    /// Deletes the collection, if it still is the one that was looked at, and creates it again.
    pub async fn recreate(&self) -> Result<Facts> {
        let kept = self.kept()?;
        self.folder.save_obligation(&self.owed(&kept))?;
        if let Collection::Found(found) = self.client.collection(&self.name).await? {
            match self.is_the_old_one(&kept, &found).await? {
                true => self.client.delete(&self.name).await?,
                false => return self.accept(&kept, found).await,
            }
        }
        self.create_again(&kept).await
    }

    /// Deletes the collection, if it still is the one that was looked at.
    pub async fn drop_for_good(&self) -> Result<()> {
        let kept = self.kept()?;
        match self.client.collection(&self.name).await? {
            Collection::Found(found) if self.is_the_old_one(&kept, &found).await? => {
                self.client.delete(&self.name).await
            }
            Collection::Found(_) => Err(self.somebody_elses()),
            Collection::Alias(_) | Collection::Missing => Ok(()),
        }
    }

    /// Meets what is owed: scratch collections are dropped, a dropped collection is created again.
    pub async fn discharge(&self) -> Result<()> {
        for owed in self.folder.obligations()? {
            match &owed {
                Obligation::ScratchCollection { name, .. } => {
                    self.client.delete(&CollectionName::parse(name)?).await?
                }
                Obligation::DroppedCollection { .. } => {
                    if let Collection::Missing = self.client.collection(&self.name).await? {
                        self.create_again(&self.kept()?).await?;
                    }
                }
                _ => continue,
            }
            self.folder.discharge(&owed)?;
        }
        Ok(())
    }

    async fn is_the_old_one(&self, kept: &Kept, found: &Definition) -> Result<bool> {
        let now = Incarnation::of(&self.client, &self.name, found).await?;
        if kept.incarnation.shards.is_empty() || now.shards.is_empty() {
            // With tenants shards say nothing; the definition must at least be the same and something must be in it.
            let is_same = definitions_match(&kept.definition, found)?.is_empty();
            return Ok(is_same && !self.is_remade(kept).await?);
        }
        Ok(kept.incarnation.shards == now.shards)
    }

    /// True if an earlier run has come as far as creating it again.
    async fn is_remade(&self, kept: &Kept) -> Result<bool> {
        if !kept.definition.has_tenants()? {
            return Ok(false);
        }
        Ok(self.folder.state()?.extra.contains_key("remade"))
    }

    /// Another collection than the old one: ours from before a crash if it has the definition and is empty.
    async fn accept(&self, kept: &Kept, found: Definition) -> Result<Facts> {
        let is_equal = definitions_match(&kept.definition, &found)?.is_empty();
        let is_empty = kept.definition.has_tenants()?
            || self.client.count(&self.name, &Tenant::NONE).await? == 0;
        if !(is_equal && is_empty) {
            return Err(self.somebody_elses());
        }
        self.finish(kept, &found).await
    }

    fn somebody_elses(&self) -> Error {
        let path = self.folder.path().join("definition.json");
        Error::new(
            Kind::TargetRefused,
            format!("another collection `{}` has appeared that this job did not create", self.name),
        )
        .with_kept(format!("the definition is in `{}`; the other collection was not touched", path.display()))
        .with_hint("find out who writes to it (auto-schema makes collections), then clear again with --restart")
    }

    async fn create_again(&self, kept: &Kept) -> Result<Facts> {
        self.folder.update_state(|state| {
            state.extra.insert("remade".into(), "begun".into());
        })?;
        let made = match create(&self.client, &kept.definition).await {
            Ok(made) => made,
            Err(error) if error.is_transient() => return Err(error),
            // The reply of an earlier try may have been lost, or a live writer was faster.
            Err(error) => match self.client.collection(&self.name).await? {
                Collection::Found(found) => return self.accept(kept, found).await,
                _ => return Err(refused(error, &self.name)),
            },
        };
        if !definitions_match(&kept.definition, &made)?.is_empty() {
            return Err(self.somebody_elses());
        }
        self.finish(kept, &made).await
    }

    /// Tenants with their states, flags, the new incarnation; then nothing is owed any more.
    async fn finish(&self, kept: &Kept, made: &Definition) -> Result<Facts> {
        for some in kept.tenants.chunks(1_000) {
            self.client.create_tenants(&self.name, some).await?;
        }
        let (pinned, wanted) = (
            creatable(&kept.definition)?.create,
            kept.definition.value()?,
        );
        if pinned.get("multiTenancyConfig") != wanted.get("multiTenancyConfig")
            && kept.definition.has_tenants()?
        {
            let mut update = pinned;
            update["multiTenancyConfig"] = wanted["multiTenancyConfig"].clone();
            self.client.update(&self.name, &update).await?;
        }
        let incarnation = Incarnation::of(&self.client, &self.name, made).await?;
        self.folder.discharge(&self.owed(kept))?;
        Ok(Facts::from([("incarnation".into(), incarnation.to_text())]))
    }
}

fn refused(error: Error, name: &CollectionName) -> Error {
    if error.is_transient() {
        return error;
    }
    error
        .within(format!(
            "this server does not take the definition of `{name}` back"
        ))
        .with_kept("nothing was deleted")
        .with_hint("pass --method by-id to delete the objects only")
}

async fn create(client: &Client, definition: &Definition) -> Result<Definition> {
    let creatable = creatable(definition)?;
    client.create(&creatable.create).await?;
    if let Some(update) = &creatable.then_update {
        client.update(&definition.name()?, update).await?;
    }
    match client.collection(&definition.name()?).await? {
        Collection::Found(made) => Ok(made),
        _ => Err(Error::transient(
            "a collection is not there right after its creation",
        )),
    }
}
