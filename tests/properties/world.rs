//! Random collections: every type of property at its limits, ids that cluster, vectors of any bits.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

/// A collection with its objects, as they are posted.
#[derive(Debug, Clone)]
pub struct World {
    pub vectors: Vectors,
    pub tenants: u8,
    /// Has the types alone that gRPC carries exactly.
    pub is_exact: bool,
    pub objects: Vec<Generated>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Vectors {
    None,
    Legacy,
    Named,
}

#[derive(Debug, Clone)]
pub struct Generated {
    id: u128,
    tenant: u8,
    properties: Vec<(usize, Value)>,
    /// Seeds the vectors; `None` has none.
    vector: Option<u32>,
}

/// The first of these are exact over gRPC.
const EXACT: usize = 12;
const PROPERTIES: [(&str, &str); 16] = [
    ("text", "text"),
    ("texts", "text[]"),
    ("int", "int"),
    ("ints", "int[]"),
    ("number", "number"),
    ("numbers", "number[]"),
    ("flag", "boolean"),
    ("flags", "boolean[]"),
    ("date", "date"),
    ("dates", "date[]"),
    ("uuid", "uuid"),
    ("uuids", "uuid[]"),
    ("place", "geoCoordinates"),
    ("phone", "phoneNumber"),
    ("blob", "blob"),
    ("nested", "object"),
];

pub fn definition(world: &World) -> Value {
    let mut properties: Vec<Value> = PROPERTIES
        .iter()
        .map(|(name, kind)| json!({"name": name, "dataType": [kind]}))
        .collect();
    properties[15]["nestedProperties"] = json!([
        {"name": "text", "dataType": ["text"]}, {"name": "int", "dataType": ["int"]},
        {"name": "deeper", "dataType": ["object[]"], "nestedProperties": [
            {"name": "numbers", "dataType": ["number[]"]}, {"name": "text", "dataType": ["text"]}]},
    ]);
    if world.is_exact {
        properties.truncate(EXACT);
    }
    let mut class = json!({"class": "World", "properties": properties});
    match world.vectors {
        Vectors::Named => {
            class["vectorConfig"] = json!({
                "one": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"},
                "two": {"vectorizer": {"none": {}}, "vectorIndexType": "flat"},
            });
        }
        _ => class["vectorizer"] = json!("none"),
    }
    if world.tenants > 0 {
        class["multiTenancyConfig"] = json!({"enabled": true});
    }
    class
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{0,12}",
        "\\PC{0,8}",
        proptest::collection::vec(any::<char>(), 0..6)
            .prop_map(|letters| letters.into_iter().collect()),
        Just("\u{0}\u{1}\u{1f}\u{7f}\u{2028}\"\\/\u{feff}😀".to_owned()),
    ]
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i32>().prop_map(i64::from),
        Just(i64::MIN),
        Just(i64::MAX),
        Just((1 << 53) + 1),
        Just(0),
    ]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
        Just(-0.0),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        Just(5e-324),
        Just(1e21),
        Just(100.0),
    ]
}

fn date() -> impl Strategy<Value = String> {
    (
        1..=9999u16,
        1..=12u8,
        1..=28u8,
        0..24u8,
        0..1_000_000_000u32,
        0..3usize,
    )
        .prop_map(|(year, month, day, hour, nanos, zone)| {
            let zone = ["Z", "+05:30", "-11:00"][zone];
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:59:07.{nanos:09}{zone}")
        })
}

fn value(property: usize) -> BoxedStrategy<Value> {
    fn list<T: Into<Value> + Clone + std::fmt::Debug + 'static>(
        element: impl Strategy<Value = T> + 'static,
    ) -> BoxedStrategy<Value> {
        proptest::collection::vec(element.prop_map(Into::into), 0..4)
            .prop_map(Value::Array)
            .boxed()
    }
    let id = || any::<u128>().prop_map(|id| Uuid::from_u128(id).to_string());
    match PROPERTIES[property].1 {
        "text" => text().prop_map(Value::from).boxed(),
        "text[]" => list(text()),
        "int" => int().prop_map(Value::from).boxed(),
        "int[]" => list(int()),
        "number" => number().prop_map(Value::from).boxed(),
        "number[]" => list(number()),
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "boolean[]" => list(any::<bool>()),
        "date" => date().prop_map(Value::from).boxed(),
        "date[]" => list(date()),
        "uuid" => id().prop_map(Value::from).boxed(),
        "uuid[]" => list(id()),
        "geoCoordinates" => (-90f32..90.0, -180f32..180.0)
            .prop_map(|(latitude, longitude)| json!({"latitude": latitude, "longitude": longitude}))
            .boxed(),
        "phoneNumber" => (200_000..9_999_999u32)
            .prop_map(|number| json!({"input": format!("030 {number}"), "defaultCountry": "DE"}))
            .boxed(),
        "blob" => Just(json!("aGVsbG8=")).boxed(),
        _ => (
            text(),
            int(),
            proptest::collection::vec((number(), text()), 0..3),
        )
            .prop_map(|(text, int, deeper)| {
                let deeper: Vec<Value> = deeper
                    .into_iter()
                    .map(|(number, text)| json!({"numbers": [number, -0.0], "text": text}))
                    .collect();
                json!({"text": text, "int": int, "deeper": deeper})
            })
            .boxed(),
    }
}

fn object() -> impl Strategy<Value = Generated> {
    let id = prop_oneof![
        4 => any::<u128>(),
        2 => 0..500u128,
        1 => Just(u128::MAX),
        1 => Just(0),
    ];
    let property = (0..PROPERTIES.len())
        .prop_flat_map(|which| value(which).prop_map(move |value| (which, value)));
    let properties = proptest::collection::vec(property, 0..5);
    let vector = proptest::option::weighted(0.8, any::<u32>());
    (id, any::<u8>(), properties, vector).prop_map(|(id, tenant, properties, vector)| Generated {
        id,
        tenant,
        properties,
        vector,
    })
}

/// A few objects with everything in them, and up to 400 that only count.
pub fn world() -> impl Strategy<Value = World> {
    let size = prop_oneof![Just(0usize), 1..10usize, 10..400usize];
    let rich = proptest::collection::vec(object(), 0..25);
    let vectors = prop_oneof![
        Just(Vectors::None),
        Just(Vectors::Legacy),
        Just(Vectors::Named)
    ];
    (vectors, 0..4u8, any::<bool>(), rich, size, any::<u64>()).prop_map(
        |(vectors, tenants, is_exact, mut objects, size, seed)| {
            let mut random = fastrand::Rng::with_seed(seed);
            let is_clustered = random.bool();
            let plain = (0..size).map(|index| Generated {
                id: if is_clustered {
                    index as u128 + (7 << 90)
                } else {
                    random.u128(..)
                },
                tenant: random.u8(..),
                properties: vec![(2, json!(index))],
                vector: Some(random.u32(..)),
            });
            objects.extend(plain);
            World {
                vectors,
                tenants,
                is_exact,
                objects,
            }
        },
    )
}

pub fn body(world: &World, generated: &Generated) -> Value {
    let mut properties = json!({});
    let is_known = |which: &usize| !world.is_exact || *which < EXACT;
    for (which, value) in generated
        .properties
        .iter()
        .filter(|(which, _)| is_known(which))
    {
        properties[PROPERTIES[*which].0] = value.clone();
    }
    let mut object =
        json!({"class": "World", "id": Uuid::from_u128(generated.id), "properties": properties});
    if world.tenants > 0 {
        object["tenant"] = json!(format!("tenant{}", generated.tenant % world.tenants));
    }
    let Some(seed) = generated.vector else {
        return object;
    };
    let mut random = fastrand::Rng::with_seed(u64::from(seed));
    let mut row = |length: usize| -> Vec<f32> {
        let mut float = || {
            Some(f32::from_bits(random.u32(..)))
                .filter(|value| value.is_finite())
                .unwrap_or(-0.0)
        };
        (0..length).map(|_| float()).collect()
    };
    match world.vectors {
        Vectors::None => {}
        Vectors::Legacy => object["vector"] = json!(row(5)),
        Vectors::Named if seed % 3 == 0 => object["vectors"] = json!({"two": row(3)}),
        Vectors::Named => object["vectors"] = json!({"one": row(2), "two": row(3)}),
    }
    object
}
