//! `rejects.jsonl`: one line per object that was refused. Its committed length is part of every receipt.
//!
//! Lines beyond the committed length belong to a batch that is repeated, so a resume cuts them off. The order is
//! `append` → `sync` → commit of the receipt that names the new length.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Kind, Result};

/// The file, open for appending.
#[derive(Debug)]
pub struct Rejects {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Rejects {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let doing = || format!("cannot open `{}`", path.display());
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .doing(doing)?;
        let length = file.metadata().doing(doing)?.len();
        Ok(Rejects {
            file,
            path: path.to_owned(),
            length,
        })
    }

    /// The length of the file in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds one line each and returns the new length. Not durable before [`Rejects::sync`]. After an error the
    /// file ends where it ended before, as far as that can still be brought about.
    pub fn append<L: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = L>) -> Result<u64> {
        let mut text = String::new();
        for line in lines {
            text.push_str(line.as_ref());
            text.push('\n');
        }
        if let Err(cause) = self.file.write_all(text.as_bytes()) {
            // The write's error is the one to be told; a resume cuts what stays behind.
            let _ = self.file.set_len(self.length);
            return Err(cause).doing(|| format!("cannot write `{}`", self.path.display()));
        }
        self.length += text.len() as u64;
        Ok(self.length)
    }

    /// Makes everything appended durable.
    pub fn sync(&self) -> Result<()> {
        self.file
            .sync_data()
            .doing(|| format!("cannot sync `{}`", self.path.display()))
    }

    /// Cuts the file at its committed length, durably. A file that is shorter has lost lines that receipts count.
    pub fn truncate(&mut self, committed: u64) -> Result<()> {
        if self.length < committed {
            return Err(Error::new(
                Kind::JournalDamaged,
                format!(
                    "`{}` has {} bytes, {committed} were committed",
                    self.path.display(),
                    self.length
                ),
            ));
        }
        self.file
            .set_len(committed)
            .doing(|| format!("cannot cut `{}`", self.path.display()))?;
        self.length = committed;
        self.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(temp: &tempfile::TempDir) -> Rejects {
        Rejects::open(&temp.path().join("rejects.jsonl")).unwrap()
    }

    #[test]
    fn lines_beyond_the_committed_length_are_cut_off() {
        let temp = tempfile::tempdir().unwrap();
        let mut rejects = at(&temp);
        let committed = rejects.append(["{\"id\":1}", "{\"id\":2}"]).unwrap();
        rejects.append(["{\"id\":3}"]).unwrap();
        rejects.sync().unwrap();
        let mut rejects = at(&temp);
        rejects.truncate(committed).unwrap();
        assert_eq!(rejects.append(["{\"id\":4}"]).unwrap(), committed + 9);
        assert_eq!(
            std::fs::read_to_string(rejects.path()).unwrap(),
            "{\"id\":1}\n{\"id\":2}\n{\"id\":4}\n"
        );
    }

    #[test]
    fn a_file_shorter_than_committed_is_damage() {
        let temp = tempfile::tempdir().unwrap();
        let mut rejects = at(&temp);
        rejects.append(["x"]).unwrap();
        assert_eq!(
            rejects.truncate(3).unwrap_err().kind(),
            Kind::JournalDamaged
        );
        assert_eq!(rejects.length(), 2);
    }

    #[test]
    fn sync_syncs_the_file_and_a_full_disk_can_be_resumed() {
        let temp = tempfile::tempdir().unwrap();
        let mut rejects = at(&temp);
        // One device cannot be synced, the other is always full.
        rejects.file = File::open("/dev/null").unwrap();
        assert!(rejects.sync().is_err());
        rejects.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(rejects.append(["x"]).unwrap_err().kind(), Kind::Exhausted);
        assert_eq!(rejects.length(), 0);
    }
}
