//! The one engine of all jobs: it moves batches from a source to a sink and goes on from wherever it was stopped.
//!
//! A [`Verb`] says what comes before and after the data and what the two ends are; the engine walks its stages,
//! runs the lanes, and hands every step to the committer, the only owner of the journal. One place retries, one
//! place commits. Promises kept here: an intent is durable before its effect, a commit follows its durable effect,
//! at most one batch per lane is repeated after a crash, a stop leaves the same kind of state as a crash, progress
//! shows what is committed, and the pages in flight stay within one byte budget.

mod committer;
mod lanes;
mod pace;
mod reader;
mod stop;
mod threads;
mod worker;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::job::{Job, Pass, Stage, Step, Summary, Tuning};
use crate::journal::{JobFolder, Opened};
use crate::pipe::{Sink, Source};
use crate::retry::{Policy, Waiting};

pub use committer::Committer;
pub use pace::usual_page;
pub use stop::Stop;
pub use threads::threads;

/// What a stage learned and a resume needs: names and values.
pub type Facts = BTreeMap<String, String>;

/// One kind of job: its stages and its two ends. Every call may be repeated after a crash.
pub trait Verb: Send + Sync {
    /// The end that is read.
    type Source: Source;
    /// The end that is written.
    type Sink: Sink;

    /// Does the stage of this number before the data; `None` if there is none. Safe to repeat.
    fn prepare(&self, number: u32, job: &Job)
    -> impl Future<Output = Result<Option<Facts>>> + Send;

    /// The two ends, when the stages before the data are done; called once in every run.
    fn ends(&self, job: &Job) -> impl Future<Output = Result<(Self::Source, Self::Sink)>> + Send;

    /// Does the stage of this number after the data; `None` if there is none. Safe to repeat. There is at least one; the ends are not open any more.
    fn finish(&self, number: u32, job: &Job) -> impl Future<Output = Result<Option<Facts>>> + Send;

    /// How the job ended, from its final state; an error if that state does not tell.
    fn summary(&self, job: &Job) -> Result<Summary>;
}

/// What a run needs besides the job.
#[derive(Clone)]
pub struct Context {
    /// Who listens.
    pub reporter: Arc<dyn Reporter>,
    /// How patient the run is.
    pub policy: Policy,
    /// Ends the run early.
    pub stop: Stop,
    /// Batch size, workers, rates, memory.
    pub tuning: Tuning,
    /// Batches of earlier runs that were done again because only their intent was known.
    pub repeats: Arc<AtomicU64>,
}

impl Context {
    /// A context whose retries are told to `reporter` and end when `stop` is asked for.
    pub fn new(reporter: Arc<dyn Reporter>, policy: Policy, stop: Stop, tuning: Tuning) -> Self {
        let listener = reporter.clone();
        let observer = move |waiting: &Waiting<'_>| {
            let Waiting {
                doing,
                error,
                tries,
                delay,
            } = *waiting;
            listener.event(&Event::Retry {
                doing,
                error,
                tries,
                delay,
            });
        };
        let policy = Policy {
            observer: Arc::new(observer),
            stop: stop.token(),
            ..policy
        };
        Context {
            reporter,
            policy,
            stop,
            tuning,
            repeats: Arc::default(),
        }
    }
}

/// Runs a job to its end, or as far as it comes.
///
/// On return everything that is reported as done is durable. An error leaves a job that can be resumed, unless its
/// kind says otherwise; what is kept is for the caller to say, from the job's state.
pub async fn run<V: Verb>(
    verb: &V,
    folder: Arc<JobFolder>,
    opened: Opened,
    context: &Context,
) -> Result<Summary> {
    let Opened {
        store,
        job,
        ids,
        rollback,
    } = opened;
    if let Some(rollback) = rollback {
        context
            .reporter
            .event(&Event::Warning(&rollback.to_string()));
    }
    let committer = Committer::start(
        store,
        job,
        folder,
        context.reporter.clone(),
        context.policy.progress.clone(),
        context.repeats.clone(),
    )?;
    let mut run = Run {
        verb,
        context,
        committer: &committer,
        ids: Arc::new(ids),
        ends: None,
    };
    let outcome = run.reach_the_end().await;
    committer.close(outcome.as_ref().err()).await;
    outcome
}

/// The two open ends of a verb.
type Ends<V> = (Arc<<V as Verb>::Source>, Arc<<V as Verb>::Sink>);

struct Run<'a, V: Verb> {
    verb: &'a V,
    context: &'a Context,
    committer: &'a Committer,
    ids: Arc<crate::journal::KeptIds>,
    ends: Option<Ends<V>>,
}

impl<V: Verb> Run<'_, V> {
    async fn reach_the_end(&mut self) -> Result<Summary> {
        loop {
            let job = self.committer.job().await?;
            if let Stage::Done(summary) = &job.stage {
                return Ok(summary.clone());
            }
            self.context.stop.check()?;
            let step = self.next_step(&job).await?;
            if let Some(step) = step {
                self.committer.commit(step.into()).await?;
            }
        }
    }

    /// Does what comes next and says which step it is; `None` if the steps were committed underway.
    async fn next_step(&mut self, job: &Job) -> Result<Option<Step>> {
        match &job.stage {
            Stage::Planned => Ok(Some(Step::Planned)),
            Stage::Preparing(number) => self.prepare(*number, job).await.map(Some),
            Stage::Moving(_) if job.open_lanes().next().is_some() => {
                self.move_lanes(job).await?;
                Ok(None)
            }
            Stage::Moving(_) => self.finish(0, job).await.map(Some),
            Stage::Finishing(number) => self.finish(*number, job).await.map(Some),
            Stage::Done(_) => Ok(None),
        }
    }

    async fn prepare(&mut self, number: u32, job: &Job) -> Result<Step> {
        let staged = self
            .context
            .policy
            .run("prepare", async || self.verb.prepare(number, job).await)
            .await?;
        if let Some(facts) = staged {
            return Ok(Step::Staged { number, facts });
        }
        let (source, _) = self.ends(job).await?;
        Ok(Step::Opened {
            pass: Pass::Objects,
            lanes: source.lanes(),
        })
    }

    async fn move_lanes(&mut self, job: &Job) -> Result<()> {
        let (source, sink) = self.ends(job).await?;
        lanes::move_all(source, sink, self.context, self.committer, &self.ids, job).await
    }

    async fn finish(&mut self, number: u32, job: &Job) -> Result<Step> {
        let finished = self
            .context
            .policy
            .run("finish", || self.verb.finish(number, job))
            .await?;
        Ok(match finished {
            Some(facts) => Step::Staged { number, facts },
            None => Step::Done(self.verb.summary(job)?),
        })
    }

    async fn ends(&mut self, job: &Job) -> Result<Ends<V>> {
        if self.ends.is_none() {
            let (source, sink) = self
                .context
                .policy
                .run("open both ends", async || self.verb.ends(job).await)
                .await?;
            let (source, sink) = (Arc::new(source), Arc::new(sink));
            self.committer.serve(&sink);
            self.ends = Some((source, sink));
        }
        match &self.ends {
            Some((source, sink)) => Ok((source.clone(), sink.clone())),
            None => Err(Error::new(
                crate::error::Kind::Failed,
                "the ends are not open",
            )),
        }
    }
}
