//! JSON lines for programs, one object a line, schema 1: fields are only ever added.
//!
//! Types are `plan`, `status` (at most once a second), `retry`, `reject` (the first ten; `rejects.jsonl` has all),
//! `row` (what a listing or a look shows), `difference` and `comparison` (what a comparison found), `error` and, always last, `summary` with `exit_code`. Every line has `schema`, `type`, `time` and `job`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::super::exit::ExitCode;
use super::super::output::{Clock, Out};
use super::super::render::causes;
use super::shapes::{
    Difference, ErrorBody, Field, JobReport, Line, PlanBody, RejectBody, RetryBody, SummaryBody,
    seconds, status,
};
use super::{Ending, Listener, SHOWN_REJECTS, Story};
use crate::error::{Error, Result};
use crate::event::{Event, Plan, Reporter};

/// The version of the lines' shape.
const SCHEMA: u32 = 1;
/// At most one `status` in this time.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// So many warnings are repeated in the summary, the first ones.
const KEPT_WARNINGS: usize = 100;

/// A listener that writes JSON lines.
pub struct JsonLines {
    out: Out,
    clock: Clock,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    story: Story,
    last_status: Option<Duration>,
    jobs: Vec<JobReport>,
    rejects: u64,
    warnings: Vec<String>,
    differences: Vec<Difference>,
}

impl JsonLines {
    /// Writes to `out`, which nothing else should write to.
    pub fn new(out: Out, clock: Clock) -> Self {
        JsonLines {
            out,
            clock,
            told: Mutex::default(),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, kind: &str, story: &Story, body: impl Serialize) -> Result<()> {
        let line = Line {
            schema: SCHEMA,
            kind,
            time: self.clock.time().to_string(),
            job: story.job.as_ref().map(|job| job.as_str()),
            body,
        };
        let text = serde_json::to_string(&line).map_err(|cause| {
            Error::new(crate::error::Kind::Failed, "cannot write a line of JSON").with_cause(cause)
        })?;
        self.out.data(&text)
    }

    /// One line of data, of this type.
    pub fn data(
        &self,
        kind: &str,
        members: serde_json::Map<String, serde_json::Value>,
    ) -> Result<()> {
        self.write(kind, &self.told().story, members)
    }

    fn plan(&self, story: &Story, plan: &Plan) -> Result<()> {
        let fields = plan
            .fields
            .iter()
            .map(|(name, value)| Field { name, value })
            .collect();
        self.write(
            "plan",
            story,
            PlanBody {
                title: &plan.title,
                fields,
            },
        )
    }

    fn status_if_due(&self, told: &mut Told, now: Duration) -> Result<()> {
        let is_due = told
            .last_status
            .is_none_or(|last| now.saturating_sub(last) >= STATUS_EVERY);
        if !is_due {
            return Ok(());
        }
        told.last_status = Some(now);
        self.write("status", &told.story, status(&told.story, now))
    }

    fn tell(&self, event: &Event<'_>, told: &mut Told, now: Duration) -> Result<()> {
        match event {
            Event::Planned(plan) => self.plan(&told.story, plan),
            Event::Retry {
                doing,
                error,
                tries,
                delay,
            } => self.write(
                "retry",
                &told.story,
                RetryBody {
                    doing,
                    error: error.message(),
                    tries: *tries,
                    delay_seconds: seconds(*delay),
                },
            ),
            Event::Reject { key, reason } if told.story.rejects <= SHOWN_REJECTS => {
                self.write("reject", &told.story, RejectBody { key, reason })
            }
            Event::Started { .. }
            | Event::Stage { .. }
            | Event::Committed { .. }
            | Event::Compared { .. }
            | Event::Stopping => self.status_if_due(told, now),
            _ => Ok(()),
        }
    }
}

impl Told {
    fn hear(&mut self, event: &Event<'_>, now: Duration) {
        if matches!(event, Event::Started { .. }) {
            self.close_job();
        }
        self.story.hear(event, now);
        match event {
            Event::Reject { .. } => self.rejects += 1,
            Event::Warning(text) if self.warnings.len() < KEPT_WARNINGS => {
                self.warnings.push((*text).to_owned())
            }
            Event::Differences(differences) => {
                self.differences = differences.iter().map(Difference::of).collect()
            }
            _ => {}
        }
    }

    fn close_job(&mut self) {
        if self.story.job.is_some() {
            self.jobs.push(JobReport::of(&self.story));
        }
    }
}

impl Reporter for JsonLines {
    fn event(&self, event: &Event<'_>) {
        let now = self.clock.elapsed();
        let mut told = self.told();
        told.hear(event, now);
        // A reporter must not fail; if the output is gone for good, `end` finds out and says so.
        let _ = self.tell(event, &mut told, now);
    }
}

impl Listener for JsonLines {
    fn end(&self, ending: &Ending<'_>) -> Result<()> {
        let mut told = self.told();
        told.close_job();
        let error = ending.error.map(|error| ErrorBody {
            exit_code: ExitCode::from(error).0,
            message: error.message(),
            kept: error.kept(),
            hint: error.hint(),
            causes: causes(error),
            differences: &told.differences,
        });
        if let Some(body) = error {
            self.write("error", &told.story, body)?;
        }
        let body = SummaryBody {
            exit_code: ending.code.0,
            meaning: ending.code.meaning(),
            can_be_resumed: ending.code.can_be_resumed(),
            archives: ending.archives,
            jobs: &told.jobs,
            rejects: told.rejects,
            warnings: &told.warnings,
            seconds: seconds(self.clock.elapsed()),
        };
        self.write("summary", &told.story, body)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::output::testing::{Captured, Hands, failing};
    use super::super::testing::*;
    use super::*;
    use crate::error::Kind;

    fn machine() -> (JsonLines, Captured, Hands) {
        let (captured, hands) = (Captured::default(), Hands::default());
        (
            JsonLines::new(captured.out(), hands.clock()),
            captured,
            hands,
        )
    }

    fn lines(captured: &Captured) -> Vec<Value> {
        captured
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn types(captured: &Captured) -> Vec<String> {
        lines(captured)
            .iter()
            .map(|line| line["type"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_line_begins_alike_and_the_plan_comes_before_the_job() {
        let (machine, captured, hands) = machine();
        let mut plan = Plan::new("back up `Article`");
        plan.field("objects", "120,000");
        machine.event(&Event::Planned(&plan));
        start(&machine, Some(120_000), 41_300);
        hands.forward(Duration::from_secs(10));
        commit(&machine, 60_000);
        assert_eq!(
            captured.text(),
            "{\"schema\":1,\"type\":\"plan\",\"time\":\"2026-02-01T10:30:00Z\",\"job\":null,\
             \"title\":\"back up `Article`\",\"fields\":[{\"name\":\"objects\",\"value\":\"120,000\"}]}\n\
             {\"schema\":1,\"type\":\"status\",\"time\":\"2026-02-01T10:30:00Z\",\"job\":\"7f3c9a1b\",\
             \"kind\":\"backup\",\"subject\":\"Article\",\"stage\":null,\"resumed\":true,\"stopping\":false,\
             \"accepted\":41300,\"rejected\":0,\"bytes\":413000000,\"batches\":413,\"total\":120000,\
             \"percent\":34,\"objects_per_second\":null,\"seconds_left_estimate\":null}\n\
             {\"schema\":1,\"type\":\"status\",\"time\":\"2026-02-01T10:30:10Z\",\"job\":\"7f3c9a1b\",\
             \"kind\":\"backup\",\"subject\":\"Article\",\"stage\":null,\"resumed\":true,\"stopping\":false,\
             \"accepted\":60000,\"rejected\":0,\"bytes\":600000000,\"batches\":600,\"total\":120000,\
             \"percent\":50,\"objects_per_second\":1870.0,\"seconds_left_estimate\":33}\n"
        );
    }

    #[test]
    fn status_comes_at_most_once_a_second() {
        let (machine, captured, hands) = machine();
        start(&machine, Some(1_000_000), 0);
        machine.event(&Event::Stage {
            doing: "create the collection",
        });
        for step in 1..=500 {
            hands.forward(Duration::from_millis(10));
            commit(&machine, step * 100);
        }
        assert_eq!(types(&captured), ["status"; 6]);
    }

    #[test]
    fn retries_and_the_first_ten_rejects_have_their_own_lines() {
        let (machine, captured, _) = machine();
        start(&machine, None, 0);
        retry(&machine);
        reject(&machine, 1_000);
        let lines = lines(&captured);
        assert_eq!(lines.len(), 12);
        assert_eq!(
            (
                &lines[1]["doing"],
                &lines[1]["error"],
                &lines[1]["tries"],
                &lines[1]["delay_seconds"]
            ),
            (
                &json!("read a page"),
                &json!("cannot reach Weaviate: connection refused"),
                &json!(2),
                &json!(2.0)
            )
        );
        assert_eq!(
            (&lines[11]["type"], &lines[11]["key"]),
            (&json!("reject"), &json!("id-9"))
        );
    }

    #[test]
    fn a_run_that_fails_before_its_job_still_ends_with_a_summary() {
        let (machine, captured, _) = machine();
        let cause = Error::new(Kind::Failed, "connection refused");
        let error = Error::new(Kind::Exhausted, "cannot reach Weaviate")
            .with_hint("start it")
            .with_cause(cause);
        machine.end(&Ending::of(&error)).unwrap();
        let lines = lines(&captured);
        assert_eq!(
            lines[0],
            json!({"schema": 1, "type": "error", "time": "2026-02-01T10:30:00Z", "job": null, "exit_code": 5,
                   "message": "cannot reach Weaviate", "kept": null, "hint": "start it",
                   "causes": ["connection refused"]})
        );
        assert_eq!(
            lines[1],
            json!({"schema": 1, "type": "summary", "time": "2026-02-01T10:30:00Z", "job": null, "exit_code": 5,
                   "meaning": "retries exhausted, can be resumed", "can_be_resumed": true, "archives": [],
                   "jobs": [], "rejects": 0, "warnings": [], "seconds": 0.0})
        );
    }

    #[test]
    fn the_summary_has_every_job_the_archives_and_the_warnings() {
        let (machine, captured, hands) = machine();
        machine.event(&Event::Warning("careful"));
        start(&machine, Some(100), 0);
        hands.forward(Duration::from_millis(2_500));
        finish(&machine, 3, 100);
        start(&machine, Some(200), 0);
        commit(&machine, 100);
        let archives = ["./backups/A.json".to_owned()];
        machine
            .end(&Ending {
                code: ExitCode::INTERRUPTED,
                error: None,
                archives: &archives,
            })
            .unwrap();
        let summary = lines(&captured).pop().unwrap();
        assert_eq!(summary["type"], "summary");
        assert_eq!(summary["exit_code"], 4);
        assert_eq!(summary["archives"], json!(["./backups/A.json"]));
        assert_eq!(summary["warnings"], json!(["careful"]));
        assert_eq!(summary["jobs"][0]["exit_code"], 3);
        assert_eq!(
            (
                &summary["jobs"][1]["exit_code"],
                &summary["jobs"][1]["accepted"]
            ),
            (&json!(null), &json!(100))
        );
        assert_eq!(summary["seconds"], 2.5);
    }

    #[test]
    fn a_reader_that_left_is_no_failure_and_a_full_disk_is() {
        let ending = Ending::with_code(ExitCode::DONE, &[]);
        let to = |kind| JsonLines::new(failing(kind), Hands::default().clock());
        assert!(to(std::io::ErrorKind::BrokenPipe).end(&ending).is_ok());
        assert!(to(std::io::ErrorKind::StorageFull).end(&ending).is_err());
    }
}
