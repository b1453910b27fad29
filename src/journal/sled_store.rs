//! Records in sled: the only place that names it.
//!
//! What sled 0.34.7 was measured to do decides every line. `flush` is not fsync on Linux, so our own handle of its
//! file is synced after it. A torn `*.generating` snapshot, left by a full disk, makes `open` fail for ever, so it is
//! deleted first (the job's lock is ours). Damage may show as a panic, in `open` and later: each is caught and told
//! as an error. There is no background flushing: only a commit writes.

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::ledger::{Changes, Ledger, Medium, Take};
use super::record::damaged;
use crate::error::{Error, IoContext, Kind, Result};
use crate::job::{Job, JobId};
use crate::journal::{KeptIds, Store};

const CACHE_BYTES: u64 = 16 << 20;
const CLOSING_TRIES: u32 = 2_000;
const CLOSING_PAUSE: Duration = Duration::from_millis(1);

/// Opens the database in `dir`, or makes it, and reads it. The caller holds the lock of the job.
pub(super) fn open(dir: &Path, id: &JobId) -> Result<(Box<dyn Store>, Job, KeptIds)> {
    delete_torn_snapshots(dir)?;
    let (dir, id) = (dir.to_owned(), id.clone());
    // A thread of its own: sled must neither run in an async task, nor take the caller's thread down with it.
    let opening = thread::Builder::new()
        .name("journal-open".into())
        .spawn(move || -> Result<(Box<dyn Store>, Job, KeptIds)> {
            let (ledger, job, ids) = Ledger::open(SledMedium::open(&dir)?, &id)?;
            make_private(&dir)?;
            Ok((Box::new(ledger), job, ids))
        })
        .doing(|| "cannot start a thread to open the journal".into())?;
    match opening.join() {
        Ok(opened) => opened,
        Err(panic) => Err(from_panic(panic)),
    }
}

/// sled makes its files readable to all; the folder around them is not, but a copy of it may be.
fn make_private(dir: &Path) -> Result<()> {
    let doing = || format!("cannot make `{}` private", dir.display());
    for entry in fs::read_dir(dir).doing(doing)? {
        let path = entry.doing(doing)?.path();
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).doing(doing)?;
    }
    Ok(())
}

fn delete_torn_snapshots(dir: &Path) -> Result<()> {
    let listing = || format!("cannot list `{}`", dir.display());
    for entry in fs::read_dir(dir).doing(listing)? {
        let path = entry.doing(listing)?.path();
        if path
            .extension()
            .is_some_and(|ending| ending == "generating")
        {
            fs::remove_file(&path).doing(|| format!("cannot delete `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// A database, and our own handle of its file.
pub(super) struct SledMedium {
    /// `None` only while it is dropped.
    db: Option<sled::Db>,
    file: File,
    dir: PathBuf,
}

impl SledMedium {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let db = sled::Config::new()
            .path(dir)
            .mode(sled::Mode::LowSpace)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(|error| from_sled(error, dir))?;
        let path = dir.join("db");
        let file = File::open(&path).doing(|| format!("cannot open `{}`", path.display()))?;
        Ok(SledMedium {
            db: Some(db),
            file,
            dir: dir.to_owned(),
        })
    }

    /// Runs an operation of sled; a panic in it becomes an error.
    fn guarded<T>(&self, work: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T> {
        let Some(db) = &self.db else {
            return Err(Error::new(Kind::Failed, "the journal is closed"));
        };
        match catch_unwind(AssertUnwindSafe(|| work(db))) {
            Ok(outcome) => outcome.map_err(|error| from_sled(error, &self.dir)),
            Err(panic) => Err(from_panic(panic)),
        }
    }
}

impl Medium for SledMedium {
    fn load(&mut self, take: &mut Take<'_>) -> Result<()> {
        let mut records = self.guarded(|db| Ok(db.iter()))?;
        while let Some((address, value)) = self.guarded(|_| records.next().transpose())? {
            take(&address, Some(&value))?;
        }
        Ok(())
    }

    fn write(&mut self, changes: &Changes) -> Result<()> {
        let mut batch = sled::Batch::default();
        for (address, value) in changes {
            match value {
                Some(value) => batch.insert(address.to_bytes(), value.as_slice()),
                None => batch.remove(address.to_bytes()),
            }
        }
        self.guarded(|db| db.apply_batch(batch))
    }

    fn flush(&mut self) -> Result<()> {
        self.guarded(|db| db.flush()).map(drop)
    }

    fn sync_data(&mut self) -> Result<()> {
        self.file
            .sync_data()
            .doing(|| format!("cannot sync the journal in `{}`", self.dir.display()))
    }
}

impl Drop for SledMedium {
    fn drop(&mut self) {
        let db = self.db.take();
        // sled flushes when it is dropped, and may panic again over what it could not write before.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
        self.wait_until_closed();
    }
}

impl SledMedium {
    /// sled's own threads may hold the file for a moment longer: who drops a journal must be able to open it again,
    /// and nobody may write to it once the lock of the job is given back.
    fn wait_until_closed(&self) {
        for _ in 0..CLOSING_TRIES {
            match self.file.try_lock() {
                Err(TryLockError::WouldBlock) => thread::sleep(CLOSING_PAUSE),
                _ => return,
            }
        }
    }
}

fn from_sled(error: sled::Error, dir: &Path) -> Error {
    match error {
        sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock") => {
            Error::new(
                Kind::Locked,
                format!("the journal in `{}` is open already", dir.display()),
            )
        }
        sled::Error::Io(cause) if is_of_the_system(&cause) => system_failed(cause, dir),
        error => damaged(&error).with_cause(error),
    }
}

fn system_failed(cause: std::io::Error, dir: &Path) -> Error {
    let outcome: std::io::Result<Error> = Err(cause);
    outcome
        .doing(|| format!("cannot use the journal in `{}`", dir.display()))
        .unwrap_or_else(|error| error)
}

/// True if the system failed; otherwise the error is about what sled has read.
fn is_of_the_system(cause: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    // sled copies errors, and a copy loses the system's number.
    cause.raw_os_error().is_some()
        || !matches!(
            cause.kind(),
            InvalidData | InvalidInput | Other | UnexpectedEof
        )
}

fn from_panic(panic: Box<dyn std::any::Any + Send>) -> Error {
    let words = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    damaged(words.unwrap_or_else(|| "sled gave up".into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::job::Step;

    #[test]
    fn every_commit_syncs_the_file_of_the_database() {
        let dir = tempfile::tempdir().unwrap();
        let mut medium = SledMedium::open(dir.path()).unwrap();
        let inode = |file: &File| file.metadata().unwrap().ino();
        assert_eq!(
            inode(&medium.file),
            inode(&File::open(dir.path().join("db")).unwrap())
        );
        // A device that cannot be synced: the commit must fail, because it must try.
        medium.file = File::open("/dev/null").unwrap();
        let (mut ledger, ..) = Ledger::open(medium, &JobId::random()).unwrap();
        assert!(ledger.append(&[Step::Planned.into()]).is_err());
    }

    #[test]
    fn a_panic_of_sled_is_an_error_of_the_commit() {
        let dir = tempfile::tempdir().unwrap();
        let medium = SledMedium::open(dir.path()).unwrap();
        let error = medium.guarded::<()>(|_| panic!("page 3 is gone"));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::JournalDamaged);
        assert!(error.message().contains("page 3 is gone"), "{error}");
    }

    #[test]
    fn a_journal_that_was_dropped_is_closed() {
        let (dir, id) = (tempfile::tempdir().unwrap(), JobId::random());
        for commit in crate::journal::story::short_story(40) {
            let (mut store, ..) = open(dir.path(), &id).unwrap();
            store.append(&commit).unwrap();
            drop(store);
            let file = File::open(dir.path().join("db")).unwrap();
            assert!(file.try_lock().is_ok(), "sled still holds its file");
        }
    }

    #[test]
    fn a_full_disk_is_not_damage_and_a_short_file_is() {
        use std::io::ErrorKind::{StorageFull, UnexpectedEof};
        let kind = |kind: std::io::ErrorKind| {
            // sled's copies of an error have no number any more.
            let error = std::io::Error::new(kind, "copied");
            from_sled(sled::Error::Io(error), Path::new("/j")).kind()
        };
        assert_eq!(kind(StorageFull), Kind::Exhausted);
        assert_eq!(kind(UnexpectedEof), Kind::JournalDamaged);
    }
}
