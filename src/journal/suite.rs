//! What every store must keep: one suite, run against each of them.

use std::path::Path;

use super::kept::BATCHES_BACK;
use super::{Entry, JobFolder, KeptBatch, Opened, StateDir, StoreKind};
use crate::error::{Kind, Result};
use crate::job::{
    Bounds, Cursor, Identity, Intent, Job, JobKind, LaneId, Pass, Receipt, Spec, Step, Summary,
    Tuning,
};
use crate::model::{Key, ObjectId, Tenant};

pub(super) const LANES: u32 = 3;

pub(super) fn spec(kind: JobKind) -> Spec {
    Spec {
        identity: Identity::of(kind, "Article", "/backups"),
        tuning: Tuning::default(),
    }
}

/// A state directory with one new job in it.
pub(super) struct Fixture {
    pub(super) _temp: tempfile::TempDir,
    pub(super) _dir: StateDir,
    pub(super) folder: JobFolder,
}

pub(super) fn fixture(kind: StoreKind) -> Fixture {
    let temp = tempfile::tempdir().unwrap();
    let dir = StateDir::open(temp.path()).unwrap();
    let folder = dir.create(&spec(JobKind::Restore), kind).unwrap();
    Fixture {
        _temp: temp,
        _dir: dir,
        folder,
    }
}

/// Distinct keys in ascending order; long ones in few tenants, all of them after those of earlier rounds.
pub(super) fn keys(lane: LaneId, round: u64, count: u64) -> Vec<Key> {
    let key = |number| Key {
        tenant: Tenant::named(&format!("tenant-{:04}-{}", round, number / 7)),
        id: ObjectId::from_u128(u128::from(lane) << 100 | u128::from(round) << 64 | number),
    };
    let mut keys: Vec<Key> = (0..u128::from(count)).map(key).collect();
    keys.sort();
    keys
}

pub(super) fn intended(lane: LaneId, seq: u64, keys: Vec<Key>) -> Entry {
    let intent = Intent {
        seq,
        end: Cursor::After(keys.last().unwrap().clone()),
        count: keys.len() as u32,
        hash: [seq as u8; 32],
    };
    Entry {
        step: Step::Intended(lane, intent),
        keys,
    }
}

pub(super) fn committed(lane: LaneId, seq: u64, keys: Vec<Key>) -> Entry {
    let receipt = Receipt {
        lane,
        seq,
        place: None,
        count: keys.len() as u32,
        bytes: 1_000,
        span: None,
        hash: [seq as u8; 32],
        accepted: keys.len() as u32,
        rejected: 0,
        rejects_length: 0,
        tenants: Vec::new(),
    };
    let cursor = Cursor::After(keys.last().unwrap().clone());
    Entry {
        step: Step::Committed(lane, Box::new(receipt), cursor),
        keys,
    }
}

pub(super) fn beginning() -> Vec<Entry> {
    beginning_with(130_000)
}

fn beginning_with(facts_bytes: usize) -> Vec<Entry> {
    let open = Bounds::Keys {
        after: None,
        until: None,
    };
    let lanes = vec![open; LANES as usize];
    let facts = [("shards".to_owned(), "x".repeat(facts_bytes))].into();
    vec![
        Step::Planned.into(),
        Step::Staged { number: 0, facts }.into(),
        Step::Opened {
            pass: Pass::Objects,
            lanes,
        }
        .into(),
    ]
}

/// The commits of a whole job: each lane in turn intends, then commits while the next one intends.
pub(super) fn story(rounds: u64) -> Vec<Vec<Entry>> {
    story_of(rounds, 4_500, 130_000)
}

/// The same with small records only.
pub(super) fn short_story(rounds: u64) -> Vec<Vec<Entry>> {
    story_of(rounds, 45, 10)
}

fn story_of(rounds: u64, most: u64, facts_bytes: usize) -> Vec<Vec<Entry>> {
    let size = |lane: u32, round: u64| match (lane, round) {
        (1, 3) => most,
        _ => 1 + (u64::from(lane) * 7 + round * 5) % 23,
    };
    let mut commits = vec![beginning_with(facts_bytes)];
    for round in 0..rounds {
        let batch = |lane| keys(lane, round, size(lane, round));
        commits.push(
            (0..LANES)
                .map(|lane| intended(lane, round, batch(lane)))
                .collect(),
        );
        for lane in 0..LANES {
            commits.push(vec![committed(lane, round, batch(lane))]);
        }
    }
    commits.push(ending());
    commits
}

fn ending() -> Vec<Entry> {
    let summary = Summary {
        exit_code: 0,
        tally: Default::default(),
        notes: vec!["all".into()],
    };
    let drained = (0..LANES).map(Step::Drained);
    let rest = [
        Step::Staged {
            number: 0,
            facts: Default::default(),
        },
        Step::Done(summary),
    ];
    drained.chain(rest).map(Entry::from).collect()
}

/// The job before the first commit, and after each.
pub(super) fn jobs(commits: &[Vec<Entry>]) -> Vec<Job> {
    let mut jobs = vec![Job::default()];
    for commit in commits {
        let steps = commit.iter().map(|entry| entry.step.clone());
        let job = steps.fold(jobs[jobs.len() - 1].clone(), |job, step| {
            job.next(step).unwrap()
        });
        jobs.push(job);
    }
    jobs
}

/// Opens a copy of a job's folder as another process would after a crash.
pub(super) fn open_copy(of: &JobFolder, change: impl FnOnce(&Path)) -> Result<Opened> {
    let temp = tempfile::tempdir().unwrap();
    let dir = StateDir::open(temp.path()).unwrap();
    copy_all(of.path(), &dir.folder(of.id()));
    change(&dir.folder(of.id()));
    dir.open_job(of.id())?.open_store()
}

pub(super) fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Every lane has the ids that it should have after `commits`, and no others.
pub(super) fn check_ids(opened: &Opened, commits: &[Vec<Entry>]) {
    let entries: Vec<&Entry> = commits.iter().flatten().collect();
    for lane in &opened.job.lanes {
        let mut batches: Vec<KeptBatch> = entries.iter().filter_map(|e| kept(e, lane.id)).collect();
        let surplus = batches.len().saturating_sub(BATCHES_BACK);
        batches.drain(..surplus);
        if lane.is_drained {
            batches.clear();
        }
        assert_eq!(
            opened.ids.watermark(lane.id),
            batches.first().map(|batch| batch.seq)
        );
        assert_eq!(opened.ids.batches(lane.id).unwrap(), batches);
        let pending = opened.ids.pending(lane.id).unwrap();
        let intent = lane.intent.as_ref();
        assert_eq!(
            pending.as_ref().map(|batch| batch.seq),
            intent.map(|intent| intent.seq)
        );
        let again = pending.map(|batch| batch.keys);
        let said = intent.map(|_| last_intended(&entries, lane.id));
        assert_eq!(again, said);
    }
}

fn kept(entry: &Entry, of: LaneId) -> Option<KeptBatch> {
    match &entry.step {
        Step::Committed(lane, receipt, cursor) if *lane == of => Some(KeptBatch {
            seq: receipt.seq,
            cursor: cursor.clone(),
            keys: entry.keys.clone(),
        }),
        _ => None,
    }
}

fn last_intended(entries: &[&Entry], of: LaneId) -> Vec<Key> {
    let is_of = |entry: &&&Entry| matches!(&entry.step, Step::Intended(lane, _) if *lane == of);
    entries.iter().rev().find(is_of).unwrap().keys.clone()
}

fn a_new_journal_is_an_empty_job(kind: StoreKind) {
    let opened = fixture(kind).folder.open_store().unwrap();
    assert_eq!(
        (opened.job, opened.store.last_number(), opened.rollback),
        (Job::default(), 0, None)
    );
}

fn every_acknowledged_commit_is_there_after_a_crash_right_behind_it(kind: StoreKind) {
    let (it, commits) = (fixture(kind), story(20));
    let jobs = jobs(&commits);
    let mut opened = it.folder.open_store().unwrap();
    for (number, commit) in commits.iter().enumerate() {
        opened.store.append(commit).unwrap();
        // The handle stays open: a store that only flushes when it is dropped is found out.
        let copy = open_copy(&it.folder, |_| {}).unwrap();
        assert_eq!(copy.store.last_number(), number as u64 + 1);
        assert!(copy.job == jobs[number + 1], "commit {number}");
        check_ids(&copy, &commits[..=number]);
    }
}

fn a_journal_goes_on_where_it_was_closed(kind: StoreKind) {
    let (it, commits) = (fixture(kind), story(18));
    for (number, commit) in commits.iter().enumerate() {
        let mut opened = it.folder.open_store().unwrap();
        assert_eq!(opened.store.last_number(), number as u64);
        opened.store.append(commit).unwrap();
    }
    let opened = it.folder.open_store().unwrap();
    assert!(opened.job == jobs(&commits)[commits.len()] && opened.job.is_done());
}

fn an_intent_again_replaces_its_ids(kind: StoreKind) {
    let it = fixture(kind);
    let mut opened = it.folder.open_store().unwrap();
    let (many, few) = (keys(0, 0, 9_000), keys(0, 0, 9));
    let commits = [beginning(), vec![intended(0, 0, many)]];
    for commit in &commits {
        opened.store.append(commit).unwrap();
    }
    let mut again = commits[1][0].clone();
    again.keys.clone_from(&few);
    opened.store.append(&[again]).unwrap();
    drop(opened);
    let opened = it.folder.open_store().unwrap();
    assert_eq!(opened.ids.pending(0).unwrap().unwrap().keys, few);
}

fn no_entries_are_no_commit(kind: StoreKind) {
    let mut opened = fixture(kind).folder.open_store().unwrap();
    opened.store.append(&[]).unwrap();
    assert_eq!(opened.store.last_number(), 0);
}

fn a_batch_out_of_sequence_closes_the_handle_and_leaves_nothing(kind: StoreKind) {
    let it = fixture(kind);
    let mut opened = it.folder.open_store().unwrap();
    opened.store.append(&beginning()).unwrap();
    assert!(
        opened
            .store
            .append(&[committed(0, 1, keys(0, 0, 3))])
            .is_err()
    );
    let after = opened.store.append(&[committed(0, 0, keys(0, 0, 3))]);
    assert!(after.unwrap_err().message().contains("closed"));
    assert_eq!(opened.store.last_number(), 1);
    drop(opened);
    assert_eq!(it.folder.open_store().unwrap().store.last_number(), 1);
}

fn ids_without_a_batch_are_refused(kind: StoreKind) {
    let mut opened = fixture(kind).folder.open_store().unwrap();
    let entry = Entry {
        step: Step::Planned,
        keys: keys(0, 0, 1),
    };
    assert!(opened.store.append(&[entry]).is_err());
}

fn a_journal_that_is_open_is_not_opened_again(kind: StoreKind) {
    let it = fixture(kind);
    let _opened = it.folder.open_store().unwrap();
    assert_eq!(
        it.folder.open_store().err().map(|error| error.kind()),
        Some(Kind::Locked)
    );
}

fn a_journal_of_another_job_is_refused(kind: StoreKind) {
    let (one, two) = (fixture(kind), fixture(kind));
    one.folder
        .open_store()
        .unwrap()
        .store
        .append(&beginning())
        .unwrap();
    copy_all(
        &one.folder.path().join("journal"),
        &two.folder.path().join("journal"),
    );
    let error = two.folder.open_store().err().unwrap();
    assert_eq!(error.kind(), Kind::JournalDamaged);
    assert!(
        error.message().contains(one.folder.id().as_str()),
        "{error}"
    );
}

fn a_journal_below_the_number_in_the_state_is_told(kind: StoreKind) {
    let it = fixture(kind);
    it.folder
        .open_store()
        .unwrap()
        .store
        .append(&beginning())
        .unwrap();
    let mut state = it.folder.state().unwrap();
    state.commit_number = 7;
    it.folder.write_state(&state).unwrap();
    let rollback = it.folder.open_store().unwrap().rollback.unwrap();
    assert_eq!((rollback.expected, rollback.found), (7, 1));
}

fn a_journal_that_is_gone_or_empty_is_damage_once_something_was_committed(kind: StoreKind) {
    let it = fixture(kind);
    drop(it.folder.open_store().unwrap());
    let mut state = it.folder.state().unwrap();
    state.commit_number = 1;
    it.folder.write_state(&state).unwrap();
    for what in ["empty", "gone"] {
        let error = it.folder.open_store().err().unwrap();
        assert_eq!(error.kind(), Kind::JournalDamaged, "{what}");
        assert!(error.hint().unwrap().contains("--merge"));
        it.folder.delete_journal().unwrap();
    }
    let aside = it.folder.set_journal_aside().unwrap();
    assert_eq!(aside, None);
    assert_eq!(it.folder.open_store().unwrap().store.last_number(), 0);
}

fn a_journal_that_was_set_aside_is_begun_anew(kind: StoreKind) {
    let it = fixture(kind);
    let commits = story(2);
    for _ in 0..2 {
        let mut opened = it.folder.open_store().unwrap();
        opened.store.append(&commits[0]).unwrap();
        drop(opened);
        let aside = it.folder.set_journal_aside().unwrap().unwrap();
        assert!(aside.is_dir() && aside.display().to_string().contains("journal.damaged-"));
    }
    assert_eq!(it.folder.open_store().unwrap().job, Job::default());
}

macro_rules! for_each_store {
    ($($test:ident),* $(,)?) => {
        mod sled {
            $(#[test] fn $test() { super::$test(crate::journal::StoreKind::Sled) })*
        }
        mod file {
            $(#[test] fn $test() { super::$test(crate::journal::StoreKind::File) })*
        }
    };
}

for_each_store![
    a_new_journal_is_an_empty_job,
    every_acknowledged_commit_is_there_after_a_crash_right_behind_it,
    a_journal_goes_on_where_it_was_closed,
    an_intent_again_replaces_its_ids,
    no_entries_are_no_commit,
    a_batch_out_of_sequence_closes_the_handle_and_leaves_nothing,
    ids_without_a_batch_are_refused,
    a_journal_that_is_open_is_not_opened_again,
    a_journal_of_another_job_is_refused,
    a_journal_below_the_number_in_the_state_is_told,
    a_journal_that_is_gone_or_empty_is_damage_once_something_was_committed,
    a_journal_that_was_set_aside_is_begun_anew,
];
