//! The environment below the flags: every flag that was not typed is looked up as `ELYSIACTL_<FLAG>`.
//!
//! The words are read once to learn which flags the command has and which were typed; then the values of the
//! environment are added as if typed, and the words are read again. A variable that conflicts with a typed flag
//! yields to it. So precedence is one rule, and tests need no real environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Refusal, refusal};
use crate::error::{Error, Kind};

/// The variables that a run sees. Shows their names only: some hold keys.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own; values that are not UTF-8 are not seen.
    pub fn of_process() -> Self {
        let readable = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Environment(std::env::vars_os().filter_map(readable).collect())
    }

    /// These.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Environment(variables.into_iter().map(owned).collect())
    }

    /// These without those that say where a server is and with which key: they are about one server, not about two.
    pub fn without_server(&self) -> Self {
        let is_about_server =
            |name: &str| name.starts_with("WEAVIATE_") || name.starts_with("WCD_");
        let kept = self.0.iter().filter(|(name, _)| !is_about_server(name));
        Environment(
            kept.map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
    }

    /// The value of `name`; an empty one counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The outcome of reading words and environment.
pub(super) struct Layered {
    pub(super) matches: ArgMatches,
    pub(super) variables: BTreeMap<String, String>,
}

pub(super) fn parse(
    command: &Command,
    words: Vec<OsString>,
    environment: &Environment,
) -> Result<Layered, Refusal> {
    let read = |words: &[OsString]| command.clone().try_get_matches_from(words);
    let typed = read(&words).map_err(|error| refusal(&error))?;
    let (added, variables) = additions(command, &typed, environment).map_err(Refusal::Usage)?;
    if added.is_empty() {
        return Ok(Layered {
            matches: typed,
            variables,
        });
    }
    // Behind `--` everything is a name.
    let end = words
        .iter()
        .position(|word| word == "--")
        .unwrap_or(words.len());
    let (flags, names) = words.split_at(end);
    let all: Vec<OsString> = [flags, &added, names].concat();
    let matches = read(&all).map_err(|error| match refusal(&error) {
        Refusal::Usage(error) => Refusal::Usage(with_variables(error, &variables)),
        text => text,
    })?;
    Ok(Layered { matches, variables })
}

fn with_variables(error: Error, variables: &BTreeMap<String, String>) -> Error {
    let named = variables
        .iter()
        .find(|(flag, _)| error.message().contains(&format!("--{flag}")));
    match named {
        Some((flag, variable)) => error.with_hint(format!(
            "--{flag} is set by `{variable}` in the environment"
        )),
        None => error,
    }
}

type Additions = (Vec<OsString>, BTreeMap<String, String>);

fn additions(
    command: &Command,
    typed: &ArgMatches,
    environment: &Environment,
) -> Result<Additions, Error> {
    let mut command = command.clone();
    command.build();
    let (leaf, matches) = leaf(&command, typed);
    let is_typed =
        |arg: &Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let (mut words, mut variables) = (Vec::new(), BTreeMap::new());
    for arg in leaf.get_arguments() {
        let Some((flag, variable, value)) = lookup(arg, environment) else {
            continue;
        };
        if is_typed(arg)
            || leaf
                .get_arguments()
                .any(|other| is_typed(other) && conflict(leaf, arg, other))
        {
            continue;
        }
        let added = words_for(arg, flag, &variable, value)?;
        if !added.is_empty() {
            variables.insert(flag.to_owned(), variable);
        }
        words.extend(added);
    }
    Ok((words, variables))
}

// A conflict is written down on either side.
fn conflict(command: &Command, one: &Arg, other: &Arg) -> bool {
    let names = |arg: &Arg, id: &clap::Id| {
        command
            .get_arg_conflicts_with(arg)
            .iter()
            .any(|found| found.get_id() == id)
    };
    names(one, other.get_id()) || names(other, one.get_id())
}

fn leaf<'a>(command: &'a Command, matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    let mut at = (command, matches);
    while let Some((name, below)) = at.1.subcommand() {
        match at.0.find_subcommand(name) {
            Some(command) => at = (command, below),
            None => break,
        }
    }
    at
}

fn lookup<'a>(arg: &'a Arg, environment: &'a Environment) -> Option<(&'a str, String, &'a str)> {
    let flag = arg.get_long()?;
    let variable = format!("ELYSIACTL_{}", flag.replace('-', "_").to_ascii_uppercase());
    let value = environment.get(&variable)?;
    Some((flag, variable, value))
}

fn words_for(arg: &Arg, flag: &str, variable: &str, value: &str) -> Result<Vec<OsString>, Error> {
    let wrong = |hint: &str| {
        Error::new(
            Kind::Usage,
            format!("`{value}` is no value for `{variable}`"),
        )
        .with_hint(hint)
    };
    let alone = OsString::from(format!("--{flag}"));
    Ok(match arg.get_action() {
        ArgAction::Set | ArgAction::Append => vec![format!("--{flag}={value}").into()],
        ArgAction::SetTrue if is_true(value) => vec![alone],
        ArgAction::SetTrue if is_false(value) => vec![],
        ArgAction::SetTrue => return Err(wrong("write 1 or 0")),
        ArgAction::Count => {
            let count: u8 = value.parse().map_err(|_| wrong("write a number"))?;
            vec![alone; usize::from(count)]
        }
        _ => vec![],
    })
}

pub(super) fn is_true(value: &str) -> bool {
    ["1", "true", "yes", "on"].contains(&value.to_ascii_lowercase().as_str())
}

fn is_false(value: &str) -> bool {
    ["0", "false", "no", "off"].contains(&value.to_ascii_lowercase().as_str())
}
