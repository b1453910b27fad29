//! The folder of one job, under its lock: `lock`, `journal/`, `state.json`, `obligations.json`, `definition.json`,
//! `rejects.jsonl`, `report.json`, `verification.json`.
//!
//! Everything here but [`Rejects::append`] is durable on return. What exists only once (a definition before its
//! collection is dropped, tenants to put to sleep again) lies in plain files, because a journal may silently go back.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lock::Lock;
use super::record::damaged;
use super::{Around, Obligation, Opened, Rejects, Rollback, State, StoreKind};
use super::{durable, file_store, obligation, sled_store, state};
use crate::error::{Error, Kind, Result};
use crate::job::{JobId, JobKind};

/// A job that this process may work on; the lock is released when it is dropped.
#[derive(Debug)]
pub struct JobFolder {
    id: JobId,
    path: PathBuf,
    /// One writer at a time: files are replaced by way of a temporary name.
    writing: Mutex<()>,
    around: Around,
    _lock: Lock,
}

impl JobFolder {
    pub(super) fn locked(id: JobId, path: PathBuf, lock: Lock, around: Around) -> Self {
        JobFolder {
            id,
            path,
            writing: Mutex::default(),
            around,
            _lock: lock,
        }
    }

    pub(super) fn moved_to(self, path: PathBuf) -> Self {
        JobFolder { path, ..self }
    }

    /// The job.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        // Whoever panicked left the old file or the new one.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the journal, or makes it if the job has committed nothing yet, and reads it.
    ///
    /// Fails as [`Kind::JournalDamaged`] if it is missing, empty or not what was written although `state.json` names
    /// a commit. So write the state after the first commit. One that is merely older is told in [`Opened::rollback`].
    pub fn open_store(&self) -> Result<Opened> {
        let state = self.state()?;
        let opened = self.open_for(&state);
        opened.map_err(|error| match error.kind() {
            Kind::JournalDamaged => error.with_hint(hint(state.spec.identity.kind)),
            _ => error,
        })
    }

    fn open_for(&self, state: &State) -> Result<Opened> {
        let dir = self.file("journal");
        if state.is_done && !dir.exists() {
            return Err(Error::new(
                Kind::Failed,
                format!("job {} is done, its journal is deleted", self.id),
            ));
        }
        check_is_there(dir.exists(), state)?;
        durable::create_folder(&dir)?;
        let (store, job, ids) = match state.store {
            StoreKind::Sled => sled_store::open(&dir, &self.id)?,
            StoreKind::File => file_store::open(&dir, &self.id)?,
        };
        // The names of the journal's files, and its own.
        durable::sync_folder(&dir)?;
        durable::sync_folder(&self.path)?;
        let (expected, found) = (state.commit_number, store.last_number());
        check_is_there(found > 0, state)?;
        Ok(Opened {
            store: self.around.put(store),
            job,
            ids,
            rollback: (found < expected).then_some(Rollback { expected, found }),
        })
    }

    /// Reads `state.json`.
    pub fn state(&self) -> Result<State> {
        read_state(&self.path, &self.id)
    }

    /// Replaces `state.json`, with the time of writing. Name only commits that have returned.
    pub fn write_state(&self, state: &State) -> Result<()> {
        self.update_state(|now| *now = state.clone()).map(drop)
    }

    /// Reads `state.json`, changes it and replaces it, one caller at a time; returns what was written. Durable on return.
    pub fn update_state(&self, change: impl FnOnce(&mut State)) -> Result<State> {
        self.change_state(change, durable::write)
    }

    /// As [`JobFolder::update_state`] for what the journal holds as well: after a crash the state before may be there.
    pub fn note_state(&self, change: impl FnOnce(&mut State)) -> Result<State> {
        self.change_state(change, durable::write_soon)
    }

    fn change_state(
        &self,
        change: impl FnOnce(&mut State),
        write: impl FnOnce(&Path, &[u8]) -> Result<()>,
    ) -> Result<State> {
        let _writing = self.writing();
        let mut state = self.state()?;
        change(&mut state);
        state.updated = state::now();
        write(&self.file("state.json"), &state.to_json()?)?;
        Ok(state)
    }

    /// Opens `rejects.jsonl`.
    pub fn rejects(&self) -> Result<Rejects> {
        let rejects = Rejects::open(&self.file("rejects.jsonl"))?;
        durable::sync_folder(&self.path)?;
        Ok(rejects)
    }

    /// What is still owed, in the order in which it became due.
    pub fn obligations(&self) -> Result<Vec<Obligation>> {
        let path = self.file("obligations.json");
        match durable::read(&path)? {
            Some(bytes) => obligation::decode(&bytes).map_err(|error| error.within(path.display())),
            None => Ok(Vec::new()),
        }
    }

    /// Writes down an obligation before the effect that makes it due; one that is written already stays once.
    pub fn save_obligation(&self, obligation: &Obligation) -> Result<()> {
        self.change_obligations(|all| {
            if !all.contains(obligation) {
                all.push(obligation.clone());
            }
        })
    }

    /// Strikes out an obligation after it was met; one that is not there is fine.
    pub fn discharge(&self, obligation: &Obligation) -> Result<()> {
        self.change_obligations(|all| all.retain(|other| other != obligation))
    }

    fn change_obligations(&self, change: impl FnOnce(&mut Vec<Obligation>)) -> Result<()> {
        let _writing = self.writing();
        let mut obligations = self.obligations()?;
        change(&mut obligations);
        let bytes = obligation::encode(&obligations)?;
        durable::write(&self.file("obligations.json"), &bytes)
    }

    /// Writes `definition.json`: to be done before the collection is dropped that it defines.
    pub fn save_definition(&self, text: &str) -> Result<()> {
        let _writing = self.writing();
        durable::write(&self.file("definition.json"), text.as_bytes())
    }

    /// The text of `definition.json`, if it was written.
    pub fn definition(&self) -> Result<Option<String>> {
        self.text("definition.json")
    }

    /// Writes `report.json`.
    pub fn write_report(&self, text: &str) -> Result<()> {
        let _writing = self.writing();
        durable::write(&self.file("report.json"), text.as_bytes())
    }

    /// The text of `report.json`, if it was written.
    pub fn report(&self) -> Result<Option<String>> {
        self.text("report.json")
    }

    /// Writes `verification.json`: what a comparison at the end of the job found.
    pub fn write_verification(&self, text: &str) -> Result<()> {
        let _writing = self.writing();
        durable::write(&self.file("verification.json"), text.as_bytes())
    }

    /// The text of `verification.json`, if it was written.
    pub fn verification(&self) -> Result<Option<String>> {
        self.text("verification.json")
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        let path = self.file(name);
        let text = durable::read(&path)?.map(String::from_utf8).transpose();
        text.map_err(|cause| {
            let message = format!("`{}` is not text", path.display());
            Error::new(Kind::Failed, message).with_cause(cause)
        })
    }

    /// Renames a damaged journal to `journal.damaged-<time>` and returns its new place; `None` if there is none.
    /// The next [`JobFolder::open_store`] makes a new one. Every store of this job must be dropped before.
    pub fn set_journal_aside(&self) -> Result<Option<PathBuf>> {
        let aside = self.move_journal()?;
        // After the rename: a crash in between finds a job without its journal, which is said, not a fresh job.
        let mut state = self.state()?;
        state.commit_number = 0;
        self.write_state(&state)?;
        Ok(aside)
    }

    fn move_journal(&self) -> Result<Option<PathBuf>> {
        let from = self.file("journal");
        if !from.exists() {
            return Ok(None);
        }
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S");
        let name = format!("journal.damaged-{time}");
        let names = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}-{n}")));
        let free = names.map(|name| self.file(&name)).find(|to| !to.exists());
        let to = free.unwrap_or_else(|| self.file(&name)); // one of endlessly many is free
        durable::rename(&from, &to)?;
        Ok(Some(to))
    }

    /// Deletes the journal of a job that is done: write that state first. Summary, report and rejects stay.
    pub fn delete_journal(&self) -> Result<()> {
        durable::delete_folder(&self.file("journal"))
    }

    /// Fails as [`Kind::Exhausted`] if the file system is about to be full: to be asked before each group of batches.
    pub fn check_space(&self) -> Result<()> {
        super::state_dir::check_space(&self.path)
    }

    /// Deletes the folder with everything in it. Refused while something is owed: discharge it first.
    pub fn remove(self) -> Result<()> {
        let owed = self.obligations()?.len();
        if owed > 0 {
            return Err(Error::new(
                Kind::Mismatch,
                format!("job {} still has {owed} obligations to meet", self.id),
            )
            .with_hint(format!(
                "they are listed in `{}`",
                self.file("obligations.json").display()
            )));
        }
        // Under another name first, so that a crash leaves no half of a job.
        let gone = self.path.with_file_name(format!(".removed-{}", self.id));
        durable::delete_folder(&gone)?;
        durable::rename(&self.path, &gone)?;
        durable::delete_folder(&gone)
    }
}

fn check_is_there(is_there: bool, state: &State) -> Result<()> {
    if is_there || state.commit_number == 0 {
        return Ok(());
    }
    Err(damaged(format!(
        "{} commits were acknowledged, none is there",
        state.commit_number
    )))
}

/// How to go on without a journal (DESIGN "Journal").
fn hint(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Backup => "start the backup anew with `--restart`",
        JobKind::Restore => {
            "go on with `--restart --merge`: objects that are there already are only written again"
        }
        JobKind::Clear => {
            "run the clear again with `--restart`; a collection that was dropped is made anew from `definition.json`"
        }
        JobKind::Copy => {
            "go on with `--restart --merge`: objects that are there already are only written again"
        }
    }
}

/// Reads the `state.json` of a job's folder.
pub(super) fn read_state(folder: &Path, id: &JobId) -> Result<State> {
    let path = folder.join("state.json");
    let Some(bytes) = durable::read(&path)? else {
        return Err(Error::new(
            Kind::JournalDamaged,
            format!("`{}` is missing", path.display()),
        ));
    };
    State::parse(&bytes, id).map_err(|error| error.within(format!("`{}`", path.display())))
}
