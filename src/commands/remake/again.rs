//! The collection is created again, with everything that was kept of it.

use super::whose::{Shape, Whose};
use super::*;

impl Remake {
    pub(super) async fn create_again(&self, kept: &Kept) -> Result<Facts> {
        self.note(DELETED, "yes")?;
        let made = match create(&self.client, &kept.definition).await {
            Ok(made) => made,
            Err(error) if error.is_transient() => return Err(error),
            // The reply of an earlier try may have been lost, or a live writer was faster.
            Err(error) => match self.client.collection(&self.name).await? {
                Collection::Found(found) => match self.whose(kept, &found).await? {
                    Whose::Ours => return self.finish(kept, found).await,
                    _ => return Err(self.somebody_elses()),
                },
                Collection::Alias(_) => return Err(self.somebody_elses()),
                Collection::Missing => return Err(self.gone(error)),
            },
        };
        let incarnation = Incarnation::of(&self.client, &self.name, &made).await?;
        self.note(MADE, &incarnation.to_text())?;
        self.finish(kept, made).await
    }

    /// The server took the definition when it was proven, and does not any more.
    fn gone(&self, error: Error) -> Error {
        let path = self.folder.path().join("definition.json");
        error
            .within(format!("`{}` is deleted and cannot be created again now", self.name))
            .with_kept(format!("its definition is in `{}`", path.display()))
            .with_hint("remove what the server objects to; then `elysiactl jobs resume` or `jobs cancel` creates it again")
    }

    /// What is missing of the definition, tenants with their states, flags, the new incarnation; then nothing is owed.
    pub(super) async fn finish(&self, kept: &Kept, made: Definition) -> Result<Facts> {
        let finished = self.complete(kept, made).await;
        finished.map_err(|error| self.half_made(error))
    }

    async fn complete(&self, kept: &Kept, made: Definition) -> Result<Facts> {
        let creatable = creatable(&kept.definition)?;
        let made = match (&creatable.then_update, self.shape(kept, &made)?) {
            (Some(update), Shape::Half) => {
                self.client.update(&self.name, update).await?;
                self.look().await?
            }
            _ => made,
        };
        for some in kept.tenants.chunks(1_000) {
            self.client.create_tenants(&self.name, some).await?;
        }
        let wanted = kept.definition.value()?;
        let mut update = creatable.then_update.unwrap_or(creatable.create);
        if kept.definition.has_tenants()? {
            if made.value()?.get("multiTenancyConfig") != wanted.get("multiTenancyConfig") {
                update["multiTenancyConfig"] = wanted["multiTenancyConfig"].clone();
                self.client.update(&self.name, &update).await?;
            }
            self.set_states(&kept.tenants).await?;
        }
        let incarnation = Incarnation::of(&self.client, &self.name, &made).await?;
        let mut facts = Facts::from([("incarnation".into(), incarnation.to_text())]);
        // Another release of the server may add to what it was given.
        let differences = definitions_match(&kept.definition, &made)?;
        facts.extend(
            differences
                .into_iter()
                .next()
                .map(|first| ("differs".into(), first)),
        );
        // Also one that an earlier run wrote down under another address of this server.
        for owed in self
            .folder
            .obligations()?
            .iter()
            .filter(|it| is_dropped(it))
        {
            self.folder.discharge(owed)?;
        }
        Ok(facts)
    }

    async fn look(&self) -> Result<Definition> {
        match self.client.collection(&self.name).await? {
            Collection::Found(made) => Ok(made),
            _ => Err(Error::transient(
                "a collection is not there right after its creation",
            )),
        }
    }

    /// A tenant that was there already has kept its state, whatever the server said when asked to create it.
    async fn set_states(&self, wanted: &[TenantState]) -> Result<()> {
        let now = self.client.tenants(&self.name).await?;
        let others: Vec<TenantState> = wanted
            .iter()
            .filter(|tenant| !now.contains(tenant))
            .cloned()
            .collect();
        self.client.set_tenants(&self.name, &others).await
    }
}

pub(in crate::commands) async fn create(
    client: &Client,
    definition: &Definition,
) -> Result<Definition> {
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
