//! Several collections in one run.

use super::super::exit::ExitCode;
use super::{Done, Run};
use crate::commands::Outcome;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Reporter};

/// The outcomes of several collections, as one.
#[derive(Default)]
pub(super) struct Several {
    codes: Vec<ExitCode>,
    archives: Vec<String>,
    error: Option<Error>,
}

impl Several {
    /// Takes an outcome in; false if the run is to end with it.
    pub(super) fn goes_on(
        &mut self,
        run: &Run,
        subject: &str,
        outcome: Result<Outcome>,
        fail_fast: bool,
    ) -> bool {
        match outcome {
            Ok(outcome) => {
                let done = Done::from(outcome);
                self.codes.push(done.code);
                self.archives.extend(done.archives);
                !(fail_fast && done.code != ExitCode::DONE)
            }
            Err(error) => {
                self.codes.push((&error).into());
                let goes_on = !fail_fast && error.kind() != Kind::Interrupted;
                // The last error is the run's last word; earlier ones are told as they come.
                if let Some(earlier) = self.error.replace(error) {
                    run.screen
                        .event(&Event::Warning(&format!("before `{subject}`: {earlier}")));
                }
                goes_on
            }
        }
    }

    pub(super) fn done(self) -> Done {
        Done {
            code: ExitCode::of_several(self.codes),
            archives: self.archives,
            error: self.error,
        }
    }
}
