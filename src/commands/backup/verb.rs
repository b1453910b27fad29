//! The stages of a backup, and its two ends.

use super::account::{notes, unlisted};
use super::*;

pub(super) struct Backup<'a> {
    pub(super) session: &'a Session,
    pub(super) request: BackupRequest,
    pub(super) client: Arc<Client>,
    pub(super) seen: Seen,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) lease: Lease,
    pub(super) folder: Arc<JobFolder>,
    pub(super) state: State,
    pub(super) resumed: u32,
}

impl Backup<'_> {
    /// The report, and what could not be read, where whoever finds the archive finds them; hidden, so that a pattern for
    /// archives does not match them.
    pub(super) fn put_papers_beside(&self) -> Result<()> {
        let name = archive_name(&self.folder)?;
        if let Some(report) = self.folder.report()? {
            let key = format!(".{name}.report.json");
            self.storage.put(&key, report.as_bytes())?;
        }
        let path = self.folder.path().join("rejects.jsonl");
        let rejects = std::fs::read(&path).doing(|| format!("cannot read `{}`", path.display()))?;
        if rejects.is_empty() {
            return Ok(());
        }
        self.storage
            .put(&format!(".{name}.rejects.jsonl"), &rejects)
    }

    /// The tenants that are read without being woken.
    pub(super) fn awake(&self) -> impl Iterator<Item = &Tenant> {
        let is_awake = |tenant: &&Tenant| !self.seen.asleep.contains(*tenant);
        self.seen.chosen.iter().filter(is_awake)
    }

    /// The collection as it is read, inactive tenants woken for as long as that takes.
    pub(super) fn source(
        &self,
        tenants: Vec<Tenant>,
        plan: ReadPlan,
        counts: &[(Tenant, u64)],
    ) -> Waking {
        let name = self.request.collection.clone();
        let (client, asleep) = (self.client.clone(), &self.seen.asleep);
        let source = CollectionSource::new(client.clone(), name.clone(), tenants.clone(), plan)
            .counted(counts.iter().cloned());
        Waking::new(source, client, self.folder.clone(), name, &tenants, asleep)
    }

    /// Whatever came of the job, tenants that are still awake are put back. What cannot be done now stays owed, and is
    /// done by the next run, or by `jobs cancel`.
    pub(super) async fn put_tenants_back(&self, outcome: &Result<Summary>) -> Result<()> {
        let put_back = owed::settle(self.session, &self.folder, &self.client).await;
        match (put_back, outcome) {
            (Err(error), Err(_)) => {
                self.session.warn(&format!(
                    "tenants that were woken are not inactive again: {error}"
                ));
                Ok(())
            }
            (put_back, _) => put_back,
        }
    }

    /// The rest of the report, for which the archive has to be looked at.
    pub(super) fn complete_report(&self, summary: &Summary) -> Result<()> {
        verification::complete_report(&self.folder)?;
        let name = archive_name(&self.folder)?;
        let archive = match Archive::open_in(self.storage.clone(), &name) {
            // That it cannot be opened is what was found.
            Err(_) if summary.exit_code == 13 => return Ok(()),
            archive => archive?,
        };
        let account = Account {
            archive: &archive,
            selection: &Selection::default(),
            left_out: summary.notes.clone(),
        };
        report::complete(&self.folder, &account)
    }
}

pub(super) fn receipts(job: &Job) -> Vec<&Receipt> {
    job.receipts_in_order()
}

impl Verb for Backup<'_> {
    type Source = Waking;
    type Sink = ArchiveSink;

    async fn prepare(&self, number: u32, _: &Job) -> Result<Option<Facts>> {
        match number {
            0 => self.begin_archive().map(Some),
            _ => Ok(None),
        }
    }

    async fn ends(&self, job: &Job) -> Result<(Waking, ArchiveSink)> {
        degraded::keep(self.session, &self.client, &self.folder)?;
        let tenants = if self.request.with_data {
            self.seen.chosen.clone()
        } else {
            Vec::new()
        };
        let source = self.source(tenants, self.seen.plan, &self.seen.counts);
        source.count_read(&receipts(job));
        let sink = self
            .draft(job)?
            .reopen(&receipts(job), self.sink_options())?;
        Ok((source, sink))
    }

    async fn finish(&self, number: u32, job: &Job) -> Result<Option<Facts>> {
        match number {
            0 => self.look_again().await.map(Some),
            1 => self.seal(job, None).map(Some),
            2 => self.account(job).await.map(Some),
            // Again, with what the comparison found.
            3 => self.seal(job, Some(Census::of(job)?)).map(Some),
            4 => self.publish(job).map(Some),
            5 if verification::is_wanted(&self.folder.state()?) => self.verify(job).await.map(Some),
            _ => Ok(None),
        }
    }

    fn summary(&self, job: &Job) -> Result<Summary> {
        let census = Census::of(job)?;
        let mut notes = notes(job, Some(census));
        if !self.seen.skipped.is_empty() {
            notes.push(format!(
                "{} inactive tenants were left out",
                self.seen.skipped.len()
            ));
        }
        let offloaded = self.offloaded();
        let is_whole = job.tally.rejected == 0 && offloaded.is_none() && unlisted(job).is_none();
        notes.extend(offloaded);
        let exit_code = match (census.lost, is_whole) {
            (0, true) => 0,
            (0, false) => 3,
            _ => 13,
        };
        let exit_code = exit_code.max(degraded::note(&self.folder, &mut notes)?);
        let is_due = verification::is_wanted(&self.folder.state()?);
        let found = verification::tell(job, is_due, &mut notes)?;
        Ok(Summary {
            // 13 is the largest that a summary can have.
            exit_code: exit_code.max(found),
            tally: job.tally,
            notes,
        })
    }
}
