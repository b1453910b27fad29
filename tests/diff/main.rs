//! Comparing two ends: whatever differs is found and named, and what is equal is found equal however it is kept.
//!
//! `found` has one test for each kind of difference, `archives` the ends that are no servers, `faults` what goes
//! wrong between, `live` what was archived or restored against the collection, `tenants` many of them.

mod archives;
mod bench;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod found;
mod live;
mod tenants;
