//! How a reply goes out: whole, or damaged by a fault.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use futures_util::stream;

use super::reply::Reply;
use super::wire::Scissors;

/// What becomes of a reply on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It arrives.
    Whole,
    /// The connection is cut instead.
    Cut,
    /// Its body ends after so many bytes.
    Truncated(usize),
    /// Its body comes at so many bytes per second.
    Trickling(usize),
}

impl Delivery {
    /// Makes the HTTP response of a reply.
    pub(super) fn deliver(self, reply: Reply, scissors: &Scissors) -> Response<Body> {
        match self {
            Delivery::Whole => respond(reply),
            Delivery::Cut => {
                scissors.cut();
                respond(reply)
            }
            Delivery::Truncated(length) => truncated(reply, length),
            Delivery::Trickling(speed) => trickling(reply, speed),
        }
    }
}

fn head(reply: &Reply) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(kind) = reply.content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if let Some((name, value)) = &reply.header
        && let Ok(value) = HeaderValue::from_str(value)
    {
        headers.insert(HeaderName::from_static(name), value);
    }
    response
}

/// A reply that arrives whole.
pub(super) fn respond(reply: Reply) -> Response<Body> {
    let mut response = head(&reply);
    *response.body_mut() = Body::from(reply.body);
    response
}

/// Promises the whole length and ends early, which makes the HTTP server cut the connection.
fn truncated(reply: Reply, length: usize) -> Response<Body> {
    let mut response = head(&reply);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    let mut bytes = Bytes::from(reply.body);
    bytes.truncate(length);
    let end = Err(io::Error::from(io::ErrorKind::ConnectionReset));
    *response.body_mut() = Body::from_stream(stream::iter([Ok(bytes), end]));
    response
}

fn trickling(reply: Reply, speed: usize) -> Response<Body> {
    let mut response = head(&reply);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    let step = (speed / 50).max(1);
    let pieces = stream::unfold(Bytes::from(reply.body), move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_secs_f64(step as f64 / speed.max(1) as f64)).await;
        let piece = rest.split_to(step.min(rest.len()));
        Some((Ok::<_, io::Error>(piece), rest))
    });
    *response.body_mut() = Body::from_stream(pieces);
    response
}
