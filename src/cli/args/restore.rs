//! `col restore` and `col verify`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::job::{ResumeArgs, TuningArgs};
use super::values;
use crate::error::{Error, Kind, Result};
use crate::job::ConflictPolicy;

/// What to do with an object that exists and differs.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Replace it
    #[default]
    Overwrite,
    /// Leave it
    Skip,
    /// Replace it if the archived one is newer
    Newer,
    /// Stop before the first write
    Fail,
}

impl From<OnConflict> for ConflictPolicy {
    fn from(choice: OnConflict) -> Self {
        match choice {
            OnConflict::Overwrite => ConflictPolicy::Overwrite,
            OnConflict::Skip => ConflictPolicy::Skip,
            OnConflict::Newer => ConflictPolicy::Newer,
            OnConflict::Fail => ConflictPolicy::Fail,
        }
    }
}

/// Restore collections from archives, as one job
///
/// All definitions come first, then all objects, then all references. What the server refuses is written to
/// rejects.jsonl, and the exit code is 3.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  \
    elysiactl col restore ./backups/Article_full_20260201_103000.json.gz --name ArticleCopy --resume")]
pub struct RestoreArgs {
    /// Archives: paths, a glob, @FILE, or ids of the catalogue
    #[arg(value_name = "FILE", required_unless_present = "from")]
    pub files: Vec<String>,
    /// The new collection's name; with several archives OLD=NEW, repeated
    #[arg(long = "name", value_name = "NEW")]
    pub names: Vec<String>,
    /// Restore every collection under its name with this at the end
    #[arg(long, value_name = "S", conflicts_with = "names")]
    pub name_suffix: Option<String>,
    /// Restore the definition alone
    #[arg(long)]
    pub skip_data: bool,
    /// Restore into a collection that exists
    #[arg(long)]
    pub merge: bool,
    /// Print the plan and touch nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What to do with an object that exists and differs
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = OnConflict::Overwrite)]
    pub on_conflict: OnConflict,
    /// Skip the question, never the protection
    #[arg(long)]
    pub force: bool,
    /// Go on though the collection's definition differs from the archived one
    #[arg(long)]
    pub force_schema: bool,
    /// Create the collection from this definition instead of the archived one
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    pub schema: Option<PathBuf>,
    /// Change the definition by this JSON merge patch (RFC 7396)
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    pub schema_patch: Option<PathBuf>,
    /// Replicas of the new collection [default: as archived]
    #[arg(long, value_name = "N", conflicts_with = "merge", value_parser = values::at_least_one)]
    pub replication_factor: Option<NonZeroU32>,
    /// Shards of the new collection [default: as archived]
    #[arg(long, value_name = "N", conflicts_with = "merge", value_parser = values::at_least_one)]
    pub shards: Option<NonZeroU32>,
    /// Only these tenants: a comma list, a glob, or @FILE
    #[arg(long = "tenant", value_name = "TENANT")]
    pub tenants: Vec<String>,
    /// Leave the vectors out
    #[arg(long)]
    pub skip_vectors: bool,
    /// Let the server compute vectors that are not restored, though it costs money
    #[arg(long)]
    pub revectorize: bool,
    /// Leave the cross-references out
    #[arg(long)]
    pub skip_references: bool,
    /// Compare the collection with the archive when it is done
    #[arg(long)]
    pub verify: bool,
    /// Take archives from this destination
    #[arg(long, value_name = "DEST", requires = "latest")]
    pub from: Option<String>,
    /// The last complete archive of each collection there
    #[arg(long, requires = "from")]
    pub latest: bool,
    /// Whether to go on with an unfinished job.
    #[command(flatten)]
    pub resume: ResumeArgs,
    /// What may change between runs.
    #[command(flatten)]
    pub tuning: TuningArgs,
}

impl RestoreArgs {
    /// The new names: `(None, NEW)` for a single archive, `(Some(OLD), NEW)` for each of several.
    pub fn renames(&self) -> Vec<(Option<String>, String)> {
        let pair = |name: &String| match name.split_once('=') {
            Some((old, new)) => (Some(old.trim().to_owned()), new.trim().to_owned()),
            None => (None, name.clone()),
        };
        self.names.iter().map(pair).collect()
    }

    pub(super) fn expand(&mut self) -> Result<()> {
        self.files = values::expand_files(&self.files)?;
        self.names = values::expand_list(&self.names)?;
        self.tenants = values::expand_list(&self.tenants)?;
        let is_single = self.files.len() == 1;
        if self.renames().iter().any(|(old, _)| old.is_none())
            && (!is_single || self.names.len() > 1)
        {
            return Err(Error::new(
                Kind::Usage,
                "one new name cannot be given to several collections",
            )
            .with_hint("write --name OLD=NEW for each of them, or --name-suffix <S>"));
        }
        Ok(())
    }
}

/// Check that an archive is whole, or that a collection still equals it
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  elysiactl col verify ./backups/Article_full_20260201_103000.json --live"
)]
pub struct VerifyArgs {
    /// The archive: a path, or an id of the catalogue
    #[arg(value_name = "FILE")]
    pub file: String,
    /// Compare it with the live collection [default: of the archived name]
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    pub live: Option<Option<String>>,
    /// Leave inactive tenants out of the comparison; then nothing is shown to be equal
    #[arg(long, requires = "live")]
    pub skip_inactive: bool,
    /// Go on trying so long without progress; 0 is for ever [default: 15m]
    #[arg(long, value_name = "TIME", value_parser = values::duration, requires = "live")]
    pub retry_for: Option<Duration>,
    /// Write the integrity of an edited document anew
    #[arg(long, conflicts_with = "live")]
    pub reseal: bool,
}
