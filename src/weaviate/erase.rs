//! A collection being emptied: the ids as a source, and deletion by ids as a sink.
//!
//! Deleting again what is gone changes nothing, so a batch may be repeated. At most the server's page cap goes with
//! one call; a batch is a page and smaller than that. Ids may come over gRPC, deletions go over REST, which is as fast here:
//! nothing is ever deleted at another server that gRPC may lead to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::client::{Client, Patience};
use super::source::CollectionSource;
use crate::error::{Error, Kind, Reaction, Result};
use crate::job::{Bounds, Cursor, Intent, Lane, LaneId, Receipt};
use crate::model::{CollectionName, Key, Tenant};
use crate::pipe::{Appetite, Applied, Budget, Nothing, Page, Reject, Sink, Source};

/// The keys of a collection. Where nothing else comes with them many are listed at once: each listing makes the server sort
/// what was deleted and not yet written to its segments, and as many small ones cost as much as a part of the deletions.
pub struct IdSource {
    objects: CollectionSource,
    /// What was listed of each lane and not handed out.
    listed: Mutex<HashMap<LaneId, Listed>>,
}

/// Keys in order, and whether nothing of the lane comes after them.
struct Listed {
    after: Cursor,
    keys: VecDeque<Key>,
    end: Cursor,
    is_last: bool,
}

impl IdSource {
    /// The keys of what `objects` reads.
    pub fn new(objects: CollectionSource) -> Self {
        IdSource {
            objects,
            listed: Mutex::default(),
        }
    }

    fn listed(&self) -> MutexGuard<'_, HashMap<LaneId, Listed>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page out of what was listed before, if that goes on at the cursor.
    fn kept(&self, lane: &Lane, cursor: &Cursor, objects: usize) -> Option<Page> {
        let mut listed = self.listed();
        let kept = listed
            .remove(&lane.id)
            .filter(|kept| kept.after == *cursor)?;
        let (page, rest) = kept.take(lane, objects);
        if let Some(rest) = rest {
            listed.insert(lane.id, rest);
        }
        Some(page)
    }
}

impl Listed {
    /// The first keys, as far as they belong to the lane, which may have been cut since they were listed; and what is left.
    fn take(mut self, lane: &Lane, objects: usize) -> (Page, Option<Self>) {
        if let Bounds::Keys {
            until: Some(until), ..
        } = &lane.bounds
        {
            let within = self.keys.partition_point(|key| key <= until);
            if within < self.keys.len() {
                self.keys.truncate(within);
                (self.end, self.is_last) = (Cursor::After(until.clone()), true);
            }
        }
        let count = objects.max(1).min(self.keys.len());
        let keys: Vec<Key> = self.keys.drain(..count).collect();
        let is_all = self.keys.is_empty();
        let end = match keys.last() {
            Some(last) if !is_all => Cursor::After(last.clone()),
            _ => self.end.clone(),
        };
        let page = Page {
            bytes: size_of_val(&keys[..]),
            keys,
            objects: Arc::new(Nothing),
            unreadable: Vec::new(),
            end: end.clone(),
            is_last: is_all && self.is_last,
        };
        self.after = end;
        (page, (!is_all).then_some(self))
    }
}

impl Source for IdSource {
    const IS_BLIND: bool = true;

    fn lanes(&self) -> Vec<Bounds> {
        self.objects.lanes()
    }

    async fn fetch(&self, lane: &Lane, cursor: &Cursor, budget: Budget) -> Result<Page> {
        let objects = budget.objects as usize;
        if let Some(page) = self.kept(lane, cursor, objects) {
            return Ok(page);
        }
        let at_once = self.objects.keys_at_once();
        let budget = at_once.map_or(budget, |keys| Budget {
            objects: budget.objects.max(keys),
            bytes: usize::MAX,
            ..budget
        });
        let page = self.objects.fetch(lane, cursor, budget).await?;
        // Of whole objects, the next page is to be as large as these are.
        let bytes = at_once.is_none().then_some(page.bytes);
        let listed = Listed {
            after: cursor.clone(),
            keys: page.keys.into(),
            end: page.end,
            is_last: page.is_last,
        };
        let (page, rest) = listed.take(lane, objects);
        if let Some(rest) = rest {
            self.listed().insert(lane.id, rest);
        }
        Ok(Page {
            bytes: bytes.unwrap_or(page.bytes),
            ..page
        })
    }

    /// From the journal: some of them may be gone already.
    async fn again(&self, _: &Lane, intent: &Intent, keys: &[Key]) -> Result<Page> {
        if keys.len() != intent.count as usize {
            return Err(Error::new(
                Kind::JournalDamaged,
                "the journal lacks the ids of a batch that was being deleted",
            ));
        }
        Ok(Page {
            keys: keys.to_vec(),
            objects: Arc::new(Nothing),
            unreadable: Vec::new(),
            end: intent.end.clone(),
            bytes: size_of_val(keys),
            is_last: false,
        })
    }

    async fn border(&self, lane: &Lane, page: &Page) -> Result<Option<Cursor>> {
        self.objects.border(lane, page).await
    }

    /// An object that cannot be read is handed on by its key: perhaps it can be deleted.
    async fn pass_over(&self, lane: &Lane, cursor: &Cursor, reason: &str) -> Result<Option<Page>> {
        let page = self.objects.pass_over(lane, cursor, reason).await?;
        Ok(page.map(|page| Page {
            keys: page
                .unreadable
                .iter()
                .map(|reject| reject.key.clone())
                .collect(),
            unreadable: Vec::new(),
            ..page
        }))
    }
}

/// Deletes objects by id.
pub struct CollectionEraser {
    client: Arc<Client>,
    name: CollectionName,
}

/// A batch that fails so often is deleted object by object.
const ALIKE_TRIES: u32 = 3;

/// The whole server takes no writes just now: no object is to blame.
pub fn is_closed(error: &Error) -> bool {
    error.message().contains("read-only")
}

/// Keys to be deleted.
pub struct Doomed {
    lane: LaneId,
    seq: u64,
    keys: Vec<Key>,
    /// How often the server did not delete all of them at once.
    failures: u32,
}

#[derive(Deserialize)]
struct DeleteReply {
    results: DeleteResults,
}

#[derive(Deserialize)]
struct DeleteResults {
    matches: u64,
    successful: u64,
    failed: u64,
    objects: Option<Vec<DeleteFailure>>,
}

#[derive(Deserialize)]
struct DeleteFailure {
    errors: Option<serde_json::Value>,
}

impl CollectionEraser {
    /// Deletes from this collection.
    pub fn new(client: Arc<Client>, name: CollectionName) -> Self {
        CollectionEraser { client, name }
    }

    async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        for of_tenant in keys.chunk_by(|one, two| one.tenant == two.tenant) {
            self.delete(&of_tenant[0].tenant, of_tenant).await?;
        }
        Ok(())
    }

    /// Some object of a batch is to blame. What fails even so is left; it is counted at the end.
    async fn delete_singly(&self, keys: &[Key]) -> Result<()> {
        for key in keys {
            match self.client.delete_object(&self.name, key).await {
                Err(error) if error.reaction() == Reaction::Suspect && !is_closed(&error) => {}
                done => done?,
            }
        }
        Ok(())
    }

    async fn delete(&self, tenant: &Tenant, keys: &[Key]) -> Result<()> {
        let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
        let body = json!({
            "match": {"class": self.name.as_str(), "where": {"path": ["id"], "operator": "ContainsAny", "valueTextArray": ids}},
            "output": "minimal",
            "dryRun": false,
        });
        let path = match tenant.name() {
            Some(tenant) => format!("batch/objects?tenant={tenant}"),
            None => "batch/objects".to_owned(),
        };
        let reply = self
            .client
            .send(
                Method::DELETE,
                &path,
                Some(Bytes::from(body.to_string())),
                Patience::Write,
            )
            .await?;
        if reply.words().contains("tenant not found") {
            // It was deleted meanwhile, and its objects with it; unless the server has not loaded it yet.
            let refused = self.client.unexpected("delete a batch", &reply);
            let believed = self.client.believe(refused).await;
            return if believed.is_transient() {
                Err(believed)
            } else {
                Ok(())
            };
        }
        let reply: DeleteReply = self.client.parse("delete a batch", &reply)?;
        let results = reply.results;
        if results.failed > 0 || results.successful != results.matches {
            let why = results
                .objects
                .into_iter()
                .flatten()
                .find_map(|failure| failure.errors)
                .map(|errors| errors.to_string());
            let why = why.unwrap_or_else(|| {
                format!("{} of {} were deleted", results.successful, results.matches)
            });
            return Err(not_all(&why));
        }
        Ok(())
    }
}

fn not_all(why: &str) -> Error {
    Error::transient(format!(
        "the server did not delete every object of a batch: {why}"
    ))
    .with_reaction(Reaction::Suspect)
}

fn object_path(name: &CollectionName, key: &Key) -> String {
    match key.tenant.name() {
        Some(tenant) => format!("objects/{name}/{}?tenant={tenant}", key.id),
        None => format!("objects/{name}/{}", key.id),
    }
}

impl Client {
    /// True if there is an object of this key, whether or not it can be read.
    pub async fn has_object(&self, name: &CollectionName, key: &Key) -> Result<bool> {
        let reply = self
            .send(Method::HEAD, &object_path(name, key), None, Patience::Read)
            .await?;
        match reply.status {
            StatusCode::NO_CONTENT => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.unexpected("look for an object", &reply)),
        }
    }

    /// When an object was created, in Unix milliseconds; `None` if it, or its tenant, is not there to be read.
    pub async fn created(&self, name: &CollectionName, key: &Key) -> Result<Option<i64>> {
        let times = self.times(name, key).await?;
        Ok(times.map(|times| times.created))
    }

    /// Deletes one object, whatever the spelling of its id in the index; one that is not there is fine.
    pub async fn delete_object(&self, name: &CollectionName, key: &Key) -> Result<()> {
        let reply = self
            .send(
                Method::DELETE,
                &object_path(name, key),
                None,
                Patience::Write,
            )
            .await?;
        match reply.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(self.unexpected("delete an object", &reply)),
        }
    }
}

impl Sink for CollectionEraser {
    type Batch = Doomed;
    const INTENDS: bool = true;
    /// The best rate was measured with so many; more make one lane last longer than the others at the end.
    const MOST: u32 = 1_000;

    fn begin(&self, lane: &Lane) -> Doomed {
        Doomed {
            lane: lane.id,
            seq: lane.seq,
            keys: Vec::new(),
            failures: 0,
        }
    }

    fn append(&self, batch: &mut Doomed, page: &Page) -> Result<Appetite> {
        batch.keys.extend_from_slice(&page.keys);
        Ok(Appetite::Full)
    }

    async fn apply(&self, batch: &mut Doomed) -> Result<Applied> {
        match self.delete_all(&batch.keys).await {
            Err(error) if error.reaction() == Reaction::Suspect && !is_closed(&error) => {
                batch.failures += 1;
                if batch.failures < ALIKE_TRIES {
                    return Err(error);
                }
                self.delete_singly(&batch.keys).await?;
            }
            done => done?,
        }
        let count = batch.keys.len() as u32;
        let receipt = Receipt {
            lane: batch.lane,
            seq: batch.seq,
            place: None,
            count,
            bytes: 0,
            span: batch.keys.first().cloned().zip(batch.keys.last().cloned()),
            hash: [0; 32],
            accepted: count,
            rejected: 0,
            rejects_length: 0,
            tenants: Vec::new(),
        };
        Ok(Applied {
            receipt,
            rejects: Vec::<Reject>::new(),
        })
    }

    /// The server's acknowledgement is all there is.
    fn barrier(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObjectId;

    fn key(number: u128) -> Key {
        Key::of(ObjectId::from_u128(number))
    }

    fn lane(until: Option<u128>) -> Lane {
        Lane::alone(Bounds::Keys {
            after: None,
            until: until.map(key),
        })
    }

    fn listed(numbers: std::ops::RangeInclusive<u128>, is_last: bool) -> Listed {
        Listed {
            after: Cursor::Start,
            end: Cursor::After(key(*numbers.end() + 100)),
            keys: numbers.map(key).collect(),
            is_last,
        }
    }

    /// The keys of each page, and what is said of the last one.
    fn pages(mut listed: Listed, lane: &Lane, objects: usize) -> (Vec<usize>, Cursor, bool) {
        let mut counts = Vec::new();
        loop {
            let (page, rest) = listed.take(lane, objects);
            counts.push(page.keys.len());
            match rest {
                Some(rest) => listed = rest,
                None => return (counts, page.end, page.is_last),
            }
            assert!(!page.is_last, "keys are left");
        }
    }

    #[test]
    fn what_was_listed_comes_in_pages_and_ends_where_the_listing_ended() {
        for is_last in [true, false] {
            let (counts, end, was_last) = pages(listed(1..=7, is_last), &lane(None), 3);
            assert_eq!(counts, [3, 3, 1]);
            assert_eq!((end, was_last), (Cursor::After(key(107)), is_last));
        }
        let none = Listed {
            keys: VecDeque::new(),
            ..listed(1..=1, true)
        };
        assert_eq!(pages(none, &lane(None), 3).0, [0]);
    }

    #[test]
    fn of_a_lane_that_was_cut_nothing_is_handed_out_beyond_the_cut() {
        let (counts, end, is_last) = pages(listed(1..=7, false), &lane(Some(5)), 3);
        assert_eq!((counts, end), (vec![3, 2], Cursor::After(key(5))));
        assert!(is_last);
        // The cut lies beyond what was listed: there is more to list.
        let (counts, end, is_last) = pages(listed(1..=7, false), &lane(Some(500)), 10);
        assert_eq!((counts, end), (vec![7], Cursor::After(key(107))));
        assert!(!is_last);
    }
}
