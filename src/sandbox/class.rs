//! A class in memory: its definition as it is read back, its properties prepared for checking values, its tenants or
//! shards, and its objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::object::Object;

/// The objects of one tenant, or of the whole class, in the byte order of their ids.
pub(super) type Objects = BTreeMap<Uuid, Arc<Object>>;

/// A data type of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Texts,
    Int,
    Ints,
    Number,
    Numbers,
    Boolean,
    Booleans,
    Date,
    Dates,
    Uuid,
    Uuids,
    Geo,
    Phone,
    Blob,
    BlobHash,
    Object,
    Objects,
    Reference,
}

impl Kind {
    /// The primitive type of that name; `None` for the name of a class or an unknown word.
    pub(super) fn primitive(name: &str) -> Option<Kind> {
        Some(match name {
            "text" | "string" => Kind::Text,
            "text[]" | "string[]" => Kind::Texts,
            "int" => Kind::Int,
            "int[]" => Kind::Ints,
            "number" => Kind::Number,
            "number[]" => Kind::Numbers,
            "boolean" => Kind::Boolean,
            "boolean[]" => Kind::Booleans,
            "date" => Kind::Date,
            "date[]" => Kind::Dates,
            "uuid" => Kind::Uuid,
            "uuid[]" => Kind::Uuids,
            "geoCoordinates" => Kind::Geo,
            "phoneNumber" => Kind::Phone,
            "blob" => Kind::Blob,
            "blobHash" => Kind::BlobHash,
            "object" => Kind::Object,
            "object[]" => Kind::Objects,
            _ => return None,
        })
    }
}

/// A property, prepared for checking values.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) nested: Vec<Property>,
    /// The classes that a reference may point to.
    pub(super) targets: Vec<String>,
    /// `disableDuplicatedReferences`.
    pub(super) unique: bool,
}

impl Property {
    fn read(source: &Value) -> Property {
        let types: Vec<String> = texts(&source["dataType"]);
        let kind = types
            .first()
            .and_then(|name| Kind::primitive(name))
            .unwrap_or(Kind::Reference);
        Property {
            name: source["name"].as_str().unwrap_or_default().to_owned(),
            kind,
            nested: Property::read_all(&source["nestedProperties"]),
            targets: if kind == Kind::Reference {
                types
            } else {
                Vec::new()
            },
            unique: source["disableDuplicatedReferences"] == true,
        }
    }

    /// The properties of a class or of an object property.
    pub(super) fn read_all(list: &Value) -> Vec<Property> {
        list.as_array()
            .map(|items| items.iter().map(Property::read).collect())
            .unwrap_or_default()
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Whether a tenant can be read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Active.
    Hot,
    /// Inactive: reads and writes are refused.
    Cold,
    /// Offloaded: as inactive, and only the store can make it so.
    Frozen,
}

impl Activity {
    /// The word that the server answers with.
    pub(super) fn word(self) -> &'static str {
        match self {
            Activity::Hot => "HOT",
            Activity::Cold => "COLD",
            Activity::Frozen => "FROZEN",
        }
    }
}

/// What is kept per tenant; a class without tenants has one partition, named `""`.
#[derive(Debug, Clone)]
pub(super) struct Partition {
    pub(super) activity: Activity,
    pub(super) objects: Objects,
    /// The dimension of each vector index, fixed by the first vector; the legacy one is named `""`.
    pub(super) dimensions: BTreeMap<Box<str>, usize>,
}

impl Partition {
    pub(super) fn new(activity: Activity) -> Partition {
        Partition {
            activity,
            objects: Objects::new(),
            dimensions: BTreeMap::new(),
        }
    }
}

/// One shard; with tenants each tenant is a shard of its own.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    pub(super) name: String,
    pub(super) read_only: bool,
}

/// A class with all that it holds.
#[derive(Debug, Clone)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) definition: Value,
    pub(super) properties: Vec<Property>,
    pub(super) shards: Vec<Shard>,
    pub(super) partitions: BTreeMap<String, Partition>,
}

impl Class {
    /// A new class with shard names of its own.
    pub(super) fn new(name: &str, definition: Value) -> Class {
        let mut class = Class {
            name: name.to_owned(),
            definition: Value::Null,
            properties: Vec::new(),
            shards: Vec::new(),
            partitions: BTreeMap::new(),
        };
        class.define(definition);
        if !class.has_tenants() {
            let count = class.definition["shardingConfig"]["actualCount"]
                .as_u64()
                .unwrap_or(1)
                .clamp(1, 64);
            class.shards = (0..count)
                .map(|_| Shard {
                    name: shard_name(),
                    read_only: false,
                })
                .collect();
            class
                .partitions
                .insert(String::new(), Partition::new(Activity::Hot));
        }
        class
    }

    /// Replaces the definition and what was prepared from it.
    pub(super) fn define(&mut self, definition: Value) {
        self.properties = Property::read_all(&definition["properties"]);
        self.definition = definition;
    }

    pub(super) fn property(&self, name: &str) -> Option<&Property> {
        self.properties
            .iter()
            .find(|property| property.name == name)
    }

    pub(super) fn has_tenants(&self) -> bool {
        self.tenancy("enabled")
    }

    /// A flag of `multiTenancyConfig`.
    pub(super) fn tenancy(&self, flag: &str) -> bool {
        self.definition["multiTenancyConfig"][flag] == true
    }

    /// The named vectors of the definition: name and settings.
    pub(super) fn named_vectors(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.definition["vectorConfig"]
            .as_object()
            .into_iter()
            .flatten()
    }

    /// Whether the class has a vector index of its own, without a name.
    pub(super) fn has_legacy_vector(&self) -> bool {
        self.definition["vectorIndexType"].is_string()
    }

    /// The vectors whose index is skipped: it has no dimension. The legacy one is named `""`.
    pub(super) fn skipped_indexes(&self) -> Vec<Box<str>> {
        let is_skipped = |config: &Value| config["vectorIndexConfig"]["skip"] == true;
        let named = self.named_vectors();
        let named = named.filter(|(_, config)| is_skipped(config));
        let mut skipped: Vec<Box<str>> = named.map(|(name, _)| name.as_str().into()).collect();
        if is_skipped(&self.definition) {
            skipped.push("".into());
        }
        skipped
    }

    /// Whether the shard that holds `id` refuses writes.
    pub(super) fn is_read_only(&self, tenant: &str, id: Uuid) -> bool {
        let shard = if self.has_tenants() {
            self.shards.iter().find(|shard| shard.name == tenant)
        } else {
            let count = self.shards.len().max(1) as u128;
            self.shards.get((id.as_u128() % count) as usize)
        };
        shard.is_some_and(|shard| shard.read_only)
    }

    /// Adds a tenant unless it exists.
    pub(super) fn add_tenant(&mut self, name: &str, activity: Activity) {
        if !self.partitions.contains_key(name) {
            self.partitions
                .insert(name.to_owned(), Partition::new(activity));
            self.shards.push(Shard {
                name: name.to_owned(),
                read_only: false,
            });
        }
    }

    /// Removes a tenant and its objects.
    pub(super) fn remove_tenant(&mut self, name: &str) {
        self.partitions.remove(name);
        self.shards.retain(|shard| shard.name != name);
    }

    /// The partition of `tenant`, in the server's words if there is none to be used.
    pub(super) fn partition(&self, tenant: &str) -> Result<&Partition, String> {
        match (self.has_tenants(), tenant) {
            (true, "") => {
                return Err(format!(
                    "class {} has multi-tenancy enabled, but request was without tenant",
                    self.name
                ));
            }
            (false, name) if !name.is_empty() => {
                return Err(format!(
                    "class {} has multi-tenancy disabled, but request was with tenant",
                    self.name
                ));
            }
            _ => {}
        }
        let partition = self
            .partitions
            .get(tenant)
            .ok_or_else(|| format!("tenant not found: \"{tenant}\""))?;
        match partition.activity {
            Activity::Cold | Activity::Frozen => Err(format!("tenant not active: '{tenant}'")),
            Activity::Hot => Ok(partition),
        }
    }

    /// As `partition`; a cold tenant becomes hot first where the class says so.
    pub(super) fn awake(&mut self, tenant: &str) -> Result<&mut Partition, String> {
        if self.tenancy("autoTenantActivation")
            && let Some(partition) = self.partitions.get_mut(tenant)
            && partition.activity == Activity::Cold
        {
            partition.activity = Activity::Hot;
        }
        self.partition(tenant)?;
        self.partitions
            .get_mut(tenant)
            .ok_or_else(|| format!("tenant not found: \"{tenant}\""))
    }
}

/// Twelve random letters and digits, as the server names shards.
fn shard_name() -> String {
    (0..12).map(|_| fastrand::alphanumeric()).collect()
}
