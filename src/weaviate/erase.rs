//! A collection being emptied: the ids as a source, and deletion by ids as a sink.
//!
//! Deleting again what is gone changes nothing, so a batch may be repeated. At most the server's page cap goes with
//! one call; a batch is a page and smaller than that. Ids may come over gRPC, deletions go over REST, which is as fast here:
//! nothing is ever deleted at another server that gRPC may lead to.

use std::sync::Arc;

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

/// The keys of a collection.
pub struct IdSource(CollectionSource);

impl IdSource {
    /// The keys of what `objects` reads.
    pub fn new(objects: CollectionSource) -> Self {
        IdSource(objects)
    }
}

/// Keys are all that is needed of a page.
fn keys_only(page: Page) -> Page {
    Page {
        objects: Arc::new(Nothing),
        bytes: page.keys.len() * size_of::<Key>(),
        ..page
    }
}

impl Source for IdSource {
    fn lanes(&self) -> Vec<Bounds> {
        self.0.lanes()
    }

    async fn fetch(&self, lane: &Lane, cursor: &Cursor, budget: Budget) -> Result<Page> {
        self.0.fetch(lane, cursor, budget).await.map(keys_only)
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
        self.0.border(lane, page).await
    }

    /// An object that cannot be read is handed on by its key: perhaps it can be deleted.
    async fn pass_over(&self, lane: &Lane, cursor: &Cursor, reason: &str) -> Result<Option<Page>> {
        let page = self.0.pass_over(lane, cursor, reason).await?;
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

impl Client {
    /// True if there is an object of this key, whether or not it can be read.
    pub async fn has_object(&self, name: &CollectionName, key: &Key) -> Result<bool> {
        let tenant = key
            .tenant
            .name()
            .map(|tenant| format!("?tenant={tenant}"))
            .unwrap_or_default();
        let reply = self
            .send(
                Method::HEAD,
                &format!("objects/{name}/{}{tenant}", key.id),
                None,
                Patience::Read,
            )
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
        let tenant = key
            .tenant
            .name()
            .map(|tenant| format!("?tenant={tenant}"))
            .unwrap_or_default();
        let reply = self
            .send(
                Method::DELETE,
                &format!("objects/{name}/{}{tenant}", key.id),
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
