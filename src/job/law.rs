//! The law: which step may follow which, and what it changes.

use std::collections::BTreeMap;

use super::lane::{Bounds, Cursor, Intent, Lane, LaneId, Pass, Receipt};
use super::step::{IllegalStep, Stage, Step, Summary, Tally, illegal};

/// The state of a job: the fold of its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// How far it is.
    pub stage: Stage,
    /// Every lane that there ever was, by number.
    pub lanes: Vec<Lane>,
    /// Every committed batch of the objects pass, in the order of their commits.
    pub receipts: Vec<Receipt>,
    /// What the stages learned.
    pub facts: BTreeMap<String, String>,
    /// Counts of the objects pass.
    pub tally: Tally,
}

impl Default for Job {
    fn default() -> Self {
        Job {
            stage: Stage::Preparing(0),
            lanes: Vec::new(),
            receipts: Vec::new(),
            facts: BTreeMap::new(),
            tally: Tally::default(),
        }
        .unplanned()
    }
}

impl Job {
    fn unplanned(mut self) -> Self {
        self.stage = Stage::Planned;
        self
    }

    /// The state after `step`, or why it may not happen now. The only place where a job's state changes.
    pub fn next(mut self, step: Step) -> Result<Job, IllegalStep> {
        match step {
            Step::Planned => self.plan(),
            Step::Staged { number, facts } => self.staged(number, facts),
            Step::Opened { pass, lanes } => self.open(pass, lanes),
            Step::Split { parent, end, child } => self.split(parent, &end, child),
            Step::Intended(lane, intent) => self.intend(lane, intent),
            Step::Committed(lane, receipt, cursor) => self.commit(lane, *receipt, cursor),
            Step::Drained(lane) => self.drain(lane),
            Step::Done(summary) => self.done(summary),
        }?;
        Ok(self)
    }

    /// The fold of `steps`.
    pub fn fold(steps: impl IntoIterator<Item = Step>) -> Result<Job, IllegalStep> {
        steps.into_iter().try_fold(Job::default(), Job::next)
    }

    /// True once nothing is left to do.
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_))
    }

    /// The lanes of the current pass that have something left.
    pub fn open_lanes(&self) -> impl Iterator<Item = &Lane> {
        let current = match self.stage {
            Stage::Moving(pass) => Some(pass),
            _ => None,
        };
        self.lanes
            .iter()
            .filter(move |lane| Some(lane.pass) == current && !lane.is_drained)
    }

    /// The lane of this number.
    pub fn lane(&self, id: LaneId) -> Option<&Lane> {
        self.lanes.get(id as usize)
    }

    /// The receipts in the order of their places in the document; batches without a place keep lane order.
    pub fn receipts_in_order(&self) -> Vec<&Receipt> {
        let mut receipts: Vec<&Receipt> = self.receipts.iter().collect();
        receipts.sort_by_key(|receipt| {
            (
                receipt.place.map(|place| place.offset),
                receipt.lane,
                receipt.seq,
            )
        });
        receipts
    }

    fn plan(&mut self) -> Result<(), IllegalStep> {
        if self.stage != Stage::Planned {
            return illegal("the job is planned already");
        }
        self.stage = Stage::Preparing(0);
        Ok(())
    }

    fn staged(&mut self, number: u32, facts: BTreeMap<String, String>) -> Result<(), IllegalStep> {
        let expected = match &self.stage {
            Stage::Preparing(done) | Stage::Finishing(done) => *done,
            Stage::Moving(_) if self.open_lanes().next().is_none() => 0,
            Stage::Moving(_) => return illegal("lanes are still open"),
            stage => return illegal(format!("no stage can end in {stage:?}")),
        };
        if number != expected {
            return illegal(format!("stage {number} ended, but {expected} is next"));
        }
        self.facts.extend(facts);
        self.stage = match self.stage {
            Stage::Preparing(_) => Stage::Preparing(number + 1),
            _ => Stage::Finishing(number + 1),
        };
        Ok(())
    }

    fn open(&mut self, pass: Pass, lanes: Vec<Bounds>) -> Result<(), IllegalStep> {
        let may_open = match (&self.stage, pass) {
            (Stage::Preparing(_), Pass::Objects) => true,
            (Stage::Moving(Pass::Objects), Pass::References) => self.open_lanes().next().is_none(),
            _ => false,
        };
        if !may_open {
            return illegal(format!("pass {pass:?} cannot begin in {:?}", self.stage));
        }
        self.stage = Stage::Moving(pass);
        for bounds in lanes {
            self.add_lane(pass, bounds);
        }
        Ok(())
    }

    fn add_lane(&mut self, pass: Pass, bounds: Bounds) {
        let id = self.lanes.len() as LaneId;
        self.lanes.push(Lane::new(id, pass, bounds));
    }

    fn open_lane(&mut self, id: LaneId) -> Result<&mut Lane, IllegalStep> {
        let Stage::Moving(pass) = self.stage else {
            return illegal(format!("lane {id} moved in {:?}", self.stage));
        };
        match self.lanes.get_mut(id as usize) {
            Some(lane) if lane.pass == pass && !lane.is_drained => Ok(lane),
            Some(_) => illegal(format!("lane {id} is drained or of another pass")),
            None => illegal(format!("there is no lane {id}")),
        }
    }

    fn split(&mut self, parent: LaneId, end: &Cursor, child: LaneId) -> Result<(), IllegalStep> {
        if child as usize != self.lanes.len() {
            return illegal(format!(
                "the new lane has number {child}, {} is next",
                self.lanes.len()
            ));
        }
        let lane = self.open_lane(parent)?;
        // What is intended stays with the lane.
        let taken = lane
            .intent
            .as_ref()
            .map_or(&lane.cursor, |intent| &intent.end);
        let Some((kept, off)) = lane.bounds.cut(taken, end) else {
            return illegal(format!("lane {parent} cannot be cut at {end:?}"));
        };
        let pass = lane.pass;
        lane.bounds = kept;
        self.add_lane(pass, off);
        Ok(())
    }

    fn intend(&mut self, id: LaneId, intent: Intent) -> Result<(), IllegalStep> {
        let lane = self.open_lane(id)?;
        if intent.seq != lane.seq {
            return illegal(format!(
                "lane {id} intends batch {}, {} is next",
                intent.seq, lane.seq
            ));
        }
        // The same batch again after a crash is allowed, another one under the same number is not.
        if lane
            .intent
            .as_ref()
            .is_some_and(|pending| *pending != intent)
        {
            return illegal(format!(
                "lane {id} intends another batch {} than before",
                intent.seq
            ));
        }
        lane.intent = Some(intent);
        Ok(())
    }

    fn commit(&mut self, id: LaneId, receipt: Receipt, cursor: Cursor) -> Result<(), IllegalStep> {
        let lane = self.open_lane(id)?;
        if receipt.lane != id || receipt.seq != lane.seq {
            return illegal(format!(
                "lane {id} commits batch {} of lane {}, {} is next",
                receipt.seq, receipt.lane, lane.seq
            ));
        }
        if let Some(intent) = &lane.intent
            && (intent.count != receipt.count || intent.end != cursor)
        {
            return illegal(format!(
                "lane {id} commits another batch {} than it intended",
                receipt.seq
            ));
        }
        if !is_forward(&lane.cursor, &cursor) {
            return illegal(format!(
                "lane {id} would go back from {:?} to {cursor:?}",
                lane.cursor
            ));
        }
        if receipt
            .accepted
            .checked_add(receipt.rejected)
            .is_none_or(|sum| sum < receipt.count)
        {
            return illegal(format!(
                "batch {} of lane {id} does not account for all its objects",
                receipt.seq
            ));
        }
        lane.seq += 1;
        lane.cursor = cursor;
        lane.intent = None;
        if lane.pass == Pass::Objects {
            self.tally.add(&receipt);
            self.receipts.push(receipt);
        }
        Ok(())
    }

    fn drain(&mut self, id: LaneId) -> Result<(), IllegalStep> {
        let lane = self.open_lane(id)?;
        if lane.intent.is_some() {
            return illegal(format!("lane {id} is drained while a batch is under way"));
        }
        lane.is_drained = true;
        Ok(())
    }

    fn done(&mut self, summary: Summary) -> Result<(), IllegalStep> {
        match self.stage {
            Stage::Finishing(_) => {
                self.stage = Stage::Done(summary);
                Ok(())
            }
            ref stage => illegal(format!("a job cannot be done in {stage:?}")),
        }
    }
}

fn is_forward(from: &Cursor, to: &Cursor) -> bool {
    match (from, to) {
        (Cursor::Start, Cursor::After(_) | Cursor::At { .. }) => true,
        (Cursor::After(from), Cursor::After(to)) => from < to,
        (
            Cursor::At { frame, ordinal },
            Cursor::At {
                frame: to_frame,
                ordinal: to_ordinal,
            },
        ) => (frame, ordinal) < (to_frame, to_ordinal),
        _ => false,
    }
}
