//! What was asked for: the part that a resume must match, and the part that may change between runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

/// The short name of a job, shown to people: eight hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct JobId(String);

impl JobId {
    /// A new random id.
    pub fn random() -> Self {
        JobId(uuid::Uuid::new_v4().simple().to_string()[..8].to_owned())
    }

    /// Checks an id that somebody typed or a folder is named by.
    pub fn parse(text: &str) -> Result<Self> {
        let well_formed = text.len() == 8
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match well_formed {
            true => Ok(JobId(text.to_owned())),
            false => Err(Error::new(Kind::Usage, format!("`{text}` is not a job id"))
                .with_hint("`elysiactl jobs ls` lists the jobs with their ids")),
        }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The verb of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Collection to archive.
    Backup,
    /// Archive to collection.
    Restore,
    /// Collection to nothing.
    Clear,
    /// Collection to collection.
    Copy,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JobKind::Backup => "backup",
            JobKind::Restore => "restore",
            JobKind::Clear => "clear",
            JobKind::Copy => "copy",
        })
    }
}

/// What to do with an object that exists at the target and differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConflictPolicy {
    /// Replace it.
    #[default]
    Overwrite,
    /// Leave it.
    Skip,
    /// Replace it if the archived one is newer.
    Newer,
    /// Stop before the first write.
    Fail,
}

impl fmt::Display for ConflictPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConflictPolicy::Overwrite => "overwrite",
            ConflictPolicy::Skip => "skip",
            ConflictPolicy::Newer => "newer",
            ConflictPolicy::Fail => "fail",
        })
    }
}

/// What a resumed run must share with the run before it.
///
/// Ends are written without addresses: a live end is recognised by its incarnation, which is checked apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The verb.
    pub kind: JobKind,
    /// Collection name, or absolute path of the archive.
    pub source: String,
    /// Collection name, or absolute path of the destination folder; empty for a clear.
    pub target: String,
    /// The collections that travel together.
    pub collections: Vec<String>,
    /// The chosen tenants; empty is all.
    pub tenants: Vec<String>,
    /// The filter, as typed.
    pub filter: Option<String>,
    /// The chosen properties; empty is all.
    pub properties: Vec<String>,
    /// False to move definitions only.
    pub with_data: bool,
    /// False to leave vectors out.
    pub with_vectors: bool,
    /// The archive's format (`json`, `jsonl`, `parquet`); empty where there is no archive to write.
    pub format: String,
    /// The archive's compression (`none`, `gzip`, `zstd`, `lz4`).
    pub compression: String,
    /// What to do with objects that exist.
    pub conflict: ConflictPolicy,
    /// True to restore into a collection that exists.
    pub merge: bool,
    /// Hexadecimal seal or hash of the archive that is read; empty if none is.
    pub archive_hash: String,
    /// Other settings that change the outcome (a clear's method, …), name and value.
    pub settings: Vec<(String, String)>,
}

impl Identity {
    /// The identity of a job of everything in one collection.
    pub fn of(kind: JobKind, source: &str, target: &str) -> Self {
        Identity {
            kind,
            source: source.to_owned(),
            target: target.to_owned(),
            collections: Vec::new(),
            tenants: Vec::new(),
            filter: None,
            properties: Vec::new(),
            with_data: true,
            with_vectors: true,
            format: String::new(),
            compression: String::new(),
            conflict: ConflictPolicy::Overwrite,
            merge: false,
            archive_hash: String::new(),
            settings: Vec::new(),
        }
    }

    /// True if `other` is about the same thing, whatever its settings: an unfinished one is in the way.
    pub fn is_about_the_same(&self, other: &Identity) -> bool {
        (self.kind, &self.source, &self.target) == (other.kind, &other.source, &other.target)
    }

    /// Every field with its name and value, for people.
    pub fn fields(&self) -> Vec<(&str, String)> {
        let mut fields = vec![
            ("job", self.kind.to_string()),
            ("source", self.source.clone()),
            ("target", self.target.clone()),
            ("collections", self.collections.join(", ")),
            ("tenants", self.tenants.join(", ")),
            ("filter", self.filter.clone().unwrap_or_default()),
            ("properties", self.properties.join(", ")),
            ("data", yes_or_no(self.with_data)),
            ("vectors", yes_or_no(self.with_vectors)),
            ("format", self.format.clone()),
            ("compression", self.compression.clone()),
            ("on conflict", self.conflict.to_string()),
            ("merge", yes_or_no(self.merge)),
            ("archive hash", self.archive_hash.clone()),
        ];
        fields.extend(
            self.settings
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone())),
        );
        fields
    }

    /// The fields in which two identities differ: name, value here, value there.
    pub fn differences(&self, other: &Identity) -> Vec<(String, String, String)> {
        let (ours, theirs) = (self.fields(), other.fields());
        let mut names: Vec<&str> = ours.iter().chain(&theirs).map(|field| field.0).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        let value = |fields: &[(&str, String)], name: &str| {
            fields
                .iter()
                .find(|field| field.0 == name)
                .map(|field| field.1.clone())
                .unwrap_or_default()
        };
        names
            .into_iter()
            .map(|name| (name.to_owned(), value(&ours, name), value(&theirs, name)))
            .filter(|(_, ours, theirs)| ours != theirs)
            .collect()
    }
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// What may change between the runs of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Upper bound of objects in a batch; `None` adapts.
    pub batch_size: Option<u32>,
    /// Lanes at work at once; `None` lets the plan choose.
    pub workers: Option<u32>,
    /// At most so many objects per second.
    pub objects_per_second: Option<f64>,
    /// At most so many bytes per second.
    pub bytes_per_second: Option<f64>,
    /// Memory to stay within, in bytes.
    pub max_memory: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            batch_size: None,
            workers: None,
            objects_per_second: None,
            bytes_per_second: None,
            max_memory: 256 << 20,
        }
    }
}

/// A whole request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What a resume must match.
    pub identity: Identity,
    /// What a resume may change.
    pub tuning: Tuning,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_the_field_and_both_values() {
        let one = Identity::of(JobKind::Backup, "A", "/b");
        let mut two = one.clone();
        two.compression = "gzip".into();
        two.settings.push(("method".into(), "by-id".into()));
        assert_eq!(
            one.differences(&two),
            [
                ("compression".into(), String::new(), "gzip".into()),
                ("method".into(), String::new(), "by-id".into())
            ]
        );
        assert!(one.is_about_the_same(&two));
        assert!(one.differences(&one).is_empty());
    }

    #[test]
    fn a_job_id_is_eight_hexadecimal_digits() {
        assert_eq!(
            JobId::parse(JobId::random().as_str())
                .unwrap()
                .as_str()
                .len(),
            8
        );
        for bad in ["", "7f3c9a", "../../etc", "ABCDEF01"] {
            assert!(JobId::parse(bad).is_err(), "{bad}");
        }
    }
}
