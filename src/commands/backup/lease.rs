//! The lease at a destination: a small hidden file that says who is at work there on which unfinished archive.
//!
//! It is there before the archive is begun and goes after the archive has its name. Another host that finds it fresh
//! keeps off; one that finds it stale, and does not know its job, sweeps the unfinished archive that nobody will ever
//! finish. What a job of this state directory owns is never swept: its lock and its journal say more than a lease.

use std::io::Read as _;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Session;
use crate::archive::partial_name;
use crate::error::{Error, Kind, Result};
use crate::job::JobId;
use crate::journal::{Holder, Listed};
use crate::model::CollectionName;
use crate::storage::{Storage, Stream};

/// How often a run says that it is there.
const REFRESH: Duration = Duration::from_secs(30);
/// Whoever was silent for so long is dead: ten refreshes.
const SILENCE: SignedDuration = SignedDuration::from_mins(5);
/// A job that stopped in order may be resumed on its own host for so long.
const PAUSE: SignedDuration = SignedDuration::from_hours(24);
/// No lease is longer.
const LONGEST: u64 = 4 << 10;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    version: u32,
    job: String,
    collection: String,
    /// The final name of the archive, once it is chosen.
    archive: Option<String>,
    host: Option<String>,
    pid: u32,
    /// Among which processes that number means something.
    among: Option<String>,
    /// RFC 3339.
    #[serde(with = "rfc3339")]
    heartbeat: Timestamp,
    /// False after a run that stopped in order and can be resumed.
    is_at_work: bool,
}

/// The lease of a run at work; it is refreshed until it is dropped.
pub(super) struct Lease {
    desk: Arc<Desk>,
    key: String,
    heart: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Where the note lies and what it says.
struct Desk {
    storage: Arc<dyn Storage>,
    note: Mutex<Note>,
}

/// The name of the lease of a job.
pub(super) fn key(collection: &str, job: &JobId) -> String {
    format!(".{collection}.{job}.lease")
}

impl Lease {
    /// Takes the lease of a job, unless another host is at work on the same collection: [`Kind::Locked`].
    pub(super) fn take(
        session: &Session,
        storage: &Arc<dyn Storage>,
        collection: &CollectionName,
        job: &JobId,
        archive: Option<&String>,
    ) -> Result<Lease> {
        let note = Note::of_this_process(collection, job, archive.cloned());
        let key = key(collection.as_str(), job);
        let desk = Arc::new(Desk {
            storage: storage.clone(),
            note: Mutex::new(note),
        });
        desk.write(|_| ())?;
        // Of two that begin at once, at least one sees the other; both may give way, never neither.
        if let Err(error) = clear_the_way(session, &**storage, collection) {
            storage.remove(&key)?;
            return Err(error);
        }
        let heart = Some(beat(desk.clone())?);
        Ok(Lease { desk, key, heart })
    }

    /// Says which archive is about to be made.
    pub(super) fn names(&self, archive: &str) -> Result<()> {
        self.desk.write(|note| note.archive = Some(archive.into()))
    }

    /// The run is over. A lease of an unfinished job stays, and says that nobody is at work.
    pub(super) fn end(mut self, is_done: bool) -> Result<()> {
        self.stop();
        match is_done {
            true => self.desk.storage.remove(&self.key),
            false => self.desk.write(|note| note.is_at_work = false),
        }
    }

    fn stop(&mut self) {
        if let Some((stop, heart)) = self.heart.take() {
            drop(stop);
            // It only writes; what became of that is not needed any more.
            let _ = heart.join();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Desk {
    fn note(&self) -> MutexGuard<'_, Note> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One writer at a time: the file is replaced by way of a temporary name.
    fn write(&self, change: impl FnOnce(&mut Note)) -> Result<()> {
        let mut note = self.note();
        change(&mut note);
        note.heartbeat = now();
        let text = serde_json::to_vec(&*note).map_err(|cause| {
            Error::new(Kind::Failed, "a lease cannot be written").with_cause(cause)
        })?;
        self.storage.put(&note.key(), &text)
    }
}

fn beat(desk: Arc<Desk>) -> Result<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = channel();
    let heart = std::thread::Builder::new().name("lease".into());
    let heart = heart.spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(REFRESH) {
            // A disk that is full ends the job by itself; one missed beat is none.
            let _ = desk.write(|_| ());
        }
    });
    let heart = heart.map_err(|cause| {
        Error::new(Kind::Failed, "cannot start the thread of the lease").with_cause(cause)
    })?;
    Ok((stop, heart))
}

impl Note {
    fn of_this_process(collection: &CollectionName, job: &JobId, archive: Option<String>) -> Note {
        let holder = Holder::this();
        Note {
            version: 1,
            job: job.to_string(),
            collection: collection.to_string(),
            archive,
            host: holder.host,
            pid: holder.pid,
            among: process_space(),
            heartbeat: now(),
            is_at_work: true,
        }
    }

    fn key(&self) -> String {
        format!(".{}.{}.lease", self.collection, self.job)
    }

    /// What a file says, if it says what a lease says; a name in it may not lead elsewhere.
    fn parse(text: &[u8]) -> Option<Note> {
        let note: Note = serde_json::from_slice(text).ok()?;
        let is_plain = |name: &String| !name.contains('/') && !name.is_empty();
        (note.version == 1 && note.archive.iter().all(is_plain)).then_some(note)
    }

    fn is_stale(&self, now: Timestamp) -> bool {
        let patience = if self.is_at_work { SILENCE } else { PAUSE };
        now.duration_since(self.heartbeat) > patience || self.is_of_a_dead_process()
    }

    /// Among our own processes one can look. Our own number is of one before us: it does not know our jobs.
    fn is_of_a_dead_process(&self) -> bool {
        let is_here = self.among.is_some() && self.among == process_space() && self.is_at_work;
        is_here && (self.pid == std::process::id() || is_gone(self.pid))
    }

    fn who(&self) -> String {
        let host = self.host.as_deref().unwrap_or("an unknown host");
        format!("job {}, process {} on {host}", self.job, self.pid)
    }
}

/// Containers may share the name of their host, but not its processes: this boot and this name space of processes.
fn process_space() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

fn is_gone(pid: u32) -> bool {
    let all = Path::new("/proc");
    all.join("self").exists() && !all.join(pid.to_string()).exists()
}

/// To the second: people read it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now)
}

mod rfc3339 {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(text: D) -> Result<Timestamp, D::Error> {
        String::deserialize(text)?.parse().map_err(D::Error::custom)
    }
}

/// Refuses if another host is at work on the collection, and sweeps what lost ones left.
pub(super) fn clear_the_way(
    session: &Session,
    storage: &dyn Storage,
    collection: &CollectionName,
) -> Result<()> {
    let jobs = session.state.jobs()?;
    for (key, note) in leases(session, storage, collection)? {
        match jobs.iter().find(|job| job.id.as_str() == note.job) {
            // It ended between its last step and the removal of its lease.
            Some(job) if job.state.as_ref().is_ok_and(|state| state.is_done) => {
                storage.remove(&key)?
            }
            Some(_) => {}
            None if note.is_stale(now()) => sweep(session, storage, &key, &note, &jobs)?,
            None if note.is_at_work => return Err(held(storage, collection, &note)),
            None => {}
        }
    }
    Ok(())
}

fn leases(
    session: &Session,
    storage: &dyn Storage,
    collection: &CollectionName,
) -> Result<Vec<(String, Note)>> {
    let start = format!(".{collection}.");
    let mut found = Vec::new();
    for (key, _) in storage.list("")? {
        if !key.starts_with(&start) || !key.ends_with(".lease") {
            continue;
        }
        match read(storage, &key)? {
            None => {}
            Some(text) => match Note::parse(&text) {
                Some(note) => found.push((key, note)),
                None => session.warn(&format!(
                    "`{}` is not a lease that this version can read; it is left alone",
                    storage.path(&key).display()
                )),
            },
        }
    }
    Ok(found)
}

/// `None` if it is gone by now.
fn read(storage: &dyn Storage, key: &str) -> Result<Option<Vec<u8>>> {
    let file = match storage.read(key) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Vec::new();
    let outcome = Stream::new(file).take(LONGEST).read_to_end(&mut text);
    outcome.map_err(|cause| {
        let path = storage.path(key);
        Error::new(Kind::Failed, format!("cannot read `{}`", path.display())).with_cause(cause)
    })?;
    Ok(Some(text))
}

/// The archive first: a crash in between is found again by the lease.
fn sweep(
    session: &Session,
    storage: &dyn Storage,
    key: &str,
    note: &Note,
    jobs: &[Listed],
) -> Result<()> {
    let hidden = note.archive.as_deref().map(partial_name);
    if let Some(hidden) = hidden.filter(|hidden| storage.exists(hidden).unwrap_or(true)) {
        if is_owned(jobs, note.archive.as_deref()) {
            return Ok(());
        }
        storage.remove(&hidden)?;
        session.warn(&format!(
            "the unfinished archive `{}` is removed: it was left by {}, last heard of at {}, and nobody can finish it",
            storage.path(&hidden).display(),
            note.who(),
            note.heartbeat,
        ));
    }
    storage.remove(key)
}

/// Names are unique at a destination; one that an unfinished job of ours uses anywhere is left alone.
fn is_owned(jobs: &[Listed], archive: Option<&str>) -> bool {
    let unfinished = jobs.iter().filter_map(|job| job.state.as_ref().ok());
    let mut unfinished = unfinished.filter(|state| !state.is_done);
    unfinished.any(|state| state.extra.get("archive").map(String::as_str) == archive)
}

fn held(storage: &dyn Storage, collection: &CollectionName, note: &Note) -> Error {
    let place = storage.path("");
    Error::new(
        Kind::Locked,
        format!(
            "`{collection}` is being backed up into `{}` by {}, last heard of at {}",
            place.display(),
            note.who(),
            note.heartbeat
        ),
    )
    .with_hint("wait until that run is over; after five minutes of silence it counts as dead and what it left is removed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(among: Option<&str>, pid: u32) -> Note {
        Note {
            version: 1,
            job: "0a1b2c3d".into(),
            collection: "Article".into(),
            archive: None,
            host: Some("host".into()),
            pid,
            among: among.map(str::to_owned),
            heartbeat: Timestamp::UNIX_EPOCH,
            is_at_work: true,
        }
    }

    fn later(span: SignedDuration) -> Timestamp {
        Timestamp::UNIX_EPOCH + span
    }

    #[test]
    fn a_run_is_dead_after_five_silent_minutes_and_a_stopped_one_after_a_day() {
        let second = SignedDuration::from_secs(1);
        let mut note = note(Some("elsewhere"), 1);
        assert!(!note.is_stale(later(SILENCE)) && note.is_stale(later(SILENCE + second)));
        // A clock that is behind ours says nothing about death.
        assert!(!note.is_stale(later(-SILENCE)));
        note.is_at_work = false;
        assert!(!note.is_stale(later(PAUSE)) && note.is_stale(later(PAUSE + second)));
    }

    #[test]
    fn a_dead_process_of_this_host_is_dead_at_once() {
        let here = process_space();
        let here = here.as_deref();
        let now = later(SignedDuration::ZERO);
        // No process has the largest number.
        assert!(note(here, u32::MAX).is_stale(now));
        assert!(note(here, std::process::id()).is_stale(now));
        assert!(!note(here, 1).is_stale(now));
        assert!(!note(Some("elsewhere"), u32::MAX).is_stale(now));
        assert!(!note(None, u32::MAX).is_stale(now));
    }

    #[test]
    fn a_lease_that_names_something_elsewhere_is_none() {
        let mut note = note(None, 1);
        let parsed = |note: &Note| Note::parse(&serde_json::to_vec(note).unwrap());
        assert_eq!(parsed(&note), Some(note.clone()));
        note.archive = Some("../../etc".into());
        assert_eq!(parsed(&note), None);
        assert_eq!(Note::parse(b"{\"version\":2}"), None);
    }
}
