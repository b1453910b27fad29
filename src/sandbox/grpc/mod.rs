//! gRPC next to REST: `weaviate.v1.Weaviate` and `grpc.health.v1.Health` over the same store, with the same faults.
//!
//! Messages are kept by hand and framed here; the connection is that of `axum`, so that it can be cut like any other.
//! A call counts as a request `POST /weaviate.v1.Weaviate/<method>`.

mod aggregate;
mod batch;
mod delete;
mod exchange;
mod filters;
mod frame;
mod incoming;
mod messages;
mod objects;
mod picks;
mod search;
mod service;
mod status;
mod stream;
mod stream_messages;
mod tenants;
mod values;

#[cfg(test)]
mod tests;

pub(super) use exchange::handle;

/// What comes in, for who wants to check what was written.
#[cfg(test)]
pub(crate) mod sent {
    pub(crate) use super::messages::BatchObjectsRequest;
    pub(crate) use super::objects::{
        BatchObject, NestedFields, ObjectFields, Plain, PlainKind, Struct,
    };
}
