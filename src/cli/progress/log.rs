//! The log file: the story as structured lines, beside whatever the other rooms trace.
//!
//! Events become `tracing` events of this crate; the file's subscriber takes nothing of other crates, whose
//! traces may hold headers. The file is appended to, and readable by its owner only.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Dispatch, debug, error, info, trace, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;

use super::super::output::Clock;
use super::super::render::causes;
use super::{Ending, Listener, SHOWN_REJECTS, Story};
use crate::error::{IoContext, Kind, Result};
use crate::event::{Event, Reporter};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, message, fields.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A listener that writes a log.
pub struct Log {
    dispatch: Dispatch,
    clock: Clock,
    story: Mutex<Story>,
}

impl Log {
    /// Appends to the file at `path`, which is created with mode 0600; its folder must exist.
    pub fn open(path: &Path, format: LogFormat, verbosity: u8, clock: Clock) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .doing(|| format!("cannot open the log file `{}`", path.display()))
            // That its folder is missing is no answer to what was asked for.
            .map_err(|error| error.with_kind(Kind::Failed))?;
        Ok(Log::new(file, format, verbosity, clock))
    }

    /// Writes to `writer`.
    pub fn new(
        writer: impl Write + Send + 'static,
        format: LogFormat,
        verbosity: u8,
        clock: Clock,
    ) -> Self {
        let level = match verbosity {
            0 => LevelFilter::INFO,
            1 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        };
        let writer = Arc::new(Mutex::new(writer));
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || Shared(writer.clone()))
            .with_timer(Time(clock.clone()))
            .with_ansi(false)
            .with_target(false)
            .log_internal_errors(false);
        let layer = match format {
            LogFormat::Text => layer.boxed(),
            LogFormat::Json => layer.json().flatten_event(true).boxed(),
        };
        let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(ours));
        Log {
            dispatch: Dispatch::new(subscriber),
            clock,
            story: Mutex::default(),
        }
    }

    /// What other rooms trace goes to this log from now on, in every thread. Once per process; later calls
    /// change nothing.
    pub fn install(&self) {
        let _ = tracing::dispatcher::set_global_default(self.dispatch.clone());
    }

    fn within(&self, write: impl FnOnce()) {
        tracing::dispatcher::with_default(&self.dispatch, write);
    }
}

struct Shared<W>(Arc<Mutex<W>>);

impl<W: Write> Write for Shared<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .flush()
    }
}

struct Time(Clock);

impl FormatTime for Time {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", self.0.time())
    }
}

impl Reporter for Log {
    fn event(&self, event: &Event<'_>) {
        let mut story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        story.hear(event, self.clock.elapsed());
        let job = story.job.as_ref().map_or("-", |job| job.as_str());
        self.within(|| {
            write_milestone(event, &story, job);
            write_trouble(event, &story, job);
            write_batch(event, job);
        });
    }
}

fn write_milestone(event: &Event<'_>, story: &Story, job: &str) {
    match event {
        Event::Planned(plan) => {
            let fields: Vec<String> = plan
                .fields
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            info!(
                job,
                plan = plan.title,
                fields = fields.join("; "),
                "planned"
            );
        }
        Event::Started {
            kind,
            subject,
            total,
            kept,
            is_resumed,
            ..
        } => info!(
            job,
            %kind,
            subject,
            total,
            kept = kept.accepted,
            resumed = is_resumed,
            "started"
        ),
        Event::Stage { doing } => info!(job, doing, "stage"),
        Event::Note(text) => info!(job, "note: {text}"),
        Event::Stopping => info!(job, "stopping"),
        Event::Finished { summary, .. } => info!(
            job,
            exit_code = summary.exit_code,
            accepted = summary.tally.accepted,
            rejected = summary.tally.rejected,
            refused_in_this_run = story.rejects,
            bytes = summary.tally.bytes,
            notes = summary.notes.join("; "),
            "finished"
        ),
        _ => {}
    }
}

fn write_trouble(event: &Event<'_>, story: &Story, job: &str) {
    match event {
        Event::Retry {
            doing,
            error,
            tries,
            delay,
        } => {
            let (causes, delay_ms) = (causes(error).join("; "), delay.as_millis() as u64);
            warn!(job, doing, tries, delay_ms, causes, "retry: {error}");
        }
        Event::Reject { key, reason } if story.rejects <= SHOWN_REJECTS => {
            warn!(job, key, reason, "rejected")
        }
        Event::Reject { key, reason } => debug!(job, key, reason, "rejected"),
        Event::Warning(text) => warn!(job, "warning: {text}"),
        _ => {}
    }
}

fn write_batch(event: &Event<'_>, job: &str) {
    match event {
        Event::Split { parent, child } => debug!(job, parent, child, "split"),
        Event::Committed { lane, seq, tally } => {
            debug!(
                job,
                lane,
                seq,
                accepted = tally.accepted,
                rejected = tally.rejected,
                "committed"
            );
        }
        Event::Fetched { lane, objects } => trace!(job, lane, objects, "fetched"),
        Event::Intended { lane, seq } => trace!(job, lane, seq, "intended"),
        Event::Applied { lane, seq } => trace!(job, lane, seq, "applied"),
        _ => {}
    }
}

impl Listener for Log {
    fn end(&self, ending: &Ending<'_>) -> Result<()> {
        self.within(|| {
            if let Some(error) = ending.error {
                let (kept, hint) = (error.kept().unwrap_or(""), error.hint().unwrap_or(""));
                error!(
                    kept,
                    hint,
                    causes = causes(error).join("; "),
                    "error: {error}"
                );
            }
            info!(
                exit_code = ending.code.0,
                archives = ending.archives.join(", "),
                "ended: {}",
                ending.code.meaning()
            );
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::super::output::testing::Hands;
    use super::super::testing::*;
    use super::*;
    use crate::error::{Error, Kind};

    fn run(format: LogFormat, verbosity: u8) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        for _ in 0..2 {
            let log = Log::open(&path, format, verbosity, Hands::default().clock()).unwrap();
            start(&log, Some(100), 0);
            retry(&log);
            commit(&log, 100);
            log.end(&Ending::of(
                &Error::new(Kind::Failed, "broke").with_hint("mend it"),
            ))
            .unwrap();
        }
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn text_lines_have_time_level_and_fields_and_runs_are_appended() {
        let text = run(LogFormat::Text, 0);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 8, "{text}");
        assert_eq!(
            lines[1],
            "2026-02-01T10:30:00.000Z  WARN retry: cannot reach Weaviate: connection refused job=\"7f3c9a1b\" \
             doing=\"read a page\" tries=2 delay_ms=2000 causes=\"\""
        );
        assert!(
            lines[2].contains("ERROR error: broke kept=\"\" hint=\"mend it\""),
            "{text}"
        );
    }

    #[test]
    fn json_lines_parse_and_more_detail_brings_the_batches() {
        let text = run(LogFormat::Json, 1);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[2]["message"], "committed");
        assert_eq!(
            (&lines[2]["level"], &lines[2]["accepted"]),
            (&"DEBUG".into(), &100.into())
        );
        assert_eq!(lines[2]["timestamp"], "2026-02-01T10:30:00.000Z");
    }

    #[test]
    fn traces_of_other_crates_are_not_taken() {
        let captured = super::super::super::output::testing::Captured::default();
        let log = Log::new(
            captured.clone(),
            LogFormat::Text,
            2,
            Hands::default().clock(),
        );
        log.within(|| {
            tracing::warn!(target: "hyper", authorization = "Bearer secret", "request");
            tracing::warn!(target: "elysiactl::weaviate", "ours");
        });
        assert!(captured.text().contains("ours") && !captured.text().contains("secret"));
    }

    #[test]
    fn a_log_that_cannot_be_opened_says_so() {
        let path = Path::new("/nonexistent/run.log");
        let error = Log::open(path, LogFormat::Text, 0, Clock::system())
            .map(|_| ())
            .unwrap_err();
        assert_eq!(
            error.message(),
            "cannot open the log file `/nonexistent/run.log`: no such file or directory"
        );
    }
}
