//! The census after a backup of a collection that changed meanwhile: every live id against every archived one.
//!
//! Both sides come in key order and are merged in constant memory. Creation times tell a loss from an addition.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::facts::fact_number;
use super::pages::Pages;
use crate::archive::Archive;
use crate::engine::Facts;
use crate::error::{Error, Kind, Reaction, Result};
use crate::job::{Bounds, Job};
use crate::journal::JobFolder;
use crate::model::{CollectionName, Key, ObjectId, Tenant, Times};
use crate::pipe::{Budget, Source, Vector, Visit};
use crate::retry::Policy;
use crate::weaviate::{Client, CollectionSource, is_closed};

const PAGE: Budget = Budget::of(1_000, 4 << 20);

/// A request that fails so often holds the reason itself.
const ALIKE_TRIES: u32 = 3;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Live, not archived, created before the backup began.
    pub lost: u64,
    /// Live, not archived, created since.
    pub added: u64,
    /// Archived, not live any more.
    pub removed: u64,
}

impl Census {
    /// As [`Census::facts`] noted it.
    pub fn of(job: &Job) -> Result<Self> {
        Ok(Census {
            lost: fact_number(job, "lost")?,
            added: fact_number(job, "added")?,
            removed: fact_number(job, "removed")?,
        })
    }

    pub fn facts(self) -> Facts {
        let fact = |name: &str, number: u64| (name.to_owned(), number.to_string());
        Facts::from([
            fact("lost", self.lost),
            fact("added", self.added),
            fact("removed", self.removed),
        ])
    }

    fn live_only(&mut self, times: Times, started: i64) {
        if times.created < started {
            self.lost += 1
        } else {
            self.added += 1
        }
    }
}

/// Compares the live ids with those in a sealed archive. `known` are those that could not be read; `started` is the
/// server's time at the beginning, in Unix milliseconds.
pub(super) async fn compare(
    policy: &Policy,
    live: &impl Source,
    archive: &Archive,
    known: &BTreeSet<Key>,
    started: i64,
) -> Result<Census> {
    let mut census = Census::default();
    let archived = archive.source();
    let mut archived = InOrder::of(policy, &archived, lanes_in_order(archive));
    let mut live = InOrder::of(policy, live, vec![Bounds::ALL_KEYS]);
    let (mut ours, mut theirs) = (archived.next().await?, live.next().await?);
    loop {
        let order = match (&ours, &theirs) {
            (None, None) => return Ok(census),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((ours, _)), Some((theirs, _))) => ours.cmp(theirs),
        };
        match (&theirs, order) {
            (_, Ordering::Less) => census.removed += 1,
            (Some((key, times)), Ordering::Greater) if !known.contains(key) => {
                census.live_only(*times, started)
            }
            _ => {}
        }
        if order != Ordering::Greater {
            ours = archived.next().await?;
        }
        if order != Ordering::Less {
            theirs = live.next().await?;
        }
    }
}

/// One lane per frame, by their first keys: lanes of a backup do not overlap, so their frames come in order of keys.
fn lanes_in_order(archive: &Archive) -> Vec<Bounds> {
    let frames = archive
        .trailer()
        .map(|trailer| trailer.integrity.frames.as_slice())
        .unwrap_or_default();
    let mut order: Vec<(Option<&Key>, u64)> = frames
        .iter()
        .zip(0..)
        .map(|(frame, index)| (frame.first.as_ref().map(|key| &key.0), index))
        .collect();
    order.sort();
    order
        .into_iter()
        .map(|(_, index)| Bounds::Frames {
            from: index,
            to: index + 1,
        })
        .collect()
}

/// What is left of a collection after every id was deleted: what was created since `began` (the server's time, Unix
/// milliseconds), and what is stuck. An object whose id the index spells otherwise is deleted singly.
pub(super) async fn remains(
    policy: &Policy,
    client: &Client,
    name: &CollectionName,
    live: &CollectionSource,
    began: i64,
) -> Result<Facts> {
    let (mut stuck, mut newer) = (0_u64, 0_u64);
    let mut live = InOrder::of(policy, live, vec![Bounds::ALL_KEYS]);
    while let Some((key, times)) = live.next().await? {
        if !is_older(times.created, began) {
            newer += 1;
            continue;
        }
        stuck += u64::from(is_stuck(policy, client, name, &key).await?);
    }
    Ok(Facts::from([
        ("stuck".into(), stuck.to_string()),
        ("left".into(), (stuck + newer).to_string()),
    ]))
}

/// The server tells its time in whole seconds, rounded down.
pub(super) fn is_older(created: i64, began: i64) -> bool {
    created < began + 1_000
}

/// Deletes one object by its own address. True if the server fails at it again and again while it answers otherwise.
async fn is_stuck(
    policy: &Policy,
    client: &Client,
    name: &CollectionName,
    key: &Key,
) -> Result<bool> {
    let mut tries = policy.tries("delete an object");
    let mut failures = 0;
    loop {
        match client.delete_object(name, key).await {
            Ok(()) => break,
            Err(error) if error.reaction() == Reaction::Suspect && !is_closed(&error) => {
                failures += 1;
                if failures >= ALIKE_TRIES {
                    break;
                }
                tries.pause(error).await?;
            }
            Err(error) => tries.pause(error).await?,
        }
    }
    policy
        .run("look for an object", || client.has_object(name, key))
        .await
}

/// The first objects of a collection, at most so many; the time of one that cannot be read is zero.
pub(super) async fn first(
    policy: &Policy,
    live: &CollectionSource,
    most: usize,
) -> Result<Vec<(Key, Times)>> {
    let mut live = InOrder::of(policy, live, vec![Bounds::ALL_KEYS]);
    let mut first = Vec::new();
    while first.len() < most
        && let Some(next) = live.next().await?
    {
        first.push(next);
    }
    Ok(first)
}

/// The keys that a backup could not read, from its file of rejects.
pub(super) fn read_rejected(folder: &JobFolder) -> Result<BTreeSet<Key>> {
    #[derive(serde::Deserialize)]
    struct Line {
        id: String,
        tenant: Option<String>,
    }
    let path = folder.path().join("rejects.jsonl");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(cause) => {
            return Err(
                Error::new(Kind::Failed, format!("cannot read `{}`", path.display()))
                    .with_cause(cause),
            );
        }
    };
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).map_err(|cause| {
            Error::new(Kind::Failed, format!("`{}` is damaged", path.display())).with_cause(cause)
        })?;
        keys.insert(Key {
            tenant: Tenant::named(line.tenant.as_deref().unwrap_or("")),
            id: ObjectId::parse(&line.id)?,
        });
    }
    Ok(keys)
}

/// Keys with their times, in order, a page at a time.
struct InOrder<'a, S: Source> {
    pages: Pages<&'a S>,
    page: std::vec::IntoIter<(Key, Times)>,
}

impl<'a, S: Source> InOrder<'a, S> {
    fn of(policy: &Policy, source: &'a S, bounds: Vec<Bounds>) -> Self {
        InOrder {
            pages: Pages::of(policy, "compare ids", source, bounds, PAGE),
            page: Vec::new().into_iter(),
        }
    }

    async fn next(&mut self) -> Result<Option<(Key, Times)>> {
        loop {
            if let Some(next) = self.page.next() {
                return Ok(Some(next));
            }
            let Some(page) = self.pages.next().await? else {
                return Ok(None);
            };
            let mut keys = Keys(Vec::with_capacity(page.keys.len()));
            page.objects.walk(&mut keys)?;
            // It is there; nobody knows since when.
            let unreadable = page.unreadable.into_iter();
            keys.0
                .extend(unreadable.map(|reject| (reject.key, Times::default())));
            self.page = keys.0.into_iter();
        }
    }
}

struct Keys(Vec<(Key, Times)>);

impl Visit for Keys {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.0.push((key.clone(), times));
        Ok(())
    }

    fn property(&mut self, _: &str, _: &str) -> Result<()> {
        Ok(())
    }

    fn vector(&mut self, _: Option<&str>, _: Vector<'_>) -> Result<()> {
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::facts::tests::none_may_lack;

    #[test]
    fn a_census_that_is_lost_is_not_one_without_losses() {
        let facts = [("lost", "1"), ("added", "0"), ("removed", "2")];
        none_may_lack(&facts, Census::of);
    }
}
