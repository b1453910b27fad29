//! A run that finds an archive finished and only its comparison left, and what comes after that.
//!
//! It goes on with the comparison. If the archive is an old one, such as that of last night, that alone would be a run
//! without an archive of its own: a new backup follows. Soon after, such as in a loop that tries again, nothing follows.

use super::*;

/// Whether a new backup follows the comparison of an archive that was finished before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Follow {
    /// That job was all that was asked for.
    Never,
    /// If more than half of the time has passed within which a backup is resumed.
    IfOld,
    /// What was written since must be in an archive, too.
    Always,
}

impl Follow {
    /// True if a new backup follows this job once it is done.
    pub fn is_due(self, session: &Session, state: &State) -> Result<bool> {
        if !is_published(state) {
            return Ok(false);
        }
        Ok(match self {
            Follow::Never => false,
            Follow::IfOld => claim::age(state)? > session.resume_within / 2,
            Follow::Always => true,
        })
    }
}

/// Says which archive the run has dealt with, and whether it makes another one.
pub(super) fn say(session: &Session, state: &State, is_followed: bool) {
    let archive = state.archives.first().map_or("", String::as_str);
    let next = match is_followed {
        true => "a new backup follows",
        false => "no new one was made",
    };
    session.reporter.event(&Event::Note(&format!(
        "the archive `{archive}` was finished by an earlier run, and was now compared; {next}"
    )));
}

impl Outcome {
    /// With what was found before of another archive.
    pub(super) fn after(mut self, before: Outcome) -> Outcome {
        // Of 0, 3 and 13 the largest is the worst.
        self.exit_code = self.exit_code.max(before.exit_code);
        self.notes.splice(0..0, before.notes);
        self
    }
}
