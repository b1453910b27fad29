//! The proof that a server makes a collection again as it was: a scratch collection of the same definition, read back.

use super::kept::Kept;
use super::remake::{Remake, create, still_there};
use crate::error::{Error, Kind, Reaction, Result};
use crate::journal::Obligation;
use crate::model::{CollectionName, Definition};
use crate::weaviate::{
    Collection, TenantState, TenantStatus, creatable, definitions_match, with_name,
};

/// The first letters of every collection that this program makes for itself.
const SCRATCH: &str = "ELYSIACTL_scratch_";

impl Remake {
    /// Creates a collection of the same definition under a scratch name, compares, and drops it.
    pub async fn prove(&self) -> Result<()> {
        let kept = self.kept()?;
        let name = CollectionName::parse(&format!("{SCRATCH}{}", self.folder.id()))?;
        let owed = match self.owed_scratch(&name)? {
            // From an earlier try: whatever bears the name is ours.
            Some(owed) => {
                self.delete_scratch(&name).await?;
                owed
            }
            None => self.claim_scratch(&name).await?,
        };
        let wanted = with_name(&kept.definition, &name)?;
        let compared = self.try_scratch(&kept, &wanted).await;
        if compared.as_ref().is_err_and(Error::is_transient) {
            // The server may still carry out what it did not answer: the next try drops that first.
            return compared;
        }
        self.delete_what_was_made(&name).await?;
        self.folder.discharge(&owed)?;
        compared.map_err(|error| self.unproven(error))
    }

    /// Who may not create it need not be allowed to delete it.
    async fn delete_what_was_made(&self, name: &CollectionName) -> Result<()> {
        match self.delete_scratch(name).await {
            Err(error) if error.reaction() == Reaction::Forbidden => {
                match self.client.collection(name).await? {
                    Collection::Missing => Ok(()),
                    _ => Err(error),
                }
            }
            deleted => deleted,
        }
    }

    fn unproven(&self, error: Error) -> Error {
        error
            .within(format!(
                "this server would not make `{}` again as it is",
                self.name
            ))
            .with_kept("nothing was deleted")
            .with_hint("pass --method by-id to delete the objects only")
    }

    /// True if a scratch collection may be left.
    pub fn owes_scratch(&self) -> Result<bool> {
        let is_it = |owed: &Obligation| matches!(owed, Obligation::ScratchCollection { .. });
        Ok(self.folder.obligations()?.iter().any(is_it))
    }

    /// The definition must read back equal, and the tenants be taken: there may be fewer allowed than there are.
    async fn try_scratch(&self, kept: &Kept, wanted: &Definition) -> Result<()> {
        let made = create(&self.client, wanted).await?;
        compare(kept, wanted, &made)?;
        // Inactive, as that costs the server next to nothing.
        let inactive = |tenant: &TenantState| TenantState {
            status: TenantStatus::Cold,
            ..tenant.clone()
        };
        let tenants: Vec<TenantState> = kept.tenants.iter().map(inactive).collect();
        for some in tenants.chunks(1_000) {
            self.client.create_tenants(&wanted.name()?, some).await?;
        }
        Ok(())
    }

    /// A deletion is answered by an empty 200, as is a panic of the server's handler: only a look tells.
    pub(super) async fn delete_scratch(&self, name: &CollectionName) -> Result<()> {
        self.client.delete(name).await?;
        match self.client.collection(name).await? {
            Collection::Found(_) => Err(still_there(name)),
            Collection::Alias(_) | Collection::Missing => Ok(()),
        }
    }

    fn owed_scratch(&self, scratch: &CollectionName) -> Result<Option<Obligation>> {
        let is_it = |owed: &Obligation| matches!(owed, Obligation::ScratchCollection { name, .. } if *name == scratch.as_str());
        Ok(self.folder.obligations()?.into_iter().find(is_it))
    }

    /// Nothing may bear the name before it is written down that what bears it is ours.
    async fn claim_scratch(&self, name: &CollectionName) -> Result<Obligation> {
        match self.client.collection(name).await? {
            Collection::Missing => {}
            Collection::Found(_) | Collection::Alias(_) => {
                return Err(Error::new(
                    Kind::Mismatch,
                    format!("`{name}` exists already and was not made by this job"),
                )
                .with_kept("nothing was deleted")
                .with_hint("remove it if nobody needs it, then clear again with --restart"));
            }
        }
        let owed = Obligation::ScratchCollection {
            url: self.client.address().to_owned(),
            name: name.to_string(),
            shards: Vec::new(),
        };
        self.folder.save_obligation(&owed)?;
        Ok(owed)
    }
}

fn compare(kept: &Kept, wanted: &Definition, made: &Definition) -> Result<()> {
    let mut differences = creatable(&kept.definition)?.left_out;
    differences.extend(definitions_match(wanted, made)?);
    match differences.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(Error::new(Kind::Incompatible, first)),
    }
}
