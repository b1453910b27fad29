//! The story of a run, as it happens: what the engine and the verbs tell, and who listens.
//!
//! Progress bars, JSON lines, log files and crash tests are all listeners. What is told as done is committed.

use std::time::Duration;

use crate::error::Error;
use crate::job::{JobId, JobKind, LaneId, Summary, Tally};

/// What a run would do: names and values in the order in which they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The verb with its object, such as "back up `Article`".
    pub title: String,
    /// Name and value.
    pub fields: Vec<(String, String)>,
}

impl Plan {
    /// An empty plan.
    pub fn new(title: impl Into<String>) -> Self {
        Plan {
            title: title.into(),
            fields: Vec::new(),
        }
    }

    /// Adds a line.
    pub fn field(&mut self, name: impl Into<String>, value: impl ToString) -> &mut Self {
        self.fields.push((name.into(), value.to_string()));
        self
    }
}

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The plan stands.
    Planned(&'a Plan),
    /// A resumed job was begun with other settings: name, value then, value now.
    Differences(&'a [(String, String, String)]),
    /// A job begins or goes on.
    Started {
        /// Its id.
        job: &'a JobId,
        /// Its verb.
        kind: JobKind,
        /// What it is about, such as "Article".
        subject: &'a str,
        /// Objects expected in all, if known.
        total: Option<u64>,
        /// What earlier runs committed.
        kept: Tally,
        /// True if an earlier run did part of it.
        is_resumed: bool,
    },
    /// A small stage before or after the data begins.
    Stage {
        /// What is being done, such as "create the collection".
        doing: &'a str,
    },
    /// A lane asked for its next page.
    Fetched {
        /// The lane.
        lane: LaneId,
        /// Objects in the page.
        objects: usize,
    },
    /// The intent of a batch is durable.
    Intended {
        /// The lane.
        lane: LaneId,
        /// The number of the batch.
        seq: u64,
    },
    /// A batch took effect; not yet committed.
    Applied {
        /// The lane.
        lane: LaneId,
        /// The number of the batch.
        seq: u64,
    },
    /// A batch is committed.
    Committed {
        /// The lane.
        lane: LaneId,
        /// The number of the batch.
        seq: u64,
        /// Everything committed so far, this batch included.
        tally: Tally,
    },
    /// So many objects of the larger of two ends are compared.
    Compared {
        /// Objects.
        objects: u64,
        /// Objects expected in all, if known.
        total: Option<u64>,
    },
    /// A lane gave its tail to a new one.
    Split {
        /// The lane that was cut.
        parent: LaneId,
        /// The new lane.
        child: LaneId,
    },
    /// Something failed and will be tried again.
    Retry {
        /// What was being done.
        doing: &'a str,
        /// Why it failed.
        error: &'a Error,
        /// How often it was tried.
        tries: u32,
        /// How long until the next try.
        delay: Duration,
    },
    /// An object was refused, or could not be read.
    Reject {
        /// Its id, with its tenant.
        key: &'a str,
        /// The server's words.
        reason: &'a str,
    },
    /// Something that the user should know, as one sentence fragment.
    Warning(&'a str),
    /// Something worth a line, as one sentence fragment.
    Note(&'a str),
    /// No new work is taken; what is in flight is brought to an end.
    Stopping,
    /// The job is over.
    Finished {
        /// Its id.
        job: &'a JobId,
        /// How it ended.
        summary: &'a Summary,
    },
}

/// A listener. Called from many threads; must not block for long and must not fail.
pub trait Reporter: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// A listener that does not listen.
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: &Event<'_>) {}
}
