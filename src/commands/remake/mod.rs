//! Deleting a collection and creating it again, so that no crash in between loses it.
//!
//! What is needed to make it again is kept in plain files before anything is deleted. It is deleted only while it is
//! the one that was looked at, and what appears in the gap and is not ours is never deleted.

mod again;
mod whose;

use std::sync::Arc;

use super::kept::{Kept, active};
use super::owed;
use crate::engine::Facts;
use crate::error::{Error, Kind, Result};
use crate::journal::{JobFolder, Obligation};
use crate::model::{CollectionName, Definition, Tenant};
use crate::retry::Policy;
use crate::weaviate::{
    Client, Collection, Incarnation, TenantState, TenantStatus, creatable, definitions_match,
};
pub(super) use again::create;
use whose::{Shape, Whose};

/// Noted in the job's summary once the old collection is known to be gone: no later one is the old one.
const DELETED: &str = "deleted";
/// Noted in the job's summary: the shards of the collection that this job made.
const MADE: &str = "made shards";

/// One collection and the folder that keeps it.
pub(super) struct Remake {
    pub client: Arc<Client>,
    pub name: CollectionName,
    pub folder: Arc<JobFolder>,
}

impl Remake {
    pub(super) fn kept(&self) -> Result<Kept> {
        Kept::read(&self.folder)?.ok_or_else(|| {
            Error::new(
                Kind::JournalDamaged,
                "the job has lost the definition of the collection",
            )
            .with_hint("put definition.json back into the job folder; while the collection is there, --restart begins anew")
        })
    }

    fn owed(&self, kept: &Kept) -> Obligation {
        Obligation::DroppedCollection {
            url: self.client.address().to_owned(),
            name: self.name.to_string(),
            shards: kept.incarnation.shards.clone(),
        }
    }

    /// Deletes the collection that was looked at; what is there afterwards is another one.
    async fn delete_the_old_one(&self, kept: &Kept) -> Result<()> {
        self.client.delete(&self.name).await?;
        if let Collection::Found(found) = self.client.collection(&self.name).await?
            && self.whose(kept, &found).await? == Whose::Old
        {
            return Err(still_there(&self.name));
        }
        self.note(DELETED, "yes")
    }

    /// Deletes the collection, if it still is the one that was looked at, and creates it again. With `is_proven` false
    /// (another server version than that of the proof) it is proven once more before anything is deleted.
    pub async fn recreate(&self, is_proven: bool) -> Result<Facts> {
        let kept = self.kept()?;
        let found = match self.client.collection(&self.name).await? {
            Collection::Found(found) => found,
            Collection::Missing if self.owes(&kept)? => {
                self.check_owed_here()?;
                return self.create_again(&kept).await;
            }
            Collection::Missing => {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("collection `{}` was deleted by somebody else", self.name),
                ));
            }
            Collection::Alias(_) => return Err(self.somebody_elses()),
        };
        match self.whose(&kept, &found).await? {
            Whose::Old => {}
            Whose::Ours => return self.finish(&kept, found).await,
            Whose::Strangers => return Err(self.somebody_elses()),
        }
        let (kept, is_changed) = self.look_again(kept, found).await?;
        if is_changed || !is_proven {
            self.prove().await?;
        }
        self.folder.save_obligation(&self.owed(&kept))?;
        self.delete_the_old_one(&kept).await?;
        self.create_again(&kept).await
    }

    /// What an error after the deletion leaves, unless it says so itself.
    fn half_made(&self, error: Error) -> Error {
        if error.is_transient() || error.kept().is_some() {
            return error;
        }
        let path = self.folder.path().join("definition.json");
        error.with_kept(format!(
            "`{}` is deleted and not made again as it was; its definition and tenants are in `{}`",
            self.name,
            path.display()
        ))
        .with_hint("remove what the server objects to; then `elysiactl jobs resume` or `jobs cancel` makes it as it was")
    }

    /// It is missing: it must be missing where this job has deleted it.
    fn check_owed_here(&self) -> Result<()> {
        let here = |(url, name): &(&str, &str)| {
            *name == self.name.as_str() && *url == self.client.address()
        };
        let owed = self.folder.obligations()?;
        let mut places = owed.iter().filter(|owed| is_dropped(owed));
        match places
            .clone()
            .filter_map(Obligation::place)
            .any(|it| here(&it))
        {
            true => Ok(()),
            false => match places.next_back().and_then(Obligation::place) {
                Some((url, name)) => {
                    Err(owed::elsewhere(&self.client, self.folder.id(), url, name))
                }
                None => Ok(()),
            },
        }
    }

    fn owes(&self, kept: &Kept) -> Result<bool> {
        let is_it = |owed: &Obligation| matches!(owed, Obligation::DroppedCollection { name, shards, .. } if *name == self.name.as_str() && *shards == kept.incarnation.shards);
        Ok(self.folder.obligations()?.iter().any(is_it))
    }

    /// What was kept may be hours old: a tenant or a property made since is kept as well. True if the definition changed.
    async fn look_again(&self, kept: Kept, found: Definition) -> Result<(Kept, bool)> {
        let tenants = match found.has_tenants()? {
            true => self.client.tenants(&self.name).await?,
            false => Vec::new(),
        };
        check_states(&self.name, &tenants)?;
        let is_changed = found.value()? != kept.definition.value()?;
        if !is_changed && tenants == kept.tenants {
            return Ok((kept, false));
        }
        let now = Kept {
            definition: found,
            tenants,
            ..kept
        };
        self.folder.save_definition(&now.to_text()?)?;
        Ok((now, is_changed))
    }

    /// Deletes the collection, if it still is the one that was looked at.
    pub async fn drop_for_good(&self) -> Result<()> {
        let kept = self.kept()?;
        match self.client.collection(&self.name).await? {
            Collection::Found(found) => match self.whose(&kept, &found).await? {
                Whose::Old => self.delete_the_old_one(&kept).await,
                _ => Err(self.somebody_elses()),
            },
            Collection::Alias(_) | Collection::Missing => self.note(DELETED, "yes"),
        }
    }

    /// Meets what is owed: scratch collections are dropped, a dropped collection is created again. What cannot be met
    /// stays written down.
    pub async fn discharge(&self, policy: &Policy) -> Result<()> {
        for owed in self.folder.obligations()? {
            let met = policy.run("meet what the job owes", || self.meet(&owed));
            met.await.map_err(|error| {
                let path = self.folder.path().join("definition.json");
                error.with_kept(format!(
                    "the job is kept, with the definition in `{}`",
                    path.display()
                ))
            })?;
        }
        Ok(())
    }

    async fn meet(&self, owed: &Obligation) -> Result<()> {
        owed::check_place(&self.client, self.folder.id(), owed).await?;
        match owed {
            Obligation::ScratchCollection { name, .. } => {
                self.delete_scratch(&CollectionName::parse(name)?).await?
            }
            Obligation::DroppedCollection { .. } => self.bring_back().await?,
            _ => return Ok(()),
        }
        self.folder.discharge(owed)
    }

    async fn bring_back(&self) -> Result<()> {
        let kept = self.kept()?;
        match self.client.collection(&self.name).await? {
            Collection::Missing => self.create_again(&kept).await.map(drop),
            Collection::Alias(_) => Err(self.somebody_elses()),
            Collection::Found(found) => match self.whose(&kept, &found).await? {
                Whose::Old => Ok(()),
                Whose::Ours => self.finish(&kept, found).await.map(drop),
                // Somebody made the same one and has written to it: there is nothing left to bring back.
                Whose::Strangers if self.shape(&kept, &found)? == Shape::Equal => Ok(()),
                Whose::Strangers => Err(self.somebody_elses()),
            },
        }
    }

    /// The error for a collection that appeared in the gap.
    pub fn somebody_elses(&self) -> Error {
        let path = self.folder.path().join("definition.json");
        Error::new(
            Kind::TargetRefused,
            format!("another collection `{}` has appeared that this job did not create", self.name),
        )
        .with_kept(format!("the definition is in `{}`; the other collection was not touched", path.display()))
        .with_hint("find out who writes to it (auto-schema makes collections); once it is gone, --resume makes the old one again")
    }

    fn note(&self, name: &str, value: &str) -> Result<()> {
        if self.folder.state()?.extra.get(name).map(String::as_str) == Some(value) {
            return Ok(());
        }
        self.folder
            .update_state(|state| {
                state.extra.insert(name.into(), value.into());
            })
            .map(drop)
    }
}

/// True if the job of this folder has deleted a collection, or was about to, and has not made it again.
pub(super) fn owes_a_collection(folder: &JobFolder) -> Result<bool> {
    Ok(folder.obligations()?.iter().any(is_dropped))
}

fn is_dropped(owed: &Obligation) -> bool {
    matches!(owed, Obligation::DroppedCollection { .. })
}

/// Only active and inactive tenants can be made again.
pub(super) fn check_states(name: &CollectionName, tenants: &[TenantState]) -> Result<()> {
    let is_away =
        |tenant: &&TenantState| !matches!(tenant.status, TenantStatus::Hot | TenantStatus::Cold);
    match tenants.iter().find(is_away) {
        None => Ok(()),
        Some(tenant) => Err(Error::new(
            Kind::TargetRefused,
            format!(
                "tenant `{}` of `{name}` is offloaded; it could not be made again",
                tenant.name
            ),
        )
        .with_hint("load it first, or name other tenants with --tenant")),
    }
}

pub(super) fn still_there(name: &CollectionName) -> Error {
    Error::transient(format!(
        "collection `{name}` is still there after its deletion"
    ))
}
