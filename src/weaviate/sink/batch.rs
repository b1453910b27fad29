//! A batch on its way to the server: its request, and what is known of each of its objects.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::super::outcomes::Outcome;
use super::super::request::Request;
use crate::error::{Error, Reaction, Result};
use crate::job::{LaneId, Receipt};
use crate::model::{Key, Times};
use crate::pipe::{Applied, Reject, Vector, Visit, Walk};

/// A batch refused alike this often is taken to hold the reason itself.
const SUSPECT_TRIES: u32 = 3;

/// A request being gathered.
pub struct Batch {
    pub(super) lane: LaneId,
    pub(super) seq: u64,
    pub(super) request: Request,
    /// The same objects, for a request in the other language.
    pub(super) pages: Vec<Arc<dyn Walk>>,
    /// What gRPC refused, offered over REST.
    pub(super) second: Option<Box<Batch>>,
    /// Accounted for: by a split, by an earlier try, or never sendable.
    pub(super) settled: Vec<Option<Outcome>>,
    pub(super) read_back: usize,
    pub(super) suspicion: Option<(String, u32)>,
    /// How many objects the server had taken in all when nothing of this batch was last taken.
    pub(super) accepted_at_failure: Option<u64>,
    pub(super) unreadable: Vec<Reject>,
}

impl Batch {
    pub(super) fn new(request: Request, lane: LaneId, seq: u64) -> Self {
        Batch {
            lane,
            seq,
            request,
            pages: Vec::new(),
            second: None,
            settled: Vec::new(),
            read_back: 0,
            suspicion: None,
            accepted_at_failure: None,
            unreadable: Vec::new(),
        }
    }

    pub(super) fn rejected(&self) -> BTreeSet<Key> {
        let outcomes = self.request.keys().zip(&self.settled);
        outcomes
            .filter(|(_, outcome)| matches!(outcome, Some(Outcome::Rejected(_))))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// What the second try achieved. A key that a batch holds twice is stored as its last object.
    pub(super) fn take_over(&mut self, second: &Batch) {
        let outcomes = second.request.keys().zip(&second.settled);
        let accepted: BTreeSet<&Key> = outcomes
            .filter(|(_, outcome)| **outcome == Some(Outcome::Accepted))
            .map(|(key, _)| key)
            .collect();
        for (key, outcome) in self.request.keys().zip(&mut self.settled) {
            if accepted.contains(key) {
                *outcome = Some(Outcome::Accepted);
            }
        }
    }

    pub(super) fn unsettled(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for index in (0..self.request.len()).filter(|index| self.settled[*index].is_none()) {
            match ranges.last_mut() {
                Some(range) if range.end == index => range.end += 1,
                _ => ranges.push(index..index + 1),
            }
        }
        ranges.reverse();
        ranges
    }

    /// True if the same failure came often enough to lie in the request itself.
    pub(super) fn is_suspicious(&mut self, error: &Error) -> bool {
        if error.reaction() != Reaction::Suspect {
            self.suspicion = None;
            return false;
        }
        let tries = match &self.suspicion {
            Some((message, tries)) if message == error.message() => tries + 1,
            _ => 1,
        };
        self.suspicion = Some((error.message().to_owned(), tries));
        tries >= SUSPECT_TRIES
    }
}

fn span(request: &Request) -> Option<(Key, Key)> {
    let mut keys = request.keys();
    let first = keys.next()?;
    let last = keys.next_back().unwrap_or(first);
    Some((first.clone(), last.clone()))
}

/// What came of a batch that is settled.
pub(super) fn applied(batch: &mut Batch) -> Applied {
    let request = batch.request.whole();
    let mut rejects = batch.unreadable.clone();
    for (key, outcome) in batch.request.keys().zip(&batch.settled) {
        if let Some(Outcome::Rejected(reason)) = outcome {
            rejects.push(Reject {
                key: key.clone(),
                reason: reason.clone(),
            });
        }
    }
    let rejected = rejects.len() as u32;
    let count = (batch.request.len() + batch.unreadable.len()) as u32;
    let receipt = Receipt {
        lane: batch.lane,
        seq: batch.seq,
        place: None,
        count,
        bytes: request.len() as u64,
        span: span(&batch.request),
        // What is stored somewhere else has no bytes of ours to be found again by.
        hash: *blake3::hash(&[]).as_bytes(),
        accepted: count - rejected,
        rejected,
        rejects_length: 0,
        tenants: Vec::new(),
    };
    Applied { receipt, rejects }
}

/// Visits the wanted objects alone.
pub(super) struct Only<'a> {
    pub(super) wanted: &'a BTreeSet<Key>,
    pub(super) is_wanted: bool,
    pub(super) visit: &'a mut dyn Visit,
}

impl Visit for Only<'_> {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.is_wanted = self.wanted.contains(key);
        match self.is_wanted {
            true => self.visit.object(key, times),
            false => Ok(()),
        }
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        match self.is_wanted {
            true => self.visit.property(name, json),
            false => Ok(()),
        }
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        match self.is_wanted {
            true => self.visit.vector(name, vector),
            false => Ok(()),
        }
    }

    fn end(&mut self) -> Result<()> {
        match self.is_wanted {
            true => self.visit.end(),
            false => Ok(()),
        }
    }
}
