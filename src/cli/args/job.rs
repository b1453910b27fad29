//! Flags of every job: what a resume may change, and whether to resume.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use super::values::{self, Rate};
use crate::job::Tuning;

/// What may change between the runs of a job.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tuning")]
pub struct TuningArgs {
    /// At most so many objects in a batch [default: adaptive, 100 and more]
    #[arg(long, value_name = "N", value_parser = values::batch_size)]
    pub batch_size: Option<NonZeroU32>,
    /// Lanes at work at once [default: chosen from the plan]
    #[arg(long, value_name = "N", value_parser = values::at_least_one)]
    pub workers: Option<NonZeroU32>,
    /// At most so many objects or bytes per second: 500/s, 20MB/s, or both
    #[arg(long, value_name = "RATE", value_delimiter = ',', value_parser = values::rate)]
    pub rate: Vec<Rate>,
    /// Memory to stay within
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = values::size)]
    pub max_memory: u64,
    /// Go on trying so long without progress; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = values::duration)]
    pub retry_for: Duration,
    /// After a signal, wait so long for what is in flight
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = values::duration)]
    pub grace: Duration,
    /// Go on though nodes are away, as long as each shard has a replica left; ends with 3 then
    #[arg(long)]
    pub allow_degraded: bool,
}

impl TuningArgs {
    /// The part that a job records.
    pub fn tuning(&self) -> Tuning {
        let objects = self.rate.iter().filter_map(|rate| match rate {
            Rate::Objects(objects) => Some(*objects),
            Rate::Bytes(_) => None,
        });
        let bytes = self.rate.iter().filter_map(|rate| match rate {
            Rate::Bytes(bytes) => Some(*bytes),
            Rate::Objects(_) => None,
        });
        Tuning {
            batch_size: self.batch_size.map(NonZeroU32::get),
            workers: self.workers.map(NonZeroU32::get),
            objects_per_second: objects.reduce(f64::min),
            bytes_per_second: bytes.reduce(f64::min),
            max_memory: self.max_memory,
        }
    }

    /// How long to go on without progress; `None` is for ever.
    pub fn patience(&self) -> Option<Duration> {
        (!self.retry_for.is_zero()).then_some(self.retry_for)
    }
}

/// Whether to go on with an unfinished job.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Resume")]
pub struct ResumeArgs {
    /// Go on with the unfinished job of the same identity; none there: start one
    #[arg(long)]
    pub resume: bool,
    /// Set an unfinished job aside and begin anew
    #[arg(long, conflicts_with = "resume")]
    pub restart: bool,
}
