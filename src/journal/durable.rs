//! Small files that are durable on return, private to their owner.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{IoContext, Result};

/// Puts `bytes` in place of the file: a reader sees the old content or the new one, whatever happens.
/// One writer at a time.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_added_extension("tmp");
    let doing = || format!("cannot write `{}`", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .doing(doing)?;
    file.write_all(bytes)
        // The content must be durable before the name points at it.
        .and_then(|()| file.sync_data())
        .and_then(|()| fs::rename(&temporary, path))
        .doing(doing)?;
    sync_parent(path)
}

/// Reads a file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause).doing(|| format!("cannot read `{}`", path.display())),
    }
}

/// Makes what was created, renamed or deleted in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .doing(|| format!("cannot sync `{}`", path.display()))
}

/// Makes the name of `path` durable.
pub(super) fn sync_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// Renames and makes that durable; both names lie in the same folder.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .doing(|| format!("cannot rename `{}` to `{}`", from.display(), to.display()))?;
    sync_parent(to)
}

/// Makes a folder with everything above it that is missing; a folder that exists stays as it is.
pub(super) fn create_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .doing(|| format!("cannot create `{}`", path.display()))
}

/// Deletes a folder with everything in it; one that is gone is fine.
pub(super) fn delete_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(cause).doing(|| format!("cannot delete `{}`", path.display()))
        }
        _ => sync_parent(path),
    }
}
