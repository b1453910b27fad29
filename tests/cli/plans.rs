//! Dry runs: the whole plan on standard output, and nothing touched: no job, no file, no request that could change anything.

use elysiactl::sandbox::{Fault, Rule, When};

use crate::program::World;
use crate::program::words::named;

/// Runs it, requires that nothing was touched, and returns the plan.
#[track_caller]
fn plan(world: &World, words: &str) -> String {
    let (writes, jobs) = (world.writes(), world.jobs().len());
    let names = || {
        let entries = std::fs::read_dir(world.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let ended = world.run(&format!("{words} --dry-run")).with(0);
    assert_eq!(ended.stderr, "", "{ended:#?}");
    assert_eq!(world.writes(), writes, "`{words}` changed something");
    assert_eq!(
        (names(), world.jobs().len()),
        (before, jobs),
        "`{words}` left something"
    );
    named(world, &ended.stdout)
}

#[test]
fn the_dry_run_of_a_backup_prints_the_plan_and_touches_nothing() {
    let world = World::with(1250);
    assert_eq!(
        plan(&world, "col backup Article -o /backups --schema-only -z"),
        "back up collection `Article`\n  \
         exists              yes\n  \
         server              URL (Weaviate 1.40.0)\n  \
         address from        environment WEAVIATE_URL\n  \
         type                schema-only\n  \
         output              /backups\n  \
         format              json\n  \
         compression         gzip\n  \
         objects             1,250\n  \
         properties          6\n  \
         vectors             1\n  \
         replication factor  1\n  \
         tenants             none\n  \
         protocol            REST\n  \
         size estimate       the definition alone\n  \
         requests            about 13\n"
    );
    assert!(plan(&world, "col backup Article").contains("type                full\n"));
    let several = {
        world.store().fill("Book", 2, 4, 1);
        plan(&world, "col backup --all")
    };
    assert!(
        several.contains("`Article`") && several.contains("`Book`"),
        "{several}"
    );
}

#[test]
fn the_dry_run_of_a_restore_prints_the_plan_and_touches_nothing() {
    let world = World::with(1250);
    let archive = world.run("col backup Article -o out").with(0).path();
    let archive = archive.display();
    assert_eq!(
        plan(
            &world,
            &format!(
                "col restore {archive} --name Copy --url {}",
                world.sandbox.url()
            )
        ),
        format!(
            "restore `{archive}` as collection `Copy`\n  \
             server              URL (Weaviate 1.40.0)\n  \
             address from        flag --url\n  \
             exists              no\n  \
             archive of          `Article`, Weaviate 1.40.0\n  \
             type                full\n  \
             objects             1,250\n  \
             properties          6\n  \
             vectors             1\n  \
             replication factor  1\n  \
             tenants             none\n  \
             conflicts           none: the collection is new\n  \
             protocol            REST\n  \
             size estimate       about 710 kB, from a sample of 100\n  \
             requests            about 12\n"
        )
    );
    let merge = plan(&world, &format!("col restore {archive} --merge"));
    assert!(merge.contains("exists              yes\n"), "{merge}");
    assert!(
        merge.contains("existing objects of the same id are overwritten"),
        "{merge}"
    );
    let empty = plan(
        &world,
        &format!("col restore {archive} --name Copy --skip-data"),
    );
    assert!(empty.contains("objects             0\n"), "{empty}");
}

#[test]
fn the_dry_run_of_a_clear_prints_the_plan_with_the_method_and_touches_nothing() {
    let world = World::with(1250);
    assert_eq!(
        plan(&world, "col clear Article"),
        "clear collection `Article`\n  \
         exists              yes\n  \
         server              URL (Weaviate 1.40.0)\n  \
         address from        environment WEAVIATE_URL\n  \
         type                objects; the definition stays\n  \
         objects             1,250\n  \
         properties          6\n  \
         vectors             1\n  \
         replication factor  1\n  \
         tenants             none\n  \
         protocol            REST\n  \
         method              recreate\n  \
         why                 exact, and about 100 times faster than deleting objects\n  \
         gap                 the collection does not exist for about 0.2 s\n  \
         size estimate       about 710 kB, from a sample of 100\n  \
         requests            about 12\n"
    );
    let by_id = plan(&world, "col clear Article --method by-id");
    assert!(
        by_id.contains("method              by-id\n  why                 asked for\n"),
        "{by_id}"
    );
    assert!(!by_id.contains("gap"), "{by_id}");
    let gone = plan(&world, "col clear Article --delete-schema");
    assert!(
        gone.contains("type                objects and definition\n"),
        "{gone}"
    );
    let removal = plan(&world, "col rm Article");
    assert!(
        removal.starts_with("remove collection `Article`\n"),
        "{removal}"
    );
    assert_eq!(world.store().count("Article"), 1250);
}

/// The number of bytes that a plan names.
fn size_in(plan: &str) -> f64 {
    let size = plan.split_once("size estimate       about ").expect(plan).1;
    let mut words = size.split([' ', ',']);
    let number: f64 = words.next().unwrap().parse().unwrap();
    let unit = ["B", "kB", "MB"]
        .iter()
        .position(|unit| size.contains(&format!(" {unit},")));
    number * 1000_f64.powi(unit.expect(size) as i32)
}

#[test]
fn the_size_that_a_dry_run_names_is_about_that_of_the_archive() {
    let world = World::with(1250);
    for flags in ["", "-z", "--format jsonl", "--skip-vectors"] {
        let words = format!("col backup Article -o out {flags} --batch-size 500");
        let estimated = size_in(&plan(&world, &words));
        let archive = world.run(&words).with(0).path();
        let found = world.size(&archive) as f64;
        assert!(
            (estimated / found - 1.0).abs() < 0.2,
            "{flags}: {estimated}, {found}"
        );
        std::fs::remove_dir_all(world.at("out")).unwrap();
    }
}

#[test]
fn a_dry_run_says_so_if_the_sample_cannot_be_read() {
    let world = World::with(3);
    world.sandbox.faults().add(Rule::new(
        "GET",
        "/v1/objects",
        When::Always,
        Fault::Status {
            status: 500,
            retry_after: None,
            body: String::new(),
        },
    ));
    for words in ["col backup Article", "col clear Article"] {
        let plan = plan(&world, words);
        let line = "size estimate       unknown: a sample could not be read\n";
        assert!(plan.ends_with(line), "{plan}");
    }
}

#[test]
fn a_dry_run_with_json_is_a_plan_and_a_summary() {
    let world = World::with(3);
    for words in ["col backup Article", "col clear Article"] {
        let ended = world.run(&format!("{words} --dry-run --json")).with(0);
        let types: Vec<_> = ended
            .json()
            .iter()
            .map(|line| line["type"].clone())
            .collect();
        assert_eq!(types, ["plan", "summary"], "{ended:#?}");
    }
    assert_eq!(world.writes(), [""; 0]);
}
