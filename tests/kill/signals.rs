//! SIGINT and SIGTERM: the first one drains and says how to go on, the second one leaves at once. Nothing is lost.

use elysiactl::sandbox::{Fault, Rule, When};
use rustix::process::Signal;

use crate::program::{Ended, World};

const STOPPING: &str = "stopping: no new work is taken, what is in flight is brought to an end\n";
const PAGES: (&str, &str) = ("GET", "/v1/objects?class=Article&limit=40");
const BATCHES: (&str, &str) = ("POST", "/v1/batch/objects");
const DELETIONS: (&str, &str) = ("DELETE", "/v1/batch/objects");

/// The command that the error's hint names.
fn hinted(ended: &Ended) -> String {
    let hint = ended.stderr.rsplit_once("hint: `elysiactl ");
    let (_, hint) = hint.unwrap_or_else(|| panic!("no hint: {ended:#?}"));
    let (command, rest) = hint.split_once('`').unwrap();
    assert!(rest.starts_with(" goes on\n"), "{ended:#?}");
    command.to_owned()
}

/// Each verb with the request that it is stopped at, and the words of what is kept by then.
fn verbs(world: &World) -> [(String, (&'static str, &'static str), &'static str); 3] {
    let ended = world.run("col backup Article -o first").with(0);
    let archive = ended.path().display().to_string();
    [
        (
            "col backup Article -o out".to_owned(),
            PAGES,
            "objects are in the unfinished archive",
        ),
        (
            format!("col restore {archive} --name Copy"),
            BATCHES,
            "objects are in the target collection",
        ),
        (
            "col clear Article --force --method by-id".to_owned(),
            DELETIONS,
            "objects are deleted",
        ),
    ]
}

#[track_caller]
fn finish(world: &World, command: &str, verb: &str) {
    let untouched = World::with(230);
    let ended = world.run(command).with(0);
    match verb.split(' ').nth(1).unwrap() {
        "backup" => {
            world
                .run(&format!("col verify {}", ended.path().display()))
                .with(0);
            let copied = format!("col restore {} --name Again", ended.path().display());
            world.run(&copied).with(0);
            world.assert_equal("Article", "Again");
        }
        "restore" => world.assert_equal("Article", "Copy"),
        _ => {
            assert_eq!(world.store().count("Article"), 0);
            let definition = untouched.store().definition("Article");
            assert_eq!(world.store().definition("Article"), definition);
        }
    }
    assert_eq!(world.unfinished(), None);
}

#[test]
fn the_first_signal_ends_what_is_in_flight_and_names_the_command_that_goes_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let world = World::with(230);
        for (verb, kind, kept) in verbs(&world) {
            let words = format!("{verb} --batch-size 40 --workers 2");
            let running = world.start_held(&words, 3, kind);
            running.signal(signal);
            running.says("stopping");
            world.sandbox.faults().clear();
            let ended = running.wait().with(4);
            assert_eq!(ended.stdout, "");
            let begin = ended.stderr.find(STOPPING).unwrap() + STOPPING.len();
            let last: Vec<&str> = ended.stderr[begin..].lines().collect();
            let job = world.unfinished().unwrap();
            assert_eq!(last.len(), 3, "{ended:#?}");
            assert_eq!(last[0], "error: stopped before the end");
            assert!(last[1].starts_with("  kept: ") && last[1].ends_with(kept));
            assert!(
                !last[1].contains(" 0 of"),
                "what was in flight is kept: {last:?}"
            );
            assert_eq!(
                last[2],
                format!("  hint: `elysiactl jobs resume {job}` goes on")
            );
            finish(&world, &hinted(&ended), &verb);
        }
    }
}

#[test]
fn the_second_signal_leaves_at_once_and_a_resume_finishes() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let world = World::with(230);
        for (verb, kind, _) in verbs(&world) {
            let words = format!("{verb} --batch-size 40 --workers 2");
            let running = world.start_held(&words, 3, kind);
            running.signal(signal);
            running.says("stopping");
            running.signal(signal);
            let ended = running.wait().with(code);
            assert!(ended.stderr.ends_with(STOPPING), "{ended:#?}");
            world.sandbox.faults().clear();
            let job = world.unfinished().unwrap();
            finish(&world, &format!("jobs resume {job}"), &verb);
        }
    }
}

#[test]
fn what_does_not_end_within_the_grace_is_given_up() {
    let world = World::with(230);
    for (verb, kind, _) in verbs(&world) {
        let words = format!("{verb} --batch-size 40 --workers 2 --grace 50ms");
        let running = world.start_held(&words, 3, kind);
        running.signal(Signal::TERM);
        let ended = running.wait().with(4);
        world.sandbox.faults().clear();
        finish(&world, &hinted(&ended), &verb);
    }
}

#[test]
fn a_signal_is_heard_before_there_is_a_job() {
    let world = World::with(230);
    for words in [
        "col backup Article -o out",
        "col clear Article --force",
        "col ls",
    ] {
        let grace = if words == "col ls" {
            ""
        } else {
            "--grace 50ms"
        };
        let running = world.start_held(&format!("{words} {grace}"), 1, ("GET", "/v1/meta"));
        running.signal(Signal::INT);
        let ended = running.wait().with(4);
        assert!(ended.stderr.contains("error: stopped before"), "{ended:#?}");
        world.sandbox.faults().clear();
        assert_eq!(world.unfinished(), None);
        assert_eq!(world.store().count("Article"), 230);
    }
}

#[test]
fn a_signal_is_heard_after_the_data() {
    let world = World::with(230);
    // The count after the data; the first one is that of the plan.
    let words = "col backup Article -o out --grace 50ms";
    let running = world.start_held(words, 2, ("POST", "/v1/graphql"));
    running.signal(Signal::INT);
    let ended = running.wait().with(4);
    world.sandbox.faults().clear();
    finish(&world, &hinted(&ended), "col backup");
}

#[test]
fn a_signal_ends_the_wait_for_a_server_that_is_away() {
    let world = World::with(230);
    let away = Fault::Status {
        status: 503,
        retry_after: Some(600),
        body: String::new(),
    };
    world
        .sandbox
        .faults()
        .add(Rule::new(PAGES.0, PAGES.1, When::Nth(3..=u64::MAX), away));
    let running = world.start("col backup Article -o out --batch-size 40 --workers 1");
    running.says("retry: ");
    running.signal(Signal::TERM);
    let ended = running.wait().with(4);
    assert!(
        ended.stderr.contains("kept: 80 of 230 objects"),
        "{ended:#?}"
    );
    world.sandbox.faults().clear();
    finish(&world, &hinted(&ended), "col backup");
}
