//! The growing end of a document: gives places out in order and writes there.
//!
//! Place and bytes of a batch are one step under one lock, and the end moves only when all of it
//! succeeded. So a write that failed gives its place back: the next batch, of whatever lane, takes the same
//! offset and writes over what is left of the failed one, and no hole can come to be. What a failed last write
//! left beyond the end is cut off when the document is reopened or sealed. Waiting for the lock is waiting for
//! the disk, which is the same for all lanes.
//!
//! Receipts come into being in the order of the file, but two lanes may hand them on in another: whoever commits
//! must hold a receipt back until the one before its place is committed.

use std::sync::{Arc, Mutex, PoisonError};

use super::draft::Draft;
use super::sink::Batch;
use crate::error::{Error, Kind, Result};
use crate::format::SEPARATOR;
use crate::job::{Place, Receipt};
use crate::storage::{Handle, Storage};

/// Left free on every file system that is written.
pub(crate) const HEADROOM: u64 = 64 << 20;
/// What a frame adds to the table of contents, at most.
const CONTENTS_PER_FRAME: u64 = 512;

pub(crate) struct Appender {
    storage: Arc<dyn Storage>,
    file: Box<dyn Handle>,
    start: u64,
    separator_length: usize,
    state: Mutex<State>,
}

struct State {
    end: u64,
    frames: u64,
}

impl Appender {
    /// Goes on at the end of the hidden document, which already has `frames`.
    pub(crate) fn open(draft: &Draft, frames: u64) -> Result<Self> {
        let file = draft.storage.edit(&draft.partial())?;
        let end = file.length()?;
        Ok(Appender {
            storage: draft.storage.clone(),
            file,
            start: draft.head_length(),
            separator_length: draft.codec.stored(SEPARATOR).len(),
            state: Mutex::new(State { end, frames }),
        })
    }

    /// Appends the finished frame of a batch. The first frame of the file goes without the separator.
    pub(crate) fn append(&self, batch: &Batch) -> Result<Receipt> {
        let mut hash = blake3::hash(&batch.desk.ready);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = batch.desk.ready.as_slice();
        if state.end == self.start && !bytes.is_empty() {
            bytes = &bytes[self.separator_length..];
            hash = blake3::hash(bytes);
        }
        let contents = (state.frames + 1).saturating_mul(CONTENTS_PER_FRAME);
        check_space(&*self.storage, bytes.len() as u64 + contents)?;
        if !bytes.is_empty() {
            self.file.write_at(bytes, state.end)?;
        }
        let mut receipt = batch.receipt();
        let length = bytes.len() as u64;
        receipt.place = Some(Place {
            offset: state.end,
            length,
        });
        receipt.bytes = length;
        receipt.hash = *hash.as_bytes();
        state.end += length;
        state.frames += u64::from(length > 0);
        Ok(receipt)
    }

    /// Where the next frame begins.
    pub(crate) fn end(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .end
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync()
    }
}

/// Refuses to begin a write of `bytes` that would fill the disk.
pub(crate) fn check_space(storage: &dyn Storage, bytes: u64) -> Result<()> {
    let free = storage.free_bytes()?;
    match free < bytes.saturating_add(HEADROOM) {
        true => Err(Error::new(
            Kind::Exhausted,
            format!(
                "disk full: `{}` has {} MB left",
                storage.path("").display(),
                free >> 20
            ),
        )
        .with_hint("make room on the file system, then resume")),
        false => Ok(()),
    }
}
