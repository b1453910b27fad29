//! The lock of a job: held by the operating system for as long as a process lives, so a killed one never keeps it.
//!
//! The content of the file only says who holds it, for people.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext, Kind, Result};

/// Somebody who only looks whether a job runs holds the lock for a moment.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// Who holds a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its host, if it could be told.
    pub host: Option<String>,
    /// When it took the lock, RFC 3339.
    pub since: String,
}

impl Holder {
    /// This process, now.
    pub fn this() -> Self {
        Holder {
            pid: std::process::id(),
            host: host(),
            since: super::state::now(),
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}", self.pid)?;
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        write!(f, " since {}", self.since)
    }
}

/// The name of this host.
pub(super) fn host() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// A lock that is held; released when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `what` and writes who holds it.
    pub(super) fn take(path: &Path, what: &str) -> Result<Lock> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .doing(|| format!("cannot open `{}`", path.display()))?;
        if !acquire(&file).doing(|| format!("cannot lock `{}`", path.display()))? {
            return Err(held(&mut file, what));
        }
        if !is_at(&file, path) {
            return Err(Error::new(
                Kind::NotFound,
                format!("{what} was removed just now"),
            ));
        }
        write_holder(&mut file).doing(|| format!("cannot write `{}`", path.display()))?;
        Ok(Lock { _file: file })
    }
}

/// Whether somebody holds the lock at the moment, and who, if that is written already.
pub(super) fn look(path: &Path) -> Result<(bool, Option<Holder>)> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok((false, None)),
        Err(cause) => return Err(cause).doing(|| format!("cannot open `{}`", path.display())),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok((false, None)),
        Err(TryLockError::WouldBlock) => Ok((true, read_holder(&mut file))),
        Err(TryLockError::Error(cause)) => {
            Err(cause).doing(|| format!("cannot lock `{}`", path.display()))
        }
    }
}

fn acquire(file: &File) -> std::io::Result<bool> {
    for left in (0..TRIES).rev() {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if left > 0 => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
    }
    Ok(false)
}

fn held(file: &mut File, what: &str) -> Error {
    let by =
        read_holder(file).map_or_else(|| "another run".to_owned(), |holder| holder.to_string());
    Error::new(Kind::Locked, format!("{what} is held by {by}"))
        .with_hint("wait until that run is over, or stop it")
}

/// False if the file was deleted or replaced while we waited for it.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    let text = serde_json::to_vec(&Holder::this())?;
    file.set_len(0)?;
    file.write_all(&text)
}

/// What the lock file says; `None` if its holder has not written it yet.
fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
