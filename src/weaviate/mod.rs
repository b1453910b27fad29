//! The server: how to reach it, what it says and means, and the two collection ends.
//!
//! Everything that knows Weaviate's routes, JSON shapes or habits is here; `/v1` appears nowhere else.
//! Calls never retry: a failure says how the caller may react, and the engine or the verb tries again.
//! Facts about the server carry the version on which they were seen (1.40.0-dev unless said otherwise).

mod aggregate;
mod api;
mod client;
mod connection;
mod count;
mod erase;
mod features;
mod found;
mod grpc;
mod incarnation;
mod listing;
mod members;
mod one_server;
mod outcomes;
mod properties;
mod protobuf;
mod quantization;
mod reading;
mod ready;
mod replicas;
mod request;
mod request_grpc;
mod request_rest;
mod schema;
mod sight;
mod sink;
mod source;
mod tenant_states;
mod tenants;
mod trail;
mod values;

pub use api::{Collection, Meta, TenantState, TenantStatus};
pub use client::{Client, Role};
pub use connection::{Connection, Transport};
pub use erase::{CollectionEraser, IdSource, is_closed};
pub use features::{Fitted, Loss, fit_to, version_numbers};
pub use grpc::Method as GrpcMethod;
pub use incarnation::Incarnation;
pub use properties::PropertyRules;
pub use quantization::declining_quantization;
pub use reading::{ReadPlan, Wanted};
pub use schema::{
    automation, creatable, definition_holds, definitions_match, dropped_vectors, unindexed_vectors,
    with_automation, with_name,
};
pub use sink::CollectionSink;
pub use source::CollectionSource;
