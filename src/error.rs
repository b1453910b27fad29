//! The one error of the program, named by what it means.
//!
//! An [`Error`] carries a [`Kind`] (which decides the exit code), one lower-case message, what is already
//! safe (`kept`), what to do next (`hint`), and its cause. How a caller may react (try again, halve the
//! batch, give up) is its [`Reaction`]. Rendering belongs to `cli`.

use std::fmt;
use std::time::Duration;

/// What an error means to the person who started the program; each has one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something failed that no other kind names.
    Failed,
    /// The command line or a configuration file asks for something impossible.
    Usage,
    /// A signal stopped the job; it can be resumed.
    Interrupted,
    /// Retries are used up, or an end cannot be reached; the job can be resumed.
    Exhausted,
    /// The source refused for good.
    SourceRefused,
    /// The target refused for good.
    TargetRefused,
    /// Another identity than the unfinished job's, or an unfinished job is in the way.
    Mismatch,
    /// The journal is damaged beyond what a resume can repair.
    JournalDamaged,
    /// The named collection, archive, job or tenant does not exist.
    NotFound,
    /// Another run holds the lock.
    Locked,
    /// The server does not accept the credentials.
    Unauthorised,
    /// A verification found a difference or damage.
    Difference,
    /// A version or a schema that cannot be worked with.
    Incompatible,
    /// The question was answered with no, or could not be asked.
    Declined,
}

impl Kind {
    /// The process exit code of this kind (SPEC "Exit codes").
    pub const fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Interrupted => 4,
            Kind::Exhausted => 5,
            Kind::SourceRefused => 6,
            Kind::TargetRefused => 7,
            Kind::Mismatch => 8,
            Kind::JournalDamaged => 9,
            Kind::NotFound => 10,
            Kind::Locked => 11,
            Kind::Unauthorised => 12,
            Kind::Difference => 13,
            Kind::Incompatible => 14,
            Kind::Declined => 15,
        }
    }
}

/// How a caller may react to an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Trying again is of no use.
    Permanent,
    /// As permanent, with these rights; there may be another way that needs fewer.
    Forbidden,
    /// Trying again may help, not before `after` if the server named a delay.
    Transient {
        /// The delay that the server asked for (`Retry-After`).
        after: Option<Duration>,
    },
    /// As transient; but if it repeats alike while the server answers otherwise, something in the request is
    /// the reason: split it.
    Suspect,
    /// The request or its reply was too large: halve it.
    TooLarge,
    /// The request as a whole was refused because of something in it: split it to find out what.
    Split,
}

/// An error with its meaning, its remedy and its cause.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    reaction: Reaction,
    message: String,
    kept: Option<String>,
    hint: Option<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A permanent error. `message` is one lower-case fragment without a full stop, user values in backticks.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            reaction: Reaction::Permanent,
            message: message.into(),
            kept: None,
            hint: None,
            cause: None,
        }
    }

    /// An error that may go away by itself.
    pub fn transient(message: impl Into<String>) -> Self {
        Error::new(Kind::Exhausted, message).with_reaction(Reaction::Transient { after: None })
    }

    /// Says how a caller may react.
    pub fn with_reaction(mut self, reaction: Reaction) -> Self {
        self.reaction = reaction;
        self
    }

    /// Says what the error means, keeping everything else.
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Adds what is already safe.
    pub fn with_kept(mut self, kept: impl Into<String>) -> Self {
        self.kept = Some(kept.into());
        self
    }

    /// Adds what to do next.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause; its chain is shown on lines of its own.
    pub fn with_cause(
        mut self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Puts what was being done in front of the message.
    pub fn within(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// What the error means.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How a caller may react.
    pub fn reaction(&self) -> Reaction {
        self.reaction
    }

    /// True if trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.reaction,
            Reaction::Transient { .. } | Reaction::Suspect
        )
    }

    /// The message without kept, hint and cause.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What is already safe.
    pub fn kept(&self) -> Option<&str> {
        self.kept.as_deref()
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// Names what was being done when an operating system call failed.
pub trait IoContext<T> {
    /// Turns the failure into an [`Error`] whose message is `doing` and the system's reason.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| from_io(cause, &doing()))
    }
}

fn from_io(cause: std::io::Error, doing: &str) -> Error {
    let (kind, hint) = match cause.kind() {
        // Resumable: space can be made.
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => (
            Kind::Exhausted,
            Some("make room on the file system, then resume"),
        ),
        std::io::ErrorKind::FileTooLarge => (
            Kind::Exhausted,
            Some(
                "raise the limit on the size of files, then resume; --format jsonl writes many small ones",
            ),
        ),
        std::io::ErrorKind::NotFound => (Kind::NotFound, None),
        _ => (Kind::Failed, None),
    };
    let error = Error::new(kind, format!("{doing}: {}", reason(&cause))).with_cause(cause);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn reason(cause: &std::io::Error) -> String {
    let text = cause.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_exit_code() {
        let kinds = [
            Kind::Failed,
            Kind::Usage,
            Kind::Interrupted,
            Kind::Exhausted,
            Kind::SourceRefused,
            Kind::TargetRefused,
            Kind::Mismatch,
            Kind::JournalDamaged,
            Kind::NotFound,
            Kind::Locked,
            Kind::Unauthorised,
            Kind::Difference,
            Kind::Incompatible,
            Kind::Declined,
        ];
        let codes: std::collections::BTreeSet<u8> =
            kinds.iter().map(|kind| kind.exit_code()).collect();
        assert_eq!(codes.len(), kinds.len());
        assert!(
            !codes.contains(&0) && !codes.contains(&3),
            "0 and 3 are not errors"
        );
    }

    #[test]
    fn a_full_disk_can_be_resumed() {
        for reason in [
            std::io::ErrorKind::StorageFull,
            std::io::ErrorKind::QuotaExceeded,
            std::io::ErrorKind::FileTooLarge,
        ] {
            let full: std::io::Result<()> = Err(std::io::Error::from(reason));
            let error = full.doing(|| "cannot write `x`".into()).unwrap_err();
            assert_eq!(error.kind(), Kind::Exhausted, "{reason}");
            assert!(error.hint().is_some_and(|hint| hint.contains("resume")));
        }
    }
}
