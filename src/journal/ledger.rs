//! The one implementation of [`Store`], over a medium: what is written where, and in which order it becomes durable.
//!
//! A commit is `write` → `flush` → `sync_data`, and nothing is acknowledged before the last one has returned. Any
//! error poisons the ledger: nobody knows what reached the disk, so only opening it again can tell.

use std::collections::BTreeMap;

use super::kept::{KeptIds, Lanes};
use super::load::Loader;
use super::record::{self, Address, Head, Mark};
use super::{Entry, Store, ids};
use crate::error::{Error, Kind, Result};
use crate::job::{Cursor, Job, JobId, LaneId, Step};
use crate::model::Key;

/// What a commit changes: a value to put, or `None` to remove it.
pub(super) type Changes = BTreeMap<Address, Option<Vec<u8>>>;

type Records = Vec<(Address, Vec<u8>)>;

/// What [`Medium::load`] hands each record to: its address, and its value or `None` for a removal.
pub(super) type Take<'a> = dyn FnMut(&[u8], Option<&[u8]>) -> Result<()> + 'a;

/// Where records lie.
pub(super) trait Medium: Send + 'static {
    /// Hands out every record, steps in their order. Called once, before anything else.
    fn load(&mut self, take: &mut Take<'_>) -> Result<()>;
    /// Writes all changes or none of them, not yet durably.
    fn write(&mut self, changes: &Changes) -> Result<()>;
    /// Hands everything written to the operating system.
    fn flush(&mut self) -> Result<()>;
    /// Makes everything flushed durable.
    fn sync_data(&mut self) -> Result<()>;
}

/// A journal on a medium.
pub(super) struct Ledger<M> {
    medium: M,
    head: Head,
    lanes: Lanes,
    poison: Option<String>,
}

impl<M: Medium> Ledger<M> {
    /// Reads and checks what is there.
    pub(super) fn open(mut medium: M, id: &JobId) -> Result<(Self, Job, KeptIds)> {
        let mut loader = Loader::of(id);
        medium.load(&mut |address, value| loader.take(address, value))?;
        let loaded = loader.finish()?;
        let ledger = Ledger {
            medium,
            head: loaded.head,
            lanes: loaded.lanes,
            poison: None,
        };
        Ok((ledger, loaded.job, loaded.ids))
    }

    #[cfg(test)]
    pub(super) fn medium_mut(&mut self) -> &mut M {
        &mut self.medium
    }

    fn commit(&mut self, entries: &[Entry]) -> Result<()> {
        let mut changes = Changes::new();
        for entry in entries {
            self.add(entry, &mut changes)?;
        }
        self.head.number += 1;
        let head = record::seal(Address::Head, &record::encode(&self.head)?);
        changes.insert(Address::Head, Some(head));
        self.medium.write(&changes)?;
        self.medium.flush()?;
        // sled's flush does not reach the disk by itself.
        self.medium.sync_data()
    }

    fn add(&mut self, entry: &Entry, changes: &mut Changes) -> Result<()> {
        let (mark, records) = self.pack(entry)?;
        for obsolete in self.lanes.apply(&entry.step, mark)? {
            changes.insert(obsolete, None);
        }
        let bytes = record::encode_step(&entry.step, mark)?;
        let step = record::step_records(self.head.steps, &bytes)?;
        for (address, value) in records.into_iter().chain(step) {
            changes.insert(address, Some(value));
        }
        self.head.chain = record::link(&self.head.chain, &bytes);
        self.head.steps += 1;
        Ok(())
    }

    fn pack(&mut self, entry: &Entry) -> Result<(Option<Mark>, Records)> {
        match &entry.step {
            Step::Intended(lane, intent) => {
                let lane = *lane;
                let batch = (lane, intent.seq, &intent.end);
                self.pack_batch(batch, &entry.keys, |part| Address::Intended { lane, part })
            }
            Step::Committed(lane, receipt, cursor) => {
                let (lane, seq) = (*lane, receipt.seq);
                let place = |part| Address::Kept { lane, seq, part };
                self.pack_batch((lane, seq, cursor), &entry.keys, place)
            }
            _ if entry.keys.is_empty() => Ok((None, Vec::new())),
            _ => Err(Error::new(
                Kind::Failed,
                "ids were handed in without a batch",
            )),
        }
    }

    fn pack_batch(
        &mut self,
        batch: (LaneId, u64, &Cursor),
        keys: &[Key],
        place: impl Fn(u16) -> Address,
    ) -> Result<(Option<Mark>, Records)> {
        let (bodies, running) = ids::pack(batch, keys, self.lanes.running(batch.0))?;
        let parts = record::part_number(bodies.len())?;
        let records = bodies.into_iter().zip(0..parts).map(|(body, part)| {
            let address = place(part);
            (address, record::seal(address, &body))
        });
        Ok((Some(Mark { parts, running }), records.collect()))
    }
}

impl<M: Medium> Store for Ledger<M> {
    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        if let Some(cause) = &self.poison {
            return Err(Error::new(
                Kind::Failed,
                format!("the journal was closed by an earlier error: {cause}"),
            ));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let number = self.head.number;
        let outcome = self.commit(entries);
        if let Err(error) = &outcome {
            self.head.number = number;
            self.poison = Some(error.message().to_owned());
        }
        outcome
    }

    fn last_number(&self) -> u64 {
        self.head.number
    }
}
