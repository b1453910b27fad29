//! One keeps off while another is at work, and what a lost one left goes.

use elysiactl::sandbox::{Fault, Rule, When};
use serde_json::{Value, json};

use crate::program::words::named;
use crate::program::{Moment, World};

pub const PAGES: (&str, &str) = ("GET", "/v1/objects?class=Article&limit=40");
pub const BACKUP: &str = "col backup Article -o out --batch-size 40 --workers 1";
pub const ELSEWHERE: &str =
    "col backup Article -o out --batch-size 40 --workers 1 --state-dir elsewhere";
pub const LONG_AGO: &str = "2026-01-02T03:04:05Z";

/// The text with the numbers and times of a lease by their names.
pub fn told(world: &World, text: &str) -> String {
    let mut text = named(world, text);
    for lease in leases(world) {
        for (field, name) in [("heartbeat", "TIME"), ("host", "HOST"), ("job", "JOB")] {
            text = text.replace(lease[field].as_str().unwrap(), name);
        }
        text = text.replace(&format!("process {}", lease["pid"]), "process PID");
    }
    text
}

pub fn lease_names(world: &World) -> Vec<String> {
    let mut names = world.hidden("out");
    names.retain(|name| name.ends_with(".lease"));
    names
}

pub fn leases(world: &World) -> Vec<Value> {
    let text = |name: &String| std::fs::read(world.path().join("out").join(name)).unwrap();
    let leases = lease_names(world);
    let parsed = leases
        .iter()
        .map(|name| serde_json::from_slice(&text(name)));
    parsed.collect::<Result<_, _>>().unwrap()
}

/// Changes what the only lease says.
pub fn write_lease(world: &World, changes: &[(&str, Value)]) {
    let [name] = lease_names(world).try_into().unwrap();
    let [mut lease] = leases(world).try_into().unwrap();
    for (field, value) in changes {
        lease[field] = value.clone();
    }
    std::fs::write(world.path().join("out").join(name), lease.to_string()).unwrap();
}

/// What is left of a backup that was killed on a host whose state directory is gone.
pub fn lost(words: &str, page: u64) -> World {
    let world = World::with(230);
    let ended = world.run_killed(words, page, PAGES, Moment::Before);
    assert_eq!(ended.signal, Some(9), "{ended:#?}");
    std::fs::remove_dir_all(world.state_dir()).unwrap();
    assert_eq!(world.hidden("out").len(), 2, "the archive and its lease");
    world
}

/// Killed on a host of which nothing can be asked.
pub fn from_elsewhere(heartbeat: &str) -> [(&'static str, Value); 3] {
    [
        ("host", json!("lost-pod")),
        ("among", json!("another boot")),
        ("heartbeat", json!(heartbeat)),
    ]
}

#[test]
fn a_second_host_is_refused_while_the_first_is_at_work_and_leaves_nothing() {
    let world = World::with(230);
    let first = world.start_held(BACKUP, 3, PAGES);
    let before = world.hidden("out");
    let second = world.run(ELSEWHERE).with(11);
    let error = second.stderr.find("error: ").unwrap();
    assert_eq!(
        told(&world, &second.stderr[error..]),
        "error: `Article` is being backed up into `out` by job JOB, process PID on HOST, last heard of at TIME\n  \
         hint: wait until that run is over, or stop it\n"
    );
    assert_eq!((before.len(), &before), (2, &world.hidden("out")));
    let jobs = world.run("jobs ls --state-dir elsewhere --json").with(0);
    assert!(!jobs.stdout.contains("Article"), "{jobs:#?}");
    world.sandbox.faults().clear();
    first.wait().with(0);
    assert_eq!(world.hidden("out"), [""; 0]);
    // Now it may.
    world.run(ELSEWHERE).with(0);
}

#[test]
fn another_collection_is_not_held_up() {
    let world = World::with(230);
    world.store().fill("Author", 10, 4, 1);
    let first = world.start_held(BACKUP, 3, PAGES);
    world
        .run("col backup Author -o out --state-dir elsewhere")
        .with(0);
    world.sandbox.faults().clear();
    first.wait().with(0);
}

#[test]
fn what_a_lost_host_left_is_swept_with_a_warning_once_it_was_silent() {
    for (format, ending) in [("json", ".json"), ("jsonl", "")] {
        let words = format!("{BACKUP} --format {format}");
        let world = lost(&words, 3);
        let job = leases(&world)[0]["job"].clone();
        let left = world.hidden("out");
        write_lease(&world, &from_elsewhere(LONG_AGO));
        let ended = world.run(&words).with(0);
        let archive = left.iter().find(|name| name.ends_with(".partial")).unwrap();
        assert!(archive.ends_with(&format!("{ending}.partial")), "{left:?}");
        let warning = format!(
            "warning: the unfinished archive `out/{archive}` is removed: it was left by job {}, process ",
            job.as_str().unwrap()
        );
        assert!(ended.stderr.contains(&warning), "{ended:#?}");
        let end = format!(" on lost-pod, last heard of at {LONG_AGO}, and nobody can finish it\n");
        assert!(ended.stderr.contains(&end), "{ended:#?}");
        assert_eq!(world.hidden("out"), [""; 0]);
        assert_eq!(world.archives("out").len(), 1);
    }
}

/// Nothing shows that its run is over.
#[test]
fn an_unfinished_archive_without_a_lease_is_named_and_left_alone() {
    for format in ["json", "jsonl"] {
        let words = format!("{BACKUP} --format {format}");
        let world = lost(&words, 3);
        let [lease] = lease_names(&world).try_into().unwrap();
        std::fs::remove_file(world.path().join("out").join(lease)).unwrap();
        let [left] = world.hidden("out").try_into().unwrap();
        world.store().fill("Article_full", 10, 4, 1);
        let ended = world.run(&words).with(0);
        let warning =
            format!("warning: `out/{left}` is an unfinished archive that no lease and no job");
        assert!(ended.stderr.contains(&warning), "{ended:#?}");
        assert_eq!(world.hidden("out"), [left.as_str()]);
        // Of another collection it is no matter.
        let other = words.replace("Article", "Article_full");
        assert!(!world.run(&other).with(0).stderr.contains("no lease"));
        // It is not in the way, and once it is gone nothing is said.
        let path = world.path().join("out").join(&left);
        std::fs::remove_file(&path)
            .or_else(|_| std::fs::remove_dir_all(&path))
            .unwrap();
        assert!(!world.run(&words).with(0).stderr.contains("no lease"));
    }
}

/// One that is ours is gone on with, lease or not.
#[test]
fn an_unfinished_archive_of_a_job_that_is_known_here_is_not_named() {
    let world = World::with(230);
    world.run_killed(BACKUP, 3, PAGES, Moment::Before);
    let [lease] = lease_names(&world).try_into().unwrap();
    std::fs::remove_file(world.path().join("out").join(lease)).unwrap();
    let ended = world.run(&format!("{BACKUP} --resume")).with(0);
    assert!(!ended.stderr.contains("no lease"), "{ended:#?}");
    assert_eq!(world.hidden("out"), [""; 0]);
}

#[test]
fn a_killed_process_of_this_host_is_not_waited_for() {
    for page in 1..=6 {
        let world = lost(BACKUP, page);
        let ended = world.run(BACKUP).with(0);
        assert!(ended.stderr.contains("nobody can finish it"), "{ended:#?}");
        assert_eq!(world.hidden("out"), [""; 0]);
    }
}

#[test]
fn a_job_of_this_state_directory_is_gone_on_with_however_old_its_lease_is() {
    let world = World::with(230);
    world.run_killed(BACKUP, 3, PAGES, Moment::Before);
    write_lease(&world, &from_elsewhere(LONG_AGO));
    let left = world.hidden("out");
    world.run(BACKUP).with(8);
    assert_eq!(left, world.hidden("out"));
    let ended = world.run(&format!("{BACKUP} --resume")).with(0);
    assert!(!ended.stderr.contains("is removed"), "{ended:#?}");
    assert_eq!(world.hidden("out"), [""; 0]);
}

#[test]
fn a_job_that_stopped_in_order_holds_nobody_up_and_is_not_swept_for_a_day() {
    let world = World::with(230);
    let first = world.start_held(&format!("{BACKUP} --grace 1ms"), 3, PAGES);
    first.signal(rustix::process::Signal::TERM);
    first.wait().with(4);
    world.sandbox.faults().clear();
    assert_eq!(leases(&world)[0]["is_at_work"], false);
    let left = world.hidden("out");
    let hours_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(23);
    write_lease(&world, &from_elsewhere(&hours_ago.to_string()));
    world.run(ELSEWHERE).with(0);
    assert_eq!(left, world.hidden("out"));
    let aside = world.archives("out").remove(0);
    let folder = world.path().join("out");
    std::fs::rename(folder.join(aside), folder.join("first.json")).unwrap();
    write_lease(&world, &from_elsewhere(LONG_AGO));
    world.run(ELSEWHERE).with(0);
    assert_eq!(world.hidden("out"), [""; 0]);
}

#[test]
fn a_lease_never_takes_a_finished_archive_with_it() {
    let world = lost(BACKUP, 3);
    write_lease(&world, &from_elsewhere(LONG_AGO));
    let [partial] = {
        let mut names = world.hidden("out");
        names.retain(|name| name.ends_with(".partial"));
        names.try_into().unwrap()
    };
    let finished = partial.trim_start_matches('.').replace(".partial", "");
    std::fs::write(world.path().join("out").join(&finished), "whole").unwrap();
    world.run(BACKUP).with(0);
    let kept = std::fs::read_to_string(world.path().join("out").join(&finished)).unwrap();
    assert_eq!((kept.as_str(), world.archives("out").len()), ("whole", 2));
    assert_eq!(world.hidden("out"), [""; 0]);
}

#[test]
fn a_sweep_that_was_cut_short_is_ended_by_the_next_run() {
    let world = lost(BACKUP, 3);
    write_lease(&world, &from_elsewhere(LONG_AGO));
    let partial = world
        .hidden("out")
        .into_iter()
        .find(|name| name.ends_with(".partial"));
    std::fs::remove_file(world.path().join("out").join(partial.unwrap())).unwrap();
    let ended = world.run(BACKUP).with(0);
    assert!(!ended.stderr.contains("warning"), "{ended:#?}");
    assert_eq!(world.hidden("out"), [""; 0]);
}

#[test]
fn a_lease_that_cannot_be_read_is_named_and_left_alone() {
    let world = World::with(3);
    std::fs::create_dir(world.at("out")).unwrap();
    std::fs::write(world.at("out/.Article.0a1b2c3d.lease"), "{}").unwrap();
    let ended = world.run("col backup Article -o out").with(0);
    let warning =
        "`out/.Article.0a1b2c3d.lease` is not a lease that this version can read; it is left alone";
    assert!(ended.stderr.contains(warning), "{ended:#?}");
    assert_eq!(world.hidden("out"), [".Article.0a1b2c3d.lease"]);
}

/// All begin at once, and none of them comes to its end before the others have looked.
#[test]
fn of_several_that_begin_at_once_one_goes_on() {
    for _ in 0..5 {
        let world = World::with(230);
        let stall = Rule::new(PAGES.0, PAGES.1, When::Always, Fault::Stall(None));
        world.sandbox.faults().add(stall);
        let (over, ended) = std::sync::mpsc::channel();
        for host in 0..4 {
            let running = world.start(&format!("{BACKUP} --state-dir host{host}"));
            let over = over.clone();
            std::thread::spawn(move || over.send(running.wait()));
        }
        for _ in 0..3 {
            let loser = ended.recv().unwrap().with(11);
            assert!(
                loser
                    .stderr
                    .contains("is being backed up into `out` by job ")
            );
        }
        world.sandbox.faults().clear();
        ended.recv().unwrap().with(0);
        assert_eq!(
            (world.archives("out").len(), world.hidden("out").len()),
            (1, 0)
        );
    }
}

/// As one that was suspended for longer than the time of silence: another has swept what it was writing.
#[test]
fn a_run_that_was_taken_for_dead_does_not_go_on_and_its_job_is_begun_anew() {
    for format in ["json", "jsonl"] {
        let words = format!("{BACKUP} --format {format}");
        let world = World::with(230);
        let suspended = world.start_held(&words, 3, PAGES);
        // What is being written this very moment is not listed a moment later.
        let mut swept = world.hidden("out");
        swept.retain(|name| name.ends_with(".lease") || name.ends_with(".partial"));
        for name in swept {
            let out = world.path().join("out");
            std::fs::rename(out.join(&name), world.path().join(name)).unwrap();
        }
        world.run(&format!("{words} --state-dir elsewhere")).with(0);
        let [other] = world.archives("out").try_into().unwrap();
        world.sandbox.faults().clear();
        let ended = suspended.wait().with(11);
        let error = ended.stderr.find("error: ").unwrap();
        assert_eq!(
            &ended.stderr[error..],
            "error: another run has taken `out` over: it heard nothing of this one for too long\n  \
             kept: nothing: the unfinished archive was removed\n  \
             hint: --resume begins anew once that run is over\n"
        );
        assert_eq!(
            (world.archives("out"), world.hidden("out")),
            (vec![other], vec![])
        );
        let job = world.unfinished().unwrap();
        let ended = world.run(&format!("{words} --resume")).with(0);
        let warning = format!(
            "warning: another run took job {job} for dead and removed its unfinished archive; the backup begins anew\n"
        );
        assert!(ended.stderr.contains(&warning), "{ended:#?}");
        assert_eq!(
            (world.archives("out").len(), world.hidden("out").len()),
            (2, 0)
        );
    }
}
