//! A page of objects as gRPC's Search gives it: parsed once into places, walked from the bytes of the message.

use std::ops::Range;

use bytes::Bytes;

use super::protobuf::{Add, Fields, Wire, malformed};
use super::values::{has_doubtful_int, may_hold_doubtful_int, write_value};
use crate::error::Result;
use crate::model::{CollectionName, Key, ObjectId, Tenant, Times};
use crate::pipe::{Vector, Visit};

/// What is asked of each object besides its id and its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    /// Properties and vectors.
    All,
    Vectors,
    /// Neither.
    Keys,
}

/// A request for a page.
pub(super) struct Search<'a> {
    pub collection: &'a CollectionName,
    pub tenant: &'a Tenant,
    /// Exclusive; `None` starts at the very beginning.
    pub after: Option<ObjectId>,
    pub limit: u32,
    pub parts: Parts,
}

impl Search<'_> {
    /// SearchRequest.
    pub fn message(&self) -> Bytes {
        let mut message = Vec::with_capacity(160);
        message.add_bytes(1, self.collection.as_str().as_bytes());
        if let Some(tenant) = self.tenant.name() {
            message.add_bytes(10, tenant.as_bytes());
        }
        if self.parts != Parts::All {
            // Set but empty: none. Unset: all that gRPC can give.
            message.add_message(20, |_| ());
        }
        message.add_message(21, |metadata| {
            let with_vectors = self.parts != Parts::Keys;
            // uuid, creation_time_unix, last_update_time_unix
            for field in [1, 3, 4] {
                metadata.add_bool(field, true);
            }
            metadata.add_bool(2, with_vectors);
        });
        message.add_number(30, u64::from(self.limit));
        if let Some(after) = self.after {
            message.add_bytes(33, after.to_string().as_bytes());
        }
        // Without them older servers leave the types out.
        (100..=102).for_each(|field| message.add_bool(field, true));
        message.into()
    }
}

/// The ids of a page, as far as they tell where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub first: ObjectId,
    pub last: ObjectId,
    pub count: usize,
}

/// One reply, of one tenant.
pub(super) struct FoundPage {
    message: Bytes,
    objects: Vec<FoundObject>,
}

struct FoundObject {
    key: Key,
    times: Times,
    properties: Range<usize>,
    metadata: Range<usize>,
    is_doubtful: bool,
}

impl FoundPage {
    /// Reads a SearchReply.
    pub fn parse(message: Bytes, tenant: &Tenant) -> Result<Self> {
        let mut objects = Vec::new();
        for field in Fields::of(&message) {
            if let (2, Wire::Bytes(result)) = field? {
                objects.push(FoundObject::parse(&message, result, tenant)?);
            }
        }
        Ok(FoundPage { message, objects })
    }

    /// From the first to the last object; `None` if there is none.
    pub fn extent(&self) -> Option<Extent> {
        let (first, last) = self.objects.first().zip(self.objects.last())?;
        Some(Extent {
            first: first.key.id,
            last: last.key.id,
            count: self.objects.len(),
        })
    }

    /// The extent of a reply that was not read yet; `None` also if it cannot be read.
    pub fn extent_of(message: &[u8]) -> Option<Extent> {
        let results = Fields::of(message).filter_map(|field| match field {
            Ok((2, Wire::Bytes(result))) => Some(result),
            _ => None,
        });
        let (mut ends, mut count) = (None, 0);
        for result in results {
            ends = Some((ends.map_or(result, |(first, _)| first), result));
            count += 1;
        }
        let (first, last) = ends?;
        Some(Extent {
            first: id_in(first).ok()?,
            last: id_in(last).ok()?,
            count,
        })
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.iter().map(|object| &object.key)
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn bytes(&self) -> usize {
        self.message.len() + self.objects.len() * size_of::<FoundObject>()
    }

    pub fn key(&self, index: usize) -> &Key {
        &self.objects[index].key
    }

    pub fn times(&self, index: usize) -> Times {
        self.objects[index].times
    }

    /// True if gRPC cannot tell a value of the object: an `int` of 2^63 and one of -2^63 look alike.
    pub fn is_doubtful(&self, index: usize) -> bool {
        self.objects[index].is_doubtful
    }

    /// Visits the properties of an object in the order of their names.
    pub fn walk_properties<'a>(
        &'a self,
        index: usize,
        scratch: &mut Scratch<'a>,
        visit: &mut dyn Visit,
    ) -> Result<()> {
        scratch.members.clear();
        members(
            &self.message[self.objects[index].properties.clone()],
            &mut scratch.members,
        )?;
        scratch.members.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in &scratch.members {
            scratch.json.clear();
            if write_value(value, &mut scratch.json)? {
                visit.property(name, &scratch.json)?;
            }
        }
        Ok(())
    }

    /// Visits the vectors of an object: the one without a name, then the named ones in the order of their names.
    pub fn walk_vectors(&self, index: usize, visit: &mut dyn Visit) -> Result<()> {
        const FLOATS: u64 = 2;
        const BYTES: u64 = 19;
        const NAMED: u64 = 23;
        let (mut legacy, mut floats, mut named) = (&[][..], &[][..], Vec::new());
        for field in Fields::of(&self.message[self.objects[index].metadata.clone()]) {
            match field? {
                (FLOATS, Wire::Bytes(packed)) => floats = packed,
                (BYTES, Wire::Bytes(bytes)) => legacy = bytes,
                (NAMED, Wire::Bytes(vector)) => named.push(NamedVector::parse(vector)?),
                _ => {}
            }
        }
        // It comes twice; packed floats are the same bytes.
        let legacy = if legacy.is_empty() { floats } else { legacy };
        if !legacy.is_empty() {
            visit.vector(None, whole_floats(legacy)?)?;
        }
        named.sort_unstable_by_key(|vector| vector.name);
        for vector in named.iter().filter(|vector| !vector.bytes.is_empty()) {
            visit.vector(Some(vector.name), vector.value()?)?;
        }
        Ok(())
    }
}

/// What a walk needs again for each object.
#[derive(Default)]
pub(super) struct Scratch<'a> {
    members: Vec<(&'a str, &'a [u8])>,
    json: String,
}

/// Properties and metadata of a SearchResult.
fn parts_of(result: &[u8]) -> Result<(&[u8], &[u8])> {
    let (mut properties, mut metadata) = (&[][..], &[][..]);
    for field in Fields::of(result) {
        match field? {
            (1, Wire::Bytes(bytes)) => properties = bytes,
            (2, Wire::Bytes(bytes)) => metadata = bytes,
            _ => {}
        }
    }
    Ok((properties, metadata))
}

fn id_in(result: &[u8]) -> Result<ObjectId> {
    let (_, metadata) = parts_of(result)?;
    read_metadata(metadata).map(|(id, _)| id)
}

impl FoundObject {
    fn parse(message: &Bytes, result: &[u8], tenant: &Tenant) -> Result<Self> {
        let (properties, metadata) = parts_of(result)?;
        let (id, times) = read_metadata(metadata)?;
        Ok(FoundObject {
            key: Key {
                tenant: tenant.clone(),
                id,
            },
            times,
            is_doubtful: may_hold_doubtful_int(properties) && is_doubtful(properties)?,
            properties: place(message, properties),
            metadata: place(message, metadata),
        })
    }
}

fn is_doubtful(properties: &[u8]) -> Result<bool> {
    let mut is_doubtful = false;
    each_member(properties, |_, value| {
        is_doubtful |= has_doubtful_int(value)?;
        Ok(())
    })?;
    Ok(is_doubtful)
}

/// MetadataResult: id, creation and update time.
fn read_metadata(metadata: &[u8]) -> Result<(ObjectId, Times)> {
    let mut id = None;
    let mut times = Times::default();
    for field in Fields::of(metadata) {
        match field? {
            // Not `id_as_bytes`: up to 1.37 it lacks leading zeros.
            (1, value) => {
                id = Some(
                    ObjectId::parse(value.text()?).map_err(|error| malformed(error.message()))?,
                )
            }
            (3, value) => times.created = value.number() as i64,
            (5, value) => times.updated = value.number() as i64,
            _ => {}
        }
    }
    Ok((id.ok_or_else(|| malformed("an object has no id"))?, times))
}

/// Names and values of PropertiesResult's plain properties.
fn members<'a>(properties: &'a [u8], into: &mut Vec<(&'a str, &'a [u8])>) -> Result<()> {
    each_member(properties, |name, value| {
        into.push((name, value));
        Ok(())
    })
}

fn each_member<'a>(
    properties: &'a [u8],
    mut take: impl FnMut(&'a str, &'a [u8]) -> Result<()>,
) -> Result<()> {
    const PLAIN: u64 = 11;
    for field in Fields::of(properties) {
        if let (PLAIN, Wire::Bytes(plain)) = field? {
            super::values::each_field(plain, &mut take)?;
        }
    }
    Ok(())
}

/// A part of the message as a place in it.
fn place(message: &Bytes, part: &[u8]) -> Range<usize> {
    if part.is_empty() {
        return 0..0;
    }
    let start = part.as_ptr() as usize - message.as_ptr() as usize;
    start..start + part.len()
}

/// Vectors.
struct NamedVector<'a> {
    name: &'a str,
    bytes: &'a [u8],
    is_multi: bool,
}

impl<'a> NamedVector<'a> {
    fn parse(message: &'a [u8]) -> Result<Self> {
        const MULTI_FP32: u64 = 2;
        let mut vector = NamedVector {
            name: "",
            bytes: &[],
            is_multi: false,
        };
        for field in Fields::of(message) {
            match field? {
                (1, value) => vector.name = value.text()?,
                (3, value) => vector.bytes = value.bytes(),
                (4, value) => vector.is_multi = value.number() == MULTI_FP32,
                _ => {}
            }
        }
        Ok(vector)
    }

    fn value(&self) -> Result<Vector<'a>> {
        if !self.is_multi {
            return whole_floats(self.bytes);
        }
        let (dimensions, rows) = self
            .bytes
            .split_first_chunk()
            .ok_or_else(|| malformed("a multi-vector has no dimension"))?;
        let dimensions = usize::from(u16::from_le_bytes(*dimensions));
        if dimensions == 0 || rows.len() % (dimensions * 4) != 0 {
            return Err(malformed("a multi-vector has rows of different lengths"));
        }
        Ok(Vector::Multi { dimensions, rows })
    }
}

fn whole_floats(bytes: &[u8]) -> Result<Vector<'_>> {
    match bytes.len() % 4 {
        0 => Ok(Vector::Single(bytes)),
        _ => Err(malformed("a vector ends within a number")),
    }
}
