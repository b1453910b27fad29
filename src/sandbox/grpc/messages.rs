//! The messages of `weaviate.v1` and `grpc.health.v1` that the sandbox reads and writes, kept by hand: fields that nothing
//! here needs are left out, and enumerations are the numbers they are on the wire.
//!
//! Values of properties are in `values`, objects of a batch in `objects`.

use prost::{Message, Oneof};

use super::objects::{BatchObject, NamedBytes};
use super::values::{Properties, Texts};

#[derive(Clone, PartialEq, Message)]
pub(super) struct HealthReply {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SearchRequest {
    #[prost(string, tag = "1")]
    pub(super) collection: String,
    #[prost(string, tag = "10")]
    pub(super) tenant: String,
    #[prost(message, optional, tag = "20")]
    pub(super) properties: Option<PropertiesRequest>,
    #[prost(message, optional, tag = "21")]
    pub(super) metadata: Option<MetadataRequest>,
    #[prost(uint32, tag = "30")]
    pub(super) limit: u32,
    #[prost(uint32, tag = "31")]
    pub(super) offset: u32,
    #[prost(string, tag = "33")]
    pub(super) after: String,
    #[prost(message, repeated, tag = "34")]
    pub(super) sort_by: Vec<SortBy>,
    #[prost(message, optional, tag = "40")]
    pub(super) filters: Option<Filters>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PropertiesRequest {
    #[prost(string, repeated, tag = "1")]
    pub(super) non_ref_properties: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub(super) ref_properties: Vec<RefPropertiesRequest>,
    #[prost(message, repeated, tag = "3")]
    pub(super) object_properties: Vec<ObjectPropertiesRequest>,
    #[prost(bool, tag = "11")]
    pub(super) return_all_nonref_properties: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ObjectPropertiesRequest {
    #[prost(string, tag = "1")]
    pub(super) prop_name: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) primitive_properties: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub(super) object_properties: Vec<ObjectPropertiesRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RefPropertiesRequest {
    #[prost(string, tag = "1")]
    pub(super) reference_property: String,
    #[prost(message, optional, tag = "2")]
    pub(super) properties: Option<PropertiesRequest>,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata: Option<MetadataRequest>,
    #[prost(string, tag = "4")]
    pub(super) target_collection: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetadataRequest {
    #[prost(bool, tag = "1")]
    pub(super) uuid: bool,
    #[prost(bool, tag = "2")]
    pub(super) vector: bool,
    #[prost(bool, tag = "3")]
    pub(super) creation_time_unix: bool,
    #[prost(bool, tag = "4")]
    pub(super) last_update_time_unix: bool,
    #[prost(bool, tag = "7")]
    pub(super) score: bool,
    #[prost(bool, tag = "8")]
    pub(super) explain_score: bool,
    #[prost(string, repeated, tag = "10")]
    pub(super) vectors: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SortBy {
    #[prost(bool, tag = "1")]
    pub(super) ascending: bool,
    #[prost(string, repeated, tag = "2")]
    pub(super) path: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SearchReply {
    #[prost(float, tag = "1")]
    pub(super) took: f32,
    #[prost(message, repeated, tag = "2")]
    pub(super) results: Vec<SearchResult>,
    #[prost(string, optional, tag = "3")]
    pub(super) generative_grouped_result: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SearchResult {
    #[prost(message, optional, tag = "1")]
    pub(super) properties: Option<PropertiesResult>,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<MetadataResult>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetadataResult {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(float, repeated, tag = "2")]
    pub(super) vector: Vec<f32>,
    #[prost(int64, tag = "3")]
    pub(super) creation_time_unix: i64,
    #[prost(bool, tag = "4")]
    pub(super) creation_time_unix_present: bool,
    #[prost(int64, tag = "5")]
    pub(super) last_update_time_unix: i64,
    #[prost(bool, tag = "6")]
    pub(super) last_update_time_unix_present: bool,
    #[prost(bool, tag = "12")]
    pub(super) score_present: bool,
    #[prost(bool, tag = "14")]
    pub(super) explain_score_present: bool,
    #[prost(bytes = "vec", tag = "19")]
    pub(super) vector_bytes: Vec<u8>,
    #[prost(bytes = "vec", tag = "20")]
    pub(super) id_as_bytes: Vec<u8>,
    #[prost(message, repeated, tag = "23")]
    pub(super) vectors: Vec<NamedBytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PropertiesResult {
    #[prost(message, repeated, tag = "2")]
    pub(super) ref_props: Vec<RefPropertiesResult>,
    #[prost(string, tag = "3")]
    pub(super) target_collection: String,
    #[prost(message, optional, tag = "4")]
    pub(super) metadata: Option<MetadataResult>,
    #[prost(message, optional, tag = "11")]
    pub(super) non_ref_props: Option<Properties>,
    #[prost(bool, tag = "12")]
    pub(super) ref_props_requested: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RefPropertiesResult {
    #[prost(message, repeated, tag = "1")]
    pub(super) properties: Vec<PropertiesResult>,
    #[prost(string, tag = "2")]
    pub(super) prop_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Filters {
    #[prost(int32, tag = "1")]
    pub(super) operator: i32,
    #[prost(string, repeated, tag = "2")]
    pub(super) on: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub(super) filters: Vec<Filters>,
    #[prost(oneof = "FilterValue", tags = "4, 5, 6, 7, 9, 10, 11, 12")]
    pub(super) value: Option<FilterValue>,
    #[prost(message, optional, tag = "20")]
    pub(super) target: Option<FilterTarget>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum FilterValue {
    #[prost(string, tag = "4")]
    Text(String),
    #[prost(int64, tag = "5")]
    Int(i64),
    #[prost(bool, tag = "6")]
    Boolean(bool),
    #[prost(double, tag = "7")]
    Number(f64),
    #[prost(message, tag = "9")]
    Texts(Texts),
    #[prost(message, tag = "10")]
    Ints(FilterInts),
    #[prost(message, tag = "11")]
    Booleans(FilterBooleans),
    #[prost(message, tag = "12")]
    Numbers(FilterNumbers),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FilterInts {
    #[prost(int64, repeated, tag = "1")]
    pub(super) values: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FilterBooleans {
    #[prost(bool, repeated, tag = "1")]
    pub(super) values: Vec<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FilterNumbers {
    #[prost(double, repeated, tag = "1")]
    pub(super) values: Vec<f64>,
}

/// Targets behind references are not read: the property is then empty.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FilterTarget {
    #[prost(string, tag = "1")]
    pub(super) property: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AggregateRequest {
    #[prost(string, tag = "1")]
    pub(super) collection: String,
    #[prost(string, tag = "10")]
    pub(super) tenant: String,
    #[prost(bool, tag = "20")]
    pub(super) objects_count: bool,
    #[prost(message, optional, tag = "40")]
    pub(super) filters: Option<Filters>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AggregateReply {
    #[prost(float, tag = "1")]
    pub(super) took: f32,
    #[prost(message, optional, tag = "2")]
    pub(super) single_result: Option<AggregateSingle>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AggregateSingle {
    #[prost(int64, optional, tag = "1")]
    pub(super) objects_count: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BatchObjectsRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) objects: Vec<BatchObject>,
}

/// The reply to a batch of objects or of references.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchReply {
    #[prost(float, tag = "1")]
    pub(super) took: f32,
    #[prost(message, repeated, tag = "2")]
    pub(super) errors: Vec<BatchError>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchError {
    #[prost(int32, tag = "1")]
    pub(super) index: i32,
    #[prost(string, tag = "2")]
    pub(super) error: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchReferencesRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) references: Vec<BatchReference>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchReference {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) from_collection: String,
    #[prost(string, tag = "3")]
    pub(super) from_uuid: String,
    #[prost(string, optional, tag = "4")]
    pub(super) to_collection: Option<String>,
    #[prost(string, tag = "5")]
    pub(super) to_uuid: String,
    #[prost(string, tag = "6")]
    pub(super) tenant: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchDeleteRequest {
    #[prost(string, tag = "1")]
    pub(super) collection: String,
    #[prost(message, optional, tag = "2")]
    pub(super) filters: Option<Filters>,
    #[prost(bool, tag = "3")]
    pub(super) verbose: bool,
    #[prost(bool, tag = "4")]
    pub(super) dry_run: bool,
    #[prost(string, optional, tag = "6")]
    pub(super) tenant: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchDeleteReply {
    #[prost(float, tag = "1")]
    pub(super) took: f32,
    #[prost(int64, tag = "2")]
    pub(super) failed: i64,
    #[prost(int64, tag = "3")]
    pub(super) matches: i64,
    #[prost(int64, tag = "4")]
    pub(super) successful: i64,
    #[prost(message, repeated, tag = "5")]
    pub(super) objects: Vec<DeletedObject>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeletedObject {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) uuid: Vec<u8>,
    #[prost(bool, tag = "2")]
    pub(super) successful: bool,
    #[prost(string, optional, tag = "3")]
    pub(super) error: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TenantsGetRequest {
    #[prost(string, tag = "1")]
    pub(super) collection: String,
    #[prost(message, optional, tag = "2")]
    pub(super) names: Option<Texts>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TenantsGetReply {
    #[prost(float, tag = "1")]
    pub(super) took: f32,
    #[prost(message, repeated, tag = "2")]
    pub(super) tenants: Vec<Tenant>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tenant {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int32, tag = "2")]
    pub(super) activity_status: i32,
}

/// The `google.rpc.Status` of a refusal that carries an `ErrorInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RichStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ErrorInfo {
    #[prost(string, tag = "1")]
    pub(super) reason: String,
    #[prost(string, tag = "2")]
    pub(super) domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub(super) metadata: std::collections::BTreeMap<String, String>,
}
