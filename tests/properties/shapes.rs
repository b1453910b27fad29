//! Random definitions with objects that fit them: properties nested to any depth, settings, vectors, tenants.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A collection as it is posted; names are given by the place.
#[derive(Debug, Clone)]
pub struct Shape {
    pub properties: Vec<Property>,
    pub vectors: Vectors,
    /// True for those that are active in the end.
    pub tenants: Vec<bool>,
    settings: u8,
    pub objects: Vec<Seed>,
}

#[derive(Debug, Clone)]
pub enum Property {
    /// A type by its place in the list, and bits that choose its settings.
    Leaf(usize, u8),
    /// An object, or several, with properties of its own.
    Nested(bool, Vec<Property>),
    /// An object that may be taken for coordinates.
    LookAlike,
}

#[derive(Debug, Clone)]
pub enum Vectors {
    None,
    Legacy(u8),
    /// Length, and true for rows of it.
    Named(Vec<(u8, bool)>),
    Both(u8, u8),
}

/// Chooses an object's values; the id apart, because ids cluster.
#[derive(Debug, Clone)]
pub struct Seed {
    id: u128,
    values: u64,
}

const LEAVES: [&str; 15] = [
    "text",
    "text[]",
    "int",
    "int[]",
    "number",
    "number[]",
    "boolean",
    "boolean[]",
    "date",
    "date[]",
    "uuid",
    "uuid[]",
    "blob",
    "geoCoordinates",
    "phoneNumber",
];
/// Nested objects have no places and no phone numbers.
const NESTED_LEAVES: usize = 13;

fn property(depth: u32) -> BoxedStrategy<Property> {
    let leaves = if depth == 0 {
        LEAVES.len()
    } else {
        NESTED_LEAVES
    };
    let leaf = (0..leaves, any::<u8>()).prop_map(|(kind, settings)| Property::Leaf(kind, settings));
    if depth == 4 {
        return leaf.boxed();
    }
    let nested = (
        any::<bool>(),
        proptest::collection::vec(property(depth + 1), 1..4),
    )
        .prop_map(|(is_list, members)| Property::Nested(is_list, members));
    prop_oneof![5 => leaf, 2 => nested, 1 => Just(Property::LookAlike)].boxed()
}

fn vectors() -> impl Strategy<Value = Vectors> {
    prop_oneof![
        Just(Vectors::None),
        (1..9u8).prop_map(Vectors::Legacy),
        proptest::collection::vec((1..6u8, any::<bool>()), 1..4).prop_map(Vectors::Named),
        (1..5u8, 1..5u8).prop_map(|(legacy, named)| Vectors::Both(legacy, named)),
    ]
}

pub fn shape() -> impl Strategy<Value = Shape> {
    let id = prop_oneof![3 => any::<u128>(), 2 => 0..60u128, 1 => Just(u128::MAX), 1 => Just(0)];
    let seed = (id, any::<u64>()).prop_map(|(id, values)| Seed { id, values });
    let tenants =
        prop_oneof![3 => Just(Vec::new()), 1 => proptest::collection::vec(any::<bool>(), 1..5)];
    (
        proptest::collection::vec(property(0), 0..7),
        vectors(),
        tenants,
        any::<u8>(),
        proptest::collection::vec(seed, 0..14),
    )
        .prop_map(|(properties, vectors, tenants, settings, objects)| Shape {
            properties,
            vectors,
            tenants,
            settings,
            objects,
        })
}

pub fn tenant(number: usize) -> String {
    format!("Tenant-{number}")
}

impl Shape {
    pub fn definition(&self, class: &str) -> Value {
        let bit = |bit: u8| self.settings & bit != 0;
        let mut out = json!({"class": class, "properties": members(&self.properties)});
        if bit(1) {
            out["description"] = "\u{e9} \"described\"".into();
        }
        out["invertedIndexConfig"] = json!({"indexNullState": bit(2), "indexPropertyLength": bit(4), "indexTimestamps": bit(8),
            "bm25": {"b": if bit(16) { 0.5 } else { 0.75 }, "k1": 1.2}, "cleanupIntervalSeconds": if bit(32) { 30 } else { 60 }});
        if !self.tenants.is_empty() {
            out["multiTenancyConfig"] = json!({"enabled": true, "autoTenantCreation": bit(64), "autoTenantActivation": false});
        } else if bit(128) {
            out["shardingConfig"] = json!({"desiredCount": 2});
        }
        match &self.vectors {
            Vectors::Named(named) => {
                let named = named
                    .iter()
                    .enumerate()
                    .map(|(at, (_, is_multi))| (format!("v{at}"), index(*is_multi)));
                out["vectorConfig"] = named.collect::<Map<String, Value>>().into();
            }
            _ => out["vectorizer"] = "none".into(),
        }
        out
    }

    /// What can only be set afterwards.
    pub fn update(&self) -> Option<Value> {
        matches!(self.vectors, Vectors::Both(..)).then(|| json!({"v0": index(false)}))
    }

    /// The objects to be posted; the last of one id wins.
    pub fn posted(&self, class: &str) -> Vec<Value> {
        self.objects
            .iter()
            .map(|seed| self.object(class, seed))
            .collect()
    }

    fn object(&self, class: &str, seed: &Seed) -> Value {
        let mut random = fastrand::Rng::with_seed(seed.values);
        let mut out = json!({"class": class, "id": Uuid::from_u128(seed.id), "properties": values(&self.properties, &mut random)});
        if !self.tenants.is_empty() {
            out["tenant"] = tenant(random.usize(..self.tenants.len())).into();
        }
        let mut row =
            |length: u8| -> Vec<f32> { (0..length).map(|_| float(&mut random)).collect() };
        match &self.vectors {
            Vectors::None => {}
            Vectors::Legacy(length) => out["vector"] = json!(row(*length)),
            Vectors::Both(legacy, named) => {
                out["vector"] = json!(row(*legacy));
                out["vectors"] = json!({"v0": row(*named)});
            }
            Vectors::Named(named) => {
                let present = named
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| seed.values >> at & 1 == 1);
                let vectors: Map<String, Value> = present
                    .map(|(at, (length, is_multi))| {
                        (
                            format!("v{at}"),
                            if *is_multi {
                                json!([row(*length), row(*length)])
                            } else {
                                json!(row(*length))
                            },
                        )
                    })
                    .collect();
                out["vectors"] = vectors.into();
            }
        }
        // Some objects have no vector at all.
        if seed.values.is_multiple_of(7) {
            out["vector"] = Value::Null;
            out["vectors"] = Value::Null;
        }
        out
    }
}

fn index(is_multi: bool) -> Value {
    match is_multi {
        true => {
            json!({"vectorizer": {"none": {}}, "vectorIndexType": "hnsw", "vectorIndexConfig": {"multivector": {"enabled": true}}})
        }
        false => json!({"vectorizer": {"none": {}}, "vectorIndexType": "flat"}),
    }
}

fn name(at: usize) -> String {
    format!("p{at}")
}

fn members(properties: &[Property]) -> Value {
    properties
        .iter()
        .enumerate()
        .map(|(at, property)| definition(&name(at), property))
        .collect()
}

fn definition(name: &str, property: &Property) -> Value {
    match property {
        Property::Leaf(kind, settings) => {
            let mut out = json!({"name": name, "dataType": [LEAVES[*kind]]});
            let is_text = LEAVES[*kind].starts_with("text");
            if settings & 1 != 0 {
                out["description"] = format!("{name} is described").into();
            }
            if is_text {
                out["tokenization"] = ["word", "field", "whitespace", "lowercase"]
                    [usize::from(settings >> 1 & 3)]
                .into();
                out["indexSearchable"] = (settings & 8 == 0).into();
            }
            out["indexFilterable"] = (settings & 16 == 0 && LEAVES[*kind] != "blob").into();
            out
        }
        Property::Nested(is_list, nested) => {
            let kind = if *is_list { "object[]" } else { "object" };
            json!({"name": name, "dataType": [kind], "nestedProperties": members(nested)})
        }
        Property::LookAlike => json!({"name": name, "dataType": ["object"], "nestedProperties": [
            {"name": "latitude", "dataType": ["number"]}, {"name": "longitude", "dataType": ["number"]}, {"name": "label", "dataType": ["text"]}]}),
    }
}

fn values(properties: &[Property], random: &mut fastrand::Rng) -> Value {
    let mut out = Map::new();
    for (at, property) in properties.iter().enumerate() {
        match random.u8(..8) {
            0 => {}
            1 => drop(out.insert(name(at), Value::Null)),
            _ => drop(out.insert(name(at), value(property, random))),
        }
    }
    out.into()
}

fn value(property: &Property, random: &mut fastrand::Rng) -> Value {
    match property {
        Property::Leaf(kind, _) => match LEAVES[*kind].strip_suffix("[]") {
            Some(element) => (0..random.usize(..4))
                .map(|_| leaf(element, random))
                .collect(),
            None => leaf(LEAVES[*kind], random),
        },
        Property::Nested(true, nested) => (0..random.usize(..3))
            .map(|_| values(nested, random))
            .collect(),
        Property::Nested(false, nested) => values(nested, random),
        Property::LookAlike => match random.u8(..3) {
            0 => json!({"latitude": random.f32(), "longitude": 0.1}),
            1 => json!({"latitude": 0.1, "label": "not a place", "longitude": 1e300}),
            _ => json!({"latitude": 0.1}),
        },
    }
}

fn leaf(kind: &str, random: &mut fastrand::Rng) -> Value {
    match kind {
        "text" => text(random).into(),
        "int" => pick(
            random,
            &[i64::MIN, i64::MAX, 0, -1, 1 << 53, (1 << 53) + 1, 42],
        )
        .into(),
        "number" => match random.u8(..4) {
            0 => {
                json!(pick(
                    random,
                    &[-0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e21, 1e-7, 100.0]
                ))
            }
            _ => json!(
                Some(f64::from_bits(random.u64(..)))
                    .filter(|number| number.is_finite())
                    .unwrap_or(-0.0)
            ),
        },
        "boolean" => random.bool().into(),
        "date" => date(random).into(),
        "uuid" => Uuid::from_u128(random.u128(..)).to_string().into(),
        "blob" => pick(random, &["aA==", "aGVsbG8=", "AAECAwQF"]).into(),
        "geoCoordinates" => {
            json!({"latitude": random.f32() * 90.0, "longitude": random.f32() * -180.0})
        }
        _ => {
            json!({"input": format!("030 {}", random.u32(200_000..9_999_999)), "defaultCountry": "DE"})
        }
    }
}

fn text(random: &mut fastrand::Rng) -> String {
    match random.u8(..4) {
        0 => String::new(),
        1 => "\u{0}\u{1}\u{1f}\u{7f}\u{2028}\"\\/\u{feff}😀".to_owned(),
        _ => (0..random.usize(..9)).map(|_| random.char(..)).collect(),
    }
}

fn date(random: &mut fastrand::Rng) -> String {
    let zone = pick(random, &["Z", "+05:30", "-11:00", "+00:00"]);
    let fraction = match random.u8(..3) {
        0 => String::new(),
        1 => format!(".{}", random.u32(1..10)),
        _ => format!(".{:09}", random.u32(..1_000_000_000)),
    };
    let (year, month, day) = (random.u16(1..=9999), random.u8(1..=12), random.u8(1..=28));
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:59:07{fraction}{zone}",
        random.u8(..24)
    )
}

fn float(random: &mut fastrand::Rng) -> f32 {
    Some(f32::from_bits(random.u32(..)))
        .filter(|number| number.is_finite())
        .unwrap_or(-0.0)
}

fn pick<T: Copy>(random: &mut fastrand::Rng, from: &[T]) -> T {
    from[random.usize(..from.len())]
}
