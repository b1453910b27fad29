//! Which ids are kept: those of the pending intent, and of the last two batches of a lane.
//!
//! [`Lanes`] is the one place that knows when ids become obsolete. It is a fold over steps, used when steps are
//! appended and again when they are read, so both agree on what has to be there.

use std::collections::{BTreeMap, VecDeque};

use super::ids;
use super::record::{Address, Mark, Running, damaged};
use crate::error::{Error, Kind, Result};
use crate::job::{Cursor, JobId, LaneId, Step};
use crate::model::Key;

/// Ids are dropped so many batches behind the cursor of their lane.
pub(super) const BATCHES_BACK: usize = 2;

/// What has to be there of the ids of every lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lanes {
    job: JobId,
    lanes: BTreeMap<LaneId, Chain>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Chain {
    /// The sequence number of the next batch.
    next: u64,
    /// The running hash before the oldest batch that is kept.
    before: Running,
    /// The batches that are kept, the last one being `next - 1`.
    kept: VecDeque<Mark>,
    pending: Option<Mark>,
}

impl Chain {
    fn running(&self) -> Running {
        self.kept.back().map_or(self.before, |mark| mark.running)
    }

    /// The batches that are kept, with their numbers.
    fn batches(&self) -> impl Iterator<Item = (u64, Mark)> {
        (self.next - self.kept.len() as u64..).zip(self.kept.iter().copied())
    }

    fn addresses(&self, lane: LaneId) -> Vec<Address> {
        let kept = self
            .batches()
            .flat_map(|(seq, mark)| kept_addresses(lane, seq, mark));
        kept.chain(pending_addresses(lane, self.pending)).collect()
    }
}

fn kept_addresses(lane: LaneId, seq: u64, mark: Mark) -> impl Iterator<Item = Address> {
    (0..mark.parts).map(move |part| Address::Kept { lane, seq, part })
}

fn pending_addresses(lane: LaneId, mark: Option<Mark>) -> impl Iterator<Item = Address> {
    (0..mark.map_or(0, |mark| mark.parts)).map(move |part| Address::Intended { lane, part })
}

impl Lanes {
    pub(super) fn of(job: &JobId) -> Self {
        Lanes {
            job: job.clone(),
            lanes: BTreeMap::new(),
        }
    }

    fn chain(&mut self, lane: LaneId) -> &mut Chain {
        let job = &self.job;
        self.lanes.entry(lane).or_insert_with(|| Chain {
            next: 0,
            before: ids::seed(job, lane),
            kept: VecDeque::new(),
            pending: None,
        })
    }

    /// The running hash that the next ids of a lane continue.
    pub(super) fn running(&mut self, lane: LaneId) -> Running {
        self.chain(lane).running()
    }

    /// Takes a step, whose ids have this mark, and says which records are obsolete by it.
    pub(super) fn apply(&mut self, step: &Step, mark: Option<Mark>) -> Result<Vec<Address>> {
        match step {
            Step::Intended(lane, intent) => self.intend(*lane, intent.seq, mark),
            Step::Committed(lane, receipt, _) => self.commit(*lane, receipt.seq, mark),
            Step::Drained(lane) => Ok(self.drain(*lane)),
            _ => Ok(Vec::new()),
        }
    }

    fn intend(&mut self, lane: LaneId, seq: u64, mark: Option<Mark>) -> Result<Vec<Address>> {
        let chain = self.chain(lane);
        check_sequence(lane, seq, chain.next)?;
        let obsolete = std::mem::replace(&mut chain.pending, mark);
        Ok(pending_addresses(lane, obsolete).collect())
    }

    fn commit(&mut self, lane: LaneId, seq: u64, mark: Option<Mark>) -> Result<Vec<Address>> {
        let chain = self.chain(lane);
        check_sequence(lane, seq, chain.next)?;
        let mark = mark.ok_or_else(|| damaged("a batch has no ids"))?;
        let mut obsolete: Vec<Address> = pending_addresses(lane, chain.pending.take()).collect();
        chain.kept.push_back(mark);
        chain.next += 1;
        if chain.kept.len() > BATCHES_BACK
            && let Some(dropped) = chain.kept.pop_front()
        {
            chain.before = dropped.running;
            let seq = chain.next - 1 - BATCHES_BACK as u64;
            obsolete.extend(kept_addresses(lane, seq, dropped));
        }
        Ok(obsolete)
    }

    fn drain(&mut self, lane: LaneId) -> Vec<Address> {
        let chain = self.lanes.remove(&lane);
        chain.map_or_else(Vec::new, |chain| chain.addresses(lane))
    }

    /// Takes from `found` what has to be there, and checks that it chains. What is left there is too much.
    pub(super) fn collect(&self, found: &mut BTreeMap<Address, Vec<u8>>) -> Result<KeptIds> {
        let mut kept = BTreeMap::new();
        for (lane, chain) in &self.lanes {
            kept.insert(*lane, collect_lane(*lane, chain, found)?);
        }
        Ok(KeptIds { lanes: kept })
    }
}

fn collect_lane(
    lane: LaneId,
    chain: &Chain,
    found: &mut BTreeMap<Address, Vec<u8>>,
) -> Result<LaneIds> {
    let (mut running, mut batches) = (chain.before, VecDeque::new());
    for (seq, mark) in chain.batches() {
        let bodies = take(kept_addresses(lane, seq, mark), found)?;
        running = check(running, mark, &bodies)?;
        batches.push_back((seq, bodies));
    }
    let mut pending = None;
    if let Some(mark) = chain.pending {
        let bodies = take(pending_addresses(lane, Some(mark)), found)?;
        check(running, mark, &bodies)?;
        pending = Some((chain.next, bodies));
    }
    Ok(LaneIds { batches, pending })
}

fn take(
    addresses: impl Iterator<Item = Address>,
    found: &mut BTreeMap<Address, Vec<u8>>,
) -> Result<Vec<Vec<u8>>> {
    let missing = || damaged("the ids of a batch are missing");
    addresses
        .map(|address| found.remove(&address).ok_or_else(missing))
        .collect()
}

fn check(before: Running, mark: Mark, bodies: &[Vec<u8>]) -> Result<Running> {
    let running = bodies
        .iter()
        .try_fold(before, |before, body| ids::check_link(&before, body))?;
    match running == mark.running {
        true => Ok(running),
        false => Err(damaged("the ids of a batch are not those of its receipt")),
    }
}

fn check_sequence(lane: LaneId, seq: u64, next: u64) -> Result<()> {
    match seq == next {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Failed,
            format!("lane {lane} hands in batch {seq}, {next} is next"),
        )),
    }
}

/// The ids that a journal held when it was opened; packed, 16 bytes each.
#[derive(Debug, Default)]
pub struct KeptIds {
    lanes: BTreeMap<LaneId, LaneIds>,
}

type PackedBatch = (u64, Vec<Vec<u8>>);

#[derive(Debug)]
struct LaneIds {
    batches: VecDeque<PackedBatch>,
    pending: Option<PackedBatch>,
}

/// A batch whose ids are still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptBatch {
    /// The lane's sequence number of the batch.
    pub seq: u64,
    /// The cursor after the batch.
    pub cursor: Cursor,
    /// Its ids, in the order of the walk; empty if none were handed in.
    pub keys: Vec<Key>,
}

impl KeptIds {
    /// The batch that a lane intended and did not commit: what `Source::again` is asked for.
    pub fn pending(&self, lane: LaneId) -> Result<Option<KeptBatch>> {
        let pending = self.lanes.get(&lane).and_then(|ids| ids.pending.as_ref());
        pending.map(unpack).transpose()
    }

    /// The committed batches of a lane whose ids are still there, oldest first; none of a drained lane.
    pub fn batches(&self, lane: LaneId) -> Result<Vec<KeptBatch>> {
        let ids = self.lanes.get(&lane);
        ids.into_iter()
            .flat_map(|ids| &ids.batches)
            .map(unpack)
            .collect()
    }

    /// The first batch of a lane whose ids are still there.
    pub fn watermark(&self, lane: LaneId) -> Option<u64> {
        let oldest = self.lanes.get(&lane)?.batches.front()?;
        Some(oldest.0)
    }
}

fn unpack((seq, bodies): &PackedBatch) -> Result<KeptBatch> {
    let mut batch = KeptBatch {
        seq: *seq,
        cursor: Cursor::Start,
        keys: Vec::new(),
    };
    for body in bodies {
        let part = ids::unpack(body)?;
        batch.cursor = part.cursor;
        batch.keys.extend(part.keys);
    }
    Ok(batch)
}
