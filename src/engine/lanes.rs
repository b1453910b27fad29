//! The lanes at work: a queue, so many workers, and what they share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::committer::Committer;
use super::pace::{self, Brake, Pace};
use super::{Context, stop};
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::job::{Job, Lane, Tuning};
use crate::journal::KeptIds;
use crate::pipe::{Sink, Source};

/// Below about five pages one lane is as fast.
const WORTH_SEVERAL_LANES: u64 = 5_000;

/// What all lanes of a run share.
pub(super) struct Shared<S: Source, K: Sink> {
    pub source: Arc<S>,
    pub sink: Arc<K>,
    pub context: Context,
    pub committer: Committer,
    pub ids: Arc<KeptIds>,
    pub brake: Brake,
    /// As the last page of any lane has shaped it: a new lane begins with what the others have learned.
    pace: Mutex<Pace>,
    /// Cancelled when no new work is to be taken, by a signal or because a lane failed.
    pub halt: CancellationToken,
    workers: AtomicUsize,
    /// As many as there may be, however small the objects are.
    most_workers: usize,
    is_chosen: bool,
    is_told: AtomicBool,
    roster: Mutex<Roster>,
    lane_added: Notify,
}

/// Which lanes wait, and how many are walked. Both under one lock: a lane between the two would look like a worker
/// without work, and be a reason to cut another.
struct Roster {
    queue: VecDeque<Lane>,
    at_work: usize,
}

impl Roster {
    fn take(&mut self) -> Option<Lane> {
        let lane = self.queue.pop_front()?;
        self.at_work += 1;
        Some(lane)
    }

    fn is_short_of_lanes(&self, workers: usize) -> bool {
        self.at_work + self.queue.len() < workers
    }
}

impl<S: Source, K: Sink> Shared<S, K> {
    /// True if a worker has nothing to do.
    pub fn is_hungry(&self) -> bool {
        let workers = self.workers.load(Ordering::Relaxed);
        self.roster().is_short_of_lanes(workers)
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size of pages that a new lane begins with.
    pub fn learned_pace(&self) -> Pace {
        self.pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What a page has taught.
    pub fn learn(&self, pace: &Pace) {
        pace.clone_into(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner));
        self.fit(pace.expected_bytes());
    }

    /// Fewer lanes for large pages, so that all in flight stay within the budget, which is said once; a chosen number is kept.
    /// After large objects there may be small ones again.
    fn fit(&self, page_bytes: usize) {
        if self.is_chosen {
            return;
        }
        let lane = (page_bytes * K::FOOTPRINT).max(1);
        let affordable = pace::in_flight(&self.context.tuning).div_ceil(lane).max(1);
        let most = self.most_workers;
        self.workers.store(affordable.min(most), Ordering::Relaxed);
        if affordable < most && !self.is_told.swap(true, Ordering::Relaxed) {
            self.context.reporter.event(&Event::Warning(&format!(
                "objects are large: {affordable} lanes at once instead of {most}, to stay within the memory for pages (--max-memory)"
            )));
        }
    }

    /// Gives a new lane to whoever has nothing to do.
    pub fn add(&self, lane: Lane) {
        self.roster().queue.push_back(lane);
        self.lane_added.notify_one();
    }
}

/// Walks every open lane to its end. Returns the first error after the other lanes have brought what was in flight to
/// an end, or the grace is over.
pub(super) async fn move_all<S: Source, K: Sink>(
    source: Arc<S>,
    sink: Arc<K>,
    context: &Context,
    committer: &Committer,
    ids: &Arc<KeptIds>,
    job: &Job,
) -> Result<()> {
    let total = job
        .facts
        .get("expected")
        .and_then(|total| total.parse().ok());
    let workers = workers::<K>(context, total);
    if pace::is_narrow(&context.tuning) {
        context.reporter.event(&Event::Warning(
            "pages are smaller than they are best, to stay within --max-memory",
        ));
    }
    let shared = Arc::new(Shared {
        source,
        sink,
        committer: committer.clone(),
        ids: ids.clone(),
        brake: Brake::new(&context.tuning),
        pace: Mutex::new(first_pace::<S, K>(&context.tuning, workers, total)),
        halt: context.stop.token().child_token(),
        context: context.clone(),
        workers: AtomicUsize::new(workers),
        most_workers: workers,
        is_chosen: context.tuning.workers.is_some(),
        is_told: AtomicBool::new(false),
        roster: Mutex::new(Roster {
            queue: job.open_lanes().cloned().collect(),
            at_work: 0,
        }),
        lane_added: Notify::new(),
    });
    work_off(&shared).await
}

fn first_pace<S: Source, K: Sink>(tuning: &Tuning, workers: usize, total: Option<u64>) -> Pace {
    let pace = Pace::new(tuning, (workers, K::FOOTPRINT), K::MOST, total);
    match S::IS_BLIND {
        true => pace.with_first_look(tuning),
        false => pace,
    }
}

fn workers<K: Sink>(context: &Context, total: Option<u64>) -> usize {
    let chosen = if total.is_some_and(|total| total < WORTH_SEVERAL_LANES) {
        1
    } else {
        K::WORKERS
    };
    context.tuning.workers.unwrap_or(chosen).max(1) as usize
}

async fn work_off<S: Source, K: Sink>(shared: &Arc<Shared<S, K>>) -> Result<()> {
    let mut tasks = JoinSet::new();
    let mut failed: Option<Error> = None;
    let mut deadline = None;
    loop {
        while tasks.len() < shared.workers.load(Ordering::Relaxed) && !shared.halt.is_cancelled() {
            let Some(lane) = shared.roster().take() else {
                break;
            };
            tasks.spawn(super::worker::walk(shared.clone(), lane));
        }
        tokio::select! {
            done = tasks.join_next() => match done {
                None => break,
                Some(done) => {
                    shared.roster().at_work = tasks.len();
                    if let Err(error) = done.unwrap_or_else(|cause| Err(lane_died(cause))) {
                        keep_first(&mut failed, error);
                        shared.committer.abandon();
                        shared.halt.cancel();
                    }
                }
            },
            () = shared.lane_added.notified() => {}
            () = shared.halt.cancelled(), if deadline.is_none() => {
                deadline = Some(tokio::time::Instant::now() + shared.context.stop.grace());
            }
            () = at(deadline), if deadline.is_some() => break,
        }
    }
    tasks.shutdown().await;
    match failed {
        Some(error) => Err(error),
        None if shared.halt.is_cancelled() => Err(stop::interrupted()),
        None => Ok(()),
    }
}

async fn at(deadline: Option<tokio::time::Instant>) {
    tokio::time::sleep_until(
        deadline.unwrap_or_else(|| tokio::time::Instant::now() + Duration::from_secs(3600)),
    )
    .await;
}

/// An interruption only follows from something else.
fn keep_first(failed: &mut Option<Error>, error: Error) {
    if failed
        .as_ref()
        .is_none_or(|kept| kept.kind() == Kind::Interrupted)
    {
        *failed = Some(error);
    }
}

fn lane_died(cause: tokio::task::JoinError) -> Error {
    Error::new(
        Kind::Failed,
        "a lane ended by a defect of the program; the job can be resumed",
    )
    .with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Bounds;

    #[test]
    fn a_lane_that_was_taken_is_at_work_before_it_runs() {
        let lane = Lane::alone(Bounds::ALL_KEYS);
        let mut roster = Roster {
            queue: VecDeque::from([lane]),
            at_work: 0,
        };
        assert!(!roster.is_short_of_lanes(1));
        let _walked = roster.take().unwrap();
        assert!(!roster.is_short_of_lanes(1) && roster.is_short_of_lanes(2));
        assert!(roster.take().is_none() && !roster.is_short_of_lanes(1));
    }
}
