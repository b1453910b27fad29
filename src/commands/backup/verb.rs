//! The stages of a backup, and its two ends.

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

    /// Archives of a destination are told apart by the second in which they began: where one has that name already,
    /// the beginning is moved on.
    fn new_draft(&self) -> Result<(Draft, Timestamp)> {
        let state = self.folder.state()?;
        let mut started = state.started_at()?;
        loop {
            let (format, codec) = (self.request.format, self.request.codec);
            let draft = Draft::new(self.storage.clone(), self.header(started)?, format, codec);
            // An earlier try has chosen, and may have made it.
            if state.extra.contains_key("archive") || !draft.is_taken()? {
                return Ok((draft, started));
            }
            started += jiff::SignedDuration::from_secs(1);
        }
    }

    fn header(&self, started: Timestamp) -> Result<Header> {
        let text = self.folder.definition()?.ok_or_else(|| {
            Error::new(
                Kind::JournalDamaged,
                "the job has lost the definition it began with",
            )
            .with_hint("begin anew with --restart")
        })?;
        let contents = if self.request.with_data {
            Contents::Full
        } else {
            Contents::SchemaOnly
        };
        let mut header = Header::new(Definition::parse(text)?, contents, started)?;
        header.weaviate_version = self.state.extra.get("version").cloned().unwrap_or_default();
        header.batch_size = self.state.spec.tuning.batch_size.unwrap_or(0);
        if !self.request.with_data {
            header.object_count = self.seen.count;
        }
        header.options.tenants = self.request.tenants.clone();
        header.options.skipped_tenants = self.seen.skipped.clone();
        header.options.vectors = self.request.with_vectors;
        header.options.group = self
            .request
            .group
            .iter()
            .map(CollectionName::to_string)
            .collect();
        header.options.job = self.state.job.to_string();
        header.options.incarnation = self.state.incarnation.clone().unwrap_or_default();
        Ok(header)
    }

    fn draft(&self, job: &Job) -> Result<Draft> {
        Draft::resume(
            self.storage.clone(),
            fact(job, "archive")?,
            fact(job, "header")?,
        )
    }

    fn begin_archive(&self) -> Result<Facts> {
        let (draft, started) = self.new_draft()?;
        // Written before the file is made, so that whoever gives the job up finds it.
        self.folder.update_state(|state| {
            state.started = started.to_string();
            state
                .extra
                .insert("archive".into(), draft.name().to_owned());
            state.archives = vec![draft.path().display().to_string()];
        })?;
        self.lease.names(draft.name())?;
        draft.create(self.sink_options())?;
        Ok(Facts::from([
            ("archive".into(), draft.name().to_owned()),
            ("header".into(), draft.header_hash()),
            (
                "expected".into(),
                self.state.total.unwrap_or(self.seen.count).to_string(),
            ),
        ]))
    }

    fn sink_options(&self) -> SinkOptions {
        SinkOptions::default()
    }

    /// The tenants that are read without being woken.
    fn awake(&self) -> impl Iterator<Item = &Tenant> {
        let is_awake = |tenant: &&Tenant| !self.seen.asleep.contains(*tenant);
        self.seen.chosen.iter().filter(is_awake)
    }

    /// The collection as it is read, inactive tenants woken for as long as that takes.
    fn source(&self, tenants: Vec<Tenant>, plan: ReadPlan, counts: &[(Tenant, u64)]) -> Waking {
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

    /// What the server says when everything is read: the count, and the definition if it changed.
    async fn look_again(&self) -> Result<Facts> {
        let name = &self.request.collection;
        let found = target::find(self.session, &self.client, name).await?;
        let now = Incarnation::of(&self.client, name, &found.definition).await?;
        let source = self.seen.filled_source(&self.client, name);
        let policy = self.session.context().policy;
        if !is_same_life(&policy, &self.state, &self.client, &now, &source).await? {
            return Err(Error::new(
                Kind::SourceRefused,
                format!("collection `{name}` was deleted and created again while it was read"),
            )
            .with_hint("begin anew with --restart"));
        }
        let awake: Vec<Tenant> = self.awake().cloned().collect();
        let count = self.client.count_in(name, &awake).await?;
        let state = self.folder.state()?;
        let uncounted = state.extra.get(UNCOUNTED).cloned().unwrap_or("0".into());
        let mut facts = Facts::from([
            ("after".into(), count.to_string()),
            ("uncounted".into(), uncounted),
        ]);
        if !definitions_match(
            &Definition::parse(self.folder.definition()?.unwrap_or_default())?,
            &found.definition,
        )?
        .is_empty()
        {
            facts.insert(
                "definition at end".into(),
                found.definition.text().to_owned(),
            );
        }
        match self.client.aliases(name).await {
            Ok(aliases) => {
                facts.insert("aliases".into(), serde_json::json!(aliases).to_string());
            }
            Err(error) if error.is_transient() => return Err(error),
            // A key may not be allowed to list them.
            Err(error) => self
                .session
                .warn(&format!("the aliases are not in the archive: {error}")),
        }
        Ok(facts)
    }

    fn ending(&self, job: &Job) -> Result<Ending> {
        let definition = job
            .facts
            .get("definition at end")
            .map(|text| Definition::parse(text.clone()))
            .transpose()?;
        let aliases = job
            .facts
            .get("aliases")
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        Ok(Ending {
            finished: Timestamp::now(),
            resumed: self.resumed,
            tenants: self.seen.tenants.iter().map(archived).collect(),
            aliases,
            definition_at_end: definition,
            notes: notes(job),
        })
    }

    fn seal(&self, job: &Job) -> Result<Facts> {
        let sealed = self.draft(job)?.seal(
            &receipts(job),
            &self.ending(job)?,
            self.sink_options().with_digest,
        )?;
        Ok(Facts::from([
            ("seal".into(), sealed.seal),
            ("bytes".into(), sealed.bytes.to_string()),
        ]))
    }

    fn publish(&self, job: &Job) -> Result<Facts> {
        let path = self.draft(job)?.publish()?;
        self.folder.update_state(|state| {
            state.extra.insert(PUBLISHED.into(), "yes".into());
        })?;
        Ok(Facts::from([("path".into(), path.display().to_string())]))
    }

    pub(super) fn started_on_server(&self) -> Result<i64> {
        match self
            .state
            .extra
            .get("server time")
            .and_then(|time| time.parse().ok())
        {
            Some(time) => Ok(time),
            None => Ok(self.state.started_at()?.as_millisecond()),
        }
    }

    /// A live id that is missing in the archive and is older than the backup is a loss; everything else came or went
    /// while the backup ran.
    async fn account(&self, job: &Job) -> Result<Facts> {
        let counts = [
            job.tally.accepted + job.tally.rejected - self.woken_objects(job),
            fact_number(job, "expected").unwrap_or(0),
            fact_number(job, "after").unwrap_or(0),
        ];
        let is_counted = fact_number(job, "uncounted") == Some(0);
        let is_complete = is_counted && counts.iter().all(|count| *count == counts[0]);
        if !self.request.with_data || is_complete {
            return Ok(Facts::new());
        }
        self.session.reporter.event(&Event::Stage {
            doing: "compare ids, because the collection changed while it was read",
        });
        let archive = self.draft(job)?.sealed()?;
        // As it is counted: what was read is not its own witness.
        let source = self.source(self.seen.chosen.clone(), ReadPlan::PropertiesOverRest, &[]);
        let rejects = census::read_rejected(&self.folder)?;
        let policy = self.session.context().policy;
        let started = self.started_on_server()?;
        let census = census::compare(&policy, &source, &archive, &rejects, started).await?;
        Ok(census.facts())
    }

    /// Objects of tenants that were woken: those were counted while they were awake.
    fn woken_objects(&self, job: &Job) -> u64 {
        let receipts = receipts(job).into_iter();
        let tallies = receipts.flat_map(|receipt| &receipt.tenants);
        tallies
            .filter(|tally| self.seen.asleep.contains(&tally.tenant))
            .map(|tally| tally.count)
            .sum()
    }

    /// What belongs to the collection and cannot be in the archive.
    fn offloaded(&self) -> Option<String> {
        let names = &self.seen.offloaded;
        (self.request.with_data && !names.is_empty()).then(|| {
            format!(
                "{} offloaded tenants cannot be read and are not in the archive: {}",
                names.len(),
                names.join(", ")
            )
        })
    }
}

fn archived(tenant: &TenantState) -> crate::archive::TenantState {
    let status = serde_json::json!(tenant.status)
        .as_str()
        .unwrap_or_default()
        .to_owned();
    crate::archive::TenantState {
        name: tenant.name.clone(),
        status,
    }
}

fn receipts(job: &Job) -> Vec<&Receipt> {
    job.receipts_in_order()
}

fn notes(job: &Job) -> Vec<String> {
    let number = |name: &str| fact_number(job, name).unwrap_or(0);
    let mut notes = Vec::new();
    if job.tally.rejected > 0 {
        notes.push(format!(
            "{} objects could not be read; they are named in rejects.jsonl",
            grouped(job.tally.rejected)
        ));
    }
    if number("lost") > 0 {
        notes.push(format!(
            "{} objects older than the backup are not in the archive",
            grouped(number("lost"))
        ));
    }
    if number("added") > 0 {
        notes.push(format!(
            "{} objects were added while the backup ran and are not in the archive",
            grouped(number("added"))
        ));
    }
    if number("removed") > 0 {
        notes.push(format!(
            "{} objects were deleted while the backup ran and are in the archive",
            grouped(number("removed"))
        ));
    }
    if job.facts.contains_key("definition at end") {
        notes.push(
            "the definition changed while the backup ran; both are in the archive".to_owned(),
        );
    }
    notes
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
            1 => self.seal(job).map(Some),
            2 => self.account(job).await.map(Some),
            // Again, with what the comparison found.
            3 => self.seal(job).map(Some),
            4 => self.publish(job).map(Some),
            5 if verification::is_wanted(&self.folder.state()?) => self.verify(job).await.map(Some),
            _ => Ok(None),
        }
    }

    fn summary(&self, job: &Job) -> Summary {
        let mut notes = notes(job);
        if !self.seen.skipped.is_empty() {
            notes.push(format!(
                "{} inactive tenants were left out",
                self.seen.skipped.len()
            ));
        }
        let offloaded = self.offloaded();
        let is_whole = job.tally.rejected == 0 && offloaded.is_none();
        notes.extend(offloaded);
        let exit_code = match (fact_number(job, "lost").unwrap_or(0), is_whole) {
            (0, true) => 0,
            (0, false) => 3,
            _ => 13,
        };
        let found = verification::tell(job, &mut notes);
        Summary {
            // 13 is the largest that a summary can have.
            exit_code: exit_code.max(found),
            tally: job.tally,
            notes,
        }
    }
}
