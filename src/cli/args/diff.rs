//! `col diff`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values;

/// So many differences fit the memory.
const MOST_SHOWN: i64 = 10_000;

/// Compare two ends, each a collection or an archive
///
/// Definition, settings, aliases, tenants with their states, and every object with its properties and vectors are
/// compared. The exit code is 0 only if everything was compared and is identical, and 13 if something differs.
/// Nothing is written, and no tenant is woken.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  elysiactl col diff Article ./backups/Article_full_20260201_103000.json\n  \
    elysiactl col diff prod:Article staging:Article --limit 10"
)]
pub struct DiffArgs {
    /// The first end: [PROFILE:]COLLECTION, or the path of an archive (with a `/`, or file:PATH)
    #[arg(value_name = "A")]
    pub one: String,
    /// The second end
    #[arg(value_name = "B")]
    pub two: String,
    /// Address of the server of the second end [default: that of the first]
    #[arg(long, value_name = "URL")]
    pub target_url: Option<String>,
    /// Read the API key of the second end from this file
    #[arg(long, value_name = "FILE")]
    pub target_api_key_file: Option<PathBuf>,
    /// Show at most so many differences; all are counted
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=MOST_SHOWN))]
    pub limit: u32,
    /// Leave inactive tenants out; then nothing is shown to be identical
    #[arg(long)]
    pub skip_inactive: bool,
    /// Go on trying so long without progress; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = values::duration)]
    pub retry_for: Duration,
}

impl DiffArgs {
    /// How long to go on without progress; `None` is for ever.
    pub fn patience(&self) -> Option<Duration> {
        (!self.retry_for.is_zero()).then_some(self.retry_for)
    }
}
