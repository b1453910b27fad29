//! What the committer does with what is handed in, one group after another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::{Ask, Barrier, Message, Request};
use crate::engine::stop;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Reporter};
use crate::job::{Job, Lane, LaneId, Place, Stage, Step};
use crate::journal::{Entry, JobFolder, Rejects, State, Stopped, Store};
use crate::pipe::Reject;
use crate::retry::Progress;

/// `state.json` is at most this old while batches are committed.
const STATE_IS_FRESH: Duration = Duration::from_secs(1);

/// The journal and all that is known of the job, on the committer's thread.
pub(super) struct Work {
    store: Box<dyn Store>,
    job: Job,
    folder: Arc<JobFolder>,
    state_written: Instant,
    rejects: Rejects,
    reporter: Arc<dyn Reporter>,
    progress: Progress,
    repeats: Arc<AtomicU64>,
    /// Retries and repeats of earlier runs.
    before: (u64, u64),
    /// Retries of this session before this run.
    retries_elsewhere: u64,
    barrier: Option<Barrier>,
    /// Where the next batch of a document must begin; `None` before the first one.
    place: Option<u64>,
    /// Batches whose predecessors in the document are not committed yet, by their place.
    waiting: BTreeMap<u64, Request>,
    is_abandoned: bool,
    /// Set once the journal could not be written: `job` may be ahead of it, and nothing is committed any more.
    poison: Option<(Kind, String)>,
}

impl Work {
    /// What was refused after the last commit is forgotten.
    pub fn new(
        store: Box<dyn Store>,
        job: Job,
        folder: Arc<JobFolder>,
        reporter: Arc<dyn Reporter>,
        (progress, repeats): (Progress, Arc<AtomicU64>),
    ) -> Result<Self> {
        let before = folder.state()?;
        let mut rejects = folder.rejects()?;
        rejects.truncate(
            job.receipts
                .iter()
                .map(|receipt| receipt.rejects_length)
                .max()
                .unwrap_or(0),
        )?;
        Ok(Work {
            place: job
                .receipts
                .iter()
                .filter_map(|receipt| receipt.place)
                .map(|place| place.offset + place.length)
                .max(),
            store,
            job,
            folder,
            state_written: Instant::now(),
            rejects,
            reporter,
            // Counted for all that a session does: what was before this run is not of it.
            retries_elsewhere: progress.retries(),
            progress,
            repeats,
            before: (before.retries, before.repeats),
            barrier: None,
            waiting: BTreeMap::new(),
            is_abandoned: false,
            poison: None,
        })
    }

    pub fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let mut group = Vec::new();
            let mut closing = None;
            for message in std::iter::once(first).chain(messages.try_iter()) {
                match message {
                    Message::Commit(request) => self.sort_in(request, &mut group),
                    Message::Serve { barrier, origin } => self.serve(barrier, origin),
                    Message::Abandon => self.abandon(),
                    Message::Show(reply) => {
                        let _ = reply.send(self.job.clone());
                    }
                    Message::Close { stopped, done } => closing = Some((stopped, done)),
                }
            }
            self.take_waiting(&mut group);
            self.commit(group);
            if let Some((stopped, done)) = closing {
                self.close(stopped);
                // Whoever waits deletes the journal, or opens it again: it is closed before they are told.
                drop(self);
                let _ = done.send(());
                return;
            }
        }
    }

    fn serve(&mut self, barrier: Barrier, origin: Option<u64>) {
        self.barrier = Some(barrier);
        if origin.is_some() && self.place.is_some_and(|place| origin != Some(place)) {
            // No batch would ever be the next one: better told than waited for.
            self.poison.get_or_insert_with(|| {
                let message = "the unfinished archive does not end where the journal says";
                (Kind::JournalDamaged, message.to_owned())
            });
        }
        self.place = self.place.or(origin);
    }

    fn abandon(&mut self) {
        self.is_abandoned = true;
        for (_, request) in std::mem::take(&mut self.waiting) {
            let _ = request.reply.send(Err(stop::interrupted()));
        }
    }

    /// A batch with a place waits for its turn; everything else may be committed at once, also a batch without bytes.
    fn sort_in(&mut self, request: Request, group: &mut Vec<Request>) {
        match place_of(&request.ask) {
            Some(place) if place.length > 0 && self.poison.is_none() => {
                self.waiting.insert(place.offset, request);
            }
            _ => group.push(request),
        }
    }

    fn take_waiting(&mut self, group: &mut Vec<Request>) {
        let Some(mut next) = self.place else {
            return;
        };
        while let Some(request) = self.waiting.remove(&next) {
            next += place_of(&request.ask).map_or(0, |place| place.length);
            group.push(request);
        }
        if self.is_abandoned {
            self.abandon();
        }
    }

    fn commit(&mut self, mut group: Vec<Request>) {
        if group.is_empty() {
            return;
        }
        let stage = std::mem::discriminant(&self.job.stage);
        match self.make_durable(&mut group) {
            Ok(halves) => {
                self.publish(stage);
                self.tell(group, halves);
            }
            Err(error) => {
                self.poison
                    .get_or_insert_with(|| (error.kind(), error.message().to_owned()));
                for request in group {
                    let _ = request.reply.send(Err(again(&error)));
                }
            }
        }
    }

    /// Effects first, then rejects, then the journal. Returns the halves of splits, in order.
    fn make_durable(&mut self, group: &mut [Request]) -> Result<Vec<(Lane, Lane)>> {
        if let Some((kind, message)) = &self.poison {
            return Err(Error::new(*kind, message));
        }
        if let Some(barrier) = &self.barrier
            && group.iter().any(|request| is_batch(&request.ask))
        {
            barrier()?;
        }
        self.record_rejects(group)?;
        let (mut entries, mut halves) = (Vec::new(), Vec::new());
        for request in group.iter() {
            let entry = entry(&request.ask, &self.job);
            // Not cloned: it grows with the job. After an error the state is not used any more.
            self.job = std::mem::take(&mut self.job)
                .next(entry.step.clone())
                .map_err(defect)?;
            if let Step::Split { parent, child, .. } = entry.step
                && let (Some(parent), Some(child)) = (self.job.lane(parent), self.job.lane(child))
            {
                halves.push((parent.clone(), child.clone()));
            }
            entries.push(entry);
        }
        self.store.append(&entries)?;
        Ok(halves)
    }

    fn record_rejects(&mut self, group: &mut [Request]) -> Result<()> {
        let mut is_dirty = false;
        for request in group {
            if let Ask::Entry(Entry {
                step: Step::Committed(_, receipt, _),
                ..
            }) = &mut request.ask
            {
                if !request.rejects.is_empty() {
                    self.rejects
                        .append(request.rejects.iter().map(reject_line))?;
                    is_dirty = true;
                }
                receipt.rejects_length = self.rejects.length();
            }
        }
        if is_dirty {
            self.rejects.sync()
        } else {
            Ok(())
        }
    }

    fn publish(&mut self, stage_before: std::mem::Discriminant<Stage>) {
        let is_stage_new = stage_before != std::mem::discriminant(&self.job.stage);
        self.progress.touch();
        if is_stage_new || self.state_written.elapsed() >= STATE_IS_FRESH {
            self.write_state(None);
        }
    }

    fn tell(&mut self, group: Vec<Request>, halves: Vec<(Lane, Lane)>) {
        let mut halves = halves.into_iter();
        for request in group {
            for reject in &request.rejects {
                self.reporter.event(&Event::Reject {
                    key: &reject.key.to_string(),
                    reason: &reject.reason,
                });
            }
            match request.ask {
                Ask::Entry(Entry {
                    step: Step::Committed(lane, receipt, _),
                    ..
                }) => {
                    if let Some(place) = receipt.place.filter(|place| place.length > 0) {
                        self.place = Some(place.offset + place.length);
                    }
                    self.reporter.event(&Event::Committed {
                        lane,
                        seq: receipt.seq,
                        tally: self.job.tally,
                    });
                }
                Ask::Split { reply, .. } => {
                    if let Some(both) = halves.next() {
                        let _ = reply.send(both);
                    }
                }
                Ask::Entry(_) => {}
            }
            let _ = request.reply.send(Ok(()));
        }
    }

    /// The summary that `jobs ls` reads. The journal is the truth; a failure here must not stop a job, but is told.
    fn write_state(&mut self, stopped: Option<Stopped>) {
        self.state_written = Instant::now();
        let written = self.folder.note_state(|state| {
            state.stopped = stopped;
            state.retries = self.before.0 + self.progress.retries() - self.retries_elsewhere;
            state.repeats = self.before.1 + self.repeats.load(Ordering::Relaxed);
            if self.poison.is_none() {
                self.summarise(state);
            }
        });
        if let Err(error) = written {
            self.reporter.event(&Event::Warning(&format!(
                "the job's summary could not be written: {error}"
            )));
        }
    }

    fn summarise(&self, state: &mut State) {
        state.stage = stage_in_words(&self.job.stage);
        state.is_done = self.job.is_done();
        state.exit_code = match &self.job.stage {
            Stage::Done(summary) => Some(summary.exit_code),
            _ => None,
        };
        state.tally = self.job.tally;
        state.commit_number = self.store.last_number();
    }

    fn close(&mut self, stopped: Option<(Kind, String)>) {
        self.write_state(stopped.map(|(kind, message)| Stopped::now(&Error::new(kind, message))));
    }
}

fn place_of(ask: &Ask) -> Option<Place> {
    match ask {
        Ask::Entry(Entry {
            step: Step::Committed(_, receipt, _),
            ..
        }) => receipt.place,
        _ => None,
    }
}

fn is_batch(ask: &Ask) -> bool {
    matches!(
        ask,
        Ask::Entry(Entry {
            step: Step::Committed(..),
            ..
        })
    )
}

fn entry(ask: &Ask, job: &Job) -> Entry {
    match ask {
        Ask::Entry(entry) => entry.clone(),
        Ask::Split { parent, end, .. } => Step::Split {
            parent: *parent,
            end: end.clone(),
            child: job.lanes.len() as LaneId,
        }
        .into(),
    }
}

fn reject_line(reject: &Reject) -> String {
    let tenant = reject.key.tenant.name();
    serde_json::json!({"id": reject.key.id.to_string(), "tenant": tenant, "reason": reject.reason})
        .to_string()
}

fn stage_in_words(stage: &Stage) -> String {
    match stage {
        Stage::Planned => "planned".to_owned(),
        Stage::Preparing(_) => "preparing".to_owned(),
        Stage::Moving(crate::job::Pass::Objects) => "moving objects".to_owned(),
        Stage::Moving(crate::job::Pass::References) => "moving references".to_owned(),
        Stage::Finishing(_) => "finishing".to_owned(),
        Stage::Done(_) => "done".to_owned(),
    }
}

fn defect(cause: crate::job::IllegalStep) -> Error {
    Error::new(
        Kind::Failed,
        "a step came out of order; nothing of it was written",
    )
    .with_cause(cause)
}

/// The same error for everybody in a group.
fn again(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message());
    match error.hint() {
        Some(hint) => copy.with_hint(hint),
        None => copy,
    }
}
