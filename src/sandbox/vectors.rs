//! Vectors of a write: read from JSON as f32, and put where the class has an index for them.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::class::Class;
use super::json::Json;
use super::object::NamedVector;

/// Vectors as a request gives them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Vectors {
    pub(super) legacy: Option<Box<[f32]>>,
    pub(super) named: Vec<(Box<str>, NamedVector)>,
}

impl Vectors {
    /// Reads `vector` and `vectors` of an object whose numbers were checked; an empty legacy vector counts as none.
    pub(super) fn read(object: &Json<'_>) -> Vectors {
        let legacy = object.get("vector").map(row).filter(|row| !row.is_empty());
        let mut named = BTreeMap::new();
        if let Some(Json::Object(members)) = object.get("vectors") {
            for (name, value) in members.iter().filter(|(_, value)| *value != Json::Null) {
                named.insert(name.to_string().into_boxed_str(), read_named(value));
            }
        }
        Vectors {
            legacy,
            named: named.into_iter().collect(),
        }
    }

    /// Moves each vector to the index that the class has for it; the error is the server's text.
    pub(super) fn placed(mut self, class: &Class) -> Result<Vectors, String> {
        let configured: Vec<&String> = class.named_vectors().map(|(name, _)| name).collect();
        if class.has_legacy_vector() {
            self.default_to_legacy(&configured);
        } else if let Some(vector) = self.legacy.take() {
            let [only] = configured.as_slice() else {
                return Err(format!(
                    "collection {} configuration does not have single vector index",
                    class.name
                ));
            };
            self.named
                .push((only.as_str().into(), NamedVector::Single(vector)));
        }
        for (name, vector) in &self.named {
            let config = class
                .named_vectors()
                .find(|(other, _)| other.as_str() == &**name)
                .map(|(_, config)| config);
            let missing = || {
                format!(
                    "collection {} does not have configuration for vector {name}",
                    class.name
                )
            };
            check(class, name, vector, config.ok_or_else(missing)?)?;
        }
        self.named
            .retain(|(_, vector)| vector.rows().iter().any(|row| !row.is_empty()));
        Ok(self)
    }

    /// In a class with a legacy vector the name `default` stands for it.
    fn default_to_legacy(&mut self, configured: &[&String]) {
        if configured.iter().any(|name| *name == "default") {
            return;
        }
        if let Some(at) = self.named.iter().position(|(name, _)| &**name == "default")
            && let (_, NamedVector::Single(vector)) = self.named.remove(at)
        {
            self.legacy = Some(vector)
                .filter(|vector| !vector.is_empty())
                .or(self.legacy.take());
        }
    }

    /// The dimension that each vector has; the error names the first one that the index cannot take.
    pub(super) fn check_dimensions(
        &self,
        id: Uuid,
        known: &BTreeMap<Box<str>, usize>,
    ) -> Result<(), String> {
        if let Some(vector) = &self.legacy {
            check_dimension(vector.len(), known.get("").copied(), &format!(" for {id}"))?;
        }
        for (name, vector) in &self.named {
            let known = known.get(name).copied();
            match vector {
                NamedVector::Single(row) => {
                    check_dimension(row.len(), known, &format!(" {name} for target vector {id}"))?;
                }
                NamedVector::Multi(rows) => {
                    check_rows(rows, known, &format!("{name} for target multi vector {id}"))?
                }
            }
        }
        Ok(())
    }

    /// Fixes the dimension of every index that had none.
    pub(super) fn fix_dimensions(&self, known: &mut BTreeMap<Box<str>, usize>) {
        if let Some(vector) = &self.legacy {
            known.entry("".into()).or_insert(vector.len());
        }
        for (name, vector) in &self.named {
            let length = vector.rows().first().map_or(0, |row| row.len());
            known.entry(name.clone()).or_insert(length);
        }
    }
}

fn check(
    class: &Class,
    name: &str,
    vector: &NamedVector,
    config: &serde_json::Value,
) -> Result<(), String> {
    if config["vectorIndexType"] == "none" {
        return Err(format!(
            "vector index for {name} was dropped; writes targeting it are rejected"
        ));
    }
    let place = format!("vector \"{name}\" in collection \"{}\"", class.name);
    let wants_rows = config["vectorIndexConfig"]["multivector"]["enabled"] == true;
    match vector {
        NamedVector::Single(row) if wants_rows && row.is_empty() => {
            Err(format!("{place}: multi-vector cannot be empty"))
        }
        NamedVector::Single(_) if wants_rows => Err(format!(
            "{place} is configured as multi-vector: expected an array of token vectors, got a single vector"
        )),
        NamedVector::Multi(_) if !wants_rows => Err(format!(
            "{place} is not configured as multi-vector, but a multi-vector was provided"
        )),
        NamedVector::Multi(rows) => match rows.iter().position(|row| row.is_empty()) {
            Some(at) => Err(format!("{place}: multi-vector token {at} is empty")),
            None => Ok(()),
        },
        NamedVector::Single(_) => Ok(()),
    }
}

fn check_dimension(length: usize, known: Option<usize>, place: &str) -> Result<(), String> {
    match known {
        Some(known) if known != length => Err(format!(
            "Validate vector index{place}: new node has a vector with length {length}. Existing nodes have vectors with length {known}: vector dimensions do not match the index dimensions"
        )),
        _ => Ok(()),
    }
}

fn check_rows(rows: &[Box<[f32]>], known: Option<usize>, place: &str) -> Result<(), String> {
    let known = known
        .or_else(|| rows.first().map(|row| row.len()))
        .unwrap_or(0);
    match rows.iter().enumerate().find(|(_, row)| row.len() != known) {
        Some((at, row)) => Err(format!(
            "Validate vector index {place}: new node has a multi vector with length {} at position {at}. Existing nodes have vectors with length {known}",
            row.len()
        )),
        None => Ok(()),
    }
}

fn read_named(value: &Json<'_>) -> NamedVector {
    match value.array() {
        Some(items @ [Json::Array(_), ..]) => NamedVector::Multi(items.iter().map(row).collect()),
        _ => NamedVector::Single(row(value)),
    }
}

/// Numbers are read as f32 at once: a detour over f64 would round some of them twice.
fn row(value: &Json<'_>) -> Box<[f32]> {
    let items = value.array().unwrap_or_default();
    let read = |item: &Json<'_>| match item {
        Json::Number(text) => text.parse().unwrap_or_default(),
        _ => 0.0,
    };
    items.iter().map(read).collect()
}
