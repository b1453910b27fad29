//! What a status means to the caller.

use tonic::{Code, Status};

use super::Grpc;
use crate::error::{Error, Kind, Reaction};
use crate::weaviate::client::{Client, Trouble, clean};

impl Client {
    /// What a status means to the caller, by its code and, where the server has but one code for all, by its words.
    pub(super) fn refusal(&self, grpc: &Grpc, status: &Status) -> Error {
        let said = clean(status.message());
        let address = &grpc.address;
        let refused =
            |what: &str| Error::new(self.role().refused(), format!("{address} {what}: {said}"));
        let transient = |what: &str| Error::transient(format!("{address} {what}: {said}"));
        if is_unauthorised(status) {
            return Error::new(
                Kind::Unauthorised,
                format!("{address} does not accept the credentials: {said}"),
            )
            .with_hint("pass a valid key with --api-key-file or WEAVIATE_API_KEY");
        }
        if is_too_large(status) {
            return refused("finds the message too large").with_reaction(Reaction::TooLarge);
        }
        match status.code() {
            Code::PermissionDenied => Error::new(
                Kind::Unauthorised,
                format!("{address} does not allow this: {said}"),
            )
            .with_reaction(Reaction::Forbidden)
            .with_hint("the key needs more permissions; README lists them per command"),
            Code::ResourceExhausted if !status.details().is_empty() => {
                refused("has reached a usage limit")
                    .with_hint("its operator has set a limit; trying again is of no use")
            }
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::ResourceExhausted => transient("is not available"),
            Code::Unknown | Code::Internal | Code::DataLoss if is_final(&said) => {
                self.about_tenant(refused("refused"), &said)
            }
            Code::Unknown | Code::Internal | Code::DataLoss => {
                transient("failed").with_reaction(Reaction::Suspect)
            }
            Code::FailedPrecondition => match Trouble::of(&said) {
                Some(trouble) => refused("cannot be talked to").with_hint(trouble.hint),
                None => refused("refused"),
            },
            _ => refused("refused"),
        }
    }
}

pub(super) fn is_unauthorised(status: &Status) -> bool {
    const WORDS: [&str; 4] = [
        "invalid api key",
        "anonymous access not enabled",
        "no authentication scheme",
        "extract auth",
    ];
    status.code() == Code::Unauthenticated
        || WORDS.iter().any(|words| status.message().contains(words))
}

/// The server's words, either way, its page cap, and our own for a reply beyond the limit.
fn is_too_large(status: &Status) -> bool {
    const WORDS: [&str; 3] = [
        "larger than max",
        "query maximum results exceeded",
        "message length too large",
    ];
    WORDS.iter().any(|words| status.message().contains(words))
}

/// Words after which trying again is of no use.
fn is_final(said: &str) -> bool {
    const WORDS: [&str; 7] = [
        "could not find class",
        "class not found",
        "tenant not found",
        "tenant not active",
        "has multi-tenancy enabled",
        "has multi-tenancy disabled",
        "params:",
    ];
    WORDS.iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::weaviate::Role;
    use crate::weaviate::connection::Connection;

    fn meaning(status: Status) -> Error {
        let connection = Connection::to("http://localhost:1");
        let client = Client::new(&connection, Role::Source).unwrap();
        let grpc = Grpc::new(&connection, "http://localhost:2", None).unwrap();
        client.refusal(&grpc, &status)
    }

    #[test]
    fn statuses_mean_what_they_mean() {
        let transient = Reaction::Transient { after: None };
        for (status, kind, reaction) in [
            (Status::unavailable("x"), Kind::Exhausted, transient),
            (Status::deadline_exceeded("x"), Kind::Exhausted, transient),
            (
                Status::unknown("extract auth: unauthorized: invalid api key"),
                Kind::Unauthorised,
                Reaction::Permanent,
            ),
            (
                Status::permission_denied("x"),
                Kind::Unauthorised,
                Reaction::Forbidden,
            ),
            (
                Status::resource_exhausted(
                    "grpc: trying to send message larger than max (2 vs. 1)",
                ),
                Kind::SourceRefused,
                Reaction::TooLarge,
            ),
            (
                Status::resource_exhausted("busy"),
                Kind::Exhausted,
                transient,
            ),
            (
                Status::unknown("could not find class A in schema"),
                Kind::SourceRefused,
                Reaction::Permanent,
            ),
            (
                Status::unknown("panic occurred: runtime error"),
                Kind::Exhausted,
                Reaction::Suspect,
            ),
            (
                Status::failed_precondition("invalid peer certificate: Expired"),
                Kind::SourceRefused,
                Reaction::Permanent,
            ),
            (
                Status::unimplemented("unknown method"),
                Kind::SourceRefused,
                Reaction::Permanent,
            ),
        ] {
            let error = meaning(status.clone());
            assert_eq!(
                (error.kind(), error.reaction()),
                (kind, reaction),
                "{status}"
            );
        }
    }

    #[test]
    fn a_usage_limit_is_not_tried_again() {
        let status =
            Status::with_details(Code::ResourceExhausted, "limit", Bytes::from_static(b"x"));
        assert_eq!(meaning(status).reaction(), Reaction::Permanent);
    }
}
