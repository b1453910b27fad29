//! `col diff` and `col verify --live` as typed: what is printed, and the exit codes.

use elysiactl::sandbox::{Fault, Rule, Settings, When};

use crate::program::World;

fn changed(world: &World) -> World {
    let other = World::like(&world.store().snapshot());
    other.store().fill("Article", 2, 4, 9);
    other
}

#[test]
fn a_collection_and_its_archive_are_identical_and_quiet_says_nothing() {
    let world = World::with(120);
    let path = world.run("col backup Article -o out").with(0).path();
    let words = format!("col diff Article {}", world.at(&path.display().to_string()));
    let ended = world.run(&words).with(0);
    assert!(ended.stdout.contains("identical"), "{ended:#?}");
    assert!(ended.stdout.contains("120"), "{ended:#?}");
    let quiet = world.run(&format!("{words} -q")).with(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    // Nothing was begun that could be resumed.
    assert_eq!(world.jobs().len(), 1);
}

#[test]
fn differences_are_json_lines_and_the_last_line_is_the_summary() {
    let world = World::with(120);
    let other = changed(&world);
    let words = format!(
        "col diff Article Article --target-url {} --limit 1 --json",
        other.sandbox.url()
    );
    let lines = world.run(&words).with(13).json();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("difference"), of("comparison")), (1, 1), "{lines:#?}");
    let found = lines.iter().find(|line| line["type"] == "difference");
    assert_eq!(found.unwrap()["what"], "object");
    assert_eq!(found.unwrap()["change"], "extra");
    let totals = lines.iter().find(|line| line["type"] == "comparison");
    assert_eq!(totals.unwrap()["extra"], 2);
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["type"], &last["exit_code"]),
        (&"summary".into(), &13.into())
    );
}

#[test]
fn people_read_what_differs_by_its_id() {
    let world = World::with(120);
    let other = changed(&world);
    let words = format!(
        "col diff Article Article --target-url {}",
        other.sandbox.url()
    );
    let ended = world.run(&words).with(13);
    let extra = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("only in other: "));
    assert_eq!(extra.count(), 2, "{ended:#?}");
    assert!(ended.stdout.contains("different"), "{ended:#?}");
}

fn locked(key: &str) -> World {
    World::new(Settings {
        api_key: Some(key.to_owned()),
        ..Settings::default()
    })
}

/// The key of one server is not the key of another, and is not sent there.
#[test]
fn each_end_has_the_key_of_its_own_server() {
    let (world, other) = (locked("of-the-first"), locked("of-the-other"));
    world.store().fill("Article", 40, 4, 1);
    other.store().restore(&world.store().snapshot());
    let url = other.sandbox.url();
    let folder = world.path().join("config/elysiactl");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("key"), "of-the-other").unwrap();
    let profile = format!("[profile.other]\nurl = \"{url}\"\napi_key_file = \"key\"\n");
    std::fs::write(folder.join("config.toml"), profile).unwrap();
    let key = folder.join("key").display().to_string();
    for (words, code) in [
        ("col diff Article other:Article".to_owned(), 0),
        ("col diff other:Article Article".to_owned(), 0),
        (
            format!("col diff Article Article --target-url {url} --target-api-key-file {key}"),
            0,
        ),
        (format!("col diff Article Article --target-url {url}"), 12),
    ] {
        let mut command = world.command(&words);
        let output = command.env("WEAVIATE_API_KEY", "of-the-first").output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(code), "{words}: {output:?}");
    }
}

#[test]
fn what_is_no_end_is_refused_and_what_is_not_there_is_not_found() {
    let world = World::with(10);
    for (words, code) in [
        ("col diff Article Nine", 10),
        ("col diff Article ./nine.json", 10),
        ("col diff Article nine.json", 2),
        ("col diff Article s3://bucket/a", 2),
        (
            "col diff Article ./a.json --target-url http://localhost:1",
            2,
        ),
        ("col diff Article nobody:Article", 2),
        ("col diff Article", 2),
    ] {
        world.run(words).with(code);
    }
}

#[test]
fn a_verification_against_the_live_collection_ends_with_0_or_13() {
    let world = World::with(120);
    let path = world
        .run("col backup Article -o out --verify")
        .with(0)
        .path();
    let path = world.at(&path.display().to_string());
    let ended = world.run(&format!("col verify {path} --live")).with(0);
    assert!(
        ended.stdout.contains("whole") && ended.stdout.contains("identical"),
        "{ended:#?}"
    );
    world
        .run(&format!("col restore {path} --name Copy --verify"))
        .with(0);
    world.run(&format!("col verify {path} --live Copy")).with(0);
    world.store().fill("Copy", 1, 4, 77);
    let ended = world
        .run(&format!("col verify {path} --live Copy"))
        .with(13);
    assert!(ended.stdout.contains("objects only in other"), "{ended:#?}");
    world
        .run(&format!("col verify {path} --live Nine"))
        .with(10);
}

#[test]
fn a_verification_whose_server_is_gone_gives_up_when_it_was_told_to() {
    let world = World::with(20);
    let path = world.run("col backup Article -o out").with(0).path();
    let path = world.at(&path.display().to_string());
    world.sandbox.faults().add(Rule::new(
        "GET",
        "/v1/objects",
        When::Nth(1..=u64::MAX),
        Fault::ResetBefore,
    ));
    let words = format!("col verify {path} --live --retry-for 1ms");
    world.run(&words).with(5);
    let ended = world
        .run(&format!("col verify {path} --retry-for 1ms"))
        .with(2);
    assert!(ended.stderr.contains("--live"), "{ended:#?}");
}
