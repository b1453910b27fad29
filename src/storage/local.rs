//! A folder of this machine. Files are made 0600 and folders 0700; existing ones keep their mode.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{Handle, Storage};
use crate::error::{Error, IoContext as _, Kind, Result};

/// A local folder.
#[derive(Clone, Debug)]
pub struct Local {
    root: PathBuf,
}

impl Local {
    /// The folder `root`, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Local { root: root.into() }
    }

    /// Makes the folder if it is missing and writes a probe into it.
    pub fn check_writable(&self) -> Result<()> {
        let probe = format!(".probe-{}", uuid::Uuid::new_v4().simple());
        self.make_folder("")?;
        self.put(&probe, b"")?;
        self.remove(&probe)
    }

    fn parent(&self, key: &str) -> PathBuf {
        match key.rsplit_once('/') {
            Some((folder, _)) => self.path(folder),
            None => self.path(""),
        }
    }
}

/// The path of a file beside `path` that stands for it until it is whole.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{}.tmp", name.trim_start_matches('.')))
}

fn open(path: &Path, options: &mut OpenOptions) -> Result<LocalFile> {
    let file = options.mode(0o600).open(path);
    let file = file.doing(|| format!("cannot open `{}`", path.display()))?;
    Ok(LocalFile {
        file,
        path: path.to_owned(),
    })
}

impl Storage for Local {
    fn make_folder(&self, key: &str) -> Result<()> {
        let path = self.path(key);
        let outcome = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        outcome.doing(|| format!("cannot make the folder `{}`", path.display()))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let (path, temporary) = (self.path(key), beside(&self.path(key)));
        let file = open(
            &temporary,
            OpenOptions::new().write(true).create(true).truncate(true),
        )?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        fs::rename(&temporary, &path).doing(|| format!("cannot write `{}`", path.display()))?;
        sync_folder(&self.parent(key))
    }

    fn edit(&self, key: &str) -> Result<Box<dyn Handle>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Ok(Box::new(open(&self.path(key), &mut options)?))
    }

    fn read(&self, key: &str) -> Result<Box<dyn Handle>> {
        Ok(Box::new(open(
            &self.path(key),
            OpenOptions::new().read(true),
        )?))
    }

    fn exists(&self, key: &str) -> Result<bool> {
        let path = self.path(key);
        match path.try_exists() {
            // Below a file there is nothing.
            Err(cause) if cause.kind() == ErrorKind::NotADirectory => Ok(false),
            exists => exists.doing(|| format!("cannot look for `{}`", path.display())),
        }
    }

    fn is_folder(&self, key: &str) -> Result<bool> {
        Ok(self.exists(key)? && self.path(key).is_dir())
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        let path = self.path(folder);
        let entries = match fs::read_dir(&path) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing(|| format!("cannot list `{}`", path.display()))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.doing(|| format!("cannot list `{}`", path.display()))?;
            let about = match entry.metadata() {
                // Somebody else is at work here, and this was of the moment.
                Err(cause) if cause.kind() == ErrorKind::NotFound => continue,
                about => about.doing(|| format!("cannot list `{}`", path.display()))?,
            };
            found.push((
                entry.file_name().to_string_lossy().into_owned(),
                about.len(),
            ));
        }
        found.sort();
        Ok(found)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        rename_without_replacing(&self.path(from), &self.path(to))?;
        sync_folder(&self.parent(to))
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        let (from, path) = (self.path(from), self.path(to));
        fs::rename(&from, &path).doing(|| cannot_rename(&from, &path))?;
        sync_folder(&self.parent(to))
    }

    fn remove(&self, key: &str) -> Result<()> {
        let path = self.path(key);
        let outcome = match fs::symlink_metadata(&path) {
            Ok(about) if about.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(cause) => Err(cause),
        };
        match outcome {
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
            outcome => outcome.doing(|| format!("cannot remove `{}`", path.display())),
        }
    }

    fn sync_folder(&self, key: &str) -> Result<()> {
        sync_folder(&self.path(key))
    }

    fn free_bytes(&self) -> Result<u64> {
        let about = rustix::fs::statvfs(&self.root).map_err(std::io::Error::from);
        let about = about
            .doing(|| format!("cannot ask for the free space of `{}`", self.root.display()))?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }

    fn path(&self, key: &str) -> PathBuf {
        match key {
            "" => self.root.clone(),
            key => self.root.join(key),
        }
    }
}

fn sync_folder(path: &Path) -> Result<()> {
    // A relative destination such as `backups` has the empty parent.
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .doing(|| format!("cannot make `{}` durable", path.display()))
}

fn rename_without_replacing(from: &Path, to: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST | Errno::NOTEMPTY) => Err(taken(to)),
        // Network file systems and old kernels know no such flag; there the check must do.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match fs::symlink_metadata(to) {
            Ok(_) => Err(taken(to)),
            Err(_) => fs::rename(from, to).doing(|| cannot_rename(from, to)),
        },
        outcome => outcome
            .map_err(std::io::Error::from)
            .doing(|| cannot_rename(from, to)),
    }
}

fn cannot_rename(from: &Path, to: &Path) -> String {
    format!("cannot rename `{}` to `{}`", from.display(), to.display())
}

fn taken(path: &Path) -> Error {
    Error::new(
        Kind::Mismatch,
        format!("`{}` exists already and is never replaced", path.display()),
    )
    .with_hint("move it away, then resume")
}

struct LocalFile {
    file: File,
    path: PathBuf,
}

impl Handle for LocalFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        match self.file.read_exact_at(buffer, offset) {
            Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => Err(Error::new(
                Kind::Difference,
                format!(
                    "`{}` is cut off: it ends before byte {}",
                    self.path.display(),
                    offset + buffer.len() as u64
                ),
            )),
            outcome => outcome.doing(|| format!("cannot read `{}`", self.path.display())),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let outcome = self.file.write_all_at(bytes, offset);
        outcome.doing(|| format!("cannot write `{}`", self.path.display()))
    }

    fn length(&self) -> Result<u64> {
        let about = self.file.metadata();
        Ok(about
            .doing(|| format!("cannot measure `{}`", self.path.display()))?
            .len())
    }

    fn truncate(&self, length: u64) -> Result<()> {
        self.file
            .set_len(length)
            .doing(|| format!("cannot cut `{}`", self.path.display()))
    }

    fn sync(&self) -> Result<()> {
        self.file
            .sync_data()
            .doing(|| format!("cannot make `{}` durable", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn folder() -> (tempfile::TempDir, Local) {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::at(folder.path().join("deep/er"));
        local.make_folder("").unwrap();
        (folder, local)
    }

    #[test]
    fn a_rename_never_replaces() {
        let (_folder, local) = folder();
        local.put("a", b"a").unwrap();
        local.put("b", b"b").unwrap();
        assert_eq!(local.rename("a", "b").unwrap_err().kind(), Kind::Mismatch);
        local.make_folder("c").unwrap();
        local.make_folder("d").unwrap();
        assert_eq!(local.rename("c", "d").unwrap_err().kind(), Kind::Mismatch);
        local.rename("a", "e").unwrap();
        assert_eq!(
            local
                .list("")
                .unwrap()
                .iter()
                .map(|entry| entry.0.as_str())
                .collect::<Vec<_>>(),
            ["b", "c", "d", "e"]
        );
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let (_folder, local) = folder();
        local.put("a", b"a").unwrap();
        let mode = |key: &str| fs::metadata(local.path(key)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a"), mode("")), (0o600, 0o700));
    }

    #[test]
    fn put_replaces_whole_and_leaves_nothing_beside() {
        let (_folder, local) = folder();
        local.put("a", b"longer").unwrap();
        local.put("a", b"new").unwrap();
        assert_eq!(fs::read(local.path("a")).unwrap(), b"new");
        assert_eq!(local.list("").unwrap(), [("a".to_owned(), 3)]);
        local.remove("a").unwrap();
        local.remove("a").unwrap();
        assert!(!local.exists("a").unwrap());
        assert_eq!(local.read("a").err().unwrap().kind(), Kind::NotFound);
    }
}
