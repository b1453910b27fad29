//! Crashes, torn files, failing disks and flipped bits: what was acknowledged is there, or its loss is told.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use super::file_store::FileMedium;
use super::ledger::{Ledger, Medium};
use super::media::{Calls, Memory, Recorder};
use super::record::Address;
use super::sled_store::SledMedium;
use super::story::{check_ids, fixture, jobs, open_copy, short_story, story};
use super::{Entry, JobFolder, Opened, Store, StoreKind};
use crate::error::{Kind, Result};
use crate::job::{Job, JobId, Step};

fn recorded<M: Medium>(
    inner: M,
    id: &JobId,
    failing: Option<&'static str>,
) -> (Ledger<Recorder<M>>, Calls) {
    let calls = Calls::default();
    let medium = Recorder {
        inner,
        calls: calls.clone(),
        failing,
    };
    (Ledger::open(medium, id).unwrap().0, calls)
}

#[test]
fn a_commit_writes_then_flushes_then_syncs_and_only_then_counts() {
    let (mut ledger, calls) = recorded(Memory::default(), &JobId::random(), None);
    for (number, commit) in story(2).iter().enumerate() {
        ledger.append(commit).unwrap();
        assert_eq!(*calls.lock().unwrap(), ["write", "flush", "sync_data"]);
        assert_eq!(ledger.last_number(), number as u64 + 1);
        calls.lock().unwrap().clear();
    }
}

#[test]
fn an_error_anywhere_in_a_commit_closes_the_handle() {
    for failing in ["write", "flush", "sync_data"] {
        let id = JobId::random();
        let (mut ledger, calls) = recorded(Memory::default(), &id, Some(failing));
        let error = ledger.append(&story(1)[0]).unwrap_err();
        assert_eq!((error.kind(), ledger.last_number()), (Kind::Exhausted, 0));
        calls.lock().unwrap().clear();
        let closed = ledger.append(&story(1)[0]).unwrap_err();
        assert!(closed.message().contains(failing), "{closed}");
        assert!(calls.lock().unwrap().is_empty(), "nothing is tried again");
    }
}

#[test]
fn a_commit_that_failed_is_there_as_a_whole_or_not_at_all() {
    for failing in ["write", "flush", "sync_data"] {
        let file = fixture(StoreKind::File);
        let dir = journal(&file.folder);
        fail_second(&file.folder, FileMedium::open(&dir).unwrap(), failing);
        let sled = fixture(StoreKind::Sled);
        let dir = journal(&sled.folder);
        fail_second(&sled.folder, SledMedium::open(&dir).unwrap(), failing);
    }
}

fn journal(folder: &JobFolder) -> std::path::PathBuf {
    drop(folder.open_store().unwrap());
    folder.path().join("journal")
}

fn fail_second<M: Medium>(folder: &JobFolder, medium: M, failing: &'static str) {
    let (commits, id) = (story(3), folder.id());
    let (mut ledger, _) = recorded(medium, id, None);
    ledger.append(&commits[0]).unwrap();
    ledger.medium_mut().failing = Some(failing);
    ledger.append(&commits[1]).unwrap_err();
    let opened = open_copy(folder, |_| {}).unwrap();
    let number = opened.store.last_number() as usize;
    assert!((1..=2).contains(&number), "acknowledged, or one more");
    assert!(opened.job == jobs(&commits)[number]);
    check_ids(&opened, &commits[..number]);
}

/// What a whole story leaves behind, after each commit.
fn snapshots(id: &JobId, commits: &[Vec<Entry>]) -> Vec<BTreeMap<Address, Vec<u8>>> {
    let memory = Memory::default();
    let (mut ledger, ..) = Ledger::open(memory.clone(), id).unwrap();
    let mut all = vec![memory.records()];
    for commit in commits {
        ledger.append(commit).unwrap();
        all.push(memory.records());
    }
    all
}

fn is_damaged(id: &JobId, records: BTreeMap<Address, Vec<u8>>) -> bool {
    match Ledger::open(Memory::of(records), id) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), Kind::JournalDamaged, "{error}");
            true
        }
    }
}

#[test]
fn a_single_record_that_is_missing_is_damage() {
    let (id, commits) = (JobId::random(), short_story(18));
    // Before the lanes are drained, while an intent is pending.
    let all = snapshots(&id, &commits[..commits.len() - 2]);
    let records = all.last().unwrap();
    assert!(!is_damaged(&id, records.clone()));
    for address in records.keys() {
        let mut holed = records.clone();
        holed.remove(address);
        assert!(is_damaged(&id, holed), "{address:?}");
    }
}

#[test]
fn a_single_record_from_another_time_is_damage() {
    let (id, commits) = (JobId::random(), short_story(18));
    let all = snapshots(&id, &commits[..commits.len() - 2]);
    let now = all.last().unwrap();
    let mut changed = 0;
    for then in all.iter().step_by(5) {
        let addresses: Vec<_> = now.keys().chain(then.keys()).collect();
        for address in addresses {
            let mut mixed = now.clone();
            match then.get(address) {
                Some(value) => mixed.insert(*address, value.clone()),
                None => mixed.remove(address),
            };
            if mixed != *now {
                changed += 1;
                assert!(is_damaged(&id, mixed), "{address:?}");
            }
        }
    }
    assert!(changed > 1_000);
}

#[test]
fn the_same_batch_with_other_ids_breaks_the_chain() {
    let (id, mut commits) = (JobId::random(), story(3));
    let honest = snapshots(&id, &commits);
    // The last batch of lane 0, after the one of round 1: the same count, another key.
    let batch = commits[10][0].keys.len();
    commits[10][0].keys[batch / 2].id.0[15] ^= 1;
    let other = snapshots(&id, &commits);
    let address = Address::Kept {
        lane: 0,
        seq: 2,
        part: 0,
    };
    let mut mixed = honest[11].clone();
    let foreign = other[11][&address].clone();
    assert_ne!(mixed.insert(address, foreign.clone()), Some(foreign));
    assert!(is_damaged(&id, mixed));
}

#[test]
fn a_step_of_another_story_breaks_the_chain() {
    let (id, mut commits) = (JobId::random(), short_story(2));
    let mut mixed = snapshots(&id, &commits)[commits.len()].clone();
    let Step::Committed(_, receipt, _) = &mut commits[3][0].step else {
        panic!("no receipt here");
    };
    receipt.bytes += 1;
    let other = &snapshots(&id, &commits)[commits.len()];
    // Three steps to begin with, three intents, and the receipt of lane 0 before it.
    let address = Address::Step { number: 7, part: 0 };
    assert_ne!(mixed.insert(address, other[&address].clone()), None);
    assert_ne!(mixed, *other);
    assert!(is_damaged(&id, mixed));
}

#[test]
fn a_hole_is_named_by_the_step_that_is_missing() {
    let (id, commits) = (JobId::random(), short_story(2));
    let mut holed = snapshots(&id, &commits)[commits.len()].clone();
    holed.remove(&Address::Step { number: 7, part: 0 });
    let error = Ledger::open(Memory::of(holed), &id).err().unwrap();
    assert!(error.message().contains("step 7 is missing"), "{error}");
}

/// A finished journal in a file, and the number of commits in each prefix of it.
fn written(kind: StoreKind, rounds: u64) -> (super::story::Fixture, Vec<Vec<Entry>>, Vec<u64>) {
    let (it, commits) = (fixture(kind), short_story(rounds));
    let mut opened = it.folder.open_store().unwrap();
    let log = it.folder.path().join("journal/log");
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut ends = vec![length(&log)];
    for commit in &commits {
        opened.store.append(commit).unwrap();
        ends.push(length(&log));
    }
    (it, commits, ends)
}

fn read_log(folder: &JobFolder) -> Vec<u8> {
    std::fs::read(folder.path().join("journal/log")).unwrap()
}

fn set_number(folder: &JobFolder, number: u64) {
    let mut state = folder.state().unwrap();
    state.commit_number = number;
    folder.write_state(&state).unwrap();
}

/// A prefix of the story, or a loss that is told; never anything else.
fn check_outcome(outcome: Result<Opened>, all: &[Job]) -> Option<u64> {
    let acknowledged = all.len() as u64 - 1;
    match outcome {
        Ok(opened) => {
            let number = opened.store.last_number();
            assert!(opened.job == all[number as usize]);
            assert_eq!(opened.rollback.is_some(), number < acknowledged);
            Some(number)
        }
        Err(error) => {
            assert!(
                matches!(error.kind(), Kind::JournalDamaged | Kind::Failed),
                "{error}"
            );
            None
        }
    }
}

fn open_log(log: &[u8], id: &JobId) -> Result<(Ledger<FileMedium>, Job)> {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("log"), log).unwrap();
    let (ledger, job, _) = Ledger::open(FileMedium::open(temp.path())?, id)?;
    Ok((ledger, job))
}

#[test]
fn a_file_cut_anywhere_holds_every_whole_commit_and_goes_on() {
    let (it, commits, ends) = written(StoreKind::File, 1);
    let (all, log) = (jobs(&commits), read_log(&it.folder));
    for length in 0..=log.len() {
        let (mut ledger, job) = open_log(&log[..length], it.folder.id()).unwrap();
        let whole = ends.iter().filter(|end| **end <= length as u64).count();
        let number = whole.max(1) - 1;
        assert_eq!(ledger.last_number(), number as u64);
        assert!(job == all[number]);
        if let Some(next) = commits.get(number) {
            ledger.append(next).unwrap();
        }
    }
}

#[test]
fn a_torn_tail_of_zeros_or_noise_is_cut_off_and_stays_off() {
    let (it, commits, ends) = written(StoreKind::File, 2);
    let path = it.folder.path().join("journal/log");
    let whole = std::fs::read(&path).unwrap();
    for tail in [vec![0; 5_000], vec![0xa5; 5_000], whole[13..20].to_vec()] {
        std::fs::write(&path, [&whole[..], &tail].concat()).unwrap();
        let opened = it.folder.open_store().unwrap();
        assert_eq!(opened.store.last_number(), commits.len() as u64);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), ends[commits.len()]);
    }
}

#[test]
fn a_flipped_bit_in_the_file_is_damage_or_costs_the_last_commit() {
    let (it, commits, ends) = written(StoreKind::File, 2);
    let (all, mut log) = (jobs(&commits), read_log(&it.folder));
    let before_last = commits.len() - 1;
    for bit in (0..log.len()).map(|at| at * 8 + at % 8) {
        log[bit / 8] ^= 1 << (bit % 8);
        match open_log(&log, it.folder.id()) {
            // As a torn tail: the commit number in the state tells it.
            Ok((ledger, job)) if bit as u64 / 8 >= ends[before_last] => {
                assert_eq!(ledger.last_number(), before_last as u64);
                assert!(job == all[before_last]);
            }
            Ok(_) => panic!("bit {bit} was not noticed"),
            Err(error) => assert_eq!(error.kind(), Kind::JournalDamaged, "bit {bit}: {error}"),
        }
        log[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_flipped_bit_in_sled_is_never_taken_for_truth() {
    let (it, commits, _) = written(StoreKind::Sled, 20);
    let all = jobs(&commits);
    set_number(&it.folder, commits.len() as u64);
    let (mut random, mut outcomes) = (fastrand::Rng::with_seed(7), BTreeMap::new());
    for _ in 0..150 {
        let change = |folder: &Path| flip(&folder.join("journal"), &mut random);
        // Whatever sled does must come out as an error, not as a panic.
        let opening = AssertUnwindSafe(|| open_copy(&it.folder, change));
        let number = check_outcome(std::panic::catch_unwind(opening).unwrap(), &all);
        *outcomes.entry(number).or_insert(0) += 1;
    }
    assert!(outcomes.len() > 1, "no flip was ever felt");
}

fn flip(journal: &Path, random: &mut fastrand::Rng) {
    let mut files: Vec<_> = std::fs::read_dir(journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.metadata().unwrap().len() > 0)
        .collect();
    files.sort();
    let path = &files[random.usize(..files.len())];
    let mut bytes = std::fs::read(path).unwrap();
    // Most of a preallocated file is zeros that nobody reads.
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
    bytes[random.usize(..used)] ^= 1 << random.u8(..8);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_torn_snapshot_of_sled_is_survived() {
    let (it, commits, _) = written(StoreKind::Sled, 3);
    let tear = |folder: &Path| {
        let path = folder.join("journal/snap.00000000000FFFFF.generating");
        std::fs::write(path, [0xff; 40]).unwrap();
    };
    let opened = open_copy(&it.folder, tear).unwrap();
    assert_eq!(opened.store.last_number(), commits.len() as u64);
}
