//! Comparing words: the parts that differ from run to run have names.

use super::{Ended, World};

/// The text with the address as URL, the folder as DIR, and job ids as JOB.
pub fn named(world: &World, text: &str) -> String {
    let mut text = text
        .replace(&world.sandbox.url(), "URL")
        .replace(&world.path().display().to_string(), "DIR");
    for job in world.jobs() {
        text = text.replace(job.job.as_str(), "JOB");
    }
    text
}

/// Runs what must fail with this code and these words, print nothing, and change nothing on the server.
#[track_caller]
pub fn fails(world: &World, words: &str, code: i32, expected: &str) -> Ended {
    let before = world.writes();
    let ended = world.run(words).with(code);
    assert_eq!(named(world, &ended.stderr), expected, "`{words}`");
    assert_eq!(ended.stdout, "", "`{words}`");
    assert_eq!(world.writes(), before, "`{words}` changed something");
    ended
}

/// The last words only: the error with what belongs to it.
#[track_caller]
pub fn fails_at_last(world: &World, words: &str, code: i32, expected: &str) -> Ended {
    let ended = world.run(words).with(code);
    let text = named(world, &ended.stderr);
    let error = text.find("error: ").map_or("", |at| &text[at..]);
    assert_eq!(error, expected, "`{words}`: {text}");
    ended
}

/// True if the text is the pattern, in which `*` stands for anything without a blank.
pub fn is_like(text: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return text == pattern;
    };
    let Some(rest) = text.strip_prefix(before) else {
        return false;
    };
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    (1..=end).any(|at| rest.is_char_boundary(at) && is_like(&rest[at..], after))
}
