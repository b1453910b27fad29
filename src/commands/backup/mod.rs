//! `col backup`: a collection becomes an archive.

mod lease;
mod tenants;
mod verb;
mod verified;
mod waking;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::census;
use super::estimate::{self, Cost, Spelling};
use super::owed;
use super::report::{self, Account};
use super::session::{Claimed, Outcome, Session, Unfinished, fact, fact_number, grouped, resumed};
use super::target::{self, Found};
use super::verification;
use super::witness::Witnesses;
use crate::archive::{
    Archive, ArchiveSink, Contents, Draft, Ending, Format, Header, Selection, SinkOptions,
    partial_name,
};
use crate::engine::{Facts, Verb};
use crate::error::{Error, IoContext, Kind, Result};
use crate::event::{Event, Plan};
use crate::format::Codec;
use crate::job::{Identity, Job, JobKind, Receipt, Spec, Summary};
use crate::journal::{JobFolder, State};
use crate::model::{CollectionName, Definition, Tenant};
use crate::pipe::Sink;
use crate::retry::Policy;
use crate::storage::{Local, Storage};
use crate::weaviate::{
    Client, CollectionSource, Connection, Incarnation, ReadPlan, Role, TenantState, TenantStatus,
    Wanted, definitions_match,
};
use lease::Lease;
pub use tenants::Inactive;
use tenants::{Choice, choose};
use verb::Backup;
use waking::{UNCOUNTED, Waking};

/// Noted in the job's summary: objects that were there when it began.
const WITNESSES: &str = "witnesses";
/// Noted in the job's summary: the archive has its name.
const PUBLISHED: &str = "published";
/// As many as there are witnesses at most.
const WITNESSED_TENANTS: usize = 16;

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
    /// Read the archive back when it is done, and compare it with the collection.
    pub verify: bool,
    /// False to leave vectors out.
    pub with_vectors: bool,
    /// The chosen tenants; empty is all.
    pub tenants: Vec<String>,
    /// What becomes of inactive tenants that are chosen.
    pub inactive: Inactive,
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
    let found = target::find_to_move(session, &client, &request.collection).await?;
    let identity = identity(request)?;
    put_back_what_is_owed(session, &identity, &client).await?;
    let seen = Seen::look(session, &client, &found, request).await?;
    let mut plan = plan(request, &client, &found, &seen);
    if session.is_dry_run {
        describe_size(session, request, &client, &seen, &mut plan).await;
        session.show_plan(&plan);
        return Ok(Outcome::default());
    }
    session.show_plan(&plan);
    check_destination(request)?;
    lease::clear_the_way(session, &*storage, &request.collection)?;
    let claimed = claim(session, request, identity, &client, &found, &seen).await?;
    let (claimed, lease) = take_lease(session, &storage, request, claimed)?;
    let verb = Backup {
        storage: storage.clone(),
        lease,
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
    verb.put_tenants_back(&outcome).await?;
    if let Ok(summary) = &outcome {
        verb.complete_report(summary)?;
        verb.put_papers_beside()?;
    }
    let Backup { lease, folder, .. } = verb;
    // Of a run that failed the first error counts.
    let ended = lease.end(outcome.is_ok());
    let summary = match outcome {
        Ok(summary) => summary,
        Err(error) => return Err(session.forget_refused(folder, error)),
    };
    ended?;
    Ok(Outcome {
        exit_code: summary.exit_code,
        tally: summary.tally,
        notes: summary.notes,
        archive: Some(storage.path(&archive_name(&folder)?)),
    })
}

/// The name of the job's archive at its destination.
fn archive_name(folder: &JobFolder) -> Result<String> {
    let archives = folder.state()?.archives;
    let name = archives
        .first()
        .and_then(|path| Path::new(path).file_name());
    Ok(name.unwrap_or_default().to_string_lossy().into_owned())
}

/// True once the archive has its name: what comes of the collection does not touch it any more.
pub(super) fn is_published(state: &State) -> bool {
    state.extra.contains_key(PUBLISHED)
}

/// A job that has just begun and must give way to another host is forgotten.
fn take_lease(
    session: &Session,
    storage: &Arc<dyn Storage>,
    request: &BackupRequest,
    claimed: Claimed,
) -> Result<(Claimed, Lease)> {
    let state = &claimed.state;
    let archive = state.extra.get("archive");
    match Lease::take(session, storage, &request.collection, &state.job, archive) {
        Ok(lease) => Ok((claimed, lease)),
        Err(error) => {
            let folder = Arc::into_inner(claimed.folder).filter(|_| !claimed.is_resumed);
            folder.map_or(Ok(()), |folder| discard(folder, state))?;
            Err(error)
        }
    }
}

/// An earlier run may have left tenants awake: they are seen as they are meant to be only once they sleep again.
async fn put_back_what_is_owed(
    session: &Session,
    identity: &Identity,
    client: &Client,
) -> Result<()> {
    if session.is_dry_run || session.unfinished == Unfinished::Refuse {
        return Ok(());
    }
    match session.unfinished(identity)? {
        Some((folder, _)) => owed::settle(session, &folder, client).await,
        None => Ok(()),
    }
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
    /// Those among them that are woken for it.
    asleep: BTreeSet<Tenant>,
    /// Inactive ones that are left out as it was asked for.
    skipped: Vec<String>,
    /// Those that lie elsewhere and cannot be read.
    offloaded: Vec<String>,
    /// Some of those that hold objects and are awake.
    filled: Vec<Tenant>,
    /// Objects of those that are awake.
    count: u64,
    /// How many of them each tenant has.
    counts: Vec<(Tenant, u64)>,
    /// In Unix milliseconds, by the server's clock.
    server_time: Option<i64>,
    /// How objects are read.
    plan: ReadPlan,
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
        let Choice {
            chosen,
            asleep,
            skipped,
            offloaded,
        } = choose(&tenants, found, request)?;
        let awake: Vec<Tenant> = chosen.difference(&asleep).cloned().collect();
        let wanted = match request.with_vectors {
            true => Wanted::Everything,
            false => Wanted::Properties,
        };
        let counts = policy
            .run("count objects", || client.counts_of(name, &awake))
            .await?;
        let filled = awake.iter().zip(&counts).filter(|(_, count)| **count > 0);
        let filled: Vec<Tenant> = filled
            .map(|(tenant, _)| tenant.clone())
            .take(WITNESSED_TENANTS)
            .collect();
        // Where there are objects, they show where gRPC leads.
        if let Some(tenant) = filled.first().or(awake.first()) {
            target::confirm_grpc(session, client, name, tenant).await?;
        }
        let server_time = policy
            .run("ask for the server's time", || client.server_time())
            .await?;
        Ok(Seen {
            incarnation,
            tenants,
            chosen: chosen.into_iter().collect(),
            asleep,
            skipped,
            filled,
            offloaded,
            count: counts.iter().sum(),
            counts: awake.into_iter().zip(counts).collect(),
            server_time,
            plan: ReadPlan::choose(client, &found.definition, wanted)?,
        })
    }

    /// The ids of those that hold objects.
    fn filled_source(&self, client: &Arc<Client>, name: &CollectionName) -> CollectionSource {
        let tenants = self.filled.clone();
        CollectionSource::new(
            client.clone(),
            name.clone(),
            tenants,
            ReadPlan::PropertiesOverRest,
        )
    }

    /// What the job will know the collection by where its shards say nothing.
    async fn witnesses(
        &self,
        session: &Session,
        request: &BackupRequest,
        client: &Arc<Client>,
    ) -> Result<Option<(String, String)>> {
        if !self.incarnation.shards.is_empty() || self.filled.is_empty() {
            return Ok(None);
        }
        let policy = session.context().policy;
        let source = self.filled_source(client, &request.collection);
        let witnesses = Witnesses::call(&policy, &source).await?;
        let text = serde_json::to_string(&witnesses).map_err(|cause| {
            Error::new(Kind::Failed, "witnesses cannot be kept").with_cause(cause)
        })?;
        Ok(Some((WITNESSES.to_owned(), text)))
    }
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
        settings: request.inactive.setting().into_iter().collect(),
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
            .field("tenants left out", seen.skipped.len())
            .field("tenants offloaded", seen.offloaded.len());
        if request.inactive == Inactive::Wake {
            plan.field("tenants to be woken", grouped(seen.asleep.len() as u64));
        }
    } else {
        plan.field("tenants", "none");
    }
    plan.field("protocol", seen.plan);
    plan
}

async fn describe_size(
    session: &Session,
    request: &BackupRequest,
    client: &Arc<Client>,
    seen: &Seen,
    plan: &mut Plan,
) {
    let awake = seen.chosen.iter();
    let awake = awake.filter(|tenant| !seen.asleep.contains(*tenant));
    let some = awake.take(estimate::SAMPLED_TENANTS).cloned();
    let source = CollectionSource::new(
        client.clone(),
        request.collection.clone(),
        some.collect(),
        seen.plan,
    );
    let spelling = Spelling {
        format: request.format,
        codec: request.codec,
    };
    let objects = if request.with_data { seen.count } else { 0 };
    // Two counts, and the page that proves the end.
    let cost = Cost {
        per_page: 1,
        most_in_page: ArchiveSink::MOST,
        per_tenant: 3,
    };
    let tenants = seen.chosen.len() as u64;
    estimate::describe(session, plan, (&source, spelling), (objects, tenants), cost).await;
}

async fn claim(
    session: &Session,
    request: &BackupRequest,
    identity: Identity,
    client: &Arc<Client>,
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
                // The comparison of a finished archive says itself what became of the collection.
                if !is_published(&state) {
                    check_same_life(session, &state, client, seen).await?;
                }
                if request.verify {
                    folder.update_state(verification::want)?;
                }
                return session.go_on(folder);
            }
        }
    }
    let witnesses = seen.witnesses(session, request, client).await?;
    // The header must come out the same in every run, whatever the server says by then.
    session.begin(
        &Spec {
            identity,
            tuning: session.tuning.clone(),
        },
        Some(found.definition.text()),
        |state| {
            state.incarnation = Some(seen.incarnation.shards.clone());
            if request.verify {
                verification::want(state);
            }
            let total = if request.with_data { seen.count } else { 0 };
            // Nobody knows what is in tenants that are asleep.
            state.total = Some(total).filter(|_| seen.asleep.is_empty());
            state.address = Some(client.address().to_owned());
            state.extra.insert("version".into(), found.version.clone());
            state.extra.extend(witnesses);
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

/// By its shards, or where they say nothing by objects that were there when the job began.
async fn is_same_life(
    policy: &Policy,
    state: &State,
    client: &Client,
    now: &Incarnation,
    source: &CollectionSource,
) -> Result<bool> {
    let then = Incarnation {
        shards: state.incarnation.clone().unwrap_or_default(),
    };
    let Some(text) = state.extra.get(WITNESSES) else {
        return Ok(then.may_equal(now));
    };
    let witnesses: Witnesses = serde_json::from_str(text).map_err(|cause| {
        Error::new(Kind::JournalDamaged, "the job has lost its witnesses").with_cause(cause)
    })?;
    let name = CollectionName::parse(&state.spec.identity.source)?;
    Ok(then.may_equal(now) && witnesses.know(policy, client, &name, source).await?)
}

/// The same life of the collection at another address is gone on with; another life at the same address is not.
async fn check_same_life(
    session: &Session,
    state: &State,
    client: &Arc<Client>,
    seen: &Seen,
) -> Result<()> {
    let name = CollectionName::parse(&state.spec.identity.source)?;
    let (source, policy) = (seen.filled_source(client, &name), session.context().policy);
    if !is_same_life(&policy, state, client, &seen.incarnation, &source).await? {
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

/// Forgets an unfinished job: its hidden archive and its lease, if it has them, and its folder.
pub(super) fn discard(folder: JobFolder, state: &State) -> Result<()> {
    let identity = &state.spec.identity;
    let storage = Local::at(&identity.target);
    if let Some(name) = state.extra.get("archive") {
        storage.remove(&partial_name(name))?;
    }
    if identity.kind == JobKind::Backup {
        storage.remove(&lease::key(&identity.source, &state.job))?;
    }
    folder.remove()
}

/// As [`discard`], and says so.
pub(super) fn discard_loudly(session: &Session, folder: JobFolder, state: &State) -> Result<()> {
    discard(folder, state)?;
    let what = match state.extra.contains_key("archive") {
        true if is_published(state) => " is removed; its finished archive stays",
        true => " and its unfinished archive are removed",
        false => " is removed",
    };
    let note = format!("job {}{what}", state.job);
    session.reporter.event(&Event::Note(&note));
    Ok(())
}
