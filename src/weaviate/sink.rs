//! A collection as the end that is written, over REST.
//!
//! A batch is one upsert of complete objects, so repeating it changes nothing (but times). Results are read per
//! object; a batch that is refused as a whole is split down to the object that is to blame. What was refused is
//! read back: FAILED does not mean that it was not stored. From time to time, and after every lost connection, the
//! incarnation is checked: a collection that was dropped would be rebuilt by auto-schema, with SUCCESS for all.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;

use super::api::Collection;
use super::client::{Client, Role, clean};
use super::incarnation::{Incarnation, replaced};
use super::properties::{PropertyRules, Spelling};
use super::schema::definitions_match;
use crate::error::{Error, Kind, Reaction, Result};
use crate::job::{Lane, LaneId, Receipt};
use crate::model::{CollectionName, Definition, Key, Times};
use crate::pipe::{Appetite, Applied, Page, Reject, Sink, Vector, Visit};

/// How long the last look at the collection is trusted.
const INCARNATION_IS_FRESH: Duration = Duration::from_secs(30);
/// A batch refused alike this often is taken to hold the reason itself.
const SUSPECT_TRIES: u32 = 3;
/// So often a suspected object fails while another one is taken before it is refused.
const TRIALS: u32 = 6;

const OPENING: &[u8] = b"{\"objects\":[";
const CLOSING: &[u8] = b"]}";

/// One collection, written.
pub struct CollectionSink {
    client: Arc<Client>,
    name: CollectionName,
    definition: Definition,
    rules: PropertyRules,
    incarnation: Incarnation,
    began: Instant,
    checked_at: AtomicU64,
    /// Objects that the server took so far.
    accepted: AtomicU64,
}

/// A request being gathered.
pub struct Batch {
    lane: LaneId,
    seq: u64,
    /// The request as far as it is written: its opening and the objects.
    text: Vec<u8>,
    /// The complete request.
    request: Option<Bytes>,
    objects: Vec<(Key, Range<usize>)>,
    /// Accounted for: by a split, by an earlier try, or never sendable.
    settled: Vec<Option<Outcome>>,
    read_back: usize,
    suspicion: Option<(String, u32)>,
    /// How many objects the server had taken in all when nothing of this batch was last taken.
    accepted_at_failure: Option<u64>,
    unreadable: Vec<Reject>,
}

#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Accepted,
    Rejected(String),
}

impl CollectionSink {
    /// Writes into the collection of this definition and incarnation, which must exist.
    pub fn new(
        client: Arc<Client>,
        definition: Definition,
        incarnation: Incarnation,
    ) -> Result<Self> {
        Ok(CollectionSink {
            name: definition.name()?,
            rules: PropertyRules::of(&definition.properties()?),
            client,
            definition,
            incarnation,
            began: Instant::now(),
            checked_at: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
        })
    }

    /// Refuses if the collection is gone or is another one than at the beginning.
    pub async fn check_incarnation(&self) -> Result<()> {
        debug_assert_eq!(self.client.role(), Role::Target);
        let definition = match self.client.collection(&self.name).await? {
            Collection::Found(definition) => definition,
            Collection::Missing => return Err(replaced(&self.client, &self.name, "was deleted")),
            Collection::Alias(_) => {
                return Err(replaced(&self.client, &self.name, "became an alias"));
            }
        };
        if !self
            .incarnation
            .may_equal(&Incarnation::of(&self.client, &self.name, &definition).await?)
        {
            return Err(replaced(
                &self.client,
                &self.name,
                "was deleted and created again",
            ));
        }
        if !definitions_match(&self.definition, &definition)?.is_empty() {
            return Err(replaced(&self.client, &self.name, "got another definition"));
        }
        self.checked_at.store(
            self.began.elapsed().as_millis() as u64 + 1,
            Ordering::Relaxed,
        );
        Ok(())
    }

    async fn check_if_stale(&self) -> Result<()> {
        let checked_at = self.checked_at.load(Ordering::Relaxed);
        let age = (self.began.elapsed().as_millis() as u64 + 1).saturating_sub(checked_at);
        if checked_at == 0 || age > INCARNATION_IS_FRESH.as_millis() as u64 {
            self.check_incarnation().await?;
        }
        Ok(())
    }

    /// Whatever was believed of the collection is not known any more.
    fn distrust(&self) {
        self.checked_at.store(0, Ordering::Relaxed);
    }

    async fn settle(&self, batch: &mut Batch) -> Result<()> {
        let mut suspects = Vec::new();
        // A stack of ranges, so that what is settled stays settled when a try is cut short.
        let mut ranges = batch.unsettled();
        while let Some(range) = ranges.pop() {
            let Err(error) = self.send(batch, range.clone()).await else {
                continue;
            };
            let is_suspicious = batch.is_suspicious(&error);
            match error.reaction() {
                Reaction::Split | Reaction::TooLarge if range.len() == 1 => {
                    batch.settled[range.start] =
                        Some(Outcome::Rejected(error.message().to_owned()));
                }
                Reaction::Suspect if is_suspicious && range.len() == 1 => {
                    suspects.push((range.start, error))
                }
                Reaction::Split | Reaction::TooLarge => halve(range, &mut ranges),
                Reaction::Suspect if is_suspicious => halve(range, &mut ranges),
                _ => return Err(error),
            }
        }
        self.judge_suspects(batch, suspects).await
    }

    /// An object is to blame for a failing request only if the server takes another one after it; else the server is.
    async fn judge_suspects(&self, batch: &mut Batch, suspects: Vec<(usize, Error)>) -> Result<()> {
        for (index, error) in suspects {
            let message = error.message().to_owned();
            if self.is_to_blame(batch, index, error).await? {
                batch.settled[index] = Some(Outcome::Rejected(message));
            }
        }
        Ok(())
    }

    /// Tries the object again and again in turn with one that the server takes: where requests fail at random, a few
    /// failures alike prove nothing. `failure` comes back if the server takes the other one neither.
    async fn is_to_blame(&self, batch: &mut Batch, index: usize, failure: Error) -> Result<bool> {
        let has_witness = batch.settled.contains(&Some(Outcome::Accepted));
        for _ in 0..if has_witness { TRIALS } else { 1 } {
            if !self.is_server_working(batch).await {
                return Err(failure);
            }
            match self.send(batch, index..index + 1).await {
                Ok(()) => return Ok(false),
                Err(error) if error.reaction() == Reaction::Suspect => {}
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => return Ok(true),
            }
        }
        Ok(true)
    }

    /// Stores an object again that was taken a moment ago. Without one in the batch, what other lanes achieved between two
    /// failures of this one has to do.
    async fn is_server_working(&self, batch: &mut Batch) -> bool {
        let taken = |outcome: &Option<Outcome>| *outcome == Some(Outcome::Accepted);
        if let Some(index) = batch.settled.iter().position(taken) {
            return self.send(batch, index..index + 1).await.is_ok();
        }
        let accepted = self.accepted.load(Ordering::Relaxed);
        let before = batch.accepted_at_failure.replace(accepted);
        before.is_some_and(|before| accepted > before)
    }

    async fn send(&self, batch: &mut Batch, range: Range<usize>) -> Result<()> {
        let reply = self.client.store(batch.body(&range)).await?;
        let outcomes = read_results(&reply, &batch.objects[range.clone()])?;
        let accepted = outcomes
            .iter()
            .filter(|outcome| **outcome == Outcome::Accepted)
            .count();
        self.accepted.fetch_add(accepted as u64, Ordering::Relaxed);
        for (index, outcome) in range.zip(outcomes) {
            batch.settled[index] = Some(outcome);
        }
        Ok(())
    }

    /// FAILED may have been stored after all: what can be read back equal in id counts as refused only if it is not there
    /// or not as it was sent; the server's words are kept.
    async fn read_back_rejects(&self, batch: &mut Batch) -> Result<()> {
        while batch.read_back < batch.objects.len() {
            let index = batch.read_back;
            if let Some(Outcome::Rejected(reason)) = &batch.settled[index] {
                let key = batch.objects[index].0.clone();
                let is_there = self.client.object(&self.name, &key).await?.is_some();
                let found = if is_there {
                    "; an object of this id is in the collection"
                } else {
                    ""
                };
                batch.settled[index] = Some(Outcome::Rejected(format!("{reason}{found}")));
            }
            batch.read_back += 1;
        }
        Ok(())
    }
}

/// The first half on top: objects are settled in order.
fn halve(range: Range<usize>, ranges: &mut Vec<Range<usize>>) {
    let middle = range.start + range.len() / 2;
    ranges.push(middle..range.end);
    ranges.push(range.start..middle);
}

impl Batch {
    fn unsettled(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for index in (0..self.objects.len()).filter(|index| self.settled[*index].is_none()) {
            match ranges.last_mut() {
                Some(range) if range.end == index => range.end += 1,
                _ => ranges.push(index..index + 1),
            }
        }
        ranges.reverse();
        ranges
    }

    /// The request for a part of the batch; all of it is not copied.
    fn body(&mut self, range: &Range<usize>) -> Bytes {
        let whole = self.whole();
        if *range == (0..self.objects.len()) {
            return whole;
        }
        let objects = &self.objects[range.clone()];
        let bytes: usize = objects.iter().map(|(_, place)| place.len() + 1).sum();
        let mut body = Vec::with_capacity(bytes + 16);
        body.extend_from_slice(OPENING);
        for (index, (_, place)) in objects.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&whole[place.clone()]);
        }
        body.extend_from_slice(CLOSING);
        body.into()
    }

    /// The request for the whole batch, which is complete from now on.
    fn whole(&mut self) -> Bytes {
        let text = &mut self.text;
        self.request
            .get_or_insert_with(|| {
                text.extend_from_slice(CLOSING);
                std::mem::take(text).into()
            })
            .clone()
    }

    /// True if the same failure came often enough to lie in the request itself.
    fn is_suspicious(&mut self, error: &Error) -> bool {
        if error.reaction() != Reaction::Suspect {
            self.suspicion = None;
            return false;
        }
        let tries = match &self.suspicion {
            Some((message, tries)) if message == error.message() => tries + 1,
            _ => 1,
        };
        self.suspicion = Some((error.message().to_owned(), tries));
        tries >= SUSPECT_TRIES
    }
}

#[derive(Deserialize)]
struct StoredObject<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    result: StoredResult,
}

#[derive(Deserialize)]
struct StoredResult {
    status: String,
    errors: Option<StoredErrors>,
}

#[derive(Deserialize)]
struct StoredErrors {
    error: Option<Vec<StoredError>>,
}

#[derive(Deserialize)]
struct StoredError {
    message: String,
}

/// Failures of single objects that lie in the server's state, not in the object: the batch is tried again.
/// Up to 1.39 a read-only shard reports only its first object as failed and stores none of the others either.
const PASSING: [&str; 5] = [
    "store is read-only",
    "cannot reach enough replicas",
    "cannot achieve consistency level",
    "context deadline exceeded",
    "not enough memory",
];

/// One outcome per object, in order. A reply that does not account for each is no success.
fn read_results(reply: &[u8], objects: &[(Key, Range<usize>)]) -> Result<Vec<Outcome>> {
    let unreadable = |why: &str| {
        Error::transient(format!(
            "the server's reply to a batch cannot be read: {}",
            clean(why)
        ))
        .with_reaction(Reaction::Suspect)
    };
    if reply.is_empty() {
        return Err(unreadable("it is empty"));
    }
    let stored: Vec<StoredObject<'_>> =
        serde_json::from_slice(reply).map_err(|cause| unreadable(&cause.to_string()))?;
    if stored.len() != objects.len() {
        return Err(unreadable(&format!(
            "it has {} results for {} objects",
            stored.len(),
            objects.len()
        )));
    }
    let mut outcomes = Vec::with_capacity(stored.len());
    for (stored, (key, _)) in stored.iter().zip(objects) {
        if stored.id != key.id.to_string() {
            return Err(unreadable(&format!(
                "it speaks of object {} instead of {key}",
                stored.id
            )));
        }
        outcomes.push(outcome(&stored.result)?);
    }
    Ok(outcomes)
}

fn outcome(result: &StoredResult) -> Result<Outcome> {
    let messages: Vec<&str> = result
        .errors
        .iter()
        .flat_map(|errors| errors.error.iter().flatten())
        .map(|error| error.message.as_str())
        .collect();
    if result.status == "SUCCESS" && messages.is_empty() {
        return Ok(Outcome::Accepted);
    }
    let reason = if messages.is_empty() {
        format!("status {}", result.status)
    } else {
        messages.join("; ")
    };
    match PASSING.iter().any(|passing| reason.contains(passing)) {
        true => Err(Error::transient(format!(
            "the server cannot store objects now: {reason}"
        ))),
        false => Ok(Outcome::Rejected(reason)),
    }
}

impl Sink for CollectionSink {
    type Batch = Batch;
    const INTENDS: bool = true;
    /// With a vector index the server needs all its cores for two; without one, two are 0.95 of four.
    const WORKERS: u32 = 2;
    /// A page becomes a request of about twice its size, and REST echoes all of it back.
    const FOOTPRINT: usize = 6;

    fn begin(&self, lane: &Lane) -> Batch {
        Batch {
            lane: lane.id,
            seq: lane.seq,
            text: OPENING.to_vec(),
            request: None,
            objects: Vec::new(),
            settled: Vec::new(),
            read_back: 0,
            suspicion: None,
            accepted_at_failure: None,
            unreadable: Vec::new(),
        }
    }

    fn append(&self, batch: &mut Batch, page: &Page) -> Result<Appetite> {
        let mut writer = RequestWriter {
            sink: self,
            batch,
            is_first_member: true,
            legacy: Vec::new(),
            named: Vec::new(),
            refusal: None,
        };
        page.objects.walk(&mut writer)?;
        batch.unreadable.extend_from_slice(&page.unreadable);
        // A page is a request: more in one only adds latency.
        Ok(Appetite::Full)
    }

    async fn apply(&self, batch: &mut Batch) -> Result<Applied> {
        self.check_if_stale().await?;
        let settled = self.settle(batch).await;
        if settled.is_err() {
            self.distrust();
        }
        settled?;
        self.read_back_rejects(batch).await?;
        Ok(applied(batch))
    }

    /// The server's acknowledgement is all there is.
    fn barrier(&self) -> Result<()> {
        Ok(())
    }
}

fn applied(batch: &mut Batch) -> Applied {
    let request = batch.whole();
    let mut rejects = batch.unreadable.clone();
    for ((key, _), outcome) in batch.objects.iter().zip(&batch.settled) {
        if let Some(Outcome::Rejected(reason)) = outcome {
            rejects.push(Reject {
                key: key.clone(),
                reason: reason.clone(),
            });
        }
    }
    let rejected = rejects.len() as u32;
    let count = (batch.objects.len() + batch.unreadable.len()) as u32;
    let receipt = Receipt {
        lane: batch.lane,
        seq: batch.seq,
        place: None,
        count,
        bytes: request.len() as u64,
        span: batch
            .objects
            .first()
            .zip(batch.objects.last())
            .map(|(first, last)| (first.0.clone(), last.0.clone())),
        hash: *blake3::hash(&request).as_bytes(),
        accepted: count - rejected,
        rejected,
        rejects_length: 0,
        tenants: Vec::new(),
    };
    Applied { receipt, rejects }
}

/// Writes each object of a page as the server wants it.
struct RequestWriter<'a> {
    sink: &'a CollectionSink,
    batch: &'a mut Batch,
    is_first_member: bool,
    /// The vectors, gathered while the properties are written.
    legacy: Vec<u8>,
    named: Vec<u8>,
    refusal: Option<String>,
}

impl RequestWriter<'_> {
    fn member(text: &mut Vec<u8>, is_first: &mut bool, name: &str) -> Result<()> {
        if !std::mem::take(is_first) {
            text.push(b',');
        }
        serde_json::to_writer(&mut *text, name).map_err(unwritable)?;
        text.push(b':');
        Ok(())
    }
}

fn unwritable(cause: serde_json::Error) -> Error {
    Error::new(Kind::Failed, "a value cannot be written as JSON").with_cause(cause)
}

impl Visit for RequestWriter<'_> {
    fn object(&mut self, key: &Key, _: Times) -> Result<()> {
        let text = &mut self.batch.text;
        if !self.batch.objects.is_empty() {
            text.push(b',');
        }
        let begin = text.len();
        self.is_first_member = true;
        self.legacy.clear();
        self.named.clear();
        self.refusal = None;
        text.extend_from_slice(
            format!("{{\"class\":\"{}\",\"id\":\"{}\"", self.sink.name, key.id).as_bytes(),
        );
        if let Some(tenant) = key.tenant.name() {
            text.extend_from_slice(b",\"tenant\":");
            serde_json::to_writer(&mut *text, tenant).map_err(unwritable)?;
        }
        text.extend_from_slice(b",\"properties\":{");
        self.batch.objects.push((key.clone(), begin..begin));
        Ok(())
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        let spelling = self.sink.rules.spell(name, json)?;
        let json = match &spelling {
            Spelling::AsRead => json,
            Spelling::Other(json) => json,
            Spelling::Leave => return Ok(()),
        };
        let text = &mut self.batch.text;
        Self::member(text, &mut self.is_first_member, name)?;
        text.extend_from_slice(json.as_bytes());
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        let out = match name {
            Some(name) => {
                let mut is_first = self.named.is_empty();
                Self::member(&mut self.named, &mut is_first, name)?;
                &mut self.named
            }
            None => &mut self.legacy,
        };
        if !write_vector(out, vector) {
            let which = name.map_or("the vector".to_owned(), |name| format!("vector `{name}`"));
            self.refusal = Some(format!(
                "{which} holds NaN or infinity, which REST cannot carry"
            ));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let text = &mut self.batch.text;
        text.push(b'}');
        if !self.legacy.is_empty() {
            text.extend_from_slice(b",\"vector\":");
            text.extend_from_slice(&self.legacy);
        }
        if !self.named.is_empty() {
            text.extend_from_slice(b",\"vectors\":{");
            text.extend_from_slice(&self.named);
            text.push(b'}');
        }
        text.push(b'}');
        let end = text.len();
        if let Some((_, place)) = self.batch.objects.last_mut() {
            place.end = end;
        }
        self.batch
            .settled
            .push(self.refusal.take().map(Outcome::Rejected));
        Ok(())
    }
}

/// Writes a vector as decimal text that reads back bit for bit; false if REST cannot carry it.
fn write_vector(out: &mut Vec<u8>, vector: Vector<'_>) -> bool {
    match vector {
        Vector::Json(json) if json.starts_with('{') => false,
        Vector::Json(json) => {
            out.extend_from_slice(json.as_bytes());
            true
        }
        Vector::Single(bytes) => write_row(out, bytes),
        Vector::Multi { dimensions, rows } => {
            out.push(b'[');
            for (index, row) in rows.chunks_exact(dimensions.max(1) * 4).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if !write_row(out, row) {
                    return false;
                }
            }
            out.push(b']');
            true
        }
    }
}

fn write_row(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    out.push(b'[');
    let mut buffer = zmij::Buffer::new();
    for (index, number) in bytes.chunks_exact(4).enumerate() {
        let number = f32::from_le_bytes([number[0], number[1], number[2], number[3]]);
        if !number.is_finite() {
            return false;
        }
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(buffer.format_finite(number).as_bytes());
    }
    out.push(b']');
    true
}
