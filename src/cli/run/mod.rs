//! From words to an exit code: parses, opens the screen, runs the command, ends.
//!
//! Each command's flags are turned into a request once, here; nothing below sees a flag. Signals are heard here:
//! the first asks the run to stop, the second leaves at once.

mod collections;
mod connect;
mod diff;
mod jobs;
mod restore;
mod rows;
mod several;
mod tools;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::args::job::{ResumeArgs, TuningArgs};
use super::args::{self, Command, Environment, Invocation, Refusal};
use super::config::Purpose;
use super::confirm::{Confirmer, Input, Policy as Answers};
use super::exit::ExitCode;
use super::output::ColorChoice;
use super::progress::Ending;
use super::screen::{Screen, Settings, Streams, end_early};
use crate::commands::{Outcome, Session, Unfinished};
use crate::engine::{self, Stop};
use crate::error::{Error, IoContext, Kind, Result};
use crate::event::{Event, Plan, Reporter};
use crate::job::Tuning;
use crate::journal::StateDir;
use crate::retry::Policy;
use connect::Connected;

/// What a command brings to the end of a run.
#[derive(Debug, Default)]
pub(super) struct Done {
    code: ExitCode,
    archives: Vec<String>,
    error: Option<Error>,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        let archives = outcome
            .archive
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        Done {
            code: ExitCode(outcome.exit_code),
            archives,
            error: None,
        }
    }
}

impl From<Error> for Done {
    fn from(error: Error) -> Self {
        Done {
            code: (&error).into(),
            archives: Vec::new(),
            error: Some(error),
        }
    }
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let environment = Environment::of_process();
    match args::parse(words.clone(), &environment) {
        Ok(invocation) => run_invocation(invocation, environment),
        Err(Refusal::Text { text, code }) => print_text(&text, code),
        Err(Refusal::Usage(error)) => {
            let settings = Settings {
                json: args::wants_json(&words, &environment),
                ..Settings::default()
            };
            end_early(settings, Streams::of_process(ColorChoice::Auto), &error)
        }
    }
}

fn print_text(text: &str, code: ExitCode) -> ExitCode {
    let streams = Streams::of_process(ColorChoice::Auto);
    let out = if code == ExitCode::DONE {
        streams.stdout
    } else {
        streams.stderr
    };
    // A reader that went away has seen enough.
    let _ = out.data(text.trim_end());
    code
}

fn run_invocation(invocation: Invocation, environment: Environment) -> ExitCode {
    let settings = invocation.cli.output.settings(invocation.is_dry_run());
    let color = settings.color;
    let screen = match Screen::open(settings.clone(), Streams::of_process(color)) {
        Ok(screen) => Arc::new(screen),
        Err(error) => return end_early(settings, Streams::of_process(color), &error),
    };
    let runtime = match engine::threads() {
        Ok(runtime) => runtime,
        Err(error) => return screen.end(&Ending::of(&error)),
    };
    let run = Run {
        invocation,
        environment,
        screen: screen.clone(),
        gave_up: Arc::default(),
    };
    let done = runtime
        .block_on(run.command_or_signal())
        .unwrap_or_else(Done::from);
    // What still runs is given up: everything that counts is durable.
    runtime.shutdown_timeout(Duration::from_millis(200));
    screen.end(&Ending {
        code: done.code,
        error: done.error.as_ref(),
        archives: &done.archives,
    })
}

/// One run of the program.
pub(super) struct Run {
    invocation: Invocation,
    environment: Environment,
    screen: Arc<Screen>,
    /// Told when a signal came and its grace is over.
    gave_up: Arc<Notify>,
}

/// Ten refreshes of a lease.
const SILENCE: Duration = Duration::from_mins(5);

/// The engine keeps the grace itself; what is not the engine's is given up this much later.
const AFTER_GRACE: Duration = Duration::from_secs(1);

impl Run {
    /// What a signal leaves in flight for too long is dropped: it looks like a crash, which every job survives.
    async fn command_or_signal(&self) -> Result<Done> {
        tokio::select! {
            done = self.command() => done,
            () = self.gave_up.notified() => Err(self.given_up()),
        }
    }

    fn given_up(&self) -> Error {
        let error = Error::new(
            Kind::Interrupted,
            "stopped before the end: what was in flight did not come to its end in time",
        );
        match self.screen.job() {
            Some(job) => error.with_hint(format!("`elysiactl jobs resume {job}` goes on")),
            None => error
                .with_kept("no job was begun")
                .with_hint("run the same command again"),
        }
    }

    async fn command(&self) -> Result<Done> {
        match &self.invocation.cli.command {
            Command::Col(command) => collections::run(self, command).await,
            Command::Jobs(command) => jobs::run(self, command).await,
            Command::Health => tools::health(self).await,
            Command::Config(_) => tools::show_config(self),
            Command::Completions(args) => tools::completions(self, args),
            Command::Man(args) => tools::manual(self, args),
            Command::Sandbox(args) => tools::sandbox(self, args).await,
            Command::Demo(args) => tools::demo(self, args).await,
        }
    }

    fn connect(&self, purpose: Purpose) -> Result<Connected> {
        let connected = connect::connect(&self.invocation, &self.environment, purpose)?;
        self.screen.name_origin(&connected.origin);
        for warning in &connected.warnings {
            self.screen.event(&Event::Warning(warning));
        }
        Ok(connected)
    }

    fn state_dir(&self) -> Result<PathBuf> {
        connect::state_dir(&self.invocation, &self.environment)
    }

    /// A dry run touches nothing, this machine included.
    fn state(&self) -> Result<StateDir> {
        let path = self.state_dir()?;
        match self.is_dry_run() {
            true => Ok(StateDir::look(&path)),
            false => StateDir::open(&path),
        }
    }

    fn is_dry_run(&self) -> bool {
        self.invocation.is_dry_run()
    }

    /// A session whose signals are heard.
    fn session(&self, tuning: &TuningArgs, resume: &ResumeArgs) -> Result<Session> {
        let stop = Stop::new(tuning.grace);
        self.hear_signals(&stop)?;
        Ok(Session {
            state: self.state()?,
            store: connect::journal_store(&self.environment)?,
            unfinished: unfinished(resume),
            resume_within: Duration::from_secs(24 * 3600),
            silence: SILENCE,
            is_dry_run: self.is_dry_run(),
            reporter: self.screen.clone(),
            policy: Policy {
                patience: tuning.patience(),
                ..Policy::default()
            },
            stop,
            tuning: tuning.tuning(),
        })
    }

    /// A session for commands that only look: a signal ends them as they are.
    fn looking_session(&self) -> Result<Session> {
        self.plain_session(StateDir::look(&self.state_dir()?), Duration::ZERO)
    }

    /// A session for commands that change something without a job of their own to resume.
    fn changing_session(&self) -> Result<Session> {
        self.plain_session(self.state()?, Duration::from_secs(20))
    }

    fn plain_session(&self, state: StateDir, grace: Duration) -> Result<Session> {
        let stop = Stop::new(grace);
        self.hear_signals(&stop)?;
        Ok(Session {
            state,
            store: connect::journal_store(&self.environment)?,
            unfinished: Unfinished::Refuse,
            resume_within: Duration::from_secs(24 * 3600),
            silence: SILENCE,
            is_dry_run: self.is_dry_run(),
            reporter: self.screen.clone(),
            policy: Policy {
                patience: Some(Duration::from_secs(20)),
                ..Policy::default()
            },
            stop,
            tuning: Tuning::default(),
        })
    }

    /// Asks before something is destroyed. A signal is heard meanwhile, and means no.
    async fn confirm(
        &self,
        session: &Session,
        plan: &Plan,
        name: &str,
        force: bool,
        protect: &[String],
    ) -> Result<()> {
        let confirmer = self.confirmer(force, protect.to_vec());
        let (plan, name) = (plan.clone(), name.to_owned());
        ask(session, move || confirmer.destroy(&plan, &name)).await
    }

    /// Asks before something costs money; `flag` answers in advance.
    async fn agree(
        &self,
        session: &Session,
        plan: &Plan,
        question: &str,
        flag: &'static str,
    ) -> Result<()> {
        let confirmer = self.confirmer(false, Vec::new());
        let (plan, question) = (plan.clone(), question.to_owned());
        ask(session, move || confirmer.agree(&plan, &question, flag)).await
    }

    fn confirmer(&self, force: bool, protect: Vec<String>) -> Confirmer {
        let answers = Answers {
            force,
            no_input: self.invocation.cli.output.no_input,
            protect,
        };
        Confirmer::new(answers, Input::stdin(), self.screen.stderr().clone())
    }

    fn hear_signals(&self, stop: &Stop) -> Result<()> {
        for (kind, second) in [
            (SignalKind::interrupt(), ExitCode::SECOND_INTERRUPT),
            (SignalKind::terminate(), ExitCode::SECOND_TERMINATE),
        ] {
            let mut signals = signal(kind).doing(|| "cannot listen for signals".to_owned())?;
            let (stop, screen, gave_up) = (stop.clone(), self.screen.clone(), self.gave_up.clone());
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if stop.is_asked() {
                        std::process::exit(i32::from(second.0));
                    }
                    screen.event(&Event::Stopping);
                    stop.ask();
                    let (grace, gave_up) = (stop.grace() + AFTER_GRACE, gave_up.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(grace).await;
                        gave_up.notify_one();
                    });
                }
            });
        }
        Ok(())
    }
}

async fn ask(
    session: &Session,
    question: impl FnOnce() -> Result<()> + Send + 'static,
) -> Result<()> {
    let asked = tokio::task::spawn_blocking(question);
    tokio::select! {
        answer = asked => answer.map_err(|cause| {
            Error::new(Kind::Failed, "the question could not be asked").with_cause(cause)
        })?,
        () = session.stop.asked() => {
            Err(Error::new(Kind::Declined, "not confirmed: stopped at the question")
                .with_kept("nothing was touched"))
        }
    }
}

fn unfinished(resume: &ResumeArgs) -> Unfinished {
    match (resume.resume, resume.restart) {
        (true, _) => Unfinished::Resume,
        (false, true) => Unfinished::Restart,
        (false, false) => Unfinished::Refuse,
    }
}
