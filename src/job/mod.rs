//! A job as pure state: what was asked, where every lane stands, and the one law by which that changes.
//!
//! A [`Job`] is the fold of its [`Step`]s. [`Job::next`] is used live, by the committer, and in recovery, by
//! folding the journal; so both see the same states, and a step that is illegal in one is illegal in the other.
//! There is no failed state: a killed process writes nothing, so a job is done or can be resumed.
//! No I/O happens here.

mod lane;
mod law;
#[cfg(test)]
mod law_tests;
mod spec;
mod step;

pub use lane::{
    Bounds, Cursor, Intent, Lane, LaneId, Pass, Place, Receipt, TenantTally, VectorTally,
};
pub use law::Job;
pub use spec::{ConflictPolicy, Identity, JobId, JobKind, Spec, Tuning};
pub use step::{IllegalStep, Stage, Step, Summary, Tally};
