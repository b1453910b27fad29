//! Seeded moments over every verb: killed at request n, before its effect or right after it, then resumed.
#![allow(
    clippy::print_stdout,
    reason = "the tally of kills is shown with --nocapture"
)]

use std::path::{Path, PathBuf};

use elysiactl::sandbox::Snapshot;

use crate::program::{Ended, Moment, World, start};

/// Any request.
const ANY: (&str, &str) = ("", "/");
const OBJECTS: usize = 230;

/// What is run, and what it must come to.
struct Case {
    words: String,
    check: fn(&World, &Ended),
}

impl Case {
    fn backup(flags: &str) -> Case {
        Case {
            words: format!("col backup Article -o out --batch-size 40 {flags}"),
            check: check_backup,
        }
    }

    fn restore(archive: &Path, workers: u32) -> Case {
        let archive = archive.display();
        Case {
            words: format!("col restore {archive} --name Copy --batch-size 40 --workers {workers}"),
            check: |world, _| world.assert_equal("Article", "Copy"),
        }
    }

    fn clear(flags: &str) -> Case {
        Case {
            words: format!("col clear Article --force --batch-size 40 {flags}"),
            check: check_clear,
        }
    }
}

fn check_backup(world: &World, ended: &Ended) {
    let [archive] = world.archives("out").try_into().unwrap();
    assert_eq!(world.hidden("out"), [""; 0], "nothing unfinished is left");
    assert_eq!(
        ended.path().file_name().unwrap().to_str().unwrap(),
        archive,
        "the archive's path alone is on stdout"
    );
    world.run(&format!("col verify out/{archive}")).with(0);
    world
        .run(&format!("col restore out/{archive} --name Copy"))
        .with(0);
    world.assert_equal("Article", "Copy");
}

fn check_clear(world: &World, _: &Ended) {
    let fresh = World::with(0);
    assert_eq!(world.store().count("Article"), 0);
    assert_eq!(
        world.store().definition("Article"),
        fresh.store().definition("Article")
    );
    assert_eq!(
        world.store().collections(),
        ["Article"],
        "no scratch collection is left"
    );
}

/// How many requests an undisturbed run makes.
fn requests_of(case: &Case, snapshot: &Snapshot) -> u64 {
    let world = World::like(snapshot);
    let ended = world.run(&format!("{} --resume", case.words)).with(0);
    let requests = world.sandbox.requests().len() as u64;
    (case.check)(&world, &ended);
    requests
}

/// Kills one run at that request and lets a second one finish.
fn kill_and_resume(case: &Case, snapshot: &Snapshot, number: u64, moment: Moment, by_id: bool) {
    let told = format!("`{}` killed at request {number}, {moment:?}", case.words);
    let world = World::like(snapshot);
    let words = format!("{} --resume", case.words);
    let ended = world.run_killed(&words, number, ANY, moment);
    assert_eq!(ended.signal, Some(9), "{told}: {ended:#?}");
    let ended = match world.unfinished() {
        // The job knows what was asked; the run after needs no flag of it.
        Some(job) if by_id => world.run(&format!("jobs resume {job}")),
        _ => world.run(&words),
    };
    assert_eq!(ended.code, Some(0), "{told}: {ended:#?}");
    (case.check)(&world, &ended);
    assert_eq!(world.unfinished(), None, "{told}: a job is left");
}

/// As many seeded moments; the last requests of a run with several workers are not the same ones each time.
fn survive(case: &Case, snapshot: &Snapshot, kills: u64, seed: u64) {
    let requests = requests_of(case, snapshot);
    assert!(requests > 5, "{requests}");
    let mut random = fastrand::Rng::with_seed(seed);
    for kill in 0..kills {
        let number = random.u64(1..=requests * 9 / 10);
        let moment = if kill % 2 == 0 {
            Moment::Before
        } else {
            Moment::After
        };
        kill_and_resume(case, snapshot, number, moment, kill % 4 < 2);
    }
    println!("{kills} of {kills} kills: `{}`", case.words);
}

/// Every request in turn.
fn survive_all(case: &Case, snapshot: &Snapshot) {
    let requests = requests_of(case, snapshot);
    for number in 1..=requests {
        for moment in [Moment::Before, Moment::After] {
            kill_and_resume(case, snapshot, number, moment, number % 2 == 0);
        }
    }
    println!("{0} of {0} kills: `{1}`", 2 * requests, case.words);
}

fn collection() -> Snapshot {
    World::with(OBJECTS).store().snapshot()
}

/// An archive of the collection, in a folder of its own.
fn archive(snapshot: &Snapshot) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::like(snapshot);
    let output = folder.path().display();
    let ended = world
        .run(&format!("col backup Article -z -o {output}"))
        .with(0);
    (folder, ended.path())
}

#[test]
fn a_backup_to_a_plain_document_survives_every_kill() {
    survive(&Case::backup("--workers 1"), &collection(), 6, 1);
    survive(&Case::backup("--workers 4"), &collection(), 6, 2);
}

#[test]
fn a_backup_to_a_compressed_document_survives_every_kill() {
    survive(
        &Case::backup("--compression zstd --workers 1"),
        &collection(),
        5,
        3,
    );
    survive(
        &Case::backup("--compression zstd --workers 4"),
        &collection(),
        5,
        4,
    );
}

#[test]
fn a_backup_to_a_folder_survives_every_kill() {
    survive(
        &Case::backup("--format jsonl --workers 1"),
        &collection(),
        5,
        5,
    );
    survive(
        &Case::backup("--format jsonl --workers 4"),
        &collection(),
        5,
        6,
    );
}

#[test]
fn a_restore_survives_every_kill() {
    let snapshot = collection();
    let (_folder, archive) = archive(&snapshot);
    survive(&Case::restore(&archive, 1), &snapshot, 7, 7);
    survive(&Case::restore(&archive, 4), &snapshot, 7, 8);
}

#[test]
fn a_clear_that_creates_the_collection_anew_survives_a_kill_at_each_of_its_requests() {
    survive_all(&Case::clear(""), &collection());
}

#[test]
fn a_clear_by_id_survives_every_kill() {
    survive(
        &Case::clear("--method by-id --workers 1"),
        &collection(),
        5,
        9,
    );
    survive(
        &Case::clear("--method by-id --workers 4"),
        &collection(),
        5,
        10,
    );
}

#[test]
fn a_clear_that_deletes_the_definition_too_survives_a_kill_at_each_of_its_requests() {
    let case = Case {
        words: "col clear Article --force --delete-schema".to_owned(),
        check: |world, _| assert_eq!(world.store().collections(), [""; 0]),
    };
    survive_all(&case, &collection());
}

#[test]
fn a_kill_between_the_deletion_and_the_creation_is_made_good_by_a_resume() {
    let snapshot = collection();
    for (number, moment) in [(2, Moment::Before), (2, Moment::After)] {
        let world = World::like(&snapshot);
        // The first creation is that of the scratch collection.
        let kind = ("POST", "/v1/schema");
        let ended = world.run_killed("col clear Article --force", number, kind, moment);
        assert_eq!(ended.signal, Some(9), "{ended:#?}");
        let expected: &[&str] = match moment {
            Moment::Before => &[],
            Moment::After => &["Article"],
        };
        assert_eq!(world.store().collections(), expected, "{moment:?}");
        let job = world.unfinished().unwrap();
        let ended = world.run(&format!("jobs resume {job}")).with(0);
        check_clear(&world, &ended);
    }
}

#[test]
fn a_job_that_is_killed_again_and_again_comes_to_its_end() {
    let snapshot = World::with(4 * OBJECTS).store().snapshot();
    let (_folder, archive) = archive(&snapshot);
    for case in [
        Case::backup("--workers 2"),
        Case::restore(&archive, 2),
        Case::clear("--method by-id --workers 2"),
    ] {
        let world = World::like(&snapshot);
        let words = format!("{} --resume", case.words);
        // A run that is killed at its 20th request has committed something, or there is nothing left to do.
        let mut kills = 0;
        let ended = loop {
            let ended = world.run_killed(&words, 20, ANY, Moment::After);
            if ended.signal != Some(9) {
                break ended.with(0);
            }
            kills += 1;
            assert!(kills < 40, "`{words}` gets nowhere");
        };
        assert!(kills > 0, "`{words}` was never killed");
        (case.check)(&world, &ended);
        println!(
            "{kills} of {kills} kills, one after the other: `{}`",
            case.words
        );
    }
}

/// The folder of the first run is not that of the next one.
#[test]
fn a_job_is_gone_on_with_from_any_folder() {
    let world = World::with(OBJECTS);
    let words = "col backup Article -o out --batch-size 40 --verify";
    let pages = ("GET", "/v1/objects?class=Article&limit=40");
    world.run_killed(words, 3, pages, Moment::Before);
    let elsewhere = world.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let job = world.unfinished().unwrap();
    let mut command = world.command(&format!("jobs resume {job}"));
    command.current_dir(&elsewhere);
    let path = start(command).wait().with(0).path();
    let [archive] = world.archives("out").try_into().unwrap();
    assert_eq!(path, world.path().join("out").join(archive));
}
