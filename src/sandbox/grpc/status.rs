//! Refusals as gRPC tells them.

use prost::Message as _;
use serde_json::Value;
use tonic::{Code, Status};

use super::super::reply::Reply;
use super::messages::{Any, ErrorInfo, RichStatus};

/// The refusal of a handler in the server's words.
pub(super) fn unknown(text: impl Into<String>) -> Status {
    Status::new(Code::Unknown, text)
}

/// What a panicked handler answers.
pub(super) fn panicked() -> Status {
    unknown("panic occurred: runtime error: invalid memory address or nil pointer dereference")
}

/// The refusal that REST would answer with.
pub(super) fn refusal(reply: &Reply) -> Status {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let text = body["error"][0]["message"]
        .as_str()
        .or(body["message"].as_str())
        .unwrap_or_default();
    match body["errorCode"].as_str() {
        Some(reason) => usage_limit(reason, text, &body),
        None => unknown(text),
    }
}

fn usage_limit(reason: &str, text: &str, body: &Value) -> Status {
    let named = |name: &str, value: String| (name.to_owned(), value);
    let info = ErrorInfo {
        reason: reason.to_owned(),
        domain: "weaviate.usagelimits".to_owned(),
        metadata: [
            named(
                "limit",
                body["limit"].as_str().unwrap_or_default().to_owned(),
            ),
            named("value", body["value"].to_string()),
            named("message", text.to_owned()),
        ]
        .into(),
    };
    let rich = RichStatus {
        code: Code::ResourceExhausted as i32,
        message: text.to_owned(),
        details: vec![Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
            value: info.encode_to_vec(),
        }],
    };
    Status::with_details(Code::ResourceExhausted, text, rich.encode_to_vec().into())
}

/// The code that stands for an HTTP status.
pub(super) fn code_of(status: u16) -> Code {
    match status {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        408 | 504 => Code::DeadlineExceeded,
        413 | 429 => Code::ResourceExhausted,
        501 => Code::Unimplemented,
        502 | 503 => Code::Unavailable,
        _ => Code::Unknown,
    }
}
