//! Imports only go down the floors; sled, clap, indicatif and backoff are each named in one room; only `cli` prints.
//!
//! The sources are read as text: comments and literals are left out, and so are test modules, which may look anywhere.

mod source;

use std::path::{Path, PathBuf};

use source::{Source, Token};

/// The rooms with their floors, from the picture in `src/lib.rs`.
const FLOORS: [(&str, u8); 17] = [
    ("main", 7),
    ("cli", 6),
    ("commands", 5),
    ("sandbox", 5),
    ("engine", 4),
    ("archive", 4),
    ("catalog", 4),
    ("journal", 3),
    ("weaviate", 3),
    ("storage", 3),
    ("format", 3),
    ("pipe", 2),
    ("event", 2),
    ("job", 1),
    ("retry", 1),
    ("model", 0),
    ("error", 0),
];

/// Neighbours that may be named: a demo starts a sandbox, and a bad name is an error.
const SIDEWAYS: [(&str, &str); 2] = [("commands", "sandbox"), ("model", "error")];

/// Crates and the one place where each may be named.
const AT_HOME: [(&str, &str); 4] = [
    ("sled", "journal/sled_store.rs"),
    ("clap", "cli/"),
    ("indicatif", "cli/"),
    ("backoff", "retry.rs"),
];

const PRINTS: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];

fn floor(room: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, floor)| *floor)
}

/// What is wrong with one file, one line each; `path` is relative to `src`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let source = Source::read(path, text);
    let mut found = Vec::new();
    for (line, room) in source.rooms() {
        if let Some(why) = climbs(source.room(), &room) {
            found.push(format!("src/{path}:{line}: {why}"));
        }
    }
    for (at, Token { text, line }) in source.tokens().iter().enumerate() {
        if let Some((name, home)) = AT_HOME.iter().find(|(name, _)| name == text)
            && !path.starts_with(home)
            && !source.is_member(at)
        {
            found.push(format!(
                "src/{path}:{line}: {name} is named outside of {home}"
            ));
        }
        let is_print = PRINTS.contains(&text.as_str()) && source.is_macro(at);
        if is_print && !path.starts_with("cli/") && path != "main.rs" {
            found.push(format!("src/{path}:{line}: {text}! outside of cli"));
        }
        if text == "unsafe" {
            found.push(format!("src/{path}:{line}: unsafe"));
        }
    }
    found
}

fn climbs(from: &str, to: &str) -> Option<String> {
    if from == "lib" || from == to || SIDEWAYS.contains(&(from, to)) {
        return None;
    }
    match (floor(from), floor(to)) {
        (None, _) => Some(format!("{from} is on no floor")),
        (_, None) => Some(format!("{to} is on no floor")),
        (Some(here), Some(there)) if here > there => None,
        _ => Some(format!("{from} imports {to}")),
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_go_down_the_floors_and_each_crate_stays_in_its_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(
        files.len() > 50,
        "the sources are not where they are looked for"
    );
    let read: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap();
            (path.to_owned(), std::fs::read_to_string(file).unwrap())
        })
        .collect();
    let tests = source::test_modules(&read);
    let found: Vec<String> = read
        .iter()
        .filter(|(path, _)| !tests.iter().any(|module| path.starts_with(module)))
        .flat_map(|(path, text)| violations(path, text))
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_way_to_name_a_higher_room_is_found() {
    for (path, text) in [
        ("job/law.rs", "use crate::engine::Stop;"),
        ("job/law.rs", "use crate::{error::Error, engine::Stop};"),
        (
            "job/law.rs",
            "use crate::{\n  error::{Error, Kind},\n  engine::{self, Stop},\n};",
        ),
        ("job/law.rs", "use super::super::engine;"),
        ("job/law.rs", "use super::{lane::Lane, super::engine};"),
        ("job/law.rs", "use super::super::{error, engine};"),
        ("retry.rs", "use super::engine::Stop;"),
        ("retry.rs", "mod inner { use super::super::engine::Stop; }"),
        (
            "retry.rs",
            "fn wait() { let _ = crate::engine::Stop::new; }",
        ),
        ("retry.rs", "pub(in crate::engine) fn wait() {}"),
        ("retry.rs", "use crate::*;"),
        ("weaviate/client.rs", "use crate::format::Codec;"),
        ("archive/open.rs", "use crate::engine::Facts;"),
        ("engine/mod.rs", "use crate::archive::Archive;"),
        ("sandbox/server.rs", "use crate::commands::backup;"),
        ("pipe.rs", "use crate::event::Event;"),
        ("error.rs", "use crate::model::Key;"),
        ("attic.rs", "use crate::model::Key;"),
        ("commands/backup.rs", "use crate::attic::Key;"),
        (
            "main.rs",
            "use elysiactl::commands::attic; use elysiactl::attic;",
        ),
    ] {
        assert_eq!(violations(path, text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn what_goes_down_or_stays_in_its_room_is_let_through() {
    for (path, text) in [
        ("engine/mod.rs", "use crate::{error::Error, job::Job};"),
        (
            "engine/worker.rs",
            "use super::lanes::Shared; use super::stop;",
        ),
        ("engine/worker.rs", "use super::super::job::Job;"),
        ("engine/worker.rs", "use crate::engine::stop;"),
        ("commands/demo.rs", "use crate::sandbox::Sandbox;"),
        ("model.rs", "use crate::error::Error;"),
        ("main.rs", "fn main() { elysiactl::cli::main() }"),
        ("lib.rs", "pub mod engine; pub use crate::engine::Stop;"),
        (
            "retry.rs",
            "// crate::engine\n/* use crate::engine; /* and */ */",
        ),
        (
            "retry.rs",
            r##"const A: &str = "use crate::engine;"; const B: &str = r#"crate::engine""#; const C: char = '"';"##,
        ),
        (
            "retry.rs",
            "#[cfg(test)]\nmod tests {\n  use crate::engine::Stop;\n}\nfn after<'a>() {}",
        ),
    ] {
        assert_eq!(violations(path, text), [""; 0], "{path}: {text}");
    }
    let behind = "#[cfg(test)] mod tests { fn a() { let _ = '}'; } }\nuse crate::engine::Stop;";
    assert_eq!(
        violations("retry.rs", behind).len(),
        1,
        "what follows a test module"
    );
}

#[test]
fn crates_prints_and_unsafe_are_found_out_of_place() {
    for (path, text) in [
        ("engine/mod.rs", "use sled::Db;"),
        ("journal/mod.rs", "fn open(db: sled::Db) {}"),
        ("commands/mod.rs", "#[derive(clap::Args)] struct A;"),
        ("commands/mod.rs", "use indicatif::ProgressBar;"),
        ("engine/mod.rs", "use backoff::backoff::Backoff;"),
        ("engine/mod.rs", "fn tell() { eprintln!(\"x\") }"),
        ("engine/mod.rs", "fn tell() { unsafe { x() } }"),
    ] {
        assert!(!violations(path, text).is_empty(), "{path}: {text}");
    }
    for (path, text) in [
        ("journal/sled_store.rs", "use sled::Db;"),
        (
            "cli/args.rs",
            "#[derive(clap::Args)] struct A; fn a() { println!() }",
        ),
        ("main.rs", "fn main() { eprintln!() }"),
        ("retry.rs", "use backoff::backoff::Backoff;"),
        (
            "weaviate/sink.rs",
            "fn write() { writeln!(out); self.clap(); print(); }",
        ),
    ] {
        assert_eq!(violations(path, text), [""; 0], "{path}: {text}");
    }
}
