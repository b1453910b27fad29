//! Objects of a gRPC batch, read into the form in which both protocols check and store them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use uuid::Uuid;

use super::super::class::Class;
use super::super::json::Json;
use super::super::object::NamedVector;
use super::super::property::small;
use super::super::store::Data;
use super::super::values::unknown_property;
use super::super::vectors::Vectors;
use super::objects::{
    BatchObject, BooleanArray, IntArray, MULTI, NamedBytes, NestedFields, NumberArray, ObjectArray,
    ObjectField, ObjectFields, Plain, PlainKind, References, Struct, TextArray,
};
use super::search::malformed;

/// Why an object cannot be read.
pub(super) enum Unread {
    /// The handler panics: the whole call fails and stores nothing.
    Panic,
    /// The object is refused in these words.
    Refused(String),
}

impl From<String> for Unread {
    fn from(text: String) -> Unread {
        Unread::Refused(text)
    }
}

/// An object that could be read.
pub(super) struct Sent<'m> {
    pub(super) id: Uuid,
    /// As a body over REST would hold it: the properties in one member.
    pub(super) source: Json<'m>,
    pub(super) vectors: Vectors,
    /// A vector that is reported as an error although the object is stored without it.
    pub(super) complaint: Option<String>,
}

type Members<'m> = Vec<(Cow<'m, str>, Json<'m>)>;

impl<'m> Sent<'m> {
    pub(super) fn read(object: &'m BatchObject, data: &Data) -> Result<Sent<'m>, Unread> {
        if object.collection.is_empty() {
            return Err(Unread::Panic);
        }
        let class = data.resolve(&object.collection);
        let mut members = Vec::new();
        if let Some(fields) = &object.properties {
            check_values(&fields.objects)?;
            add_fields(&mut members, fields)?;
        }
        let id = Uuid::try_parse(&object.uuid).map_err(|_| malformed(&object.uuid))?;
        if data.aliases.values().any(|name| *name == class) && !data.classes.contains_key(&class) {
            let alias = super::super::store::capitalised(&object.collection);
            let text =
                format!("alias \"{alias}\" points to collection \"{class}\" which does not exist");
            return Err(Unread::Refused(text));
        }
        if let Some(fields) = &object.properties {
            add_references(&mut members, fields, data.classes.get(&class))?;
        }
        let (vectors, complaint) = vectors(object);
        Ok(Sent {
            id,
            source: Json::Object(vec![("properties".into(), Json::Object(members))]),
            vectors,
            complaint,
        })
    }
}

/// An object without its value makes the handler panic, whatever else is wrong.
fn check_values(objects: &[ObjectField]) -> Result<(), Unread> {
    match objects.iter().any(|object| object.value.is_none()) {
        true => Err(Unread::Panic),
        false => Ok(()),
    }
}

fn add_fields<'m>(members: &mut Members<'m>, fields: &'m ObjectFields) -> Result<(), Unread> {
    add_plain(members, fields.plain.as_ref());
    add_arrays(
        members,
        (
            &fields.numbers,
            &fields.ints,
            &fields.texts,
            &fields.booleans,
        ),
    );
    add_objects(members, &fields.objects, &fields.object_arrays)?;
    add_empty(members, &fields.empty_lists);
    Ok(())
}

fn nested(fields: &NestedFields) -> Result<Json<'_>, Unread> {
    let mut members = Vec::new();
    add_plain(&mut members, fields.plain.as_ref());
    add_arrays(
        &mut members,
        (
            &fields.numbers,
            &fields.ints,
            &fields.texts,
            &fields.booleans,
        ),
    );
    add_objects(&mut members, &fields.objects, &fields.object_arrays)?;
    add_empty(&mut members, &fields.empty_lists);
    Ok(Json::Object(members))
}

fn add_plain<'m>(members: &mut Members<'m>, plain: Option<&'m Struct>) {
    let fields = plain.iter().flat_map(|plain| &plain.fields);
    members.extend(fields.map(|(name, value)| (name.as_str().into(), json(value))));
}

/// A value of a `google.protobuf.Struct`.
fn json(value: &Plain) -> Json<'_> {
    match &value.kind {
        None | Some(PlainKind::Null(_)) => Json::Null,
        Some(PlainKind::Number(number)) => Json::Float(*number),
        Some(PlainKind::Text(text)) => Json::Text(text.into()),
        Some(PlainKind::Bool(flag)) => Json::Bool(*flag),
        Some(PlainKind::List(list)) => Json::Array(list.values.iter().map(json).collect()),
        Some(PlainKind::Struct(fields)) => {
            let mut members = Vec::new();
            add_plain(&mut members, Some(fields));
            Json::Object(members)
        }
    }
}

type Arrays<'m> = (
    &'m [NumberArray],
    &'m [IntArray],
    &'m [TextArray],
    &'m [BooleanArray],
);

fn add_arrays<'m>(members: &mut Members<'m>, (numbers, ints, texts, booleans): Arrays<'m>) {
    for array in numbers {
        let packed = array
            .values_bytes
            .chunks_exact(8)
            .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap_or_default()));
        let values = match array.values_bytes.is_empty() {
            true => array.values.iter().copied().map(Json::Float).collect(),
            false => packed.map(Json::Float).collect(),
        };
        members.push((array.prop_name.as_str().into(), Json::Array(values)));
    }
    for array in ints {
        let values = array.values.iter().map(|value| Json::Float(*value as f64));
        members.push((
            array.prop_name.as_str().into(),
            Json::Array(values.collect()),
        ));
    }
    for array in texts {
        let values = array.values.iter().map(|text| Json::Text(text.into()));
        members.push((
            array.prop_name.as_str().into(),
            Json::Array(values.collect()),
        ));
    }
    for array in booleans {
        let values = array.values.iter().map(|flag| Json::Bool(*flag));
        members.push((
            array.prop_name.as_str().into(),
            Json::Array(values.collect()),
        ));
    }
}

fn add_objects<'m>(
    members: &mut Members<'m>,
    objects: &'m [ObjectField],
    arrays: &'m [ObjectArray],
) -> Result<(), Unread> {
    for object in objects {
        let value = object.value.as_ref().ok_or(Unread::Panic)?;
        members.push((object.prop_name.as_str().into(), nested(value)?));
    }
    for array in arrays {
        let values = array.values.iter().map(nested).collect::<Result<_, _>>()?;
        members.push((array.prop_name.as_str().into(), Json::Array(values)));
    }
    Ok(())
}

fn add_empty<'m>(members: &mut Members<'m>, names: &'m [String]) {
    let empty = |name: &'m String| (Cow::Borrowed(name.as_str()), Json::Array(Vec::new()));
    members.extend(names.iter().map(empty));
}

fn add_references<'m>(
    members: &mut Members<'m>,
    fields: &'m ObjectFields,
    class: Option<&Class>,
) -> Result<(), Unread> {
    for list in &fields.single_references {
        let target = only_target(list, class)?;
        members.push((list.prop_name.as_str().into(), beacons(list, &target)));
    }
    for list in &fields.multi_references {
        let target = &list.target_collection;
        members.push((list.prop_name.as_str().into(), beacons(list, target)));
    }
    Ok(())
}

/// The class that a reference property points to, if it points to one only.
fn only_target(list: &References, class: Option<&Class>) -> Result<String, String> {
    let name = small(&list.prop_name);
    let class_name = class.map_or("", |class| class.name.as_str());
    let property = class.and_then(|class| class.property(&name));
    let property = property.ok_or_else(|| unknown_property(&name, class_name))?;
    match property.targets.as_slice() {
        [only] => Ok(only.clone()),
        many => Err(format!(
            "target is a multi-target reference, need single target [{}]",
            many.join(" ")
        )),
    }
}

fn beacons<'m>(list: &References, target: &str) -> Json<'m> {
    let beacon = |id: &String| {
        let beacon = format!("weaviate://localhost/{target}/{id}");
        Json::Object(vec![("beacon".into(), Json::Text(beacon.into()))])
    };
    Json::Array(list.uuids.iter().map(beacon).collect())
}

/// The vectors, and what is wrong with one that does not keep the object from being stored.
fn vectors(object: &BatchObject) -> (Vectors, Option<String>) {
    let legacy = match object.vector_bytes.is_empty() {
        true => object.vector.clone().into_boxed_slice(),
        false => floats(&object.vector_bytes),
    };
    let mut named = BTreeMap::new();
    let mut complaint = None;
    for vector in &object.vectors {
        match named_vector(vector) {
            Ok(read) => drop(named.insert(vector.name.as_str().into(), read)),
            Err(text) => complaint = Some(text),
        }
    }
    let vectors = Vectors {
        legacy: Some(legacy).filter(|row| !row.is_empty()),
        named: named.into_iter().collect(),
    };
    (vectors, complaint)
}

fn named_vector(vector: &NamedBytes) -> Result<NamedVector, String> {
    let Some((dimension, rows)) = vector
        .vector_bytes
        .split_at_checked(2)
        .filter(|_| vector.kind == MULTI)
    else {
        return Ok(NamedVector::Single(floats(&vector.vector_bytes)));
    };
    let dimension = u16::from_le_bytes(dimension.try_into().unwrap_or_default());
    if dimension == 0 {
        return Err("dimension cannot be 0".to_owned());
    }
    let rows = rows.chunks_exact(usize::from(dimension) * 4).map(floats);
    Ok(NamedVector::Multi(rows.collect()))
}

/// Bytes beyond whole floats are dropped.
fn floats(bytes: &[u8]) -> Box<[f32]> {
    let each = bytes.chunks_exact(4);
    each.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap_or_default()))
        .collect()
}
