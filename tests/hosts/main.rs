//! Hosts that share a destination and nothing else. Whoever is at work is never taken for dead, whatever its clock says;
//! what a lost one left holds nobody up for longer than the time of silence; two never write at once.

#[path = "../common/mod.rs"]
mod common;
mod leases;
#[path = "../program/mod.rs"]
mod program;
mod watch;
