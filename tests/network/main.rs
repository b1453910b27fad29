//! Whatever the network does, a job ends equal to a clean run, or with the right exit code and everything kept.

#[path = "../common/mod.rs"]
mod common;

mod away;
mod bench;
mod elsewhere;
mod ends;
mod grpc;
mod hostile;
mod lives;
mod loading;
mod middleman;
mod passing;
mod refused;
mod sweep;
mod transient;
mod tunnel;
mod unreadable;
mod without_graphql;
