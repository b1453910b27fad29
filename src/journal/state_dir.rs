//! The state directory: `jobs/<id>/` for every job there is.
//!
//! A job's folder is made whole under a hidden name and renamed, and hidden again before it is deleted: one that can
//! be seen has its `state.json`. Listing jobs reads nothing else, and never opens a journal.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::folder::{JobFolder, read_state};
use super::lock::{self, Holder, Lock};
use super::{Around, State, Store, StoreKind, durable};
use crate::error::{Error, IoContext, Kind, Result};
use crate::job::{JobId, Spec};

/// sled needs room to open; with less than this a job is not begun.
const MIN_FREE_BYTES: u64 = 64 << 20;

/// A hidden folder that old was left by a crash.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// Where all jobs of a user lie.
#[derive(Clone, Debug)]
pub struct StateDir {
    jobs: PathBuf,
    around: Around,
}

/// A job as it is seen from outside.
#[derive(Debug)]
pub struct Listed {
    /// The job.
    pub id: JobId,
    /// Its state, or why that cannot be read.
    pub state: Result<State>,
    /// True if some process is at work on it.
    pub is_running: bool,
    /// Who that is, if it could be read.
    pub holder: Option<Holder>,
}

impl StateDir {
    /// Makes the directory if it is missing, and checks that it can be written and that there is room.
    pub fn open(path: &Path) -> Result<Self> {
        let jobs = path.join("jobs");
        let refused = |error: Error| {
            // That a part of the path is missing is no answer to what was asked for.
            let kind = match error.kind() {
                Kind::NotFound => Kind::Failed,
                kind => kind,
            };
            error
                .with_kind(kind)
                .within(format!(
                    "the state directory `{}` is of no use",
                    path.display()
                ))
                .with_hint("choose another one with `--state-dir`, or set `XDG_STATE_HOME`")
        };
        durable::create_folder(&jobs).map_err(refused)?;
        check_writable(&jobs).map_err(refused)?;
        check_space(&jobs)?;
        let state_dir = StateDir {
            jobs,
            around: Around::default(),
        };
        state_dir.sweep();
        Ok(state_dir)
    }

    /// The directory as it is, for who only looks: nothing is made or checked, and one that is missing has no jobs.
    pub fn look(path: &Path) -> Self {
        StateDir {
            jobs: path.join("jobs"),
            around: Around::default(),
        }
    }

    /// Puts `wrap` around every journal that is opened from here on, as `storage::Hooked` is put around a storage:
    /// tests see, count, delay and fail commits by it.
    #[must_use]
    pub fn wrapping(
        self,
        wrap: impl Fn(Box<dyn Store>) -> Box<dyn Store> + Send + Sync + 'static,
    ) -> Self {
        StateDir {
            around: Around(Some(Arc::new(wrap))),
            ..self
        }
    }

    /// Where the folder of a job lies, or would lie.
    pub fn folder(&self, id: &JobId) -> PathBuf {
        self.jobs.join(id.as_str())
    }

    /// Fails as [`Kind::Exhausted`] with less than 64 MB free.
    pub fn check_space(&self) -> Result<()> {
        check_space(&self.jobs)
    }

    /// A file for what does not fit the memory. It has no name any more when it is given out, so it is gone with the
    /// process, however that ends.
    pub fn scratch_file(&self) -> Result<fs::File> {
        use std::os::unix::fs::OpenOptionsExt as _;
        durable::create_folder(&self.jobs)?;
        check_space(&self.jobs)?;
        let name = format!(".scratch-{}", self.free_id());
        let path = self.jobs.join(name);
        let making = || format!("cannot make a file in `{}`", self.jobs.display());
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path).doing(making)?;
        fs::remove_file(&path).doing(making)?;
        Ok(file)
    }

    /// Every job, oldest first; one whose state cannot be read comes last, with the reason.
    pub fn jobs(&self) -> Result<Vec<Listed>> {
        let mut jobs = Vec::new();
        for id in self.ids()? {
            let folder = self.folder(&id);
            let state = read_state(&folder, &id);
            // Removed while we looked.
            if state.is_err() && !folder.exists() {
                continue;
            }
            let (is_running, holder) = lock::look(&folder.join("lock"))?;
            jobs.push(Listed {
                id,
                state,
                is_running,
                holder,
            });
        }
        jobs.sort_by_cached_key(|job| match &job.state {
            Ok(state) => (false, state.started.clone(), job.id.clone()),
            Err(_) => (true, String::new(), job.id.clone()),
        });
        Ok(jobs)
    }

    fn ids(&self) -> Result<Vec<JobId>> {
        let names = self.names()?;
        Ok(names
            .iter()
            .filter_map(|name| JobId::parse(name).ok())
            .collect())
    }

    fn names(&self) -> Result<Vec<String>> {
        let listing = || format!("cannot list `{}`", self.jobs.display());
        let mut names = Vec::new();
        let entries = match fs::read_dir(&self.jobs) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
            entries => entries.doing(listing)?,
        };
        for entry in entries {
            names.extend(entry.doing(listing)?.file_name().into_string());
        }
        Ok(names)
    }

    /// A new job with its first `state.json`, durable and locked.
    pub fn create(&self, spec: &Spec, store: StoreKind) -> Result<JobFolder> {
        self.create_with(spec, store, |_| Ok(()))
    }

    /// A new job with what `fill` writes into its folder: a crash leaves all of it, or no job at all.
    pub fn create_with(
        &self,
        spec: &Spec,
        store: StoreKind,
        fill: impl FnOnce(&JobFolder) -> Result<()>,
    ) -> Result<JobFolder> {
        let id = self.free_id();
        let hidden = self.jobs.join(format!(".new-{id}"));
        durable::create_folder(&hidden)?;
        let lock = Lock::take(&hidden.join("lock"), &format!("job {id}"))?;
        let state = State::new(id.clone(), spec.clone(), store);
        durable::write(&hidden.join("state.json"), &state.to_json()?)?;
        let folder = JobFolder::locked(id.clone(), hidden.clone(), lock, self.around.clone());
        fill(&folder)?;
        let path = self.folder(&id);
        durable::rename(&hidden, &path)?;
        Ok(folder.moved_to(path))
    }

    fn free_id(&self) -> JobId {
        let mut id = JobId::random();
        while self.folder(&id).exists() {
            id = JobId::random();
        }
        id
    }

    /// Takes the lock of a job that exists. [`Kind::Locked`] names who holds it.
    pub fn open_job(&self, id: &JobId) -> Result<JobFolder> {
        let folder = self.folder(id);
        if !folder.exists() {
            return Err(Error::new(Kind::NotFound, format!("there is no job {id}"))
                .with_hint("`elysiactl jobs ls` lists the jobs"));
        }
        let lock = Lock::take(&folder.join("lock"), &format!("job {id}"))?;
        Ok(JobFolder::locked(
            id.clone(),
            folder,
            lock,
            self.around.clone(),
        ))
    }

    /// Takes the lock of a job and deletes it: see [`JobFolder::remove`].
    pub fn remove(&self, id: &JobId) -> Result<()> {
        self.open_job(id)?.remove()
    }

    /// Deletes what crashes left under hidden names. What cannot be deleted does no harm.
    fn sweep(&self) {
        for name in self.names().unwrap_or_default() {
            let path = self.jobs.join(&name);
            let is_left = name.starts_with(".removed-") && !is_held(&path)
                || name.starts_with(".new-") && !is_held(&path) && is_older(&path, LEFT_BEHIND);
            if is_left {
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

fn is_held(folder: &Path) -> bool {
    // Doubt counts as held: the folder stays.
    lock::look(&folder.join("lock")).map_or(true, |(is_held, _)| is_held)
}

fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified
        .ok()
        .and_then(|time| SystemTime::now().duration_since(time).ok())
        .is_some_and(|passed| passed > age)
}

fn check_writable(dir: &Path) -> Result<()> {
    let probe = dir.join(format!(".probe-{}", uuid::Uuid::new_v4().simple()));
    let doing = || format!("cannot write into `{}`", dir.display());
    fs::File::create_new(&probe).doing(doing)?;
    fs::remove_file(&probe).doing(doing)
}

/// Fails as [`Kind::Exhausted`] with less than 64 MB free on the file system of `path`.
pub(super) fn check_space(path: &Path) -> Result<()> {
    let found = rustix::fs::statvfs(path).map_err(std::io::Error::from);
    let found = found.doing(|| format!("cannot tell the free space of `{}`", path.display()))?;
    enough(found.f_bavail.saturating_mul(found.f_frsize), path)
}

fn enough(free: u64, path: &Path) -> Result<()> {
    if free >= MIN_FREE_BYTES {
        return Ok(());
    }
    let message = format!(
        "only {} MB are free for the journal at `{}`, {} MB are needed",
        free >> 20,
        path.display(),
        MIN_FREE_BYTES >> 20
    );
    Err(Error::new(Kind::Exhausted, message)
        .with_hint("make room there, or choose another place with `--state-dir`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_64_mb_of_room_is_refused_with_the_numbers() {
        assert!(enough(64 << 20, Path::new("/s")).is_ok());
        let error = enough((64 << 20) - 1, Path::new("/s")).unwrap_err();
        assert_eq!(error.kind(), Kind::Exhausted);
        assert!(error.message().contains("63 MB") && error.hint().unwrap().contains("--state-dir"));
    }
}
