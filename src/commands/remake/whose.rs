//! Whose the collection is that bears the name: decided from its shards, its objects and its definition.

use super::*;

/// Whose a collection is that bears the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The one that was looked at.
    Old,
    /// Made by this job, or by somebody else in the same way: it is what the job comes to, as far as it goes.
    Ours,
    /// It must not be touched.
    Strangers,
}

/// How a definition compares with the one that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Equal,
    /// Created, and not yet updated with what no creation takes.
    Half,
    Other,
}

impl Remake {
    pub(super) async fn whose(&self, kept: &Kept, found: &Definition) -> Result<Whose> {
        let now = Incarnation::of(&self.client, &self.name, found).await?;
        let extra = self.folder.state()?.extra;
        if !kept.incarnation.shards.is_empty() && !now.shards.is_empty() {
            if kept.incarnation.shards == now.shards {
                return Ok(Whose::Old);
            }
            if extra.get(MADE).is_some_and(|made| *made == now.to_text()) {
                return Ok(Whose::Ours);
            }
        } else if !extra.contains_key(DELETED) {
            if self.is_the_old_one(kept, found).await? {
                return Ok(Whose::Old);
            }
            if self.has_sleeping_tenants(found).await? {
                // Nobody can tell what is in them.
                return Ok(Whose::Strangers);
            }
        }
        let is_ours = self.shape(kept, found)? != Shape::Other && self.is_empty(found).await?;
        Ok(if is_ours {
            Whose::Ours
        } else {
            Whose::Strangers
        })
    }

    /// Where shards say nothing: some object must be there that was there when the job began. A collection without
    /// any is the old one as long as this job has not asked for its deletion.
    async fn is_the_old_one(&self, kept: &Kept, found: &Definition) -> Result<bool> {
        match kept.witnesses.is_empty() {
            false => kept.witnesses.is_any_there(&self.client, &self.name).await,
            true => Ok(!self.owes(kept)? && self.shape(kept, found)? == Shape::Equal),
        }
    }

    /// False if it is known to be another collection than the one that was looked at.
    pub async fn has_the_old_shards(&self) -> Result<bool> {
        match self.client.collection(&self.name).await? {
            Collection::Found(found) => {
                let now = Incarnation::of(&self.client, &self.name, &found).await?;
                Ok(self.kept()?.incarnation.may_equal(&now))
            }
            _ => Ok(false),
        }
    }

    async fn has_sleeping_tenants(&self, found: &Definition) -> Result<bool> {
        Ok(found.has_tenants()? && {
            let tenants = self.client.tenants(&self.name).await?;
            tenants
                .iter()
                .any(|tenant| tenant.status != TenantStatus::Hot)
        })
    }

    async fn is_empty(&self, found: &Definition) -> Result<bool> {
        let tenants = match found.has_tenants()? {
            true => active(&self.client.tenants(&self.name).await?),
            false => vec![Tenant::NONE],
        };
        Ok(self.client.count_in(&self.name, &tenants).await? == 0)
    }

    pub(super) fn shape(&self, kept: &Kept, found: &Definition) -> Result<Shape> {
        if definitions_match(&kept.definition, found)?.is_empty() {
            return Ok(Shape::Equal);
        }
        let creatable = creatable(&kept.definition)?;
        let half = Definition::parse(creatable.create.to_string())?;
        let is_half =
            creatable.then_update.is_some() && definitions_match(&half, found)?.is_empty();
        Ok(if is_half { Shape::Half } else { Shape::Other })
    }
}
