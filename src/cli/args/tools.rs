//! `jobs`, `health`, `config`, `completions`, `man`, `sandbox`, `demo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::job::TuningArgs;
use super::values;

/// Commands on jobs.
#[derive(Subcommand, Clone, Debug)]
pub enum JobsCommand {
    /// List the jobs
    #[command(after_help = "Example:\n  elysiactl jobs ls")]
    Ls(JobsLsArgs),
    /// Show a job: what was asked, how far it is, why it stopped
    #[command(after_help = "Example:\n  elysiactl jobs show 7f3c9a1b")]
    Show(JobArgs),
    /// Go on with an unfinished job
    #[command(after_help = "Example:\n  elysiactl jobs resume 7f3c9a1b --workers 4")]
    Resume(JobsResumeArgs),
    /// Give an unfinished job up: undo what must be undone, remove its files
    #[command(after_help = "Example:\n  elysiactl jobs cancel 7f3c9a1b")]
    Cancel(JobsCancelArgs),
    /// Remove the reports of jobs that are done; unfinished ones are never touched
    #[command(after_help = "Example:\n  elysiactl jobs prune --older-than 30d --dry-run")]
    Prune(JobsPruneArgs),
}

/// `jobs ls`.
#[derive(Args, Clone, Debug, Default)]
pub struct JobsLsArgs {
    /// Only unfinished jobs
    #[arg(long)]
    pub unfinished: bool,
}

/// A job.
#[derive(Args, Clone, Debug)]
pub struct JobArgs {
    /// The id, as `jobs ls` shows it
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `jobs resume`.
#[derive(Args, Clone, Debug)]
pub struct JobsResumeArgs {
    /// The id, as `jobs ls` shows it
    #[arg(value_name = "ID")]
    pub id: String,
    /// What may change between runs.
    #[command(flatten)]
    pub tuning: TuningArgs,
}

/// `jobs cancel`.
#[derive(Args, Clone, Debug)]
pub struct JobsCancelArgs {
    /// The id, as `jobs ls` shows it
    #[arg(value_name = "ID")]
    pub id: String,
    /// Also remove the collection that a restore created
    #[arg(long)]
    pub remove_target: bool,
    /// Skip the question
    #[arg(long)]
    pub force: bool,
}

/// `jobs prune`.
#[derive(Args, Clone, Debug)]
pub struct JobsPruneArgs {
    /// Only jobs that ended longer ago than this
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = values::duration)]
    pub older_than: Duration,
    /// Print what would be removed
    #[arg(long)]
    pub dry_run: bool,
}

/// Commands on settings.
#[derive(Subcommand, Clone, Debug)]
pub enum ConfigCommand {
    /// Show each setting with its value and where it came from; secrets are never shown
    #[command(after_help = "Example:\n  elysiactl config show --profile prod")]
    Show,
}

/// `completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `man`.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// The command, such as `col backup` [default: the program]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub output_dir: Option<PathBuf>,
}

/// `sandbox`.
#[derive(Args, Clone, Debug)]
pub struct SandboxArgs {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// The port of gRPC [default: 50051, and a free one with --port 0]
    #[arg(long, value_name = "PORT")]
    pub grpc_port: Option<u16>,
    /// Begin with a collection `Article` of so many objects
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub objects: usize,
    /// Dimensions of their vectors
    #[arg(long, value_name = "D", default_value_t = 128)]
    pub dims: usize,
}

/// `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Objects in the sample collection
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub objects: usize,
    /// Keep the archive and the reports in this folder [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}
