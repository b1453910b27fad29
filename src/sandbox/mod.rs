//! A Weaviate-compatible server over an in-memory store, REST and gRPC, for the demo and for tests.
//!
//! It promises to answer every recorded request as the real server did, with the same status, shapes and defaults;
//! `tests/conformance.rs` replays the recordings. The data live in a [`Store`] that can be photographed and put back, and
//! [`Faults`] make connections, replies and single objects fail on cue. It keeps nothing on disk, computes no search, and
//! knows of one node only.

mod aliases;
mod autoschema;
mod batch;
mod batch_delete;
mod beacon;
mod call;
mod class;
mod course;
mod date;
mod definition;
mod delivery;
mod faults;
mod filter;
mod graphql;
mod grpc;
mod incoming;
mod json;
mod listing;
mod meta;
mod object;
mod phone;
mod property;
mod query;
mod references;
mod reply;
mod routes;
mod sample;
mod scalar;
mod schema;
mod server;
mod settings;
mod sha256;
mod single;
mod store;
mod tenants;
mod ttl;
mod values;
mod vector_config;
mod vectors;
mod wire;
mod write;

#[cfg(test)]
pub(crate) use grpc::sent as messages;

pub use class::Activity;
pub use faults::{Doom, Fault, Faults, Rule, When};
pub use object::{NamedVector, Object};
pub use sample::{sample_definition, sample_id};
pub use server::{RequestInfo, Sandbox};
pub use settings::{Mode, Settings, UsageLimits};
pub use store::{Dumped, Snapshot, Store};
