//! What a person at a terminal sees.

use crate::program::{Pty, World, start};

/// What is shown on the terminal, and the data on standard output.
fn shown(world: &World, words: &str, variables: &[(&str, &str)]) -> (String, String) {
    let pty = Pty::open();
    let mut command = world.command(words);
    command
        .stderr(pty.end())
        .env("TERM", "xterm")
        .envs(variables.iter().copied());
    command.stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The command holds an end of the terminal, too.
    drop(command);
    let shown = pty.shows();
    let mut stdout = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut stdout).unwrap();
    assert!(child.wait().unwrap().success(), "{shown}");
    (shown, stdout)
}

#[test]
fn progress_on_a_terminal_is_a_bar_and_the_path_is_still_alone_on_stdout() {
    let world = World::with(2000);
    let words = "col backup Article -o out --batch-size 50 --rate 4000/s";
    let (shown, stdout) = shown(&world, words, &[]);
    assert!(
        shown.contains('\u{1b}') && shown.contains('\r'),
        "{shown:?}"
    );
    assert!(shown.contains('%') && shown.contains("/2,000"), "{shown:?}");
    assert!(shown.contains("done:"), "{shown:?}");
    assert!(
        stdout.starts_with("out/Article_full_") && stdout.lines().count() == 1,
        "{stdout}"
    );
}

#[test]
fn colours_are_for_terminals_and_no_color_is_honoured() {
    let world = World::with(20);
    // Two archives of one second would have one name.
    let words = "col backup Article -o";
    let is_coloured = |text: &str| text.contains("\u{1b}[1m") || text.contains("\u{1b}[3");
    let (plain, _) = shown(&world, &format!("{words} one"), &[("NO_COLOR", "1")]);
    assert!(!is_coloured(&plain), "{plain:?}");
    let (plain, _) = shown(&world, &format!("{words} two --color never"), &[]);
    assert!(!is_coloured(&plain), "{plain:?}");
    let piped = world.run("col show Nothing").with(10);
    assert!(!piped.stderr.contains('\u{1b}'), "{piped:#?}");
    let forced = world.run("col show Nothing --color always").with(10);
    assert!(forced.stderr.contains('\u{1b}'), "{forced:#?}");
    let mut command = world.command("col show Nothing --color always");
    command.env("NO_COLOR", "1");
    assert!(
        start(command).wait().stderr.contains('\u{1b}'),
        "what was typed wins"
    );
}
