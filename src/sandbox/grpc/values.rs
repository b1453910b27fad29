//! Values of properties on their way out: from the stored JSON, typed by the schema, straight into messages.

use std::collections::BTreeMap;

use prost::{Message, Oneof};

use super::super::class::Kind;
use super::super::json::Json;
use super::picks::Pick;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Properties {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) fields: BTreeMap<String, Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(oneof = "Typed", tags = "1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13")]
    pub(super) typed: Option<Typed>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Typed {
    #[prost(double, tag = "1")]
    Number(f64),
    #[prost(bool, tag = "3")]
    Bool(bool),
    #[prost(message, tag = "4")]
    Object(Properties),
    #[prost(message, tag = "5")]
    List(List),
    #[prost(string, tag = "6")]
    Date(String),
    #[prost(string, tag = "7")]
    Uuid(String),
    #[prost(int64, tag = "8")]
    Int(i64),
    #[prost(message, tag = "9")]
    Geo(Geo),
    #[prost(string, tag = "10")]
    Blob(String),
    #[prost(message, tag = "11")]
    Phone(Phone),
    #[prost(int32, tag = "12")]
    Null(i32),
    #[prost(string, tag = "13")]
    Text(String),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct List {
    #[prost(oneof = "Items", tags = "2, 3, 4, 5, 6, 7, 8")]
    pub(super) items: Option<Items>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Items {
    #[prost(message, tag = "2")]
    Numbers(Packed),
    #[prost(message, tag = "3")]
    Bools(Bools),
    #[prost(message, tag = "4")]
    Objects(Objects),
    #[prost(message, tag = "5")]
    Dates(Texts),
    #[prost(message, tag = "6")]
    Uuids(Texts),
    #[prost(message, tag = "7")]
    Ints(Packed),
    #[prost(message, tag = "8")]
    Texts(Texts),
}

/// Eight little-endian bytes for each number.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Packed {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) values: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Bools {
    #[prost(bool, repeated, tag = "1")]
    pub(super) values: Vec<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Objects {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<Properties>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Geo {
    #[prost(float, tag = "1")]
    pub(super) longitude: f32,
    #[prost(float, tag = "2")]
    pub(super) latitude: f32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Phone {
    #[prost(uint64, tag = "1")]
    pub(super) country_code: u64,
    #[prost(string, tag = "2")]
    pub(super) default_country: String,
    #[prost(string, tag = "3")]
    pub(super) input: String,
    #[prost(string, tag = "4")]
    pub(super) international_formatted: String,
    #[prost(uint64, tag = "5")]
    pub(super) national: u64,
    #[prost(string, tag = "6")]
    pub(super) national_formatted: String,
    #[prost(bool, tag = "7")]
    pub(super) valid: bool,
}

/// What a page with coordinates in an object property fails with; the blank behind the colon does not break.
pub(super) const LOOKALIKE: &str = "creating object value: proto:\u{a0}invalid type: *models.GeoCoordinates expected map[string]interface{}";

/// The picked properties of a stored object: a missing one is null.
pub(super) fn read(stored: &Json<'_>, picks: &[Pick]) -> Result<Properties, String> {
    let mut fields = BTreeMap::new();
    for pick in picks {
        let value = match stored.get(&pick.name) {
            None => null(),
            Some(value) if pick.kind == Kind::Object && is_coordinates(value) => {
                return Err(LOOKALIKE.to_owned());
            }
            Some(value) => typed(value, pick)?,
        };
        fields.insert(pick.name.clone(), value);
    }
    Ok(Properties { fields })
}

fn null() -> Value {
    Value {
        typed: Some(Typed::Null(0)),
    }
}

/// At the top an object with just these members was narrowed to coordinates when it was stored.
fn is_coordinates(value: &Json<'_>) -> bool {
    matches!(value, Json::Object(members) if members.len() == 2)
        && ["latitude", "longitude"]
            .iter()
            .all(|name| value.get(name).is_some())
}

/// The members of an object: a missing one stays away.
fn object(value: &Json<'_>, picks: &[Pick]) -> Result<Properties, String> {
    let Json::Object(members) = value else {
        return Err("creating object value: proto:\u{a0}invalid type".to_owned());
    };
    let mut fields = BTreeMap::new();
    for (name, value) in members {
        let Some(pick) = picks.iter().find(|pick| pick.name == **name) else {
            continue;
        };
        let value = match value {
            Json::Null => null(),
            value => typed(value, pick)?,
        };
        fields.insert(pick.name.clone(), value);
    }
    Ok(Properties { fields })
}

fn typed(value: &Json<'_>, pick: &Pick) -> Result<Value, String> {
    let text = || value.text().unwrap_or_default().to_owned();
    let typed = match pick.kind {
        Kind::Text => Typed::Text(text()),
        Kind::Date => Typed::Date(text()),
        Kind::Uuid => Typed::Uuid(text()),
        Kind::Blob | Kind::BlobHash => Typed::Blob(text()),
        Kind::Int => Typed::Int(int(value)),
        Kind::Number => Typed::Number(number(value)),
        Kind::Boolean => Typed::Bool(value.bool().unwrap_or_default()),
        Kind::Geo => Typed::Geo(geo(value)),
        Kind::Phone => Typed::Phone(phone(value)),
        Kind::Object => Typed::Object(object(value, &pick.nested)?),
        _ => Typed::List(List {
            items: Some(items(value, pick)?),
        }),
    };
    Ok(Value { typed: Some(typed) })
}

fn items(value: &Json<'_>, pick: &Pick) -> Result<Items, String> {
    let all = value.array().unwrap_or_default();
    let texts = || Texts {
        values: all
            .iter()
            .map(|item| item.text().unwrap_or_default().to_owned())
            .collect(),
    };
    Ok(match pick.kind {
        Kind::Texts => Items::Texts(texts()),
        Kind::Dates => Items::Dates(texts()),
        Kind::Uuids => Items::Uuids(texts()),
        Kind::Ints => Items::Ints(packed(all, |item| int(item).to_le_bytes())),
        Kind::Numbers => Items::Numbers(packed(all, |item| number(item).to_le_bytes())),
        Kind::Booleans => Items::Bools(Bools {
            values: all
                .iter()
                .map(|item| item.bool().unwrap_or_default())
                .collect(),
        }),
        Kind::Objects => Items::Objects(Objects {
            values: all
                .iter()
                .map(|item| object(item, &pick.nested))
                .collect::<Result<_, _>>()?,
        }),
        _ => {
            let text = "creating primitive value for";
            return Err(format!(
                "{text} {}: proto:\u{a0}invalid type: models.MultipleRef",
                pick.name
            ));
        }
    })
}

fn packed(items: &[Json<'_>], bytes: impl Fn(&Json<'_>) -> [u8; 8]) -> Packed {
    Packed {
        values: items.iter().flat_map(bytes).collect(),
    }
}

fn number(value: &Json<'_>) -> f64 {
    match value {
        Json::Number(text) => text.parse().unwrap_or_default(),
        _ => 0.0,
    }
}

/// Integers are f64 inside; Go turns those beyond i64 into the smallest one.
fn int(value: &Json<'_>) -> i64 {
    let number = number(value);
    match number < -(i64::MIN as f64) {
        true => number as i64,
        false => i64::MIN,
    }
}

fn geo(value: &Json<'_>) -> Geo {
    // Stored as f32 in the shortest form: reading an f64 first would round some of them twice.
    let member = |name| match value.get(name) {
        Some(Json::Number(text)) => text.parse().unwrap_or_default(),
        _ => 0.0,
    };
    Geo {
        longitude: member("longitude"),
        latitude: member("latitude"),
    }
}

fn phone(value: &Json<'_>) -> Phone {
    let whole = |name| value.get(name).map_or(0, |value| number(value) as u64);
    let text = |name| value.text_of(name).to_owned();
    Phone {
        country_code: whole("countryCode"),
        default_country: text("defaultCountry"),
        input: text("input"),
        international_formatted: text("internationalFormatted"),
        national: whole("national"),
        national_formatted: text("nationalFormatted"),
        valid: value.get("valid").and_then(Json::bool).unwrap_or(false),
    }
}
