//! `col backup`: a collection becomes an archive.

mod account;
mod claim;
mod discard;
mod draft;
mod follow;
mod lease;
mod plan;
mod seen;
mod tenants;
mod verb;
mod verified;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::census::{self, Census};
use super::degraded;
use super::estimate::{self, Cost, Spelling};
use super::facts::{SERVER_TIME, began, fact, fact_number, resumed};
use super::owed;
use super::report::{self, Account};
use super::session::{Claimed, Outcome, Session, Unfinished, grouped};
use super::target::{self, Found};
use super::verification;
use super::waking::{Sleepers, UNCOUNTED, Waking};
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
use claim::{claim, identity, is_same_life};
pub(super) use discard::{discard, discard_loudly};
pub(super) use follow::Follow;
use lease::{Lease, Way};
use plan::{describe_size, plan};
use seen::Seen;
pub use tenants::Inactive;
use tenants::{Choice, choose};
use verb::Backup;

/// Noted in the job's summary: objects that were there when it began.
const WITNESSES: &str = "witnesses";
/// Noted in the job's summary: the archive has its name.
const PUBLISHED: &str = "published";

/// Noted in the job's summary: so many objects were not seen; the next run reads everything anew.
const LACKING: &str = "lacking";
/// Noted in the job's summary: the run before did not see all objects.
const READ_AGAIN: &str = "read again";

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
    backup_and_follow(session, request, Follow::IfOld).await
}

/// [`backup`] by way of `storage`, whose root is the destination of the request.
pub async fn backup_into(
    session: &Session,
    request: &BackupRequest,
    storage: Arc<dyn Storage>,
) -> Result<Outcome> {
    run(session, request, storage, Follow::IfOld).await
}

/// [`backup`], and another one if `follow` says so.
pub(super) async fn backup_and_follow(
    session: &Session,
    request: &BackupRequest,
    follow: Follow,
) -> Result<Outcome> {
    let storage = Arc::new(Local::at(&request.destination));
    run(session, request, storage, follow).await
}

async fn run(
    session: &Session,
    request: &BackupRequest,
    storage: Arc<dyn Storage>,
    follow: Follow,
) -> Result<Outcome> {
    let mut ended = run_one(session, request, storage.clone(), follow).await?;
    if matches!(ended, Ended::Lacking(_)) {
        let session = session.resuming();
        ended = run_one(&session, request, storage.clone(), Follow::Never).await?;
    }
    let (outcome, is_followed) = ended.outcome()?;
    if !is_followed {
        return Ok(outcome);
    }
    let next = run_one(session, request, storage, Follow::Never).await?;
    let (next, _) = next.outcome()?;
    Ok(match follow {
        // Only what is there now counts.
        Follow::Always => next,
        Follow::IfOld | Follow::Never => next.after(outcome),
    })
}

/// How a job ended.
enum Ended {
    /// True if another one is to follow it.
    Done(Outcome, bool),
    /// Objects were out of sight while it read, for the first time: the next run reads everything anew.
    Lacking(Error),
}

impl Ended {
    fn outcome(self) -> Result<(Outcome, bool)> {
        match self {
            Ended::Done(outcome, is_followed) => Ok((outcome, is_followed)),
            Ended::Lacking(error) => Err(error),
        }
    }
}

async fn run_one(
    session: &Session,
    request: &BackupRequest,
    storage: Arc<dyn Storage>,
    follow: Follow,
) -> Result<Ended> {
    let client = Arc::new(Client::new(&request.connection, Role::Source)?);
    let found = target::find_to_move(session, &client, &request.collection).await?;
    let identity = identity(request)?;
    put_back_what_is_owed(session, &identity, &client).await?;
    let seen = Seen::look(session, &client, &found, request).await?;
    let mut plan = plan(request, &client, &found, &seen);
    if session.is_dry_run {
        describe_size(session, request, &client, &seen, &mut plan).await;
        session.show_plan(&plan);
        return Ok(Ended::Done(Outcome::default(), false));
    }
    session.show_plan(&plan);
    check_destination(request)?;
    let way = Way {
        session,
        storage: &*storage,
        collection: &request.collection,
    };
    way.clear().await?;
    let claimed = claim(&way, request, identity, &client, &found, &seen).await?;
    let before = claimed.state.clone();
    let is_followed = follow.is_due(session, &before)?;
    let (claimed, lease) = take_lease(session, &storage, request, claimed).await?;
    let verb = Backup {
        storage: storage.clone(),
        lease,
        folder: claimed.folder.clone(),
        state: claimed.state.clone(),
        resumed: resumed(&claimed.state)?,
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
    let outcome = match outcome {
        Err(_) if lease.is_lost() => Err(lease.lost()),
        outcome => outcome,
    };
    // Of a run that failed the first error counts.
    let ended = lease.end(outcome.is_ok());
    let summary = match outcome {
        Ok(summary) => summary,
        Err(error) if is_lacking(&folder, &error)? => return Ok(Ended::Lacking(error)),
        Err(error) => return Err(session.forget_refused(folder, error)),
    };
    ended?;
    if is_published(&before) {
        follow::say(session, &before, is_followed);
    }
    let outcome = Outcome {
        exit_code: summary.exit_code,
        tally: summary.tally,
        notes: summary.notes,
        archive: Some(storage.path(&archive_name(&folder)?)),
        unarchived: verification::unarchived(&folder)?,
    };
    Ok(Ended::Done(outcome, is_followed))
}

fn is_lacking(folder: &JobFolder, error: &Error) -> Result<bool> {
    Ok(error.kind() == Kind::Exhausted && folder.state()?.extra.contains_key(LACKING))
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
async fn take_lease(
    session: &Session,
    storage: &Arc<dyn Storage>,
    request: &BackupRequest,
    claimed: Claimed,
) -> Result<(Claimed, Lease)> {
    let state = &claimed.state;
    let archive = state.extra.get("archive");
    match Lease::take(session, storage, &request.collection, &state.job, archive).await {
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
