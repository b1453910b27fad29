//! The archive of a backup from the choice of its name until it has it.

use super::account::notes;
use super::verb::{Backup, receipts};
use super::*;

impl Backup<'_> {
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

    pub(super) fn draft(&self, job: &Job) -> Result<Draft> {
        Draft::resume(
            self.storage.clone(),
            fact(job, "archive")?,
            fact(job, "header")?,
        )
    }

    pub(super) fn begin_archive(&self) -> Result<Facts> {
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

    pub(super) fn sink_options(&self) -> SinkOptions {
        SinkOptions::default()
    }

    fn ending(&self, job: &Job, census: Option<Census>) -> Result<Ending> {
        let definition = job
            .facts
            .get("definition at end")
            .map(|text| Definition::parse(text.clone()))
            .transpose()?;
        Ok(Ending {
            finished: Timestamp::now(),
            resumed: self.resumed,
            tenants: self.seen.tenants.iter().map(archived).collect(),
            aliases: aliases(job)?,
            definition_at_end: definition,
            notes: notes(job, census),
            lost: census.map_or(0, |census| census.lost),
            is_edited: false,
        })
    }

    pub(super) fn seal(&self, job: &Job, census: Option<Census>) -> Result<Facts> {
        let sealed = self.draft(job)?.seal(
            &receipts(job),
            &self.ending(job, census)?,
            self.sink_options().with_digest,
        )?;
        Ok(Facts::from([
            ("seal".into(), sealed.seal),
            ("bytes".into(), sealed.bytes.to_string()),
        ]))
    }

    pub(super) fn publish(&self, job: &Job) -> Result<Facts> {
        let path = self.draft(job)?.publish()?;
        self.folder.update_state(|state| {
            state.extra.insert(PUBLISHED.into(), "yes".into());
        })?;
        Ok(Facts::from([("path".into(), path.display().to_string())]))
    }
}

/// None if the key may not list them.
fn aliases(job: &Job) -> Result<Vec<String>> {
    let Some(text) = job.facts.get("aliases") else {
        return Ok(Vec::new());
    };
    serde_json::from_str(text).map_err(|cause| {
        Error::new(
            Kind::JournalDamaged,
            "the journal holds other aliases than were written",
        )
        .with_cause(cause)
    })
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
