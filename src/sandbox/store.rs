//! The in-memory store: classes, tenants, aliases and objects, usable without a server in front.
//!
//! Every request takes effect under one lock, so a snapshot never holds half a write. Objects are shared, not copied: a
//! snapshot of 100,000 objects costs the nodes of a map.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;
use uuid::Uuid;

use super::class::{Activity, Class};
use super::object::{NamedVector, Object};

/// All that a server holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Data {
    pub(super) classes: BTreeMap<String, Class>,
    pub(super) aliases: BTreeMap<String, String>,
}

impl Data {
    /// The class of that name or alias; the first letter may be a small one.
    pub(super) fn class(&self, name: &str) -> Option<&Class> {
        self.classes.get(&self.resolve(name))
    }

    /// As `class`, to change it.
    pub(super) fn class_mut(&mut self, name: &str) -> Option<&mut Class> {
        let name = self.resolve(name);
        self.classes.get_mut(&name)
    }

    /// The name with its first letter capitalised, and an alias replaced by what it points to.
    pub(super) fn resolve(&self, name: &str) -> String {
        let name = capitalised(name);
        self.aliases.get(&name).cloned().unwrap_or(name)
    }

    /// Whether `id` is stored in that class and tenant.
    pub(super) fn holds(&self, class: &str, tenant: &str, id: Uuid) -> bool {
        let partition = self
            .classes
            .get(class)
            .and_then(|class| class.partitions.get(tenant));
        partition.is_some_and(|partition| partition.objects.contains_key(&id))
    }

    /// The objects of all classes and tenants.
    pub(super) fn count(&self) -> usize {
        let partitions = self
            .classes
            .values()
            .flat_map(|class| class.partitions.values());
        partitions.map(|partition| partition.objects.len()).sum()
    }
}

/// The name with its first letter capitalised as the server does it: by byte, which garbles other alphabets.
pub(super) fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        None => String::new(),
        Some(first) if first.is_ascii() => {
            format!("{}{}", first.to_ascii_uppercase(), letters.as_str())
        }
        Some(first) => {
            let garbled = "\u{fffd}".repeat(first.len_utf8() - 1);
            format!(
                "{}{garbled}{}",
                name.as_bytes()[0] as char,
                letters.as_str()
            )
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A deep copy of a store at one moment; it is not changed by later writes.
#[derive(Debug, Clone)]
pub struct Snapshot(Data);

/// One object as `Store::dump` shows it: equal objects are equal in every stored bit, times left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dumped {
    /// The tenant, or `""`.
    pub tenant: String,
    /// The id.
    pub id: Uuid,
    /// The properties as compact JSON with sorted members.
    pub properties: String,
    /// The legacy vector as the bits of its floats, empty without one.
    pub vector: Vec<u32>,
    /// The rows of each named vector as the bits of their floats.
    pub vectors: BTreeMap<String, Vec<Vec<u32>>>,
}

/// The shared state of a sandbox; clones see the same state.
#[derive(Debug, Clone, Default)]
pub struct Store(Arc<RwLock<Data>>);

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store::default()
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Data> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Data> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of everything, between two writes.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.read().clone())
    }

    /// Puts back what a snapshot holds; writes since then are gone.
    pub fn restore(&self, snapshot: &Snapshot) {
        *self.write() = snapshot.0.clone();
    }

    /// The names of all classes, sorted.
    pub fn collections(&self) -> Vec<String> {
        self.read().classes.keys().cloned().collect()
    }

    /// The definition of a class as it is read back.
    pub fn definition(&self, collection: &str) -> Option<Value> {
        self.read()
            .class(collection)
            .map(|class| class.definition.clone())
    }

    /// All aliases and the classes they point to.
    pub fn aliases(&self) -> BTreeMap<String, String> {
        self.read().aliases.clone()
    }

    /// The names of the shards: random for each creation of a class, the tenants where it has some.
    pub fn shards(&self, collection: &str) -> Vec<String> {
        let data = self.read();
        data.class(collection)
            .map(|class| {
                class
                    .shards
                    .iter()
                    .map(|shard| shard.name.clone())
                    .collect()
            })
            .unwrap_or_default()
    }

    /// The tenants of a class and their activity.
    pub fn tenants(&self, collection: &str) -> BTreeMap<String, Activity> {
        let data = self.read();
        let Some(class) = data.class(collection).filter(|class| class.has_tenants()) else {
            return BTreeMap::new();
        };
        class
            .partitions
            .iter()
            .map(|(name, partition)| (name.clone(), partition.activity))
            .collect()
    }

    /// The number of objects of a class, all tenants together, cold ones too.
    pub fn count(&self, collection: &str) -> usize {
        let data = self.read();
        data.class(collection).map_or(0, |class| {
            class
                .partitions
                .values()
                .map(|part| part.objects.len())
                .sum()
        })
    }

    /// One object; `tenant` is `""` for a class without tenants.
    pub fn object(&self, collection: &str, tenant: &str, id: Uuid) -> Option<Arc<Object>> {
        self.read()
            .class(collection)?
            .partitions
            .get(tenant)?
            .objects
            .get(&id)
            .cloned()
    }

    /// Every object of a class, sorted by tenant and id, times left out.
    pub fn dump(&self, collection: &str) -> Vec<Dumped> {
        let data = self.read();
        let Some(class) = data.class(collection) else {
            return Vec::new();
        };
        let partitions = class.partitions.iter();
        partitions
            .flat_map(|(tenant, part)| {
                part.objects
                    .iter()
                    .map(move |(id, object)| dumped(tenant, *id, object))
            })
            .collect()
    }

    /// Sets or lifts the read-only state of every shard of a class.
    pub fn set_read_only(&self, collection: &str, read_only: bool) {
        if let Some(class) = self.write().class_mut(collection) {
            class
                .shards
                .iter_mut()
                .for_each(|shard| shard.read_only = read_only);
        }
    }
}

fn dumped(tenant: &str, id: Uuid, object: &Object) -> Dumped {
    let bits = |row: &[f32]| {
        row.iter()
            .map(|value| value.to_bits())
            .collect::<Vec<u32>>()
    };
    let rows = |vector: &NamedVector| vector.rows().into_iter().map(bits).collect();
    Dumped {
        tenant: tenant.to_owned(),
        id,
        properties: object.properties.to_string(),
        vector: object.vector.as_deref().map(bits).unwrap_or_default(),
        vectors: object
            .vectors
            .iter()
            .map(|(name, vector)| (name.to_string(), rows(vector)))
            .collect(),
    }
}
