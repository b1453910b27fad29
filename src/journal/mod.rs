//! The durable state of jobs: what must survive any crash, and how it is read again.
//!
//! A [`StateDir`] holds one [`JobFolder`] per job; opening one takes its lock. Its journal is a [`Store`]: a log of
//! steps whose fold is the job. [`Store::append`] returns only when the steps are durable, and any error closes the
//! handle, because nobody knows what reached the disk. Two stores keep the same promises: sled, and an append-only
//! file. A journal that is not what was written is reported ([`Kind::JournalDamaged`]); one that is *older* than it
//! should be is noticed by the commit number in `state.json` and told as [`Rollback`]. What exists only once lies in
//! plain files beside the journal. How to go on from what was found is the engine's matter.
//!
//! [`Kind::JournalDamaged`]: crate::error::Kind::JournalDamaged

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::job::{Job, Step};
use crate::model::Key;

mod durable;
mod file_store;
mod folder;
mod ids;
mod kept;
mod ledger;
mod load;
mod lock;
mod obligation;
mod record;
mod rejects;
mod sled_store;
mod state;
mod state_dir;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod folder_tests;
#[cfg(test)]
mod media;
#[cfg(test)]
mod story;
#[cfg(test)]
mod suite;

pub use folder::JobFolder;
pub use kept::{KeptBatch, KeptIds};
pub use lock::Holder;
pub use obligation::Obligation;
pub use rejects::Rejects;
pub use state::{State, Stopped};
pub use state_dir::{Listed, StateDir};

/// A step, and the ids of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happens.
    pub step: Step,
    /// The ids of an intended or a committed batch, in the order of the walk; empty for every other step.
    pub keys: Vec<Key>,
}

impl From<Step> for Entry {
    fn from(step: Step) -> Self {
        Entry {
            step,
            keys: Vec::new(),
        }
    }
}

/// A journal that is open for appending.
///
/// Blocks for about a millisecond a call, sometimes 15: call it from a thread of its own, never from an async task.
pub trait Store: Send {
    /// Makes all entries durable, or none of them: one commit.
    ///
    /// Durable on return. After an error nobody knows whether the entries are there; the handle refuses everything
    /// from then on: drop it and open the journal again. Whether a step is legal is the caller's matter
    /// ([`Job::next`] first), only the sequence of a lane's batches is checked here. No entries: no commit.
    fn append(&mut self, entries: &[Entry]) -> Result<()>;

    /// The number of the last commit that is durable; 0 before the first one.
    fn last_number(&self) -> u64;
}

/// What is put around every journal that a state directory opens; nothing by default.
#[derive(Clone, Default)]
struct Around(Option<Arc<Wrap>>);

type Wrap = dyn Fn(Box<dyn Store>) -> Box<dyn Store> + Send + Sync;

impl Around {
    fn put(&self, store: Box<dyn Store>) -> Box<dyn Store> {
        match &self.0 {
            Some(wrap) => wrap(store),
            None => store,
        }
    }
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "wrapped" } else { "bare" })
    }
}

/// A journal as it was found.
pub struct Opened {
    /// Where to append.
    pub store: Box<dyn Store>,
    /// The fold of all steps.
    pub job: Job,
    /// The ids of pending intents and of the last batches of each lane.
    pub ids: KeptIds,
    /// Set if the journal is older than `state.json` says: to be said aloud, and reconciled with the ends.
    pub rollback: Option<Rollback>,
}

/// The journal forgot commits that had been acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The commit that `state.json` names.
    pub expected: u64,
    /// The last commit in the journal.
    pub found: u64,
}

impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the journal went back from commit {} to commit {}: what lies between is done again",
            self.expected, self.found
        )
    }
}

/// Which implementation holds a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// A sled database.
    #[default]
    Sled,
    /// An append-only file.
    File,
}

impl StoreKind {
    /// The kind that somebody typed.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "sled" => Ok(StoreKind::Sled),
            "file" => Ok(StoreKind::File),
            _ => Err(
                Error::new(Kind::Usage, format!("`{text}` is not a journal store"))
                    .with_hint("choose `sled` or `file`"),
            ),
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreKind::Sled => "sled",
            StoreKind::File => "file",
        })
    }
}
