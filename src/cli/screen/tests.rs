//! Who hears what, and where.

use super::*;
use crate::cli::output::testing::{Captured, Hands, failing};
use crate::error::Kind;
use crate::job::{JobId, JobKind, Summary, Tally};

struct Run {
    stdout: Captured,
    stderr: Captured,
    screen: Screen,
}

fn run(settings: Settings) -> Run {
    let (stdout, stderr) = (Captured::default(), Captured::default());
    let streams = Streams {
        stdout: stdout.out(),
        stderr: stderr.out(),
        terminal: None,
        clock: Hands::default().clock(),
    };
    Run {
        screen: Screen::open(settings, streams).unwrap(),
        stdout,
        stderr,
    }
}

fn backup(run: &Run, exit_code: u8) -> ExitCode {
    let job = JobId::parse("7f3c9a1b").unwrap();
    let summary = Summary {
        exit_code,
        tally: Tally::default(),
        notes: vec![],
    };
    run.screen.event(&Event::Planned(&Plan::new("back up `A`")));
    run.screen.event(&Event::Started {
        job: &job,
        kind: JobKind::Backup,
        subject: "A",
        total: None,
        kept: Tally::default(),
        is_resumed: false,
    });
    run.screen.event(&Event::Warning("careful"));
    run.screen.event(&Event::Finished {
        job: &job,
        summary: &summary,
    });
    run.screen.end(&Ending::with_code(
        ExitCode(exit_code),
        &["./backups/A.json".to_owned()],
    ))
}

#[test]
fn the_path_is_alone_on_stdout_and_words_are_on_stderr() {
    let run = run(Settings::default());
    assert_eq!(backup(&run, 0), ExitCode::DONE);
    assert_eq!(run.stdout.text(), "./backups/A.json\n");
    assert_eq!(
        run.stderr.text(),
        "started: backup of `A`\nwarning: careful\ndone: backup of `A`: 0 objects, 0ms\n"
    );
}

#[test]
fn with_json_stdout_is_json_and_ends_with_the_summary() {
    let run = run(Settings {
        json: true,
        ..Settings::default()
    });
    backup(&run, 0);
    let stdout = run.stdout.text();
    assert!(
        stdout
            .lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
    let last = stdout.lines().last().unwrap();
    assert!(
        last.contains(r#""type":"summary""#) && last.contains(r#""archives":["./backups/A.json"]"#)
    );
    assert_eq!(
        run.stderr.text(),
        "warning: careful\ndone: backup of `A`: 0 objects, 0ms\n"
    );
}

#[test]
fn quiet_is_silent_only_if_the_run_ends_with_0() {
    let quiet = || {
        run(Settings {
            quiet: true,
            ..Settings::default()
        })
    };
    let good = quiet();
    backup(&good, 0);
    assert_eq!(
        (good.stdout.text(), good.stderr.text()),
        (String::new(), String::new())
    );
    let bad = quiet();
    backup(&bad, 3);
    assert_eq!(bad.stdout.text(), "./backups/A.json\n");
    assert!(
        bad.stderr
            .text()
            .starts_with("warning: careful\ndone, but not complete:")
    );
}

#[test]
fn a_dry_run_prints_its_plan_as_data() {
    for quiet in [false, true] {
        let run = run(Settings {
            prints_plan: true,
            quiet,
            verbosity: 1,
            ..Settings::default()
        });
        run.screen.event(&Event::Planned(&Plan::new("back up `A`")));
        run.screen.end(&Ending::with_code(ExitCode::DONE, &[]));
        assert_eq!(
            (run.stdout.text().as_str(), run.stderr.text().as_str()),
            ("back up `A`\n", "")
        );
    }
}

#[test]
fn a_failure_before_anything_began_is_told_in_the_same_manner() {
    let streams = |stdout: &Captured, stderr: &Captured| Streams {
        stdout: stdout.out(),
        stderr: stderr.out(),
        terminal: None,
        clock: Hands::default().clock(),
    };
    let (stdout, stderr) = (Captured::default(), Captured::default());
    let settings = Settings {
        json: true,
        log_file: Some("/nonexistent/x".into()),
        ..Settings::default()
    };
    let error = Error::new(Kind::Usage, "no");
    assert_eq!(
        end_early(settings, streams(&stdout, &stderr), &error),
        ExitCode::USAGE
    );
    assert!(
        stdout
            .text()
            .lines()
            .last()
            .unwrap()
            .contains(r#""exit_code":2"#)
    );
    assert_eq!(stderr.text(), "error: no\n");
}

#[test]
fn a_path_that_cannot_be_written_is_not_a_success() {
    let stderr = Captured::default();
    let streams = Streams {
        stdout: failing(std::io::ErrorKind::StorageFull),
        stderr: stderr.out(),
        terminal: None,
        clock: Hands::default().clock(),
    };
    let screen = Screen::open(Settings::default(), streams).unwrap();
    let archives = ["x".to_owned()];
    assert_eq!(
        screen.end(&Ending::with_code(ExitCode::DONE, &archives)),
        ExitCode::FAILED
    );
    assert_eq!(
        stderr.text(),
        "error: cannot write to standard output: no storage space\n  \
         hint: make room on the file system, then resume\n"
    );
}
