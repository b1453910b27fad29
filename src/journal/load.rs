//! Reading a journal: every record sound, nothing missing, nothing too much, everything in its chain.
//!
//! A disk that forgets gives back records that are sound one by one. So the steps must be as many as the head says
//! and give its running hash, and the ids must be exactly those that the steps ask for. Then the steps are folded.

use std::collections::BTreeMap;

use super::kept::{KeptIds, Lanes};
use super::record::{self, Address, Head, Running, damaged};
use crate::error::Result;
use crate::job::{Job, JobId, Step};

/// A journal that was read and found whole.
pub(super) struct Loaded {
    pub(super) job: Job,
    pub(super) ids: KeptIds,
    pub(super) lanes: Lanes,
    pub(super) head: Head,
}

/// Takes the records of a journal: steps in their order, everything else in any order.
pub(super) struct Loader {
    job: Option<Job>,
    lanes: Lanes,
    head: Option<Head>,
    found: BTreeMap<Address, Vec<u8>>,
    steps: u64,
    chain: Running,
    /// The parts that were read of a step that has more.
    gathered: Vec<u8>,
    next_part: u16,
    id: JobId,
}

impl Loader {
    pub(super) fn of(id: &JobId) -> Self {
        Loader {
            job: Some(Job::default()),
            lanes: Lanes::of(id),
            head: None,
            found: BTreeMap::new(),
            steps: 0,
            chain: Running::default(),
            gathered: Vec::new(),
            next_part: 0,
            id: id.clone(),
        }
    }

    /// A record, or the removal of one.
    pub(super) fn take(&mut self, address: &[u8], value: Option<&[u8]>) -> Result<()> {
        let address = Address::parse(address)?;
        let Some(value) = value else {
            self.found.remove(&address);
            return Ok(());
        };
        let body = record::unseal(address, value)?;
        match address {
            Address::Head => self.head = Some(record::decode(body)?),
            Address::Step { number, part } => self.step_part(number, part, body)?,
            Address::Intended { .. } | Address::Kept { .. } => {
                self.found.insert(address, body.to_vec());
            }
        }
        Ok(())
    }

    fn step_part(&mut self, number: u64, part: u16, body: &[u8]) -> Result<()> {
        if (number, part) != (self.steps, self.next_part) {
            return Err(damaged(format!(
                "step {} is missing, {number} follows",
                self.steps
            )));
        }
        let (parts, chunk) = record::step_chunk(body)?;
        self.gathered.extend_from_slice(chunk);
        self.next_part += 1;
        if self.next_part < parts {
            return Ok(());
        }
        self.next_part = 0;
        let bytes = std::mem::take(&mut self.gathered);
        self.step(&bytes)
    }

    fn step(&mut self, bytes: &[u8]) -> Result<()> {
        let (step, mark) = record::decode_step(bytes)?;
        self.lanes.apply(&step, mark).map_err(into_damage)?;
        self.chain = record::link(&self.chain, bytes);
        self.steps += 1;
        self.fold(step)
    }

    fn fold(&mut self, step: Step) -> Result<()> {
        // `None` only after an illegal step, which ends the loading.
        let Some(job) = self.job.take() else {
            return Err(damaged("a step follows an illegal one"));
        };
        let number = self.steps - 1;
        let next = job.next(step).map_err(|cause| {
            damaged(format!("step {number} cannot follow the ones before")).with_cause(cause)
        })?;
        self.job = Some(next);
        Ok(())
    }

    /// The journal, if what was taken is all of it.
    pub(super) fn finish(mut self) -> Result<Loaded> {
        let head = self.check_head()?;
        let ids = self.lanes.collect(&mut self.found)?;
        if !self.found.is_empty() {
            return Err(damaged("there are ids that no step knows"));
        }
        Ok(Loaded {
            job: self.job.take().unwrap_or_default(),
            ids,
            lanes: self.lanes,
            head,
        })
    }

    fn check_head(&mut self) -> Result<Head> {
        let Some(head) = self.head.take() else {
            return self.empty_head();
        };
        if head.job != self.id {
            return Err(damaged(format!("it belongs to job {}", head.job)));
        }
        // The chain goes through all steps, so it tells a wrong count as well.
        if self.next_part != 0 || head.chain != self.chain {
            return Err(damaged(format!(
                "{} steps were committed, {} are there or have changed",
                head.steps, self.steps
            )));
        }
        Ok(head)
    }

    fn empty_head(&self) -> Result<Head> {
        if self.steps != 0 || self.next_part != 0 || !self.found.is_empty() {
            return Err(damaged("there are records, but nothing says how many"));
        }
        Ok(Head {
            job: self.id.clone(),
            number: 0,
            steps: 0,
            chain: self.chain,
        })
    }
}

fn into_damage(error: crate::error::Error) -> crate::error::Error {
    damaged(error.message()).with_cause(error)
}
