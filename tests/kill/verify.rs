//! `--verify` cut short: the job stays, the next run compares again and moves nothing again.

use elysiactl::job::Step;
use elysiactl::journal::StateDir;
use elysiactl::sandbox::{Activity, Fault, RequestInfo, Rule, Settings, When, sample_definition};
use rustix::process::Signal;
use serde_json::json;

use crate::program::{Ended, Moment, World};

/// The pages of a comparison; those of the jobs here are of 40.
const COMPARED: (&str, &str) = ("GET", "/v1/objects?class=Article&limit=100");
const READ_BACK: (&str, &str) = ("GET", "/v1/objects?class=Copy");
const BACKUP: &str = "col backup Article -o out --batch-size 40 --workers 2 --verify";

#[derive(Clone, Copy, Debug)]
enum Cut {
    Killed(Moment),
    Lost,
    Stopped,
}

const CUTS: [Cut; 4] = [
    Cut::Killed(Moment::Before),
    Cut::Killed(Moment::After),
    Cut::Lost,
    Cut::Stopped,
];

/// Runs the program, and cuts it short at the second of these requests.
fn cut_short(world: &World, cut: Cut, words: &str, kind: (&str, &str)) -> Ended {
    let ended = match cut {
        Cut::Killed(moment) => world.run_killed(words, 2, kind, moment),
        Cut::Lost => {
            let gone = When::Nth(2..=u64::MAX);
            let rule = Rule::new(kind.0, kind.1, gone, Fault::ResetBefore);
            world.sandbox.faults().add(rule);
            world.run(&format!("{words} --retry-for 1ms")).with(5)
        }
        Cut::Stopped => {
            let running = world.start_held(words, 2, kind);
            running.signal(Signal::TERM);
            running.wait().with(4)
        }
    };
    world.sandbox.faults().clear();
    assert_eq!(ended.stdout, "", "{ended:#?}");
    ended
}

/// The requests of a run that begin like this.
fn requests_of(world: &World, words: &str, kind: (&str, &str)) -> (Ended, usize) {
    let before = world.sandbox.requests().len();
    let ended = world.run(words);
    let requests = world.sandbox.requests();
    let is_it = |method: &str, path: &str| {
        // No other number that begins alike.
        let rest = path.strip_prefix(kind.1);
        method == kind.0 && rest.is_some_and(|rest| !rest.starts_with('0'))
    };
    let new = requests[before..].iter();
    let count = new.filter(|request| is_it(&request.method, &request.path));
    (ended, count.count())
}

/// The report of the last job of this kind.
fn report(world: &World, kind: &str) -> serde_json::Value {
    let mut jobs = world.jobs();
    jobs.retain(|job| job.spec.identity.kind.to_string() == kind);
    let folder = world
        .state_dir()
        .join("jobs")
        .join(jobs.pop().unwrap().job.as_str());
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

/// The last words: what was not done, what is kept, and how to go on.
#[track_caller]
fn said(ended: &Ended, cut: Cut, undone: &str, kept: &str, job: &str) {
    let remedy = match cut {
        Cut::Killed(_) => return assert_eq!(ended.signal, Some(9)),
        Cut::Lost => "start the server or check --url, then resume; ",
        Cut::Stopped => "",
    };
    let error = &ended.stderr[ended.stderr.find("error: ").unwrap()..];
    let last = format!("  kept: {kept}\n  hint: {remedy}`elysiactl jobs resume {job}` goes on\n");
    assert!(error.starts_with(&format!("error: {undone}")), "{ended:#?}");
    assert!(error.ends_with(&last), "{ended:#?}");
}

#[test]
fn a_backup_whose_comparison_was_cut_short_is_compared_again_and_not_read_again() {
    for cut in CUTS {
        let world = World::with(230);
        let ended = cut_short(&world, cut, BACKUP, COMPARED);
        let [archive] = world.archives("out").try_into().unwrap();
        let job = world.unfinished().unwrap();
        let kept = format!("the archive `out/{archive}` is finished");
        said(
            &ended,
            cut,
            "the archive was not compared with the collection: ",
            &kept,
            &job,
        );
        let pages = ("GET", "/v1/objects?class=Article&limit=40");
        let (ended, read_again) = requests_of(&world, &format!("{BACKUP} --resume"), pages);
        assert_eq!(read_again, 0, "{cut:?}");
        assert_eq!(ended.with(0).path().file_name().unwrap(), archive.as_str());
        assert_eq!(report(&world, "backup")["verification"]["objects"], 230);
        assert_eq!(world.hidden("out"), [""; 0]);
        assert_eq!(world.unfinished(), None);
    }
}

#[test]
fn a_restore_whose_comparison_was_cut_short_is_compared_again_and_not_written_again() {
    for cut in CUTS {
        let world = World::with(230);
        let archive = world.run("col backup Article -o out").with(0).path();
        let words = format!(
            "col restore {} --name Copy --batch-size 40 --verify",
            archive.display()
        );
        let ended = cut_short(&world, cut, &words, READ_BACK);
        let job = world.unfinished().unwrap();
        let kept = "230 of 230 objects are in the target collection";
        said(
            &ended,
            cut,
            "the collection was not compared with the archive: ",
            kept,
            &job,
        );
        let batches = ("POST", "/v1/batch/objects");
        let (ended, written_again) = requests_of(&world, &format!("jobs resume {job}"), batches);
        assert_eq!((ended.code, written_again), (Some(0), 0), "{ended:#?}");
        assert_eq!(report(&world, "restore")["verification"]["objects"], 230);
        world.assert_equal("Article", "Copy");
        assert_eq!(world.unfinished(), None);
    }
}

#[test]
fn a_difference_that_the_next_run_finds_is_13_and_the_job_is_over() {
    let world = World::with(230);
    cut_short(&world, Cut::Lost, BACKUP, COMPARED);
    let [archive] = world.archives("out").try_into().unwrap();
    let path = world.path().join("out").join(&archive);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let ended = world.run(&format!("{BACKUP} --resume")).with(13);
    assert!(ended.stderr.contains(" is damaged: "), "{ended:#?}");
    assert_eq!(report(&world, "backup")["exit_code"], 13);
    assert_eq!((world.unfinished(), world.hidden("out")), (None, vec![]));
    // The next night has a backup of its own.
    world.run(&format!("{BACKUP} --resume")).with(0);

    let path = world.at(&format!("out/{}", world.archives("out").pop().unwrap()));
    let restore = format!("col restore {path} --name Copy --verify");
    cut_short(&world, Cut::Lost, &restore, READ_BACK);
    // Somebody writes into what was restored.
    world.store().fill("Copy", 1, 4, 9);
    let ended = world.run(&format!("{restore} --resume")).with(13);
    assert!(ended.stderr.contains("only in other: "), "{ended:#?}");
    assert_eq!(world.unfinished(), None);
}

#[test]
fn an_archive_that_is_gone_before_it_was_compared_is_13() {
    let world = World::with(230);
    cut_short(&world, Cut::Lost, BACKUP, COMPARED);
    let [archive] = world.archives("out").try_into().unwrap();
    std::fs::remove_file(world.path().join("out").join(&archive)).unwrap();
    let ended = world.run(&format!("{BACKUP} --resume")).with(13);
    let words = format!("there is no archive `out/{archive}`");
    assert!(ended.stderr.contains(&words), "{ended:#?}");
    assert_eq!((world.unfinished(), world.hidden("out")), (None, vec![]));
}

/// A journal whose record of the comparison says this, and not what it found.
#[test]
fn a_comparison_whose_findings_are_lost_is_no_success() {
    for (facts, named) in [
        (vec![], "the journal lacks `verify found`"),
        (
            vec![("verify found", "[]")],
            "the journal lacks `verify code`",
        ),
        (
            vec![("verify found", "[]"), ("verify code", "-")],
            "`verify code` is no number",
        ),
        (
            vec![("verify found", "-"), ("verify code", "0")],
            "`verify found` cannot be read",
        ),
    ] {
        let world = World::with(230);
        cut_short(&world, Cut::Lost, BACKUP, COMPARED);
        let state = StateDir::open(&world.state_dir()).unwrap();
        let folder = state.open_job(&world.jobs()[0].job).unwrap();
        let mut opened = folder.open_store().unwrap();
        let facts = facts.iter();
        let step = Step::Staged {
            number: 5,
            facts: facts
                .map(|(name, fact)| (name.to_string(), fact.to_string()))
                .collect(),
        };
        opened.store.append(&[step.into()]).unwrap();
        drop((opened, folder));
        let ended = world.run(&format!("{BACKUP} --resume")).with(9);
        assert!(ended.stderr.contains(named), "{ended:#?}");
        assert!(world.unfinished().is_some() && ended.stdout.is_empty());
        // The archive is whole, and whoever begins anew gets another one.
        world.run(&format!("{BACKUP} --restart")).with(0);
        assert_eq!(world.archives("out").len(), 2);
    }
}

/// All of the new one would be younger than the backup, and nothing a loss.
#[test]
fn a_collection_that_is_another_one_by_then_is_not_compared_and_that_is_3() {
    let world = World::with(230);
    cut_short(&world, Cut::Lost, BACKUP, COMPARED);
    world.run("col rm Article --force").with(0);
    world.store().fill("Article", 230, 4, 1);
    let ended = world.run(&format!("{BACKUP} --resume")).with(3);
    let words = "the archive was not compared with the collection: collection `Article` was deleted and created again since";
    assert!(ended.stderr.contains(words), "{ended:#?}");
    assert_eq!(world.unfinished(), None);
}

#[test]
fn a_run_that_goes_on_may_be_the_first_that_asks_for_the_comparison() {
    let world = World::with(230);
    let plain = BACKUP.replace(" --verify", "");
    let pages = ("GET", "/v1/objects?class=Article&limit=40");
    world.run_killed(&plain, 3, pages, Moment::Before);
    cut_short(&world, Cut::Lost, &format!("{BACKUP} --resume"), COMPARED);
    // Whoever goes on need not ask again.
    let (ended, pages) = requests_of(&world, &format!("{plain} --resume"), COMPARED);
    assert!(ended.code == Some(0) && pages > 0, "{ended:#?}");
    assert_eq!(report(&world, "backup")["verification"]["objects"], 230);

    let path = ended.path();
    let restore = format!("col restore {} --name Copy --resume", path.display());
    world.run_killed(&restore, 1, ("PUT", "/v1/schema"), Moment::Before);
    world.run(&restore).with(0);
    let (ended, pages) = requests_of(&world, &format!("{restore} --verify"), READ_BACK);
    assert!(ended.code == Some(0) && pages > 0, "{ended:#?}");
    assert_eq!(report(&world, "restore")["verification"]["objects"], 230);
}

#[test]
fn a_job_whose_comparison_is_left_is_named_as_it_is_and_leaves_its_archive() {
    let world = World::with(230);
    cut_short(&world, Cut::Lost, BACKUP, COMPARED);
    let [archive] = world.archives("out").try_into().unwrap();
    let refused = world.run(BACKUP).with(8);
    let kept = format!("  kept: the archive `out/{archive}` is finished\n");
    assert!(refused.stderr.contains(&kept), "{refused:#?}");
    let job = world.unfinished().unwrap();
    let ended = world.run(&format!("jobs cancel {job}")).with(0);
    let words = format!("job {job} is removed; its finished archive stays\n");
    assert!(ended.stderr.ends_with(&words), "{ended:#?}");
    assert_eq!(
        (world.archives("out"), world.hidden("out")),
        (vec![archive], vec![])
    );
}

/// A collection of twenty tenants of three objects each, all but the first two inactive.
fn world_of_sleepers() -> World {
    let world = World::new(Settings::default());
    let mut definition = sample_definition("Article");
    definition["multiTenancyConfig"] = json!({"enabled": true});
    let names: Vec<String> = (0..20).map(|number| format!("t{number:02}")).collect();
    let object = |tenant: &str, id: u32| json!({"id": format!("00000000-0000-0000-0000-{id:012}"), "tenant": tenant});
    let objects = names
        .iter()
        .flat_map(|name| (1..4).map(|id| object(name, id)));
    let document = json!({"schema": definition, "objects": objects.collect::<Vec<_>>()});
    std::fs::write(world.path().join("tenants.json"), document.to_string()).unwrap();
    world.run("col restore tenants.json").with(0);
    for name in &names[2..] {
        world.store().set_activity("Article", name, Activity::Cold);
    }
    world
}

#[test]
fn tenants_that_are_woken_to_be_compared_are_put_back_however_that_ends() {
    let words = format!("{BACKUP} --activate-tenants");
    for cut in CUTS {
        let world = world_of_sleepers();
        let before = world.store().tenants("Article");
        cut_short(&world, cut, &words, COMPARED);
        let is_put_back = world.store().tenants("Article") == before;
        // A killed run puts nothing back; the next one does, before anything else.
        assert_eq!(is_put_back, !matches!(cut, Cut::Killed(_)), "{cut:?}");
        world.run(&format!("{words} --resume")).with(0);
        assert_eq!(report(&world, "backup")["verification"]["objects"], 60);
        assert_eq!(world.store().tenants("Article"), before);
        assert_eq!((world.unfinished(), world.archives("out").len()), (None, 1));
    }
}

/// The pod died while it compared, and the new one knows nothing of the job.
#[test]
fn a_finished_archive_stays_when_its_job_is_lost() {
    let world = World::with(230);
    cut_short(&world, Cut::Killed(Moment::Before), BACKUP, COMPARED);
    std::fs::remove_dir_all(world.state_dir()).unwrap();
    let [archive] = world.archives("out").try_into().unwrap();
    let ended = world.run(&format!("{BACKUP} --resume")).with(0);
    assert!(!ended.stderr.contains("warning"), "{ended:#?}");
    assert!(world.archives("out").contains(&archive));
    assert_eq!(
        (world.archives("out").len(), world.hidden("out")),
        (2, vec![])
    );
}

const CLEAR: &str = "col clear Article --force --method by-id --batch-size 40 --backup-to out";

#[test]
fn a_backup_before_a_clear_is_compared_and_what_is_cut_short_is_gone_on_with() {
    for cut in CUTS {
        let world = World::with(230);
        let ended = cut_short(&world, cut, CLEAR, COMPARED);
        if !matches!(cut, Cut::Killed(_)) {
            let last = "  kept: nothing was cleared\n  hint: the same command with --resume goes on with the backup, then clears\n";
            assert!(ended.stderr.ends_with(last), "{ended:#?}");
        }
        assert_eq!(world.store().count("Article"), 230);
        // What was written since is not in the archive that was finished: another one is made.
        world.store().fill("Article", 240, 4, 1);
        let snapshot = world.store().snapshot();
        world.run(&format!("{CLEAR} --resume")).with(0);
        assert_eq!(world.store().count("Article"), 0);
        let [_, archive] = world.archives("out").try_into().unwrap();
        world
            .run(&format!("col restore out/{archive} --name Copy"))
            .with(0);
        let before = World::like(&snapshot);
        assert!(world.store().dump("Copy") == before.store().dump("Article"));
    }
}

/// What a clear has left is not backed up as if it were the collection.
#[test]
fn a_clear_that_goes_on_keeps_the_archive_that_was_made_before_it_began() {
    for (method, kind) in [
        ("by-id", ("DELETE", "/v1/batch/objects")),
        ("recreate", ("POST", "/v1/schema")),
    ] {
        let world = World::with(230);
        let words = CLEAR.replace("by-id", method);
        let ended = world.run_killed(&words, 2, kind, Moment::Before);
        assert_eq!(ended.signal, Some(9));
        let archives = world.archives("out");
        let ended = world.run(&format!("{words} --resume")).with(0);
        assert_eq!(world.archives("out"), archives, "{ended:#?}");
        assert_eq!((archives.len(), world.store().count("Article")), (1, 0));
        let definition = World::with(0).store().definition("Article");
        assert_eq!(world.store().definition("Article"), definition);
    }
}

#[test]
fn a_clear_that_was_begun_without_a_backup_does_not_get_one_of_what_is_left() {
    let world = World::with(230);
    let plain = CLEAR.replace(" --backup-to out", "");
    world.run_killed(&plain, 2, ("DELETE", "/v1/batch/objects"), Moment::Before);
    let ended = world.run(&format!("{CLEAR} --resume")).with(8);
    let words = "without a backup; what is left is not the whole collection\n  \
                 hint: leave --backup-to out to go on, or pass --restart to begin anew\n";
    assert!(ended.stderr.ends_with(words), "{ended:#?}");
    assert_eq!(world.archives("out"), [""; 0]);
    world.run(&format!("{plain} --resume")).with(0);
    assert_eq!(world.store().count("Article"), 0);
}

/// What is written while the backup is made is in no archive: it must not be cleared.
#[test]
fn nothing_is_cleared_that_came_while_it_was_backed_up() {
    for method in ["by-id", "recreate"] {
        // Before the comparison, and before its last page, which proves its end.
        for page in [1, 2] {
            let world = World::with(230);
            let store = world.store().clone();
            world.at_request(page, COMPARED, move || store.fill("Article", 240, 4, 1));
            let words = CLEAR.replace("by-id", method);
            let ended = world.run(&words).with(13);
            assert_eq!(world.store().count("Article"), 240, "{ended:#?}");
            let [archive] = world.archives("out").try_into().unwrap();
            let end = format!(
                "objects were added or changed while the backup before clearing was made, and are not in it\n  \
                 kept: nothing was cleared; the archive is out/{archive}\n  \
                 hint: stop whoever writes to the collection, then run the command again\n"
            );
            assert!(ended.stderr.ends_with(&end), "{ended:#?}");
            world.run(&words).with(0);
            assert_eq!(world.store().count("Article"), 0);
        }
    }
}

#[test]
fn nothing_is_cleared_that_came_after_its_backup_was_compared() {
    const COUNT: (&str, &str) = ("POST", "/v1/graphql");
    let is = |request: &RequestInfo, (method, path): (&str, &str)| {
        request.method == method && request.path.starts_with(path)
    };
    let world = World::with(230);
    world.run(CLEAR).with(0);
    let requests = world.sandbox.requests();
    let compared = requests.iter().rposition(|one| is(one, COMPARED)).unwrap();
    let counts = requests[..compared].iter().filter(|one| is(one, COUNT));
    let next = counts.count() as u64 + 1;

    let world = World::with(230);
    let store = world.store().clone();
    world.at_request(next, COUNT, move || store.fill("Article", 233, 4, 1));
    let ended = world.run(CLEAR).with(13);
    assert_eq!(world.store().count("Article"), 233, "{ended:#?}");
    assert!(ended.stderr.contains("3 objects were added"), "{ended:#?}");
}
