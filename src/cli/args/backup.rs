//! `col backup`.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::job::{ResumeArgs, TuningArgs};
use super::values;
use crate::error::{Error, Kind, Result};

/// How an archive is laid out.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON document
    #[default]
    Json,
    /// A folder of JSON lines
    Jsonl,
    /// A folder of Parquet files
    Parquet,
}

/// How an archive is compressed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip members
    Gzip,
    /// zstd frames
    Zstd,
    /// lz4 frames
    Lz4,
    /// Not at all
    None,
}

/// Back up collections, one archive each
///
/// An archive is complete or it is not there: until then it has another name, and the next run with --resume goes
/// on from the last checkpoint. The last act is the archive's path alone on standard output.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  elysiactl col backup Article -o ./backups -z --resume")]
pub struct BackupArgs {
    /// Collections: names, a comma list, a glob, or @FILE
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub names: Vec<String>,
    /// Where archives go: a folder, or s3://, gs://, az://
    #[arg(short, long, value_name = "DEST", default_value = "./backups")]
    pub output: String,
    /// Back up definition and objects (the default)
    #[arg(long, conflicts_with = "schema_only")]
    pub include_data: bool,
    /// Back up the definition alone
    #[arg(long)]
    pub schema_only: bool,
    /// How the archive is laid out [default: json; jsonl in an object store]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Compress: gzip for json, zstd for folders
    #[arg(short = 'z', long)]
    pub compress: bool,
    /// Compress like this [default: none for json, zstd for jsonl and parquet]
    #[arg(long, value_enum, value_name = "CODEC", conflicts_with = "compress")]
    pub compression: Option<Compression>,
    /// Print the plan and touch nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Every collection
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// Not these collections: a comma list, a glob, or @FILE
    #[arg(long, value_name = "NAME")]
    pub exclude: Vec<String>,
    /// Also the collections that these refer to
    #[arg(long)]
    pub with_references: bool,
    /// Only these tenants: a comma list, a glob, or @FILE
    #[arg(long = "tenant", value_name = "TENANT")]
    pub tenants: Vec<String>,
    /// Only objects that match this filter
    #[arg(long = "where", value_name = "FILTER")]
    pub filter: Option<String>,
    /// Only these properties
    #[arg(long = "property", value_name = "NAME")]
    pub properties: Vec<String>,
    /// Leave the vectors out
    #[arg(long)]
    pub skip_vectors: bool,
    /// Wake inactive tenants, eight at a time, and put them back
    #[arg(long, conflicts_with = "skip_inactive")]
    pub activate_tenants: bool,
    /// Leave inactive tenants out, named in the archive
    #[arg(long)]
    pub skip_inactive: bool,
    /// Read the archive back and compare it when it is done
    #[arg(long)]
    pub verify: bool,
    /// Afterwards keep the last so many archives of the collection and remove older ones
    #[arg(long, value_name = "N", value_parser = values::at_least_one)]
    pub keep_last: Option<NonZeroU32>,
    /// Size of a part in a folder archive
    #[arg(long, value_name = "SIZE", default_value = "8MB", value_parser = values::size)]
    pub part_size: u64,
    /// Stop at the first collection that fails
    #[arg(long)]
    pub fail_fast: bool,
    /// Whether to go on with an unfinished job.
    #[command(flatten)]
    pub resume: ResumeArgs,
    /// Begin anew if the unfinished backup is older than this
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = values::duration, help_heading = "Resume")]
    pub resume_within: Duration,
    /// What may change between runs.
    #[command(flatten)]
    pub tuning: TuningArgs,
}

impl BackupArgs {
    /// The format: as typed, else a document, which an object store cannot hold.
    pub fn chosen_format(&self) -> Result<Format> {
        match (self.format, is_object_store(&self.output)) {
            (Some(Format::Json), true) => Err(Error::new(
                Kind::Usage,
                format!("a document cannot be written to `{}`", self.output),
            )
            .with_hint("leave --format out, or pass --format jsonl")),
            (Some(format), _) => Ok(format),
            (None, true) => Ok(Format::Jsonl),
            (None, false) => Ok(Format::Json),
        }
    }

    /// What `-z` and `--compression` ask for together with the format.
    pub fn chosen_compression(&self) -> Result<Compression> {
        let format = self.chosen_format()?;
        Ok(match (self.compression, self.compress, format) {
            (Some(named), _, _) => named,
            (None, true, Format::Json) => Compression::Gzip,
            (None, false, Format::Json) => Compression::None,
            (None, _, Format::Jsonl | Format::Parquet) => Compression::Zstd,
        })
    }

    pub(super) fn expand(&mut self) -> Result<()> {
        for list in [
            &mut self.names,
            &mut self.exclude,
            &mut self.tenants,
            &mut self.properties,
        ] {
            *list = values::expand_list(list)?;
        }
        self.chosen_format().map(|_| ())
    }
}

fn is_object_store(destination: &str) -> bool {
    ["s3://", "gs://", "az://"]
        .iter()
        .any(|scheme| destination.starts_with(scheme))
}
