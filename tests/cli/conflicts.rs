//! Runs that are in each other's way, and jobs whose ground has moved between two runs.

use std::path::Path;

use elysiactl::sandbox::{Fault, Rule, When};

use crate::program::words::{fails_at_last, named};
use crate::program::{Moment, World};

const PAGES: (&str, &str) = ("GET", "/v1/objects?class=Article&limit=40");
const BATCHES: (&str, &str) = ("POST", "/v1/batch/objects");
const BACKUP: &str = "col backup Article -o out --batch-size 40 --workers 1";

/// A backup that was killed with two of six pages committed.
fn killed() -> World {
    let world = World::with(230);
    let ended = world.run_killed(BACKUP, 3, PAGES, Moment::Before);
    assert_eq!(ended.signal, Some(9), "{ended:#?}");
    world
}

/// A finished archive, and a restore of it as `Copy` that was killed at its third batch.
fn killed_restore() -> (World, String) {
    let world = World::with(230);
    let archive = world.run("col backup Article -o first").with(0).path();
    let words = format!(
        "col restore {} --name Copy --batch-size 40 --workers 1",
        archive.display()
    );
    let ended = world.run_killed(&words, 3, BATCHES, Moment::Before);
    assert_eq!(ended.signal, Some(9), "{ended:#?}");
    (world, words)
}

#[test]
fn an_unfinished_job_in_the_way_exits_8_and_both_choices_work() {
    let world = killed();
    let ended = world.run(BACKUP).with(8);
    let text = named(&world, &ended.stderr);
    // How much was committed when the third page was asked for is not the same each time.
    let (before, after) = text.split_once("  kept: ").unwrap();
    let (kept, after) = after.split_once(' ').unwrap();
    assert!(["0", "40", "80"].contains(&kept), "{text}");
    assert_eq!(
        (before, after),
        (
            "error: an unfinished backup of `Article` into `DIR/out` is in the way: job JOB\n",
            "of 230 objects are in the unfinished archive\n  \
             hint: pass --resume to go on with it, or --restart to begin anew\n"
        )
    );
    let job = world.unfinished().unwrap();
    let ended = world.run(&format!("{BACKUP} --restart")).with(0);
    assert!(
        ended
            .stderr
            .contains(&format!("job {job} and its unfinished archive are removed"))
    );
    assert_eq!(
        (world.archives("out").len(), world.hidden("out").len()),
        (1, 0)
    );
    let (world, words) = killed_restore();
    let kept = "error: an unfinished restore of `DIR/first/";
    let ended = world.run(&words).with(8);
    assert!(named(&world, &ended.stderr).starts_with(kept), "{ended:#?}");
    fails_at_last(
        &world,
        &format!("{words} --restart"),
        15,
        "error: not confirmed: standard input is not a terminal\n  kept: nothing was touched\n  \
         hint: pass --force to answer in advance\n",
    );
    assert_eq!(world.store().count("Copy"), 80);
    world.run(&format!("{words} --restart --force")).with(0);
    world.assert_equal("Article", "Copy");
}

#[test]
fn another_request_on_resume_exits_8_with_a_table_of_the_differences() {
    let world = killed();
    for (flags, name, then, now) in [
        ("-z", "compression", "none", "gzip"),
        (
            "--format jsonl --compression none",
            "format",
            "json",
            "jsonl",
        ),
        ("--skip-vectors", "vectors", "yes", "no"),
    ] {
        let ended = world.run(&format!("{BACKUP} --resume {flags}")).with(8);
        let text = named(&world, &ended.stderr);
        let row = text
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        let row = row.unwrap_or_else(|| panic!("no row `{name}`: {text}"));
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[words.len() - 2..], [then, now], "{text}");
        assert!(
            text.contains(&format!("error: job JOB was begun with another `{name}`")),
            "{text}"
        );
    }
    // What is tuning may change.
    world
        .run("col backup Article -o out --batch-size 10 --workers 3 --rate 5000/s --resume")
        .with(0);
}

#[test]
fn another_archive_on_resume_exits_8() {
    let (world, words) = killed_restore();
    let archive = words.split(' ').nth(2).unwrap();
    world.store().fill("Article", 40, 4, 9);
    let other = world.run("col backup Article -o other").with(0).path();
    std::fs::copy(world.path().join(other), world.path().join(archive)).unwrap();
    let ended = world.run(&format!("{words} --resume")).with(8);
    assert!(
        named(&world, &ended.stderr).contains("error: job JOB was begun with another "),
        "{ended:#?}"
    );
    assert_eq!(world.store().count("Copy"), 80);
}

#[test]
fn a_second_run_at_the_same_time_exits_11() {
    let world = World::with(230);
    let running = world.start_held(BACKUP, 3, PAGES);
    let pid = running.pid();
    for flags in ["", "--resume", "--restart"] {
        let ended = world.run(&format!("{BACKUP} {flags}")).with(11);
        assert!(
            named(&world, &ended.stderr).contains("error: job JOB is ")
                && ended.stderr.contains(&format!("process {pid}")),
            "{ended:#?}"
        );
    }
    let job = world.unfinished().unwrap();
    for words in [format!("jobs resume {job}"), format!("jobs cancel {job}")] {
        world.run(&words).with(11);
    }
    world.sandbox.faults().clear();
    running.wait().with(0);
    assert_eq!(world.archives("out").len(), 1);
}

fn job_folder(world: &World) -> std::path::PathBuf {
    world
        .state_dir()
        .join("jobs")
        .join(world.unfinished().unwrap())
}

fn garble(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => garble(&path),
            false => std::fs::write(&path, [0x5a; 700]).unwrap(),
        }
    }
}

#[test]
fn a_journal_that_is_gone_or_damaged_exits_9_and_a_restart_works() {
    for is_deleted in [true, false] {
        let world = killed();
        let journal = job_folder(&world).join("journal");
        match is_deleted {
            true => std::fs::remove_dir_all(&journal).unwrap(),
            false => garble(&journal),
        }
        let ended = world.run(&format!("{BACKUP} --resume")).with(9);
        assert!(ended.stderr.contains("error: "), "{ended:#?}");
        assert!(
            ended
                .stderr
                .contains("hint: start the backup anew with `--restart`"),
            "{ended:#?}"
        );
        assert_eq!(world.archives("out"), [""; 0]);
        let archive = world.run(&format!("{BACKUP} --restart")).with(0).path();
        world
            .run(&format!("col verify {}", archive.display()))
            .with(0);
    }
    let (world, words) = killed_restore();
    std::fs::remove_dir_all(job_folder(&world).join("journal")).unwrap();
    let ended = world.run(&format!("{words} --resume")).with(9);
    assert!(ended.stderr.contains("--restart --merge"), "{ended:#?}");
    world.run(&format!("{words} --restart --force")).with(0);
    world.assert_equal("Article", "Copy");
}

#[test]
fn a_state_file_that_cannot_be_read_is_listed_and_never_taken_for_a_finished_job() {
    let world = killed();
    std::fs::write(job_folder(&world).join("state.json"), "{").unwrap();
    let ended = world.run("jobs ls").with(0);
    assert!(ended.stdout.contains("unreadable"), "{ended:#?}");
    assert_eq!(world.archives("out"), [""; 0]);
    let elsewhere = BACKUP.replace("out", "other");
    world.run(&format!("{elsewhere} --resume")).with(0);
    assert_eq!(
        (world.archives("out").len(), world.archives("other").len()),
        (0, 1)
    );
}

#[test]
fn a_refusal_before_the_first_batch_leaves_nothing_behind() {
    let world = World::with(30);
    let archive = world.run("col backup Article -o first").with(0).path();
    let refused = Fault::Status {
        status: 422,
        retry_after: None,
        body: r#"{"error":[{"message":"no such module"}]}"#.to_owned(),
    };
    let rule = Rule::new("POST", "/v1/schema", When::Always, refused);
    world.sandbox.faults().add(rule);
    let words = format!("col restore {} --name Copy", archive.display());
    let ended = world.run(&words);
    assert!(matches!(ended.code, Some(7 | 14)), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("kept: nothing was written, and no job is left"),
        "{ended:#?}"
    );
    assert_eq!(
        (world.unfinished(), world.store().collections()),
        (None, vec!["Article".to_owned()])
    );
    world.sandbox.faults().clear();
    world.run(&words).with(0);
    world.assert_equal("Article", "Copy");
}

#[test]
fn a_source_that_was_made_anew_is_not_gone_on_with() {
    let world = killed();
    let empty = elysiactl::sandbox::Store::new().snapshot();
    world.store().restore(&empty);
    world.store().fill("Article", 230, 4, 1);
    fails_at_last(
        &world,
        &format!("{BACKUP} --resume"),
        8,
        "error: collection `Article` is not the one that job JOB began with: it was deleted and created again\n  \
         hint: pass --restart to back up the new one from its beginning\n",
    );
    world.run(&format!("{BACKUP} --restart")).with(0);
}

#[test]
fn an_unfinished_backup_that_is_too_old_is_begun_anew() {
    let world = killed();
    let job = world.unfinished().unwrap();
    let ended = world
        .run(&format!("{BACKUP} --resume --resume-within 0s"))
        .with(0);
    assert!(
        ended.stderr.contains(&format!(
            "warning: job {job} is too old to be resumed; the backup begins anew"
        )),
        "{ended:#?}"
    );
    assert_eq!(
        (world.archives("out").len(), world.hidden("out").len()),
        (1, 0)
    );
}

#[test]
fn a_finished_restore_answers_again_and_says_8_if_the_target_has_changed() {
    let world = World::with(30);
    let archive = world.run("col backup Article -o first").with(0).path();
    let words = format!("col restore {} --name Copy --resume", archive.display());
    world.run(&words).with(0);
    let ended = world.run(&words).with(0);
    assert!(
        ended
            .stderr
            .contains("has restored this archive already; nothing to do"),
        "{ended:#?}"
    );
    world.store().fill("Copy", 5, 4, 77);
    let ended = world.run(&words).with(8);
    assert!(ended.stderr.contains("is not as it left it"), "{ended:#?}");
}

#[test]
fn a_definition_that_appears_in_the_gap_of_a_clear_is_never_deleted() {
    let world = World::with(230);
    let store = world.store().clone();
    world.at_request(2, ("POST", "/v1/schema"), move || {
        store.fill("Article", 4, 4, 5)
    });
    let mut definition = elysiactl::sandbox::sample_definition("Article");
    definition["description"] = "the real one".into();
    world
        .store()
        .restore(&elysiactl::sandbox::Store::new().snapshot());
    world.store().create(&definition).unwrap();
    world.store().fill("Article", 230, 4, 1);
    let ended = world.run("col clear Article --force").with(7);
    assert!(
        ended
            .stderr
            .contains("another collection `Article` has appeared"),
        "{ended:#?}"
    );
    assert_eq!(world.store().count("Article"), 4);
    let job = world.unfinished().expect("its definition is kept");
    let kept = world
        .state_dir()
        .join("jobs")
        .join(job)
        .join("definition.json");
    assert!(
        std::fs::read_to_string(kept)
            .unwrap()
            .contains("the real one")
    );
}

#[test]
fn what_a_resume_differs_in_is_in_the_json_of_the_error_too() {
    let world = killed();
    let ended = world.run(&format!("{BACKUP} --resume -z --json")).with(8);
    let lines = ended.json();
    let error = lines.iter().find(|line| line["type"] == "error").unwrap();
    let expected = serde_json::json!([{"name": "compression", "then": "none", "now": "gzip"}]);
    assert_eq!(error["differences"], expected, "{ended:#?}");
}

#[test]
fn a_removal_that_was_killed_is_ended_by_the_same_words() {
    let world = World::with(30);
    let words = "col rm Article --force";
    for (number, moment) in [(1, Moment::Before), (1, Moment::After)] {
        let ended = world.run_killed(words, number, ("DELETE", "/v1/schema/Article"), moment);
        assert_eq!(ended.signal, Some(9), "{ended:#?}");
    }
    assert!(world.unfinished().is_some() && world.store().collections().is_empty());
    // It was agreed to before.
    world.run("col rm Article").with(0);
    assert_eq!(world.unfinished(), None);
    world.run("col rm Article --force").with(10);
}

#[test]
fn a_removal_names_the_ways_out_of_an_unfinished_clear() {
    let world = World::with(30);
    let clear = "col clear Article --force";
    world.run_killed(clear, 1, ("DELETE", "/v1/schema/Article"), Moment::Before);
    let ended = world.run("col rm Article --force").with(8);
    let hint = "hint: `elysiactl jobs ls` shows the job in the way; `jobs resume` goes on with it, \
                `jobs cancel` gives it up\n";
    assert!(ended.stderr.ends_with(hint), "{ended:#?}");
    assert_eq!(world.store().count("Article"), 30);
}
