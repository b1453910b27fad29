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
        let sentences: Vec<String> = (0..64).map(|_| sentence(&mut random, 9)).collect();
        let time = now();
        let names: Vec<String> = class.partitions.keys().cloned().collect();
        let name = class.name.clone();
        for at in 0..objects {
            let id = sample_id(&name, seed, at);
            let object = sample_object(&mut random, &sentences, dimensions, time);
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

    /// Moves a tenant that exists to another activity.
    pub fn set_activity(&self, collection: &str, tenant: &str, activity: Activity) {
        let mut data = self.write();
        let class = data.class_mut(collection);
        let partition = class.and_then(|class| class.partitions.get_mut(tenant));
        if let Some(partition) = partition {
            partition.activity = activity;
        }
    }

    /// Deletes a tenant with its objects.
    pub fn remove_tenant(&self, collection: &str, tenant: &str) {
        if let Some(class) = self.write().class_mut(collection) {
            class.partitions.remove(tenant);
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

fn sample_object(
    random: &mut fastrand::Rng,
    sentences: &[String],
    dimensions: usize,
    time: i64,
) -> Object {
    let mut text = String::with_capacity(480);
    text.push_str("{\"body\":\"");
    // The words hold nothing that JSON would escape, so they go in as they are.
    for _ in 0..random.usize(2..6) {
        text.push_str(&sentences[random.usize(..sentences.len())]);
        text.push_str(". ");
    }
    text.push('"');
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_objects_and_another_one_does_not() {
        let filled = |seed| {
            let store = Store::new();
            store.fill("Article", 50, 4, seed);
            store.dump("Article")
        };
        assert_eq!(filled(1), filled(1));
        assert_ne!(filled(1), filled(2));
        assert_eq!(filled(1).len(), 50);
    }

    #[test]
    fn sample_objects_hold_every_property_of_their_definition() {
        let store = Store::new();
        store.fill("Article", 20, 3, 1);
        for object in store.dump("Article") {
            let properties: Value = serde_json::from_str(&object.properties).expect("JSON");
            assert_eq!(properties.as_object().map(serde_json::Map::len), Some(6));
            assert_eq!(object.vector.len(), 3);
        }
    }

    #[test]
    fn a_snapshot_keeps_what_was_and_can_be_put_back() {
        let store = Store::new();
        store.fill("Article", 5, 0, 1);
        let (snapshot, before) = (store.snapshot(), store.dump("Article"));
        store.fill("Article", 5, 0, 2);
        assert_eq!(store.count("Article"), 10);
        store.restore(&snapshot);
        assert_eq!(store.dump("Article"), before);
    }
}
