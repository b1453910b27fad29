//! A look through an archive before anything is written: what does not fit is found here and not at the server,
//! which adds unknown properties by itself and may store an object that it reports as failed.
//!
//! Everything is read once, and every frame's hash is checked on the way. In constant memory: of what does not fit,
//! counts and the first few keys are kept.

use std::collections::{BTreeMap, BTreeSet};

use super::lengths::Lengths;
use super::values::fits_text;
use crate::archive::{Archive, Selection, dimensions};
use crate::error::{Error, Kind, Result};
use crate::job::Lane;
use crate::model::{Definition, Key, PropertyType, Tenant, Times};
use crate::pipe::{Budget, Source, Vector, Visit};

/// So many keys are named.
const NAMED: usize = 10;

const PAGE: Budget = Budget {
    objects: 1_000,
    bytes: 4 << 20,
};

/// Objects of one sort: how many, and the first few.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Group {
    pub count: u64,
    first: Vec<Key>,
}

impl Group {
    pub fn add(&mut self, key: &Key) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(key.clone());
        }
    }

    /// Their number and their first ids in words.
    pub fn words(&self) -> String {
        let keys: Vec<String> = self.first.iter().map(Key::to_string).collect();
        let more = if self.count > NAMED as u64 {
            ", …"
        } else {
            ""
        };
        format!("{} ({}{more})", self.count, keys.join(", "))
    }
}

/// What the objects of an archive are like, as far as a restore depends on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// Objects.
    pub count: u64,
    /// Objects per tenant.
    pub tenants: BTreeMap<Tenant, u64>,
    /// How long vectors are.
    pub lengths: Lengths,
    /// Objects with vectors that the definition does not have, by name.
    pub strange_vectors: BTreeMap<String, Group>,
    /// Objects with properties that the definition does not have, by name.
    pub strange_properties: BTreeMap<String, Group>,
    /// Objects with values that are not of the property's type, by name and type.
    pub unfit_values: BTreeMap<String, Group>,
}

impl Survey {
    fn add(&mut self, tenant: &Tenant) {
        self.count += 1;
        match self.tenants.get_mut(tenant) {
            Some(count) => *count += 1,
            None => drop(self.tenants.insert(tenant.clone(), 1)),
        }
    }
}

/// What the objects are held against.
pub(super) struct Measure<'a> {
    /// The definition that they are to fit.
    pub definition: &'a Definition,
    /// What of the archive is wanted.
    pub selection: &'a Selection,
    /// Hold values against the types of their properties, too.
    pub with_types: bool,
}

/// Reads the archive from end to end; `stop` may end it early.
pub(super) async fn survey(
    archive: &Archive,
    measure: &Measure<'_>,
    mut stop: impl FnMut() -> Result<()>,
) -> Result<Survey> {
    let source = archive.source().only(measure.selection.clone());
    let mut surveyor = Surveyor::new(measure, !archive.is_ours())?;
    for bounds in source.lanes() {
        let mut lane = Lane::alone(bounds);
        loop {
            stop()?;
            let page = source.fetch(&lane, &lane.cursor, PAGE).await?;
            page.objects.walk(&mut surveyor)?;
            let unreadable = page.unreadable.iter();
            unreadable.for_each(|reject| surveyor.found.add(&reject.key.tenant));
            if page.is_last {
                break;
            }
            lane.cursor = page.end;
            tokio::task::yield_now().await;
        }
    }
    Ok(surveyor.found)
}

struct Surveyor {
    found: Survey,
    key: Key,
    properties: BTreeMap<String, PropertyType>,
    named: BTreeSet<String>,
    has_legacy: bool,
    with_types: bool,
    is_foreign: bool,
}

impl Surveyor {
    fn new(measure: &Measure<'_>, is_foreign: bool) -> Result<Self> {
        let vectors = measure.definition.vectors()?;
        let properties = measure.definition.properties()?;
        let by_name = properties
            .into_iter()
            .map(|property| (as_stored(&property.name), property));
        Ok(Surveyor {
            found: Survey::default(),
            key: Key::of(crate::model::ObjectId::NIL),
            properties: by_name.collect(),
            // Without named vectors a class has the one without a name, whether its definition says so or not.
            has_legacy: vectors.has_legacy || vectors.named.is_empty(),
            named: vectors.named.into_iter().collect(),
            with_types: measure.with_types,
            is_foreign,
        })
    }

    fn knows_vector(&self, name: &str) -> bool {
        match name {
            "" => self.has_legacy || self.named.len() == 1,
            // The server takes it for the one without a name.
            "default" if self.named.is_empty() => true,
            name => self.named.contains(name),
        }
    }
}

/// The server writes the first letter of a property small.
fn as_stored(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => first.to_ascii_lowercase().to_string() + letters.as_str(),
        None => String::new(),
    }
}

impl Visit for Surveyor {
    fn object(&mut self, key: &Key, _: Times) -> Result<()> {
        self.found.add(&key.tenant);
        self.key = key.clone();
        Ok(())
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        if json == "null" {
            return Ok(());
        }
        let known = self.properties.get(name);
        let Some(property) = known.or_else(|| self.properties.get(&as_stored(name))) else {
            let strange = &mut self.found.strange_properties;
            strange.entry(name.to_owned()).or_default().add(&self.key);
            return Ok(());
        };
        if self.with_types && !fits_text(property, json) {
            let what = format!("`{name}` as {}", property.data_type);
            self.found
                .unfit_values
                .entry(what)
                .or_default()
                .add(&self.key);
        }
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        let name = name.unwrap_or_default();
        if !self.knows_vector(name) {
            let strange = &mut self.found.strange_vectors;
            strange.entry(name.to_owned()).or_default().add(&self.key);
        }
        let tenant = &self.key.tenant;
        self.found.lengths.add(tenant, name, dimensions(vector));
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }

    /// Those of a foreign document are read, too: one that is no number is found before anything is written.
    fn needs_numbers(&self) -> bool {
        self.is_foreign
    }
}

/// Refuses objects that would not be what they are in a collection of this definition.
pub(super) fn check_fit(survey: &Survey, is_reshaped: bool) -> Result<()> {
    let mut misfits: Vec<String> = Vec::new();
    for (name, some) in &survey.strange_properties {
        misfits.push(format!(
            "property `{name}` is in objects and not in the definition: {}",
            some.words()
        ));
    }
    for (what, some) in &survey.unfit_values {
        misfits.push(format!("values do not fit {what}: {}", some.words()));
    }
    for (name, some) in survey.strange_vectors.iter().filter(|_| is_reshaped) {
        let which = match name.as_str() {
            "" => "the vector without a name".to_owned(),
            name => format!("vector `{name}`"),
        };
        misfits.push(format!(
            "{which} is in objects and not in the definition: {}",
            some.words()
        ));
    }
    if misfits.is_empty() {
        return Ok(());
    }
    let hint = match is_reshaped {
        true => {
            "change --schema or --schema-patch so that the objects fit, or restore without them"
        }
        false => "pass a definition that has them with --schema or --schema-patch",
    };
    Err(Error::new(
        Kind::Incompatible,
        format!(
            "the objects of the archive do not fit the definition: {}",
            misfits.join("; ")
        ),
    )
    .with_kept("nothing was written")
    .with_hint(hint))
}
