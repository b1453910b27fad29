//! Any object, written as a message and decoded by prost, is the object.

use proptest::prelude::*;
use prost::Message;
use serde_json::{Map, Value, json};

use super::*;
use crate::model::{ObjectId, Tenant};
use crate::sandbox::messages::{
    BatchObject, BatchObjectsRequest, NestedFields, ObjectFields, Plain, PlainKind, Struct,
};

/// Lists of one kind each, as a schema allows them; objects of anything, to some depth.
fn value() -> impl Strategy<Value = Value> {
    let number = || {
        let double =
            proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO;
        prop_oneof![
            double.prop_map(|number| json!(number)),
            any::<i32>().prop_map(|int| json!(int))
        ]
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        number(),
        any::<bool>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::collection::vec(any::<String>(), 0..4).prop_map(Value::from),
        proptest::collection::vec(number(), 0..4).prop_map(Value::from),
        proptest::collection::vec(any::<bool>(), 0..4).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let object = members(inner);
        prop_oneof![
            object.clone(),
            proptest::collection::vec(object, 0..3).prop_map(Value::from),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> + Clone {
    let members = std::sync::Arc::new(proptest::collection::btree_map(".{1,3}", value, 0..4));
    members.prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// Numbers are f64 on the wire.
fn as_doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(list) => list.iter().map(as_doubles).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), as_doubles(value)))
            .collect(),
        other => other.clone(),
    }
}

fn plain(value: &Plain) -> Value {
    match value.kind.as_ref().expect("a kind") {
        PlainKind::Null(_) => Value::Null,
        PlainKind::Number(number) => json!(number),
        PlainKind::Text(text) => json!(text),
        PlainKind::Bool(is) => json!(is),
        PlainKind::Struct(_) | PlainKind::List(_) => panic!("these have containers of their own"),
    }
}

fn add_plain(fields: &Option<Struct>, object: &mut Map<String, Value>) {
    for (name, value) in fields.iter().flat_map(|fields| &fields.fields) {
        object.insert(name.clone(), plain(value));
    }
}

fn doubles(bytes: &[u8]) -> Value {
    let (eights, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty());
    eights
        .iter()
        .map(|eight| json!(f64::from_le_bytes(*eight)))
        .collect()
}

/// The same containers, under the numbers of either message.
macro_rules! decoded {
    ($fields:expr) => {{
        let (fields, mut object) = ($fields, Map::new());
        add_plain(&fields.plain, &mut object);
        for list in &fields.numbers {
            assert!(list.values.is_empty());
            object.insert(list.prop_name.clone(), doubles(&list.values_bytes));
        }
        for list in &fields.texts {
            object.insert(list.prop_name.clone(), json!(list.values));
        }
        for list in &fields.booleans {
            object.insert(list.prop_name.clone(), json!(list.values));
        }
        for inner in &fields.objects {
            let value = inner.value.as_ref().expect("an object");
            object.insert(inner.prop_name.clone(), nested_of(value));
        }
        for list in &fields.object_arrays {
            object.insert(
                list.prop_name.clone(),
                list.values.iter().map(nested_of).collect(),
            );
        }
        for name in &fields.empty_lists {
            object.insert(name.clone(), json!([]));
        }
        Value::Object(object)
    }};
}

fn nested_of(fields: &NestedFields) -> Value {
    decoded!(fields)
}

fn top_of(fields: &ObjectFields) -> Value {
    decoded!(fields)
}

fn written(object: &mut GrpcObject, key: &Key, properties: &Value) -> Vec<u8> {
    let collection = CollectionName::parse("Kind").expect("a name");
    object.begin(&collection, key).expect("a beginning");
    for (name, value) in properties.as_object().expect("an object") {
        object
            .property(name, &value.to_string())
            .expect("a property");
    }
    let mut request = Vec::new();
    object.end(&mut request);
    request
}

fn decoded_objects(request: &[u8]) -> Vec<BatchObject> {
    BatchObjectsRequest::decode(request)
        .expect("a request")
        .objects
}

proptest! {
    #[test]
    fn properties_are_decoded_as_what_they_were(first in members(value()), second in members(value())) {
        // The writer is used again, and must keep nothing.
        let (mut object, mut request) = (GrpcObject::default(), Vec::new());
        let key = Key { tenant: Tenant::named("blue"), id: ObjectId::from_u128(7) };
        request.extend(written(&mut object, &key, &first));
        request.extend(written(&mut object, &Key::of(ObjectId::MAX), &second));
        let objects = decoded_objects(&request);
        prop_assert_eq!(objects.len(), 2);
        for (object, (key, properties)) in objects.iter().zip([(&key, &first), (&Key::of(ObjectId::MAX), &second)]) {
            prop_assert_eq!(&object.uuid, &key.id.to_string());
            prop_assert_eq!((object.collection.as_str(), object.tenant.as_str()), ("Kind", key.tenant.as_str()));
            let found = top_of(object.properties.as_ref().expect("properties"));
            prop_assert_eq!(format!("{found:?}"), format!("{:?}", as_doubles(properties)));
        }
    }

    #[test]
    fn vectors_keep_their_bits(bits in proptest::collection::vec(any::<u32>(), 1..9), name in "[a-z]{1,3}") {
        let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let mut object = GrpcObject::default();
        let collection = CollectionName::parse("Kind").expect("a name");
        object.begin(&collection, &Key::of(ObjectId::NIL)).expect("a beginning");
        let rows = [&bytes[..], &bytes[..]].concat();
        let multi = Vector::Multi { dimensions: bits.len(), rows: &rows };
        for (name, vector) in [(None, Vector::Single(&bytes)), (Some(&*name), Vector::Single(&bytes)), (Some("rows"), multi)] {
            prop_assert_eq!(object.vector(name, vector).expect("a vector"), None);
        }
        prop_assert!(object.vector(None, multi).expect("no error").is_some());
        let mut request = Vec::new();
        object.end(&mut request);
        let objects = decoded_objects(&request);
        prop_assert_eq!(&objects[0].vector_bytes, &bytes);
        let [one, two] = &objects[0].vectors[..] else { panic!("two vectors") };
        prop_assert_eq!((&one.name, &one.vector_bytes, one.kind), (&name, &bytes, 1));
        let headed = [&(bits.len() as u16).to_le_bytes()[..], &rows].concat();
        prop_assert_eq!((two.name.as_str(), &two.vector_bytes, two.kind), ("rows", &headed, 2));
    }
}
