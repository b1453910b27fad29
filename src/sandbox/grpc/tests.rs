use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use http_body::Body as _;
use prost::Message;

use super::frame::framed;
use super::messages::{
    AggregateRequest, BatchObjectsRequest, BatchReply, MetadataRequest, SearchReply, SearchRequest,
};
use super::objects::BatchObject;
use super::stream_messages::{BatchStreamReply, BatchStreamRequest, Said, Told};
use crate::sandbox::{Doom, Fault, Rule, Sandbox, Settings, When, sample_id};

/// What arrived of a reply.
#[derive(Debug)]
struct Arrived {
    http: u16,
    body: Vec<u8>,
    /// Headers and trailers.
    told: BTreeMap<String, String>,
}

impl Arrived {
    fn code(&self) -> Option<&str> {
        self.told.get("grpc-status").map(String::as_str)
    }

    fn message<R: Message + Default>(&self) -> R {
        assert_eq!(self.code(), Some("0"), "{:?}", self.told);
        R::decode(&self.body[5..]).expect("a message")
    }
}

fn client() -> reqwest::Client {
    let _first = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge();
    builder.build().expect("a client")
}

/// Makes a call over a connection of its own; the error is that of the connection or of the stream.
async fn call(
    sandbox: &Sandbox,
    method: &str,
    message: &impl Message,
) -> Result<Arrived, Box<dyn std::error::Error>> {
    let url = format!("{}/weaviate.v1.Weaviate/{method}", sandbox.grpc_url());
    let request = client()
        .post(url)
        .header("content-type", "application/grpc")
        .body(framed(&message.encode_to_vec()));
    arrived(request.send().await?).await
}

async fn arrived(response: reqwest::Response) -> Result<Arrived, Box<dyn std::error::Error>> {
    let (parts, mut body) = http::Response::from(response).into_parts();
    let texts = |headers: &http::HeaderMap| -> BTreeMap<String, String> {
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let pairs = headers.iter();
        pairs
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    };
    let mut arrived = Arrived {
        http: parts.status.as_u16(),
        body: Vec::new(),
        told: texts(&parts.headers),
    };
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame?.into_data() {
            Ok(data) => arrived.body.extend_from_slice(&data),
            Err(other) => {
                let trailers = other.into_trailers().expect("trailers");
                arrived.told.extend(texts(&trailers));
            }
        }
    }
    Ok(arrived)
}

async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::start(Settings::default())
        .await
        .expect("the sandbox starts");
    sandbox.store().fill("Article", 20, 3, 1);
    sandbox
}

fn one_object() -> BatchObjectsRequest {
    BatchObjectsRequest {
        objects: vec![BatchObject {
            uuid: "00000001-0000-4000-8000-000000000001".to_owned(),
            collection: "Article".to_owned(),
            ..BatchObject::default()
        }],
    }
}

fn page(limit: u32) -> SearchRequest {
    SearchRequest {
        collection: "Article".to_owned(),
        metadata: Some(MetadataRequest {
            uuid: true,
            vector: true,
            ..MetadataRequest::default()
        }),
        limit,
        ..SearchRequest::default()
    }
}

/// Writes one object while a fault strikes the first batch.
async fn struck(fault: Fault) -> (Sandbox, Result<Arrived, Box<dyn std::error::Error>>) {
    let sandbox = sandbox().await;
    sandbox
        .faults()
        .add(Rule::grpc("BatchObjects", When::Nth(1..=1), fault));
    let reply = call(&sandbox, "BatchObjects", &one_object()).await;
    (sandbox, reply)
}

#[tokio::test]
async fn a_reset_before_the_effect_leaves_nothing() {
    let (sandbox, reply) = struck(Fault::ResetBefore).await;
    assert!(reply.is_err());
    assert_eq!(sandbox.store().count("Article"), 20);
    let next = call(&sandbox, "BatchObjects", &one_object()).await;
    let next: BatchReply = next.expect("the next one passes").message();
    assert!(next.errors.is_empty());
    assert_eq!(sandbox.store().count("Article"), 21);
}

#[tokio::test]
async fn a_reset_after_the_effect_hides_a_success() {
    let (sandbox, reply) = struck(Fault::ResetAfter).await;
    assert!(reply.is_err());
    assert_eq!(sandbox.store().count("Article"), 21);
}

#[tokio::test]
async fn a_truncated_message_is_followed_by_a_reset() {
    let sandbox = sandbox().await;
    let rule = Rule::grpc("Search", When::Nth(1..=1), Fault::Truncate(7));
    sandbox.faults().add(rule);
    let reply = call(&sandbox, "Search", &page(5)).await;
    assert!(reply.is_err(), "{reply:?}");
}

#[tokio::test]
async fn a_503_is_unavailable_and_leaves_nothing() {
    let (sandbox, reply) = struck(Fault::Status {
        status: 503,
        retry_after: Some(2),
        body: "busy".to_owned(),
    })
    .await;
    let reply = reply.expect("a reply");
    assert_eq!((reply.http, reply.code()), (200, Some("14")));
    assert_eq!(reply.told["grpc-message"], "busy");
    assert_eq!(reply.told["retry-after"], "2");
    assert_eq!(sandbox.store().count("Article"), 20);
}

#[tokio::test]
async fn a_proxy_answers_with_a_page_and_without_a_status() {
    let (sandbox, reply) = struck(Fault::Proxy {
        status: 502,
        body: "<html>".to_owned(),
    })
    .await;
    let reply = reply.expect("a reply");
    assert_eq!((reply.http, reply.code()), (502, None));
    assert_eq!(reply.told["content-type"], "text/html");
    assert_eq!(sandbox.store().count("Article"), 20);
}

#[tokio::test]
async fn an_empty_reply_has_no_status() {
    for (fault, stored) in [(Fault::EmptyBefore, 20), (Fault::EmptyAfter, 21)] {
        let (sandbox, reply) = struck(fault).await;
        let reply = reply.expect("a reply");
        assert_eq!((reply.http, reply.code()), (200, None));
        assert!(reply.body.is_empty());
        assert_eq!(sandbox.store().count("Article"), stored);
    }
}

#[tokio::test]
async fn a_page_is_short_on_demand_and_only_the_search_that_was_named() {
    let sandbox = sandbox().await;
    let third = Rule::grpc("Search", When::Nth(3..=3), Fault::ShortPage(2));
    let third = sandbox.faults().add(third);
    let count = AggregateRequest {
        collection: "Article".to_owned(),
        objects_count: true,
        ..AggregateRequest::default()
    };
    let mut lengths = Vec::new();
    for _ in 0..4 {
        call(&sandbox, "Aggregate", &count).await.expect("a count");
        let page = call(&sandbox, "Search", &page(10)).await.expect("a page");
        lengths.push(page.message::<SearchReply>().results.len());
    }
    assert_eq!(lengths, [10, 10, 2, 10]);
    assert_eq!(sandbox.faults().struck(third), 1);
    assert_eq!(sandbox.count_calls("Search"), 4);
}

#[tokio::test]
async fn a_slow_reply_arrives_whole() {
    let sandbox = sandbox().await;
    let slow = Fault::Slow {
        latency: Duration::from_millis(1),
        bytes_per_second: Some(100_000),
    };
    sandbox
        .faults()
        .add(Rule::grpc("Search", When::Always, slow));
    let page = call(&sandbox, "Search", &page(10)).await.expect("a page");
    assert_eq!(page.message::<SearchReply>().results.len(), 10);
}

#[tokio::test]
async fn a_stalled_call_goes_on_after_its_release() {
    let sandbox = sandbox().await;
    let rule = Rule::grpc("BatchObjects", When::Always, Fault::Stall(None));
    sandbox.faults().add(rule);
    let request = one_object();
    let waiting = call(&sandbox, "BatchObjects", &request);
    let release = async {
        while sandbox.faults().struck(0) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(sandbox.store().count("Article"), 20);
        sandbox.faults().release();
    };
    let (reply, ()) = tokio::join!(waiting, release);
    reply.expect("a reply").message::<BatchReply>();
    assert_eq!(sandbox.store().count("Article"), 21);
}

#[tokio::test]
async fn a_restart_cuts_calls_and_keeps_the_port_and_the_data() {
    let (sandbox, reply) = struck(Fault::Restart(Duration::from_millis(20))).await;
    assert!(reply.is_err());
    let request = one_object();
    let again = loop {
        if let Ok(reply) = call(&sandbox, "BatchObjects", &request).await {
            break reply;
        }
    };
    again.message::<BatchReply>();
    assert_eq!(sandbox.store().count("Article"), 21);
}

#[tokio::test]
async fn hooks_see_a_call_before_and_after_its_effect() {
    let sandbox = sandbox().await;
    let (seen, heard) = std::sync::mpsc::channel();
    let store = sandbox.store().clone();
    sandbox.on_request(move |request| {
        let _closed = seen.send((request.seq, request.status, store.count("Article")));
    });
    call(&sandbox, "BatchObjects", &one_object())
        .await
        .expect("a reply");
    call(&sandbox, "Nonsense", &one_object())
        .await
        .expect("a reply");
    assert_eq!(
        heard.try_iter().collect::<Vec<_>>(),
        [
            (1, None, 20),
            (1, Some(200), 21),
            (2, None, 21),
            (2, Some(12), 21)
        ]
    );
}

#[tokio::test]
async fn doomed_objects_are_reported_and_unreadable_ones_fail_their_page() {
    let sandbox = sandbox().await;
    let request = one_object();
    let id = request.objects[0].uuid.parse().expect("an id");
    sandbox.faults().doom_object(id, Doom::Stored);
    let reply = call(&sandbox, "BatchObjects", &request).await;
    let reply: BatchReply = reply.expect("a reply").message();
    assert_eq!(reply.errors[0].error, Doom::TEXT);
    assert_eq!(sandbox.store().count("Article"), 21);
    sandbox.faults().make_unreadable(sample_id("Article", 1, 0));
    let page = call(&sandbox, "Search", &page(30)).await.expect("a reply");
    assert_eq!(page.code(), Some("2"));
}

#[tokio::test]
async fn writes_wait_while_the_gate_is_held() {
    let sandbox = sandbox().await;
    let gate = sandbox.gate();
    let held = gate.write().await;
    let request = one_object();
    let writing = call(&sandbox, "BatchObjects", &request);
    let waiting = tokio::time::timeout(Duration::from_millis(30), writing).await;
    assert!(waiting.is_err());
    assert_eq!(sandbox.store().count("Article"), 20);
    drop(held);
}

#[tokio::test]
async fn a_vector_comes_as_the_bits_that_are_stored() {
    let sandbox = sandbox().await;
    let page = call(&sandbox, "Search", &page(20)).await.expect("a page");
    for result in page.message::<SearchReply>().results {
        let metadata = result.metadata.expect("metadata");
        let id = metadata.id.parse().expect("an id");
        let stored = sandbox.store().object("Article", "", id).expect("stored");
        let bytes: Vec<u8> = metadata
            .vector
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(stored.vector.as_deref(), Some(&*metadata.vector));
        assert_eq!(metadata.vector_bytes, bytes);
    }
}

/// Sends a stream of one batch whole, and returns what it is answered.
async fn stream_one(sandbox: &Sandbox) -> Result<Arrived, Box<dyn std::error::Error>> {
    let batch = framed(&one_object().encode_to_vec());
    // The batch stands in `data.objects`, whose only field has the number that it has in the unary call.
    let mut data = vec![0x0a, u8::try_from(batch.len() - 5)?];
    data.extend_from_slice(&batch[5..]);
    let mut told = vec![0x12, u8::try_from(data.len())?];
    told.extend(data);
    let start = BatchStreamRequest {
        told: Some(Told::Start(())),
    };
    let body = [framed(&start.encode_to_vec()), framed(&told)].concat();
    let url = format!("{}/weaviate.v1.Weaviate/BatchStream", sandbox.grpc_url());
    arrived(client().post(url).body(body).send().await?).await
}

#[tokio::test]
async fn a_batch_of_a_stream_can_be_struck_without_its_opening() {
    let batches = "BatchStream/data";
    for (fault, stored) in [(Fault::ResetBefore, 20), (Fault::ResetAfter, 21)] {
        let sandbox = sandbox().await;
        let rule = Rule::grpc(batches, When::Nth(1..=1), fault);
        sandbox.faults().add(rule);
        assert!(stream_one(&sandbox).await.is_err());
        assert_eq!(sandbox.store().count("Article"), stored);
        let replies = stream_one(&sandbox).await.expect("the next one passes");
        assert_eq!(replies.code(), Some("0"));
        let started = BatchStreamReply::decode(&replies.body[5..7]).expect("a message");
        assert_eq!(started.said, Some(Said::Started(())));
        assert_eq!(sandbox.store().count("Article"), 21);
        assert_eq!(sandbox.count_calls(batches), 2);
    }
}
