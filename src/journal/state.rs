//! `state.json`: what a job looks like from outside, small, atomic, readable without opening its journal.
//!
//! Its commit number is the witness against a journal that forgets: it is written after the commit it names.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::other_version;
use super::{StoreKind, lock};
use crate::error::{Error, Kind, Result};
use crate::job::{JobId, Spec, Tally};

const VERSION: u8 = 1;

/// The summary of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    version: u8,
    /// The job.
    pub job: JobId,
    /// What was asked for.
    pub spec: Spec,
    /// What holds its journal.
    pub store: StoreKind,
    /// How far it is, in words.
    pub stage: String,
    /// True once nothing is left to do; an unfinished job can be resumed.
    pub is_done: bool,
    /// How it ended, if it is done.
    pub exit_code: Option<u8>,
    /// What was committed.
    pub tally: Tally,
    /// The last commit that was durable when this was written.
    pub commit_number: u64,
    /// When the job began, RFC 3339.
    pub started: String,
    /// When this was written, RFC 3339; set by `JobFolder::write_state`.
    pub updated: String,
    /// What tells the live end from another one of the same name.
    pub incarnation: Option<Vec<String>>,
    /// Objects expected in all, if known.
    pub total: Option<u64>,
    /// Where and why it last stopped before its end.
    pub stopped: Option<Stopped>,
    /// The archives that it reads or writes.
    pub archives: Vec<String>,
    /// Retries so far.
    pub retries: u64,
    /// Batches that were done more than once.
    pub repeats: u64,
    /// The host of the last run, if it could be told.
    pub host: Option<String>,
    /// The process of the last run.
    pub pid: u32,
    /// The address of the server as shown to people; never with a secret in it.
    pub address: Option<String>,
    /// What the verbs want to remember besides.
    pub extra: BTreeMap<String, String>,
}

/// Why a run stopped before the end of its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// When, RFC 3339.
    pub at: String,
    /// The exit code of that run.
    pub exit_code: u8,
    /// Its error message.
    pub message: String,
}

impl Stopped {
    /// A run that stops now.
    pub fn now(error: &Error) -> Self {
        Stopped {
            at: now(),
            exit_code: error.kind().exit_code(),
            message: error.message().to_owned(),
        }
    }
}

impl State {
    /// The state of a job that begins now.
    pub fn new(job: JobId, spec: Spec, store: StoreKind) -> Self {
        State {
            version: VERSION,
            job,
            spec,
            store,
            stage: "planned".into(),
            is_done: false,
            exit_code: None,
            tally: Tally::default(),
            commit_number: 0,
            started: now(),
            updated: now(),
            incarnation: None,
            total: None,
            stopped: None,
            archives: Vec::new(),
            retries: 0,
            repeats: 0,
            host: lock::host(),
            pid: std::process::id(),
            address: None,
            extra: BTreeMap::new(),
        }
    }

    /// When the job began.
    pub fn started_at(&self) -> Result<Timestamp> {
        self.started.parse().map_err(|cause: jiff::Error| {
            Error::new(
                Kind::Failed,
                format!("job {} has no start time: `{}`", self.job, self.started),
            )
            .with_cause(cause)
        })
    }

    pub(super) fn parse(bytes: &[u8], of: &JobId) -> Result<State> {
        check_version(bytes, "state.json")?;
        let state: State = serde_json::from_slice(bytes).map_err(unreadable)?;
        match state.job == *of {
            true => Ok(state),
            false => Err(Error::new(
                Kind::JournalDamaged,
                format!("`state.json` of job {of} is of job {}", state.job),
            )),
        }
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        to_json(self)
    }
}

/// Refuses a versioned file that another release wrote, before its fields are looked at.
pub(super) fn check_version(bytes: &[u8], name: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let versioned: Versioned = serde_json::from_slice(bytes).map_err(unreadable)?;
    match versioned.version == u64::from(VERSION) {
        true => Ok(()),
        false => Err(other_version(
            &format!("files `{name}`"),
            versioned.version,
            VERSION,
        )),
    }
}

fn unreadable(cause: serde_json::Error) -> Error {
    Error::new(Kind::JournalDamaged, "the file is not what was written").with_cause(cause)
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|cause| Error::new(Kind::Failed, "cannot encode a file").with_cause(cause))?;
    text.push(b'\n');
    Ok(text)
}

/// Now, RFC 3339, to the second.
pub(super) fn now() -> String {
    let now = Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}
