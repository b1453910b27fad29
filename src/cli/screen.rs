//! One run's listeners, put together from the flags: who hears the events, and who has the last word.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressDrawTarget;
use serde_json::Value;

use super::exit::ExitCode;
use super::output::{Clock, ColorChoice, Out, Paint};
use super::progress::{Ending, JsonLines, Lines, Listener, Log, LogFormat, Quiet, Terminal};
use super::render::{print_archive, render_error, render_plan};
use crate::error::{Error, Result};
use crate::event::{Event, Plan, Reporter};

/// What the flags say about output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `--json`: JSON lines on stdout.
    pub json: bool,
    /// `--quiet`: nothing on stderr or stdout if the run ends with 0 (JSON lines excepted).
    pub quiet: bool,
    /// The number of `-v`.
    pub verbosity: u8,
    /// `--color`.
    pub color: ColorChoice,
    /// `--log-file`.
    pub log_file: Option<PathBuf>,
    /// `--log-format`.
    pub log_format: LogFormat,
    /// `--dry-run`: the plan is the data of this run.
    pub prints_plan: bool,
}

/// Where a run writes.
pub struct Streams {
    /// Data.
    pub stdout: Out,
    /// Human text.
    pub stderr: Out,
    /// Where to draw, if stderr is a terminal that can.
    pub terminal: Option<ProgressDrawTarget>,
    /// The time.
    pub clock: Clock,
}

impl Streams {
    /// The process's own streams, coloured as `color`, `NO_COLOR` and the terminals say.
    pub fn of_process(color: ColorChoice) -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let paint = |is_terminal| Paint::decide(color, is_set("NO_COLOR"), is_terminal && !is_dumb);
        let draws = std::io::stderr().is_terminal() && !is_dumb;
        Streams {
            stdout: Out::stdout(paint(std::io::stdout().is_terminal())),
            stderr: Out::stderr(paint(std::io::stderr().is_terminal())),
            terminal: draws.then(ProgressDrawTarget::stderr),
            clock: Clock::system(),
        }
    }
}

/// Everything that listens to a run.
pub struct Screen {
    people: Box<dyn Listener>,
    log: Option<Log>,
    machine: Option<JsonLines>,
    stdout: Out,
    stderr: Out,
    settings: Settings,
    job: Mutex<Option<String>>,
    origin: Mutex<Option<String>>,
}

impl Screen {
    /// Opens the log, if one is asked for, and chooses the listeners.
    pub fn open(settings: Settings, streams: Streams) -> Result<Screen> {
        let Streams {
            stdout,
            stderr,
            terminal,
            clock,
        } = streams;
        let log = match &settings.log_file {
            Some(path) => Some(Log::open(
                path,
                settings.log_format,
                settings.verbosity,
                clock.clone(),
            )?),
            None => None,
        };
        let machine = settings
            .json
            .then(|| JsonLines::new(stdout.clone(), clock.clone()));
        let people = people(&settings, &stderr, terminal, clock);
        Ok(Screen {
            people,
            log,
            machine,
            stdout,
            stderr,
            settings,
            job: Mutex::default(),
            origin: Mutex::default(),
        })
    }

    /// Says where the address of the server came from. Plans show it.
    pub fn name_origin(&self, origin: &str) {
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin.to_owned());
    }

    /// The plan with the origin of its address.
    pub fn with_origin(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        let server = plan.fields.iter().position(|(name, _)| name == "server");
        let origin = self.origin.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(at), Some(origin)) = (server, &*origin) {
            let line = ("address from".to_owned(), origin.clone());
            plan.fields.insert(at + 1, line);
        }
        plan
    }

    /// The job that was last begun or gone on with, and is not finished.
    pub fn job(&self) -> Option<String> {
        self.job
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note_job(&self, event: &Event<'_>) {
        let job = match event {
            Event::Started { job, .. } => Some(job.to_string()),
            Event::Finished { .. } => None,
            _ => return,
        };
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = job;
    }

    /// The log, to be installed for the other rooms' traces.
    pub fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// Where data goes, such as the rows of a listing.
    pub fn stdout(&self) -> &Out {
        &self.stdout
    }

    /// Data: `text` for people, or with `--json` one row of these members.
    pub fn data(&self, text: impl FnOnce() -> String, members: Value) -> Result<()> {
        self.data_of("row", text, members)
    }

    /// As [`Screen::data`], with `--json` as a line of that type.
    pub fn data_of(&self, kind: &str, text: impl FnOnce() -> String, members: Value) -> Result<()> {
        match (&self.machine, members) {
            (Some(machine), Value::Object(members)) => machine.data(kind, members),
            (Some(machine), value) => machine.data(
                kind,
                serde_json::Map::from_iter([("value".to_owned(), value)]),
            ),
            (None, _) => self.stdout.data(&text()),
        }
    }

    /// Where human text goes, such as a question.
    pub fn stderr(&self) -> &Out {
        &self.stderr
    }

    /// The last words: what people need to know, the log, then the summary or the archives' paths on stdout.
    /// The exit code of the process is the run's, unless a run that is done could not say so.
    pub fn end(&self, ending: &Ending<'_>) -> ExitCode {
        // Neither can fail: both are best effort.
        let _ = self.people.end(ending);
        let _ = self.log.as_ref().map(|log| log.end(ending));
        match self.deliver(ending) {
            Ok(()) => ending.code,
            Err(error) => {
                self.stderr.line(&render_error(&error, self.stderr.paint()));
                if ending.code == ExitCode::DONE {
                    ExitCode::FAILED
                } else {
                    ending.code
                }
            }
        }
    }

    fn deliver(&self, ending: &Ending<'_>) -> Result<()> {
        if let Some(machine) = &self.machine {
            return machine.end(ending);
        }
        let is_silent = self.settings.quiet && ending.code == ExitCode::DONE;
        let archives = if is_silent { &[] } else { ending.archives };
        archives
            .iter()
            .try_for_each(|archive| print_archive(&self.stdout, archive))
    }
}

fn people(
    settings: &Settings,
    stderr: &Out,
    terminal: Option<ProgressDrawTarget>,
    clock: Clock,
) -> Box<dyn Listener> {
    let verbosity = settings.verbosity;
    match terminal {
        _ if settings.quiet => Box::new(Quiet::new(stderr.clone(), clock)),
        Some(target) if !settings.json => Box::new(Terminal::new(
            target,
            stderr.clone(),
            clock,
            verbosity,
            true,
        )),
        _ => Box::new(Lines::new(stderr.clone(), clock, verbosity, !settings.json)),
    }
}

impl Reporter for Screen {
    fn event(&self, event: &Event<'_>) {
        self.note_job(event);
        match event {
            Event::Planned(plan) => self.tell_plan(&self.with_origin(plan)),
            event => self.tell(event),
        }
    }
}

impl Screen {
    fn tell_plan(&self, plan: &Plan) {
        if !self.settings.prints_plan {
            return self.tell(&Event::Planned(plan));
        }
        // The plan is the data of a dry run, and told once.
        if self.machine.is_none() {
            self.stdout.line(&render_plan(plan, self.stdout.paint()));
        }
        self.tell_machines(&Event::Planned(plan));
    }

    fn tell(&self, event: &Event<'_>) {
        self.people.event(event);
        self.tell_machines(event);
    }

    fn tell_machines(&self, event: &Event<'_>) {
        if let Some(log) = &self.log {
            log.event(event);
        }
        if let Some(machine) = &self.machine {
            machine.event(event);
        }
    }
}

/// Ends a run that failed before its screen could be opened, in the manner that `settings` ask for.
pub fn end_early(settings: Settings, streams: Streams, error: &Error) -> ExitCode {
    let settings = Settings {
        log_file: None,
        ..settings
    };
    match Screen::open(settings, streams) {
        Ok(screen) => screen.end(&Ending::of(error)),
        Err(_) => ExitCode::from(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::testing::{Captured, Hands, failing};
    use super::*;
    use crate::error::Kind;
    use crate::job::{JobId, JobKind, Summary, Tally};

    struct Run {
        stdout: Captured,
        stderr: Captured,
        screen: Screen,
    }

    fn run(settings: Settings) -> Run {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let streams = Streams {
            stdout: stdout.out(),
            stderr: stderr.out(),
            terminal: None,
            clock: Hands::default().clock(),
        };
        Run {
            screen: Screen::open(settings, streams).unwrap(),
            stdout,
            stderr,
        }
    }

    fn backup(run: &Run, exit_code: u8) -> ExitCode {
        let job = JobId::parse("7f3c9a1b").unwrap();
        let summary = Summary {
            exit_code,
            tally: Tally::default(),
            notes: vec![],
        };
        run.screen.event(&Event::Planned(&Plan::new("back up `A`")));
        run.screen.event(&Event::Started {
            job: &job,
            kind: JobKind::Backup,
            subject: "A",
            total: None,
            kept: Tally::default(),
            is_resumed: false,
        });
        run.screen.event(&Event::Warning("careful"));
        run.screen.event(&Event::Finished {
            job: &job,
            summary: &summary,
        });
        run.screen.end(&Ending::with_code(
            ExitCode(exit_code),
            &["./backups/A.json".to_owned()],
        ))
    }

    #[test]
    fn the_path_is_alone_on_stdout_and_words_are_on_stderr() {
        let run = run(Settings::default());
        assert_eq!(backup(&run, 0), ExitCode::DONE);
        assert_eq!(run.stdout.text(), "./backups/A.json\n");
        assert_eq!(
            run.stderr.text(),
            "started: backup of `A`\nwarning: careful\ndone: backup of `A`: 0 objects, 0ms\n"
        );
    }

    #[test]
    fn with_json_stdout_is_json_and_ends_with_the_summary() {
        let run = run(Settings {
            json: true,
            ..Settings::default()
        });
        backup(&run, 0);
        let stdout = run.stdout.text();
        assert!(
            stdout
                .lines()
                .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
        );
        let last = stdout.lines().last().unwrap();
        assert!(
            last.contains(r#""type":"summary""#)
                && last.contains(r#""archives":["./backups/A.json"]"#)
        );
        assert_eq!(
            run.stderr.text(),
            "warning: careful\ndone: backup of `A`: 0 objects, 0ms\n"
        );
    }

    #[test]
    fn quiet_is_silent_only_if_the_run_ends_with_0() {
        let quiet = || {
            run(Settings {
                quiet: true,
                ..Settings::default()
            })
        };
        let good = quiet();
        backup(&good, 0);
        assert_eq!(
            (good.stdout.text(), good.stderr.text()),
            (String::new(), String::new())
        );
        let bad = quiet();
        backup(&bad, 3);
        assert_eq!(bad.stdout.text(), "./backups/A.json\n");
        assert!(
            bad.stderr
                .text()
                .starts_with("warning: careful\ndone, but not complete:")
        );
    }

    #[test]
    fn a_dry_run_prints_its_plan_as_data() {
        for quiet in [false, true] {
            let run = run(Settings {
                prints_plan: true,
                quiet,
                verbosity: 1,
                ..Settings::default()
            });
            run.screen.event(&Event::Planned(&Plan::new("back up `A`")));
            run.screen.end(&Ending::with_code(ExitCode::DONE, &[]));
            assert_eq!(
                (run.stdout.text().as_str(), run.stderr.text().as_str()),
                ("back up `A`\n", "")
            );
        }
    }

    #[test]
    fn a_failure_before_anything_began_is_told_in_the_same_manner() {
        let streams = |stdout: &Captured, stderr: &Captured| Streams {
            stdout: stdout.out(),
            stderr: stderr.out(),
            terminal: None,
            clock: Hands::default().clock(),
        };
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let settings = Settings {
            json: true,
            log_file: Some("/nonexistent/x".into()),
            ..Settings::default()
        };
        let error = Error::new(Kind::Usage, "no");
        assert_eq!(
            end_early(settings, streams(&stdout, &stderr), &error),
            ExitCode::USAGE
        );
        assert!(
            stdout
                .text()
                .lines()
                .last()
                .unwrap()
                .contains(r#""exit_code":2"#)
        );
        assert_eq!(stderr.text(), "error: no\n");
    }

    #[test]
    fn a_path_that_cannot_be_written_is_not_a_success() {
        let stderr = Captured::default();
        let streams = Streams {
            stdout: failing(std::io::ErrorKind::StorageFull),
            stderr: stderr.out(),
            terminal: None,
            clock: Hands::default().clock(),
        };
        let screen = Screen::open(Settings::default(), streams).unwrap();
        let archives = ["x".to_owned()];
        assert_eq!(
            screen.end(&Ending::with_code(ExitCode::DONE, &archives)),
            ExitCode::FAILED
        );
        assert_eq!(
            stderr.text(),
            "error: cannot write to standard output: no storage space\n  \
             hint: make room on the file system, then resume\n"
        );
    }
}
