//! The lease at a destination: a small hidden file that says who is at work there on which unfinished archive.
//!
//! It is there before the archive is begun and goes after the archive has its name. Another host that finds it and sees it
//! change keeps off; one that sees it stay as it is, and does not know its job, sweeps the unfinished archive that nobody
//! will ever finish. What a job of this state directory owns is never swept: its lock and its journal say more than a
//! lease. A run whose lease was swept all the same, because it was silent for too long, stops.

mod note;
mod stray;
mod way;

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Session;
use crate::engine::Stop;
use crate::error::{Error, IoContext, Kind, Result};
use crate::job::JobId;
use crate::model::CollectionName;
use crate::storage::Storage;
use note::{Note, now};
pub(super) use way::Way;

/// How often a run says that it is there; far more often than the time of silence.
const REFRESH: Duration = Duration::from_secs(30);

/// The lease of a run at work; it is refreshed until it is dropped.
pub(super) struct Lease {
    desk: Arc<Desk>,
    heart: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Where the note lies and what it says.
struct Desk {
    storage: Arc<dyn Storage>,
    key: String,
    note: Mutex<Note>,
}

/// The name of the lease of a job.
pub(super) fn key(collection: &str, job: &JobId) -> String {
    note::name(collection, job.as_str())
}

impl Lease {
    /// Takes the lease of a job, unless another host is at work on the same collection: [`Kind::Locked`].
    pub(super) async fn take(
        session: &Session,
        storage: &Arc<dyn Storage>,
        collection: &CollectionName,
        job: &JobId,
        archive: Option<&String>,
    ) -> Result<Lease> {
        let own = Note::of_this_process(collection, job, archive.cloned());
        let desk = Arc::new(Desk {
            storage: storage.clone(),
            key: key(collection.as_str(), job),
            note: Mutex::new(own.clone()),
        });
        desk.put(&mut desk.note())?;
        let heart = Some(beat(desk.clone(), session.stop.clone())?);
        let lease = Lease { desk, heart };
        let way = Way {
            session,
            storage: &**storage,
            collection,
        };
        let claimed = way.contend(&own).await;
        match claimed.and_then(|()| lease.desk.change(|note| note.is_claiming = false)) {
            Ok(()) => Ok(lease),
            Err(error) => {
                lease.end(true)?;
                Err(error)
            }
        }
    }

    /// Says which archive is about to be made.
    pub(super) fn names(&self, archive: &str) -> Result<()> {
        self.desk.change(|note| note.archive = Some(archive.into()))
    }

    /// True if another run took this one for dead.
    pub(super) fn is_lost(&self) -> bool {
        self.desk.is_lost().unwrap_or(false)
    }

    /// What that means for this run.
    pub(super) fn lost(&self) -> Error {
        lost(&*self.desk.storage)
    }

    /// The run is over. A lease of an unfinished job stays, and says that nobody is at work.
    pub(super) fn end(mut self, is_done: bool) -> Result<()> {
        self.stop();
        match is_done {
            true => self.desk.storage.remove(&self.desk.key),
            false if self.is_lost() => Ok(()),
            false => self.desk.change(|note| note.is_at_work = false),
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

    /// One writer at a time: the file is replaced by way of a temporary name. One that was swept is not made again.
    fn change(&self, change: impl FnOnce(&mut Note)) -> Result<()> {
        let mut note = self.note();
        if self.is_lost()? {
            return Err(lost(&*self.storage));
        }
        change(&mut note);
        self.put(&mut note)
    }

    fn is_lost(&self) -> Result<bool> {
        self.storage.exists(&self.key).map(|is_there| !is_there)
    }

    fn put(&self, note: &mut Note) -> Result<()> {
        note.heartbeat = now();
        let text = serde_json::to_vec(note).map_err(|cause| {
            Error::new(Kind::Failed, "a lease cannot be written").with_cause(cause)
        })?;
        self.storage.put(&self.key, &text)
    }
}

fn lost(storage: &dyn Storage) -> Error {
    Error::new(
        Kind::Locked,
        format!(
            "another run has taken `{}` over: it heard nothing of this one for too long",
            storage.path("").display()
        ),
    )
    .with_kept("nothing: the unfinished archive was removed")
    .with_hint("--resume begins anew once that run is over")
}

fn beat(desk: Arc<Desk>, stop: Stop) -> Result<(Sender<()>, JoinHandle<()>)> {
    let (end, ended) = channel();
    let heart = std::thread::Builder::new().name("lease".into());
    let heart = heart.spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(REFRESH) {
            match desk.change(|_| ()) {
                Err(error) if error.kind() == Kind::Locked => return stop.ask(),
                // A disk that is full ends the job by itself; one missed beat is none.
                _ => {}
            }
        }
    });
    Ok((
        end,
        heart.doing(|| "cannot start the thread of the lease".to_owned())?,
    ))
}
