//! The cases that the product's owner named.

use crate::program::{Moment, World};

#[track_caller]
fn document(world: &World, path: &std::path::Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(world.path().join(path)).unwrap()).unwrap()
}

#[test]
fn schema_only_backup_has_the_definition_and_no_objects() {
    let world = World::with(25);
    let path = world
        .run("col backup Article -o out --schema-only")
        .with(0)
        .path();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with("Article_schema_") && name.ends_with(".json"),
        "{name}"
    );
    let archive = document(&world, &path);
    assert_eq!(archive["metadata"]["type"], "schema-only");
    assert_eq!(archive["metadata"]["object_count"], 25);
    assert_eq!(
        (
            &archive["object_count"],
            archive["objects"].as_array().unwrap().len()
        ),
        (&0.into(), 0)
    );
    assert_eq!(
        archive["schema"],
        world.store().definition("Article").unwrap()
    );
    world
        .run(&format!("col restore {} --name Empty", path.display()))
        .with(0);
    assert_eq!(world.store().count("Empty"), 0);
    let mut made = world.store().definition("Empty").unwrap();
    made["class"] = "Article".into();
    assert_eq!(made, archive["schema"]);
}

#[test]
fn small_and_large_data_are_backed_up_and_restored_whole() {
    for (objects, flags) in [
        (0, ""),
        (1, ""),
        (7, "-z"),
        (10_500, "--format jsonl"),
        (5_000, "-z"),
    ] {
        let world = World::with(objects);
        let ended = world
            .run(&format!("col backup Article -o out {flags} --verify"))
            .with(0);
        let path = ended.path();
        world
            .run(&format!("col restore {} --name Copy", path.display()))
            .with(0);
        world.assert_equal("Article", "Copy");
        assert_eq!(world.store().count("Copy"), objects);
    }
}

#[test]
fn progress_is_told_in_plain_lines_in_a_pipe() {
    let world = World::with(25);
    let ended = world.run("col backup Article -o out").with(0);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines[0], "started: backup of `Article`, 25 objects");
    assert!(
        lines[lines.len() - 1].starts_with("done: backup of `Article`: 25 objects, "),
        "{ended:#?}"
    );
    assert!(!ended.stderr.contains(['\r', '\u{1b}']), "{ended:#?}");
    assert_eq!(ended.stdout, format!("{}\n", ended.path().display()));
}

#[test]
fn a_restore_under_another_name_leaves_the_original_alone() {
    let world = World::with(25);
    let path = world.run("col backup Article").with(0).path();
    world
        .run(&format!("col restore {} --name Copy", path.display()))
        .with(0);
    world.assert_equal("Article", "Copy");
    world
        .run(&format!(
            "col restore {} --name-suffix _2026",
            path.display()
        ))
        .with(0);
    world.assert_equal("Article", "Article_2026");
}

#[test]
fn a_merge_into_an_existing_collection_keeps_what_is_only_there() {
    let world = World::with(25);
    let path = world.run("col backup Article").with(0).path();
    world.store().fill("Other", 25, 4, 1);
    let article = world.store().dump("Article");
    // Ten objects of the archive are lost, five others have come.
    world.run("col clear Article --force").with(0);
    world.store().fill("Article", 5, 4, 99);
    world
        .run(&format!("col restore {} --merge --force", path.display()))
        .with(0);
    let merged = world.store().dump("Article");
    assert_eq!(merged.len(), 30);
    assert!(article.iter().all(|object| merged.contains(object)));
}

#[test]
fn clear_keeps_the_schema() {
    for method in ["auto", "recreate", "by-id"] {
        let world = World::with(250);
        let definition = world.store().definition("Article");
        world
            .run(&format!(
                "col clear Article --force --keep-schema --method {method}"
            ))
            .with(0);
        assert_eq!(world.store().count("Article"), 0, "{method}");
        assert_eq!(world.store().definition("Article"), definition, "{method}");
    }
}

#[test]
fn compression_makes_the_archive_smaller_and_other_tools_read_it() {
    let world = World::with(250);
    let size = |flags: &str| {
        let path = world
            .run(&format!("col backup Article -o out{} {flags}", flags.len()))
            .with(0)
            .path();
        let path = world.path().join(path);
        (std::fs::metadata(&path).unwrap().len(), path)
    };
    let (plain, document) = size("");
    for (flags, ending, tool) in [
        ("-z", ".json.gz", Some("zcat")),
        ("--compression zstd", ".json.zst", Some("zstdcat")),
        ("--compression  lz4", ".json.lz4", None),
    ] {
        let (length, path) = size(flags);
        assert!(path.to_str().unwrap().ends_with(ending), "{path:?}");
        assert!(length < plain, "{flags}: {length} of {plain}");
        let unpacked = tool.map(|tool| std::process::Command::new(tool).arg(&path).output());
        if let Some(Ok(unpacked)) = unpacked {
            let inside: serde_json::Value = serde_json::from_slice(&unpacked.stdout).unwrap();
            let plain: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&document).unwrap()).unwrap();
            assert_eq!(inside["objects"], plain["objects"]);
        }
        world.run(&format!("col verify {}", path.display())).with(0);
    }
}

#[test]
fn a_run_goes_on_from_its_checkpoint_and_reads_no_page_again_that_was_committed() {
    let world = World::with(1000);
    let words = "col backup Article -o out --batch-size 100 --workers 1 --resume";
    let pages = ("GET", "/v1/objects?class=Article&limit=100");
    let ended = world.run_killed(words, 8, pages, Moment::Before);
    assert_eq!(ended.signal, Some(9));
    let before = world.sandbox.count(pages.0, pages.1);
    let ended = world.run(words).with(0);
    assert!(
        ended
            .stderr
            .starts_with("resumed: backup of `Article` goes on after "),
        "{ended:#?}"
    );
    // Ten pages and the empty one. When the eighth is asked for, two wait, one is being written, and one made durable.
    let again = world.sandbox.count(pages.0, pages.1) - before;
    assert!(again <= 8, "{again} pages were read again");
    world
        .run(&format!(
            "col restore {} --name Copy",
            ended.path().display()
        ))
        .with(0);
    world.assert_equal("Article", "Copy");
}

#[test]
fn a_full_cycle_of_1_000_objects_with_the_original_deleted() {
    let world = World::with(1000);
    let (objects, definition) = (
        world.store().dump("Article"),
        world.store().definition("Article"),
    );
    let path = world.run("col backup Article -o out -z").with(0).path();
    world.run("col rm Article --force").with(0);
    assert_eq!(world.store().collections(), [""; 0]);
    world
        .run(&format!("col restore {}", path.display()))
        .with(0);
    assert!(
        world.store().dump("Article") == objects,
        "not every object came back as it was"
    );
    assert_eq!(world.store().definition("Article"), definition);
}
