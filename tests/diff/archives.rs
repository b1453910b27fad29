//! Archives as ends: of every layout, edited, and written by others.

use elysiactl::archive::Format;
use elysiactl::commands::{Change, Difference, reseal};
use elysiactl::error::Kind;
use elysiactl::format::Codec;
use elysiactl::sandbox::Activity;
use serde_json::{Value, json};

use crate::bench::*;

const LAYOUTS: [(Format, Codec); 3] = [
    (Format::Json, Codec::None),
    (Format::Json, Codec::Gzip),
    (Format::Jsonl, Codec::Zstd),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_every_layout_equals_its_collection_and_every_other_archive_of_it() {
    let objects: Vec<Value> = (0..1_500).map(object).collect();
    let bench = Bench::of(&objects).await;
    let mut paths = Vec::new();
    for (format, codec) in LAYOUTS {
        paths.push(bench.back_up("One", format, codec).await);
    }
    for path in &paths {
        let found = bench.diff(archive(path), bench.live("One")).await.unwrap();
        assert_identical(&found, 1_500);
        // Another name, another server: still the same objects.
        let found = bench.diff(bench.live("Two"), archive(path)).await.unwrap();
        assert_identical(&found, 1_500);
    }
    for other in &paths[1..] {
        let found = bench
            .diff(archive(&paths[0]), archive(other))
            .await
            .unwrap();
        assert_identical(&found, 1_500);
    }
    bench.delete("One", 1_499).await;
    bench.delete("One", 0).await;
    let found = bench
        .diff(archive(&paths[2]), bench.live("One"))
        .await
        .unwrap();
    assert_eq!((found.counts.missing, found.counts.differences()), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_tenants_equals_its_collection_and_the_state_of_one_does_not() {
    let bench = Bench::with_tenants().await;
    bench.store().add_tenant("One", "asleep", Activity::Cold);
    for (format, codec) in LAYOUTS {
        let path = bench.back_up("One", format, codec).await;
        let found = bench.diff(archive(&path), archive(&path)).await.unwrap();
        assert_eq!(
            (found.counts.differences(), found.exit_code()),
            (0, 3),
            "{found:?}"
        );
        // The tenant that slept then is left out, so it need not be awake now.
        let found = bench.diff(archive(&path), bench.live("One")).await.unwrap();
        assert_eq!(
            (found.counts.differences(), found.one.objects),
            (0, 40),
            "{found:?}"
        );
        let found = bench.diff(archive(&path), bench.live("Two")).await.unwrap();
        assert!(matches!(only(&found), Difference::Tenant { name, .. } if name == "asleep"));
    }
}

#[tokio::test]
async fn an_alias_that_is_gone_is_found_and_a_collection_of_another_name_has_its_own() {
    let bench = Bench::alike().await;
    bench.store().add_alias("Other", "One");
    let path = bench.back_up("One", Format::Json, Codec::None).await;
    assert_identical(&bench.compare().await, 25);
    bench.store().add_alias("Other", "Two");
    let found = bench.diff(archive(&path), bench.live("One")).await.unwrap();
    let expected = Difference::Alias {
        name: "Other".into(),
        change: Change::Missing,
    };
    assert_eq!(only(&found), &expected);
}

#[tokio::test]
async fn a_document_of_another_program_in_any_order_is_compared_object_by_object() {
    let bench = Bench::alike().await;
    let schema = bench.store().definition("One").unwrap();
    let mut objects: Vec<Value> = (0..25).rev().map(object).collect();
    objects.swap(3, 19);
    let path = bench.folder.path().join("foreign.json");
    let write = |objects: &[Value]| {
        let document = json!({"schema": schema, "objects": objects});
        std::fs::write(&path, format!("{document:#}")).unwrap();
    };
    write(&objects);
    let found = bench.diff(archive(&path), bench.live("One")).await.unwrap();
    assert_identical(&found, 25);
    let found = bench.diff(bench.live("Two"), archive(&path)).await.unwrap();
    assert_identical(&found, 25);

    objects[7]["class"] = json!("Other");
    write(&objects);
    let found = bench.diff(archive(&path), bench.live("One")).await.unwrap();
    assert!(found.left_out[0].contains("1 of its objects"), "{found:?}");
    assert_eq!((found.counts.extra, found.counts.differences()), (1, 1));
    objects[7]["class"] = json!("One");

    objects[4]["properties"]["views"] = json!(1_000);
    let gone = objects.remove(9);
    objects.push(objects[0].clone());
    write(&objects);
    let found = bench.diff(archive(&path), bench.live("One")).await.unwrap();
    let counts = &found.counts;
    assert_eq!(
        (counts.different, counts.extra, counts.repeated),
        (1, 1, 1),
        "{found:?}"
    );
    assert_eq!(counts.differences(), 3);
    let is_gone = |difference: &Difference| {
        matches!(difference, Difference::Object { key, change: Change::Extra, .. }
            if gone["id"] == key.id.to_string())
    };
    assert!(found.shown.iter().any(is_gone), "{found:?}");
}

/// A document that was edited and sealed anew is one of ours whose table of contents says nothing about order.
#[tokio::test]
async fn an_edited_document_whose_frames_are_not_in_order_is_sorted_and_compared() {
    let bench = Bench::of(&(0..1_200).map(object).collect::<Vec<_>>()).await;
    let path = bench.back_up("One", Format::Json, Codec::None).await;
    let mut document: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let objects = document["objects"].as_array_mut().unwrap();
    // Within one frame, so that the ends of its span stay what they are.
    objects.swap(300, 700);
    std::fs::write(&path, format!("{document:#}")).unwrap();
    reseal(&path).await.unwrap();
    let found = bench.diff(archive(&path), bench.live("One")).await.unwrap();
    assert_identical(&found, 1_200);

    document["objects"].as_array_mut().unwrap().swap(0, 1_199);
    std::fs::write(&path, format!("{document:#}")).unwrap();
    reseal(&path).await.unwrap();
    let found = bench.diff(bench.live("One"), archive(&path)).await.unwrap();
    assert_identical(&found, 1_200);
    // What does not fit the memory was in a file without a name.
    let jobs = bench.folder.path().join("state/jobs");
    let names = std::fs::read_dir(jobs).unwrap();
    let scratch = names.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("scratch")
    });
    assert_eq!(scratch.count(), 0);
}

#[tokio::test]
async fn an_archive_without_vectors_or_objects_shows_nothing_to_be_identical() {
    let bench = Bench::alike().await;
    let folder = bench.folder.path().join("out");
    let mut request =
        crate::common::backup_request(&crate::common::rest(&bench.sandbox), "One", &folder);
    request.with_vectors = false;
    let saved = elysiactl::commands::backup(&bench.session(), &request)
        .await
        .unwrap();
    let path = saved.archive.unwrap();
    let found = bench.diff(archive(&path), bench.live("One")).await.unwrap();
    assert_eq!(
        (found.counts.differences(), found.exit_code()),
        (0, 3),
        "{found:?}"
    );
    assert_eq!((found.one.objects, found.two.objects), (25, 25));
    request.with_data = false;
    let saved = elysiactl::commands::backup(&bench.session(), &request)
        .await
        .unwrap();
    let found = bench
        .diff(archive(&saved.archive.unwrap()), bench.live("One"))
        .await
        .unwrap();
    assert_eq!(
        (found.counts.differences(), found.exit_code()),
        (0, 3),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_damaged_archive_is_an_error_and_no_list_of_missing_objects() {
    let bench = Bench::alike().await;
    let path = bench.back_up("One", Format::Json, Codec::None).await;
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(8)
        .position(|bytes| bytes == b"object 7")
        .unwrap();
    bytes[at + 7] = b'8';
    std::fs::write(&path, bytes).unwrap();
    let outcome = bench.diff(archive(&path), bench.live("One")).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), Kind::Difference);
    assert!(error.message().contains("damaged"), "{error:?}");
    let outcome = bench
        .diff(bench.live("One"), archive(&path.join("none")))
        .await;
    assert_eq!(outcome.unwrap_err().kind(), Kind::NotFound);
}
