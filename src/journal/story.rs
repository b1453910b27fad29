//! The story of a job for the tests of this room: its commits, the state after each, and the ids that must be there.

use std::path::Path;

use super::kept::BATCHES_BACK;
use super::{Entry, JobFolder, KeptBatch, Opened, StateDir, StoreKind};
use crate::error::Result;
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
