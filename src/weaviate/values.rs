//! Property values of a gRPC reply, written as the JSON that REST would show.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::protobuf::{Fields, Wire, malformed, packed_varints};
use crate::error::{Error, Result};

/// The fields of Value.
mod field {
    pub const NUMBER: u64 = 1;
    pub const BOOL: u64 = 3;
    pub const OBJECT: u64 = 4;
    pub const LIST: u64 = 5;
    pub const DATE: u64 = 6;
    pub const UUID: u64 = 7;
    pub const INT: u64 = 8;
    pub const GEO: u64 = 9;
    pub const BLOB: u64 = 10;
    pub const PHONE: u64 = 11;
    pub const NULL: u64 = 12;
    pub const TEXT: u64 = 13;
}

/// The fields of ListValue.
mod list {
    pub const NUMBERS: u64 = 2;
    pub const BOOLS: u64 = 3;
    pub const OBJECTS: u64 = 4;
    pub const DATES: u64 = 5;
    pub const UUIDS: u64 = 6;
    pub const INTS: u64 = 7;
    pub const TEXTS: u64 = 8;
}

/// The server turns f64 into i64 with Go's conversion. Of everything beyond, amd64 makes -2^63 and arm64 the nearest end,
/// which no f64 is.
const DOUBTFUL_INTS: [i64; 2] = [i64::MIN, i64::MAX];

/// False if no value in these bytes can be doubtful; looks for its spellings, as a varint and as the eight bytes of a list.
pub(super) fn may_hold_doubtful_int(properties: &[u8]) -> bool {
    const LEAST: [u8; 10] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
    const LEAST_OF_LIST: [u8; 8] = i64::MIN.to_le_bytes();
    /// Its varint has one 0xff more in front.
    const MOST: [u8; 8] = i64::MAX.to_le_bytes();
    static SPELLINGS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
        let spellings: [&[u8]; 3] = [&LEAST, &LEAST_OF_LIST, &MOST];
        spellings.map(|spelling| Finder::new(spelling).into_owned())
    });
    let holds = |spelling: &Finder<'_>| spelling.find(properties).is_some();
    SPELLINGS.iter().any(holds)
}

/// Calls `take` with name and Value of each entry of Properties.
pub(super) fn each_field<'a>(
    properties: &'a [u8],
    mut take: impl FnMut(&'a str, &'a [u8]) -> Result<()>,
) -> Result<()> {
    for entry in Fields::of(properties) {
        let (1, Wire::Bytes(entry)) = entry? else {
            continue;
        };
        let (mut name, mut value) = ("", &[][..]);
        for part in Fields::of(entry) {
            match part? {
                (1, part) => name = part.text()?,
                (2, part) => value = part.bytes(),
                _ => {}
            }
        }
        take(name, value)?;
    }
    Ok(())
}

/// True if the value holds an `int` that may be another one.
pub(super) fn has_doubtful_int(value: &[u8]) -> Result<bool> {
    for kind in Fields::of(value) {
        let is_doubtful = match kind? {
            (field::INT, int) => DOUBTFUL_INTS.contains(&(int.number() as i64)),
            (field::LIST, list) => has_doubtful_list(list.bytes())?,
            _ => false,
        };
        if is_doubtful {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_doubtful_list(value: &[u8]) -> Result<bool> {
    for kind in Fields::of(value) {
        if let (list::INTS, ints) = kind? {
            return Ok(eights(inner(ints.bytes())?)?
                .any(|bytes| DOUBTFUL_INTS.contains(&i64::from_le_bytes(bytes))));
        }
    }
    Ok(false)
}

/// Writes a Value as JSON; false, and nothing is written, if it is null or absent.
pub(super) fn write_value(value: &[u8], json: &mut String) -> Result<bool> {
    // A oneof: the last one counts.
    let Some(kind) = Fields::of(value).last() else {
        return Ok(false);
    };
    match kind? {
        (field::NULL, _) => return Ok(false),
        (field::NUMBER, number) => write_number(number.double(), json)?,
        (field::BOOL, is) => json.push_str(if is.number() != 0 { "true" } else { "false" }),
        (field::INT, int) => write_int(int.number() as i64, json),
        (field::TEXT | field::DATE | field::UUID | field::BLOB, text) => {
            write_text(text.text()?, json)?
        }
        (field::LIST, list) => write_list(list.bytes(), json)?,
        (field::OBJECT, object) => write_object(object.bytes(), json)?,
        (field::GEO, geo) => write_geo(geo.bytes(), json)?,
        (field::PHONE, phone) => write_phone(phone.bytes(), json)?,
        (other, _) => return Err(malformed(&format!("a value of the unknown kind {other}"))),
    }
    Ok(true)
}

fn write_number(number: f64, json: &mut String) -> Result<()> {
    if !number.is_finite() {
        return Err(malformed("a property is no finite number"));
    }
    json.push_str(zmij::Buffer::new().format_finite(number));
    Ok(())
}

fn write_int(int: i64, json: &mut String) {
    json.push_str(itoa::Buffer::new().format(int));
}

fn write_text(text: &str, json: &mut String) -> Result<()> {
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    // Not `all`: without an early end many bytes are looked at together.
    if text
        .bytes()
        .fold(true, |plain, byte| plain & is_plain(byte))
    {
        json.push('"');
        json.push_str(text);
        json.push('"');
        return Ok(());
    }
    let escaped = serde_json::to_string(text).map_err(|cause| unwritable(&cause))?;
    json.push_str(&escaped);
    Ok(())
}

fn unwritable(cause: &serde_json::Error) -> Error {
    malformed(&cause.to_string())
}

fn write_list(value: &[u8], json: &mut String) -> Result<()> {
    json.push('[');
    if let Some(kind) = Fields::of(value).last() {
        let (kind, values) = kind?;
        write_elements(kind, values.bytes(), json)?;
    }
    json.push(']');
    Ok(())
}

fn write_elements(kind: u64, values: &[u8], json: &mut String) -> Result<()> {
    match kind {
        list::NUMBERS => {
            for bytes in eights(inner(values)?)? {
                element(json);
                write_number(f64::from_le_bytes(bytes), json)?;
            }
        }
        list::INTS => {
            for bytes in eights(inner(values)?)? {
                element(json);
                write_int(i64::from_le_bytes(bytes), json);
            }
        }
        list::BOOLS => write_bools(values, json)?,
        list::TEXTS | list::DATES | list::UUIDS => {
            for text in Fields::of(values) {
                element(json);
                write_text(text?.1.text()?, json)?;
            }
        }
        list::OBJECTS => {
            for object in Fields::of(values) {
                element(json);
                write_object(object?.1.bytes(), json)?;
            }
        }
        other => return Err(malformed(&format!("a list of the unknown kind {other}"))),
    }
    Ok(())
}

/// A comma, unless the text ends where a list begins.
fn element(json: &mut String) {
    if !json.ends_with('[') {
        json.push(',');
    }
}

fn write_bools(values: &[u8], json: &mut String) -> Result<()> {
    for field in Fields::of(values) {
        match field?.1 {
            Wire::Bytes(packed) => {
                for is in packed_varints(packed) {
                    element(json);
                    json.push_str(if is? != 0 { "true" } else { "false" });
                }
            }
            single => {
                element(json);
                json.push_str(if single.number() != 0 {
                    "true"
                } else {
                    "false"
                });
            }
        }
    }
    Ok(())
}

/// Null and absent members of an object look alike or not; a null is written as it is shown.
fn write_object(properties: &[u8], json: &mut String) -> Result<()> {
    json.push('{');
    let mut is_first = true;
    each_field(properties, |name, value| {
        if !std::mem::take(&mut is_first) {
            json.push(',');
        }
        write_text(name, json)?;
        json.push(':');
        if !write_value(value, json)? {
            json.push_str("null");
        }
        Ok(())
    })?;
    json.push('}');
    Ok(())
}

fn write_geo(geo: &[u8], json: &mut String) -> Result<()> {
    let (mut longitude, mut latitude) = (0.0, 0.0);
    for field in Fields::of(geo) {
        match field? {
            (1, value) => longitude = value.float(),
            (2, value) => latitude = value.float(),
            _ => {}
        }
    }
    if !f32::is_finite(longitude) || !f32::is_finite(latitude) {
        return Err(malformed("coordinates are no finite numbers"));
    }
    let mut buffer = zmij::Buffer::new();
    json.push_str("{\"latitude\":");
    json.push_str(buffer.format_finite(latitude));
    json.push_str(",\"longitude\":");
    json.push_str(buffer.format_finite(longitude));
    json.push('}');
    Ok(())
}

/// What can be restored of a phone number; the server computes the rest from it.
fn write_phone(phone: &[u8], json: &mut String) -> Result<()> {
    let (mut country, mut input) = ("", "");
    for field in Fields::of(phone) {
        match field? {
            (2, value) => country = value.text()?,
            (3, value) => input = value.text()?,
            _ => {}
        }
    }
    json.push_str("{\"defaultCountry\":");
    write_text(country, json)?;
    json.push_str(",\"input\":");
    write_text(input, json)?;
    json.push('}');
    Ok(())
}

/// The bytes within NumberValues or IntValues.
fn inner(values: &[u8]) -> Result<&[u8]> {
    match Fields::of(values).last() {
        Some(field) => Ok(field?.1.bytes()),
        None => Ok(&[]),
    }
}

fn eights(bytes: &[u8]) -> Result<impl Iterator<Item = [u8; 8]>> {
    let (eights, rest) = bytes.as_chunks::<8>();
    match rest {
        [] => Ok(eights.iter().copied()),
        _ => Err(malformed("a list of numbers ends within a number")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::protobuf::Add;
    use super::*;

    /// A value as the server sends it; the types are those of the schema.
    #[derive(Clone, Debug)]
    enum Typed {
        Null,
        Number(f64),
        Int(i64),
        Bool(bool),
        Text(String),
        Texts(Vec<String>),
        Ints(Vec<i64>),
        Numbers(Vec<f64>),
        Bools(Vec<bool>),
        Object(Vec<(String, Typed)>),
        Objects(Vec<Vec<(String, Typed)>>),
    }

    fn typed() -> impl Strategy<Value = Typed> {
        let number = || {
            proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO
        };
        let leaf = prop_oneof![
            Just(Typed::Null),
            number().prop_map(Typed::Number),
            any::<i64>().prop_map(Typed::Int),
            any::<bool>().prop_map(Typed::Bool),
            any::<String>().prop_map(Typed::Text),
            proptest::collection::vec(any::<String>(), 0..4).prop_map(Typed::Texts),
            proptest::collection::vec(any::<i64>(), 0..4).prop_map(Typed::Ints),
            proptest::collection::vec(number(), 0..4).prop_map(Typed::Numbers),
            proptest::collection::vec(any::<bool>(), 0..4).prop_map(Typed::Bools),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let object = proptest::collection::btree_map("[a-z\"\\\\]{1,3}", inner, 0..4);
            let object = object.prop_map(|members| members.into_iter().collect::<Vec<_>>());
            prop_oneof![
                object.clone().prop_map(Typed::Object),
                proptest::collection::vec(object, 0..3).prop_map(Typed::Objects),
            ]
        })
    }

    fn json_of(value: &Typed) -> Value {
        let object = |members: &[(String, Typed)]| -> Value {
            members
                .iter()
                .map(|(name, value)| (name.clone(), json_of(value)))
                .collect()
        };
        match value {
            Typed::Null => Value::Null,
            Typed::Number(number) => json!(number),
            Typed::Int(int) => json!(int),
            Typed::Bool(is) => json!(is),
            Typed::Text(text) => json!(text),
            Typed::Texts(texts) => json!(texts),
            Typed::Ints(ints) => json!(ints),
            Typed::Numbers(numbers) => json!(numbers),
            Typed::Bools(bools) => json!(bools),
            Typed::Object(members) => object(members),
            Typed::Objects(objects) => objects.iter().map(|members| object(members)).collect(),
        }
    }

    fn add_list(message: &mut Vec<u8>, kind: u64, fill: impl FnOnce(&mut Vec<u8>)) {
        message.add_message(field::LIST as u32, |list| {
            list.add_message(kind as u32, fill)
        });
    }

    fn add_object(message: &mut Vec<u8>, members: &[(String, Typed)]) {
        for (name, value) in members {
            message.add_message(1, |entry| {
                entry.add_bytes(1, name.as_bytes());
                entry.add_message(2, |message| add_value(message, value));
            });
        }
    }

    fn add_value(message: &mut Vec<u8>, value: &Typed) {
        match value {
            Typed::Null => message.add_number(field::NULL as u32, 0),
            Typed::Number(number) => message.add_double(field::NUMBER as u32, *number),
            Typed::Int(int) => message.add_number(field::INT as u32, *int as u64),
            Typed::Bool(is) => message.add_bool(field::BOOL as u32, *is),
            Typed::Text(text) => message.add_bytes(field::TEXT as u32, text.as_bytes()),
            Typed::Texts(texts) => add_list(message, list::TEXTS, |values| {
                texts
                    .iter()
                    .for_each(|text| values.add_bytes(1, text.as_bytes()));
            }),
            Typed::Ints(ints) => add_list(message, list::INTS, |values| {
                let bytes: Vec<u8> = ints.iter().flat_map(|int| int.to_le_bytes()).collect();
                values.add_bytes(1, &bytes);
            }),
            Typed::Numbers(numbers) => add_list(message, list::NUMBERS, |values| {
                let bytes: Vec<u8> = numbers
                    .iter()
                    .flat_map(|number| number.to_le_bytes())
                    .collect();
                values.add_bytes(1, &bytes);
            }),
            Typed::Bools(bools) => add_list(message, list::BOOLS, |values| {
                let bytes: Vec<u8> = bools.iter().map(|is| u8::from(*is)).collect();
                values.add_bytes(1, &bytes);
            }),
            Typed::Object(members) => {
                message.add_message(field::OBJECT as u32, |message| add_object(message, members));
            }
            Typed::Objects(objects) => add_list(message, list::OBJECTS, |values| {
                for members in objects {
                    values.add_message(1, |message| add_object(message, members));
                }
            }),
        }
    }

    proptest! {
        #[test]
        fn a_value_is_written_as_the_json_that_it_is(value in typed()) {
            let (mut message, mut text) = (Vec::new(), String::new());
            add_value(&mut message, &value);
            let is_there = write_value(&message, &mut text).expect("a value");
            prop_assert_eq!(is_there, !matches!(value, Typed::Null));
            if is_there {
                let written: Value = serde_json::from_str(&text).expect("JSON");
                // Bits of numbers, too: -0.0 is not 0.
                prop_assert_eq!(format!("{written:?}"), format!("{:?}", json_of(&value)));
            }
        }

        #[test]
        fn bytes_that_are_no_value_are_an_error_or_json(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut text = String::new();
            if let Ok(true) = write_value(&bytes, &mut text) {
                serde_json::from_str::<Value>(&text).expect("JSON");
            }
            let _ = has_doubtful_int(&bytes);
        }
    }

    #[test]
    fn every_spelling_of_a_doubtful_int_is_found_in_whatever_is_around_it() {
        for int in DOUBTFUL_INTS {
            let mut alone = vec![7; 300];
            alone.add_number(field::INT as u32, int as u64);
            alone.extend([7; 300]);
            let in_a_list = [&[7; 300][..], &int.to_le_bytes(), &[7; 300]].concat();
            assert!(may_hold_doubtful_int(&alone), "{int}");
            assert!(may_hold_doubtful_int(&in_a_list), "{int}");
        }
        for int in [0_i64, 1, -1, 1 << 53, -(1 << 53)] {
            let mut other = Vec::new();
            other.add_number(field::INT as u32, int as u64);
            other.extend(int.to_le_bytes());
            assert!(!may_hold_doubtful_int(&other), "{int}");
        }
    }
}
