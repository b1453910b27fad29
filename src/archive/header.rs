//! What an archive says about itself before its objects: the metadata and the definition.
//!
//! The text of a header has one spelling, so that its hash names a job's archive and damage cannot hide in it.
//! `object_count`, `finished`, `resumed` and `sealed` have fixed width: they are known only at the end, when the
//! header is written again in place. Metadata that others wrote may lack almost everything.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::model::{CollectionName, Definition};

/// The version of documents, folders and their metadata that is written and read.
pub const VERSION: &str = "1.0";

/// Whether an archive has objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Definition and objects.
    Full,
    /// The definition alone; `object_count` is the live count.
    SchemaOnly,
}

impl Contents {
    /// As the header spells it.
    pub fn name(self) -> &'static str {
        match self {
            Contents::Full => "full",
            Contents::SchemaOnly => "schema-only",
        }
    }
}

/// What was asked of the backup, as far as it shaped the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// `json` or `jsonl`; set when the draft is made.
    pub format: String,
    /// `none`, `gzip`, `zstd` or `lz4`; set when the draft is made.
    pub compression: String,
    /// The chosen tenants; empty is all.
    pub tenants: Vec<String>,
    /// Inactive tenants that were left out.
    pub skipped_tenants: Vec<String>,
    /// The filter, as typed.
    pub filter: Option<String>,
    /// The chosen properties; empty is all.
    pub properties: Vec<String>,
    /// False if vectors were left out.
    pub vectors: bool,
    /// The collections that were backed up together, this one included; empty if it was alone.
    pub group: Vec<String>,
    /// The id of the job.
    pub job: String,
    /// The shard names of the source.
    pub incarnation: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            format: String::new(),
            compression: String::new(),
            tenants: Vec::new(),
            skipped_tenants: Vec::new(),
            filter: None,
            properties: Vec::new(),
            vectors: true,
            group: Vec::new(),
            job: String::new(),
            incarnation: Vec::new(),
        }
    }
}

/// The head of an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The collection.
    pub collection: CollectionName,
    /// The server's version, or `unknown`.
    pub weaviate_version: String,
    /// Whether there are objects.
    pub contents: Contents,
    /// Objects in the archive, 0 before it is sealed; for a schema-only one the live count.
    pub object_count: u64,
    /// The upper bound of a batch, 0 if unknown.
    pub batch_size: u32,
    /// What was asked.
    pub options: Options,
    /// When the backup began, to the second; 1970 if a foreign document does not say.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// How often it was resumed.
    pub resumed: u32,
    /// The definition.
    pub definition: Definition,
}

impl Header {
    /// The header of a backup that begins at `started`.
    pub fn new(definition: Definition, contents: Contents, started: Timestamp) -> Result<Self> {
        Ok(Header {
            collection: definition.name()?,
            weaviate_version: "unknown".to_owned(),
            contents,
            object_count: 0,
            batch_size: 0,
            options: Options::default(),
            started: Timestamp::from_second(started.as_second()).unwrap_or(started),
            finished: None,
            resumed: 0,
            definition,
        })
    }

    /// The header as it was before the archive was sealed.
    pub(crate) fn initial(&self) -> Header {
        let object_count = match self.contents {
            Contents::Full => 0,
            Contents::SchemaOnly => self.object_count,
        };
        Header {
            object_count,
            finished: None,
            resumed: 0,
            ..self.clone()
        }
    }

    /// The hash that names this archive from its first byte on: blake3 of the initial metadata and definition.
    pub fn hash(&self) -> String {
        blake3::hash(self.initial().text(false).as_bytes())
            .to_hex()
            .to_string()
    }

    /// The metadata; as long sealed as not.
    pub(crate) fn metadata(&self, is_sealed: bool) -> String {
        let finished = match &self.finished {
            Some(time) => quoted(&spell(time)),
            None => "null".to_owned(),
        };
        // Serialising strings cannot fail.
        let options = serde_json::to_string(&self.options).unwrap_or_default();
        format!(
            concat!(
                r#"{{"version":{},"timestamp":{},"collection":{},"weaviate_version":{},"type":"{}","object_count":{:<20},"#,
                r#""batch_size":{},"options":{},"started":{},"finished":{:<22},"resumed":{:<10},"sealed":{:<5}}}"#
            ),
            quoted(VERSION),
            quoted(&spell(&self.started)),
            quoted(self.collection.as_str()),
            quoted(&self.weaviate_version),
            self.contents.name(),
            self.object_count,
            self.batch_size,
            options,
            quoted(&spell(&self.started)),
            finished,
            self.resumed,
            is_sealed,
        )
    }

    /// The head of a document; also, closed, the metadata file of a folder.
    pub(crate) fn text(&self, is_sealed: bool) -> String {
        format!(
            r#"{{"metadata":{},"schema":{}"#,
            self.metadata(is_sealed),
            self.definition.text()
        )
    }

    /// Reads metadata, ours or foreign.
    pub(crate) fn parse(metadata: &str, definition: Definition) -> Result<Self> {
        let found: Value = serde_json::from_str(metadata).map_err(|cause| {
            Error::new(Kind::Difference, "the metadata are not JSON").with_cause(cause)
        })?;
        check_version(&found)?;
        let text = |name: &str| found.get(name).and_then(Value::as_str);
        let number = |name: &str| found.get(name).and_then(Value::as_u64).unwrap_or(0);
        let time = |name: &str| text(name).map(parse_time).transpose();
        let started = match time("started")? {
            Some(started) => started,
            None => time("timestamp")?.unwrap_or(Timestamp::UNIX_EPOCH),
        };
        let options = found.get("options").cloned().unwrap_or(Value::Null);
        Ok(Header {
            collection: check_collection(text("collection"), &definition)?,
            weaviate_version: text("weaviate_version").unwrap_or("unknown").to_owned(),
            contents: parse_contents(text("type"))?,
            object_count: number("object_count"),
            batch_size: u32::try_from(number("batch_size")).unwrap_or(0),
            // Foreign options mean nothing to us; ours are covered by the seal.
            options: serde_json::from_value(options).unwrap_or_default(),
            started,
            finished: time("finished")?,
            resumed: u32::try_from(number("resumed")).unwrap_or(0),
            definition,
        })
    }
}

/// Sets what is patched at the end back to how it began, in the bytes of a head.
///
/// The names cannot be met elsewhere before: within text a quote has a backslash in front.
pub(crate) fn unpatch(bytes: &mut [u8]) {
    let count: &[u8] = br#""type":"full","object_count":"#;
    for (name, initial) in [
        (count, format!("{:<20}", 0)),
        (br#","finished":"#, format!("{:<22}", "null")),
        (br#","resumed":"#, format!("{:<10}", 0)),
        (br#","sealed":"#, format!("{:<5}", false)),
    ] {
        let found = bytes.windows(name.len()).position(|window| window == name);
        let field = found.and_then(|at| bytes.get_mut(at + name.len()..)?.get_mut(..initial.len()));
        if let Some(field) = field {
            field.copy_from_slice(initial.as_bytes());
        }
    }
}

fn check_version(metadata: &Value) -> Result<()> {
    match metadata.get("version") {
        None => Ok(()),
        Some(Value::String(version)) if version == VERSION => Ok(()),
        Some(version) => Err(Error::new(
            Kind::Incompatible,
            format!(
                "archives of version `{}` cannot be read, only {VERSION}",
                bare(version)
            ),
        )
        .with_hint("use the version of elysiactl that wrote it, or a newer one")),
    }
}

fn bare(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn check_collection(named: Option<&str>, definition: &Definition) -> Result<CollectionName> {
    let defined = definition.name()?;
    match named.map(CollectionName::parse).transpose() {
        Ok(None) => Ok(defined),
        Ok(Some(named)) if named == defined => Ok(defined),
        _ => Err(Error::new(
            Kind::Difference,
            format!(
                "the metadata name `{}`, the definition `{defined}`",
                named.unwrap_or_default()
            ),
        )),
    }
}

fn parse_contents(name: Option<&str>) -> Result<Contents> {
    match name {
        None | Some("full") => Ok(Contents::Full),
        Some("schema-only" | "schema") => Ok(Contents::SchemaOnly),
        Some(other) => Err(Error::new(
            Kind::Incompatible,
            format!("archives of type `{other}` are unknown"),
        )),
    }
}

/// A time without zone is UTC.
fn parse_time(text: &str) -> Result<Timestamp> {
    text.parse::<Timestamp>()
        .or_else(|_| {
            let civil: jiff::civil::DateTime = text.parse()?;
            Ok(civil.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
        })
        .map_err(|cause: jiff::Error| {
            Error::new(Kind::Difference, format!("`{text}` is not a time")).with_cause(cause)
        })
}

fn spell(time: &Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let definition = Definition::parse(r#"{"class":"A", "x":[1]}"#.to_owned()).unwrap();
        let mut header = Header::new(definition, Contents::Full, Timestamp::now()).unwrap();
        header.options.filter = Some("a \"b\"\n".to_owned());
        header
    }

    #[test]
    fn a_header_reads_back_and_keeps_its_length_and_hash_when_sealed() {
        let one = header();
        let mut two = one.clone();
        (two.object_count, two.finished, two.resumed) = (u64::MAX, Some(one.started), u32::MAX);
        assert_eq!(one.text(false).len(), two.text(true).len());
        assert_eq!(one.hash(), two.hash());
        for (header, is_sealed) in [(&one, false), (&two, true)] {
            let read =
                Header::parse(&header.metadata(is_sealed), header.definition.clone()).unwrap();
            assert_eq!(read, *header);
        }
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let other = header()
            .metadata(false)
            .replace(r#""version":"1.0""#, r#""version":"2.0""#);
        let error = Header::parse(&other, header().definition).unwrap_err();
        assert_eq!(error.kind(), Kind::Incompatible);
        assert!(error.message().contains("`2.0`"));
    }

    #[test]
    fn foreign_metadata_may_lack_nearly_everything() {
        let read = Header::parse(
            r#"{"timestamp":"2026-02-01T10:30:00.5"}"#,
            header().definition,
        )
        .unwrap();
        assert_eq!(read.started.to_string(), "2026-02-01T10:30:00.5Z");
        assert_eq!(
            (read.weaviate_version.as_str(), read.contents),
            ("unknown", Contents::Full)
        );
    }
}
