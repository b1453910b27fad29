//! What all jobs share before and after the engine: finding the unfinished job, claiming it, saying what is kept.

use std::sync::Arc;
use std::time::Duration;

use super::facts::resumed;
use crate::engine::{self, Context, Stop, Verb};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Plan, Reporter};
use crate::job::{Identity, JobId, JobKind, Spec, Summary, Tally, Tuning};
use crate::journal::{JobFolder, Opened, State, StateDir, StoreKind};
use crate::retry::Policy;

/// What to do about an unfinished job of the same thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unfinished {
    /// Say so and stop.
    #[default]
    Refuse,
    /// Go on with it; begin one if there is none.
    Resume,
    /// Undo what is ours of it, forget it, begin anew.
    Restart,
}

/// Everything a verb needs from its surroundings.
#[derive(Clone)]
pub struct Session {
    /// Where jobs are kept.
    pub state: StateDir,
    /// Which journal new jobs get.
    pub store: StoreKind,
    /// What to do about an unfinished job.
    pub unfinished: Unfinished,
    /// An unfinished backup older than this is begun anew.
    pub resume_within: Duration,
    /// Whoever holds the lease of a destination and was silent for so long is dead.
    pub silence: Duration,
    /// Print the plan, touch nothing.
    pub is_dry_run: bool,
    /// Who listens.
    pub reporter: Arc<dyn Reporter>,
    /// How patient the run is.
    pub policy: Policy,
    /// Ends the run early.
    pub stop: Stop,
    /// What may change between runs.
    pub tuning: Tuning,
}

/// How a verb ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// 0, 3 or 13.
    pub exit_code: u8,
    /// What was committed.
    pub tally: Tally,
    /// One sentence each.
    pub notes: Vec<String>,
    /// The archive that was written.
    pub archive: Option<std::path::PathBuf>,
    /// Objects that came or changed while the archive was written, as far as it was compared: they are not in it as they are.
    pub unarchived: u64,
}

/// A job that this process may work on.
pub(super) struct Claimed {
    pub folder: Arc<JobFolder>,
    pub opened: Opened,
    pub state: State,
    pub is_resumed: bool,
}

impl Session {
    /// The same, going on with what is unfinished.
    pub(super) fn resuming(&self) -> Session {
        Session {
            unfinished: Unfinished::Resume,
            ..self.clone()
        }
    }

    /// The context of one run of the engine.
    pub fn context(&self) -> Context {
        Context::new(
            self.reporter.clone(),
            self.policy.clone(),
            self.stop.clone(),
            self.tuning.clone(),
        )
    }

    /// Patience for the very first contact: somebody may be waiting at a terminal with a wrong address.
    pub(super) fn first_contact(&self) -> Policy {
        let most = Duration::from_secs(20);
        Policy {
            patience: self.policy.patience.map(|patience| patience.min(most)),
            ..self.context().policy
        }
    }

    pub(super) fn show_plan(&self, plan: &Plan) {
        self.reporter.event(&Event::Planned(plan));
    }

    pub(super) fn warn(&self, message: &str) {
        self.reporter.event(&Event::Warning(message));
    }

    /// The unfinished job about the same thing, if there is one: with its lock, its journal not yet opened.
    pub(super) fn unfinished(&self, identity: &Identity) -> Result<Option<(JobFolder, State)>> {
        for listed in self.state.jobs()? {
            let Some(state) = self.readable(listed.state, &listed.id)? else {
                continue;
            };
            if state.is_done || !state.spec.identity.is_about_the_same(identity) {
                continue;
            }
            let folder = self.state.open_job(&state.job)?;
            // It may have been finished while we waited for nobody: the lock is ours only now.
            let state = folder.state()?;
            if !state.is_done {
                return Ok(Some((folder, state)));
            }
        }
        Ok(None)
    }

    /// Nobody knows what a job was about whose summary is lost or of another release; that is said. One that
    /// cannot be read just now is not taken as gone.
    fn readable(&self, state: Result<State>, id: &JobId) -> Result<Option<State>> {
        match state {
            Err(error) if matches!(error.kind(), Kind::JournalDamaged | Kind::Incompatible) => {
                self.warn(&format!(
                    "job {id} cannot be read and is not gone on with: {error}"
                ));
                Ok(None)
            }
            state => state.map(Some),
        }
    }

    /// A new job, its journal begun. With the job appears what it cannot go on without: its state as `fill` leaves
    /// it, and the text of a definition.
    pub(super) fn begin(
        &self,
        spec: &Spec,
        definition: Option<&str>,
        fill: impl FnOnce(&mut State),
    ) -> Result<Claimed> {
        let folder = self.state.create_with(spec, self.store, |folder| {
            folder.update_state(fill)?;
            definition.map_or(Ok(()), |text| folder.save_definition(text))
        })?;
        let opened = folder.open_store()?;
        let state = folder.state()?;
        Ok(Claimed {
            folder: Arc::new(folder),
            opened,
            state,
            is_resumed: false,
        })
    }

    /// An unfinished job, its journal read.
    pub(super) fn go_on(&self, folder: JobFolder) -> Result<Claimed> {
        let opened = folder.open_store()?;
        let runs = resumed(&folder.state()?)? + 1;
        let state = folder.update_state(|state| {
            state.extra.insert("resumed".into(), runs.to_string());
        })?;
        Ok(Claimed {
            folder: Arc::new(folder),
            opened,
            state,
            is_resumed: true,
        })
    }

    /// Refuses a resume whose request differs from the job's in more than tuning.
    pub(super) fn check_identity(&self, state: &State, asked: &Identity) -> Result<()> {
        let differences = state.spec.identity.differences(asked);
        if differences.is_empty() {
            return Ok(());
        }
        self.reporter.event(&Event::Differences(&differences));
        let names: Vec<String> = differences
            .iter()
            .map(|(name, ..)| format!("`{name}`"))
            .collect();
        Err(Error::new(
            Kind::Mismatch,
            format!(
                "job {} was begun with another {}",
                state.job,
                names.join(", ")
            ),
        )
        .with_hint("resume with the settings of the first run, or pass --restart to begin anew"))
    }

    /// Says so if the job began at another address; whether it is the same collection is looked at elsewhere.
    pub(super) fn say_moved(&self, state: &State, address: &str) {
        if let Some(began) = state.address.as_deref().filter(|began| *began != address) {
            self.warn(&format!(
                "the job began at {began} and goes on at {address}"
            ));
        }
    }

    /// Says that an unfinished job is in the way.
    pub(super) fn in_the_way(&self, folder: &JobFolder, state: &State) -> Error {
        // After a kill the summary is a little behind; the journal is not.
        let opened = folder.open_store().map(|opened| opened.job.tally);
        let tally = opened.unwrap_or(state.tally);
        let kind = state.spec.identity.kind;
        let what = describe(state);
        let why = state
            .stopped
            .as_ref()
            .map(|stopped| format!("; it stopped: {}", stopped.message))
            .unwrap_or_default();
        Error::new(
            Kind::Mismatch,
            format!(
                "an unfinished {kind} of {what} is in the way: job {}{why}",
                state.job
            ),
        )
        .with_kept(kept(state, &tally))
        .with_hint("pass --resume to go on with it, or --restart to begin anew")
    }

    /// Runs a claimed job, then removes its journal; errors say what is kept and how to go on.
    pub(super) async fn run<V: Verb>(
        &self,
        verb: &V,
        claimed: Claimed,
        subject: &str,
    ) -> Result<Summary> {
        let Claimed {
            folder,
            opened,
            state,
            is_resumed,
        } = claimed;
        self.reporter.event(&Event::Started {
            job: folder.id(),
            kind: state.spec.identity.kind,
            subject,
            total: state.total,
            kept: opened.job.tally,
            is_resumed,
        });
        let outcome = engine::run(verb, folder.clone(), opened, &self.context()).await;
        match outcome {
            Ok(summary) => {
                // What a clear without batches has done is in its summary alone.
                let state = folder.update_state(|state| state.tally = summary.tally)?;
                folder.write_report(&report(&state, &summary))?;
                folder.delete_journal()?;
                self.reporter.event(&Event::Finished {
                    job: folder.id(),
                    summary: &summary,
                });
                Ok(summary)
            }
            Err(error) => Err(self.explain(error, &folder)),
        }
    }

    /// A refusal before the first committed batch leaves nothing behind: the job goes, unless something is owed.
    pub(super) fn forget_refused(&self, folder: Arc<JobFolder>, error: Error) -> Error {
        let (Ok(state), Ok(owed)) = (folder.state(), folder.obligations()) else {
            return error;
        };
        if !is_refusal(&error) || state.tally.batches > 0 || !owed.is_empty() {
            return error;
        }
        let done = match state.spec.identity.kind {
            JobKind::Clear => "deleted",
            _ => "written",
        };
        let gone = Arc::into_inner(folder).map(|folder| super::backup::discard(folder, &state));
        match gone {
            Some(Ok(())) => error.with_kept(format!("nothing was {done}, and no job is left")),
            // It is listed, and can be cancelled.
            _ => error,
        }
    }

    fn explain(&self, error: Error, folder: &JobFolder) -> Error {
        let Ok(state) = folder.state() else {
            return error;
        };
        let resume = format!("`elysiactl jobs resume {}` goes on", folder.id());
        let hint = match error.hint() {
            Some(hint) => format!("{hint}; {resume}"),
            None => resume,
        };
        let is_resumable = matches!(
            error.kind(),
            Kind::Interrupted | Kind::Exhausted | Kind::Locked
        );
        // Who knew better, such as where a definition lies, has said so.
        let error = match error.kept() {
            Some(_) => error,
            None => error.with_kept(kept(&state, &state.tally)),
        };
        if is_resumable {
            error.with_hint(hint)
        } else {
            error
        }
    }
}

/// Refused for good by an end: no later run can make it good.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::SourceRefused | Kind::TargetRefused | Kind::Incompatible
    )
}

fn describe(state: &State) -> String {
    let identity = &state.spec.identity;
    match identity.kind {
        JobKind::Clear => format!("`{}`", identity.source),
        _ => format!("`{}` into `{}`", identity.source, identity.target),
    }
}

fn kept(state: &State, tally: &Tally) -> String {
    if super::backup::is_published(state) {
        let archive = state.archives.first().map_or("", String::as_str);
        return format!("the archive `{archive}` is finished");
    }
    let of = state
        .total
        .map(|total| format!(" of {}", grouped(total)))
        .unwrap_or_default();
    let done = grouped(tally.accepted);
    match state.spec.identity.kind {
        JobKind::Backup => format!("{done}{of} objects are in the unfinished archive"),
        JobKind::Restore | JobKind::Copy => {
            format!("{done}{of} objects are in the target collection")
        }
        JobKind::Clear => format!("{done}{of} objects are deleted"),
    }
}

/// 41,300 instead of 41300.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn report(state: &State, summary: &Summary) -> String {
    let report = serde_json::json!({
        "version": 1,
        "job": state.job,
        "kind": state.spec.identity.kind,
        "source": state.spec.identity.source,
        "target": state.spec.identity.target,
        "address": state.address,
        "started": state.started,
        "finished": state.updated,
        "exit_code": summary.exit_code,
        "accepted": summary.tally.accepted,
        "rejected": summary.tally.rejected,
        "bytes": summary.tally.bytes,
        "batches": summary.tally.batches,
        "retries": state.retries,
        "batches_repeated": state.repeats,
        "peak_memory_bytes": peak_memory(),
        "notes": summary.notes,
        "archives": state.archives,
    });
    format!("{report:#}\n")
}

/// The most memory that this run has held, in bytes; none where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Adds a member to the report of a job that has one, or replaces it.
pub(super) fn add_to_report(
    folder: &JobFolder,
    name: &str,
    value: serde_json::Value,
) -> Result<()> {
    let Some(text) = folder.report()? else {
        return Ok(());
    };
    let mut report: serde_json::Value = serde_json::from_str(&text).map_err(|cause| {
        Error::new(Kind::Failed, "the report of the job cannot be read").with_cause(cause)
    })?;
    report[name] = value;
    folder.write_report(&format!("{report:#}\n"))
}
