//! Objects as gRPC takes them: BatchObject, written straight from JSON values and f32 bytes.
//!
//! Lists and objects have containers of their own, as the server's own clients use them: a Struct with lists is understood by
//! new servers only. Empty lists are named apart. Vectors pass bit for bit, NaN and infinity included.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::members::members;
use super::protobuf::Add;
use super::request::WriteObject;
use crate::error::{Error, Kind, Result};
use crate::model::{CollectionName, Key};
use crate::pipe::{Vector, decode_vector};

/// The fields of BatchObject.Properties and of ObjectPropertiesValue: the same things under other numbers.
#[derive(Clone, Copy)]
struct Containers {
    plain: u32,
    numbers: u32,
    texts: u32,
    bools: u32,
    object: u32,
    objects: u32,
    empty: u32,
}

const TOP: Containers = Containers {
    plain: 1,
    numbers: 4,
    texts: 6,
    bools: 7,
    object: 8,
    objects: 9,
    empty: 10,
};

const NESTED: Containers = Containers {
    plain: 1,
    numbers: 2,
    texts: 4,
    bools: 5,
    object: 6,
    objects: 7,
    empty: 10,
};

/// An object being written.
pub(super) struct GrpcObject {
    head: Vec<u8>,
    properties: Properties,
    vectors: Vec<u8>,
    floats: Vec<u8>,
    decoded: Vec<u8>,
}

impl Default for GrpcObject {
    fn default() -> Self {
        GrpcObject {
            head: Vec::new(),
            properties: Properties::new(TOP),
            vectors: Vec::new(),
            floats: Vec::new(),
            decoded: Vec::new(),
        }
    }
}

impl WriteObject for GrpcObject {
    fn begin(&mut self, collection: &CollectionName, key: &Key) -> Result<()> {
        self.head.clear();
        self.properties.clear();
        self.vectors.clear();
        self.head.add_bytes(1, key.id.to_string().as_bytes());
        self.head.add_bytes(4, collection.as_str().as_bytes());
        if let Some(tenant) = key.tenant.name() {
            self.head.add_bytes(5, tenant.as_bytes());
        }
        Ok(())
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        self.properties.add(name, json)
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<Option<&'static str>> {
        const LEGACY: u32 = 6;
        const NAMED: u32 = 23;
        const SINGLE_FP32: u64 = 1;
        const MULTI_FP32: u64 = 2;
        let decoded = match vector {
            Vector::Json(json) => decode_vector(json, &mut self.decoded)?,
            vector => Some(vector),
        };
        let (floats, kind) = match decoded {
            Some(Vector::Single(bytes)) => (bytes, SINGLE_FP32),
            Some(Vector::Multi { dimensions, rows }) => {
                self.floats.clear();
                add_rows(&mut self.floats, dimensions, rows)?;
                (&self.floats[..], MULTI_FP32)
            }
            Some(Vector::Json(_)) | None => return Ok(None),
        };
        match name {
            None if kind == MULTI_FP32 => {
                return Ok(Some("has rows, which only a named one may have"));
            }
            None => self.vectors.add_bytes(LEGACY, floats),
            Some(name) => {
                self.vectors.add_message(NAMED, |vector| {
                    vector.add_bytes(1, name.as_bytes());
                    vector.add_bytes(3, floats);
                    vector.add_number(4, kind);
                });
            }
        }
        Ok(None)
    }

    fn end(&mut self, request: &mut Vec<u8>) {
        const OBJECTS: u32 = 1;
        const PROPERTIES: u32 = 3;
        request.add_message(OBJECTS, |object| {
            object.extend_from_slice(&self.head);
            // Also without any: a missing message would be no properties at all.
            object.add_message(PROPERTIES, |properties| self.properties.write(properties));
            object.extend_from_slice(&self.vectors);
        });
    }
}

/// A multi-vector: its dimension, then its rows.
fn add_rows(floats: &mut Vec<u8>, dimensions: usize, rows: &[u8]) -> Result<()> {
    let dimensions = u16::try_from(dimensions).map_err(|_| {
        Error::new(
            Kind::Failed,
            "a multi-vector has more than 65535 dimensions",
        )
    })?;
    floats.extend_from_slice(&dimensions.to_le_bytes());
    floats.extend_from_slice(rows);
    Ok(())
}

/// The properties of an object, or of an object within it, sorted into their containers.
struct Properties {
    containers: Containers,
    /// The fields of a Struct.
    plain: Vec<u8>,
    /// Everything else.
    others: Vec<u8>,
}

impl Properties {
    fn new(containers: Containers) -> Self {
        Properties {
            containers,
            plain: Vec::new(),
            others: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.plain.clear();
        self.others.clear();
    }

    fn write(&self, message: &mut Vec<u8>) {
        message.add_bytes(self.containers.plain, &self.plain);
        message.extend_from_slice(&self.others);
    }

    /// Adds a value as JSON spells it.
    fn add(&mut self, name: &str, json: &str) -> Result<()> {
        match json.as_bytes().first() {
            Some(b'[') => self.add_list(name, &parse::<Vec<&RawValue>>(name, json)?),
            Some(b'{') => self.add_object(name, json),
            _ => self.add_plain(name, json),
        }
    }

    fn add_object(&mut self, name: &str, json: &str) -> Result<()> {
        let object = nested(name, json)?;
        self.others.add_message(self.containers.object, |message| {
            message.add_message(1, |value| object.write(value));
            message.add_bytes(2, name.as_bytes());
        });
        Ok(())
    }

    /// An entry of the Struct.
    fn add_plain(&mut self, name: &str, json: &str) -> Result<()> {
        const NULL: u32 = 1;
        const NUMBER: u32 = 2;
        const TEXT: u32 = 3;
        const BOOL: u32 = 4;
        self.plain.add_message(1, |entry| {
            entry.add_bytes(1, name.as_bytes());
            entry.add_message(2, |value| {
                match json.as_bytes().first() {
                    Some(b'"') => value.add_bytes(TEXT, text(name, json)?.as_bytes()),
                    Some(b't' | b'f') => value.add_bool(BOOL, parse(name, json)?),
                    Some(b'n') => value.add_number(NULL, 0),
                    _ => value.add_double(NUMBER, parse(name, json)?),
                }
                Ok(())
            })
        })
    }

    fn add_list(&mut self, name: &str, list: &[&RawValue]) -> Result<()> {
        let Some(kind) = list.first().map(|first| ListKind::of(first.get())) else {
            self.others
                .add_bytes(self.containers.empty, name.as_bytes());
            return Ok(());
        };
        let mut values = Vec::new();
        for element in list {
            kind.add(&mut values, name, element.get())?;
        }
        self.others
            .add_message(kind.field(self.containers), |message| {
                match kind {
                    ListKind::Numbers => message.add_bytes(3, &values),
                    ListKind::Bools => message.add_bytes(1, &values),
                    ListKind::Texts | ListKind::Objects => message.extend_from_slice(&values),
                }
                message.add_bytes(2, name.as_bytes());
            });
        Ok(())
    }
}

/// What a list holds; one kind alone.
#[derive(Clone, Copy)]
enum ListKind {
    /// `int` lists as well: the server stores f64 of both.
    Numbers,
    Texts,
    Bools,
    Objects,
}

impl ListKind {
    fn of(first: &str) -> Self {
        match first.as_bytes().first() {
            Some(b'"') => ListKind::Texts,
            Some(b't' | b'f') => ListKind::Bools,
            Some(b'{') => ListKind::Objects,
            _ => ListKind::Numbers,
        }
    }

    fn field(self, containers: Containers) -> u32 {
        match self {
            ListKind::Numbers => containers.numbers,
            ListKind::Texts => containers.texts,
            ListKind::Bools => containers.bools,
            ListKind::Objects => containers.objects,
        }
    }

    /// Adds an element as the container of the list holds it.
    fn add(self, values: &mut Vec<u8>, name: &str, json: &str) -> Result<()> {
        match self {
            ListKind::Numbers => values.extend_from_slice(&parse::<f64>(name, json)?.to_le_bytes()),
            ListKind::Bools => values.push(u8::from(parse::<bool>(name, json)?)),
            ListKind::Texts => values.add_bytes(1, text(name, json)?.as_bytes()),
            ListKind::Objects => {
                let object = nested(name, json)?;
                values.add_message(1, |message| object.write(message));
            }
        }
        Ok(())
    }
}

/// An object within a property.
fn nested(name: &str, json: &str) -> Result<Properties> {
    let mut properties = Properties::new(NESTED);
    let add = |member: &str, value: &str| properties.add(member, value);
    members(json, add, |cause| unwritable(name, cause))?;
    Ok(properties)
}

/// A text without escapes is what stands between its quotes.
fn text<'a>(name: &str, json: &'a str) -> Result<Cow<'a, str>> {
    match json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(plain) if !plain.contains(['\\', '"']) => Ok(Cow::Borrowed(plain)),
        _ => parse::<String>(name, json).map(Cow::Owned),
    }
}

fn parse<'a, T: Deserialize<'a>>(name: &str, json: &'a str) -> Result<T> {
    serde_json::from_str(json).map_err(|cause| unwritable(name, cause))
}

fn unwritable(name: &str, cause: serde_json::Error) -> Error {
    Error::new(
        Kind::Failed,
        format!("property `{name}` holds a value that gRPC cannot carry"),
    )
    .with_cause(cause)
}

#[cfg(test)]
mod tests;
