//! Replies and the shapes of error bodies.

use serde_json::{Value, json};

use super::write;

const JSON: &str = "application/json";

/// A reply before it is sent.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: Option<&'static str>,
    pub(super) header: Option<(&'static str, String)>,
    pub(super) body: String,
}

/// What a handler answers; both sides are sent.
pub(super) type Answer = Result<Reply, Reply>;

impl Reply {
    /// A reply without body and content type; with 200 it is what the server answers when a handler panicked.
    pub(super) fn empty(status: u16) -> Reply {
        Reply {
            status,
            content_type: None,
            header: None,
            body: String::new(),
        }
    }

    /// As `empty`, with a content type.
    pub(super) fn empty_json(status: u16) -> Reply {
        Reply {
            content_type: Some(JSON),
            ..Reply::empty(status)
        }
    }

    /// A JSON body that is already written.
    pub(super) fn text(status: u16, mut body: String) -> Reply {
        body.push('\n');
        Reply {
            status,
            content_type: Some(JSON),
            header: None,
            body,
        }
    }

    /// A page of HTML, as proxies answer.
    pub(super) fn page(status: u16, body: String) -> Reply {
        Reply {
            status,
            content_type: Some("text/html"),
            header: None,
            body,
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Reply {
        let mut text = String::new();
        write::value(&mut text, body);
        Reply::text(status, text)
    }

    pub(super) fn ok(body: &Value) -> Reply {
        Reply::json(200, body)
    }

    /// The error of a handler.
    pub(super) fn error(status: u16, message: impl Into<String>) -> Reply {
        Reply::json(status, &json!({"error": [{"message": message.into()}]}))
    }

    /// The error of a schema write.
    pub(super) fn schema_error(message: impl Into<String>) -> Reply {
        Reply::json(
            422,
            &json!({"allowed": null, "error": [{"message": message.into()}]}),
        )
    }

    /// The error of the framework: codes of 600 and above come with 422.
    pub(super) fn framework(code: u16, message: impl Into<String>) -> Reply {
        let status = if code >= 600 { 422 } else { code };
        Reply::json(status, &json!({"code": code, "message": message.into()}))
    }

    /// The reply to a request beyond a cap of the operator.
    pub(super) fn usage_limit(limit: &str, value: usize) -> Reply {
        let message = format!("{limit} count limit of {value} reached for this instance.");
        let body = json!({"errorCode": "USAGE_LIMIT_EXCEEDED", "limit": limit, "message": message, "value": value});
        Reply::json(429, &body)
    }
}
