//! Seven nights of a cron job that nobody watches. Each ends with a fresh archive that was read back whole, or with a code
//! that is not 0 and words that name the reason; never a silent success, never a night that is stuck.

#[path = "../program/mod.rs"]
mod program;

use std::path::PathBuf;

use elysiactl::sandbox::{Fault, Rule, When};
use program::{Ended, Moment, World};
use rustix::process::Signal;

const OBJECTS: usize = 230;
const PAGES: (&str, &str) = ("GET", "/v1/objects?class=Article&limit=40");
/// What the crontab says.
const CRON: &str =
    "col backup Article -o backups -z --resume --verify -q --batch-size 40 --workers 2";

/// `while elysiactl …; rc=$?; [ $rc = 4 ] || [ $rc = 5 ]; do sleep 60; done`, without the sleep.
struct Loop<'a> {
    world: &'a World,
    codes: Vec<i32>,
}

impl<'a> Loop<'a> {
    fn of(world: &'a World) -> Self {
        Loop {
            world,
            codes: Vec::new(),
        }
    }

    /// Takes the first run's end in and goes on as the loop does.
    #[track_caller]
    fn after(mut self, first: Ended) -> (Ended, Vec<i32>) {
        let mut ended = first;
        loop {
            // The shell sees 128 and the signal's number.
            let code = ended
                .code
                .or(ended.signal.map(|signal| 128 + signal))
                .unwrap();
            self.codes.push(code);
            if code != 4 && code != 5 {
                return (ended, self.codes);
            }
            assert!(self.codes.len() < 20, "the night is stuck: {ended:#?}");
            ended = self.world.run(CRON);
        }
    }
}

/// The archives there are; a run with -q prints no path.
fn archives(world: &World) -> Vec<PathBuf> {
    let names = world.archives("backups");
    names
        .iter()
        .map(|name| world.path().join("backups").join(name))
        .collect()
}

/// One archive more than before, whole, and equal to the collection.
#[track_caller]
fn fresh_archive(world: &World, before: &[PathBuf]) {
    let now = archives(world);
    let [fresh] = now
        .iter()
        .filter(|path| !before.contains(path))
        .collect::<Vec<_>>()[..]
    else {
        panic!("not one archive more: {before:?}, {now:?}");
    };
    world
        .run(&format!("col verify {}", fresh.display()))
        .with(0);
    world
        .run(&format!("col restore {} --name Proof", fresh.display()))
        .with(0);
    world.assert_equal("Article", "Proof");
    world.run("col rm Proof --force").with(0);
    assert_eq!(world.unfinished(), None);
    assert_eq!(world.hidden("backups"), [""; 0]);
}

/// No archive more, a code that is not 0, and words.
#[track_caller]
fn honest_failure(world: &World, before: &[PathBuf], ended: &Ended, code: i32, reason: &str) {
    assert_eq!(ended.code, Some(code), "{ended:#?}");
    assert!(ended.stderr.contains(reason), "{ended:#?}");
    assert_eq!(archives(world), before);
}

/// Archives are named by the second; the next night is another one.
fn another_night(world: &World, night: u64) -> Vec<PathBuf> {
    for path in archives(world) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("night") {
            let kept = path.with_file_name(format!("night{night}_{name}"));
            std::fs::rename(&path, kept).unwrap();
        }
    }
    // Something has been written during the day.
    world.store().fill("Article", OBJECTS, 4, night);
    archives(world)
}

#[test]
fn seven_nights_end_with_a_fresh_archive_or_a_reason() {
    let world = World::with(OBJECTS);

    // A quiet night.
    let before = another_night(&world, 1);
    let (ended, codes) = Loop::of(&world).after(world.run(CRON));
    assert_eq!((codes, ended.stderr.as_str()), (vec![0], ""));
    fresh_archive(&world, &before);

    // The machine goes down in the middle; the crontab starts it again.
    let before = another_night(&world, 2);
    let ended = world.run_killed(CRON, 4, PAGES, Moment::After);
    let (_, codes) = Loop::of(&world).after(ended);
    assert_eq!((codes, archives(&world)), (vec![137], before.clone()));
    let (_, codes) = Loop::of(&world).after(world.run(CRON));
    assert_eq!(codes, [0]);
    fresh_archive(&world, &before);

    // The node is drained: SIGTERM; the loop goes on.
    let before = another_night(&world, 3);
    let running = world.start_held(&format!("{CRON} --grace 50ms"), 3, PAGES);
    running.signal(Signal::TERM);
    let drained = running.wait();
    world.sandbox.faults().clear();
    honest_failure(&world, &before, &drained, 4, "jobs resume");
    let (_, codes) = Loop::of(&world).after(drained);
    assert_eq!(codes, [4, 0]);
    fresh_archive(&world, &before);

    // The last run is still at work when the next one begins.
    let before = another_night(&world, 4);
    let running = world.start_held(CRON, 3, PAGES);
    let (second, codes) = Loop::of(&world).after(world.run(CRON));
    assert_eq!(codes, [11]);
    honest_failure(&world, &before, &second, 11, "process ");
    world.sandbox.faults().clear();
    let (_, codes) = Loop::of(&world).after(running.wait());
    assert_eq!(codes, [0]);
    fresh_archive(&world, &before);

    // The pod is killed, and the new one has no state directory: a new job, and the half archive is never taken for one: it is swept.
    let before = another_night(&world, 5);
    let ended = world.run_killed(CRON, 4, PAGES, Moment::Before);
    assert_eq!(ended.signal, Some(9));
    std::fs::remove_dir_all(world.state_dir()).unwrap();
    assert_eq!(world.hidden("backups").len(), 2, "the half and its lease");
    let (_, codes) = Loop::of(&world).after(world.run(CRON));
    assert_eq!(codes, [0]);
    fresh_archive(&world, &before);

    // The server is away at first: the loop outlasts it.
    let before = another_night(&world, 6);
    let away = world
        .sandbox
        .faults()
        .add(Rule::any(When::Nth(1..=4), Fault::ResetBefore));
    let impatient = format!("{CRON} --retry-for 1ms");
    let first = world.run(&impatient);
    honest_failure(&world, &before, &first, 5, "error: lost the connection to ");
    assert!(world.sandbox.faults().struck(away) > 0);
    let (_, codes) = Loop::of(&world).after(first);
    assert_eq!(codes, [5, 0]);
    fresh_archive(&world, &before);

    // Somebody has removed the collection: no loop helps, and the reason is named.
    let before = another_night(&world, 7);
    world.run("col rm Article --force").with(0);
    let (ended, codes) = Loop::of(&world).after(world.run(CRON));
    assert_eq!(codes, [10]);
    honest_failure(
        &world,
        &before,
        &ended,
        10,
        "error: there is no collection `Article`",
    );
    assert_eq!(
        world.archives("backups").len(),
        6,
        "one for each good night"
    );
}

#[test]
fn a_night_that_is_interrupted_at_every_turn_comes_to_its_end() {
    let world = World::with(OBJECTS);
    let mut codes = Vec::new();
    // Each run sees the server for a few requests, then it is gone for good. A comparison begins again each time: it needs
    // a run that sees a little more than what brings a backup forward.
    for run in 0..30 {
        let gone = When::Nth(13 + run..=u64::MAX);
        let rule = Rule::any(gone, Fault::ResetBefore);
        world.sandbox.faults().add(rule);
        let ended = world.run(&format!("{CRON} --retry-for 1ms"));
        world.sandbox.faults().clear();
        codes.push(ended.code.unwrap());
        match ended.code {
            Some(0) => break,
            Some(5) => assert!(ended.stderr.contains("jobs resume"), "{ended:#?}"),
            _ => panic!("{ended:#?}"),
        }
    }
    assert!(codes.len() > 1 && codes.ends_with(&[0]), "{codes:?}");
    fresh_archive(&world, &[]);
}

/// The unfinished job is as if it had begun at that time.
fn dated(world: &World, started: &str) {
    let job = world.unfinished().unwrap();
    let state = world.state_dir().join("jobs").join(&job).join("state.json");
    let text = std::fs::read_to_string(&state).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["started"] = started.into();
    std::fs::write(&state, value.to_string()).unwrap();
}

/// So long ago.
fn ago(hours: i64) -> String {
    let time = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    time.to_string()
}

/// A night whose archive was finished, and not compared: the server went away.
fn night_without_comparison(world: &World) -> Vec<PathBuf> {
    let pages = ("GET", "/v1/objects?class=Article&limit=100");
    let gone = Rule::new(
        pages.0,
        pages.1,
        When::Nth(2..=u64::MAX),
        Fault::ResetBefore,
    );
    world.sandbox.faults().add(gone);
    world.run(&format!("{CRON} --retry-for 1ms")).with(5);
    world.sandbox.faults().clear();
    archives(world)
}

#[test]
fn the_night_after_a_comparison_that_was_cut_short_has_an_archive_of_its_own() {
    for (hours, is_compared) in [(13, true), (23, true), (25, false)] {
        let world = World::with(OBJECTS);
        night_without_comparison(&world);
        dated(&world, &ago(hours));
        let last_night = world.unfinished().unwrap();
        let before = archives(&world);
        world.run(CRON).with(0);
        fresh_archive(&world, &before);
        // What is too old to be gone on with is not compared any more, and its job is gone.
        let old = world
            .jobs()
            .into_iter()
            .find(|job| job.job.to_string() == last_night);
        assert_eq!(old.map(|job| job.is_done), is_compared.then_some(true));
    }
}

#[test]
fn what_is_found_of_the_last_archive_is_not_lost_by_making_the_next_one() {
    let world = World::with(OBJECTS);
    let [archive] = night_without_comparison(&world).try_into().unwrap();
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    dated(&world, &ago(20));
    let before = archives(&world);
    let ended = world.run(CRON).with(13);
    assert!(ended.stderr.contains(" is damaged: "), "{ended:#?}");
    fresh_archive(&world, &before);
}

/// The loop tries again within minutes: one archive a night is enough.
#[test]
fn a_comparison_that_is_made_in_the_same_night_is_not_followed_by_another_backup() {
    let world = World::with(OBJECTS);
    let before = night_without_comparison(&world);
    let ended = world.run(&CRON.replace(" -q", "")).with(0);
    assert!(
        ended.stderr.contains("; no new one was made\n"),
        "{ended:#?}"
    );
    assert_eq!(archives(&world), before);
    // Nor is it where that job alone was asked for.
    let world = World::with(OBJECTS);
    let before = night_without_comparison(&world);
    dated(&world, &ago(20));
    let job = world.unfinished().unwrap();
    world.run(&format!("jobs resume {job}")).with(0);
    assert_eq!(archives(&world), before);
}

/// Whatever a second makes of it, the night ends with an archive.
#[test]
fn a_half_archive_of_about_the_age_that_is_resumed_ends_as_an_archive_or_is_begun_anew() {
    for hours in [23, 24] {
        let world = World::with(OBJECTS);
        world.run_killed(CRON, 4, PAGES, Moment::After);
        dated(&world, &ago(hours));
        world.run(CRON).with(0);
        fresh_archive(&world, &[]);
    }
}

#[test]
fn a_backup_that_died_days_ago_is_begun_anew_and_not_dated_today() {
    let world = World::with(OBJECTS);
    let ended = world.run_killed(CRON, 4, PAGES, Moment::After);
    assert_eq!(ended.signal, Some(9));
    dated(&world, "2026-01-01T03:00:00Z");
    world.store().fill("Article", 20, 4, 9);
    world.run(CRON).with(0);
    fresh_archive(&world, &[]);
}

#[test]
fn a_restore_in_the_loop_survives_a_kill_a_signal_and_a_server_that_goes_away() {
    let world = World::with(OBJECTS);
    let archive = world.run("col backup Article -o out").with(0).path();
    let words = format!(
        "col restore {} --name Copy --batch-size 40 --workers 1 --resume",
        archive.display()
    );
    let batches = ("POST", "/v1/batch/objects");
    let ended = world.run_killed(&words, 2, batches, Moment::After);
    assert_eq!(ended.signal, Some(9));
    let running = world.start_held(&words, 2, batches);
    running.signal(Signal::INT);
    running.says("stopping");
    world.sandbox.faults().clear();
    running.wait().with(4);
    let gone = Rule::new(
        batches.0,
        batches.1,
        When::Nth(2..=u64::MAX),
        Fault::ResetBefore,
    );
    world.sandbox.faults().add(gone);
    world.run(&format!("{words} --retry-for 1ms")).with(5);
    world.sandbox.faults().clear();
    world.run(&words).with(0);
    world.assert_equal("Article", "Copy");
    // Cron passes the same line again: done is done.
    world.run(&words).with(0);
    world.assert_equal("Article", "Copy");
}
