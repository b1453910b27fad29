//! `col`, and its small commands: `ls`, `show`, `create`, `rm`, `clear`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::backup::BackupArgs;
use super::diff::DiffArgs;
use super::job::{ResumeArgs, TuningArgs};
use super::restore::{RestoreArgs, VerifyArgs};
use super::values;
use crate::error::Result;

/// Commands on collections.
#[derive(Subcommand, Clone, Debug)]
pub enum ColCommand {
    /// List collections with their counts, tenants and vectors
    #[command(after_help = "Example:\n  elysiactl col ls --url http://localhost:8080")]
    Ls(LsArgs),
    /// Show the definition and the settings of a collection
    #[command(after_help = "Example:\n  elysiactl col show Article")]
    Show(ShowArgs),
    /// Create a collection from a schema file or an archive
    #[command(after_help = "Example:\n  elysiactl col create ./schema.json")]
    Create(CreateArgs),
    /// Remove a collection with everything in it, after a question
    #[command(after_help = "Example:\n  elysiactl col rm Article")]
    Rm(RmArgs),
    #[allow(missing_docs)] // The struct's own text is the help.
    Backup(Box<BackupArgs>),
    #[allow(missing_docs)]
    Restore(Box<RestoreArgs>),
    #[allow(missing_docs)]
    Clear(Box<ClearArgs>),
    #[allow(missing_docs)]
    Verify(VerifyArgs),
    #[allow(missing_docs)]
    Diff(Box<DiffArgs>),
}

/// `col ls`.
#[derive(Args, Clone, Debug, Default)]
pub struct LsArgs {
    /// Only these: names, a comma list, a glob, or @FILE
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// `col show`.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// The collection
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `col create`.
#[derive(Args, Clone, Debug)]
pub struct CreateArgs {
    /// A schema file or an archive
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Create it under this name
    #[arg(long, value_name = "NEW")]
    pub name: Option<String>,
    /// Print the plan and touch nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `col rm`.
#[derive(Args, Clone, Debug)]
pub struct RmArgs {
    /// The collection
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Skip the question, never the protection
    #[arg(long)]
    pub force: bool,
    /// Print the plan and touch nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// How a collection is cleared.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClearMethod {
    /// Re-create it where that is exact, else by id
    #[default]
    Auto,
    /// Delete and re-create the collection
    Recreate,
    /// Delete object by object
    ById,
}

/// Delete every object of a collection, after a question
///
/// Afterwards the collection exists, empty, with the same definition; with --delete-schema it is gone.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  elysiactl col clear Article --dry-run")]
pub struct ClearArgs {
    /// The collection
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Skip the question, never the protection
    #[arg(long)]
    pub force: bool,
    /// Keep the definition, tenants and their states (the default)
    #[arg(long, conflicts_with = "delete_schema")]
    pub keep_schema: bool,
    /// Remove the collection itself
    #[arg(long)]
    pub delete_schema: bool,
    /// Print the plan and touch nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How the objects go
    #[arg(long, value_enum, value_name = "METHOD", default_value_t = ClearMethod::Auto)]
    pub method: ClearMethod,
    /// Only these tenants: a comma list, a glob, or @FILE
    #[arg(long = "tenant", value_name = "TENANT")]
    pub tenants: Vec<String>,
    /// Only objects that match this filter
    #[arg(long = "where", value_name = "FILTER")]
    pub filter: Option<String>,
    /// Back the collection up to this destination first
    #[arg(long, value_name = "DEST")]
    pub backup_to: Option<String>,
    /// Whether to go on with an unfinished job.
    #[command(flatten)]
    pub resume: ResumeArgs,
    /// What may change between runs.
    #[command(flatten)]
    pub tuning: TuningArgs,
}

impl ColCommand {
    pub(super) fn expand(&mut self) -> Result<()> {
        match self {
            ColCommand::Backup(args) => args.expand(),
            ColCommand::Restore(args) => args.expand(),
            ColCommand::Clear(args) => {
                args.tenants = values::expand_list(&args.tenants)?;
                Ok(())
            }
            ColCommand::Ls(args) => {
                args.names = values::expand_list(&args.names)?;
                Ok(())
            }
            ColCommand::Show(_)
            | ColCommand::Create(_)
            | ColCommand::Rm(_)
            | ColCommand::Verify(_)
            | ColCommand::Diff(_) => Ok(()),
        }
    }

    /// True if the run prints its plan and touches nothing.
    pub fn is_dry_run(&self) -> bool {
        match self {
            ColCommand::Backup(args) => args.dry_run,
            ColCommand::Restore(args) => args.dry_run,
            ColCommand::Clear(args) => args.dry_run,
            ColCommand::Create(args) => args.dry_run,
            ColCommand::Rm(args) => args.dry_run,
            ColCommand::Ls(_)
            | ColCommand::Show(_)
            | ColCommand::Verify(_)
            | ColCommand::Diff(_) => false,
        }
    }
}
