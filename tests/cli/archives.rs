//! Archives that are damaged, foreign or missing: refused before the server hears of them.

use std::path::PathBuf;

use crate::program::World;
use crate::program::words::{fails_at_last, named};

/// A world with a folder of one archive of each sort.
fn world() -> (World, Vec<PathBuf>) {
    let world = World::with(120);
    let flags = [
        "",
        "-z",
        "--compression zstd",
        "--compression lz4",
        "--format jsonl",
    ];
    let archives = flags.iter().enumerate().map(|(at, flags)| {
        world
            .run(&format!(
                "col backup Article -o out{at} --batch-size 30 {flags}"
            ))
            .with(0)
            .path()
    });
    let archives: Vec<PathBuf> = archives.map(|path| world.path().join(path)).collect();
    let documents = archives.iter().filter(|path| path.is_file()).count();
    assert_eq!((documents, archives.len()), (4, 5));
    (world, archives)
}

/// Both commands that read an archive refuse it, and the server is not changed.
#[track_caller]
fn is_refused(world: &World, archive: &str, codes: &[i32], what: &str) {
    let writes = world.writes();
    for words in [
        format!("col verify {archive}"),
        format!("col restore {archive} --name Copy"),
    ] {
        let ended = world.run(&words);
        assert!(
            ended.code.is_some_and(|code| codes.contains(&code)),
            "{what}: `{words}`: {ended:#?}"
        );
        assert!(ended.stderr.contains("error: "), "{what}: {ended:#?}");
        assert_eq!(ended.stdout, "", "{what}");
    }
    assert_eq!(world.writes(), writes, "{what} reached the server");
    assert_eq!(world.store().collections(), ["Article"], "{what}");
    assert_eq!(world.unfinished(), None, "{what}");
}

#[test]
fn a_truncated_archive_is_refused() {
    let (world, archives) = world();
    for archive in archives.iter().filter(|path| path.is_file()) {
        let bytes = std::fs::read(archive).unwrap();
        for length in [0, 1, 40, bytes.len() / 2, bytes.len() - 1] {
            let path = world.at("cut");
            std::fs::write(&path, &bytes[..length]).unwrap();
            let what = format!("{} cut at {length}", archive.display());
            is_refused(&world, &path, &[13, 14], &what);
        }
    }
}

#[test]
fn a_garbled_archive_is_refused() {
    let (world, archives) = world();
    for archive in archives.iter().filter(|path| path.is_file()) {
        let bytes = std::fs::read(archive).unwrap();
        for place in [bytes.len() / 3, bytes.len() / 2, bytes.len() - 20] {
            let mut garbled = bytes.clone();
            garbled[place] ^= 0x15;
            let path = world.at("garbled");
            std::fs::write(&path, garbled).unwrap();
            let ended = world.run(&format!("col verify {path}"));
            let what = format!("{} garbled at {place}: {ended:#?}", archive.display());
            assert!(matches!(ended.code, Some(13 | 14)), "{what}");
            // A restore finds a damaged frame when it comes to it, and never calls the result a success.
            let ended = world.run(&format!("col restore {path} --name Copy --restart --force"));
            assert!(matches!(ended.code, Some(13 | 14)), "{what}: {ended:#?}");
        }
    }
}

#[test]
fn a_folder_that_lacks_a_part_is_refused() {
    let (world, archives) = world();
    let folder = archives.iter().find(|path| path.is_dir()).unwrap();
    for name in [
        "manifest.json",
        "metadata.json",
        "objects/part-00000-00000001.jsonl.zst",
    ] {
        let path = folder.join(name);
        let Ok(bytes) = std::fs::read(&path) else {
            panic!("{name} is not in {:?}", walk(folder));
        };
        std::fs::remove_file(&path).unwrap();
        let ended = world.run(&format!("col verify {}", folder.display()));
        assert!(matches!(ended.code, Some(13 | 14)), "{name}: {ended:#?}");
        std::fs::write(&path, bytes).unwrap();
        world
            .run(&format!("col verify {}", folder.display()))
            .with(0);
    }
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(walk(&path)),
            false => all.push(path),
        }
    }
    all
}

#[test]
fn an_archive_of_a_version_to_come_is_refused() {
    let world = World::with(0);
    let path = world.at("future.json");
    let document =
        r#"{"metadata":{"version":"2.0","collection":"A"},"schema":{"class":"A"},"objects":[]}"#;
    std::fs::write(&path, document).unwrap();
    is_refused(&world, &path, &[14], "version 2.0");
}

#[test]
fn what_is_no_archive_and_what_is_not_there_are_told_apart() {
    let world = World::with(3);
    std::fs::write(world.path().join("notes.txt"), "not an archive").unwrap();
    std::fs::create_dir(world.path().join("empty")).unwrap();
    for command in ["col verify", "col restore"] {
        let cases = [
            (
                "notes.txt",
                14,
                "error: `notes.txt`: this is not an archive\n  \
                 hint: an archive is a JSON document, plain or compressed, or a folder with a `manifest.json`\n",
            ),
            (
                "empty",
                14,
                "error: `empty`: the folder is no archive: it has no `metadata.json`\n",
            ),
            ("none.json", 10, "error: there is no archive `none.json`\n"),
        ];
        for (archive, code, expected) in cases {
            fails_at_last(&world, &format!("{command} {archive}"), code, expected);
        }
    }
    assert_eq!(world.writes(), [""; 0]);
}

#[test]
fn a_document_of_another_hand_is_restored_with_a_warning() {
    let world = World::with(0);
    let document = r#"{
        "schema": {"class": "Note", "vectorizer": "none", "properties": [{"name": "text", "dataType": ["text"]}]},
        "objects": [
            {"id": "00000000-0000-4000-8000-000000000001", "properties": {"text": "one"}},
            {"id": "00000000-0000-4000-8000-000000000002", "properties": {"text": "two"}}
        ],
        "metadata": {"version": "1.0", "collection": "Note", "timestamp": "2026-02-01T10:30:00"}
    }"#;
    std::fs::write(world.path().join("note.json"), document).unwrap();
    let ended = world.run("col restore note.json").with(0);
    assert!(
        named(&world, &ended.stderr).contains("warning: "),
        "{ended:#?}"
    );
    assert_eq!(world.store().count("Note"), 2);
}

#[test]
fn an_edited_document_is_refused_until_it_is_sealed_anew() {
    let world = World::with(20);
    let archive = world
        .path()
        .join(world.run("col backup Article -o out").with(0).path());
    let text = std::fs::read_to_string(&archive).unwrap();
    std::fs::write(&archive, text.replacen("\"views\":", "\"views\": ", 1)).unwrap();
    let path = archive.display();
    is_refused(&world, &path.to_string(), &[13], "edited");
    let ended = world.run(&format!("col verify {path}")).with(13);
    assert_eq!(
        named(&world, &ended.stderr),
        format!(
            "error: `{}`: the seal does not fit: the archive is damaged or was edited\n  \
             hint: put back a good copy; if you edited it on purpose, `elysiactl col verify --reseal` seals it anew\n",
            named(&world, &path.to_string())
        )
    );
    world.run(&format!("col verify {path} --reseal")).with(0);
    world
        .run(&format!("col restore {path} --name Copy"))
        .with(0);
    world.assert_equal("Article", "Copy");
}

#[test]
fn what_was_edited_into_an_archive_is_looked_for_although_it_was_sealed_anew() {
    let world = World::with(20);
    let archive = world
        .path()
        .join(world.run("col backup Article -o out").with(0).path());
    let text = std::fs::read_to_string(&archive).unwrap();
    std::fs::write(&archive, text.replacen("\"views\":", "\"sights\":", 1)).unwrap();
    let path = archive.display();
    world.run(&format!("col verify {path} --reseal")).with(0);
    let writes = world.writes();
    let ended = world
        .run(&format!("col restore {path} --name Copy"))
        .with(14);
    assert!(ended.stderr.contains("`sights`"), "{ended:#?}");
    assert_eq!(world.writes(), writes);
}
