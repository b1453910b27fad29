//! Small files that are durable on return, private to their owner.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{IoContext, Result};

/// The four acts of replacing a file; apart from their order, so that a test can watch it.
trait Disk {
    fn fill(&mut self, path: &Path, bytes: &[u8]) -> Result<()>;
    fn sync_data(&mut self) -> Result<()>;
    fn rename(&mut self, from: &Path, to: &Path) -> Result<()>;
    fn sync_folder(&mut self, path: &Path) -> Result<()>;
}

/// The file that is being filled.
#[derive(Default)]
struct RealDisk(Option<File>);

impl Disk for RealDisk {
    fn fill(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let doing = || format!("cannot write `{}`", path.display());
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(path).doing(doing)?;
        file.write_all(bytes).doing(doing)?;
        self.0 = Some(file);
        Ok(())
    }

    fn sync_data(&mut self) -> Result<()> {
        let outcome = self.0.take().map_or(Ok(()), |file| file.sync_data());
        outcome.doing(|| "cannot sync a file".into())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to)
            .doing(|| format!("cannot rename `{}` to `{}`", from.display(), to.display()))
    }

    fn sync_folder(&mut self, path: &Path) -> Result<()> {
        sync_folder(path)
    }
}

/// Puts `bytes` in place of the file: a reader sees the old content or the new one, whatever happens.
/// One writer at a time.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_on(&mut RealDisk::default(), path, bytes)
}

/// As [`write`], but after a crash the old content may be there: for what only sums up something else.
pub(super) fn write_soon(path: &Path, bytes: &[u8]) -> Result<()> {
    let (mut disk, temporary) = (RealDisk::default(), path.with_added_extension("tmp"));
    disk.fill(&temporary, bytes)?;
    disk.sync_data()?;
    disk.rename(&temporary, path)
}

fn write_on(disk: &mut impl Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_added_extension("tmp");
    disk.fill(&temporary, bytes)?;
    // The content must be durable before the name points at it.
    disk.sync_data()?;
    disk.rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => disk.sync_folder(folder),
        None => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder(Vec<String>);

    impl Disk for Recorder {
        fn fill(&mut self, path: &Path, _: &[u8]) -> Result<()> {
            self.0.push(format!("fill {}", path.display()));
            Ok(())
        }
        fn sync_data(&mut self) -> Result<()> {
            self.0.push("sync".into());
            Ok(())
        }
        fn rename(&mut self, _: &Path, to: &Path) -> Result<()> {
            self.0.push(format!("rename to {}", to.display()));
            Ok(())
        }
        fn sync_folder(&mut self, path: &Path) -> Result<()> {
            self.0.push(format!("sync folder {}", path.display()));
            Ok(())
        }
    }

    #[test]
    fn a_file_is_durable_before_it_has_its_name_and_the_name_before_we_return() {
        let mut disk = Recorder::default();
        write_on(&mut disk, Path::new("/j/state.json"), b"{}").unwrap();
        assert_eq!(
            disk.0,
            [
                "fill /j/state.json.tmp",
                "sync",
                "rename to /j/state.json",
                "sync folder /j"
            ]
        );
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x");
        write(&path, b"a longer text").unwrap();
        write(&path, b"short").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"short");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
