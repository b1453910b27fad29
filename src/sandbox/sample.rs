//! Sample collections: realistic objects, the same ones for the same seed, made without the detour over requests.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::class::{Activity, Class};
use super::definition::{self, Purpose};
use super::object::Object;
use super::settings::Settings;
use super::store::{Data, Store, now};
use super::write;

const WORDS: [&str; 40] = [
    "harbour", "lantern", "winter", "engine", "paper", "river", "signal", "garden", "copper",
    "window", "market", "island", "letter", "mountain", "bridge", "shadow", "orchard", "station",
    "velvet", "thunder", "café", "Größe", "naïve", "Łódź", "東京", "música", "tide", "anchor",
    "meadow", "granite", "ember", "quartz", "willow", "compass", "feather", "canvas", "hollow",
    "summit", "marble", "drift",
];

/// The definition that `Store::fill` gives a collection without tenants.
pub fn sample_definition(collection: &str) -> Value {
    json!({
        "class": collection, "vectorizer": "none",
        "properties": [
            {"name": "title", "dataType": ["text"]}, {"name": "body", "dataType": ["text"]},
            {"name": "views", "dataType": ["int"]}, {"name": "score", "dataType": ["number"]},
            {"name": "published", "dataType": ["date"]}, {"name": "tags", "dataType": ["text[]"]},
        ],
    })
}

impl Store {
    /// Adds so many sample objects with unit vectors of so many dimensions (0 for none) to a collection, which is created
    /// if missing. The same collection name, count and seed give the same ids and contents; ids are UUIDv5 of name, seed
    /// and position. In a collection with tenants the objects go round the tenants that exist.
    pub fn fill(&self, collection: &str, objects: usize, dimensions: usize, seed: u64) {
        let mut data = self.write();
        if data.class(collection).is_none()
            && create(&mut data, sample_definition(collection)).is_none()
        {
            return;
        }
        let Some(class) = data.class_mut(collection) else {
            return;
        };
        let mut random = fastrand::Rng::with_seed(seed);
        let time = now();
        let names: Vec<String> = class.partitions.keys().cloned().collect();
        let name = class.name.clone();
        for at in 0..objects {
            let id = sample_id(&name, seed, at);
            let object = sample_object(&mut random, dimensions, time);
            let tenant = names
                .get(at % names.len().max(1))
                .and_then(|name| class.partitions.get_mut(name));
            if let Some(partition) = tenant {
                if dimensions > 0 {
                    partition.dimensions.entry("".into()).or_insert(dimensions);
                }
                partition.objects.insert(id, Arc::new(object));
            }
        }
    }

    /// Creates a collection from a definition as it would be posted, with all defaults; the error is the server's reply.
    pub fn create(&self, definition: &Value) -> Result<(), String> {
        let mut data = self.write();
        let defined =
            definition::define(definition, &data, &Settings::default(), Purpose::Creation);
        let defined = defined.map_err(|refusal| refusal.body)?;
        let name = defined["class"].as_str().unwrap_or_default().to_owned();
        if data.classes.contains_key(&name) {
            return Err(format!("class name {name} already exists"));
        }
        data.classes
            .insert(name.clone(), Class::new(&name, defined));
        Ok(())
    }

    /// Adds a tenant to a collection that has tenants; one that exists stays as it is.
    pub fn add_tenant(&self, collection: &str, tenant: &str, activity: Activity) {
        if let Some(class) = self
            .write()
            .class_mut(collection)
            .filter(|class| class.has_tenants())
        {
            class.add_tenant(tenant, activity);
        }
    }

    /// Points an alias to a collection.
    pub fn add_alias(&self, alias: &str, collection: &str) {
        self.write()
            .aliases
            .insert(alias.to_owned(), collection.to_owned());
    }
}

fn create(data: &mut Data, definition: Value) -> Option<()> {
    let defined =
        definition::define(&definition, data, &Settings::default(), Purpose::Creation).ok()?;
    let name = defined["class"].as_str()?.to_owned();
    data.classes
        .insert(name.clone(), Class::new(&name, defined));
    Some(())
}

/// The id of the sample object at that position.
pub fn sample_id(collection: &str, seed: u64, position: usize) -> Uuid {
    Uuid::new_v5(
        &Uuid::NAMESPACE_URL,
        format!("sandbox/{collection}/{seed}/{position}").as_bytes(),
    )
}

fn sample_object(random: &mut fastrand::Rng, dimensions: usize, time: i64) -> Object {
    let mut text = String::with_capacity(400);
    text.push_str("{\"body\":");
    let length = random.usize(12..40);
    write::string(&mut text, &sentence(random, length));
    let day = (
        random.u32(0..28) + 1,
        random.u32(0..12) + 1,
        random.u32(2001..2026),
    );
    let clock = (random.u32(0..24), random.u32(0..60), random.u32(0..60));
    let _infallible = write!(
        text,
        ",\"published\":\"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z\",\"score\":",
        day.2, day.1, day.0, clock.0, clock.1, clock.2
    );
    write::float64(&mut text, (random.f64() * 10_000.0).round() / 100.0);
    text.push_str(",\"tags\":");
    let tags: Vec<&str> = (0..random.usize(0..4))
        .map(|_| WORDS[random.usize(..WORDS.len())])
        .collect();
    write::list(&mut text, tags, write::string);
    text.push_str(",\"title\":");
    write::string(&mut text, &sentence(random, 4));
    let _infallible = write!(text, ",\"views\":{}}}", random.u32(0..1_000_000));
    Object {
        created: time,
        updated: time,
        properties: text.into(),
        vector: (dimensions > 0).then(|| unit_vector(random, dimensions)),
        vectors: Vec::new(),
        indexed: None,
        unreadable: None,
    }
}

fn sentence(random: &mut fastrand::Rng, words: usize) -> String {
    let chosen: Vec<&str> = (0..words)
        .map(|_| WORDS[random.usize(..WORDS.len())])
        .collect();
    chosen.join(" ")
}

fn unit_vector(random: &mut fastrand::Rng, dimensions: usize) -> Box<[f32]> {
    let raw: Vec<f32> = (0..dimensions).map(|_| random.f32() - 0.5).collect();
    let length = raw
        .iter()
        .map(|value| value * value)
        .sum::<f32>()
        .sqrt()
        .max(f32::MIN_POSITIVE);
    raw.into_iter().map(|value| value / length).collect()
}
