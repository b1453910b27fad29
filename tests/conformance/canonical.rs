//! Messages of gRPC in their canonical JSON form, read by a table of the fields: nothing here comes from the sandbox, so a
//! wrong field number there does not go unnoticed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The fields that replies have: name, number, `rep`, `map` (from strings) or `opt` (has presence), type.
const MESSAGES: &str = "
HealthCheckResponse: status 1 ServingStatus
SearchReply: took 1 float; results 2 rep SearchResult; generative_grouped_result 3 opt string
SearchResult: properties 1 PropertiesResult; metadata 2 MetadataResult
MetadataResult: id 1 string; vector 2 rep float; creation_time_unix 3 int64; creation_time_unix_present 4 bool; last_update_time_unix 5 int64; last_update_time_unix_present 6 bool; distance 7 float; distance_present 8 bool; certainty 9 float; certainty_present 10 bool; score 11 float; score_present 12 bool; explain_score 13 string; explain_score_present 14 bool; is_consistent 15 opt bool; is_consistent_present 18 bool; vector_bytes 19 bytes; id_as_bytes 20 bytes; vectors 23 rep Vectors
PropertiesResult: ref_props 2 rep RefPropertiesResult; target_collection 3 string; metadata 4 MetadataResult; non_ref_props 11 Properties; ref_props_requested 12 bool
RefPropertiesResult: properties 1 rep PropertiesResult; prop_name 2 string
Properties: fields 1 map Value
Value: number_value 1 opt double; bool_value 3 opt bool; object_value 4 Properties; list_value 5 ListValue; date_value 6 opt string; uuid_value 7 opt string; int_value 8 opt int64; geo_value 9 GeoCoordinate; blob_value 10 opt string; phone_value 11 PhoneNumber; null_value 12 opt NullValue; text_value 13 opt string
ListValue: number_values 2 PackedValues; bool_values 3 BoolValues; object_values 4 ObjectValues; date_values 5 TextValues; uuid_values 6 TextValues; int_values 7 PackedValues; text_values 8 TextValues
PackedValues: values 1 bytes
BoolValues: values 1 rep bool
ObjectValues: values 1 rep Properties
TextValues: values 1 rep string
GeoCoordinate: longitude 1 float; latitude 2 float
PhoneNumber: country_code 1 uint64; default_country 2 string; input 3 string; international_formatted 4 string; national 5 uint64; national_formatted 6 string; valid 7 bool
Vectors: name 1 string; index 2 uint64; vector_bytes 3 bytes; type 4 VectorType
BatchObjectsReply: took 1 float; errors 2 rep BatchError
BatchReferencesReply: took 1 float; errors 2 rep BatchError
BatchError: index 1 int32; error 2 string
BatchDeleteReply: took 1 float; failed 2 int64; matches 3 int64; successful 4 int64; objects 5 rep BatchDeleteObject
BatchDeleteObject: uuid 1 bytes; successful 2 bool; error 3 opt string
TenantsGetReply: took 1 float; tenants 2 rep Tenant
Tenant: name 1 string; activity_status 2 TenantActivityStatus
AggregateReply: took 1 float; single_result 2 AggregateSingle
AggregateSingle: objects_count 1 opt int64
BatchStreamReply: results 1 StreamResults; shutting_down 2 Empty; started 4 Empty; backoff 5 StreamBackoff; acks 6 StreamAcks
StreamResults: errors 1 rep StreamError; successes 2 rep StreamSuccess
StreamError: error 1 string; uuid 2 opt string; beacon 3 opt string
StreamSuccess: uuid 2 opt string; beacon 3 opt string
StreamBackoff: batch_size 1 int32
StreamAcks: uuids 1 rep string; beacons 2 rep string
Empty:
Status: code 1 int32; message 2 string; details 3 rep Any
Any: type_url 1 string; value 2 ErrorInfo
ErrorInfo: reason 1 string; domain 2 string; metadata 3 map string
";

/// The values of enumerations by their number.
const ENUMS: &[(&str, &[(u64, &str)])] = &[
    (
        "ServingStatus",
        &[(1, "SERVING"), (2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN")],
    ),
    (
        "VectorType",
        &[
            (1, "VECTOR_TYPE_SINGLE_FP32"),
            (2, "VECTOR_TYPE_MULTI_FP32"),
        ],
    ),
    (
        "TenantActivityStatus",
        &[
            (1, "TENANT_ACTIVITY_STATUS_HOT"),
            (2, "TENANT_ACTIVITY_STATUS_COLD"),
        ],
    ),
    ("NullValue", &[]),
];

#[derive(Clone, Copy, PartialEq)]
enum Label {
    Plain,
    Present,
    Repeated,
    Map,
}

struct Field {
    name: &'static str,
    label: Label,
    kind: &'static str,
}

/// The table, read once.
pub struct Canonical(BTreeMap<&'static str, BTreeMap<u64, Field>>);

impl Canonical {
    pub fn new() -> Canonical {
        let messages = MESSAGES.lines().filter_map(|line| line.split_once(':'));
        Canonical(
            messages
                .map(|(name, fields)| (name, fields.split(';').filter_map(field).collect()))
                .collect(),
        )
    }

    /// The message that answers a method.
    pub fn reply(&self, method: &str, bytes: &[u8]) -> Value {
        let name = match method.rsplit('/').next().expect("a method") {
            "Check" => "HealthCheckResponse".to_owned(),
            name => format!("{name}Reply"),
        };
        self.read(&name, bytes)
    }

    /// The JSON form of a message.
    pub fn read(&self, message: &str, bytes: &[u8]) -> Value {
        let fields = &self
            .0
            .get(message)
            .unwrap_or_else(|| panic!("no {message}"));
        let mut out = Map::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let key = varint(&mut rest);
            let field = fields.get(&(key >> 3));
            let field = field.unwrap_or_else(|| panic!("{message} has no field {}", key >> 3));
            let raw = raw(key & 7, &mut rest);
            self.add(&mut out, field, raw);
        }
        Value::Object(out)
    }

    fn add(&self, out: &mut Map<String, Value>, field: &Field, raw: Raw<'_>) {
        match (field.label, raw) {
            (Label::Map, Raw::Bytes(entry)) => {
                let (key, value) = self.entry(field.kind, entry);
                let all = out.entry(field.name).or_insert_with(|| json!({}));
                all[key] = value;
            }
            (Label::Repeated, Raw::Bytes(packed)) if is_packed(field.kind) => {
                let all = out.entry(field.name).or_insert_with(|| json!([]));
                let all = all.as_array_mut().expect("an array");
                let mut rest = packed;
                while !rest.is_empty() {
                    let wire = if field.kind == "float" { 5 } else { 0 };
                    let raw = self::raw(wire, &mut rest);
                    all.push(self.value(field.kind, raw));
                }
            }
            (Label::Repeated, raw) => {
                let all = out.entry(field.name).or_insert_with(|| json!([]));
                let value = self.value(field.kind, raw);
                all.as_array_mut().expect("an array").push(value);
            }
            (_, raw) => {
                let is_default = field.label == Label::Plain && raw.is_default();
                let is_message = self.0.contains_key(field.kind);
                if is_message || !is_default {
                    out.insert(field.name.to_owned(), self.value(field.kind, raw));
                }
            }
        }
    }

    fn entry(&self, kind: &'static str, bytes: &[u8]) -> (String, Value) {
        let (mut key, mut value) = (String::new(), self.value(kind, Raw::Bytes(&[])));
        let mut rest = bytes;
        while !rest.is_empty() {
            let tag = varint(&mut rest);
            let raw = raw(tag & 7, &mut rest);
            match tag >> 3 {
                1 => {
                    key = self
                        .value("string", raw)
                        .as_str()
                        .expect("a text")
                        .to_owned()
                }
                _ => value = self.value(kind, raw),
            }
        }
        (key, value)
    }

    fn value(&self, kind: &'static str, raw: Raw<'_>) -> Value {
        match (kind, raw) {
            ("string", Raw::Bytes(bytes)) => {
                std::str::from_utf8(bytes).expect("a text is UTF-8").into()
            }
            ("bytes", Raw::Bytes(bytes)) => STANDARD.encode(bytes).into(),
            ("bool", Raw::Whole(number)) => (number != 0).into(),
            ("int32", Raw::Whole(number)) => (number as i32).into(),
            ("int64", Raw::Whole(number)) => (number as i64).to_string().into(),
            ("uint64", Raw::Whole(number)) => number.to_string().into(),
            ("float", Raw::Four(bits)) => {
                let number = f32::from_bits(bits);
                float(number.to_string().parse().expect("a number"))
            }
            ("double", Raw::Eight(bits)) => float(f64::from_bits(bits)),
            ("NullValue", Raw::Whole(0)) => Value::Null,
            (name, Raw::Whole(number)) => {
                let values = ENUMS.iter().find(|(other, _)| *other == name);
                let (_, values) = values.unwrap_or_else(|| panic!("{name} is no enumeration"));
                let value = values.iter().find(|(other, _)| *other == number);
                value.expect("a value of the enumeration").1.into()
            }
            (message, Raw::Bytes(bytes)) => self.read(message, bytes),
            (kind, _) => panic!("{kind} has another type on the wire"),
        }
    }
}

fn field(text: &'static str) -> Option<(u64, Field)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (name, number, label, kind) = match words[..] {
        [name, number, kind] => (name, number, Label::Plain, kind),
        [name, number, "opt", kind] => (name, number, Label::Present, kind),
        [name, number, "rep", kind] => (name, number, Label::Repeated, kind),
        [name, number, "map", kind] => (name, number, Label::Map, kind),
        _ => return None,
    };
    let number = number.parse().expect("a field number");
    Some((number, Field { name, label, kind }))
}

fn is_packed(kind: &str) -> bool {
    matches!(kind, "float" | "bool")
}

fn float(number: f64) -> Value {
    match number {
        number if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        number => number.into(),
    }
}

#[derive(Clone, Copy)]
enum Raw<'b> {
    Whole(u64),
    Eight(u64),
    Four(u32),
    Bytes(&'b [u8]),
}

impl Raw<'_> {
    fn is_default(self) -> bool {
        match self {
            Raw::Whole(number) | Raw::Eight(number) => number == 0,
            Raw::Four(bits) => bits == 0,
            Raw::Bytes(bytes) => bytes.is_empty(),
        }
    }
}

fn raw<'b>(wire: u64, rest: &mut &'b [u8]) -> Raw<'b> {
    match wire {
        0 => Raw::Whole(varint(rest)),
        1 => Raw::Eight(u64::from_le_bytes(take(rest, 8).try_into().expect("eight"))),
        5 => Raw::Four(u32::from_le_bytes(take(rest, 4).try_into().expect("four"))),
        2 => {
            let length = varint(rest);
            Raw::Bytes(take(rest, usize::try_from(length).expect("a length")))
        }
        other => panic!("wire type {other}"),
    }
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> &'b [u8] {
    let (taken, behind) = rest.split_at(count);
    *rest = behind;
    taken
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}
