//! What can be typed, and what comes of it.

use std::time::Duration;

use super::backup::{BackupArgs, Compression, Format};
use super::collections::ClearMethod;
use super::globals::{Transport, When};
use super::restore::{OnConflict, RestoreArgs};
use super::*;
use crate::cli::output::Paint;
use crate::cli::render::render_error;

fn typed_with(words: &str, variables: &[(&str, &str)]) -> Result<Invocation, Refusal> {
    let words = std::iter::once("elysiactl")
        .chain(words.split_whitespace())
        .map(OsString::from);
    parse(words, &Environment::of(variables.iter().copied()))
}

fn typed(words: &str) -> Result<Invocation, Refusal> {
    typed_with(words, &[])
}

fn error_of(refused: Result<Invocation, Refusal>) -> String {
    match refused {
        Err(Refusal::Usage(error)) => {
            assert_eq!(error.kind(), Kind::Usage);
            render_error(&error, Paint::OFF)
        }
        other => panic!("{other:?}"),
    }
}

fn backup(words: &str) -> BackupArgs {
    match typed(words).unwrap().cli.command {
        Command::Col(ColCommand::Backup(args)) => *args,
        other => panic!("{other:?}"),
    }
}

fn restore(words: &str) -> RestoreArgs {
    match typed(words).unwrap().cli.command {
        Command::Col(ColCommand::Restore(args)) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_is_well_formed() {
    command().debug_assert();
}

#[test]
fn every_help_ends_with_an_example() {
    fn check(command: &mut clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        let help = command.render_long_help().to_string();
        let last = help.trim_end().rsplit("\n\n").next().unwrap();
        let mut lines = last.lines();
        assert_eq!(lines.next(), Some("Example:"), "{path}");
        let example = lines.next().unwrap().trim();
        assert!(example.starts_with("elysiactl "), "{path}: {example}");
        assert!(typed_example(example).is_ok(), "{path}: {example}");
        for below in command.get_subcommands_mut() {
            check(below, &path);
        }
    }
    // What a shell would take away is taken away.
    fn typed_example(example: &str) -> Result<(), Refusal> {
        let words = example.split(['|', '>']).next().unwrap_or_default();
        typed(words.trim_start_matches("elysiactl ")).map(|_| ())
    }
    check(&mut command(), "");
}

#[test]
fn the_owners_defaults_stand() {
    let args = backup("col backup Article");
    assert_eq!(
        (args.names.as_slice(), args.output.as_str()),
        (["Article".to_owned()].as_slice(), "./backups")
    );
    assert_eq!(
        (
            args.chosen_format().unwrap(),
            args.chosen_compression().unwrap()
        ),
        (Format::Json, Compression::None)
    );
    assert!(!args.schema_only && !args.compress && !args.dry_run && !args.resume.resume);
    assert_eq!(args.resume_within, Duration::from_secs(86400));
    let tuning = args.tuning.tuning();
    assert_eq!(
        (tuning.batch_size, tuning.workers, tuning.max_memory),
        (None, None, 256 << 20)
    );
    assert_eq!(args.tuning.patience(), Some(Duration::from_secs(900)));
    let cli = typed("health").unwrap().cli;
    assert_eq!(
        (cli.connection.transport, cli.output.color),
        (Transport::Auto, When::Auto)
    );
    assert_eq!((cli.connection.url, cli.connection.timeout), (None, None));
}

#[test]
fn the_owners_short_forms_stand() {
    let args = backup("col backup A B -o /srv/b -z --include-data --batch-size 500 --resume");
    assert_eq!((args.names.len(), args.output.as_str()), (2, "/srv/b"));
    assert!(args.compress && args.include_data && args.resume.resume);
    assert_eq!(args.tuning.tuning().batch_size, Some(500));
    let cli = typed("col ls -q -vv -P prod").unwrap().cli;
    assert_eq!(
        (
            cli.output.quiet,
            cli.output.verbose,
            cli.connection.profile.as_deref()
        ),
        (true, 2, Some("prod"))
    );
    let before = typed("-P prod col ls").unwrap().cli;
    assert_eq!(before.connection.profile.as_deref(), Some("prod"));
}

#[test]
fn compression_follows_the_format_unless_named() {
    let chosen = |words: &str| {
        backup(&format!("col backup A {words}"))
            .chosen_compression()
            .unwrap()
    };
    assert_eq!(chosen("-z"), Compression::Gzip);
    assert_eq!(chosen("--format jsonl"), Compression::Zstd);
    assert_eq!(chosen("--format jsonl -z"), Compression::Zstd);
    assert_eq!(chosen("--compression lz4"), Compression::Lz4);
    assert_eq!(chosen("-o s3://bucket/backups"), Compression::Zstd);
}

#[test]
fn an_object_store_takes_no_document() {
    assert_eq!(
        backup("col backup A -o s3://b").chosen_format().unwrap(),
        Format::Jsonl
    );
    assert_eq!(
        error_of(typed("col backup A -o s3://b --format json")),
        "error: a document cannot be written to `s3://b`\n  hint: leave --format out, or pass --format jsonl"
    );
}

#[test]
fn a_batch_of_nothing_is_a_usage_error_with_a_remedy() {
    for command in ["col backup A", "col restore f.json", "col clear A"] {
        assert_eq!(
            error_of(typed(&format!("{command} --batch-size 0"))),
            "error: invalid value `0` for `--batch-size <N>`: a batch holds at least one object\n  \
             hint: leave --batch-size out and it adapts to the objects"
        );
    }
}

#[test]
fn rates_of_both_sorts_may_be_given() {
    for words in ["--rate 500/s --rate 20MB/s", "--rate 500/s,20MB/s"] {
        let tuning = backup(&format!("col backup A {words}")).tuning.tuning();
        assert_eq!(
            (tuning.objects_per_second, tuning.bytes_per_second),
            (Some(500.0), Some(20e6))
        );
    }
    let tuning = &backup("col backup A --retry-for 0").tuning;
    assert_eq!(tuning.patience(), None);
}

#[test]
fn a_restore_renames_one_or_several() {
    let args = restore("col restore a.json --name New");
    assert_eq!(args.renames(), [(None, "New".to_owned())]);
    assert_eq!(args.on_conflict, OnConflict::Overwrite);
    let args = restore("col restore a.json b.json --name A=X --name B=Y --merge");
    assert_eq!(args.renames().len(), 2);
    assert!(args.merge);
    assert_eq!(
        error_of(typed("col restore a.json b.json --name New")),
        "error: one new name cannot be given to several collections\n  \
         hint: write --name OLD=NEW for each of them, or --name-suffix <S>"
    );
}

#[test]
fn clear_keeps_the_schema_unless_told() {
    let Command::Col(ColCommand::Clear(args)) = typed("col clear A --force --method by-id")
        .unwrap()
        .cli
        .command
    else {
        panic!("not a clear")
    };
    assert_eq!(
        (args.force, args.delete_schema, args.method),
        (true, false, ClearMethod::ById)
    );
    assert!(matches!(
        typed("col clear A --keep-schema --delete-schema"),
        Err(Refusal::Usage(_))
    ));
}

#[test]
fn what_is_not_served_yet_is_refused_by_name_and_not_in_help() {
    let cases = [
        ("col backup A --property p", "--property"),
        ("col backup A --where x", "--where"),
        ("col backup A --format parquet", "--format parquet"),
        ("col clear A --where x", "--where"),
        ("col restore f --skip-references", "--skip-references"),
    ];
    for (words, flag) in cases {
        assert_eq!(
            error_of(typed(words)),
            format!(
                "error: `{flag}` is not supported yet by this version\n  kept: nothing was touched\n  \
                 hint: leave it out"
            )
        );
    }
    let mut command = command();
    let backup = command
        .find_subcommand_mut("col")
        .unwrap()
        .find_subcommand_mut("backup")
        .unwrap();
    assert!(!backup.render_long_help().to_string().contains("--where"));
}

#[test]
fn the_environment_fills_in_what_was_not_typed() {
    let variables = [
        ("ELYSIACTL_WORKERS", "3"),
        ("ELYSIACTL_OUTPUT", "/from/env"),
        ("ELYSIACTL_RESUME", "1"),
        ("ELYSIACTL_COMPRESS", "no"),
        ("ELYSIACTL_VERBOSE", "2"),
        ("ELYSIACTL_URL", "http://env:8080"),
        ("ELYSIACTL_QUIET", ""),
    ];
    let invocation = typed_with("col backup A -o /typed", &variables).unwrap();
    let Command::Col(ColCommand::Backup(args)) = &invocation.cli.command else {
        panic!("not a backup")
    };
    assert_eq!(
        (args.output.as_str(), args.resume.resume, args.compress),
        ("/typed", true, false)
    );
    assert_eq!(args.tuning.tuning().workers, Some(3));
    assert_eq!(
        (invocation.cli.output.verbose, invocation.cli.output.quiet),
        (2, false)
    );
    assert_eq!(
        invocation.cli.connection.url.as_deref(),
        Some("http://env:8080")
    );
    let names: Vec<&str> = invocation.variables.keys().map(String::as_str).collect();
    assert_eq!(names, ["resume", "url", "verbose", "workers"]);
}

#[test]
fn a_typed_flag_beats_a_variable_that_conflicts_with_it() {
    let variables = [
        ("ELYSIACTL_SCHEMA_ONLY", "1"),
        ("ELYSIACTL_URL", "http://env:8080"),
    ];
    let invocation = typed_with(
        "--url http://typed:8080 col backup A --include-data",
        &variables,
    )
    .unwrap();
    assert!(invocation.variables.is_empty());
    assert_eq!(
        invocation.cli.connection.url.as_deref(),
        Some("http://typed:8080")
    );
}

#[test]
fn names_behind_two_hyphens_stay_names() {
    let invocation = typed_with("col backup -- A", &[("ELYSIACTL_WORKERS", "3")]).unwrap();
    let Command::Col(ColCommand::Backup(args)) = &invocation.cli.command else {
        panic!("not a backup")
    };
    assert_eq!(
        (args.names.as_slice(), args.tuning.tuning().workers),
        (["A".to_owned()].as_slice(), Some(3))
    );
}

#[test]
fn a_wrong_variable_is_named() {
    assert_eq!(
        error_of(typed_with("col backup A", &[("ELYSIACTL_WORKERS", "many")])),
        "error: invalid value `many` for `--workers <N>`: this is not a number of at least 1\n  \
         hint: --workers is set by `ELYSIACTL_WORKERS` in the environment"
    );
    assert_eq!(
        error_of(typed_with("col backup A", &[("ELYSIACTL_RESUME", "maybe")])),
        "error: `maybe` is no value for `ELYSIACTL_RESUME`\n  hint: write 1 or 0"
    );
}

#[test]
fn what_clap_says_is_said_in_our_order() {
    assert_eq!(
        error_of(typed("col backup A --btach-size 5")),
        "error: unexpected argument `--btach-size` found\n  hint: a similar argument exists: `--batch-size`"
    );
    assert_eq!(
        error_of(typed("col show")),
        "error: the following required arguments were not provided: <NAME>\n  \
         hint: `elysiactl col show --help` shows what can be typed"
    );
    assert_eq!(
        error_of(typed("col backup A --resume --restart")),
        "error: the argument `--resume` cannot be used with `--restart`\n  \
         hint: `elysiactl col backup --help` shows what can be typed"
    );
}

#[test]
fn help_is_an_answer_and_a_missing_command_is_not() {
    for (words, expected) in [
        ("--help", 0),
        ("--version", 0),
        ("col backup -h", 0),
        ("", 2),
        ("col", 2),
    ] {
        match typed(words) {
            Err(Refusal::Text { code, text }) => {
                assert_eq!((code.0, text.is_empty()), (expected, false), "{words}")
            }
            other => panic!("{words}: {other:?}"),
        }
    }
}

#[test]
fn a_wish_for_json_is_seen_in_words_that_are_wrong() {
    let wants = |words: &str, variables: &[(&str, &str)]| {
        let words: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        wants_json(&words, &Environment::of(variables.iter().copied()))
    };
    assert!(wants("elysiactl col backup --json --nonsense", &[]));
    assert!(!wants("elysiactl col backup -- --json", &[]));
    assert!(wants("elysiactl", &[("ELYSIACTL_JSON", "true")]));
    assert!(!wants("elysiactl", &[]));
}

#[test]
fn completions_and_manuals_are_made_from_the_flags() {
    for shell in [
        clap_complete::Shell::Bash,
        clap_complete::Shell::Zsh,
        clap_complete::Shell::Fish,
    ] {
        let script = String::from_utf8(pages::completions(shell)).unwrap();
        assert!(script.contains("batch-size"), "{shell}");
    }
    let page = String::from_utf8(pages::manual(&["col".into(), "backup".into()]).unwrap()).unwrap();
    assert!(
        page.contains("elysiactl\\-col\\-backup") && page.contains("batch\\-size"),
        "{page}"
    );
    assert_eq!(
        pages::manual(&["nonsense".into()]).unwrap_err().kind(),
        Kind::Usage
    );
    let folder = tempfile::tempdir().unwrap();
    let written = pages::write_manuals(folder.path()).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), written);
    assert!(folder.path().join("elysiactl-jobs-resume.1").exists());
}
