//! Every legal and illegal step.

use std::collections::BTreeMap;

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
