//! The nouns of Weaviate that every room shares: names, ids, keys, definitions, times.
//!
//! Nothing here does I/O. Ordering matters: a [`Key`] is ordered by tenant, then by the bytes of the id,
//! which is the order in which the server lists objects.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::{Error, Kind, Result};

/// The 16 bytes of an object's UUID; ordered as the server's cursor orders them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub [u8; 16]);

impl ObjectId {
    /// The id that no object sorts before.
    pub const NIL: ObjectId = ObjectId([0; 16]);
    /// The id that no object sorts after.
    pub const MAX: ObjectId = ObjectId([0xff; 16]);

    /// Reads any spelling of a UUID (case, hyphens, `urn:uuid:`).
    pub fn parse(text: &str) -> Result<Self> {
        uuid::Uuid::parse_str(text)
            .map(|uuid| ObjectId(*uuid.as_bytes()))
            .map_err(|_| Error::new(Kind::Failed, format!("`{text}` is not a UUID")))
    }

    /// The id as a number, for arithmetic over ranges.
    pub fn to_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// The id of a number.
    pub fn from_u128(number: u128) -> Self {
        ObjectId(number.to_be_bytes())
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a tenant; empty in a collection without tenants. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tenant(Option<Arc<str>>);

impl Tenant {
    /// No tenant.
    pub const NONE: Tenant = Tenant(None);

    /// The tenant of this name; the empty name is [`Tenant::NONE`].
    pub fn named(name: &str) -> Self {
        Tenant((!name.is_empty()).then(|| Arc::from(name)))
    }

    /// The name, empty if there is none.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }

    /// The name, if there is one.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Tenant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Tenant::named(&String::deserialize(deserializer)?))
    }
}

/// Where an object lies: its tenant and its id. Unique within a collection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Key {
    /// The tenant, or none.
    pub tenant: Tenant,
    /// The id; ids repeat across tenants.
    pub id: ObjectId,
}

impl Key {
    /// The key of an object without a tenant.
    pub fn of(id: ObjectId) -> Self {
        Key {
            tenant: Tenant::NONE,
            id,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenant.name() {
            Some(tenant) => write!(f, "{}/{tenant}", self.id),
            None => self.id.fmt(f),
        }
    }
}

/// The server's clock at creation and last update, in milliseconds since 1970; 0 if an archive does not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// Creation time in Unix milliseconds.
    pub created: i64,
    /// Time of the last update in Unix milliseconds.
    pub updated: i64,
}

/// The name of a collection as the server spells it: the first letter is a capital.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct CollectionName(String);

impl CollectionName {
    /// Checks a name against the server's rule (letters, digits and `_`, a letter first, at most 255) and
    /// capitalises its first letter, as the server does.
    pub fn parse(name: &str) -> Result<Self> {
        let mut letters = name.chars();
        let well_formed = letters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
            && name.len() <= 255;
        if !well_formed {
            return Err(Error::new(Kind::Usage, format!("`{name}` is not a collection name"))
                .with_hint("a name has letters, digits and `_`, begins with a letter, and is at most 255 long"));
        }
        Ok(CollectionName(name[..1].to_ascii_uppercase() + &name[1..]))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// True if `name` is of the shape `pattern`: `*` is any run of characters, `?` any one; case matters.
pub fn matches_glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // After a mismatch, the last star takes one more character: linear in pattern times name.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(one) if *one == '?' || *one == name[n] => (p, n) = (p + 1, n + 1),
            _ => match retry {
                Some((after_star, taken)) => {
                    (p, n) = (after_star, taken + 1);
                    retry = Some((after_star, n));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// The definition of a collection, exactly as the server wrote it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Definition(Box<RawValue>);

/// The type of a property, as far as reading and comparing values depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyType {
    /// The name of the property.
    pub name: String,
    /// The data type as written (`text`, `int[]`, `object`, …); for a reference the name of its first target.
    pub data_type: String,
    /// The properties of an `object` or `object[]`.
    pub nested: Vec<PropertyType>,
    /// True for a cross-reference.
    pub is_reference: bool,
}

/// What the definition says about vectors.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct VectorSettings {
    /// True if the collection has the one vector without a name.
    pub has_legacy: bool,
    /// The names of its named vectors, sorted.
    pub named: Vec<String>,
    /// The modules that would compute vectors (`none` left out).
    pub vectorizers: Vec<String>,
}

impl Definition {
    /// Takes the text of a definition; it must be a JSON object with a `class`.
    pub fn parse(text: String) -> Result<Self> {
        let raw = RawValue::from_string(text).map_err(|cause| {
            Error::new(Kind::Incompatible, "the definition is not JSON").with_cause(cause)
        })?;
        let definition = Definition(raw);
        definition.name()?;
        Ok(definition)
    }

    /// The text as the server wrote it.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The definition as a JSON value.
    pub fn value(&self) -> Result<serde_json::Value> {
        serde_json::from_str(self.0.get()).map_err(|cause| {
            Error::new(Kind::Incompatible, "the definition is not JSON").with_cause(cause)
        })
    }

    /// The name of the collection it defines.
    pub fn name(&self) -> Result<CollectionName> {
        match self.value()?.get("class").and_then(|name| name.as_str()) {
            Some(name) => {
                CollectionName::parse(name).map_err(|error| error.with_kind(Kind::Incompatible))
            }
            None => Err(Error::new(
                Kind::Incompatible,
                "the definition names no class",
            )),
        }
    }

    /// True if its objects lie in tenants.
    pub fn has_tenants(&self) -> Result<bool> {
        Ok(self
            .value()?
            .pointer("/multiTenancyConfig/enabled")
            .and_then(|on| on.as_bool())
            .unwrap_or(false))
    }

    /// On how many nodes each shard is meant to be.
    pub fn replicas(&self) -> Result<usize> {
        let value = self.value()?;
        let factor = value.pointer("/replicationConfig/factor");
        Ok(factor.and_then(|factor| factor.as_u64()).unwrap_or(1) as usize)
    }

    /// True if its objects expire.
    pub fn has_ttl(&self) -> Result<bool> {
        let value = self.value()?;
        let is_on = value.pointer("/objectTtlConfig/enabled");
        Ok(is_on.and_then(|on| on.as_bool()).unwrap_or(false))
    }

    /// The types of its properties, in its order.
    pub fn properties(&self) -> Result<Vec<PropertyType>> {
        Ok(property_types(self.value()?.get("properties")))
    }

    /// The modules that would compute vectors, each with the name of its vector, empty for the one without.
    pub fn vectorizers(&self) -> Result<Vec<(String, String)>> {
        let value = self.value()?;
        let mut found = Vec::new();
        if let Some(module) = value.get("vectorizer").and_then(|module| module.as_str()) {
            found.push((String::new(), module.to_owned()));
        }
        let named = value
            .get("vectorConfig")
            .and_then(|named| named.as_object());
        for (name, vector) in named.into_iter().flatten() {
            let modules = vector
                .get("vectorizer")
                .and_then(|module| module.as_object());
            let modules = modules.into_iter().flatten();
            found.extend(modules.map(|(module, _)| (name.clone(), module.clone())));
        }
        found.retain(|(_, module)| module != "none" && !module.is_empty());
        Ok(found)
    }

    /// What it says about vectors.
    pub fn vectors(&self) -> Result<VectorSettings> {
        let value = self.value()?;
        let mut settings = VectorSettings {
            has_legacy: value.get("vectorIndexType").is_some(),
            ..Default::default()
        };
        let named = value
            .get("vectorConfig")
            .and_then(|named| named.as_object());
        settings.named = named
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect();
        for (_, module) in self.vectorizers()? {
            if !settings.vectorizers.contains(&module) {
                settings.vectorizers.push(module);
            }
        }
        settings.named.sort();
        Ok(settings)
    }
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

fn property_types(properties: Option<&serde_json::Value>) -> Vec<PropertyType> {
    let list = properties
        .and_then(|list| list.as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();
    list.iter().filter_map(property_type).collect()
}

fn property_type(property: &serde_json::Value) -> Option<PropertyType> {
    let data_type = property.get("dataType")?.as_array()?.first()?.as_str()?;
    Some(PropertyType {
        name: property.get("name")?.as_str()?.to_owned(),
        data_type: data_type.to_owned(),
        nested: property_types(property.get("nestedProperties")),
        // Data types begin in lower case, the names of collections in upper case.
        is_reference: data_type.starts_with(|first: char| first.is_ascii_uppercase()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_by_tenant_then_by_the_bytes_of_the_id() {
        let key = |tenant: &str, id: u128| Key {
            tenant: Tenant::named(tenant),
            id: ObjectId::from_u128(id),
        };
        assert!(key("", 9) < key("a", 1));
        assert!(key("a", 9) < key("b", 1));
        assert!(key("a", 1) < key("a", 256));
    }

    #[test]
    fn a_collection_name_gets_its_capital_and_bad_ones_are_refused() {
        assert_eq!(
            CollectionName::parse("article").unwrap().as_str(),
            "Article"
        );
        for bad in ["", "9a", "Bad-Name", "_a", "a b", "é"] {
            assert_eq!(
                CollectionName::parse(bad).unwrap_err().kind(),
                Kind::Usage,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_definition_tells_its_types_and_vectors() {
        let text = r#"{"class":"A","vectorConfig":{"b":{"vectorizer":{"none":{}},"vectorIndexType":"hnsw"},"a":{"vectorizer":{"text2vec-x":{}}}},
            "properties":[{"name":"t","dataType":["text"]},{"name":"r","dataType":["B"]},{"name":"o","dataType":["object"],"nestedProperties":[{"name":"n","dataType":["int"]}]}]}"#;
        let definition = Definition::parse(text.to_owned()).unwrap();
        let properties = definition.properties().unwrap();
        assert!(properties[1].is_reference && !properties[0].is_reference);
        assert_eq!(properties[2].nested[0].data_type, "int");
        let vectors = definition.vectors().unwrap();
        assert_eq!(
            (vectors.has_legacy, vectors.named, vectors.vectorizers),
            (
                false,
                vec!["a".into(), "b".into()],
                vec!["text2vec-x".into()]
            )
        );
        assert_eq!(definition.text(), text);
    }
}
