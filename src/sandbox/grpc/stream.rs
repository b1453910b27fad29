//! BatchStream: a call that is opened once and then takes batch after batch.
//!
//! The opening counts as a request, and each batch as one more, with `/data` behind the path, so that faults can strike
//! either. `backoff` is never sent, and modes are not checked, as they are not at the opening of the real one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::Response;
use bytes::{Buf as _, BytesMut};
use futures_util::stream;
use http_body::Body as _;
use prost::Message as _;
use tonic::{Code, Status};

use super::super::course::{Course, Instead};
use super::super::delivery::Delivery;
use super::super::server::Shared;
use super::super::wire::Scissors;
use super::batch;
use super::exchange::refusal;
use super::frame::{self, HEAD, Piece, announced, framed};
use super::service::decode;
use super::status::unknown;
use super::stream_messages::{
    Acks, BatchStreamReply, BatchStreamRequest, Batches, Named, Results, Said, StreamError,
    Success, Told,
};

/// The path of the call.
pub(super) const PATH: &str = "/weaviate.v1.Weaviate/BatchStream";
const DATA: &str = "/weaviate.v1.Weaviate/BatchStream/data";

/// Opens the call; the response goes on for as long as the client sends.
pub(super) fn open(
    shared: Arc<Shared>,
    scissors: Scissors,
    authorization: Option<&str>,
    body: Body,
) -> Result<Response<Body>, Status> {
    shared
        .service
        .check_call_token(authorization)
        .map_err(|text| Status::new(Code::Unauthenticated, text))?;
    let talk = Talk {
        shared,
        scissors,
        body,
        buffer: BytesMut::new(),
        queue: VecDeque::new(),
        has_started: false,
        is_over: false,
    };
    let pieces = stream::unfold(talk, |mut talk| async move {
        let piece = talk.next().await?;
        Some((piece, talk))
    });
    Ok(frame::respond(pieces))
}

struct Talk {
    shared: Arc<Shared>,
    scissors: Scissors,
    body: Body,
    buffer: BytesMut,
    /// What is to be sent before anything more is read.
    queue: VecDeque<Piece>,
    has_started: bool,
    is_over: bool,
}

impl Talk {
    /// What goes out next; `None` after the trailers.
    async fn next(&mut self) -> Option<Piece> {
        while self.queue.is_empty() && !self.is_over {
            match self.receive().await {
                Ok(Some(message)) => {
                    if let Err(status) = self.take(&message).await {
                        self.end(&status);
                    }
                }
                Ok(None) if self.has_started => self.end(&Status::ok("")),
                Ok(None) => self.end(&unknown("initial stream message receive: EOF")),
                Err(status) => self.end(&status),
            }
        }
        self.queue.pop_front()
    }

    fn end(&mut self, status: &Status) {
        self.is_over = true;
        self.queue
            .push_back(Ok(http_body::Frame::trailers(frame::trailers(status))));
    }

    fn say(&mut self, said: Said) {
        let message = BatchStreamReply { said: Some(said) }.encode_to_vec();
        let piece = http_body::Frame::data(framed(&message));
        self.queue.push_back(Ok(piece));
    }

    /// The next message of the client; `None` once it has closed its half.
    async fn receive(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(length) = announced(&self.buffer)? {
                self.shared.service.check_size("received", length)?;
                if self.buffer.len() >= HEAD + length {
                    self.buffer.advance(HEAD);
                    return Ok(Some(self.buffer.split_to(length).freeze()));
                }
            }
            let body = &mut self.body;
            let frame =
                std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context));
            match frame.await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) => return Err(Status::new(Code::Cancelled, "context canceled")),
            }
        }
    }

    async fn take(&mut self, message: &[u8]) -> Result<(), Status> {
        let request: BatchStreamRequest = decode(message)?;
        match request.told {
            Some(Told::Start(())) if !self.has_started => {
                self.has_started = true;
                self.say(Said::Started(()));
                Ok(())
            }
            _ if !self.has_started => Err(unknown("first message must be a start message")),
            Some(Told::Data(batches)) => self.store(&batches).await,
            Some(Told::Stop(())) => Ok(()),
            None | Some(Told::Start(())) => {
                Err(unknown("invalid batch send request: data field is nil"))
            }
        }
    }

    async fn store(&mut self, batches: &Batches) -> Result<(), Status> {
        if batches.is_empty() {
            return Ok(());
        }
        let mut info = self.shared.arrived("POST", DATA);
        let course = self.shared.meet(&info).await;
        if course.takes_effect {
            let results = apply(&self.shared, batches).await;
            course.linger().await;
            self.say(Said::Acks(batches.acks()));
            self.say(Said::Results(results));
        }
        info.status = Some(200);
        self.shared.served(info);
        self.deliver(course)
    }

    /// What a fault makes of the replies to a batch.
    fn deliver(&mut self, course: Course) -> Result<(), Status> {
        match course.instead {
            None => {}
            Some(Instead::Refusal {
                status,
                retry_after,
                body,
            }) => {
                self.queue.clear();
                return Err(refusal(status, retry_after, body));
            }
            Some(Instead::Nothing | Instead::Proxy { .. }) => self.reset(),
        }
        match course.delivery {
            Delivery::Cut => self.scissors.cut(),
            Delivery::Truncated(_) => self.reset(),
            Delivery::Whole | Delivery::Trickling(_) => {}
        }
        Ok(())
    }

    /// Ends the stream without trailers.
    fn reset(&mut self) {
        self.is_over = true;
        self.queue.clear();
        let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        self.queue.push_back(Err(error));
    }
}

/// Executes one data message.
async fn apply(shared: &Shared, batches: &Batches) -> Results {
    let _held = shared.gate.read().await;
    let call = shared.service.plain_call(None);
    let objects = batches.objects();
    let references = batches.references();
    let mut results = Results::default();
    if !objects.is_empty() {
        let named = objects
            .iter()
            .map(|object| Named::Uuid(object.uuid.clone()));
        results.add(named.collect(), batch::objects(&call, objects));
    }
    if !references.is_empty() {
        let named = references.iter().map(batch::source_beacon);
        let named = named.map(Named::Beacon).collect();
        results.add(named, batch::references(&call, references));
    }
    results
}

impl Batches {
    fn acks(&self) -> Acks {
        Acks {
            uuids: self
                .objects()
                .iter()
                .map(|object| object.uuid.clone())
                .collect(),
            beacons: self.references().iter().map(batch::source_beacon).collect(),
        }
    }
}

impl Results {
    /// Adds what became of a batch. When it fails as a whole, all of it is among the errors and among the successes.
    fn add(&mut self, named: Vec<Named>, outcome: Result<batch::Failures, Status>) {
        let (failures, hides_failures) = match outcome {
            Ok(failures) => (failures, true),
            Err(status) => {
                let text = status.message();
                let all = (0..named.len()).map(|at| (at, text.to_owned()));
                (all.collect(), false)
            }
        };
        let failed: BTreeMap<usize, String> = failures.into_iter().collect();
        for (at, named) in named.into_iter().enumerate() {
            let error = failed.get(&at);
            if let Some(error) = error {
                self.errors.push(StreamError {
                    error: error.clone(),
                    named: Some(named.clone()),
                });
            }
            if error.is_none() || !hides_failures {
                self.successes.push(Success { named: Some(named) });
            }
        }
    }
}
