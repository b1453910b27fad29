//! A collection as the end that is written.
//!
//! A batch is one upsert of complete objects, so repeating it changes nothing (but times). Results are read per
//! object; a batch that is refused as a whole is split down to the object that is to blame. What gRPC refused is offered
//! over REST, which takes some values that gRPC does not. What was refused then is read back: FAILED does not mean that it
//! was not stored. From time to time, and after every lost connection, the incarnation is checked: a collection that was dropped would be rebuilt by auto-schema, with SUCCESS for all.

mod batch;
mod lead;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::api::Collection;
use super::client::{Client, Role};
use super::grpc::Method;
use super::incarnation::{Incarnation, replaced};
use super::outcomes::{Outcome, common_failure, of_grpc, of_rest};
use super::properties::PropertyRules;
use super::request::{Language, Request, RequestWriter};
use super::schema::definitions_match;
use crate::error::{Error, Reaction, Result};
use crate::job::Lane;
use crate::model::{CollectionName, Definition, Key};
use crate::pipe::{Appetite, Applied, Buffers, Page, Sink};
use batch::{Only, applied};
use lead::Lead;

pub use batch::Batch;

/// How long the last look at the collection is trusted.
const INCARNATION_IS_FRESH: Duration = Duration::from_secs(30);
/// So often a suspected object fails while another one is taken before it is refused.
const TRIALS: u32 = 6;

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
    grpc_leads: tokio::sync::Mutex<Lead>,
    buffers: Buffers,
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
            grpc_leads: tokio::sync::Mutex::new(Lead::Unknown),
            buffers: Buffers::default(),
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
        let message = batch.request.part(&range);
        let outcomes = match (batch.request.language(), self.client.grpc()) {
            (Language::Grpc, Some(grpc)) => {
                let reply = self
                    .client
                    .call(grpc, Method::BatchObjects, message)
                    .await?;
                of_grpc(&reply, range.len())?
            }
            _ => {
                let reply = self.client.store(message).await?;
                let keys: Vec<&Key> = batch.request.keys().collect();
                of_rest(&reply, keys[range.clone()].iter().copied())?
            }
        };
        if let Some(reason) = common_failure(&outcomes) {
            let refused = Error::new(self.client.role().refused(), reason);
            return Err(refused.with_reaction(Reaction::Split));
        }
        let accepted = outcomes
            .iter()
            .filter(|outcome| **outcome == Outcome::Accepted)
            .count();
        if accepted < outcomes.len() {
            // A class that is not loaded yet is a reason to refuse an object, too.
            self.client.expect_ready().await?;
        }
        self.accepted.fetch_add(accepted as u64, Ordering::Relaxed);
        for (index, outcome) in range.zip(outcomes) {
            batch.settled[index] = Some(outcome);
        }
        Ok(())
    }

    fn request(&self, language: Language) -> Request {
        Request::new(language, &self.buffers)
    }

    fn language(&self) -> Language {
        match self.client.has_grpc() {
            true => Language::Grpc,
            false => Language::Rest,
        }
    }

    /// Adds what `walk` visits to the request.
    fn write(
        &self,
        batch: &mut Batch,
        walk: impl FnOnce(&mut RequestWriter<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut writer = RequestWriter::new(&mut batch.request, &self.name, &self.rules);
        walk(&mut writer)?;
        let refusals = std::mem::take(&mut writer.refusals);
        let settled = refusals
            .into_iter()
            .map(|refusal| refusal.map(Outcome::Rejected));
        batch.settled.extend(settled);
        Ok(())
    }

    /// What gRPC refused may be sent over REST: an `int` of 2^63, for one, has no exact form in its messages.
    async fn offer_again(&self, batch: &mut Batch) -> Result<()> {
        if batch.request.language() == Language::Rest {
            return Ok(());
        }
        let mut second = match batch.second.take() {
            Some(second) => second,
            None => Box::new(self.second(batch)?),
        };
        let settled = self.settle(&mut second).await;
        if settled.is_ok() {
            batch.take_over(&second);
        }
        batch.second = Some(second);
        settled
    }

    /// The rejected objects of a batch in the language of REST.
    fn second(&self, batch: &Batch) -> Result<Batch> {
        let mut second = Batch::new(self.request(Language::Rest), batch.lane, batch.seq);
        let rejected = batch.rejected();
        if rejected.is_empty() {
            return Ok(second);
        }
        for page in &batch.pages {
            self.write(&mut second, |writer| {
                page.walk(&mut Only {
                    wanted: &rejected,
                    is_wanted: false,
                    visit: writer,
                })
            })?;
        }
        Ok(second)
    }

    /// FAILED may have been stored after all: what can be read back equal in id counts as refused only if it is not there
    /// or not as it was sent; the server's words are kept.
    async fn read_back_rejects(&self, batch: &mut Batch) -> Result<()> {
        while batch.read_back < batch.request.len() {
            let index = batch.read_back;
            if let Some(Outcome::Rejected(reason)) = &batch.settled[index] {
                let key = batch.request.key(index).clone();
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

impl Sink for CollectionSink {
    type Batch = Batch;
    const INTENDS: bool = true;
    /// Two keep the server busy; a third one covers what lies between the requests of a lane.
    const WORKERS: u32 = 3;
    /// A page becomes a request of about twice its size, of which there are two, and REST echoes all of it back.
    const FOOTPRINT: usize = 8;

    fn begin(&self, lane: &Lane) -> Batch {
        Batch::new(self.request(self.language()), lane.id, lane.seq)
    }

    fn append(&self, batch: &mut Batch, page: &Page) -> Result<Appetite> {
        self.write(batch, |writer| page.objects.walk(writer))?;
        if self.language() == Language::Grpc {
            batch.pages.push(page.objects.clone());
        }
        batch.unreadable.extend_from_slice(&page.unreadable);
        // A page is a request: more in one only adds latency.
        Ok(Appetite::Full)
    }

    async fn apply(&self, batch: &mut Batch) -> Result<Applied> {
        self.check_if_stale().await?;
        let settled = match self.prove_grpc(batch).await {
            Ok(()) => self.settle(batch).await,
            failed => failed,
        };
        if settled.is_err() {
            self.distrust();
        }
        settled?;
        self.offer_again(batch).await?;
        self.read_back_rejects(batch).await?;
        Ok(applied(batch))
    }

    /// The server's acknowledgement is all there is.
    fn barrier(&self) -> Result<()> {
        Ok(())
    }
}
