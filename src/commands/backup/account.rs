//! What was read against what is there: nothing that is older than the backup may be missing.

use super::verb::{Backup, receipts};
use super::*;

/// A fact: why the aliases could not be listed.
const UNLISTED: &str = "aliases unlisted";

impl Backup<'_> {
    /// What the server says when everything is read: the count, and the definition if it changed.
    pub(super) async fn look_again(&self) -> Result<Facts> {
        let name = &self.request.collection;
        let found = target::find(self.session, &self.client, name).await?;
        let now = Incarnation::of(&self.client, name, &found.definition).await?;
        degraded::keep(self.session, &self.client, &self.folder)?;
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
                if !self.client.sees_aliases(name).await? {
                    let why = format!("the key lacks read_aliases for `{name}`");
                    facts.insert(UNLISTED.into(), why);
                }
            }
            Err(error) if error.is_transient() => return Err(error),
            // A key may not be allowed to list them.
            Err(error) => {
                facts.insert(UNLISTED.into(), error.to_string());
            }
        }
        Ok(facts)
    }

    pub(super) fn started_on_server(&self) -> Result<i64> {
        began(&self.state)
    }

    /// A live id that is missing in the archive and is older than the backup is a loss; everything else came or went
    /// while the backup ran.
    pub(super) async fn account(&self, job: &Job) -> Result<Facts> {
        let counts = [
            job.tally.accepted + job.tally.rejected - self.woken_objects(job),
            fact_number(job, "expected")?,
            fact_number(job, "after")?,
        ];
        let uncounted: u64 = fact_number(job, "uncounted")?;
        let is_complete = uncounted == 0 && counts.iter().all(|count| *count == counts[0]);
        if !self.request.with_data || is_complete {
            return Ok(Census::default().facts());
        }
        self.session.reporter.event(&Event::Stage {
            doing: "compare ids, because the collection changed while it was read",
        });
        let archive = self.draft(job)?.sealed()?;
        // Over REST: what was read over gRPC is not its own witness.
        let source = self.source(self.seen.chosen.clone(), ReadPlan::PropertiesOverRest, &[]);
        let rejects = census::read_rejected(&self.folder)?;
        let policy = self.session.context().policy;
        let started = self.started_on_server()?;
        let census = census::compare(&policy, &source, &archive, &rejects, started).await?;
        self.ask_for_another_reading(census.lost)?;
        Ok(census.facts())
    }

    /// What was out of sight for a while, as on a node that was away, is seen when it is read again. What is not seen then
    /// either, the archive says that it lacks.
    fn ask_for_another_reading(&self, lost: u64) -> Result<()> {
        if lost == 0 || self.state.extra.contains_key(READ_AGAIN) {
            return Ok(());
        }
        self.folder.update_state(|state| {
            state.extra.insert(LACKING.into(), lost.to_string());
        })?;
        Err(Error::new(
            Kind::Exhausted,
            format!(
                "{} objects older than the backup were out of sight while it was read",
                grouped(lost)
            ),
        )
        .with_kept("no archive was made")
        .with_hint("run it again with --resume: everything is read anew"))
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
    pub(super) fn offloaded(&self) -> Option<String> {
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

/// Why the aliases are not in the archive, if they are not.
pub(super) fn unlisted(job: &Job) -> Option<String> {
    let why = job.facts.get(UNLISTED)?;
    Some(format!("the aliases are not in the archive: {why}"))
}

/// Sentences for the archive and the report. Before there was a `census` nothing is known of what came and went.
pub(super) fn notes(job: &Job, census: Option<Census>) -> Vec<String> {
    let census = census.unwrap_or_default();
    let mut notes = Vec::new();
    if job.tally.rejected > 0 {
        notes.push(format!(
            "{} objects could not be read; they are named in rejects.jsonl",
            grouped(job.tally.rejected)
        ));
    }
    if census.lost > 0 {
        notes.push(format!(
            "{} objects older than the backup are not in the archive",
            grouped(census.lost)
        ));
    }
    if census.added > 0 {
        notes.push(format!(
            "{} objects were added while the backup ran and are not in the archive",
            grouped(census.added)
        ));
    }
    if census.removed > 0 {
        notes.push(format!(
            "{} objects were deleted while the backup ran and are in the archive",
            grouped(census.removed)
        ));
    }
    notes.extend(unlisted(job));
    if job.facts.contains_key("definition at end") {
        notes.push(
            "the definition changed while the backup ran; both are in the archive".to_owned(),
        );
    }
    notes
}
