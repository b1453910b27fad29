//! The law: which step may follow which, and what it changes.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::lane::{Bounds, Cursor, Intent, Lane, LaneId, Pass, Receipt};

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Asked for; nothing was touched.
    Planned,
    /// Before the data: so many small stages are done.
    Preparing(u32),
    /// Moving batches.
    Moving(Pass),
    /// After the data: so many small stages are done.
    Finishing(u32),
    /// Over.
    Done(Summary),
}

/// One durable change of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The plan stands.
    Planned,
    /// Stage `number` of preparing or finishing is done, and learned `facts` that a resume needs.
    Staged {
        /// Counts from 0 within preparing, and again within finishing.
        number: u32,
        /// Names and values to be remembered.
        facts: BTreeMap<String, String>,
    },
    /// The lanes of a pass.
    Opened {
        /// The pass that begins.
        pass: Pass,
        /// One lane each, numbered on from the last one.
        lanes: Vec<Bounds>,
    },
    /// A lane gives its tail to a new lane: both halves in one record, before either is read. What the lane has intended
    /// lies before the cut.
    Split {
        /// The lane that is cut.
        parent: LaneId,
        /// Its new end.
        end: Cursor,
        /// The number of the new lane.
        child: LaneId,
    },
    /// A batch is about to be applied.
    Intended(LaneId, Intent),
    /// A batch is durable at the sink.
    Committed(LaneId, Box<Receipt>, Cursor),
    /// A lane has nothing left.
    Drained(LaneId),
    /// The job is over.
    Done(Summary),
}

/// Counts of what is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Objects that are at the sink.
    pub accepted: u64,
    /// Objects that were refused, or could not be read.
    pub rejected: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Batches committed.
    pub batches: u64,
}

impl Tally {
    fn add(&mut self, receipt: &Receipt) {
        self.accepted += u64::from(receipt.accepted);
        self.rejected += u64::from(receipt.rejected);
        self.bytes += receipt.bytes;
        self.batches += 1;
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// 0, 3 or 13: whatever else happens leaves a job that is not done.
    pub exit_code: u8,
    /// What was committed.
    pub tally: Tally,
    /// Sentences for the report, one finding each.
    pub notes: Vec<String>,
}

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

/// A step that may not follow the state it was given.
#[derive(Debug, PartialEq, Eq)]
pub struct IllegalStep {
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for IllegalStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "illegal step: {}", self.why)
    }
}

impl std::error::Error for IllegalStep {}

fn illegal<T>(why: impl Into<String>) -> Result<T, IllegalStep> {
    Err(IllegalStep { why: why.into() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Key, ObjectId};

    fn key(number: u128) -> Key {
        Key::of(ObjectId::from_u128(number))
    }

    fn after(number: u128) -> Cursor {
        Cursor::After(key(number))
    }

    fn receipt(lane: LaneId, seq: u64, count: u32) -> Box<Receipt> {
        Box::new(Receipt {
            lane,
            seq,
            place: None,
            count,
            bytes: 10,
            span: None,
            hash: [0; 32],
            accepted: count,
            rejected: 0,
            rejects_length: 0,
            tenants: Vec::new(),
        })
    }

    fn staged(number: u32) -> Step {
        Step::Staged {
            number,
            facts: BTreeMap::new(),
        }
    }

    fn opened() -> Vec<Step> {
        vec![
            Step::Planned,
            staged(0),
            Step::Opened {
                pass: Pass::Objects,
                lanes: vec![Bounds::ALL_KEYS],
            },
        ]
    }

    fn after_steps(more: Vec<Step>) -> Result<Job, IllegalStep> {
        Job::fold(opened().into_iter().chain(more))
    }

    /// Two objects, up to 9.
    fn intent(seq: u64, hash: u8) -> Intent {
        Intent {
            seq,
            end: after(9),
            count: 2,
            hash: [hash; 32],
        }
    }

    fn summary() -> Summary {
        Summary {
            exit_code: 0,
            tally: Tally::default(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_lane_is_cut_beyond_what_it_intends_and_the_batch_is_committed() {
        let job = after_steps(vec![
            Step::Intended(0, intent(0, 1)),
            Step::Split {
                parent: 0,
                end: after(90),
                child: 1,
            },
            Step::Committed(0, receipt(0, 0, 2), after(9)),
            Step::Drained(0),
        ])
        .unwrap();
        assert_eq!(job.open_lanes().count(), 1);
        assert_eq!(job.lanes[1].intent, None);
    }

    #[test]
    fn a_whole_job_runs_from_planned_to_done() {
        let job = after_steps(vec![
            Step::Committed(0, receipt(0, 0, 5), after(5)),
            Step::Split {
                parent: 0,
                end: after(50),
                child: 1,
            },
            Step::Committed(0, receipt(0, 1, 5), after(20)),
            Step::Drained(0),
            Step::Committed(1, receipt(1, 0, 3), after(90)),
            Step::Drained(1),
            staged(0),
            staged(1),
            Step::Done(summary()),
        ])
        .unwrap();
        assert!(job.is_done());
        assert_eq!(
            (job.tally.accepted, job.tally.batches, job.receipts.len()),
            (13, 3, 3)
        );
        assert_eq!(
            job.lanes[0].bounds,
            Bounds::Keys {
                after: None,
                until: Some(key(50))
            }
        );
        assert_eq!(
            job.lanes[1].bounds,
            Bounds::Keys {
                after: Some(key(50)),
                until: None
            }
        );
    }

    #[test]
    fn illegal_steps_are_refused() {
        let cases: Vec<(&str, Vec<Step>)> = vec![
            ("planned twice", vec![Step::Planned]),
            (
                "another pass first",
                vec![Step::Opened {
                    pass: Pass::Objects,
                    lanes: vec![],
                }],
            ),
            (
                "references while lanes are open",
                vec![Step::Opened {
                    pass: Pass::References,
                    lanes: vec![],
                }],
            ),
            (
                "a gap in the sequence",
                vec![Step::Committed(0, receipt(0, 1, 1), after(1))],
            ),
            (
                "a receipt of another lane",
                vec![Step::Committed(0, receipt(1, 0, 1), after(1))],
            ),
            ("an unknown lane", vec![Step::Drained(7)]),
            (
                "a cursor going back",
                vec![
                    Step::Committed(0, receipt(0, 0, 1), after(9)),
                    Step::Committed(0, receipt(0, 1, 1), after(8)),
                ],
            ),
            (
                "a cursor standing still",
                vec![
                    Step::Committed(0, receipt(0, 0, 1), after(9)),
                    Step::Committed(0, receipt(0, 1, 1), after(9)),
                ],
            ),
            (
                "a drained lane moving",
                vec![
                    Step::Drained(0),
                    Step::Committed(0, receipt(0, 0, 1), after(1)),
                ],
            ),
            (
                "a split behind the cursor",
                vec![
                    Step::Committed(0, receipt(0, 0, 1), after(9)),
                    Step::Split {
                        parent: 0,
                        end: after(9),
                        child: 1,
                    },
                ],
            ),
            (
                "a split with a wrong number",
                vec![Step::Split {
                    parent: 0,
                    end: after(9),
                    child: 2,
                }],
            ),
            (
                "a split at a frame of a key lane",
                vec![Step::Split {
                    parent: 0,
                    end: Cursor::At {
                        frame: 1,
                        ordinal: 0,
                    },
                    child: 1,
                }],
            ),
            (
                "another intent under the same number",
                vec![
                    Step::Intended(0, intent(0, 1)),
                    Step::Intended(0, intent(0, 2)),
                ],
            ),
            (
                "an intent out of sequence",
                vec![Step::Intended(0, intent(1, 1))],
            ),
            (
                "a commit that was not intended",
                vec![
                    Step::Intended(0, intent(0, 1)),
                    Step::Committed(0, receipt(0, 0, 3), after(9)),
                ],
            ),
            (
                "a split within a batch under way",
                vec![
                    Step::Intended(0, intent(0, 1)),
                    Step::Split {
                        parent: 0,
                        end: after(9),
                        child: 1,
                    },
                ],
            ),
            (
                "drained under way",
                vec![Step::Intended(0, intent(0, 1)), Step::Drained(0)],
            ),
            ("finishing with open lanes", vec![staged(0)]),
            (
                "done without finishing",
                vec![Step::Drained(0), Step::Done(summary())],
            ),
            (
                "a stage twice",
                vec![Step::Drained(0), staged(0), staged(0)],
            ),
            (
                "something after done",
                vec![
                    Step::Drained(0),
                    staged(0),
                    Step::Done(summary()),
                    staged(1),
                ],
            ),
        ];
        for (name, steps) in cases {
            assert!(after_steps(steps).is_err(), "{name}");
        }
    }

    #[test]
    fn a_batch_must_account_for_all_its_objects() {
        let mut short = receipt(0, 0, 3);
        short.accepted = 2;
        assert!(after_steps(vec![Step::Committed(0, short.clone(), after(3))]).is_err());
        short.rejected = 1;
        assert_eq!(
            after_steps(vec![Step::Committed(0, short, after(3))])
                .unwrap()
                .tally
                .rejected,
            1
        );
    }

    #[test]
    fn the_same_intent_again_is_legal_after_a_crash() {
        let intent = intent(0, 1);
        let steps = vec![
            Step::Intended(0, intent.clone()),
            Step::Intended(0, intent),
            Step::Committed(0, receipt(0, 0, 2), after(9)),
        ];
        assert!(after_steps(steps).unwrap().lanes[0].intent.is_none());
    }

    #[test]
    fn frames_are_cut_only_between_frames_beyond_the_cursor() {
        let bounds = Bounds::Frames { from: 0, to: 8 };
        let at = |frame, ordinal| Cursor::At { frame, ordinal };
        assert!(bounds.cut(&at(4, 2), &at(4, 0)).is_none());
        assert!(bounds.cut(&at(4, 2), &at(8, 0)).is_none());
        assert!(bounds.cut(&at(4, 2), &at(5, 3)).is_none());
        assert_eq!(
            bounds.cut(&at(4, 2), &at(6, 0)).unwrap().1,
            Bounds::Frames { from: 6, to: 8 }
        );
    }
}
