//! A look through an archive before anything is written: what does not fit is found here and not at the server,
//! which adds unknown properties by itself and may store an object that it reports as failed.
//!
//! An archive of ours tells what its objects are like, so that only the hashes of its frames are checked. Where something does
//! not fit, or the archive does not tell, everything is read once, and every frame's hash is checked on the way. In constant
//! memory: of what does not fit, counts and the first few keys are kept.

use std::collections::{BTreeMap, BTreeSet};

use super::lengths::Lengths;
use super::values::fits_text;
use crate::archive::{Archive, Selection, TenantEntry, Trailer, dimensions};
use crate::error::{Error, Kind, Result};
use crate::job::Lane;
use crate::model::{Definition, Key, PropertyType, Tenant, Times};
use crate::pipe::{Budget, Source, Vector, Visit};

/// So many keys are named.
const NAMED: usize = 10;

const PAGE: Budget = Budget::of(1_000, 4 << 20);

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

/// Looks through the archive, whose stored bytes are sound then; `stop` may end it early.
pub(super) async fn survey(
    archive: &Archive,
    measure: &Measure<'_>,
    stop: impl FnMut() -> Result<()>,
) -> Result<Survey> {
    match told(archive, measure)? {
        Some(survey) => {
            archive.check_stored(measure.selection, stop).await?;
            Ok(survey)
        }
        None => read(archive, measure, stop).await,
    }
}

/// What the archive tells of its objects, if it tells all and all of them fit: their server let them in by the archive's
/// definition, and what that has, this one has.
fn told(archive: &Archive, measure: &Measure<'_>) -> Result<Option<Survey>> {
    let is_plain = |trailer: &&Trailer| !measure.with_types && trailer.definition_at_end.is_none();
    let Some(trailer) = archive.trailer().filter(is_plain) else {
        return Ok(None);
    };
    let mut surveyor = Surveyor::new(measure, false)?;
    let archived = archive.definition().properties()?;
    let has_all = archived
        .iter()
        .all(|one| surveyor.knows_property(&one.name));
    let selection = measure.selection;
    let entries = trailer.integrity.tenants.iter();
    let mut selected = entries.filter(|entry| selection.has(&entry.tenant));
    let tells_all = has_all && selected.all(|entry| surveyor.take(entry, selection));
    Ok(tells_all.then_some(surveyor.found))
}

/// Reads the archive from end to end.
async fn read(
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

    /// Takes what an archive tells of a tenant; false if it does not tell all, or not all of it fits.
    fn take(&mut self, entry: &TenantEntry, selection: &Selection) -> bool {
        let Some(vectors) = &entry.vectors else {
            return false;
        };
        self.found.count += entry.count;
        let tenant = &entry.tenant;
        self.found.tenants.insert(tenant.clone(), entry.count);
        let mut selected = vectors.iter().filter(|one| selection.has_vector(&one.name));
        selected.all(|one| {
            let lengths = &mut self.found.lengths;
            lengths.add_many(tenant, &one.name, one.dimensions, one.count);
            self.knows_vector(&one.name)
        })
    }

    fn knows_property(&self, name: &str) -> bool {
        self.properties.contains_key(name) || self.properties.contains_key(&as_stored(name))
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

/// A vector by its name, for people.
pub(super) fn vector_words(name: &str) -> String {
    match name {
        "" => "the vector without a name".to_owned(),
        name => format!("vector `{name}`"),
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
        misfits.push(format!(
            "{} is in objects and not in the definition: {}",
            vector_words(name),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Format;
    use crate::archive::tests::make;
    use crate::format::Codec;

    const VECTORS: [&str; 3] = ["", "many \"rows\"", "z"];

    fn definition(vectors: &str) -> Definition {
        let properties = ["count", "title", "nested"]
            .map(|name| format!(r#"{{"name":"{name}","dataType":["text"]}}"#));
        let text = format!(
            r#"{{"class":"Article","properties":[{}],{vectors}}}"#,
            properties.join(",")
        );
        Definition::parse(text).unwrap()
    }

    fn with_all_vectors() -> Definition {
        let named = VECTORS[1..].iter().map(|name| {
            let name = serde_json::to_string(name).unwrap();
            format!(r#"{name}:{{"vectorizer":{{"none":{{}}}},"vectorIndexType":"hnsw"}}"#)
        });
        let named = named.collect::<Vec<_>>().join(",");
        definition(&format!(
            r#""vectorIndexType":"hnsw","vectorConfig":{{{named}}}"#
        ))
    }

    fn essence(
        survey: &Survey,
    ) -> (
        u64,
        BTreeMap<Tenant, u64>,
        super::super::lengths::Known,
        [u64; 3],
    ) {
        (
            survey.count,
            survey.tenants.clone(),
            survey.lengths.wanted(&Default::default(), &[]),
            VECTORS.map(|name| survey.lengths.with_vector(name)),
        )
    }

    #[tokio::test]
    async fn what_an_archive_tells_of_its_objects_is_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = make(folder.path(), Format::Jsonl, Codec::Zstd, 100, 9);
        let archive = Archive::open(&path).unwrap();
        let definition = with_all_vectors();
        let tenants = [Tenant::NONE, Tenant::named("a")];
        for selection in [
            Selection::default(),
            Selection {
                tenants: Some(tenants.into()),
                ..Selection::default()
            },
            Selection {
                left_out: ["z".to_owned()].into(),
                ..Selection::default()
            },
            Selection {
                without_vectors: true,
                ..Selection::default()
            },
        ] {
            let measure = Measure {
                definition: &definition,
                selection: &selection,
                with_types: false,
            };
            let told = told(&archive, &measure).unwrap().unwrap();
            let read = read(&archive, &measure, || Ok(())).await.unwrap();
            assert_eq!(essence(&told), essence(&read), "{selection:?}");
        }
    }

    #[tokio::test]
    async fn an_archive_is_read_where_a_vector_or_a_property_is_not_in_the_definition() {
        let folder = tempfile::tempdir().unwrap();
        let path = make(folder.path(), Format::Json, Codec::None, 30, 9);
        let archive = Archive::open(&path).unwrap();
        let without_z = definition(r#""vectorIndexType":"hnsw""#);
        let text = with_all_vectors()
            .text()
            .replace(r#""name":"title""#, r#""name":"other""#);
        let without_title = Definition::parse(text).unwrap();
        let selection = Selection::default();
        for (definition, strange) in [(without_z, "z"), (without_title, "title")] {
            let measure = Measure {
                definition: &definition,
                selection: &selection,
                with_types: false,
            };
            let found = survey(&archive, &measure, || Ok(())).await.unwrap();
            let all = found
                .strange_vectors
                .keys()
                .chain(found.strange_properties.keys());
            assert!(
                all.clone().any(|name| name == strange),
                "{strange}: {found:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_archive_that_tells_everything_is_still_held_against_its_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let path = make(folder.path(), Format::Jsonl, Codec::None, 30, 30);
        let archive = Archive::open(&path).unwrap();
        let objects = std::fs::read_dir(path.join("objects")).unwrap();
        let part = objects.last().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&part).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&part, bytes).unwrap();
        let (definition, selection) = (with_all_vectors(), Selection::default());
        let measure = Measure {
            definition: &definition,
            selection: &selection,
            with_types: false,
        };
        assert!(told(&archive, &measure).unwrap().is_some());
        let error = survey(&archive, &measure, || Ok(())).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Difference);
        assert!(error.to_string().contains("part"), "{error}");
    }
}
