//! Flags that are promised and not served yet: hidden from help, and refused by name when typed.
//!
//! A flag that is taken and ignored would call a partial result a success. Whoever serves one takes it off the list.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::error::{Error, Kind, Result};

/// By command: names of arguments as the structs spell them.
const FLAGS: [(&[&str], &[&str]); 3] = [
    (
        &["col", "backup"],
        &["with_references", "filter", "properties", "keep_last"],
    ),
    (
        &["col", "restore"],
        &["on_conflict", "skip_references", "from", "latest"],
    ),
    (&["col", "clear"], &["filter"]),
];

/// By command: an argument and a value of it.
const VALUES: [(&[&str], &str, &str); 1] = [(&["col", "backup"], "format", "parquet")];

pub(super) fn hide(command: Command) -> Command {
    FLAGS.iter().fold(command, |command, (path, names)| {
        hide_in(command, path, names)
    })
}

fn hide_in(command: Command, path: &[&str], names: &[&str]) -> Command {
    match path {
        [] => names.iter().fold(command, |command, name| {
            command.mut_arg(*name, |arg| arg.hide(true))
        }),
        [first, rest @ ..] => command.mut_subcommand(*first, |below| hide_in(below, rest, names)),
    }
}

pub(super) fn refuse(matches: &ArgMatches) -> Result<()> {
    for (path, names) in FLAGS {
        let Some(matches) = at(matches, path) else {
            continue;
        };
        let is_typed = |name: &&&str| matches.value_source(name) == Some(ValueSource::CommandLine);
        if let Some(name) = names.iter().find(is_typed) {
            return Err(unserved(&flag(path, name)));
        }
    }
    for (path, name, value) in VALUES {
        let is_chosen = at(matches, path)
            .and_then(|matches| matches.get_raw(name))
            .is_some_and(|mut values| values.any(|chosen| chosen == value));
        if is_chosen {
            return Err(unserved(&format!("{} {value}", flag(path, name))));
        }
    }
    Ok(())
}

fn at<'a>(matches: &'a ArgMatches, path: &[&str]) -> Option<&'a ArgMatches> {
    path.iter()
        .try_fold(matches, |matches, name| matches.subcommand_matches(name))
}

// The flag as it is typed: `filter` is `--where`.
fn flag(path: &[&str], name: &str) -> String {
    let command = super::command();
    let leaf = path
        .iter()
        .try_fold(&command, |command, name| command.find_subcommand(name));
    let long = leaf
        .and_then(|leaf| leaf.get_arguments().find(|arg| arg.get_id() == name))
        .and_then(|arg| arg.get_long());
    format!("--{}", long.unwrap_or(name))
}

fn unserved(flag: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("`{flag}` is not supported yet by this version"),
    )
    .with_kept("nothing was touched")
    .with_hint("leave it out")
}
