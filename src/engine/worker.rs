//! One lane: fetch, intend, apply, commit, in this order, until nothing is left.
//!
//! The page after the one being written is already asked for, and while a batch is made durable the next one is encoded; it is
//! intended and applied only when the one before it is committed, so that at most one batch of a lane is ever in doubt. A lane is cut only by its own walk, between batches
//! and beyond everything it has read; the new border is durable before either half is read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio_util::task::AbortOnDropHandle;

use super::committer::Submitted;
use super::lanes::Shared;
use super::pace::Pace;
use super::stop;
use crate::error::{Error, Kind, Reaction, Result};
use crate::event::Event;
use crate::job::{Cursor, Intent, Lane, Step};
use crate::journal::Entry;
use crate::model::Key;
use crate::pipe::{Appetite, Page, Sink, Source};

/// A request that fails alike this often, while others do not, holds the reason itself.
const ALIKE_TRIES: u32 = 3;

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
    let mut ahead = read_ahead(&shared, &lane, lane.cursor.clone(), shared.pace.clone());
    let mut before = None;
    loop {
        let mut batch = shared.sink.begin(&lane);
        let mut gathered = Gathered {
            keys: Vec::new(),
            end: lane.cursor.clone(),
        };
        let end = loop {
            let (page, pace) = match next_page(&shared, &mut ahead).await {
                Ok(read) => read,
                Err(error) => break End::Failed(error),
            };
            if !page.is_last {
                give_away(&shared, &mut lane, &page).await?;
                ahead = read_ahead(&shared, &lane, page.end.clone(), pace);
                // The request goes out now: a task that was just spawned waits for this one to pause.
                tokio::task::yield_now().await;
            }
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

async fn next_page<S: Source, K: Sink>(
    shared: &Shared<S, K>,
    ahead: &mut AbortOnDropHandle<Result<(Page, Pace)>>,
) -> Result<(Page, Pace)> {
    tokio::select! {
        read = ahead => read.unwrap_or_else(|cause| Err(reader_died(cause))),
        () = shared.halt.cancelled() => Err(stop::interrupted()),
    }
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

/// The page after `cursor`, read while the one before it is written.
fn read_ahead<S: Source, K: Sink>(
    shared: &Arc<Shared<S, K>>,
    lane: &Lane,
    cursor: Cursor,
    pace: Pace,
) -> AbortOnDropHandle<Result<(Page, Pace)>> {
    let (shared, lane) = (shared.clone(), lane.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        read(&shared, &lane, &cursor, pace).await
    }))
}

/// Reads a page, with everything that can be done if that fails: try again, ask for less, pass over one object.
async fn read<S: Source, K: Sink>(
    shared: &Shared<S, K>,
    lane: &Lane,
    cursor: &Cursor,
    mut pace: Pace,
) -> Result<(Page, Pace)> {
    let mut tries = shared.context.policy.tries("read a page");
    let mut alike = Alike::default();
    let page = loop {
        let error = match shared.source.fetch(lane, cursor, pace.budget()).await {
            Ok(page) => break page,
            Err(error) => error,
        };
        let is_suspicious = alike.is_suspicious(&error);
        if (error.reaction() == Reaction::TooLarge || is_suspicious) && pace.halve() {
            continue;
        }
        if is_suspicious {
            match shared.source.pass_over(lane, cursor, error.message()).await {
                Ok(Some(page)) => break page,
                Ok(None) => {}
                // The search takes many requests; one that fails is no reason to give up.
                Err(searching) => {
                    tries.pause(searching).await?;
                    continue;
                }
            }
        }
        tries.pause(error).await?;
    };
    shared.context.reporter.event(&Event::Fetched {
        lane: lane.id,
        objects: page.keys.len(),
    });
    if !page.is_last && page.keys.is_empty() && page.unreadable.is_empty() && page.end == *cursor {
        return Err(Error::new(
            Kind::Failed,
            format!(
                "lane {} was given an empty page that leads nowhere",
                lane.id
            ),
        ));
    }
    pace.saw(&page);
    shared.fit(page.bytes);
    tokio::time::sleep(shared.brake.after(&page)).await;
    Ok((page, pace))
}

/// Counts failures of one request that say the same.
#[derive(Default)]
struct Alike {
    message: String,
    count: u32,
}

impl Alike {
    fn is_suspicious(&mut self, error: &Error) -> bool {
        if error.reaction() != Reaction::Suspect {
            self.count = 0;
            return false;
        }
        self.count = if self.message == error.message() {
            self.count + 1
        } else {
            1
        };
        self.message = error.message().to_owned();
        self.count >= ALIKE_TRIES
    }
}

/// Cuts the lane if somebody has nothing to do and enough is left.
async fn give_away<S: Source, K: Sink>(
    shared: &Shared<S, K>,
    lane: &mut Lane,
    page: &Page,
) -> Result<()> {
    if !shared.is_hungry() || page.keys.is_empty() {
        return Ok(());
    }
    // Tried once: a lane that is not cut is read all the same, and the next page is another occasion.
    let end = match shared.source.border(lane, page).await {
        Ok(Some(end)) => end,
        Ok(None) => return Ok(()),
        Err(error) if error.is_transient() => return Ok(()),
        Err(error) => return Err(error),
    };
    let (parent, child) = shared.committer.split(lane.id, end).await?;
    lane.bounds = parent.bounds;
    shared.context.reporter.event(&Event::Split {
        parent: lane.id,
        child: child.id,
    });
    shared.add(child);
    Ok(())
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

fn reader_died(cause: tokio::task::JoinError) -> Error {
    Error::new(
        Kind::Failed,
        "reading ended by a defect of the program; the job can be resumed",
    )
    .with_cause(cause)
}
