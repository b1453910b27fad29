//! What a reply means: which may be used, which error each of the others is, and what the server said.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::StatusCode;

use super::{Client, Role, SMALL_REPLY, Trouble};
use crate::error::{Error, Kind, Reaction, Result};

/// A complete reply.
pub(in crate::weaviate) struct Reply {
    pub status: StatusCode,
    pub body: Bytes,
    pub server_time: Option<SystemTime>,
    pub retry_after: Option<Duration>,
}

impl Client {
    pub(super) fn judge(&self, reply: Reply) -> Result<Reply> {
        let status = reply.status;
        if status.is_success() {
            self.is_met.store(true, Ordering::Relaxed);
            return Ok(reply);
        }
        let said = reply.words();
        let message =
            |what: &str| format!("{} {what}: {status}{}", self.address(), said_suffix(&said));
        Err(match status.as_u16() {
            404 if reply.is_foreign() => return Err(self.not_weaviate(&message("has nothing of Weaviate there"))),
            401 => Error::new(Kind::Unauthorised, message("does not accept the credentials"))
                .with_hint("pass a valid key with --api-key-file or WEAVIATE_API_KEY"),
            403 => Error::new(Kind::Unauthorised, message("does not allow this"))
                .with_reaction(Reaction::Forbidden)
                .with_hint("the key needs more permissions; README lists them per command"),
            300..=399 => Error::new(self.role().refused(), message("redirects elsewhere"))
                .with_hint("pass the final address with --url; redirects are not followed, they could carry the key away"),
            413 => Error::new(self.role().refused(), message("finds the request too large")).with_reaction(Reaction::TooLarge),
            429 if said.contains("USAGE_LIMIT_EXCEEDED") || reply.is_usage_limit() => {
                Error::new(self.role().refused(), message("has reached a usage limit"))
                    .with_hint("its operator has set a limit; trying again is of no use")
            }
            408 | 429 | 502 | 503 | 504 => Error::transient(message("is not available"))
                .with_reaction(Reaction::Transient { after: reply.retry_after }),
            500 => Error::transient(message("failed")).with_reaction(Reaction::Suspect),
            501 | 505..=599 => Error::new(self.role().refused(), message("failed")),
            _ => return Ok(reply),
        })
    }

    /// Something in between answers in place of Weaviate: for a moment, if that was there before; else the address is wrong.
    fn not_weaviate(&self, message: &str) -> Error {
        match self.is_met.load(Ordering::Relaxed) {
            true => Error::transient(message),
            false => Error::new(self.role().refused(), message).with_hint(
                "check --url: host, port, and the path below which Weaviate is served, if there is one",
            ),
        }
    }

    /// The error for a reply whose status or shape was not expected.
    pub(in crate::weaviate) fn unexpected(&self, doing: &str, reply: &Reply) -> Error {
        if reply.status.is_success() {
            // A panic in the server's handler is an empty 200; something in between may cut a body.
            let what = if reply.body.is_empty() {
                "an empty reply"
            } else {
                "a reply that is not the expected JSON"
            };
            return Error::transient(format!(
                "{} gave {what} when asked to {doing}",
                self.address()
            ))
            .with_reaction(Reaction::Suspect);
        }
        let said = reply.words();
        let message = format!(
            "{} refused to {doing}: {}{}",
            self.address(),
            reply.status,
            said_suffix(&said)
        );
        self.about_tenant(Error::new(self.role().refused(), message), &said)
    }

    /// Somebody may put a tenant to sleep, or delete it, while a job is at it.
    pub(in crate::weaviate) fn about_tenant(&self, refused: Error, said: &str) -> Error {
        let is_gone = said.contains("tenant not found");
        match (is_gone, self.role()) {
            (true, Role::Source) => {
                refused.with_hint("it was deleted meanwhile; --resume goes on without it")
            }
            (true, Role::Target) => {
                refused.with_hint("it was deleted meanwhile; make it again, then pass --resume")
            }
            (false, _) if said.contains("tenant not active") => {
                refused.with_hint("somebody has deactivated it; activate it, then pass --resume")
            }
            _ => refused,
        }
    }

    pub(super) fn no_reply(&self, cause: reqwest::Error) -> Error {
        let why = innermost(&cause);
        if let Some(trouble) = Trouble::of(&why) {
            let message = format!(
                "cannot talk to {}: {}",
                self.address(),
                trouble.describe(&why)
            );
            return Error::new(self.role().refused(), message).with_hint(trouble.hint);
        }
        if cause.is_builder() {
            let message = format!("cannot talk to {}: {why}", self.address());
            return Error::new(self.role().refused(), message).with_hint("check --url");
        }
        let what = if cause.is_connect() {
            "cannot reach Weaviate at"
        } else {
            "lost the connection to"
        };
        let why = if cause.is_timeout() {
            "timed out".to_owned()
        } else {
            why
        };
        Error::transient(format!("{what} {}: {why}", self.address()))
            .with_hint("start the server or check --url, then resume")
    }
}

impl Reply {
    /// What the server said, as text: the messages of its known error shapes, else the start of the body.
    pub fn words(&self) -> String {
        // A long reply is not one of the known shapes, and not worth the memory.
        let start = &self.body[..self.body.len().min(SMALL_REPLY)];
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(start) else {
            return clean(&String::from_utf8_lossy(start));
        };
        let list = value.get("error").and_then(|list| list.as_array());
        let messages: Vec<&str> = list
            .into_iter()
            .flatten()
            .filter_map(|error| error.get("message")?.as_str())
            .collect();
        match (
            messages.is_empty(),
            value.get("message").and_then(|message| message.as_str()),
        ) {
            (false, _) => clean(&messages.join("; ")),
            (true, Some(message)) => clean(message),
            (true, None) => clean(&value.to_string()),
        }
    }

    /// True if the body is of none of the shapes that Weaviate gives: nothing at all, or JSON.
    fn is_foreign(&self) -> bool {
        let body = self.body.trim_ascii_start();
        !body.is_empty() && !matches!(body[0], b'{' | b'[' | b'"')
    }

    fn is_usage_limit(&self) -> bool {
        serde_json::from_slice::<serde_json::Value>(&self.body).is_ok_and(|value| {
            value.get("errorCode").and_then(|code| code.as_str()) == Some("USAGE_LIMIT_EXCEEDED")
        })
    }
}

fn said_suffix(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(", it says: {said}")
    }
}

/// At most 300 characters, none of them a control character.
pub(in crate::weaviate) fn clean(text: &str) -> String {
    let mut words: String = text
        .trim()
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(301)
        .collect();
    if words.chars().count() > 300 {
        words.pop();
        words.push('…');
    }
    words
}

pub(in crate::weaviate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    text.split_once(" (os error")
        .map_or(text.clone(), |(words, _)| words.to_lowercase())
}

pub(super) fn parse_retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    parse_http_date(text)?
        .duration_since(SystemTime::now())
        .ok()
}

/// RFC 9110: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn parse_http_date(text: &str) -> Option<SystemTime> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text.trim())
        .ok()?;
    Some(parsed.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weaviate::{Connection, Role};

    fn judged(status: u16, body: &str) -> Error {
        let client = Client::new(&Connection::to("http://localhost:1"), Role::Target).unwrap();
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            server_time: None,
            retry_after: Some(Duration::from_secs(7)),
        };
        match client.judge(reply) {
            Ok(reply) => client.unexpected("list objects", &reply),
            Err(error) => error,
        }
    }

    #[test]
    fn statuses_mean_what_they_mean() {
        assert_eq!(judged(401, "").kind(), Kind::Unauthorised);
        assert_eq!(judged(403, "").kind(), Kind::Unauthorised);
        assert_eq!(judged(302, "").reaction(), Reaction::Permanent);
        assert_eq!(judged(413, "").reaction(), Reaction::TooLarge);
        assert_eq!(judged(422, "").kind(), Kind::TargetRefused);
        for status in [408, 429, 502, 503, 504] {
            assert_eq!(
                judged(status, "").reaction(),
                Reaction::Transient {
                    after: Some(Duration::from_secs(7))
                },
                "{status}"
            );
        }
        assert_eq!(judged(500, "").reaction(), Reaction::Suspect);
        assert_eq!(
            judged(200, "").reaction(),
            Reaction::Suspect,
            "an empty 200 is no success"
        );
    }

    #[test]
    fn a_usage_limit_is_not_tried_again() {
        let body = r#"{"errorCode":"USAGE_LIMIT_EXCEEDED","limit":"objects","message":"object limit of 3 reached","value":3}"#;
        assert_eq!(judged(429, body).reaction(), Reaction::Permanent);
    }

    #[test]
    fn the_servers_words_are_found_in_each_shape_and_cleaned() {
        assert!(
            judged(422, r#"{"error":[{"message":"a"},{"message":"b"}]}"#)
                .message()
                .ends_with("it says: a; b")
        );
        assert!(
            judged(422, r#"{"code":601,"message":"c"}"#)
                .message()
                .ends_with("it says: c")
        );
        assert!(
            judged(422, "plain\u{1b}[31m")
                .message()
                .ends_with("it says: plain [31m")
        );
        assert!(judged(500, &"x".repeat(100_000)).message().len() < 500);
    }

    #[test]
    fn dates_and_delays_are_understood() {
        assert_eq!(parse_retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(parse_retry_after("soon"), None);
        let date = parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(
            date.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
            784_111_777
        );
    }
}
