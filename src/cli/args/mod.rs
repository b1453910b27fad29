//! Flags: what can be typed, as plain structs. Nothing here knows what a command does.
//!
//! [`parse`] reads the words, then lets the environment fill in what was not typed (`ELYSIACTL_<FLAG>`), takes
//! lists apart, and refuses by name what this version does not serve. Whatever is wrong is a usage error.

pub mod backup;
pub mod collections;
pub mod diff;
mod environment;
pub mod globals;
pub mod job;
pub mod pages;
pub mod restore;
pub mod tools;
mod unserved;
pub mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use environment::Environment;

use super::exit::ExitCode;
use crate::error::{Error, Kind};

use collections::ColCommand;
use globals::{ConnectionArgs, OutputArgs};
use tools::{CompletionsArgs, ConfigCommand, DemoArgs, JobsCommand, ManArgs, SandboxArgs};

/// Backup, restore, clear and verify collections of a Weaviate vector database
///
/// Every job can be killed at any instant and goes on from its last checkpoint. A partial result is never called a
/// success: 0 is done, 3 is done but incomplete, 4 and 5 can be resumed with the same command and --resume.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "elysiactl",
    bin_name = "elysiactl",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Each flag may also be set in the environment as ELYSIACTL_<FLAG>, such as ELYSIACTL_WORKERS=4.\n\n\
                  Example:\n  elysiactl col backup Article -o ./backups --resume"
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// How the server is reached.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// How the story is told.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Work on collections
    #[command(subcommand, after_help = "Example:\n  elysiactl col ls")]
    Col(ColCommand),
    /// Work on jobs: unfinished ones and what the others left
    #[command(subcommand, after_help = "Example:\n  elysiactl jobs ls")]
    Jobs(JobsCommand),
    /// Is the server there, which version is it, are its nodes well?
    #[command(after_help = "Example:\n  elysiactl health --url http://localhost:8080")]
    Health,
    /// Look at the settings
    #[command(subcommand, after_help = "Example:\n  elysiactl config show")]
    Config(ConfigCommand),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  elysiactl completions bash > /etc/bash_completion.d/elysiactl"
    )]
    Completions(CompletionsArgs),
    /// Print a manual page
    #[command(after_help = "Example:\n  elysiactl man col backup | man -l -")]
    Man(ManArgs),
    /// Serve a small Weaviate-compatible server, data in memory
    #[command(after_help = "Example:\n  elysiactl sandbox --port 0 --objects 1000")]
    Sandbox(SandboxArgs),
    /// Watch a backup be killed, resumed, restored and verified, without any server
    #[command(after_help = "Example:\n  elysiactl demo")]
    Demo(DemoArgs),
}

/// A command line that was understood.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What was typed.
    pub cli: Cli,
    /// By the name of a flag (`api-key-file`): the variable that it was taken from. Flags that were typed are not in it.
    pub variables: BTreeMap<String, String>,
}

impl Invocation {
    /// True if the run prints its plan and touches nothing.
    pub fn is_dry_run(&self) -> bool {
        matches!(&self.cli.command, Command::Col(command) if command.is_dry_run())
    }
}

/// Why there is nothing to run.
#[derive(Debug)]
pub enum Refusal {
    /// Help or the version was asked for (0: to stdout), or the command is missing (2: to stderr).
    Text {
        /// What to print, line ends included.
        text: String,
        /// The exit code.
        code: ExitCode,
    },
    /// The command line is wrong.
    Usage(Error),
}

/// The whole command, flags that this version does not serve hidden.
pub fn command() -> clap::Command {
    unserved::hide(Cli::command())
}

/// Reads the words (the program's name first), filling in from the environment.
pub fn parse(
    words: impl IntoIterator<Item = OsString>,
    environment: &Environment,
) -> Result<Invocation, Refusal> {
    let words: Vec<OsString> = words.into_iter().collect();
    let layered = environment::parse(&command(), words, environment)?;
    unserved::refuse(&layered.matches).map_err(Refusal::Usage)?;
    let mut cli = Cli::from_arg_matches(&layered.matches).map_err(|error| refusal(&error))?;
    if let Command::Col(command) = &mut cli.command {
        command.expand().map_err(Refusal::Usage)?;
    }
    Ok(Invocation {
        cli,
        variables: layered.variables,
    })
}

/// True if the words ask for JSON lines, for the end of a run whose words could not be understood.
pub fn wants_json(words: &[OsString], environment: &Environment) -> bool {
    let is_typed = words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json");
    is_typed
        || environment
            .get("ELYSIACTL_JSON")
            .is_some_and(environment::is_true)
}

/// clap's words, in our order: message, then hint.
fn refusal(error: &clap::Error) -> Refusal {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal::Text {
            text: error.to_string(),
            code: ExitCode::DONE,
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Refusal::Text {
            text: error.to_string(),
            code: ExitCode::USAGE,
        },
        _ => Refusal::Usage(usage(error)),
    }
}

fn usage(error: &clap::Error) -> Error {
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n");
    let first = paragraphs
        .next()
        .unwrap_or(&text)
        .trim()
        .trim_start_matches("error: ");
    let first: Vec<&str> = first.lines().map(str::trim).collect();
    let (message, hint) = match first.join(" ").split_once(values::HINT) {
        Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
        None => (first.join(" "), tip(&text)),
    };
    let hint = hint
        .unwrap_or_else(|| format!("`{} --help` shows what can be typed", asked_command(error)));
    Error::new(Kind::Usage, message.replace('\'', "`")).with_hint(hint.replace('\'', "`"))
}

fn tip(text: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix("tip: "))
        .map(str::to_owned)
}

// "Usage: elysiactl col backup [OPTIONS] <NAME>..." names the command.
fn asked_command(error: &clap::Error) -> String {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else {
        return "elysiactl".to_owned();
    };
    let usage = usage.to_string();
    let words = usage.split_whitespace().skip(1);
    let command: Vec<&str> = words
        .take_while(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))
        .collect();
    if command.is_empty() {
        "elysiactl".to_owned()
    } else {
        command.join(" ")
    }
}

#[cfg(test)]
mod tests;
