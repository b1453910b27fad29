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
