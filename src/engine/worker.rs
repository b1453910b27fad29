//! One lane: fetch, intend, apply, commit, in this order, until nothing is left.
//!
//! Pages come from the lane's [`Reader`], which is ahead, and while a batch is made durable the next one is encoded; it is
//! intended and applied only when the one before it is committed, so that at most one batch of a lane is ever in doubt.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::committer::Submitted;
use super::lanes::Shared;
use super::reader::Reader;
use super::stop;
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::job::{Cursor, Intent, Lane, Step};
use crate::journal::Entry;
use crate::model::Key;
use crate::pipe::{Appetite, Page, Sink, Source};

/// The pages of a batch, as far as the journal has to know them.
struct Gathered {
    keys: Vec<Key>,
    end: Cursor,
}

/// Walks a lane to its end.
pub(super) async fn walk<S: Source, K: Sink>(
    shared: Arc<Shared<S, K>>,
    mut lane: Lane,
) -> Result<()> {
    if let Some(intent) = lane.intent.clone() {
        repeat(&shared, &mut lane, &intent).await?;
    }
    let mut reader = Reader::start(&shared, &lane);
    let mut before = None;
    loop {
        let mut batch = shared.sink.begin(&lane);
        let mut gathered = Gathered {
            keys: Vec::new(),
            end: lane.cursor.clone(),
        };
        let end = loop {
            let page = match reader.next().await {
                Ok(page) => page,
                Err(error) => break End::Failed(error),
            };
            let appetite = shared.sink.append(&mut batch, &page)?;
            let is_last = page.is_last;
            gathered.add(page);
            if is_last {
                break End::Drained;
            }
            let is_full = appetite == Appetite::Full || is_large_enough(&shared, &gathered);
            if is_full || shared.halt.is_cancelled() {
                break End::Open;
            }
        };
        settle(&mut before).await?;
        // What was read before a failure is worth keeping: the network may be gone for long.
        if !gathered.keys.is_empty() {
            before = Some(write(&shared, &mut lane, &mut batch, gathered).await?);
        }
        if matches!(end, End::Open) && !shared.halt.is_cancelled() {
            continue;
        }
        settle(&mut before).await?;
        return match end {
            End::Drained => shared.committer.commit(Step::Drained(lane.id).into()).await,
            End::Failed(error) => Err(error),
            End::Open => Err(stop::interrupted()),
        };
    }
}

/// Waits until the batch before is committed.
async fn settle(before: &mut Option<Submitted>) -> Result<()> {
    match before.take() {
        Some(submitted) => submitted.durable().await,
        None => Ok(()),
    }
}

/// Why no more pages are gathered.
enum End {
    /// The batch is full.
    Open,
    Drained,
    Failed(Error),
}

impl Gathered {
    fn add(&mut self, page: Page) {
        self.keys.extend(page.keys);
        self.keys
            .extend(page.unreadable.into_iter().map(|reject| reject.key));
        self.end = page.end;
    }

    fn intent(&self, lane: &Lane) -> Intent {
        Intent {
            seq: lane.seq,
            end: self.end.clone(),
            count: self.keys.len() as u32,
            hash: hash_of(&self.keys),
        }
    }
}

fn hash_of(keys: &[Key]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for key in keys {
        let tenant = key.tenant.as_str().as_bytes();
        hasher
            .update(&(tenant.len() as u32).to_le_bytes())
            .update(tenant)
            .update(&key.id.0);
    }
    *hasher.finalize().as_bytes()
}

/// A size that somebody chose is an upper bound of a batch, and the next page may be as large.
fn is_large_enough<S: Source, K: Sink>(shared: &Shared<S, K>, gathered: &Gathered) -> bool {
    shared.context.tuning.batch_size.is_some() && !gathered.keys.is_empty()
}

async fn write<S: Source, K: Sink>(
    shared: &Shared<S, K>,
    lane: &mut Lane,
    batch: &mut K::Batch,
    gathered: Gathered,
) -> Result<Submitted> {
    if K::INTENDS {
        let step = Step::Intended(lane.id, gathered.intent(lane));
        shared
            .committer
            .commit(Entry {
                step,
                keys: gathered.keys.clone(),
            })
            .await?;
        shared.context.reporter.event(&Event::Intended {
            lane: lane.id,
            seq: lane.seq,
        });
    }
    apply(shared, lane, batch, gathered).await
}

async fn apply<S: Source, K: Sink>(
    shared: &Shared<S, K>,
    lane: &mut Lane,
    batch: &mut K::Batch,
    gathered: Gathered,
) -> Result<Submitted> {
    let mut tries = shared.context.policy.tries("store a batch");
    let applied = loop {
        match shared.sink.apply(batch).await {
            Ok(applied) => break applied,
            Err(error) => tries.pause(error).await?,
        }
    };
    shared.context.reporter.event(&Event::Applied {
        lane: lane.id,
        seq: lane.seq,
    });
    let Gathered { keys, end } = gathered;
    let step = Step::Committed(lane.id, Box::new(applied.receipt), end.clone());
    let entry = Entry { step, keys };
    let submitted = shared.committer.submit(entry, applied.rejects)?;
    lane.seq += 1;
    lane.cursor = end;
    lane.intent = None;
    Ok(submitted)
}

/// Does a batch again of which only the intent is known.
async fn repeat<S: Source, K: Sink>(
    shared: &Shared<S, K>,
    lane: &mut Lane,
    intent: &Intent,
) -> Result<()> {
    shared.context.repeats.fetch_add(1, Ordering::Relaxed);
    let kept = shared.ids.pending(lane.id)?;
    let keys = kept.map(|batch| batch.keys).unwrap_or_default();
    let policy = &shared.context.policy;
    let page = policy
        .run("read a batch again", || {
            shared.source.again(lane, intent, &keys)
        })
        .await?;
    let mut gathered = Gathered {
        keys: Vec::new(),
        end: intent.end.clone(),
    };
    let mut batch = shared.sink.begin(lane);
    shared.sink.append(&mut batch, &page)?;
    gathered.add(page);
    gathered.end = intent.end.clone();
    if hash_of(&gathered.keys) != intent.hash {
        return Err(Error::new(
            Kind::Mismatch,
            "the source does not hold the objects any more that were being written",
        )
        .with_hint("the source changed between the runs; begin anew with --restart"));
    }
    let applied = apply(shared, lane, &mut batch, gathered).await?;
    applied.durable().await
}
