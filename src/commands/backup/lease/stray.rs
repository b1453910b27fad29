//! Unfinished archives that nobody owns up to: no lease names them, and no unfinished job of this state directory.
//!
//! A lease is there before its archive and goes after it, so such a one was left by a run whose lease was lost, or by an old
//! version. Nothing shows that its run is over: it is named, and never removed.

use super::note::Note;
use super::way::{Way, is_owned};
use crate::error::Result;
use crate::journal::Listed;

impl Way<'_> {
    /// The hidden names of the collection's unfinished archives.
    pub(super) fn unfinished(&self) -> Result<Vec<String>> {
        let names = self.storage.list("")?.into_iter().map(|(name, _)| name);
        let is_ours = |name: &String| archive_of(name, self.collection.as_str()).is_some();
        Ok(names.filter(is_ours).collect())
    }

    /// Says which of the `hidden` archives, listed before the `leases` were read, are nobody's.
    pub(super) fn name_strays(
        &self,
        hidden: &[String],
        leases: &[(String, Note)],
        jobs: &[Listed],
    ) -> Result<()> {
        for name in hidden {
            let archive = archive_of(name, self.collection.as_str());
            let has_lease = leases
                .iter()
                .any(|(_, note)| note.archive.as_deref() == archive);
            // Its run may have ended meanwhile, and a lost one's was swept.
            if has_lease || is_owned(jobs, archive) || !self.storage.exists(name)? {
                continue;
            }
            self.session.warn(&format!(
                "`{}` is an unfinished archive that no lease and no job of this state directory knows; it is left alone: remove it if no other run is at work on it",
                self.storage.path(name).display()
            ));
        }
        Ok(())
    }
}

/// The archive of which `hidden` is the unfinished one, if it is one of the collection.
fn archive_of<'a>(hidden: &'a str, collection: &str) -> Option<&'a str> {
    let archive = hidden.strip_prefix('.')?.strip_suffix(".partial")?;
    let rest = archive.strip_prefix(collection)?;
    let rest = rest
        .strip_prefix("_full_")
        .or_else(|| rest.strip_prefix("_schema_"))?;
    let is_time = |(at, byte): (usize, &u8)| match at {
        8 => *byte == b'_',
        _ => byte.is_ascii_digit(),
    };
    let time = rest.as_bytes().get(..15)?;
    let has_time = time.iter().enumerate().all(is_time);
    let ending = rest.get(15..)?;
    (has_time && (ending.is_empty() || ending.starts_with(".json"))).then_some(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_archive_is_known_by_the_name_of_its_collection_and_a_time() {
        for name in [
            "A_full_20260201_103000.json.zst",
            "A_schema_20260201_103000.json",
            "A_full_20260201_103000",
        ] {
            let hidden = format!(".{name}.partial");
            assert_eq!(archive_of(&hidden, "A"), Some(name));
            assert_eq!(archive_of(&hidden, "A_full"), None);
            assert_eq!(archive_of(name, "A"), None);
        }
        for other in [
            ".A_full_full_20260201_103000.json.partial",
            ".A_full_2026.partial",
            ".A_full_20260201_103000x.partial",
            ".AB_full_20260201_103000.json.partial",
            ".A_full_20260201-103000.json.partial",
        ] {
            assert_eq!(archive_of(other, "A"), None, "{other}");
        }
    }
}
