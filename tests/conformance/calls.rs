//! A gRPC client that sends messages byte for byte as they were recorded.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http_body::Body as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::canonical::Canonical;
use crate::recording::{CallRequest, Event};

const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

pub struct Caller {
    client: reqwest::Client,
    url: String,
    canonical: Canonical,
}

/// What a call was answered with: the messages, and the status in the form of a recording.
struct Answer {
    messages: Vec<Vec<u8>>,
    status: Value,
}

impl Caller {
    pub fn to(url: String) -> Caller {
        // Another test of this process may have installed it.
        let _first = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .http2_prior_knowledge()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build();
        Caller {
            client: client.expect("a client"),
            url,
            canonical: Canonical::new(),
        }
    }

    /// Makes a unary call and shows its answer as a recording does.
    pub async fn call(&self, request: &CallRequest) -> Value {
        let message = decode(request.base64.as_deref().unwrap_or_default());
        self.call_with(request, &message).await
    }

    /// As `call`, with another message.
    pub async fn call_with(&self, request: &CallRequest, message: &[u8]) -> Value {
        let sent = self.post(request).body(framed(message)).send();
        let answer = read(sent.await.expect("a response")).await;
        let mut shown = answer.status;
        if let Some(message) = answer.messages.first() {
            shown["message"] = self.canonical.reply(&request.method, message);
        }
        shown
    }

    /// Holds a bidirectional call: sends and waits in the order of the recording.
    pub async fn hold(&self, request: &CallRequest, events: &[Event]) -> (Vec<Value>, Value) {
        let (sender, mut queue) = mpsc::unbounded_channel();
        let mut sender = Some(sender);
        let pieces = futures_util::stream::poll_fn(move |context| {
            queue
                .poll_recv(context)
                .map(|piece: Option<Vec<u8>>| piece.map(Ok::<_, std::io::Error>))
        });
        let body = reqwest::Body::wrap_stream(pieces);
        let mut talk = Talk::Opening(Box::pin(self.post(request).body(body).send()));
        let mut received = Vec::new();
        for event in events {
            match event.dir.as_str() {
                "send" => {
                    let message = decode(event.base64.as_deref().unwrap_or_default());
                    let sent = sender.as_ref().map(|sender| sender.send(framed(&message)));
                    // A server that has refused the stream takes no more.
                    let _may_be_over = sent;
                }
                "recv" => received.extend(talk.next().await),
                _ => drop(sender.take()),
            }
        }
        let end = talk.end(&mut received).await;
        let shown = received
            .iter()
            .map(|message| self.canonical.read("BatchStreamReply", message));
        (shown.collect(), end)
    }

    fn post(&self, request: &CallRequest) -> reqwest::RequestBuilder {
        let mut builder = self
            .client
            .post(format!("{}{}", self.url, request.method))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in &request.metadata {
            builder = builder.header(name, value);
        }
        builder
    }

    /// The JSON form of a recorded reply, by the table.
    pub fn canonical(&self) -> &Canonical {
        &self.canonical
    }
}

type Opening = Pin<Box<dyn Future<Output = reqwest::Result<reqwest::Response>> + Send>>;

enum Talk {
    Opening(Opening),
    Open(Box<Replies>),
}

impl Talk {
    async fn open(&mut self) -> &mut Replies {
        if let Talk::Opening(opening) = self {
            let response = opening.await.expect("a response");
            *self = Talk::Open(Box::new(Replies::of(response)));
        }
        match self {
            Talk::Open(replies) => replies,
            Talk::Opening(_) => unreachable!("it was just opened"),
        }
    }

    async fn next(&mut self) -> Option<Vec<u8>> {
        self.open().await.next().await
    }

    async fn end(mut self, received: &mut Vec<Vec<u8>>) -> Value {
        while let Some(message) = self.next().await {
            received.push(message);
        }
        self.open().await.status()
    }
}

async fn read(response: reqwest::Response) -> Answer {
    let mut replies = Replies::of(response);
    let mut messages = Vec::new();
    while let Some(message) = replies.next().await {
        messages.push(message);
    }
    Answer {
        messages,
        status: replies.status(),
    }
}

/// The messages of a response, and its trailers behind them.
struct Replies {
    body: reqwest::Body,
    buffer: Vec<u8>,
    trailers: BTreeMap<String, String>,
}

impl Replies {
    fn of(response: reqwest::Response) -> Replies {
        assert_eq!(response.status(), 200);
        let (parts, body) = http::Response::from(response).into_parts();
        Replies {
            body,
            buffer: Vec::new(),
            trailers: texts(&parts.headers),
        }
    }

    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.cut() {
                return Some(message);
            }
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await?;
            match frame.expect("the body arrives").into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(other) => {
                    let trailers = other.into_trailers().expect("trailers");
                    self.trailers.extend(texts(&trailers));
                }
            }
        }
    }

    /// The first message of the buffer, if it is whole.
    fn cut(&mut self) -> Option<Vec<u8>> {
        let head = self.buffer.get(..5)?;
        let length = u32::from_be_bytes(head[1..].try_into().expect("four bytes")) as usize;
        let message = self.buffer.get(5..5 + length)?.to_vec();
        self.buffer.drain(..5 + length);
        Some(message)
    }

    fn status(&self) -> Value {
        assert!(self.buffer.is_empty(), "half a message is left");
        let code: usize = self.trailers["grpc-status"].parse().expect("a code");
        let details = self.trailers.get("grpc-message").map_or("", String::as_str);
        let mut status = json!({"code": CODES[code], "details": unescaped(details)});
        if let Some(rich) = self.trailers.get("grpc-status-details-bin") {
            let bytes = STANDARD_NO_PAD.decode(rich.trim_end_matches('='));
            status["status_details_base64"] = STANDARD.encode(bytes.expect("base64")).into();
        }
        status
    }
}

fn texts(headers: &http::HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("an escape"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("a text is UTF-8")
}

pub fn decode(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("base64")
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a length");
    [&[0], &length.to_be_bytes()[..], message].concat()
}
