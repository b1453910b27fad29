//! The data sets: the same objects for the same seed, made object by object.
//!
//! D1 is 100,000 objects with unit vectors of 384 dimensions and six properties, among them a body of about 400
//! characters; D2 is 20,000 with 1536 dimensions.

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::wire;

/// How ids are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// UUIDv5: evenly spread.
    Random,
    /// 1, 2, 3, …
    Sequential,
    /// UUIDv7, all of one second.
    OneSecond,
}

/// A set of objects.
#[derive(Clone, Debug)]
pub struct DataSet {
    pub collection: String,
    pub objects: u64,
    pub dimensions: usize,
    pub ids: Ids,
    /// The vector index is built while the objects are stored.
    pub has_index: bool,
}

impl DataSet {
    pub fn definition(&self) -> Value {
        let text = |name: &str| json!({"name": name, "dataType": ["text"]});
        json!({
            "class": self.collection, "vectorizer": "none", "vectorIndexType": "hnsw",
            "vectorIndexConfig": {"skip": !self.has_index},
            "properties": [text("title"), text("body"), {"name": "views", "dataType": ["int"]},
                {"name": "score", "dataType": ["number"]}, {"name": "published", "dataType": ["date"]},
                {"name": "tags", "dataType": ["text[]"]}],
        })
    }

    /// Requests of so many objects each, encoded: BatchObjects.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = Bytes> + use<> {
        let mut random = fastrand::Rng::with_seed(self.dimensions as u64);
        let (set, mut at) = (self.clone(), 0);
        std::iter::from_fn(move || {
            let end = (at + size as u64).min(set.objects);
            let mut message = Vec::new();
            for index in at..end {
                wire::bytes(&mut message, 1, &set.object(index, &mut random));
            }
            at = end;
            (!message.is_empty()).then(|| message.into())
        })
    }

    fn id(&self, index: u64) -> Uuid {
        match self.ids {
            Ids::Random => Uuid::new_v5(&Uuid::NAMESPACE_OID, &index.to_le_bytes()),
            Ids::Sequential => Uuid::from_u128(u128::from(index) + 1),
            Ids::OneSecond => {
                let random = Uuid::new_v5(&Uuid::NAMESPACE_OID, &index.to_le_bytes()).as_u128();
                let millis = 1_770_000_000_000 + u128::from(index * 1_000 / self.objects.max(1));
                let low = (random & !(0xf << 76)) & ((1 << 80) - 1);
                Uuid::from_u128(millis << 80 | 7 << 76 | low)
            }
        }
    }

    /// BatchObject.
    fn object(&self, index: u64, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut object = Vec::with_capacity(self.dimensions * 4 + 800);
        wire::bytes(&mut object, 1, self.id(index).to_string().as_bytes());
        wire::bytes(&mut object, 4, self.collection.as_bytes());
        wire::bytes(&mut object, 3, &properties(index, random));
        wire::bytes(&mut object, 6, &unit_vector(self.dimensions, random));
        object
    }
}

fn properties(index: u64, random: &mut fastrand::Rng) -> Vec<u8> {
    let (mut plain, mut tags, mut message) = (Vec::new(), Vec::new(), Vec::new());
    let title = format!("{} {}", word(random), word(random));
    let body: Vec<String> = (0..60).map(|_| word(random)).collect();
    let published = format!("2026-{:02}-{:02}T10:30:00Z", index % 12 + 1, index % 28 + 1);
    for (name, text) in [
        ("title", title),
        ("body", body.join(" ")),
        ("published", published),
    ] {
        entry(&mut plain, name, |value| {
            wire::bytes(value, 3, text.as_bytes())
        });
    }
    entry(&mut plain, "views", |value| {
        wire::double(value, 2, random.u32(..).into())
    });
    entry(&mut plain, "score", |value| {
        wire::double(value, 2, random.f64())
    });
    for _ in 0..3 {
        wire::bytes(&mut tags, 1, word(random).as_bytes());
    }
    wire::bytes(&mut tags, 2, b"tags");
    wire::bytes(&mut message, 1, &plain);
    wire::bytes(&mut message, 6, &tags);
    message
}

/// An entry of a Struct.
fn entry(fields: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    let (mut value, mut entry) = (Vec::new(), Vec::new());
    write(&mut value);
    wire::bytes(&mut entry, 1, name.as_bytes());
    wire::bytes(&mut entry, 2, &value);
    wire::bytes(fields, 1, &entry);
}

/// One of some ten thousand words of five or six letters.
fn word(random: &mut fastrand::Rng) -> String {
    const SYLLABLES: [&str; 22] = [
        "ba", "co", "di", "fe", "gu", "ha", "ki", "lo", "mu", "ne", "pa", "qi", "ro", "su", "ta",
        "ve", "wo", "xu", "ya", "zo", "er", "in",
    ];
    (0..3)
        .map(|_| SYLLABLES[random.usize(..SYLLABLES.len())])
        .collect()
}

fn unit_vector(dimensions: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let numbers: Vec<f32> = (0..dimensions).map(|_| random.f32() * 2.0 - 1.0).collect();
    let length = numbers
        .iter()
        .map(|number| number * number)
        .sum::<f32>()
        .sqrt();
    numbers
        .iter()
        .flat_map(|number| (number / length).to_le_bytes())
        .collect()
}
