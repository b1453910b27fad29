//! Messages on the wire: five bytes before each, trailers behind the last, and what faults make of them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, header};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use http_body::Frame;
use tonic::{Code, Status};

use super::super::delivery::Delivery;
use super::super::wire::Scissors;
use super::service::Answer;

/// The bytes before each message: a flag for compression, and the length.
pub(super) const HEAD: usize = 5;

/// A body made of frames.
struct Frames<S>(S);

/// A frame of a body, or why it breaks off.
pub(super) type Piece = Result<Frame<Bytes>, io::Error>;

impl<S: Stream<Item = Piece> + Unpin> http_body::Body for Frames<S> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_next_unpin(context)
    }
}

/// The length of the first message in `bytes`, once its head is there.
pub(super) fn announced(bytes: &[u8]) -> Result<Option<usize>, Status> {
    let Some((flag, length)) = bytes.get(..HEAD).and_then(<[u8]>::split_first) else {
        return Ok(None);
    };
    if *flag != 0 {
        let text = "grpc: compressed flag set with identity or empty encoding";
        return Err(Status::new(Code::Internal, text));
    }
    let length = u32::from_be_bytes(length.try_into().unwrap_or_default());
    Ok(Some(length as usize))
}

/// A message with its head.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD + message.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    bytes.put_slice(message);
    bytes.freeze()
}

/// The trailers of a status.
pub(super) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // Texts are encoded, so this fails for no text that the sandbox knows.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", HeaderValue::from(status.code() as i32));
    }
    trailers
}

/// A response with a body of frames.
pub(super) fn respond(frames: impl Stream<Item = Piece> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(Body::new(Frames(Box::pin(frames))));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A response that is nothing but its headers.
fn bare(headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers;
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A refusal is headers only, as the real server sends it.
pub(super) fn refuse(status: &Status) -> Response<Body> {
    bare(trailers(status))
}

/// A 200 that ends without a message and without a status.
pub(super) fn nothing() -> Response<Body> {
    bare(HeaderMap::new())
}

/// Sends the answer to a unary call.
pub(super) fn deliver(answer: Answer, delivery: Delivery, scissors: &Scissors) -> Response<Body> {
    if delivery == Delivery::Cut {
        scissors.cut();
    }
    let message = match answer {
        Ok(message) => framed(&message),
        Err(status) => return refuse(&status),
    };
    match delivery {
        Delivery::Whole | Delivery::Cut => respond(stream::iter([data(message), end()])),
        Delivery::Truncated(length) => truncated(message, length),
        Delivery::Trickling(speed) => trickling(message, speed),
    }
}

fn data(bytes: Bytes) -> Piece {
    Ok(Frame::data(bytes))
}

fn end() -> Piece {
    Ok(Frame::trailers(trailers(&Status::ok(""))))
}

/// The message announces its whole length, and the stream is reset after so many bytes of it.
fn truncated(mut message: Bytes, length: usize) -> Response<Body> {
    message.truncate(HEAD + length);
    let reset = async {
        // What was yielded so far must leave the buffers before the stream is reset.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    };
    respond(stream::iter([data(message)]).chain(stream::once(reset)))
}

fn trickling(message: Bytes, speed: usize) -> Response<Body> {
    let step = (speed / 50).max(1);
    let pieces = stream::unfold(message, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_secs_f64(step as f64 / speed.max(1) as f64)).await;
        let piece = rest.split_to(step.min(rest.len()));
        Some((data(piece), rest))
    });
    respond(pieces.chain(stream::iter([end()])))
}
