//! What can happen to a job, and what is counted.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::lane::{Bounds, Cursor, Intent, LaneId, Pass, Receipt};

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Asked for; nothing was touched.
    Planned,
    /// Before the data: so many small stages are done.
    Preparing(u32),
    /// Moving batches.
    Moving(Pass),
    /// After the data: so many small stages are done.
    Finishing(u32),
    /// Over.
    Done(Summary),
}

/// One durable change of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The plan stands.
    Planned,
    /// Stage `number` of preparing or finishing is done, and learned `facts` that a resume needs.
    Staged {
        /// Counts from 0 within preparing, and again within finishing.
        number: u32,
        /// Names and values to be remembered.
        facts: BTreeMap<String, String>,
    },
    /// The lanes of a pass.
    Opened {
        /// The pass that begins.
        pass: Pass,
        /// One lane each, numbered on from the last one.
        lanes: Vec<Bounds>,
    },
    /// A lane gives its tail to a new lane: both halves in one record, before either is read. What the lane has intended
    /// lies before the cut.
    Split {
        /// The lane that is cut.
        parent: LaneId,
        /// Its new end.
        end: Cursor,
        /// The number of the new lane.
        child: LaneId,
    },
    /// A batch is about to be applied.
    Intended(LaneId, Intent),
    /// A batch is durable at the sink.
    Committed(LaneId, Box<Receipt>, Cursor),
    /// A lane has nothing left.
    Drained(LaneId),
    /// The job is over.
    Done(Summary),
}

/// Counts of what is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Objects that are at the sink.
    pub accepted: u64,
    /// Objects that were refused, or could not be read.
    pub rejected: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Batches committed.
    pub batches: u64,
}

impl Tally {
    pub(super) fn add(&mut self, receipt: &Receipt) {
        self.accepted += u64::from(receipt.accepted);
        self.rejected += u64::from(receipt.rejected);
        self.bytes += receipt.bytes;
        self.batches += 1;
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// 0, 3 or 13: whatever else happens leaves a job that is not done.
    pub exit_code: u8,
    /// What was committed.
    pub tally: Tally,
    /// Sentences for the report, one finding each.
    pub notes: Vec<String>,
}

/// A step that may not follow the state it was given.
#[derive(Debug, PartialEq, Eq)]
pub struct IllegalStep {
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for IllegalStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "illegal step: {}", self.why)
    }
}

impl std::error::Error for IllegalStep {}

pub(super) fn illegal<T>(why: impl Into<String>) -> Result<T, IllegalStep> {
    Err(IllegalStep { why: why.into() })
}
