//! Questions before something is destroyed: the name typed in full, or nothing happens.

use rustix::process::Signal;

use crate::program::words::{fails, named};
use crate::program::{Ended, Pty, Running, World, start};

/// Starts it with a terminal on standard input.
fn at_terminal(world: &World, words: &str, pty: &Pty) -> Running {
    let mut command = world.command(words);
    command.stdin(pty.end());
    start(command)
}

/// Types an answer when the question is asked.
#[track_caller]
pub fn answered(world: &World, words: &str, answer: &str) -> Ended {
    let mut pty = Pty::open();
    let running = at_terminal(world, words, &pty);
    running.says("to go on: ");
    pty.types(answer);
    running.wait()
}

#[test]
fn the_plan_is_shown_and_the_name_in_full_is_a_yes() {
    let world = World::with(1250);
    let ended = answered(&world, "col clear Article", "Article\n").with(0);
    let shown = named(&world, &ended.stderr);
    let question = "Type the collection's name, Article, to go on: ";
    let (plan, _) = shown.split_once(question).unwrap();
    for line in [
        "clear collection `Article`\n",
        "  server              URL (Weaviate 1.40.0)\n",
        "  address from        environment WEAVIATE_URL\n",
        "  objects             1,250\n",
        "  method              recreate\n",
    ] {
        assert!(plan.contains(line), "{line}: {plan}");
    }
    assert_eq!(world.store().count("Article"), 0);
    answered(&world, "col rm Article", "Article\n").with(0);
    assert_eq!(world.store().collections(), [""; 0]);
}

#[test]
fn any_other_answer_is_a_no_and_nothing_is_touched() {
    let world = World::with(12);
    for answer in ["yes\n", "y\n", "article\n", "Articl\n", "\n", "\u{4}"] {
        for words in [
            "col clear Article",
            "col rm Article",
            "col clear Article --delete-schema",
        ] {
            let ended = answered(&world, words, answer).with(15);
            let why = match answer {
                "\u{4}" => "the input ended without an answer",
                _ => "the answer was not `Article`",
            };
            let expected =
                format!("error: not confirmed: {why}\n  kept: nothing was touched\n  hint: ");
            assert!(ended.stderr.contains(&expected), "{answer:?}: {ended:#?}");
        }
    }
    assert_eq!(
        (world.writes(), world.store().count("Article")),
        (vec![], 12)
    );
    assert_eq!(world.jobs().len(), 0);
}

#[test]
fn without_a_terminal_or_with_no_input_the_answer_is_no() {
    let world = World::with(12);
    let hint = "  kept: nothing was touched\n  hint: pass --force to answer in advance\n";
    for words in [
        "col clear Article",
        "col rm Article",
        "col clear Article --method by-id",
    ] {
        let expected = format!("error: not confirmed: standard input is not a terminal\n{hint}");
        fails(&world, words, 15, &expected);
        let pty = Pty::open();
        let ended = at_terminal(&world, &format!("{words} --no-input"), &pty)
            .wait()
            .with(15);
        assert_eq!(
            ended.stderr,
            format!("error: not confirmed: --no-input forbids the question\n{hint}")
        );
    }
    let mut piped = world.command("col clear Article");
    piped.stdin(std::fs::File::open("/proc/self/comm").unwrap());
    start(piped).wait().with(15);
    assert_eq!(world.store().count("Article"), 12);
}

#[test]
fn a_merge_onto_data_asks_and_onto_nothing_does_not() {
    let world = World::with(12);
    let archive = world.run("col backup Article -o out").with(0).path();
    let merge = format!("col restore {} --merge", archive.display());
    answered(&world, &merge, "no\n").with(15);
    assert_eq!(world.writes(), [""; 0]);
    answered(&world, &merge, "Article\n").with(0);
    world.run("col clear Article --force").with(0);
    world.run(&merge).with(0);
    assert_eq!(world.store().count("Article"), 12);
}

#[test]
fn a_signal_at_the_question_is_a_no() {
    for signal in [Signal::INT, Signal::TERM] {
        let world = World::with(12);
        let pty = Pty::open();
        let running = at_terminal(&world, "col clear Article", &pty);
        running.says("to go on: ");
        running.signal(signal);
        let ended = running.wait().with(15);
        assert!(
            ended
                .stderr
                .contains("not confirmed: stopped at the question\n  kept: nothing was touched\n"),
            "{ended:#?}"
        );
        assert_eq!(
            (world.writes(), world.store().count("Article")),
            (vec![], 12)
        );
    }
}

#[test]
fn a_resumed_clear_does_not_ask_again() {
    let world = World::with(230);
    let words = "col clear Article --method by-id --batch-size 40";
    let kind = ("DELETE", "/v1/batch/objects");
    let ended = world.run_killed(
        &format!("{words} --force"),
        3,
        kind,
        crate::program::Moment::After,
    );
    assert_eq!(ended.signal, Some(9));
    world.run(&format!("{words} --resume")).with(0);
    assert_eq!(world.store().count("Article"), 0);
}
