//! A stranger between gRPC and its caller: passes calls on, and answers some of them itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use bytes::Bytes;
use http_body::Frame;

use crate::bench::Bench;

/// What to answer to the call of this number, from 1; `None` passes it on.
type Answer = dyn Fn(u64) -> Option<Response<Body>> + Send + Sync;

struct Middleman {
    server: String,
    http: reqwest::Client,
    /// The path of the calls that are counted.
    path: &'static str,
    calls: AtomicU64,
    answer: Box<Answer>,
}

/// Puts a stranger between the bench and its gRPC, who answers calls of this path that he chooses by their number.
pub async fn put_between(
    bench: &mut Bench,
    path: &'static str,
    answer: impl Fn(u64) -> Option<Response<Body>> + Send + Sync + 'static,
) {
    // A second installation is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy();
    let middleman = Arc::new(Middleman {
        server: bench.sandbox.grpc_url(),
        http: http.build().unwrap(),
        path,
        calls: AtomicU64::new(0),
        answer: Box::new(answer),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    bench.grpc_url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(serve).with_state(middleman);
    tokio::spawn(async move { axum::serve(listener, router).await });
}

async fn serve(State(middleman): State<Arc<Middleman>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == middleman.path {
        let number = middleman.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(answer) = (middleman.answer)(number) {
            return answer;
        }
    }
    let url = format!("{}{path}", middleman.server);
    let (head, body) = request.into_parts();
    let message = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut call = middleman.http.post(url).body(message);
    for name in ["content-type", "te", "authorization"] {
        if let Some(value) = head.headers.get(name) {
            call = call.header(name, value);
        }
    }
    match call.send().await {
        Ok(response) => http::Response::<reqwest::Body>::from(response).map(Body::new),
        Err(_) => with_status(StatusCode::BAD_GATEWAY, "text/plain", ""),
    }
}

/// A body as it is, without a status of gRPC.
pub fn with_status(status: StatusCode, kind: &str, body: &str) -> Response<Body> {
    let response = Response::builder().status(status);
    let response = response.header(header::CONTENT_TYPE, kind);
    response.body(Body::from(body.to_owned())).unwrap()
}

/// These bytes in place of messages, then "OK" if that is wanted.
pub fn bytes(bytes: impl Into<Bytes>, is_ended: bool) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let data = Ok::<_, std::io::Error>(Frame::data(bytes.into()));
    let end = is_ended.then(|| Ok(Frame::trailers(trailers)));
    streamed(futures_util::stream::iter([data].into_iter().chain(end)))
}

/// The same bytes for ever.
pub fn endless(block: Bytes) -> Response<Body> {
    streamed(futures_util::stream::repeat_with(move || {
        Ok::<_, std::io::Error>(Frame::data(block.clone()))
    }))
}

fn streamed<S>(frames: S) -> Response<Body>
where
    S: futures_util::Stream<Item = std::io::Result<Frame<Bytes>>> + Send + 'static,
{
    let body = Body::new(http_body_util::StreamBody::new(frames));
    let response = Response::builder().header(header::CONTENT_TYPE, "application/grpc");
    response.body(body).unwrap()
}

/// A message with the head that says its length.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    [&[0], &length[..], message].concat()
}
