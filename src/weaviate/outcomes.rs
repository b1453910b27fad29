//! What became of each object of a batch, read from the server's reply in either protocol.

use serde::Deserialize;

use super::client::clean;
use super::protobuf::{Fields, Wire, malformed};
use crate::error::{Error, Reaction, Result};
use crate::model::Key;

/// What the server did with an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Accepted,
    Rejected(String),
}

#[derive(Deserialize)]
struct StoredObject<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    result: StoredResult,
}

#[derive(Deserialize)]
struct StoredResult {
    status: String,
    errors: Option<StoredErrors>,
}

#[derive(Deserialize)]
struct StoredErrors {
    error: Option<Vec<StoredError>>,
}

#[derive(Deserialize)]
struct StoredError {
    message: String,
}

/// Failures of single objects that lie in the server's state, not in the object: the batch is tried again.
/// Up to 1.39 a read-only shard reports only its first object as failed and stores none of the others either. The last
/// three are of a node that the one that was asked does not reach, or that has not loaded its collections yet (1.40).
const PASSING: [&str; 8] = [
    "store is read-only",
    "cannot reach enough replicas",
    "cannot achieve consistency level",
    "context deadline exceeded",
    "not enough memory",
    "connect: Post \"http",
    "resolve node name \"",
    "local index \"",
];

/// What a module of the server says that fails in itself: not one object has failed then, but the whole batch.
const COLLATERAL: &str = "panic occurred";

/// Why the batch failed as a whole although the reply speaks of each object: one of them may be to blame.
pub(super) fn common_failure(outcomes: &[Outcome]) -> Option<&str> {
    let is_collateral = |outcome: &Outcome| matches!(outcome, Outcome::Rejected(reason) if reason.contains(COLLATERAL));
    match outcomes {
        [Outcome::Rejected(reason), _, ..] if outcomes.iter().all(is_collateral) => Some(reason),
        _ => None,
    }
}

/// One outcome per object, in order, from REST's reply. A reply that does not account for each is no success.
pub(super) fn of_rest<'a>(
    reply: &[u8],
    keys: impl ExactSizeIterator<Item = &'a Key>,
) -> Result<Vec<Outcome>> {
    let unreadable = |why: &str| {
        Error::transient(format!(
            "the server's reply to a batch cannot be read: {}",
            clean(why)
        ))
        .with_reaction(Reaction::Suspect)
    };
    if reply.is_empty() {
        return Err(unreadable("it is empty"));
    }
    let stored: Vec<StoredObject<'_>> =
        serde_json::from_slice(reply).map_err(|cause| unreadable(&cause.to_string()))?;
    if stored.len() != keys.len() {
        return Err(unreadable(&format!(
            "it has {} results for {} objects",
            stored.len(),
            keys.len()
        )));
    }
    let mut outcomes = Vec::with_capacity(stored.len());
    for (stored, key) in stored.iter().zip(keys) {
        if stored.id != key.id.to_string() {
            return Err(unreadable(&format!(
                "it speaks of object {} instead of {key}",
                stored.id
            )));
        }
        outcomes.push(of_result(&stored.result)?);
    }
    Ok(outcomes)
}

fn of_result(result: &StoredResult) -> Result<Outcome> {
    let messages: Vec<&str> = result
        .errors
        .iter()
        .flat_map(|errors| errors.error.iter().flatten())
        .map(|error| error.message.as_str())
        .collect();
    if result.status == "SUCCESS" && messages.is_empty() {
        return Ok(Outcome::Accepted);
    }
    rejected(if messages.is_empty() {
        format!("status {}", result.status)
    } else {
        messages.join("; ")
    })
}

/// A rejection, unless it may pass.
fn rejected(reason: String) -> Result<Outcome> {
    match PASSING.iter().any(|passing| reason.contains(passing)) {
        true => Err(Error::transient(format!(
            "the server cannot store objects now: {reason}"
        ))),
        false => Ok(Outcome::Rejected(reason)),
    }
}

/// One outcome per object, in order, from gRPC's BatchObjectsReply, which names those that failed.
pub(super) fn of_grpc(reply: &[u8], count: usize) -> Result<Vec<Outcome>> {
    let mut outcomes = vec![Outcome::Accepted; count];
    for field in Fields::of(reply) {
        if let (2, Wire::Bytes(failure)) = field? {
            let (index, reason) = read_failure(failure)?;
            *outcomes
                .get_mut(index)
                .ok_or_else(|| malformed("it speaks of an object that was not sent"))? =
                rejected(reason)?;
        }
    }
    Ok(outcomes)
}

fn read_failure(failure: &[u8]) -> Result<(usize, String)> {
    let (mut index, mut reason) = (0, String::new());
    for field in Fields::of(failure) {
        match field? {
            (1, value) => {
                index =
                    usize::try_from(value.number()).map_err(|_| malformed("an index is absurd"))?;
            }
            (2, value) => reason = clean(value.text()?),
            _ => {}
        }
    }
    Ok((index, reason))
}

#[cfg(test)]
mod tests {
    use super::super::protobuf::Add;
    use super::*;
    use crate::model::ObjectId;

    fn failures(list: &[(u64, &str)]) -> Vec<u8> {
        let mut reply = Vec::new();
        for (index, reason) in list {
            reply.add_message(2, |failure| {
                failure.add_number(1, *index);
                failure.add_bytes(2, reason.as_bytes());
            });
        }
        reply
    }

    #[test]
    fn grpc_names_only_what_failed() {
        let outcomes = of_grpc(&failures(&[(2, "bad date"), (0, "bad uuid")]), 3).unwrap();
        let bad = |reason: &str| Outcome::Rejected(reason.to_owned());
        assert_eq!(
            outcomes,
            [bad("bad uuid"), Outcome::Accepted, bad("bad date")]
        );
        assert_eq!(of_grpc(&[], 1).unwrap(), [Outcome::Accepted]);
    }

    #[test]
    fn a_batch_of_which_all_failed_by_one_panic_has_failed_as_a_whole() {
        let panic = || Outcome::Rejected("panic occurred: nil".to_owned());
        let other = || Outcome::Rejected("no such prop".to_owned());
        assert_eq!(
            common_failure(&[panic(), panic()]),
            Some("panic occurred: nil")
        );
        for apart in [
            vec![],
            vec![panic()],
            vec![panic(), Outcome::Accepted],
            vec![other(), other()],
        ] {
            assert_eq!(common_failure(&apart), None, "{apart:?}");
        }
    }

    #[test]
    fn a_reply_about_other_objects_is_no_success() {
        assert!(of_grpc(&failures(&[(3, "x")]), 3).is_err());
        assert!(of_grpc(&[0x12, 9], 3).is_err());
        let key = Key::of(ObjectId::NIL);
        for reply in [
            "",
            "[]",
            "{}",
            r#"[{"id":"x","result":{"status":"SUCCESS"}}]"#,
        ] {
            assert!(
                of_rest(reply.as_bytes(), [&key].into_iter()).is_err(),
                "{reply}"
            );
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for reason in [
            "store is read-only due to: x",
            "connect: Post \"http://10.0.0.3:7001/indices/A/shards/s/objects\": dial tcp 10.0.0.3:7001: connect: connection refused",
            "connect: Post \"http://10.0.0.3:7001/indices/A/shards/s/objects\": EOF",
            "resolve node name \"node3\" to host",
            "status code: 422, error: local index \"A\" not found",
        ] {
            let error = of_grpc(&failures(&[(0, reason)]), 9).unwrap_err();
            assert!(error.is_transient(), "{reason}");
        }
    }
}
