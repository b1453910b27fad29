//! Documents that other programs wrote: whatever their shape, the same collection comes of them.

use std::io::Write as _;
use std::path::Path;

use elysiactl::commands::{backup, restore};
use elysiactl::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::common::{backup_request, rest, restore_request, sandbox_with, session};

/// The parts of a document of the collection: definition and objects.
fn parts(sandbox: &Sandbox) -> (Value, Vec<Value>) {
    let store = sandbox.store();
    let objects = store.dump("Article").into_iter().map(|object| {
        let vector: Vec<f32> = object.vector.into_iter().map(f32::from_bits).collect();
        let properties: Value = serde_json::from_str(&object.properties).unwrap();
        json!({"id": object.id, "properties": properties, "vector": vector})
    });
    (store.definition("Article").unwrap(), objects.collect())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

async fn assert_restored(sandbox: &Sandbox, folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    let copy = format!("Copy{}", name.replace(['.', '-'], ""));
    let session = session(&folder.join("state"));
    let back = restore(
        &session,
        &restore_request(&sandbox.connection(), &path, Some(&copy)),
    )
    .await;
    let back = back.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(
        (back.exit_code, back.tally.accepted),
        (0, 230),
        "{name}: {back:?}"
    );
    assert!(
        sandbox.store().dump(&copy) == sandbox.store().dump("Article"),
        "{name}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_of_every_shape_are_restored() {
    let sandbox = sandbox_with("Article", 230).await;
    let folder = tempfile::tempdir().unwrap();
    let (schema, objects) = parts(&sandbox);
    let whole = json!({"metadata": {"collection": "Article", "object_count": 230}, "schema": schema, "objects": objects});
    let line = whole.to_string();
    let indented = serde_json::to_string_pretty(&whole).unwrap();
    let missing = json!({"schema": schema, "objects": objects}).to_string();
    let last = format!(
        "{{\"schema\":{schema},\"objects\":{},\"metadata\":{{}},\"more\":[1,{{}}]}}",
        json!(objects)
    );
    let first = format!(
        "\u{feff}{{ \"objects\" : {} ,\r\n\t\"schema\" : {schema} }}\n\n",
        json!(objects)
    );
    let two = [
        gzip(&line.as_bytes()[..5_000]),
        gzip(&line.as_bytes()[5_000..]),
    ]
    .concat();
    for (name, bytes) in [
        ("line.json", line.as_bytes()),
        ("indented.json", indented.as_bytes()),
        ("missing.json", missing.as_bytes()),
        ("last.json", last.as_bytes()),
        ("first.json", first.as_bytes()),
        ("one-member.json.gz", &gzip(indented.as_bytes())),
        ("two-members.json.gz", &two),
        (
            "frame.json.zst",
            &zstd::encode_all(line.as_bytes(), 1).unwrap(),
        ),
    ] {
        assert_restored(&sandbox, folder.path(), name, bytes).await;
    }
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_with_a_vector_that_is_no_number_is_named_and_left_out_over_rest() {
    let sandbox = sandbox_with("Article", 230).await;
    let folder = tempfile::tempdir().unwrap();
    let (schema, mut objects) = parts(&sandbox);
    let nan = [f32::NAN, 1.0, f32::INFINITY, 0.0, 0.5, -0.0, 2.0, 3.0]
        .map(f32::to_le_bytes)
        .concat();
    use base64::Engine as _;
    objects[100]["vector"] = json!({"f32": base64::engine::general_purpose::STANDARD.encode(nan)});
    let path = folder.path().join("nan.json");
    std::fs::write(
        &path,
        json!({"schema": schema, "objects": objects}).to_string(),
    )
    .unwrap();
    let session = session(&folder.path().join("state"));
    let back = restore(
        &session,
        &restore_request(&rest(&sandbox), &path, Some("Copy")),
    )
    .await
    .unwrap();
    let end = (back.exit_code, back.tally.accepted, back.tally.rejected);
    assert_eq!(end, (3, 229, 1), "{back:?}");
    let mut expected = sandbox.store().dump("Article");
    let gone = expected.remove(100);
    assert!(sandbox.store().dump("Copy") == expected);
    let job = &session.state.jobs().unwrap()[0];
    let rejects = folder
        .path()
        .join("state")
        .join("jobs")
        .join(job.id.as_str())
        .join("rejects.jsonl");
    let line = std::fs::read_to_string(&rejects).unwrap();
    assert!(
        line.contains(&gone.id.to_string()) && line.contains("NaN or infinity"),
        "{line}"
    );
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vector_that_is_no_number_keeps_its_bits_over_grpc() {
    use base64::Engine as _;
    let sandbox = sandbox_with("Article", 230).await;
    let folder = tempfile::tempdir().unwrap();
    let (schema, mut objects) = parts(&sandbox);
    // Not all of them: a sign, a payload, both infinities.
    let bits = [
        0x7fc0_0000u32,
        0xffc0_0001,
        0x7f80_0000,
        0xff80_0000,
        0x8000_0000,
        1,
    ];
    let bytes = bits.map(u32::to_le_bytes).concat();
    let bytes = base64::engine::general_purpose::STANDARD.encode([&bytes[..], &[0; 8]].concat());
    objects[100]["vector"] = json!({"f32": bytes});
    let path = folder.path().join("nan.json");
    let document = json!({"schema": schema, "objects": objects});
    std::fs::write(&path, document.to_string()).unwrap();
    let session = session(&folder.path().join("state"));
    let server = sandbox.connection();
    let request = restore_request(&server, &path, Some("Copy"));
    let back = restore(&session, &request).await.unwrap();
    assert_eq!((back.exit_code, back.tally.accepted), (0, 230), "{back:?}");
    let stored = sandbox.store().dump("Copy");
    assert_eq!(stored[100].vector[..6], bits);
    let request = backup_request(&server, "Copy", &folder.path().join("out"));
    let archive = backup(&session, &request).await.unwrap().archive.unwrap();
    let request = restore_request(&server, &archive, Some("Again"));
    assert_eq!(restore(&session, &request).await.unwrap().exit_code, 0);
    assert!(sandbox.store().dump("Again") == stored);
    assert_eq!(sandbox.count("POST", "/v1/batch"), 0);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_no_request_can_hold_is_refused_with_its_object_and_the_others_are_restored() {
    let sandbox = sandbox_with("Article", 230).await;
    let folder = tempfile::tempdir().unwrap();
    let (schema, mut objects) = parts(&sandbox);
    objects[100]["properties"]["title"] = json!("@");
    let document = json!({"schema": schema, "objects": objects}).to_string();
    // Half of a surrogate pair: a server that reads it stores something else and says nothing.
    let document = document.replace("\"@\"", "\"\\ud800\"");
    let path = folder.path().join("half.json");
    std::fs::write(&path, document).unwrap();
    let mut expected = sandbox.store().dump("Article");
    expected.remove(100);
    for (name, server) in [
        ("OverGrpc", sandbox.connection()),
        ("OverRest", rest(&sandbox)),
    ] {
        let session = session(&folder.path().join(name));
        let back = restore(&session, &restore_request(&server, &path, Some(name))).await;
        let back = back.unwrap();
        let end = (back.exit_code, back.tally.accepted, back.tally.rejected);
        assert_eq!(end, (3, 229, 1), "{name}: {back:?}");
        assert!(sandbox.store().dump(name) == expected, "{name}");
    }
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_says_it_has_more_objects_is_restored_and_is_no_success() {
    let sandbox = sandbox_with("Article", 230).await;
    let folder = tempfile::tempdir().unwrap();
    let (schema, objects) = parts(&sandbox);
    let path = folder.path().join("short.json");
    let document = json!({"schema": schema, "objects": objects, "object_count": 231});
    std::fs::write(&path, document.to_string()).unwrap();
    let session = session(&folder.path().join("state"));
    let request = restore_request(&sandbox.connection(), &path, Some("Copy"));
    let back = restore(&session, &request).await.unwrap();
    assert_eq!((back.exit_code, back.tally.accepted), (3, 230), "{back:?}");
    assert!(back.notes[0].contains("says it has 231"), "{back:?}");
    sandbox.stop().await;
}

/// A document of the collection, its first objects changed, restored as `Copy`.
async fn restored_changed(
    sandbox: &Sandbox,
    folder: &Path,
    change: impl Fn(usize, &mut Value),
) -> elysiactl::error::Result<elysiactl::commands::Outcome> {
    let (schema, mut objects) = parts(sandbox);
    let numbered = objects.iter_mut().enumerate();
    numbered.for_each(|(number, object)| change(number, object));
    let path = folder.join("changed.json");
    // The definition comes last: by then every object was seen.
    let document = format!("{{\"objects\":{},\"schema\":{schema}}}", json!(objects));
    std::fs::write(&path, document).unwrap();
    let session = session(&folder.join("state"));
    let request = restore_request(&sandbox.connection(), &path, Some("Copy"));
    restore(&session, &request).await
}

fn rejects(folder: &Path) -> Vec<Value> {
    let job = std::fs::read_dir(folder.join("state/jobs")).unwrap().next();
    let file = job.unwrap().unwrap().path().join("rejects.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_another_collection_are_refused_one_by_one_and_the_others_are_restored() {
    let sandbox = sandbox_with("Article", 230).await;
    let folder = tempfile::tempdir().unwrap();
    let outcome = restored_changed(&sandbox, folder.path(), |number, object| match number {
        0..3 => object["class"] = json!("Other"),
        3 => object["class"] = json!(5),
        // Nobody says anything, or says what the server makes of it.
        4 => object["class"] = json!(null),
        5 => object["class"] = json!("article"),
        _ => object["class"] = json!("Article"),
    });
    let back = outcome.await.unwrap();
    let end = (back.exit_code, back.tally.accepted, back.tally.rejected);
    assert_eq!(end, (3, 226, 4), "{back:?}");
    let said = "4 of its objects are not of collection `Article`, which it defines, and are not restored: `Other` (3), others (1)";
    assert!(back.notes.iter().any(|note| note == said), "{back:?}");
    assert!(sandbox.store().dump("Copy") == sandbox.store().dump("Article")[4..]);
    let rejects = rejects(folder.path());
    let reason = "its class is `Other`, and the document is of `Article`; it was not sent";
    assert_eq!((rejects.len(), &rejects[0]["reason"]), (4, &json!(reason)));
    sandbox.stop().await;
}

/// Two collections in one file have the same ids: it is the right one that is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_whose_id_another_collection_has_too_is_restored_as_it_is() {
    let sandbox = sandbox_with("Article", 230).await;
    let folder = tempfile::tempdir().unwrap();
    let (schema, mut objects) = parts(&sandbox);
    let mut twin = objects[7].clone();
    (twin["class"], twin["properties"]["title"]) = (json!("Other"), json!("a stranger"));
    objects.push(twin);
    let path = folder.path().join("two.json");
    let document = json!({"schema": schema, "objects": objects});
    std::fs::write(&path, document.to_string()).unwrap();
    let session = session(&folder.path().join("state"));
    let request = restore_request(&sandbox.connection(), &path, Some("Copy"));
    let back = restore(&session, &request).await.unwrap();
    assert_eq!((back.exit_code, back.tally.rejected), (3, 1), "{back:?}");
    assert!(sandbox.store().dump("Copy") == sandbox.store().dump("Article"));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_without_any_object_of_its_collection_is_refused_by_name() {
    let sandbox = sandbox_with("Article", 230).await;
    let folder = tempfile::tempdir().unwrap();
    let other = |_: usize, object: &mut Value| object["class"] = json!("Other");
    let outcome = restored_changed(&sandbox, folder.path(), other).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), elysiactl::error::Kind::Incompatible);
    let words = "none of its 230 objects is of collection `Article`, which it defines: they are of `Other` (230)";
    assert!(error.to_string().contains(words), "{error}");
    assert!(sandbox.store().definition("Copy").is_none());
    sandbox.stop().await;
}

/// They cannot be in a collection with tenants, and are not dropped without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_without_a_tenant_are_refused_where_there_are_tenants() {
    let sandbox = sandbox_with("Article", 230).await;
    let folder = tempfile::tempdir().unwrap();
    let (mut schema, mut objects) = parts(&sandbox);
    schema["multiTenancyConfig"]["enabled"] = json!(true);
    for object in &mut objects[..200] {
        object["tenant"] = json!("a");
    }
    let path = folder.path().join("tenants.json");
    let document = json!({"schema": schema, "objects": objects});
    std::fs::write(&path, document.to_string()).unwrap();
    for (name, server) in [
        ("OverGrpc", sandbox.connection()),
        ("OverRest", rest(&sandbox)),
    ] {
        let session = session(&folder.path().join(name));
        let request = restore_request(&server, &path, Some(name));
        let back = restore(&session, &request).await.unwrap();
        let end = (back.exit_code, back.tally.accepted, back.tally.rejected);
        assert_eq!(end, (3, 200, 30), "{name}: {back:?}");
    }
    sandbox.stop().await;
}
