//! The stages of a restore, and its two ends.

use super::part::{ALIASES_LACKING, ALIASES_SINCE, ALIASES_TAKEN, selected};
use super::survey::Survey;
use super::*;
use crate::commands::diff::Comparison;
use crate::model::Key;

/// So many batches of earlier runs are looked for.
const WITNESSES: usize = 16;

pub(super) struct Restore<'a> {
    pub(super) session: &'a Session,
    pub(super) request: RestoreRequest,
    pub(super) folder: Arc<JobFolder>,
    pub(super) archive: Arc<Archive>,
    pub(super) client: Arc<Client>,
    pub(super) name: CollectionName,
    pub(super) version: (u32, u32),
    /// As it is to be, under the name that it gets.
    pub(super) definition: Definition,
    /// What the archive was found to hold, once it was read.
    pub(super) survey: OnceCell<Survey>,
}

impl Restore<'_> {
    pub(super) async fn count_all(&self, definition: &Definition) -> Result<u64> {
        let count = self.count(definition).await;
        target::tell_of_listing(self.session, &self.client);
        count
    }

    async fn count(&self, definition: &Definition) -> Result<u64> {
        if !definition.has_tenants()? {
            // A count lacks what lies on a node that is away, which the look at the shards tells.
            Incarnation::of(&self.client, &self.name, definition).await?;
            return self.client.count(&self.name, &Tenant::NONE).await;
        }
        let tenants = self.client.tenants(&self.name).await?;
        let active: Vec<Tenant> = tenants
            .iter()
            .filter(|tenant| tenant.status == TenantStatus::Hot)
            .map(|tenant| Tenant::named(&tenant.name))
            .collect();
        self.client.count_in(&self.name, &active).await
    }

    /// Before anything is sent over gRPC, it is compared with REST in a tenant that can be read.
    async fn confirm_grpc(&self) -> Result<()> {
        let tenant = match self.definition.has_tenants()? {
            true => {
                let tenants = self.client.tenants(&self.name).await?;
                super::super::kept::active(&tenants).into_iter().next()
            }
            false => Some(Tenant::NONE),
        };
        match tenant {
            Some(tenant) => {
                target::confirm_grpc(self.session, &self.client, &self.name, &tenant).await
            }
            None => Ok(()),
        }
    }

    fn sink(&self, job: &Job) -> Result<CollectionSink> {
        let definition = Definition::parse(fact(job, "definition")?.to_owned())?;
        let incarnation = Incarnation::from_text(fact(job, "incarnation")?);
        CollectionSink::new(self.client.clone(), definition, incarnation)
    }

    /// Where shards say nothing, something that an earlier run wrote must be there: another collection of the same
    /// definition would be filled with the rest.
    async fn check_same_life(&self, job: &Job) -> Result<()> {
        if !Incarnation::from_text(fact(job, "incarnation")?)
            .shards
            .is_empty()
        {
            return Ok(());
        }
        let keys = written(job);
        if keys.is_empty() {
            return Ok(());
        }
        for key in &keys {
            if self.client.has_object(&self.name, key).await? {
                return Ok(());
            }
        }
        Err(Error::new(
            Kind::Mismatch,
            format!("collection `{}` is not the one that job {} wrote into: nothing of what was restored is in it", self.name, self.folder.id()),
        )
        .with_hint("restore under another name, or pass --restart to begin anew"))
    }

    /// The last look: still the same collection, and as many objects as were accepted.
    async fn take_stock(&self, job: &Job) -> Result<Facts> {
        self.sink(job)?.check_incarnation().await?;
        degraded::keep(self.session, &self.client, &self.folder)?;
        let after = self.count_all(&self.definition).await?;
        self.folder.update_state(|state| {
            state.extra.insert("count".into(), after.to_string());
        })?;
        Ok(Facts::from([("after".into(), after.to_string())]))
    }

    /// True if some run has asked for the comparison.
    fn is_to_be_verified(&self) -> Result<bool> {
        Ok(verification::is_wanted(&self.folder.state()?) && !self.request.skip_data)
    }

    fn is_verification_due(&self, job: &Job) -> Result<bool> {
        Ok(self.is_to_be_verified()? && !verification::is_made(job))
    }

    async fn verify(&self, job: &Job) -> Result<Facts> {
        if !self.is_verification_due(job)? {
            return Ok(Facts::new());
        }
        let comparison = self.compare();
        let made = verification::make(self.session, &self.folder, comparison).await;
        made.map_err(|error| error.within("the collection was not compared with the archive"))
    }

    async fn compare(&self) -> Result<Comparison> {
        let rejected = census::read_rejected(&self.folder)?;
        let archive = Archive::clone(&self.archive);
        let (connection, merged) = (&self.request.connection, self.request.merge);
        let (session, name) = (self.session, &self.name);
        diff::verify_restore(session, archive, connection, name, rejected, merged)
            .await
            .map_err(|error| match error.kind() {
                // There it is a source, here it is the target.
                Kind::SourceRefused => error.with_kind(Kind::TargetRefused),
                _ => error,
            })
    }

    /// States of tenants, automation flags and aliases, now that the data are there.
    async fn settle(&self, job: &Job) -> Result<Facts> {
        let mut facts = Facts::from(
            [ALIASES_TAKEN, ALIASES_LACKING].map(|name| (name.to_owned(), String::new())),
        );
        let mut asleep = self.tenants(job)?;
        asleep.retain(|tenant| tenant.status == TenantStatus::Cold);
        self.client.set_tenants(&self.name, &asleep).await?;
        owed::settle(self.session, &self.folder, &self.client).await?;
        if self.request.name.is_none() && self.version < ALIASES_SINCE {
            facts.insert(ALIASES_LACKING.into(), self.archive.aliases().join(", "));
        } else if self.request.name.is_none() {
            let taken = self.make_aliases().await?.join(", ");
            facts.insert(ALIASES_TAKEN.into(), taken);
        }
        Ok(facts)
    }

    async fn make_aliases(&self) -> Result<Vec<String>> {
        let mut taken = Vec::new();
        for alias in self.archive.aliases() {
            if !self.client.make_alias(alias, &self.name).await? {
                taken.push(alias.clone());
            }
        }
        Ok(taken)
    }
}

/// The first objects of some batches of which nothing was refused.
fn written(job: &Job) -> Vec<Key> {
    let receipts = job.receipts_in_order().into_iter();
    let whole = receipts.filter(|receipt| receipt.count > 0 && receipt.rejected == 0);
    let first = whole.filter_map(|receipt| Some(receipt.span.as_ref()?.0.clone()));
    first.take(WITNESSES).collect()
}

/// What was counted.
struct Stock {
    /// In the collection before anything was written.
    before: u64,
    /// In the collection at the end.
    after: u64,
    /// In the part of the archive that is restored.
    expected: u64,
}

impl Stock {
    fn of(job: &Job) -> Result<Self> {
        Ok(Stock {
            before: fact_number(job, "before")?,
            after: fact_number(job, "after")?,
            expected: fact_number(job, "expected")?,
        })
    }
}

impl Verb for Restore<'_> {
    type Source = ArchiveSource;
    type Sink = CollectionSink;

    async fn prepare(&self, number: u32, job: &Job) -> Result<Option<Facts>> {
        match number {
            0 => self.make_collection().await.map(Some),
            1 => self.make_tenants(job).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn ends(&self, job: &Job) -> Result<(ArchiveSource, CollectionSink)> {
        self.check_same_life(job).await?;
        if self.request.merge
            && let Collection::Found(found) = self.client.collection(&self.name).await?
        {
            // An earlier run may have ended by putting them back.
            self.pin_automation(&found).await?;
        }
        let incarnation = fact(job, "incarnation")?.to_owned();
        self.folder.update_state(|state| {
            state.extra.insert("incarnation".into(), incarnation);
        })?;
        let source = match self.request.skip_data
            || self.archive.header().contents == Contents::SchemaOnly
        {
            true => self.archive.source().without_objects(),
            false => self.archive.source(),
        };
        self.confirm_grpc().await?;
        Ok((source.only(selected(job)?), self.sink(job)?))
    }

    async fn finish(&self, number: u32, job: &Job) -> Result<Option<Facts>> {
        match number {
            0 => self.take_stock(job).await.map(Some),
            // While every tenant is awake.
            1 => self.verify(job).await.map(Some),
            2 => self.settle(job).await.map(Some),
            3 => {
                // From here on the collection is the user's; a restart must not remove it.
                for owed in self.folder.obligations()? {
                    self.folder.discharge(&owed)?;
                }
                Ok(Some(Facts::new()))
            }
            // A run that came later may have been the first to ask.
            _ if self.is_verification_due(job)? => self.verify(job).await.map(Some),
            _ => Ok(None),
        }
    }

    fn summary(&self, job: &Job) -> Result<Summary> {
        let (accepted, rejected) = (job.tally.accepted, job.tally.rejected);
        let Stock {
            before,
            after,
            expected,
        } = Stock::of(job)?;
        let mut notes = Vec::new();
        if rejected > 0 {
            notes.push(format!(
                "{} objects were refused; rejects.jsonl names each with its reason",
                grouped(rejected)
            ));
        }
        let mut exit_code = if rejected > 0 { 3 } else { 0 };
        if accepted + rejected != expected {
            notes.push(format!(
                "{} objects are accounted for, the archive holds {}",
                grouped(accepted + rejected),
                grouped(expected)
            ));
            exit_code = 13;
        }
        // Into a collection that held objects nothing can be said from counts but that they may not shrink.
        let least = if before == 0 {
            accepted
        } else {
            before.max(accepted)
        };
        if after < least {
            notes.push(format!(
                "the collection counts {} objects, at least {} were expected",
                grouped(after),
                grouped(least)
            ));
            exit_code = 13;
        } else if before == 0 && after > accepted + rejected {
            notes.push(format!("the collection counts {} objects more than were restored: somebody else writes to it", grouped(after - accepted - rejected)));
            exit_code = exit_code.max(3);
        } else if before == 0 && after > accepted {
            notes.push(format!(
                "{} of the refused objects are in the collection all the same",
                grouped(after - accepted)
            ));
        }
        notes.extend(self.remarks());
        for left_out in self.left_out(job)? {
            notes.push(left_out);
            exit_code = exit_code.max(3);
        }
        exit_code = exit_code.max(degraded::note(&self.folder, &mut notes)?);
        // 13 is the largest that a summary can have.
        let is_due = self.is_to_be_verified()?;
        exit_code = exit_code.max(verification::tell(job, is_due, &mut notes)?);
        Ok(Summary {
            exit_code,
            tally: job.tally,
            notes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::facts::tests::none_may_lack;

    #[test]
    fn what_was_counted_and_is_lost_is_not_zero() {
        let facts = [("before", "0"), ("after", "4"), ("expected", "4")];
        none_may_lack(&facts, Stock::of);
    }
}
