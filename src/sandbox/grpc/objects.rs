//! The messages of objects on their way in.

use std::collections::BTreeMap;

use prost::{Message, Oneof};

/// A named vector: `MULTI` has a 16-bit dimension before its rows.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NamedBytes {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) vector_bytes: Vec<u8>,
    #[prost(int32, tag = "4")]
    pub(crate) kind: i32,
}

/// `VECTOR_TYPE_SINGLE_FP32`.
pub(super) const SINGLE: i32 = 1;
/// `VECTOR_TYPE_MULTI_FP32`.
pub(super) const MULTI: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BatchObject {
    #[prost(string, tag = "1")]
    pub(crate) uuid: String,
    #[prost(float, repeated, tag = "2")]
    pub(crate) vector: Vec<f32>,
    #[prost(message, optional, tag = "3")]
    pub(crate) properties: Option<ObjectFields>,
    #[prost(string, tag = "4")]
    pub(crate) collection: String,
    #[prost(string, tag = "5")]
    pub(crate) tenant: String,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) vector_bytes: Vec<u8>,
    #[prost(message, repeated, tag = "23")]
    pub(crate) vectors: Vec<NamedBytes>,
}

/// `BatchObject.Properties`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ObjectFields {
    #[prost(message, optional, tag = "1")]
    pub(crate) plain: Option<Struct>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) single_references: Vec<References>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) multi_references: Vec<References>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) numbers: Vec<NumberArray>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) ints: Vec<IntArray>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) texts: Vec<TextArray>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) booleans: Vec<BooleanArray>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) objects: Vec<ObjectField>,
    #[prost(message, repeated, tag = "9")]
    pub(crate) object_arrays: Vec<ObjectArray>,
    #[prost(string, repeated, tag = "10")]
    pub(crate) empty_lists: Vec<String>,
}

/// `ObjectPropertiesValue`, which numbers the same members otherwise.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NestedFields {
    #[prost(message, optional, tag = "1")]
    pub(crate) plain: Option<Struct>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) numbers: Vec<NumberArray>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) ints: Vec<IntArray>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) texts: Vec<TextArray>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) booleans: Vec<BooleanArray>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) objects: Vec<ObjectField>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) object_arrays: Vec<ObjectArray>,
    #[prost(string, repeated, tag = "10")]
    pub(crate) empty_lists: Vec<String>,
}

/// The targets of one reference property; `target_collection` only where there are several.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct References {
    #[prost(string, repeated, tag = "1")]
    pub(crate) uuids: Vec<String>,
    #[prost(string, tag = "2")]
    pub(crate) prop_name: String,
    #[prost(string, tag = "3")]
    pub(crate) target_collection: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NumberArray {
    #[prost(double, repeated, tag = "1")]
    pub(crate) values: Vec<f64>,
    #[prost(string, tag = "2")]
    pub(crate) prop_name: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) values_bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct IntArray {
    #[prost(int64, repeated, tag = "1")]
    pub(crate) values: Vec<i64>,
    #[prost(string, tag = "2")]
    pub(crate) prop_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TextArray {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
    #[prost(string, tag = "2")]
    pub(crate) prop_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BooleanArray {
    #[prost(bool, repeated, tag = "1")]
    pub(crate) values: Vec<bool>,
    #[prost(string, tag = "2")]
    pub(crate) prop_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ObjectField {
    #[prost(message, optional, tag = "1")]
    pub(crate) value: Option<NestedFields>,
    #[prost(string, tag = "2")]
    pub(crate) prop_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ObjectArray {
    #[prost(message, repeated, tag = "1")]
    pub(crate) values: Vec<NestedFields>,
    #[prost(string, tag = "2")]
    pub(crate) prop_name: String,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) fields: BTreeMap<String, Plain>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Plain {
    #[prost(oneof = "PlainKind", tags = "1, 2, 3, 4, 5, 6")]
    pub(crate) kind: Option<PlainKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum PlainKind {
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
pub(crate) struct PlainList {
    #[prost(message, repeated, tag = "1")]
    pub(crate) values: Vec<Plain>,
}
