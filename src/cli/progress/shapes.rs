//! The bodies of the JSON lines: what a program may rely on. Fields are only ever added.

use std::time::Duration;

use serde::Serialize;

use super::Story;

#[derive(Serialize)]
pub(super) struct Line<'a, Body> {
    pub(super) schema: u32,
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) time: String,
    pub(super) job: Option<&'a str>,
    #[serde(flatten)]
    pub(super) body: Body,
}

#[derive(Serialize)]
pub(super) struct PlanBody<'a> {
    pub(super) title: &'a str,
    pub(super) fields: Vec<Field<'a>>,
}

#[derive(Serialize)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
}

#[derive(Serialize)]
pub(super) struct StatusBody<'a> {
    pub(super) kind: Option<String>,
    pub(super) subject: &'a str,
    pub(super) stage: Option<&'a str>,
    pub(super) resumed: bool,
    pub(super) stopping: bool,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) bytes: u64,
    pub(super) batches: u64,
    pub(super) total: Option<u64>,
    pub(super) percent: Option<u64>,
    pub(super) objects_per_second: Option<f64>,
    pub(super) seconds_left_estimate: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct RetryBody<'a> {
    pub(super) doing: &'a str,
    pub(super) error: &'a str,
    pub(super) tries: u32,
    pub(super) delay_seconds: f64,
}

#[derive(Serialize)]
pub(super) struct RejectBody<'a> {
    pub(super) key: &'a str,
    pub(super) reason: &'a str,
}

#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    pub(super) exit_code: u8,
    pub(super) message: &'a str,
    pub(super) kept: Option<&'a str>,
    pub(super) hint: Option<&'a str>,
    pub(super) causes: Vec<String>,
    /// Of a resume that does not match its job.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) differences: &'a [Difference],
}

/// What a job was begun with, and what is asked for now.
#[derive(Serialize)]
pub(super) struct Difference {
    name: String,
    then: String,
    now: String,
}

impl Difference {
    pub(super) fn of((name, then, now): &(String, String, String)) -> Self {
        Difference {
            name: name.clone(),
            then: then.clone(),
            now: now.clone(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SummaryBody<'a> {
    pub(super) exit_code: u8,
    pub(super) meaning: &'a str,
    pub(super) can_be_resumed: bool,
    pub(super) archives: &'a [String],
    pub(super) jobs: &'a [JobReport],
    pub(super) rejects: u64,
    pub(super) warnings: &'a [String],
    pub(super) seconds: f64,
}

/// One job of the run, in the summary. `exit_code` is null if the job is not done.
#[derive(Serialize)]
pub(super) struct JobReport {
    pub(super) job: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) subject: String,
    pub(super) exit_code: Option<u8>,
    pub(super) resumed: bool,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) bytes: u64,
    pub(super) batches: u64,
    pub(super) total: Option<u64>,
    pub(super) notes: Vec<String>,
}

impl JobReport {
    pub(super) fn of(story: &Story) -> Self {
        let summary = story.summary.as_ref();
        JobReport {
            job: story.job.as_ref().map(|job| job.as_str().to_owned()),
            kind: story.kind.map(|kind| kind.to_string()),
            subject: story.subject.clone(),
            exit_code: summary.map(|summary| summary.exit_code),
            resumed: story.is_resumed,
            accepted: story.tally.accepted,
            rejected: story.tally.rejected,
            bytes: story.tally.bytes,
            batches: story.tally.batches,
            total: story.total,
            notes: summary
                .map(|summary| summary.notes.clone())
                .unwrap_or_default(),
        }
    }
}

pub(super) fn status(story: &Story, now: Duration) -> StatusBody<'_> {
    StatusBody {
        kind: story.kind.map(|kind| kind.to_string()),
        subject: &story.subject,
        stage: story.doing.as_deref(),
        resumed: story.is_resumed,
        stopping: story.is_stopping,
        accepted: story.tally.accepted,
        rejected: story.tally.rejected,
        bytes: story.tally.bytes,
        batches: story.tally.batches,
        total: story.total,
        percent: story.percent(),
        objects_per_second: story.rate(now).map(tenths),
        seconds_left_estimate: story.left(now).map(|left| left.as_secs()),
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

pub(super) fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}
