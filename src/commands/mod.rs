//! One file per verb: make the plan, pair two ends, hand both to the engine.

mod backup;
mod census;
mod restore;
mod session;
mod target;
mod verify;

pub use backup::{BackupRequest, backup, backup_into};
pub use restore::{RestoreRequest, restore};
pub use session::{Outcome, Session, Unfinished};
pub use verify::verify;
