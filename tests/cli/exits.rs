//! Every exit code there is (SPEC "Exit codes"), how it is reached, and every word that is said then.

use std::collections::BTreeSet;

use elysiactl::cli::exit::ExitCode;
use elysiactl::sandbox::{Fault, Rule, Settings, Store, When};
use rustix::process::Signal;

use crate::program::words::{is_like, named};
use crate::program::{Ended, Moment, World};
use crate::questions::answered;

const PAGES: (&str, &str) = ("GET", "/v1/objects?class=Article&limit=40");
const BATCHES: (&str, &str) = ("POST", "/v1/batch/objects");
const BACKUP: &str = "col backup Article -o out --batch-size 40 --workers 1";
const STOPPING: &str = "stopping: no new work is taken, what is in flight is brought to an end\n";

struct Row {
    code: i32,
    how: &'static str,
    reach: fn() -> (World, Ended),
    /// From the first line that begins like this to the last; `*` is a number, a size or a time.
    says: &'static str,
}

const ROWS: [Row; 19] = [
    Row {
        code: 0,
        how: "a backup",
        reach: || run(World::with(230), BACKUP),
        says: "done: backup of `Article`: 230 objects, * kB, *\n",
    },
    Row {
        code: 1,
        how: "a state directory that cannot be made",
        reach: || run(World::with(3), "col backup Article --state-dir /proc/none"),
        says: "error: the state directory `/proc/none` is of no use: cannot create `/proc/none/jobs`: no such file or directory\n  \
               hint: choose another one with `--state-dir`, or set `XDG_STATE_HOME`\n",
    },
    Row {
        code: 2,
        how: "a job that is done already",
        reach: done_already,
        says: "error: job JOB is done; `elysiactl jobs prune` forgets it\n",
    },
    Row {
        code: 3,
        how: "an object that the source cannot give",
        reach: unreadable_object,
        says: "done, but not complete: backup of `Article`: 229 objects, 1 rejected, * kB, *\n  \
               note: 1 objects could not be read; they are named in rejects.jsonl\n",
    },
    Row {
        code: 4,
        how: "a signal",
        reach: || signalled(Signal::TERM, 1),
        says: "stopping: no new work is taken, what is in flight is brought to an end\n\
               error: stopped before the end\n  \
               kept: 0 of 230 objects are in the unfinished archive\n  \
               hint: `elysiactl jobs resume JOB` goes on\n",
    },
    Row {
        code: 5,
        how: "a server that is not there",
        reach: || {
            let words = "col backup Article --retry-for 1ms --url http://127.0.0.1:1";
            let (world, ended) = run(World::with(3), words);
            assert_eq!(world.jobs().len(), 0, "no job was begun");
            (world, ended)
        },
        says: "error: cannot reach Weaviate at http://127.0.0.1:1 after * tr* in *: connection refused\n  \
               hint: start the server or check --url, then resume\n",
    },
    Row {
        code: 5,
        how: "a server that goes away",
        reach: server_gone,
        says: "error: lost the connection to URL after * tr* in *: connection reset by peer\n  \
               kept: 0 of 230 objects are in the unfinished archive\n  \
               hint: start the server or check --url, then resume; `elysiactl jobs resume JOB` goes on\n",
    },
    Row {
        code: 6,
        how: "a source that is dropped while it is read",
        reach: source_dropped,
        says: "error: collection `Article` is gone\n  \
               kept: nothing was written, and no job is left\n  \
               hint: somebody deleted it while it was read\n",
    },
    Row {
        code: 7,
        how: "a target that is dropped while it is written",
        reach: target_dropped,
        says: "error: collection `Copy` at URL was deleted and created again since the job began\n  \
               kept: nothing more was written\n  \
               hint: find out who changed it, then start anew with --restart\n",
    },
    Row {
        code: 8,
        how: "an unfinished job in the way",
        reach: || run(killed(), BACKUP),
        says: "error: an unfinished backup of `Article` into `DIR/out` is in the way: job JOB\n  \
               kept: 0 of 230 objects are in the unfinished archive\n  \
               hint: pass --resume to go on with it, or --restart to begin anew\n",
    },
    Row {
        code: 9,
        how: "a journal that is gone",
        reach: journal_gone,
        says: "error: the journal is damaged: * commits were acknowledged, none is there\n  \
               hint: start the backup anew with `--restart`\n",
    },
    Row {
        code: 10,
        how: "a job that does not exist",
        reach: || run(World::with(0), "jobs show ffffffff"),
        says: "error: there is no job `ffffffff`\n  hint: `elysiactl jobs ls` lists the jobs\n",
    },
    Row {
        code: 11,
        how: "the same job in another process",
        reach: at_work,
        says: "error: job JOB is held by process * on * since *\n  \
               hint: wait until that run is over, or stop it\n",
    },
    Row {
        code: 12,
        how: "a wrong key",
        reach: wrong_key,
        says: "error: URL does not accept the credentials: 401 Unauthorized, it says: unauthorized: invalid api key\n  \
               hint: pass a valid key with --api-key-file or WEAVIATE_API_KEY\n",
    },
    Row {
        code: 13,
        how: "an archive with one flipped bit",
        reach: flipped_bit,
        says: "error: frame * of `flipped` is damaged: blake3 is *, the table of contents says *\n  \
               hint: put back a good copy of the file and resume\n",
    },
    Row {
        code: 14,
        how: "an archive of a version to come",
        reach: version_to_come,
        says: "error: `future.json`: archives of version `2.0` cannot be read, only 1.0\n  \
               hint: use the version of elysiactl that wrote it, or a newer one\n",
    },
    Row {
        code: 15,
        how: "another answer than the name",
        reach: another_answer,
        says: "error: not confirmed: the answer was not `Article`\n  \
               kept: nothing was touched\n  \
               hint: type the collection's name in full, or pass --force\n",
    },
    Row {
        code: 130,
        how: "a second SIGINT",
        reach: || signalled(Signal::INT, 2),
        says: STOPPING,
    },
    Row {
        code: 143,
        how: "a second SIGTERM",
        reach: || signalled(Signal::TERM, 2),
        says: STOPPING,
    },
];

#[test]
fn every_exit_code_is_reached_and_says_its_words() {
    for row in ROWS {
        let (world, ended) = (row.reach)();
        let how = format!("{}, {}: {ended:#?}", row.code, row.how);
        assert_eq!(ended.code, Some(row.code), "{how}");
        let text = named(&world, &ended.stderr);
        let (first, _) = row.says.split_once(": ").unwrap_or_default();
        // What it was doing by then, and how often it was tried, is told before.
        let said = text.find(first).map_or("", |at| &text[at..]);
        assert!(is_like(said, row.says), "{how}");
    }
}

#[test]
fn every_exit_code_has_a_row() {
    // What has no code of its own is a failure.
    let failed = ExitCode::FAILED.meaning();
    let codes = (0..=255).map(ExitCode);
    let named = codes.filter(|code| *code == ExitCode::FAILED || code.meaning() != failed);
    let named: BTreeSet<i32> = named.map(|code| i32::from(code.0)).collect();
    let reached: BTreeSet<i32> = ROWS.iter().map(|row| row.code).collect();
    assert_eq!(named, reached);
}

fn run(world: World, words: &str) -> (World, Ended) {
    let ended = world.run(words);
    (world, ended)
}

fn killed() -> World {
    let world = World::with(230);
    let ended = world.run_killed(BACKUP, 1, PAGES, Moment::Before);
    assert_eq!(ended.signal, Some(9), "{ended:#?}");
    world
}

fn unreadable_object() -> (World, Ended) {
    let world = World::with(230);
    let id = world.store().dump("Article")[7].id;
    world.sandbox.faults().make_unreadable(id);
    run(world, BACKUP)
}

fn signalled(signal: Signal, times: usize) -> (World, Ended) {
    let world = World::with(230);
    let running = world.start_held(&format!("{BACKUP} --grace 50ms"), 1, PAGES);
    for _ in 0..times {
        running.signal(signal);
        running.says("stopping");
    }
    let ended = running.wait();
    (world, ended)
}

fn server_gone() -> (World, Ended) {
    let world = World::with(230);
    let gone = When::Nth(1..=u64::MAX);
    let rule = Rule::new(PAGES.0, PAGES.1, gone, Fault::ResetBefore);
    world.sandbox.faults().add(rule);
    run(world, &format!("{BACKUP} --retry-for 1ms"))
}

fn source_dropped() -> (World, Ended) {
    let world = World::with(230);
    let (store, nothing) = (world.store().clone(), Store::new().snapshot());
    world.at_request(1, PAGES, move || store.restore(&nothing));
    let (world, ended) = run(world, BACKUP);
    assert_eq!((world.jobs().len(), world.hidden("out").len()), (0, 0));
    (world, ended)
}

fn target_dropped() -> (World, Ended) {
    let world = World::with(230);
    let archive = world.run("col backup Article -o first").with(0).path();
    let (store, nothing) = (world.store().clone(), Store::new().snapshot());
    world.at_request(1, BATCHES, move || store.restore(&nothing));
    let archive = archive.display();
    let words = format!("col restore {archive} --name Copy --batch-size 40 --workers 1");
    run(world, &words)
}

fn journal_gone() -> (World, Ended) {
    let world = killed();
    let job = world
        .state_dir()
        .join("jobs")
        .join(world.unfinished().unwrap());
    std::fs::remove_dir_all(job.join("journal")).unwrap();
    run(world, &format!("{BACKUP} --resume"))
}

fn at_work() -> (World, Ended) {
    let world = World::with(230);
    let _running = world.start_held(BACKUP, 1, PAGES);
    let ended = world.run(&format!("{BACKUP} --resume"));
    (world, ended)
}

fn wrong_key() -> (World, Ended) {
    let world = World::new(Settings {
        api_key: Some("right-key".to_owned()),
        ..Settings::default()
    });
    std::fs::write(world.path().join("key"), "wrong-key\n").unwrap();
    run(world, "col backup Article --api-key-file key")
}

fn flipped_bit() -> (World, Ended) {
    let world = World::with(230);
    let path = world.at(&world.run(BACKUP).with(0).path().display().to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(world.at("flipped"), bytes).unwrap();
    run(world, "col verify flipped")
}

fn version_to_come() -> (World, Ended) {
    let world = World::with(0);
    let document =
        r#"{"metadata":{"version":"2.0","collection":"A"},"schema":{"class":"A"},"objects":[]}"#;
    std::fs::write(world.at("future.json"), document).unwrap();
    run(world, "col verify future.json")
}

fn another_answer() -> (World, Ended) {
    let world = World::with(3);
    let ended = answered(&world, "col clear Article", "article\n");
    (world, ended)
}

fn done_already() -> (World, Ended) {
    let world = World::with(3);
    world.run("col backup Article").with(0);
    let job = world.jobs()[0].job.clone();
    run(world, &format!("jobs cancel {job}"))
}
