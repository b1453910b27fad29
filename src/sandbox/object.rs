//! One stored object: kept small, and kept in the form in which a listing writes it.

use std::fmt::Write as _;

use uuid::Uuid;

use super::write;

/// A named vector: one row, or the rows of a multi-vector.
#[derive(Debug, Clone, PartialEq)]
pub enum NamedVector {
    /// A plain vector.
    Single(Box<[f32]>),
    /// The rows of a multi-vector.
    Multi(Box<[Box<[f32]>]>),
}

/// An object as it is stored; the id is its key in the map that holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Creation time in milliseconds.
    pub created: i64,
    /// Time of the last write in milliseconds.
    pub updated: i64,
    /// The properties as compact JSON, members sorted, references with `href`: what every read shows.
    pub properties: Box<str>,
    /// The legacy vector.
    pub vector: Option<Box<[f32]>>,
    /// Named vectors, sorted by name.
    pub vectors: Vec<(Box<str>, NamedVector)>,
    /// The spelling of the id that the id index was given at the first write, if it is not the canonical one.
    pub(super) indexed: Option<Box<str>>,
    /// Why no page with this object can be read: a property that is mistaken for coordinates.
    pub(super) unreadable: Option<Box<str>>,
}

impl Object {
    /// Whether a vector holds NaN or infinity: its JSON cannot be written, so the reply stays empty.
    pub(super) fn is_unwritable(&self) -> bool {
        let named = self.vectors.iter().flat_map(|(_, vector)| vector.rows());
        self.vector
            .iter()
            .map(|row| &**row)
            .chain(named)
            .any(|row| row.iter().any(|value| !value.is_finite()))
    }

    /// Appends the object as a listing or a single read shows it.
    pub(super) fn write(
        &self,
        out: &mut String,
        class: &str,
        id: Uuid,
        with_vectors: bool,
        tenant: Option<&str>,
    ) {
        let _infallible = write!(
            out,
            "{{\"class\":\"{class}\",\"creationTimeUnix\":{},\"id\":\"{id}\",\"lastUpdateTimeUnix\":{},\"properties\":{}",
            self.created, self.updated, self.properties
        );
        if let Some(tenant) = tenant {
            write::member(out, "tenant");
            write::string(out, tenant);
        }
        if let Some(vector) = self.vector.as_ref().filter(|_| with_vectors) {
            out.push_str(",\"vector\":");
            row(out, vector);
        }
        out.push_str(",\"vectorWeights\":null");
        if with_vectors && !self.vectors.is_empty() {
            out.push_str(",\"vectors\":");
            named(out, &self.vectors);
        }
        out.push('}');
    }
}

impl NamedVector {
    /// The rows: one for a plain vector.
    pub fn rows(&self) -> Vec<&[f32]> {
        match self {
            NamedVector::Single(row) => vec![row],
            NamedVector::Multi(rows) => rows.iter().map(|row| &**row).collect(),
        }
    }
}

/// Appends one row of floats.
pub(super) fn row(out: &mut String, values: &[f32]) {
    write::list(out, values, |out, value| write::float32(out, *value));
}

/// Appends the member value of `vectors`.
pub(super) fn named(out: &mut String, vectors: &[(Box<str>, NamedVector)]) {
    out.push('{');
    for (name, vector) in vectors {
        write::member(out, name);
        match vector {
            NamedVector::Single(values) => row(out, values),
            NamedVector::Multi(rows) => {
                write::list(out, rows.iter(), |out, values| row(out, values))
            }
        }
    }
    out.push('}');
}
