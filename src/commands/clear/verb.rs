//! The stages of a clear, and its two ends.

use super::*;

pub(super) struct Clear<'a> {
    pub(super) session: &'a Session,
    pub(super) request: ClearRequest,
    pub(super) folder: Arc<JobFolder>,
    pub(super) state: State,
    pub(super) client: Arc<Client>,
    /// Of the server.
    pub(super) version: String,
    pub(super) method: ClearMethod,
    pub(super) chosen: Vec<Tenant>,
    /// True if some tenants are inactive.
    pub(super) has_sleepers: bool,
    /// How ids are read.
    pub(super) read_plan: ReadPlan,
    /// How many objects each tenant held when this run began.
    pub(super) counts: Vec<(Tenant, u64)>,
    pub(super) remake: Remake,
}

impl Clear<'_> {
    /// Asked for, or because the proof failed.
    fn is_by_id(&self, job: &Job) -> bool {
        let is_asked_for = self.method == ClearMethod::ById || job.facts.contains_key(UNPROVEN);
        is_asked_for && !self.request.delete_schema
    }

    fn says(&self, doing: &str) {
        self.session.reporter.event(&Event::Stage { doing });
    }

    async fn prepare_drop(&self, number: u32) -> Result<Option<Facts>> {
        match number {
            0 => {
                self.says("delete the collection");
                self.remake.drop_for_good().await?;
                Ok(Some(Facts::new()))
            }
            _ => Ok(None),
        }
    }

    async fn prepare_recreate(&self, number: u32, job: &Job) -> Result<Option<Facts>> {
        match number {
            0 => {
                self.says("prove with a scratch collection that the definition comes back equal");
                let proven = Facts::from([(PROVEN.into(), self.version.clone())]);
                match self.remake.prove().await {
                    Ok(()) => Ok(Some(proven)),
                    Err(error) => self.without_proof(error).map(Some),
                }
            }
            1 if !self.is_by_id(job) => {
                self.says("delete the collection and create it again");
                let is_proven = job.facts.get(PROVEN) == Some(&self.version);
                self.remake.recreate(is_proven).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Objects are deleted by id instead, unless it was asked for otherwise or some could not be reached.
    fn without_proof(&self, error: Error) -> Result<Facts> {
        let is_about_the_definition = match error.kind() {
            Kind::Incompatible | Kind::TargetRefused => true,
            // A key for this collection alone may not make another one.
            Kind::Unauthorised if error.reaction() == Reaction::Forbidden => {
                !self.remake.owes_scratch()?
            }
            _ => false,
        };
        if error.is_transient()
            || !is_about_the_definition
            || self.request.method != ClearMethod::Auto
            || self.has_sleepers
        {
            return Err(error);
        }
        self.session
            .warn(&format!("{error}; its objects are deleted by id"));
        Ok(Facts::from([(UNPROVEN.into(), error.message().to_owned())]))
    }

    fn source(&self, job: &Job, plan: ReadPlan) -> CollectionSource {
        let tenants = match self.is_by_id(job) {
            true => self.chosen.clone(),
            false => Vec::new(),
        };
        let name = self.request.collection.clone();
        CollectionSource::new(self.client.clone(), name, tenants, plan)
    }

    /// What is there after all: created since the job began, or impossible to delete.
    async fn take_stock(&self, job: &Job) -> Result<Facts> {
        let name = &self.request.collection;
        if self.request.delete_schema {
            return match self.client.collection(name).await? {
                Collection::Missing => Ok(Facts::new()),
                _ => Err(self.remake.somebody_elses()),
            };
        }
        // A count lacks what lies on a node that is away, which the look at the shards tells.
        if self.is_by_id(job) && !self.remake.has_the_old_shards().await? {
            return Err(another_life(&self.request, &self.state));
        }
        degraded::keep(self.session, &self.client, &self.folder)?;
        let left = self.client.count_in(name, &self.live(job).await?).await?;
        let mut facts = Facts::from([
            ("stuck".into(), "0".into()),
            ("left".into(), left.to_string()),
        ]);
        if left > 0 && self.is_by_id(job) {
            let policy = self.session.context().policy;
            let began = began(&self.folder.state()?)?;
            // Over REST: gRPC, if it leads to a copy, shows what is left there.
            let source = self.source(job, ReadPlan::PropertiesOverRest);
            facts.extend(
                crate::commands::census::remains(&policy, &self.client, name, &source, began)
                    .await?,
            );
        }
        Ok(facts)
    }

    /// The tenants that are counted: those that were emptied, or all that are there after a creation.
    async fn live(&self, job: &Job) -> Result<Vec<Tenant>> {
        if self.is_by_id(job) || self.chosen == [Tenant::NONE] {
            return Ok(self.chosen.clone());
        }
        self.client
            .tenants(&self.request.collection)
            .await
            .map(|tenants| kept::active(&tenants))
    }
}

/// What is left in a collection that was emptied.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    all: u64,
    /// What cannot be deleted.
    stuck: u64,
}

impl Left {
    fn of(job: &Job) -> Result<Self> {
        Ok(Left {
            all: fact_number(job, "left")?,
            stuck: fact_number(job, "stuck")?,
        })
    }
}

impl Verb for Clear<'_> {
    type Source = IdSource;
    type Sink = CollectionEraser;

    async fn prepare(&self, number: u32, job: &Job) -> Result<Option<Facts>> {
        match (self.request.delete_schema, self.method == ClearMethod::ById) {
            (true, _) => self.prepare_drop(number).await,
            (false, false) => self.prepare_recreate(number, job).await,
            (false, true) => Ok(None),
        }
    }

    async fn ends(&self, job: &Job) -> Result<(IdSource, CollectionEraser)> {
        if self.is_by_id(job) && !self.remake.has_the_old_shards().await? {
            return Err(another_life(&self.request, &self.state));
        }
        degraded::keep(self.session, &self.client, &self.folder)?;
        let eraser = CollectionEraser::new(self.client.clone(), self.request.collection.clone());
        let source = self.source(job, self.read_plan);
        let source = source.counted(self.counts.iter().cloned());
        Ok((IdSource::new(source), eraser))
    }

    async fn finish(&self, number: u32, job: &Job) -> Result<Option<Facts>> {
        match number {
            0 => self.take_stock(job).await.map(Some),
            _ => Ok(None),
        }
    }

    fn summary(&self, job: &Job) -> Result<Summary> {
        let left = match self.request.delete_schema {
            true => Left::default(),
            false => Left::of(job)?,
        };
        let mut notes = Vec::new();
        let mut exit_code = 0;
        if left.stuck > 0 {
            notes.push(format!("{} objects cannot be deleted", grouped(left.stuck)));
            exit_code = 3;
        }
        if left.all > left.stuck {
            notes.push(format!(
                "{} objects were created since the job began and are left",
                grouped(left.all - left.stuck)
            ));
            exit_code = 3;
        }
        if let Some(first) = job.facts.get("differs") {
            notes.push(format!(
                "the definition reads back otherwise than it was: {first}"
            ));
            exit_code = 3;
        }
        exit_code = exit_code.max(degraded::note(&self.folder, &mut notes)?);
        let mut tally = job.tally;
        if !self.is_by_id(job) {
            tally.accepted = self.state.total.unwrap_or(0);
        }
        Ok(Summary {
            exit_code,
            tally,
            notes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::facts::tests::none_may_lack;

    #[test]
    fn what_is_left_and_not_known_is_not_nothing() {
        none_may_lack(&[("left", "3"), ("stuck", "1")], Left::of);
    }
}
