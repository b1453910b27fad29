//! Clearing: what is emptied, what stays, and what is never touched.
//!
//! `by_id` deletes objects, `recreate` the collection, `between` is about what happens between two runs and what
//! is owed then. What a crash leaves is in `tests/crash`.

mod bench;
mod between;
mod by_id;
#[path = "../common/mod.rs"]
mod common;
mod recreate;
