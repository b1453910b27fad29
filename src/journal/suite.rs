//! What every store must keep: one suite, run against each of them.

use super::story::{
    beginning, check_ids, committed, copy_all, fixture, intended, jobs, keys, open_copy, story,
};
use super::{Entry, StoreKind};
use crate::error::Kind;
use crate::job::{Job, Step};

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
        let is_there = it.folder.path().join("journal").exists();
        assert_eq!(is_there, what == "empty", "none is made in its place");
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
