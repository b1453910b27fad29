//! The small commands.

use elysiactl::sandbox::sample_definition;

use crate::program::words::named;
use crate::program::{Moment, World, start};

#[test]
fn help_of_every_command_ends_with_an_example() {
    let world = World::with(0);
    for command in [
        "",
        "col",
        "col ls",
        "col show",
        "col create",
        "col rm",
        "col backup",
        "col restore",
        "col clear",
        "col verify",
        "col diff",
        "jobs",
        "jobs ls",
        "jobs show",
        "jobs resume",
        "jobs cancel",
        "jobs prune",
        "health",
        "config",
        "config show",
        "completions",
        "man",
        "sandbox",
        "demo",
    ] {
        let ended = world.run(&format!("{command} --help")).with(0);
        let (_, example) = ended.stdout.rsplit_once("\n\n").unwrap();
        let example: Vec<&str> = example.lines().collect();
        assert_eq!(
            (example.len(), example[0]),
            (2, "Example:"),
            "`{command}`: {ended:#?}"
        );
        assert!(
            example[1].starts_with("  elysiactl "),
            "`{command}`: {example:?}"
        );
        assert_eq!(ended.stderr, "");
    }
    for command in ["", "col", "jobs", "config"] {
        let ended = world.run(command).with(2);
        assert!(
            ended.stdout.is_empty() && ended.stderr.contains("Usage: elysiactl"),
            "{ended:#?}"
        );
    }
    assert_eq!(world.sandbox.requests().len(), 0);
    let version = world.run("--version").with(0).stdout;
    assert_eq!(
        version,
        format!("elysiactl {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn collections_are_listed_shown_created_and_removed() {
    let world = World::with(1250);
    let mut tenants = sample_definition("Tenanted");
    tenants["multiTenancyConfig"] = serde_json::json!({"enabled": true});
    world.store().create(&tenants).unwrap();
    world
        .store()
        .add_tenant("Tenanted", "a", elysiactl::sandbox::Activity::Hot);
    world
        .store()
        .add_tenant("Tenanted", "b", elysiactl::sandbox::Activity::Hot);
    world.store().fill("Tenanted", 10, 4, 1);
    assert_eq!(
        world.run("col ls").with(0).stdout,
        "collection  objects  tenants  vectors\n\
         Article       1,250        -  unnamed\n\
         Tenanted         10        2  unnamed\n"
    );
    let one = world.run("col ls Ten*").with(0).stdout;
    assert!(
        !one.contains("Article") && one.contains("Tenanted"),
        "{one}"
    );
    let shown: serde_json::Value =
        serde_json::from_str(&world.run("col show Article").with(0).stdout).unwrap();
    assert_eq!(shown, world.store().definition("Article").unwrap());
    let schema = sample_definition("Book").to_string();
    std::fs::write(world.path().join("schema.json"), schema).unwrap();
    let ended = world.run("col create schema.json").with(0);
    assert_eq!(ended.stderr, "note: collection `Book` is created\n");
    world.run("col create schema.json").with(7);
    world.run("col create schema.json --name Tome").with(0);
    world
        .run("col create schema.json --name Leaf --dry-run")
        .with(0);
    world.run("col rm Book --force").with(0);
    assert_eq!(world.store().collections(), ["Article", "Tenanted", "Tome"]);
}

#[test]
fn jobs_are_listed_shown_cancelled_and_pruned() {
    let world = World::with(230);
    let words = "col backup Article -o out --batch-size 40 --workers 1";
    let pages = ("GET", "/v1/objects?class=Article&limit=40");
    world.run_killed(words, 3, pages, Moment::Before);
    let job = world.unfinished().unwrap();
    let listed = world.run("jobs ls --unfinished").with(0).stdout;
    assert!(
        listed.contains(&job) && listed.contains("unfinished"),
        "{listed}"
    );
    let shown = named(
        &world,
        &world
            .run(&format!("jobs show {}", &job[..4]))
            .with(0)
            .stdout,
    );
    for line in ["status          unfinished\n", "server          URL\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    // Unfinished jobs are never pruned.
    world.run("jobs prune --older-than 0s").with(0);
    assert_eq!(world.unfinished(), Some(job.clone()));
    world.run(&format!("jobs cancel {job}")).with(0);
    assert_eq!((world.jobs().len(), world.hidden("out").len()), (0, 0));
    world.run(words).with(0);
    let done = world.jobs()[0].job.to_string();
    world.run(&format!("jobs cancel {done}")).with(2);
    let dry = world.run("jobs prune --older-than 0s --dry-run").with(0);
    assert_eq!((dry.stdout, world.jobs().len()), (format!("{done}\n"), 1));
    world.run("jobs prune --older-than 0s").with(0);
    assert_eq!((world.jobs().len(), world.archives("out").len()), (0, 1));
    for command in ["show", "resume", "cancel"] {
        world.run(&format!("jobs {command} ffffffff")).with(10);
    }
}

#[test]
fn cancelling_a_restore_leaves_its_collection_unless_told() {
    for (flags, left) in [("", 2), ("--remove-target --force", 1)] {
        let world = World::with(230);
        let archive = world.run("col backup Article -o out").with(0).path();
        let words = format!(
            "col restore {} --name Copy --batch-size 40",
            archive.display()
        );
        let ended = world.run_killed(&words, 3, ("POST", "/v1/batch/objects"), Moment::After);
        assert_eq!(ended.signal, Some(9));
        let job = world.unfinished().unwrap();
        world.run(&format!("jobs cancel {job} {flags}")).with(0);
        assert_eq!(
            (world.store().collections().len(), world.unfinished()),
            (left, None),
            "{flags}"
        );
    }
}

#[test]
fn cancelling_a_clear_in_its_gap_creates_the_collection_again() {
    let world = World::with(230);
    let definition = world.store().definition("Article");
    world.run_killed(
        "col clear Article --force",
        2,
        ("POST", "/v1/schema"),
        Moment::Before,
    );
    assert_eq!(world.store().collections(), [""; 0]);
    let job = world.unfinished().unwrap();
    world.run(&format!("jobs cancel {job}")).with(0);
    assert_eq!(
        (world.store().definition("Article"), world.unfinished()),
        (definition, None)
    );
}

#[test]
fn config_shows_each_setting_with_its_origin_and_no_secret() {
    let world = World::with(0);
    std::fs::write(world.path().join("key"), "secret-4711").unwrap();
    let mut command = world.command("config show --api-key-file key --header X-Token=hidden-0815");
    command
        .env("ELYSIACTL_TIMEOUT", "45s")
        .env_remove("ELYSIACTL_TRANSPORT");
    let ended = start(command).wait().with(0);
    let shown = named(&world, &ended.stdout);
    for (setting, origin) in [
        ("url ", "environment WEAVIATE_URL"),
        ("api-key-file ", "flag --api-key-file"),
        ("header X-Token", "flag --header"),
        ("timeout ", "ELYSIACTL_TIMEOUT"),
        ("transport ", "default"),
        ("state-dir ", "XDG_STATE_HOME"),
    ] {
        let row = shown.lines().find(|line| line.starts_with(setting));
        assert!(
            row.is_some_and(|row| row.contains(origin)),
            "{setting}: {shown}"
        );
    }
    assert!(
        !format!("{ended:?}").contains("4711") && !format!("{ended:?}").contains("0815"),
        "{shown}"
    );
}

#[test]
fn health_tells_version_nodes_and_readiness() {
    let world = World::with(0);
    assert_eq!(
        named(&world, &world.run("health").with(0).stdout),
        "server        URL\naddress from  environment WEAVIATE_URL\nversion       1.40.0\n\
         ready         yes\nnode node1    HEALTHY\n"
    );
}

#[test]
fn completions_and_manual_pages_are_printed_and_written() {
    let world = World::with(0);
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            world
                .run(&format!("completions {shell}"))
                .with(0)
                .stdout
                .contains("batch-size")
        );
    }
    world.run("completions tcl").with(2);
    assert!(
        world
            .run("man col backup")
            .with(0)
            .stdout
            .starts_with(".ie")
    );
    world.run("man --output-dir pages").with(0);
    assert!(
        world
            .archives("pages")
            .contains(&"elysiactl-col-restore.1".to_owned())
    );
    assert_eq!(world.sandbox.requests().len(), 0);
}

#[test]
fn the_sandbox_prints_its_address_serves_and_ends_at_a_signal() {
    let world = World::with(0);
    let running = world.start("sandbox --port 0 --objects 250 --dims 3");
    let said = running.prints();
    let url = said.lines().next().unwrap_or_default();
    assert!(url.starts_with("http://127.0.0.1:"), "{said}");
    let listed = world.run(&format!("col ls --url {url}")).with(0).stdout;
    assert!(
        listed.contains("Article") && listed.contains(" 250 "),
        "{listed}"
    );
    let archive = world
        .run(&format!("col backup Article -o out --url {url}"))
        .with(0)
        .path();
    world
        .run(&format!("col verify {}", archive.display()))
        .with(0);
    running.signal(rustix::process::Signal::TERM);
    running.wait().with(0);
}
