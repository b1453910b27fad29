//! What an archive says about itself after its objects: the table of contents, and the seal over everything.
//!
//! The seal is blake3 over the head, the hash of every frame or part in order, and the table of contents, all
//! as they are stored. Whoever knows the seal knows every byte.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Kind, Result};
use crate::format::{Digest, Tallies};
use crate::job::{Receipt, TenantTally, VectorTally};
use crate::model::{Definition, Key, ObjectId, Tenant};

/// A tenant with the state it was found in, as the server spells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantState {
    /// Its name.
    pub name: String,
    /// `HOT`, `COLD`, `ACTIVE`, `INACTIVE`, `OFFLOADED`, …
    #[serde(rename = "activityStatus", default)]
    pub status: String,
}

/// What the end of a backup knows beside its receipts.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// When it ended; the zero time means unknown.
    pub finished: jiff::Timestamp,
    /// How often it was resumed.
    pub resumed: u32,
    /// Every tenant with its state.
    pub tenants: Vec<TenantState>,
    /// Names of the aliases of the collection.
    pub aliases: Vec<String>,
    /// The definition read again at the end, if it changed meanwhile.
    pub definition_at_end: Option<Definition>,
    /// Sentences about what is missing or changed meanwhile.
    pub notes: Vec<String>,
    /// Objects that the collection held before the backup began and that are not in the archive.
    pub lost: u64,
    /// Somebody may have changed the objects since they were read from a server: what they are like is not told.
    pub is_edited: bool,
}

/// The table of contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trailer {
    /// Objects in the archive.
    pub object_count: u64,
    /// Every tenant with its state.
    #[serde(default)]
    pub tenants: Vec<TenantState>,
    /// Names of the aliases of the collection.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The definition read again at the end, if it changed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_at_end: Option<Definition>,
    /// Sentences about what is missing or changed meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Objects that were in the collection before the backup began and are not in the archive; older archives do not tell.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lost: u64,
    /// What can be checked.
    pub integrity: Integrity,
}

/// What can be checked of an archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Integrity {
    /// The shape of this member; 1.
    pub version: u32,
    /// Objects that could not be read.
    pub rejected: u64,
    /// The digest over all objects; none if the backup computed none.
    pub digest: Option<Hex>,
    /// Count and digest per tenant, by name; in a collection without tenants one entry without name.
    pub tenants: Vec<TenantEntry>,
    /// The frames of a document or the parts of a folder, in order.
    pub frames: Vec<Frame>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// Count and digest of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantEntry {
    /// Its name, or nothing.
    pub tenant: Tenant,
    /// Objects.
    pub count: u64,
    /// The digest over its objects.
    pub digest: Option<Hex>,
    /// How long its vectors are; older archives do not tell, nor those made without a digest or sealed anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<Vec<VectorTally>>,
}

/// A frame of a document or a part of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The path of a part within its folder; nothing for a frame.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Where a frame begins in its document, separator included; 0 for a part.
    pub offset: u64,
    /// Its length in bytes, separator included.
    pub length: u64,
    /// Objects.
    pub count: u64,
    /// The first key.
    pub first: Option<KeyText>,
    /// The last key.
    pub last: Option<KeyText>,
    /// blake3 over its stored bytes.
    pub blake3: Hex,
}

/// 32 bytes as hexadecimal text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex(pub [u8; 32]);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digest = Digest::parse(&text).map_err(serde::de::Error::custom)?;
        Ok(Hex(digest.0))
    }
}

/// A key as text: the id, and after a `/` the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyText(pub Key);

impl Serialize for KeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (id, tenant) = text.split_once('/').unwrap_or((&text, ""));
        Ok(KeyText(Key {
            tenant: Tenant::named(tenant),
            id: ObjectId::parse(id).map_err(serde::de::Error::custom)?,
        }))
    }
}

impl Frame {
    pub(crate) fn of(receipt: &Receipt, path: String) -> Self {
        let key = |key: &Key| KeyText(key.clone());
        Frame {
            path,
            offset: receipt.place.map_or(0, |place| place.offset),
            length: receipt.bytes,
            count: u64::from(receipt.count),
            first: receipt.span.as_ref().map(|span| key(&span.0)),
            last: receipt.span.as_ref().map(|span| key(&span.1)),
            blake3: Hex(receipt.hash),
        }
    }
}

impl Trailer {
    /// The table of contents of what `receipts` say was written into `frames`.
    pub(crate) fn new(
        receipts: &[&Receipt],
        frames: Vec<Frame>,
        ending: &Ending,
        has_digest: bool,
    ) -> Self {
        let mut tallies = Tallies::default();
        for receipt in receipts {
            tallies.merge(&receipt.tenants);
        }
        let mut trailer = Trailer::of(&tallies, frames, ending, has_digest);
        let rejected = receipts.iter().map(|receipt| u64::from(receipt.rejected));
        trailer.integrity.rejected = rejected.sum();
        trailer
    }

    /// The table of contents of `frames` with the objects that were tallied.
    pub(crate) fn of(
        tallies: &Tallies,
        frames: Vec<Frame>,
        ending: &Ending,
        has_digest: bool,
    ) -> Self {
        let digest = |digest: Digest| has_digest.then_some(Hex(digest.0));
        let entry = |tally: TenantTally| TenantEntry {
            digest: digest(Digest(tally.digest)),
            tenant: tally.tenant,
            count: tally.count,
            vectors: tally.vectors.filter(|_| has_digest && !ending.is_edited),
        };
        Trailer {
            object_count: tallies.count(),
            tenants: ending.tenants.clone(),
            aliases: ending.aliases.clone(),
            definition_at_end: ending.definition_at_end.clone(),
            notes: ending.notes.clone(),
            lost: ending.lost,
            integrity: Integrity {
                version: 1,
                rejected: 0,
                digest: digest(tallies.digest()),
                tenants: tallies.sorted().into_iter().map(entry).collect(),
                frames,
            },
        }
    }

    /// Its members as JSON text, without the braces around them.
    pub(crate) fn members(&self) -> Result<String> {
        let text = serde_json::to_string(self).map_err(|cause| {
            Error::new(Kind::Failed, "cannot write the table of contents").with_cause(cause)
        })?;
        Ok(text[1..text.len() - 1].to_owned())
    }

    /// Reads what [`Trailer::members`] wrote, within braces.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let trailer: Trailer = serde_json::from_str(text).map_err(|cause| {
            Error::new(Kind::Difference, "the table of contents is damaged").with_cause(cause)
        })?;
        match trailer.integrity.version {
            1 => Ok(trailer),
            other => Err(Error::new(
                Kind::Incompatible,
                format!("integrity of version {other} cannot be read, only 1"),
            )
            .with_hint("use the version of elysiactl that wrote it, or a newer one")),
        }
    }

    /// Objects by the frames' own counts.
    pub(crate) fn frame_count(&self) -> u64 {
        self.integrity
            .frames
            .iter()
            .fold(0, |sum, frame| sum.saturating_add(frame.count))
    }
}

/// The seal over stored bytes.
pub(crate) fn seal(head: &[&[u8]], frames: &[Frame], contents: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for piece in head {
        hasher.update(piece);
    }
    for frame in frames {
        hasher.update(&frame.blake3.0);
    }
    hasher.update(contents);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_a_member_of_archives_that_have_some() {
        let losing = Ending {
            lost: 7,
            ..Ending::default()
        };
        for (ending, lost) in [(Ending::default(), 0), (losing, 7)] {
            let trailer = Trailer::of(&Tallies::default(), Vec::new(), &ending, true);
            let text = format!("{{{}}}", trailer.members().unwrap());
            assert_eq!(text.contains(r#""lost":7"#), lost == 7, "{text}");
            assert_eq!(text.contains("lost"), lost == 7, "{text}");
            assert_eq!(Trailer::parse(&text).unwrap().lost, lost);
        }
    }

    #[test]
    fn an_archive_of_before_vectors_were_told_is_read() {
        let mut tallies = Tallies::default();
        tallies.add(&Tenant::NONE, 1, Digest::default(), Some(&[]));
        let trailer = Trailer::of(&tallies, Vec::new(), &Ending::default(), true);
        let text = format!("{{{}}}", trailer.members().unwrap());
        assert!(text.contains(r#","vectors":[]"#), "{text}");
        let older = Trailer::parse(&text.replace(r#","vectors":[]"#, "")).unwrap();
        assert_eq!(older.integrity.tenants[0].vectors, None);
        assert_eq!(older.integrity.digest, trailer.integrity.digest);
    }
}
