//! What is refused before anything begins: exact words, exit code, and nothing changed on the server.

use std::path::Path;

use elysiactl::sandbox::{Fault, Rule, Settings, When};

use crate::program::words::{fails, named};
use crate::program::{World, start};

const NO_COLLECTION: &str = "error: there is no collection `Nothing` at URL\n  \
                             hint: `elysiactl col ls` lists the collections of a server\n";

#[test]
fn an_unknown_collection_exits_10() {
    let world = World::with(3);
    for words in [
        "col backup Nothing",
        "col backup Nothing --dry-run",
        "col backup Nothing --resume",
        "col clear Nothing --force",
        "col clear Nothing --dry-run",
        "col rm Nothing --force",
        "col show Nothing",
    ] {
        fails(&world, words, 10, NO_COLLECTION);
    }
    let hint = "  hint: `elysiactl col ls` lists them\n";
    let expected = format!("error: no collection matches `Zoo*`\n{hint}");
    fails(&world, "col backup Zoo*", 10, &expected);
    assert_eq!(world.jobs().len(), 0);
    assert!(!world.path().join("backups").exists());
}

#[test]
fn a_wrong_key_exits_12_and_is_never_shown() {
    let settings = Settings {
        api_key: Some("right-key".to_owned()),
        ..Settings::default()
    };
    let world = World::new(settings);
    world.store().fill("Article", 3, 4, 1);
    std::fs::write(world.path().join("key"), "wrong-key-5e1f\n").unwrap();
    for words in [
        "col ls",
        "col backup Article",
        "col clear Article --force",
        "health",
    ] {
        for key in ["", "--api-key-file key"] {
            let ended = world
                .run(&format!("{words} {key} -vv --log-file log --json"))
                .with(12);
            assert!(ended.stderr.starts_with("error: "), "{ended:#?}");
            let log = std::fs::read_to_string(world.path().join("log")).unwrap();
            for text in [&ended.stderr, &ended.stdout, &log] {
                assert!(!text.contains("5e1f"), "{ended:#?}");
            }
        }
    }
    assert_eq!(world.writes(), [""; 0]);
    std::fs::write(world.path().join("key"), "right-key").unwrap();
    world.run("col backup Article --api-key-file key").with(0);
    let mut by_variable = world.command("col ls");
    by_variable.env("WEAVIATE_API_KEY", "right-key");
    start(by_variable).wait().with(0);
}

#[test]
fn an_existing_collection_is_not_restored_into() {
    let world = World::with(3);
    let archive = world.run("col backup Article -o out").with(0).path();
    let archive = archive.strip_prefix(world.path()).unwrap_or(&archive);
    let refused = "error: collection `Article` already exists and holds 3 objects\n  \
                   hint: pass --merge to restore into it, or --name <NEW> to restore beside it\n";
    for flags in ["", "--resume", "--dry-run", "--force"] {
        let words = format!("col restore {} {flags}", archive.display());
        if flags == "--dry-run" {
            let ended = world.run(&words).with(7);
            assert_eq!(ended.stderr, refused);
            assert!(
                ended.stdout.contains("exists              yes"),
                "{ended:#?}"
            );
            continue;
        }
        fails(&world, &words, 7, refused);
    }
    assert!(world.jobs().iter().all(|job| job.is_done));
}

#[test]
fn a_batch_of_nothing_exits_2() {
    let world = World::with(3);
    for command in [
        "col backup Article",
        "col restore x.json",
        "col clear Article --force",
    ] {
        fails(
            &world,
            &format!("{command} --batch-size 0"),
            2,
            "error: invalid value `0` for `--batch-size <N>`: a batch holds at least one object\n  \
             hint: leave --batch-size out and it adapts to the objects\n",
        );
    }
    assert_eq!(world.sandbox.requests().len(), 0);
}

#[test]
fn what_cannot_be_typed_exits_2_with_a_hint() {
    let world = World::with(3);
    let cases = [
        (
            "col backup Article --btach-size 5",
            "error: unexpected argument `--btach-size` found\n  hint: a similar argument exists: `--batch-size`\n",
        ),
        (
            "col clear",
            "error: the following required arguments were not provided: <NAME>\n  \
             hint: `elysiactl col clear --help` shows what can be typed\n",
        ),
        (
            "col backup Art-icle",
            "error: `Art-icle` is not a collection name\n  \
             hint: a name has letters, digits and `_`, begins with a letter, and is at most 255 long\n",
        ),
        (
            "col backup Article --where x",
            "error: `--where` is not supported yet by this version\n  kept: nothing was touched\n  hint: leave it out\n",
        ),
        (
            "col backup Article --format parquet",
            "error: `--format parquet` is not supported yet by this version\n  kept: nothing was touched\n  hint: leave it out\n",
        ),
        (
            "col backup Article --url localhost:8080",
            "error: `localhost:8080` is not a URL of Weaviate\n  \
             hint: write http:// or https:// in front, such as `http://localhost:8080`\n",
        ),
    ];
    for (words, expected) in cases {
        fails(&world, words, 2, expected);
    }
    assert_eq!(world.sandbox.requests().len(), 0);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_a_job_is_begun() {
    let world = World::with(3);
    std::fs::write(world.path().join("file"), "mine").unwrap();
    let cases = [
        ("file", "cannot make the folder `file`: file exists"),
        (
            "/proc/none",
            "cannot make the folder `/proc/none`: no such file or directory",
        ),
    ];
    for (output, why) in cases {
        let expected = format!(
            "error: archives cannot be written: {why}\n  kept: nothing was begun\n  \
             hint: choose another folder with --output\n"
        );
        let ended = world
            .run(&format!("col backup Article -o {output}"))
            .with(7);
        let text = named(&world, &ended.stderr);
        assert_eq!(text.split("  caused by").next().unwrap(), expected);
    }
    assert_eq!(world.jobs().len(), 0);
    assert_eq!(std::fs::read(world.path().join("file")).unwrap(), b"mine");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_refused_and_looking_needs_none() {
    let world = World::with(3);
    world
        .run("col backup Article --state-dir /proc/none")
        .with(1);
    assert!(!world.path().join("backups").exists());
    for words in [
        "col ls",
        "col show Article",
        "health",
        "col backup Article --dry-run",
        "jobs ls",
    ] {
        world
            .run(&format!("{words} --state-dir /proc/none"))
            .with(0);
    }
}

#[test]
fn servers_that_are_too_old_are_refused_and_newer_ones_warned_about() {
    let at = |version: &str| {
        let settings = Settings {
            version: version.to_owned(),
            ..Settings::default()
        };
        let world = World::new(settings);
        world.store().fill("Article", 3, 4, 1);
        world
    };
    let old = at("1.26.0");
    for words in [
        "col backup Article",
        "col clear Article --force",
        "col ls",
        "health",
    ] {
        fails(
            &old,
            words,
            14,
            "error: URL runs Weaviate 1.26.0, which is older than 1.27\n  \
             hint: upgrade the server; 1.27 to 1.40 are supported\n",
        );
    }
    let new = at("1.50.0");
    let ended = new.run("col backup Article").with(0);
    let warning = "warning: URL runs Weaviate 1.50.0, newer than what was tested (1.40)\n";
    assert!(
        named(&new, &ended.stderr).starts_with(warning),
        "{ended:#?}"
    );
    at("1.27.0").run("col backup Article").with(0);
}

#[test]
fn a_redirect_is_not_followed_to_another_place() {
    let world = World::with(3);
    let moved = Fault::Status {
        status: 302,
        retry_after: None,
        body: String::new(),
    };
    world.sandbox.faults().add(Rule::any(When::Always, moved));
    let ended = world.run("col backup Article --retry-for 1s");
    assert!(!matches!(ended.code, Some(0 | 3) | None), "{ended:#?}");
    assert!(ended.stderr.contains("302"), "{ended:#?}");
    assert_eq!(world.jobs().len(), 0);
}

#[test]
fn protected_names_are_refused_whatever_is_told() {
    let world = World::with(3);
    for name in ["ELYSIACTL_jobs", "Billing_SYSTEM", "Users"] {
        world.store().fill(name, 2, 4, 1);
    }
    let config = world.path().join("config/elysiactl");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(
        config.join("config.toml"),
        "[profile.default]\nprotect = [\"Us*\"]\n",
    )
    .unwrap();
    let archive = world.run("col backup Users -o out").with(0).path();
    let archive = archive.display();
    let system = "such names belong to a system and are never cleared, removed or restored into";
    let listed = "take the pattern out of the profile's `protect` list if this is really meant";
    for (name, pattern, hint) in [
        ("ELYSIACTL_jobs", "ELYSIACTL_*", system),
        ("Billing_SYSTEM", "*_SYSTEM", system),
        ("ELYSIACTL_not_there", "ELYSIACTL_*", system),
        ("Users", "Us*", listed),
        ("users", "Us*", listed),
    ] {
        let shown = if name == "users" { "Users" } else { name };
        let expected = format!(
            "error: collection `{shown}` is protected by `{pattern}`\n  kept: nothing was touched\n  hint: {hint}\n"
        );
        for words in [
            format!("col clear {name} --force"),
            format!("col clear {name} --dry-run"),
            format!("col clear {name} --delete-schema --force"),
            format!("col rm {name} --force"),
            format!("col rm {name} --dry-run"),
            format!("col restore {archive} --name {name} --merge --force"),
        ] {
            fails(&world, &words, 2, &expected);
        }
    }
    assert_eq!(world.store().count("Users"), 2);
}

#[test]
fn a_full_disk_is_told_and_the_run_can_be_resumed() {
    let world = World::with(400);
    let small = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("full-{}", std::process::id()));
    std::fs::create_dir_all(&small).unwrap();
    let _mounted = match Mounted::at(&small) {
        Some(mounted) => mounted,
        // Without the right to mount, what is left is a reader's output: `/dev/full` below.
        None => return a_path_that_cannot_be_printed(&world),
    };
    let output = small.display();
    let ended = world.run(&format!(
        "col backup Article -o {output} --batch-size 50 --workers 1"
    ));
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    assert!(ended.stderr.contains("error: disk full: "), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("make room on the file system, then resume"),
        "{ended:#?}"
    );
    std::fs::remove_file(small.join("ballast")).unwrap();
    let job = world.unfinished().unwrap();
    let archive = world.run(&format!("jobs resume {job}")).with(0).path();
    world
        .run(&format!("col verify {}", archive.display()))
        .with(0);
    a_path_that_cannot_be_printed(&world);
}

/// The archive is whole, but the script that waits for its path never gets it: no success.
fn a_path_that_cannot_be_printed(world: &World) {
    let mut command = world.command("col backup Article -o elsewhere");
    command.stdout(
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap(),
    );
    let status = command
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(world.archives("elsewhere").len(), 1);
}

/// A file system of 160 MiB, most of which is taken; unmounted when dropped.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn at(folder: &Path) -> Option<Mounted> {
        let mut mount = std::process::Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=160m", "none"])
            .arg(folder);
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        let mounted = is_mounted.then(|| Mounted(folder.to_owned()))?;
        std::fs::write(folder.join("ballast"), vec![0; 130 << 20]).unwrap();
        Some(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).output();
        let _ = std::fs::remove_dir(&self.0);
    }
}
