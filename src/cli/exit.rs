//! Exit codes: what a script learns from a run.

use std::fmt;

use crate::error::Error;

/// The exit code of the process; treat a code that is not in this table as a failure.
///
/// | code | constant | meaning |
/// |---|---|---|
/// | 0 | [`DONE`](Self::DONE) | done |
/// | 1 | [`FAILED`](Self::FAILED) | failed |
/// | 2 | [`USAGE`](Self::USAGE) | usage |
/// | 3 | [`INCOMPLETE`](Self::INCOMPLETE) | done, but something was rejected or could not be shown complete |
/// | 4 | [`INTERRUPTED`](Self::INTERRUPTED) | interrupted, can be resumed |
/// | 5 | [`EXHAUSTED`](Self::EXHAUSTED) | retries exhausted (also unreachable), can be resumed |
/// | 6 | [`SOURCE_REFUSED`](Self::SOURCE_REFUSED) | source refused for good |
/// | 7 | [`TARGET_REFUSED`](Self::TARGET_REFUSED) | target refused for good |
/// | 8 | [`MISMATCH`](Self::MISMATCH) | identity mismatch, or an unfinished job is in the way |
/// | 9 | [`JOURNAL_DAMAGED`](Self::JOURNAL_DAMAGED) | journal damaged |
/// | 10 | [`NOT_FOUND`](Self::NOT_FOUND) | not found |
/// | 11 | [`LOCKED`](Self::LOCKED) | locked by another run |
/// | 12 | [`UNAUTHORISED`](Self::UNAUTHORISED) | not authorised |
/// | 13 | [`DIFFERENCE`](Self::DIFFERENCE) | verification found a difference |
/// | 14 | [`INCOMPATIBLE`](Self::INCOMPATIBLE) | incompatible version or schema |
/// | 15 | [`DECLINED`](Self::DECLINED) | declined at the prompt |
/// | 130 | [`SECOND_INTERRUPT`](Self::SECOND_INTERRUPT) | second SIGINT |
/// | 143 | [`SECOND_TERMINATE`](Self::SECOND_TERMINATE) | second SIGTERM |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// Done.
    pub const DONE: ExitCode = ExitCode(0);
    /// Failed.
    pub const FAILED: ExitCode = ExitCode(1);
    /// The command line or the configuration is wrong.
    pub const USAGE: ExitCode = ExitCode(2);
    /// Done, but something was rejected or could not be shown complete.
    pub const INCOMPLETE: ExitCode = ExitCode(3);
    /// Interrupted, can be resumed.
    pub const INTERRUPTED: ExitCode = ExitCode(4);
    /// Retries exhausted, can be resumed.
    pub const EXHAUSTED: ExitCode = ExitCode(5);
    /// The source refused for good.
    pub const SOURCE_REFUSED: ExitCode = ExitCode(6);
    /// The target refused for good.
    pub const TARGET_REFUSED: ExitCode = ExitCode(7);
    /// Identity mismatch, or an unfinished job is in the way.
    pub const MISMATCH: ExitCode = ExitCode(8);
    /// The journal is damaged.
    pub const JOURNAL_DAMAGED: ExitCode = ExitCode(9);
    /// Not found.
    pub const NOT_FOUND: ExitCode = ExitCode(10);
    /// Locked by another run.
    pub const LOCKED: ExitCode = ExitCode(11);
    /// Not authorised.
    pub const UNAUTHORISED: ExitCode = ExitCode(12);
    /// Verification found a difference.
    pub const DIFFERENCE: ExitCode = ExitCode(13);
    /// Incompatible version or schema.
    pub const INCOMPATIBLE: ExitCode = ExitCode(14);
    /// Declined at the prompt.
    pub const DECLINED: ExitCode = ExitCode(15);
    /// Left at once on the second SIGINT.
    pub const SECOND_INTERRUPT: ExitCode = ExitCode(130);
    /// Left at once on the second SIGTERM.
    pub const SECOND_TERMINATE: ExitCode = ExitCode(143);

    /// True if the same command with `--resume` goes on where this run ended.
    pub fn can_be_resumed(self) -> bool {
        matches!(self, ExitCode::INTERRUPTED | ExitCode::EXHAUSTED)
    }

    /// The code of a run over several collections: 4 or 5 if any of them can be resumed (4 wins, as somebody
    /// asked for it); else the code on which all that differ from 0 agree; else 1.
    pub fn of_several(codes: impl IntoIterator<Item = ExitCode>) -> ExitCode {
        let bad: std::collections::BTreeSet<ExitCode> = codes
            .into_iter()
            .filter(|code| *code != ExitCode::DONE)
            .collect();
        if let Some(resumable) = bad.iter().find(|code| code.can_be_resumed()) {
            return *resumable;
        }
        match (bad.first(), bad.len()) {
            (None, _) => ExitCode::DONE,
            (Some(code), 1) => *code,
            _ => ExitCode::FAILED,
        }
    }

    /// What the code means, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            ExitCode::DONE => "done",
            ExitCode::USAGE => "usage",
            ExitCode::INCOMPLETE => {
                "done, but something was rejected or could not be shown complete"
            }
            ExitCode::INTERRUPTED => "interrupted, can be resumed",
            ExitCode::EXHAUSTED => "retries exhausted, can be resumed",
            ExitCode::SOURCE_REFUSED => "source refused for good",
            ExitCode::TARGET_REFUSED => "target refused for good",
            ExitCode::MISMATCH => "identity mismatch, or an unfinished job is in the way",
            ExitCode::JOURNAL_DAMAGED => "journal damaged",
            ExitCode::NOT_FOUND => "not found",
            ExitCode::LOCKED => "locked by another run",
            ExitCode::UNAUTHORISED => "not authorised",
            ExitCode::DIFFERENCE => "verification found a difference",
            ExitCode::INCOMPATIBLE => "incompatible version or schema",
            ExitCode::DECLINED => "declined at the prompt",
            ExitCode::SECOND_INTERRUPT | ExitCode::SECOND_TERMINATE => "left at the second signal",
            _ => "failed",
        }
    }
}

impl From<&Error> for ExitCode {
    fn from(error: &Error) -> Self {
        ExitCode(error.kind().exit_code())
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code.0)
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn several_codes_become_one() {
        let cases: [(&[u8], u8); 8] = [
            (&[], 0),
            (&[0, 0], 0),
            (&[0, 3, 3], 3),
            (&[3, 10], 1),
            (&[10, 0, 5], 5),
            (&[5, 4, 13], 4),
            (&[13], 13),
            (&[1, 0], 1),
        ];
        for (codes, expected) in cases {
            let codes_of = codes.iter().copied().map(ExitCode);
            assert_eq!(
                ExitCode::of_several(codes_of),
                ExitCode(expected),
                "{codes:?}"
            );
        }
    }

    #[test]
    fn an_error_exits_with_the_code_of_its_kind_and_every_code_has_a_meaning() {
        let declined = Error::new(Kind::Declined, "no");
        assert_eq!(ExitCode::from(&declined), ExitCode::DECLINED);
        let meanings: std::collections::BTreeSet<&str> =
            (0..=15).map(|code| ExitCode(code).meaning()).collect();
        assert_eq!(meanings.len(), 16);
        assert_eq!(ExitCode(77).meaning(), "failed");
    }
}
