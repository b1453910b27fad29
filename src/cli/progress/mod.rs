//! The listeners: what a person, a pipe, a program and a log file are told of a run.
//!
//! Every listener folds the events into a [`Story`] of its own and tells it in its manner. What
//! they show as done is the committed tally and nothing else. A run ends with exactly one [`Ending`], also
//! when it fails before there is a job.

mod json;
mod lines;
mod log;
mod quiet;
mod shapes;
mod story;
mod terminal;
mod words;

pub use json::JsonLines;
pub use lines::Lines;
pub use log::{Log, LogFormat};
pub use quiet::Quiet;
pub use story::{Pace, Story};
pub use terminal::Terminal;
pub use words::{Detail, SHOWN_REJECTS};

use super::exit::ExitCode;
use crate::error::{Error, Result};
use crate::event::Reporter;

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// The exit code of the process.
    pub code: ExitCode,
    /// Why, if it is not a plain end.
    pub error: Option<&'a Error>,
    /// The archives that are complete, as the user may pass them to `restore`.
    pub archives: &'a [String],
}

impl<'a> Ending<'a> {
    /// The end of a run that failed with `error`.
    pub fn of(error: &'a Error) -> Self {
        Ending {
            code: error.into(),
            error: Some(error),
            archives: &[],
        }
    }

    /// The end of a run without an error: 0, 3 or 13.
    pub fn with_code(code: ExitCode, archives: &'a [String]) -> Self {
        Ending {
            code,
            error: None,
            archives,
        }
    }
}

/// A reporter that also has a last word.
pub trait Listener: Reporter {
    /// The run is over; nothing is told after this. Fails only if data could not be written.
    fn end(&self, ending: &Ending<'_>) -> Result<()>;
}

#[cfg(test)]
mod testing {
    use std::time::Duration;

    use crate::event::{Event, Reporter};
    use crate::job::{JobId, JobKind, Summary, Tally};

    pub(super) fn job() -> JobId {
        JobId::parse("7f3c9a1b").unwrap()
    }

    pub(super) fn tally(accepted: u64) -> Tally {
        Tally {
            accepted,
            rejected: 0,
            bytes: accepted * 10_000,
            batches: accepted / 100,
        }
    }

    pub(super) fn start(to: &impl Reporter, total: Option<u64>, kept: u64) {
        to.event(&Event::Started {
            job: &job(),
            kind: JobKind::Backup,
            subject: "Article",
            total,
            kept: tally(kept),
            is_resumed: kept > 0,
        });
    }

    pub(super) fn commit(to: &impl Reporter, accepted: u64) {
        to.event(&Event::Committed {
            lane: 0,
            seq: 1,
            tally: tally(accepted),
        });
    }

    pub(super) fn retry(to: &impl Reporter) {
        let error = crate::error::Error::transient("cannot reach Weaviate: connection refused");
        let delay = Duration::from_secs(2);
        to.event(&Event::Retry {
            doing: "read a page",
            error: &error,
            tries: 2,
            delay,
        });
    }

    pub(super) fn reject(to: &impl Reporter, count: usize) {
        for number in 0..count {
            let key = format!("id-{number}");
            to.event(&Event::Reject {
                key: &key,
                reason: "vector lengths don't match",
            });
        }
    }

    pub(super) fn finish(to: &impl Reporter, exit_code: u8, accepted: u64) {
        let summary = Summary {
            exit_code,
            tally: tally(accepted),
            notes: vec![],
        };
        to.event(&Event::Finished {
            job: &job(),
            summary: &summary,
        });
    }
}
