//! One file per verb: make the plan, pair two ends, hand both to the engine.

mod backup;
mod census;
mod clear;
mod collections;
mod degraded;
mod demo;
mod diff;
mod estimate;
mod facts;
mod jobs;
mod kept;
mod owed;
mod pages;
mod proof;
mod remake;
mod report;
mod restore;
mod session;
mod target;
mod verification;
mod verify;
mod waking;
mod witness;

pub use backup::{BackupRequest, Inactive, backup, backup_into};
pub use clear::{ClearMethod, ClearPlan, ClearRequest, clear, plan_clear};
pub use collections::{
    CollectionRow, create_collection, definition_in, health, list_collections, show_collection,
};
pub use demo::demo;
pub use diff::{
    Change, Comparison, Counts, DiffRequest, Difference, End, EndTally, MOST_PARTS, diff,
    verify_live,
};
pub use jobs::{
    address_of_job, cancel_job, describe_job, find_job, list_jobs, prune_jobs, resume_job, status,
};
pub use restore::{
    Reshape, RestoreRequest, merge_question, restart_question, restore, vectorize_question,
};
pub use session::{Outcome, Session, Unfinished};
pub use verify::{reseal, verify};
