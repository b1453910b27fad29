//! `--json`, `-q`, `--log-file`: what scripts rely on.

use serde_json::Value;

use crate::program::{Ended, World};

/// Every line parses and begins alike; the last one is the summary with the exit code.
#[track_caller]
fn contract(ended: &Ended) -> Vec<Value> {
    let lines = ended.json();
    assert!(!lines.is_empty(), "{ended:#?}");
    for line in &lines {
        assert_eq!(line["schema"], 1, "{line}");
        assert!(
            line["type"].is_string() && line["time"].is_string(),
            "{line}"
        );
        assert!(line.get("job").is_some(), "{line}");
    }
    let summary = lines.last().unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["exit_code"], ended.code.unwrap(), "{ended:#?}");
    assert_eq!(
        lines
            .iter()
            .filter(|line| line["type"] == "summary")
            .count(),
        1
    );
    lines
}

#[test]
fn with_json_every_command_prints_lines_and_ends_with_a_summary() {
    let world = World::with(230);
    let archive = world.run("col backup Article -o first").with(0).path();
    let archive = archive.display();
    let job = world.jobs()[0].job.to_string();
    for (words, code) in [
        ("col backup Article -o out".to_owned(), 0),
        (format!("col restore {archive} --name Copy"), 0),
        ("col clear Copy --force".to_owned(), 0),
        ("col rm Copy --force".to_owned(), 0),
        (format!("col create {archive} --name Made"), 0),
        (format!("col verify {archive}"), 0),
        ("col ls".to_owned(), 0),
        ("col show Article".to_owned(), 0),
        ("health".to_owned(), 0),
        ("config show".to_owned(), 0),
        ("jobs ls".to_owned(), 0),
        (format!("jobs show {job}"), 0),
        ("jobs prune --older-than 0s".to_owned(), 0),
        ("completions zsh".to_owned(), 0),
        ("man col backup".to_owned(), 0),
        ("col backup Nothing".to_owned(), 10),
        ("col clear Article".to_owned(), 15),
        ("col backup Article --batch-size 0".to_owned(), 2),
        ("col backup Article --nonsense".to_owned(), 2),
        ("col backup Article --where x".to_owned(), 2),
        (format!("col restore {archive}"), 7),
        ("col verify nothing.json".to_owned(), 10),
    ] {
        let ended = world.run(&format!("{words} --json"));
        assert_eq!(ended.code, Some(code), "`{words}`: {ended:#?}");
        let lines = contract(&ended);
        let error = lines.iter().find(|line| line["type"] == "error");
        assert_eq!(error.is_some(), code != 0, "`{words}`: {lines:#?}");
        if let Some(error) = error {
            assert_eq!(error["exit_code"], code);
            assert!(
                error["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            );
        }
    }
}

#[test]
fn with_json_the_archive_is_in_the_summary_and_rows_have_numbers() {
    let world = World::with(1230);
    let lines = contract(&world.run("col backup Article -o out --json").with(0));
    let archive = lines.last().unwrap()["archives"][0]
        .as_str()
        .unwrap()
        .to_owned();
    world.run(&format!("col verify {archive}")).with(0);
    let rows = contract(&world.run("col ls --json").with(0));
    assert_eq!(
        (
            &rows[0]["collection"],
            &rows[0]["objects"],
            &rows[0]["tenants"]
        ),
        (&"Article".into(), &1230.into(), &Value::Null)
    );
    let rows = contract(&world.run("jobs ls --json").with(0));
    assert_eq!(
        (
            &rows[0]["kind"],
            &rows[0]["status"],
            &rows[0]["done"],
            &rows[0]["of"],
            &rows[0]["exit"]
        ),
        (
            &"backup".into(),
            &"done".into(),
            &1230.into(),
            &1230.into(),
            &0.into()
        )
    );
    let shown = contract(&world.run("col show Article --json").with(0));
    assert_eq!(
        shown[0]["definition"],
        world.store().definition("Article").unwrap()
    );
    let health = contract(&world.run("health --json").with(0));
    let fields = health[0]["fields"].as_array().unwrap();
    assert!(
        fields
            .iter()
            .any(|field| field["name"] == "ready" && field["value"] == "yes")
    );
    let plan = contract(&world.run("col backup Article --dry-run --json").with(0));
    assert_eq!(plan[0]["type"], "plan");
}

#[test]
fn quiet_is_silent_if_the_run_is_done_and_tells_all_if_not() {
    let world = World::with(30);
    let archive = world.run("col backup Article -o first").with(0).path();
    for words in [
        "col backup Article -o out".to_owned(),
        format!("col restore {} --name Copy", archive.display()),
        "col clear Copy --force".to_owned(),
        format!("col verify {}", archive.display()),
        "jobs prune".to_owned(),
    ] {
        let ended = world.run(&format!("{words} -q")).with(0);
        let is_data = words.starts_with("col verify");
        assert_eq!(ended.stderr, "", "`{words}`");
        assert!(is_data || ended.stdout.is_empty(), "`{words}`: {ended:#?}");
    }
    let ended = world.run("col backup Nothing -q").with(10);
    assert!(
        ended
            .stderr
            .starts_with("error: there is no collection `Nothing`"),
        "{ended:#?}"
    );
}

#[test]
fn a_log_file_is_appended_to_and_holds_the_story() {
    let world = World::with(30);
    world
        .run("col backup Article -o out --log-file logs/run.log")
        .with(1);
    std::fs::create_dir(world.path().join("logs")).unwrap();
    world
        .run("col backup Article -o out --log-file logs/run.log")
        .with(0);
    world
        .run("col backup Nothing -o out --log-file logs/run.log")
        .with(10);
    let log = std::fs::read_to_string(world.path().join("logs/run.log")).unwrap();
    assert!(
        log.contains("Article") && log.contains("there is no collection `Nothing`"),
        "{log}"
    );
    let words = "col backup Article -o other --log-file logs/run.json --log-format json";
    world.run(words).with(0);
    let log = std::fs::read_to_string(world.path().join("logs/run.json")).unwrap();
    assert!(log.lines().count() > 1);
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}
