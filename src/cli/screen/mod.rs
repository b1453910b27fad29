//! One run's listeners, put together from the flags: who hears the events, and who has the last word.

mod streams;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use indicatif::ProgressDrawTarget;
use serde_json::Value;

use crate::cli::exit::ExitCode;
use crate::cli::output::{Clock, Out};
use crate::cli::progress::{Ending, JsonLines, Lines, Listener, Log, Quiet, Terminal};
use crate::cli::render::{print_archive, render_error, render_plan};
use crate::error::{Error, Result};
use crate::event::{Event, Plan, Reporter};
pub use streams::{Settings, Streams};

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
