//! One call: a message out, a message and a status back, over HTTP/2 as the gRPC protocol frames them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use http_body_util::BodyExt;
use reqwest::{Body, StatusCode};
use tonic::{Code, Status};

use crate::pipe::{Buffer, Buffers};
use crate::weaviate::client::{Trouble, innermost};

/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A message that is not longer goes out in one piece with its prefix, which the HTTP client can send again where a
/// connection was being closed; a longer one is not copied for that.
const ONE_PIECE: usize = 64 << 10;

/// How a method is called: all but the message.
#[derive(Clone)]
pub(super) struct Call {
    pub http: reqwest::Client,
    /// The number of the connection that it goes over.
    pub line: u64,
    pub url: String,
    pub key: Option<String>,
    /// The longest message that may come back.
    pub limit: usize,
    pub buffers: Buffers,
}

impl Call {
    /// Sends a message and gathers the one that comes back.
    pub async fn make(&self, message: Bytes) -> Result<Bytes, Status> {
        let mut request = self
            .http
            .post(&self.url)
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers");
        if let Some(key) = &self.key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| {
                Status::unauthenticated("the key holds characters that cannot be sent")
            })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.body(framed(message)).send().await.map_err(lost)?;
        let response: http::Response<Body> = response.into();
        let (head, mut body) = response.into_parts();
        // A refusal needs no message: its status is in the headers.
        if let Some(refusal) = status_in(&head.headers).filter(|status| status.code() != Code::Ok) {
            return Err(refusal);
        }
        if head.status != StatusCode::OK || !is_grpc(&head.headers) {
            return Err(of_http(head.status));
        }
        let mut reply = Reply::new(self.limit, &self.buffers);
        let mut trailers = HeaderMap::new();
        while let Some(frame) = body.frame().await {
            match frame.map_err(lost)?.into_data() {
                Ok(data) => reply.add(&data)?,
                Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        match status_in(&trailers) {
            Some(status) if status.code() == Code::Ok => reply.message(),
            Some(refusal) => Err(refusal),
            None => Err(Status::unavailable("the reply ended without a status")),
        }
    }
}

fn framed(message: Bytes) -> Body {
    let mut prefix = BytesMut::with_capacity(PREFIX + ONE_PIECE.min(message.len()));
    prefix.put_u8(0);
    prefix.put_u32(message.len() as u32);
    if message.len() <= ONE_PIECE {
        prefix.put(message);
        return prefix.freeze().into();
    }
    let pieces = [prefix.freeze(), message].map(Ok::<_, std::convert::Infallible>);
    Body::wrap_stream(stream::iter(pieces))
}

/// The status that headers or trailers hold. Details that cannot be decoded are none: tonic would panic over them.
fn status_in(headers: &HeaderMap) -> Option<Status> {
    const DETAILS: &str = "grpc-status-details-bin";
    let Some(details) = headers.get(DETAILS) else {
        return Status::from_header_map(headers);
    };
    let mut others = headers.clone();
    others.remove(DETAILS);
    let status = Status::from_header_map(&others)?;
    let details = details.to_str().unwrap_or_default().trim_end_matches('=');
    let details = STANDARD_NO_PAD.decode(details).unwrap_or_default();
    Some(Status::with_details(
        status.code(),
        status.message(),
        details.into(),
    ))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// The meaning of an answer that comes from something before the server, by the gRPC protocol's table.
fn of_http(status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("answered {status}, not in gRPC"))
}

/// Whatever happens to the connection may pass, but for what TLS refuses.
fn lost(cause: reqwest::Error) -> Status {
    if cause.is_timeout() {
        return Status::deadline_exceeded("timed out");
    }
    let why = innermost(&cause);
    match Trouble::of(&why) {
        Some(trouble) => Status::failed_precondition(trouble.describe(&why)),
        None => Status::unavailable(why),
    }
}

/// The message of a reply, as far as it has come.
struct Reply<'a> {
    limit: usize,
    buffers: &'a Buffers,
    prefix: Vec<u8>,
    /// What has come of the message and how long it will be, once its prefix is there.
    message: Option<(Buffer, usize)>,
}

impl<'a> Reply<'a> {
    fn new(limit: usize, buffers: &'a Buffers) -> Self {
        Reply {
            limit,
            buffers,
            prefix: Vec::with_capacity(PREFIX),
            message: None,
        }
    }

    fn add(&mut self, mut data: &[u8]) -> Result<(), Status> {
        if self.message.is_none() {
            let (prefix, rest) = data.split_at(data.len().min(PREFIX - self.prefix.len()));
            self.prefix.extend_from_slice(prefix);
            data = rest;
            if let [flag, a, b, c, d] = self.prefix[..] {
                self.message = Some(self.begin(flag, u32::from_be_bytes([a, b, c, d]))?);
            }
        }
        match &mut self.message {
            Some((buffer, length)) if data.len() <= *length - buffer.len() => {
                buffer.extend_from_slice(data);
                Ok(())
            }
            Some(_) => Err(Status::internal("the reply is longer than it says")),
            None => Ok(()),
        }
    }

    fn begin(&self, flag: u8, length: u32) -> Result<(Buffer, usize), Status> {
        if flag != 0 {
            return Err(Status::internal("the reply is compressed, unasked"));
        }
        match usize::try_from(length) {
            Ok(length) if length <= self.limit => Ok((self.buffers.take(length), length)),
            _ => Err(Status::resource_exhausted(format!(
                "message length too large: {length} bytes, at most {}",
                self.limit
            ))),
        }
    }

    /// The whole message; a reply that ended before its end is as good as none.
    fn message(self) -> Result<Bytes, Status> {
        match self.message {
            Some((buffer, length)) if buffer.len() == length => Ok(buffer.share()),
            _ => Err(Status::unavailable("the reply ended too early")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a reply that comes in these pieces, with at most 9 bytes.
    fn read(pieces: &[&[u8]]) -> Result<Bytes, Code> {
        let buffers = Buffers::default();
        let mut reply = Reply::new(9, &buffers);
        let added = pieces.iter().try_for_each(|piece| reply.add(piece));
        added
            .and_then(|()| reply.message())
            .map_err(|status| status.code())
    }

    #[test]
    fn a_message_is_the_same_however_it_is_cut() {
        let bytes = b"\0\0\0\0\x04four";
        for cut in 0..=bytes.len() {
            let (one, two) = bytes.split_at(cut);
            assert_eq!(read(&[one, two]).unwrap(), &b"four"[..], "cut at {cut}");
        }
        assert_eq!(read(&[b"\0\0\0\0\0"]).unwrap(), &b""[..]);
    }

    #[test]
    fn a_reply_that_is_no_whole_message_is_an_error() {
        for (pieces, code) in [
            (&[&b""[..]][..], Code::Unavailable),
            (&[b"\0\0\0\0"], Code::Unavailable),
            (&[b"\0\0\0\0\x04fou"], Code::Unavailable),
            (&[b"\0\0\0\0\x04fours"], Code::Internal),
            (&[b"\0\0\0\0\x04four", b"\0\0\0\0\x04four"], Code::Internal),
            (&[b"\x01\0\0\0\x04four"], Code::Internal),
            (&[b"\0\0\0\0\x0a"], Code::ResourceExhausted),
            (&[b"\0\xff\xff\xff\xff"], Code::ResourceExhausted),
        ] {
            assert_eq!(read(pieces), Err(code), "{pieces:?}");
        }
    }

    #[tokio::test]
    async fn a_message_goes_out_behind_its_prefix_in_one_piece_or_two() {
        for length in [0, 7, ONE_PIECE, ONE_PIECE + 1] {
            let sent = framed(vec![7; length].into()).collect().await.unwrap();
            let sent = sent.to_bytes();
            assert_eq!(sent[0], 0);
            assert_eq!(sent[1..5], (length as u32).to_be_bytes());
            assert_eq!(sent[5..], vec![7; length]);
        }
    }

    #[test]
    fn details_are_decoded_with_and_without_padding_and_are_none_if_that_fails() {
        for (text, details) in [
            ("eA==", &b"x"[..]),
            ("eA", b"x"),
            ("", b""),
            ("not base64", b""),
            ("eB", b""),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", 8.into());
            headers.insert("grpc-message", "limit%20reached".parse().unwrap());
            headers.insert("grpc-status-details-bin", text.parse().unwrap());
            let status = status_in(&headers).unwrap();
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert_eq!(status.message(), "limit reached");
            assert_eq!(status.details(), details, "{text}");
        }
        assert!(status_in(&HeaderMap::new()).is_none());
    }

    #[test]
    fn answers_of_a_proxy_mean_what_the_protocol_says() {
        for (status, code) in [
            (401, Code::Unauthenticated),
            (404, Code::Unimplemented),
            (503, Code::Unavailable),
            (301, Code::Unknown),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(of_http(status).code(), code, "{status}");
        }
        for (kind, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("text/html", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
            assert_eq!(is_grpc(&headers), is, "{kind}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
