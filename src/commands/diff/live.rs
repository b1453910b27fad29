//! What was archived against what is live: `verify --live`, and the last step of a backup or a restore.
//!
//! A collection goes on living. Where a difference has a reason that can be shown (it is newer than the backup, or the
//! object was refused and is on record), it is counted by its reason and is no loss.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::end::{End, Seen};
use super::found::{Change, Comparison};
use super::merge::{Judge, Judgement};
use super::{Everything, Wanted, compare};
use crate::archive::Archive;
use crate::commands::session::{Session, grouped};
use crate::commands::waking::Sleepers;
use crate::error::{Error, Kind, Result};
use crate::format::Digest;
use crate::model::{CollectionName, Key, Times};
use crate::weaviate::{Connection, Incarnation, Role};

/// So many differences are named at the end of a job.
const NAMED: usize = 10;

/// Why an object that the archive lacks is no loss of the backup.
const ADDED: &str = "objects added since the backup began";
/// Why an object that the archive has otherwise is none.
const CHANGED: &str = "objects changed since the backup began";

/// True for a finding of a comparison by which the archive does not hold what the collection holds now.
pub(in crate::commands) fn tells_of_writes(sentence: &str) -> bool {
    sentence.ends_with(ADDED) || sentence.ends_with(CHANGED)
}

/// Compares an archive with a live end. What the archive was not made to hold is no matter.
pub async fn verify_live(
    session: &Session,
    archive: &Path,
    live: &End,
    skip_inactive: bool,
    limit: usize,
) -> Result<Comparison> {
    let one = Seen::of_archive(Archive::open(archive)?);
    let two = Seen::look(session, live, Role::Source).await?;
    let wanted = Wanted {
        limit,
        skip_inactive,
        is_archive_the_measure: true,
        is_definition_compared: true,
        is_change_told: true,
    };
    compare(session, one, two, &wanted, &Everything).await
}

/// What was backed up, with what became of the collection since. The `sleepers` are woken to be read.
pub(in crate::commands) async fn verify_backup(
    session: &Session,
    archive: Archive,
    connection: &Connection,
    since: SinceBackup,
    sleepers: Sleepers,
) -> Result<Comparison> {
    let name = archive.header().collection.clone();
    let live = End::Collection {
        connection: Box::new(connection.clone()),
        name: name.clone(),
    };
    let one = Seen::of_archive(archive);
    let mut two = Seen::look(session, &live, Role::Source).await?;
    two.may_wake(sleepers);
    if !two.may_be(&since.incarnation) {
        return Err(another_life(&name));
    }
    let wanted = Wanted {
        limit: NAMED,
        // Another one that fell asleep since is said to be left out, and then nothing is shown.
        skip_inactive: true,
        is_archive_the_measure: true,
        is_definition_compared: true,
        is_change_told: false,
    };
    compare(session, one, two, &wanted, &since).await
}

/// What was restored, before tenants go to sleep again. With `merged`, what else is in the collection is no matter.
pub(in crate::commands) async fn verify_restore(
    session: &Session,
    archive: Archive,
    connection: &Connection,
    name: &CollectionName,
    rejected: BTreeSet<Key>,
    merged: bool,
) -> Result<Comparison> {
    let live = End::Collection {
        connection: Box::new(connection.clone()),
        name: name.clone(),
    };
    let one = Seen::of_archive(archive);
    let two = Seen::look(session, &live, Role::Target).await?;
    let wanted = Wanted {
        limit: NAMED,
        skip_inactive: true,
        is_archive_the_measure: true,
        // Its own checks of the definition come before the data, states and aliases after.
        is_definition_compared: false,
        is_change_told: false,
    };
    let judge = Restored { rejected, merged };
    compare(session, one, two, &wanted, &judge).await
}

/// What is known of a backup that is compared.
pub(in crate::commands) struct SinceBackup {
    /// What it could not read.
    pub rejected: BTreeSet<Key>,
    /// When it began, in Unix milliseconds by the server's clock.
    pub started: i64,
    /// What was read.
    pub incarnation: Incarnation,
}

/// Nothing can be said of it from an archive of the other one.
pub(in crate::commands) fn another_life(name: &CollectionName) -> Error {
    Error::new(
        Kind::SourceRefused,
        format!("collection `{name}` was deleted and created again since"),
    )
}

impl Judge for SinceBackup {
    fn judge(&self, change: Change, key: &Key, times: Option<Times>) -> Judgement {
        let times = times.unwrap_or_default();
        match change {
            Change::Missing => Judgement::Explained("objects deleted since the backup began"),
            Change::Extra if self.rejected.contains(key) => {
                Judgement::Explained("objects that the backup could not read")
            }
            Change::Extra if times.created >= self.started => Judgement::Explained(ADDED),
            Change::Different if times.updated >= self.started => Judgement::Explained(CHANGED),
            _ => Judgement::Differs,
        }
    }
}

struct Restored {
    rejected: BTreeSet<Key>,
    merged: bool,
}

impl Judge for Restored {
    fn judge(&self, change: Change, key: &Key, _: Option<Times>) -> Judgement {
        match change {
            Change::Extra if self.merged => Judgement::Ignored,
            Change::Missing | Change::Different if self.rejected.contains(key) => {
                Judgement::Explained("objects that the server refused")
            }
            _ => Judgement::Differs,
        }
    }
}

impl Comparison {
    /// 13 if an object is lost or wrong; 3 if something else differs, whose time nobody can tell, or was left out.
    pub(in crate::commands) fn exit_code_of_job(&self) -> u8 {
        let counts = &self.counts;
        let is_whole =
            counts.differences() == 0 && counts.unreadable == 0 && self.left_out.is_empty();
        match (counts.objects(), is_whole) {
            (0, true) => 0,
            (0, false) => 3,
            _ => 13,
        }
    }

    /// Each finding as a sentence fragment, the named differences first.
    pub(in crate::commands) fn sentences(&self) -> Vec<String> {
        let counts = &self.counts;
        let mut sentences: Vec<String> = self
            .shown
            .iter()
            .map(|difference| {
                format!("the archive (one) and the collection (other) differ: {difference}")
            })
            .collect();
        let more = counts.differences().saturating_sub(self.shown.len() as u64);
        if more > 0 {
            sentences.push(format!("and {} more differences", grouped(more)));
        }
        let explained = counts.explained.iter();
        sentences.extend(explained.map(|(why, count)| format!("{} {why}", grouped(*count))));
        if counts.unreadable > 0 {
            let count = grouped(counts.unreadable);
            sentences.push(format!(
                "{count} objects cannot be read, and were not compared"
            ));
        }
        let left_out = self.left_out.iter();
        sentences.extend(left_out.map(|what| format!("not compared: {what}")));
        sentences
    }

    /// For the report of a job.
    pub(in crate::commands) fn report(&self) -> Value {
        let tenants = self.two.tenants.iter().map(|tally| {
            json!({"tenant": tally.tenant, "count": tally.count, "digest": Digest(tally.digest).to_string()})
        });
        let counts = &self.counts;
        json!({
            "objects": self.two.objects, "digest": self.two.digest.to_string(),
            "differences": counts.differences(), "missing": counts.missing, "extra": counts.extra,
            "different": counts.different, "unreadable": counts.unreadable, "explained": counts.explained,
            "left_out": self.left_out, "tenants": tenants.collect::<Vec<Value>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObjectId;

    fn verdict(
        judge: &dyn Judge,
        change: Change,
        id: u128,
        times: Option<(i64, i64)>,
    ) -> &'static str {
        let times = times.map(|(created, updated)| Times { created, updated });
        match judge.judge(change, &Key::of(ObjectId::from_u128(id)), times) {
            Judgement::Differs => "differs",
            Judgement::Explained(_) => "explained",
            Judgement::Ignored => "ignored",
        }
    }

    #[test]
    fn only_what_is_newer_than_the_backup_or_was_refused_is_explained() {
        let rejected = BTreeSet::from([Key::of(ObjectId::from_u128(9))]);
        let judge = SinceBackup {
            rejected,
            started: 1_000,
            incarnation: Incarnation { shards: Vec::new() },
        };
        for (change, id, times, expected) in [
            (Change::Extra, 1, Some((999, 2_000)), "differs"),
            (Change::Extra, 1, Some((1_000, 2_000)), "explained"),
            (Change::Extra, 9, Some((1, 1)), "explained"),
            (Change::Extra, 1, Some((0, 0)), "differs"),
            (Change::Different, 1, Some((1, 999)), "differs"),
            (Change::Different, 1, Some((1, 1_000)), "explained"),
            (Change::Different, 9, Some((1, 999)), "differs"),
            (Change::Missing, 1, None, "explained"),
            (Change::RepeatedInOne, 1, None, "differs"),
        ] {
            assert_eq!(
                verdict(&judge, change, id, times),
                expected,
                "{change} {id} {times:?}"
            );
        }
    }

    #[test]
    fn of_a_restore_only_refused_objects_are_explained_and_what_was_there_before_is_no_matter() {
        let judge = |merged| Restored {
            rejected: BTreeSet::from([Key::of(ObjectId::from_u128(9))]),
            merged,
        };
        for (merged, change, id, expected) in [
            (false, Change::Missing, 1, "differs"),
            (true, Change::Missing, 1, "differs"),
            (true, Change::Different, 1, "differs"),
            (false, Change::Missing, 9, "explained"),
            (false, Change::Extra, 9, "differs"),
            (true, Change::Extra, 1, "ignored"),
        ] {
            assert_eq!(
                verdict(&judge(merged), change, id, None),
                expected,
                "{merged} {change} {id}"
            );
        }
    }
}
