//! Records in one append-only file: a header, then one frame per commit.
//!
//! A frame is `length u32 ‖ CRC32(length) ‖ CRC32(payload) ‖ payload`, little-endian, the payload being the changes of
//! the commit. Each commit is one write and one fdatasync, so only the last frame can be torn, and it was never
//! acknowledged: it is cut off. A bad frame with a good one anywhere behind it is damage. Removed records stay in the
//! file: it grows by about 16 bytes an id, and is deleted with the job's journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ledger::{Changes, Ledger, Medium, Take};
use super::record::{Bytes, damaged, decode, encode, other_version};
use crate::error::{Error, IoContext, Kind, Result};
use crate::job::{Job, JobId};
use crate::journal::{KeptIds, Store};

const MAGIC: [u8; 8] = *b"elysijnl";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 13;
const FRAME_HEADER_BYTES: usize = 12;
const SCAN_BYTES: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Change<'a>(
    #[serde(borrow)] Bytes<'a>,
    #[serde(borrow)] Option<Bytes<'a>>,
);

/// Opens the file in `dir`, or makes it, and reads it. The caller holds the lock of the job.
pub(super) fn open(dir: &Path, id: &JobId) -> Result<(Box<dyn Store>, Job, KeptIds)> {
    let (ledger, job, ids) = Ledger::open(FileMedium::open(dir)?, id)?;
    Ok((Box::new(ledger), job, ids))
}

/// The file, positioned at its end once it is loaded.
pub(super) struct FileMedium {
    pub(super) file: File,
    path: PathBuf,
}

impl FileMedium {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("log");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .doing(|| format!("cannot open `{}`", path.display()))?;
        lock(&file, &path)?;
        Ok(FileMedium { file, path })
    }

    fn doing(&self, what: &str) -> String {
        format!("cannot {what} `{}`", self.path.display())
    }

    /// Writes the header of a new file, or checks it.
    fn begin(&mut self) -> Result<()> {
        let mut start = Vec::new();
        (&self.file)
            .take(HEADER_BYTES as u64)
            .read_to_end(&mut start)
            .doing(|| self.doing("read"))?;
        match version_of(&start) {
            Some(VERSION) => Ok(()),
            Some(version) => Err(other_version("journal files", version.into(), VERSION)),
            // Nothing was ever acknowledged in a file that ends within its header.
            None if self.length()? <= HEADER_BYTES as u64 => self.write_header(),
            None => Err(damaged(format!(
                "`{}` does not begin as a journal",
                self.path.display()
            ))),
        }
    }

    fn write_header(&mut self) -> Result<()> {
        self.cut(0)?;
        self.put(&header(VERSION))?;
        self.sync_data()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .doing(|| format!("cannot write `{}`", self.path.display()))
    }

    fn length(&self) -> Result<u64> {
        let metadata = self.file.metadata().doing(|| self.doing("read"))?;
        Ok(metadata.len())
    }

    /// Cuts the file at `end` and goes there.
    fn cut(&mut self, end: u64) -> Result<()> {
        self.file
            .set_len(end)
            .and_then(|()| self.file.seek(SeekFrom::Start(end)))
            .doing(|| format!("cannot cut `{}`", self.path.display()))?;
        Ok(())
    }

    /// Hands out the frames up to the first one that is not sound, and says where that is.
    fn read_frames(&self, take: &mut Take<'_>) -> Result<u64> {
        let (mut end, length) = (HEADER_BYTES as u64, self.length()?);
        let mut reader = BufReader::new(&self.file);
        let mut next = || read_frame(&mut reader).doing(|| self.doing("read"));
        while end < length
            && let Some(payload) = next()?
        {
            end += (FRAME_HEADER_BYTES + payload.len()) as u64;
            for Change(address, value) in decode::<Vec<Change<'_>>>(&payload)? {
                take(address.0, value.map(|value| value.0))?;
            }
        }
        Ok(end)
    }

    /// Fails if a sound frame lies beyond `end`: then what lies at `end` is no torn tail.
    fn check_tail(&self, end: u64) -> Result<()> {
        let (mut at, mut window) = (end + 1, vec![0; SCAN_BYTES]);
        loop {
            let count = read_some(&self.file, &mut window, at).doing(|| self.doing("read"))?;
            let starts = window[..count].windows(FRAME_HEADER_BYTES);
            for (offset, start) in starts.enumerate() {
                if length_of(start).is_some() && self.is_frame(at + offset as u64) {
                    return Err(damaged(format!(
                        "commits follow on damage at byte {end} of `{}`",
                        self.path.display()
                    )));
                }
            }
            if count < window.len() {
                return Ok(());
            }
            at += (count - FRAME_HEADER_BYTES + 1) as u64;
        }
    }

    fn is_frame(&self, at: u64) -> bool {
        let found = (&self.file)
            .seek(SeekFrom::Start(at))
            .and_then(|_| read_frame(&mut &self.file));
        matches!(found, Ok(Some(_)))
    }
}

impl Medium for FileMedium {
    fn load(&mut self, take: &mut Take<'_>) -> Result<()> {
        self.begin()?;
        let end = self.read_frames(take)?;
        let is_torn = end < self.length()?;
        if is_torn {
            self.check_tail(end)?;
        }
        self.cut(end)?;
        match is_torn {
            true => self.sync_data(),
            false => Ok(()),
        }
    }

    fn write(&mut self, changes: &Changes) -> Result<()> {
        let addresses: Vec<Vec<u8>> = changes.keys().map(|address| address.to_bytes()).collect();
        let values = changes.values().map(|value| value.as_deref().map(Bytes));
        let changes: Vec<Change<'_>> = addresses
            .iter()
            .zip(values)
            .map(|(address, value)| Change(Bytes(address), value))
            .collect();
        self.put(&frame(&encode(&changes)?)?)
    }

    /// Nothing is held back: `write` hands everything to the operating system.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn sync_data(&mut self) -> Result<()> {
        self.file
            .sync_data()
            .doing(|| format!("cannot sync `{}`", self.path.display()))
    }
}

fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            Kind::Locked,
            format!("the journal `{}` is open already", path.display()),
        )),
        Err(TryLockError::Error(cause)) => {
            Err(cause).doing(|| format!("cannot lock `{}`", path.display()))
        }
    }
}

fn header(version: u8) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8] = version;
    let sum = crc32fast::hash(&bytes[..9]);
    bytes[9..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The version that a sound header names.
fn version_of(start: &[u8]) -> Option<u8> {
    let version = *start.get(8)?;
    (start == header(version)).then_some(version)
}

fn frame(payload: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(payload.len())
        .map_err(|_| Error::new(Kind::Failed, "a commit is too large for the journal"))?
        .to_le_bytes();
    Ok([
        &length[..],
        &crc32fast::hash(&length).to_le_bytes(),
        &crc32fast::hash(payload).to_le_bytes(),
        payload,
    ]
    .concat())
}

/// The length that a sound start of a frame names.
fn length_of(start: &[u8]) -> Option<u32> {
    let (length, rest) = start.split_first_chunk::<4>()?;
    let (sum, _) = rest.split_first_chunk::<4>()?;
    (crc32fast::hash(length) == u32::from_le_bytes(*sum)).then_some(u32::from_le_bytes(*length))
}

/// The payload of the next frame; `None` if it is not sound or not whole.
fn read_frame(reader: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut start = Vec::new();
    reader
        .take(FRAME_HEADER_BYTES as u64)
        .read_to_end(&mut start)?;
    let (Some(length), Some(sum)) = (length_of(&start), start.last_chunk::<4>()) else {
        return Ok(None);
    };
    let mut payload = Vec::new();
    reader.take(length.into()).read_to_end(&mut payload)?;
    let is_sound = payload.len() == length as usize
        && start.len() == FRAME_HEADER_BYTES
        && crc32fast::hash(&payload) == u32::from_le_bytes(*sum);
    Ok(is_sound.then_some(payload))
}

fn read_some(file: &File, window: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut count = 0;
    while count < window.len() {
        match file.read_at(&mut window[count..], at + count as u64)? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Step;

    fn append_to(device: &str) -> Error {
        let dir = tempfile::tempdir().unwrap();
        let (mut ledger, ..) =
            Ledger::open(FileMedium::open(dir.path()).unwrap(), &JobId::random()).unwrap();
        ledger.medium_mut().file = OpenOptions::new().write(true).open(device).unwrap();
        let error = ledger.append(&[Step::Planned.into()]).unwrap_err();
        let closed = ledger.append(&[Step::Planned.into()]).unwrap_err();
        assert!(closed.message().contains("closed by an earlier error"));
        error
    }

    #[test]
    fn every_commit_syncs_the_file() {
        // A device that swallows everything and cannot be synced: the commit must fail, because it must try.
        let error = append_to("/dev/null");
        assert!(error.message().contains("cannot sync"), "{error}");
    }

    #[test]
    fn a_full_disk_can_be_resumed_and_closes_the_handle() {
        assert_eq!(append_to("/dev/full").kind(), Kind::Exhausted);
    }

    #[test]
    fn a_file_of_a_newer_release_is_refused_by_its_version() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("log"), header(9)).unwrap();
        let error = open(dir.path(), &JobId::random()).err().unwrap();
        assert_eq!(error.kind(), Kind::Incompatible);
        assert!(error.message().contains("version 9"), "{error}");
    }
}
