//! `col backup`: a collection becomes an archive.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::census;
use super::session::{Claimed, Outcome, Session, Unfinished, fact, fact_number, grouped, resumed};
use super::target::{self, Found};
use crate::archive::{ArchiveSink, Contents, Draft, Ending, Format, Header, SinkOptions};
use crate::engine::{Facts, Verb};
use crate::error::{Error, IoContext, Kind, Result};
use crate::event::{Event, Plan};
use crate::format::Codec;
use crate::job::{Identity, Job, JobKind, Receipt, Spec, Summary};
use crate::journal::{JobFolder, State};
use crate::model::{CollectionName, Definition, Tenant};
use crate::storage::{Local, Storage};
use crate::weaviate::{
    Client, CollectionSource, Connection, Incarnation, Role, TenantState, TenantStatus,
    definitions_match,
};

/// What `col backup` was asked for, one collection.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// Where the collection is.
    pub connection: Connection,
    /// Its name.
    pub collection: CollectionName,
    /// The collections backed up together with it, itself included.
    pub group: Vec<CollectionName>,
    /// The folder that the archive goes into; created if missing.
    pub destination: PathBuf,
    /// The layout.
    pub format: Format,
    /// The compression.
    pub codec: Codec,
    /// False for the definition alone.
    pub with_data: bool,
    /// False to leave vectors out.
    pub with_vectors: bool,
    /// The chosen tenants; empty is all.
    pub tenants: Vec<String>,
    /// Leave inactive tenants out instead of refusing.
    pub skip_inactive: bool,
}

/// Backs up one collection. The archive's path is in the outcome; nothing is there under that name before it is whole.
pub async fn backup(session: &Session, request: &BackupRequest) -> Result<Outcome> {
    backup_into(session, request, Arc::new(Local::at(&request.destination))).await
}

/// [`backup`] by way of `storage`, whose root is the destination of the request.
pub async fn backup_into(
    session: &Session,
    request: &BackupRequest,
    storage: Arc<dyn Storage>,
) -> Result<Outcome> {
    let client = Arc::new(Client::new(&request.connection, Role::Source)?);
    let found = target::find(session, &client, &request.collection).await?;
    let seen = Seen::look(session, &client, &found, request).await?;
    let identity = identity(request)?;
    session.show_plan(&plan(request, &client, &found, &seen));
    if session.is_dry_run {
        return Ok(Outcome::default());
    }
    check_destination(request)?;
    let claimed = claim(session, request, identity, &client, &found, &seen)?;
    let verb = Backup {
        storage,
        folder: claimed.folder.clone(),
        state: claimed.state.clone(),
        resumed: resumed(&claimed.state),
        request: request.clone(),
        client,
        seen,
        session,
    };
    let outcome = session
        .run(&verb, claimed, request.collection.as_str())
        .await;
    if outcome.is_ok() {
        verb.put_papers_beside()?;
    }
    let folder = verb.folder.clone();
    drop(verb);
    let summary = match outcome {
        Ok(summary) => summary,
        Err(error) => return Err(session.forget_refused(folder, error)),
    };
    let path = folder.state()?.archives.first().map(PathBuf::from);
    Ok(Outcome {
        exit_code: summary.exit_code,
        tally: summary.tally,
        notes: summary.notes,
        archive: path,
    })
}

/// Nothing is begun that could not be written; a full file system is left for a resume.
fn check_destination(request: &BackupRequest) -> Result<()> {
    let checked = Local::at(&request.destination).check_writable();
    checked.map_err(|error| match error.kind() {
        Kind::Exhausted => error,
        _ => error
            .with_kind(Kind::TargetRefused)
            .within("archives cannot be written")
            .with_kept("nothing was begun")
            .with_hint("choose another folder with --output"),
    })
}

/// What was seen of the collection before anything was touched.
struct Seen {
    incarnation: Incarnation,
    /// Every tenant of the collection.
    tenants: Vec<TenantState>,
    /// Those that are read.
    chosen: Vec<Tenant>,
    skipped: Vec<String>,
    count: u64,
    /// In Unix milliseconds, by the server's clock.
    server_time: Option<i64>,
}

impl Seen {
    async fn look(
        session: &Session,
        client: &Client,
        found: &Found,
        request: &BackupRequest,
    ) -> Result<Self> {
        let policy = session.context().policy;
        let name = &request.collection;
        let incarnation = policy
            .run("look at the collection", || {
                Incarnation::of(client, name, &found.definition)
            })
            .await?;
        let tenants = match found.definition.has_tenants()? {
            true => policy.run("list tenants", || client.tenants(name)).await?,
            false => Vec::new(),
        };
        let (chosen, skipped) = choose(&tenants, found, request)?;
        let mut count = 0;
        for tenant in &chosen {
            count += policy
                .run("count objects", || client.count(name, tenant))
                .await?;
        }
        let server_time = policy
            .run("ask for the server's time", || client.server_time())
            .await?;
        Ok(Seen {
            incarnation,
            tenants,
            chosen,
            skipped,
            count,
            server_time,
        })
    }
}

/// The tenants to read and those left out. Reading an inactive tenant would fail, or wake it for good.
fn choose(
    tenants: &[TenantState],
    found: &Found,
    request: &BackupRequest,
) -> Result<(Vec<Tenant>, Vec<String>)> {
    if !found.definition.has_tenants()? {
        return match request.tenants.first() {
            None => Ok((vec![Tenant::NONE], Vec::new())),
            Some(_) => Err(Error::new(
                Kind::Usage,
                format!(
                    "collection `{}` has no tenants to choose from",
                    request.collection
                ),
            )),
        };
    }
    for name in &request.tenants {
        if !tenants.iter().any(|tenant| tenant.name == *name) {
            return Err(Error::new(
                Kind::NotFound,
                format!("collection `{}` has no tenant `{name}`", request.collection),
            ));
        }
    }
    let is_chosen = |tenant: &&TenantState| {
        request.tenants.is_empty() || request.tenants.contains(&tenant.name)
    };
    let (active, inactive): (Vec<&TenantState>, Vec<&TenantState>) = tenants
        .iter()
        .filter(is_chosen)
        .partition(|tenant| tenant.status == TenantStatus::Hot);
    if !inactive.is_empty() && !request.skip_inactive && request.with_data {
        return Err(Error::new(
            Kind::SourceRefused,
            format!("{} of the chosen tenants of `{}` are inactive and cannot be read", inactive.len(), request.collection),
        )
        .with_hint("activate them first, pass --skip-inactive to leave them out, or choose others with --tenant"));
    }
    let chosen = active
        .iter()
        .map(|tenant| Tenant::named(&tenant.name))
        .collect();
    Ok((
        chosen,
        inactive.iter().map(|tenant| tenant.name.clone()).collect(),
    ))
}

fn identity(request: &BackupRequest) -> Result<Identity> {
    let destination = target::absolute(&request.destination)?;
    Ok(Identity {
        collections: request
            .group
            .iter()
            .map(CollectionName::to_string)
            .collect(),
        tenants: request.tenants.clone(),
        with_data: request.with_data,
        with_vectors: request.with_vectors,
        format: request.format.name().to_owned(),
        compression: request.codec.name().to_owned(),
        settings: if request.skip_inactive {
            vec![("inactive tenants".into(), "left out".into())]
        } else {
            Vec::new()
        },
        ..Identity::of(JobKind::Backup, request.collection.as_str(), &destination)
    })
}

fn plan(request: &BackupRequest, client: &Client, found: &Found, seen: &Seen) -> Plan {
    let mut plan = Plan::new(format!("back up collection `{}`", request.collection));
    plan.field("exists", "yes").field(
        "server",
        format!("{} (Weaviate {})", client.address(), found.version),
    );
    plan.field(
        "type",
        if request.with_data {
            "full"
        } else {
            "schema-only"
        },
    );
    plan.field("output", request.destination.display())
        .field("format", request.format.name());
    plan.field("compression", request.codec.name())
        .field("objects", grouped(seen.count));
    target::describe_definition(&mut plan, &found.definition);
    if !seen.tenants.is_empty() {
        plan.field("tenants", grouped(seen.tenants.len() as u64))
            .field("tenants left out", seen.skipped.len());
    } else {
        plan.field("tenants", "none");
    }
    plan.field("protocol", "REST");
    plan
}

fn claim(
    session: &Session,
    request: &BackupRequest,
    identity: Identity,
    client: &Client,
    found: &Found,
    seen: &Seen,
) -> Result<Claimed> {
    if let Some((folder, state)) = session.unfinished(&identity)? {
        match session.unfinished {
            Unfinished::Refuse => return Err(session.in_the_way(&folder, &state)),
            Unfinished::Restart => discard_loudly(session, folder, &state)?,
            Unfinished::Resume if is_too_old(session, &state)? => {
                session.warn(&format!(
                    "job {} is too old to be resumed; the backup begins anew",
                    state.job
                ));
                discard_loudly(session, folder, &state)?;
            }
            Unfinished::Resume => {
                session.check_identity(&state, &identity)?;
                check_same_life(session, &state, client, seen)?;
                return session.go_on(folder);
            }
        }
    }
    // The header must come out the same in every run, whatever the server says by then.
    session.begin(
        &Spec {
            identity,
            tuning: session.tuning.clone(),
        },
        Some(found.definition.text()),
        |state| {
            state.incarnation = Some(seen.incarnation.shards.clone());
            state.total = Some(if request.with_data { seen.count } else { 0 });
            state.address = Some(client.address().to_owned());
            state.extra.insert("version".into(), found.version.clone());
            if let Some(time) = seen.server_time {
                state.extra.insert("server time".into(), time.to_string());
            }
        },
    )
}

/// A backup's age is that of its beginning.
fn is_too_old(session: &Session, state: &State) -> Result<bool> {
    let age = Timestamp::now().duration_since(state.started_at()?);
    Ok(age.unsigned_abs() > session.resume_within)
}

/// The same life of the collection at another address is gone on with; another life at the same address is not.
fn check_same_life(session: &Session, state: &State, client: &Client, seen: &Seen) -> Result<()> {
    let then = Incarnation {
        shards: state.incarnation.clone().unwrap_or_default(),
    };
    if !then.may_equal(&seen.incarnation) {
        return Err(Error::new(
            Kind::Mismatch,
            format!("collection `{}` is not the one that job {} began with: it was deleted and created again", state.spec.identity.source, state.job),
        )
        .with_hint("pass --restart to back up the new one from its beginning"));
    }
    if let Some(address) = state
        .address
        .as_deref()
        .filter(|address| *address != client.address())
    {
        session.warn(&format!(
            "the job began at {address} and goes on at {}: it is the same collection",
            client.address()
        ));
    }
    Ok(())
}

/// Forgets an unfinished job: its hidden archive, if it has one, and its folder.
pub(super) fn discard(folder: JobFolder, state: &State) -> Result<()> {
    if let Some(name) = state.extra.get("archive") {
        let storage = Local::at(&state.spec.identity.target);
        storage.remove(&format!(".{name}.partial"))?;
    }
    folder.remove()
}

/// As [`discard`], and says so.
pub(super) fn discard_loudly(session: &Session, folder: JobFolder, state: &State) -> Result<()> {
    discard(folder, state)?;
    let what = match state.extra.contains_key("archive") {
        true => " and its unfinished archive are",
        false => " is",
    };
    let note = format!("job {}{what} removed", state.job);
    session.reporter.event(&Event::Note(&note));
    Ok(())
}

struct Backup<'a> {
    session: &'a Session,
    request: BackupRequest,
    client: Arc<Client>,
    seen: Seen,
    storage: Arc<dyn Storage>,
    folder: Arc<JobFolder>,
    state: State,
    resumed: u32,
}

impl Backup<'_> {
    /// The report, and what could not be read, where whoever finds the archive finds them; hidden, so that a pattern for
    /// archives does not match them.
    fn put_papers_beside(&self) -> Result<()> {
        let archives = self.folder.state()?.archives;
        let name = archives
            .first()
            .and_then(|path| Path::new(path).file_name());
        let name = name.unwrap_or_default().to_string_lossy().into_owned();
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

    /// What the server says when everything is read: the count, and the definition if it changed.
    async fn look_again(&self) -> Result<Facts> {
        let name = &self.request.collection;
        let found = target::find(self.session, &self.client, name).await?;
        let now = Incarnation::of(&self.client, name, &found.definition).await?;
        if !self.seen.incarnation.may_equal(&now) {
            return Err(Error::new(
                Kind::SourceRefused,
                format!("collection `{name}` was deleted and created again while it was read"),
            )
            .with_hint("begin anew with --restart"));
        }
        let mut count = 0;
        for tenant in &self.seen.chosen {
            count += self.client.count(name, tenant).await?;
        }
        let mut facts = Facts::from([("after".into(), count.to_string())]);
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

    fn started_on_server(&self) -> Result<i64> {
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
            job.tally.accepted + job.tally.rejected,
            fact_number(job, "expected").unwrap_or(0),
            fact_number(job, "after").unwrap_or(0),
        ];
        if !self.request.with_data || counts.iter().all(|count| *count == counts[0]) {
            return Ok(Facts::new());
        }
        self.session.reporter.event(&Event::Stage {
            doing: "compare ids, because the collection changed while it was read",
        });
        let archive = self.draft(job)?.sealed()?;
        let source = CollectionSource::new(
            self.client.clone(),
            self.request.collection.clone(),
            self.seen.chosen.clone(),
            false,
        );
        let rejects = census::read_rejected(&self.folder)?;
        let policy = self.session.context().policy;
        let started = self.started_on_server()?;
        let census = census::compare(&policy, &source, &archive, &rejects, started).await?;
        Ok(census.facts())
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
    type Source = CollectionSource;
    type Sink = ArchiveSink;

    async fn prepare(&self, number: u32, _: &Job) -> Result<Option<Facts>> {
        match number {
            0 => self.begin_archive().map(Some),
            _ => Ok(None),
        }
    }

    async fn ends(&self, job: &Job) -> Result<(CollectionSource, ArchiveSink)> {
        let tenants = if self.request.with_data {
            self.seen.chosen.clone()
        } else {
            Vec::new()
        };
        let name = self.request.collection.clone();
        let source = CollectionSource::new(
            self.client.clone(),
            name,
            tenants,
            self.request.with_vectors,
        );
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
            4 => {
                let path = self.draft(job)?.publish()?;
                Ok(Some(Facts::from([(
                    "path".into(),
                    path.display().to_string(),
                )])))
            }
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
        let exit_code = match (fact_number(job, "lost").unwrap_or(0), job.tally.rejected) {
            (0, 0) => 0,
            (0, _) => 3,
            _ => 13,
        };
        Summary {
            exit_code,
            tally: job.tally,
            notes,
        }
    }
}
