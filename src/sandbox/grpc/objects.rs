//! The messages of objects on their way in.

use std::collections::BTreeMap;

use prost::{Message, Oneof};

/// A named vector: `MULTI` has a 16-bit dimension before its rows.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NamedBytes {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) vector_bytes: Vec<u8>,
    #[prost(int32, tag = "4")]
    pub(super) kind: i32,
}

/// `VECTOR_TYPE_SINGLE_FP32`.
pub(super) const SINGLE: i32 = 1;
/// `VECTOR_TYPE_MULTI_FP32`.
pub(super) const MULTI: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchObject {
    #[prost(string, tag = "1")]
    pub(super) uuid: String,
    #[prost(float, repeated, tag = "2")]
    pub(super) vector: Vec<f32>,
    #[prost(message, optional, tag = "3")]
    pub(super) properties: Option<ObjectFields>,
    #[prost(string, tag = "4")]
    pub(super) collection: String,
    #[prost(string, tag = "5")]
    pub(super) tenant: String,
    #[prost(bytes = "vec", tag = "6")]
    pub(super) vector_bytes: Vec<u8>,
    #[prost(message, repeated, tag = "23")]
    pub(super) vectors: Vec<NamedBytes>,
}

/// `BatchObject.Properties`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ObjectFields {
    #[prost(message, optional, tag = "1")]
    pub(super) plain: Option<Struct>,
    #[prost(message, repeated, tag = "2")]
    pub(super) single_references: Vec<References>,
    #[prost(message, repeated, tag = "3")]
    pub(super) multi_references: Vec<References>,
    #[prost(message, repeated, tag = "4")]
    pub(super) numbers: Vec<NumberArray>,
    #[prost(message, repeated, tag = "5")]
    pub(super) ints: Vec<IntArray>,
    #[prost(message, repeated, tag = "6")]
    pub(super) texts: Vec<TextArray>,
    #[prost(message, repeated, tag = "7")]
    pub(super) booleans: Vec<BooleanArray>,
    #[prost(message, repeated, tag = "8")]
    pub(super) objects: Vec<ObjectField>,
    #[prost(message, repeated, tag = "9")]
    pub(super) object_arrays: Vec<ObjectArray>,
    #[prost(string, repeated, tag = "10")]
    pub(super) empty_lists: Vec<String>,
}

/// `ObjectPropertiesValue`, which numbers the same members otherwise.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NestedFields {
    #[prost(message, optional, tag = "1")]
    pub(super) plain: Option<Struct>,
    #[prost(message, repeated, tag = "2")]
    pub(super) numbers: Vec<NumberArray>,
    #[prost(message, repeated, tag = "3")]
    pub(super) ints: Vec<IntArray>,
    #[prost(message, repeated, tag = "4")]
    pub(super) texts: Vec<TextArray>,
    #[prost(message, repeated, tag = "5")]
    pub(super) booleans: Vec<BooleanArray>,
    #[prost(message, repeated, tag = "6")]
    pub(super) objects: Vec<ObjectField>,
    #[prost(message, repeated, tag = "7")]
    pub(super) object_arrays: Vec<ObjectArray>,
    #[prost(string, repeated, tag = "10")]
    pub(super) empty_lists: Vec<String>,
}

/// The targets of one reference property; `target_collection` only where there are several.
#[derive(Clone, PartialEq, Message)]
pub(super) struct References {
    #[prost(string, repeated, tag = "1")]
    pub(super) uuids: Vec<String>,
    #[prost(string, tag = "2")]
    pub(super) prop_name: String,
    #[prost(string, tag = "3")]
    pub(super) target_collection: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NumberArray {
    #[prost(double, repeated, tag = "1")]
    pub(super) values: Vec<f64>,
    #[prost(string, tag = "2")]
    pub(super) prop_name: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) values_bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IntArray {
    #[prost(int64, repeated, tag = "1")]
    pub(super) values: Vec<i64>,
    #[prost(string, tag = "2")]
    pub(super) prop_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TextArray {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
    #[prost(string, tag = "2")]
    pub(super) prop_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BooleanArray {
    #[prost(bool, repeated, tag = "1")]
    pub(super) values: Vec<bool>,
    #[prost(string, tag = "2")]
    pub(super) prop_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ObjectField {
    #[prost(message, optional, tag = "1")]
    pub(super) value: Option<NestedFields>,
    #[prost(string, tag = "2")]
    pub(super) prop_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ObjectArray {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<NestedFields>,
    #[prost(string, tag = "2")]
    pub(super) prop_name: String,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) fields: BTreeMap<String, Plain>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Plain {
    #[prost(oneof = "PlainKind", tags = "1, 2, 3, 4, 5, 6")]
    pub(super) kind: Option<PlainKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum PlainKind {
    #[prost(int32, tag = "1")]
    Null(i32),
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
    #[prost(message, tag = "5")]
    Struct(Struct),
    #[prost(message, tag = "6")]
    List(PlainList),
}

/// `google.protobuf.ListValue`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PlainList {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<Plain>,
}
