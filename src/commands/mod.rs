//! One file per verb: make the plan, pair two ends, hand both to the engine.

mod session;

pub use session::{Outcome, Session, Unfinished};
