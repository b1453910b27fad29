//! Vectors that are left out, that do not fit, or that a module would compute.

use std::path::{Path, PathBuf};

use elysiactl::commands::{backup, restore, vectorize_question};
use elysiactl::error::Kind;
use elysiactl::sandbox::{Sandbox, Settings};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{backup_request, post, restore_request, sandbox_with, session};

fn document(folder: &Path, schema: Value, objects: Vec<Value>) -> PathBuf {
    let path = folder.join("document.json");
    let text = json!({"metadata": {}, "schema": schema, "objects": objects}).to_string();
    std::fs::write(&path, text).unwrap();
    path
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_can_be_left_out_on_the_way_back() {
    let sandbox = sandbox_with("Article", 150).await;
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder.path().join("state"));
    let request = backup_request(&sandbox.connection(), "Article", &folder.path().join("out"));
    let archive = backup(&session, &request).await.unwrap().archive.unwrap();
    let mut back = restore_request(&sandbox.connection(), &archive, Some("Copy"));
    back.skip_vectors = true;
    let outcome = restore(&session, &back).await.unwrap();
    assert_eq!(
        (outcome.exit_code, outcome.tally.accepted),
        (0, 150),
        "{outcome:?}"
    );
    let mut expected = sandbox.store().dump("Article");
    expected.iter_mut().for_each(|object| object.vector.clear());
    assert!(sandbox.store().dump("Copy") == expected);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_of_another_length_are_named_and_only_their_objects_are_left_out() {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder.path().join("state"));
    let objects = (0..250).map(|number| {
        let vector = if number % 100 == 7 {
            vec![1, 2]
        } else {
            vec![1, 2, 3]
        };
        json!({"id": id(number), "properties": {}, "vector": vector})
    });
    let schema = json!({"class": "Mixed", "vectorizer": "none"});
    let archive = document(folder.path(), schema, objects.collect());
    let outcome = restore(
        &session,
        &restore_request(&sandbox.connection(), &archive, None),
    )
    .await
    .unwrap();
    let end = (
        outcome.exit_code,
        outcome.tally.accepted,
        outcome.tally.rejected,
    );
    assert_eq!(end, (3, 247, 3), "{outcome:?}");
    assert_eq!(sandbox.store().count("Mixed"), 247);
    let job = session.state.jobs().unwrap().remove(0).id;
    let rejects =
        std::fs::read_to_string(session.state.folder(&job).join("rejects.jsonl")).unwrap();
    assert!(
        rejects.contains(&id(107).to_string()) && rejects.contains("has 2 numbers"),
        "{rejects}"
    );
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vector_whose_index_was_dropped_is_left_out_and_said_so() {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder.path().join("state"));
    let schema = json!({"class": "Dropped", "vectorConfig": {
        "kept": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"},
        "gone": {"vectorizer": {"none": {}}, "vectorIndexType": "none"}}});
    let objects =
        (0..30).map(|number| json!({"id": id(number), "vectors": {"kept": [1, 2], "gone": [3]}}));
    let archive = document(folder.path(), schema, objects.collect());
    let outcome = restore(
        &session,
        &restore_request(&sandbox.connection(), &archive, None),
    )
    .await
    .unwrap();
    assert_eq!(
        (outcome.exit_code, outcome.tally.accepted),
        (3, 30),
        "{outcome:?}"
    );
    assert!(
        outcome.notes.iter().any(|note| note.contains("`gone`")),
        "{:?}",
        outcome.notes
    );
    let named: Vec<String> = sandbox.store().dump("Dropped")[0]
        .vectors
        .keys()
        .map(|name| name.to_string())
        .collect();
    assert_eq!(named, ["kept"]);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_without_vectors_are_asked_about_where_a_module_would_compute_them() {
    let settings = Settings {
        modules: vec!["text2vec-costly".into()],
        ..Settings::default()
    };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let schema = json!({"class": "Costly", "vectorizer": "text2vec-costly"});
    let (address, body) = (sandbox.addr(), schema.to_string());
    let reply = tokio::task::spawn_blocking(move || post(address, "/v1/schema", &body));
    assert!(reply.await.unwrap().starts_with("HTTP/1.1 200"));
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder.path().join("state"));
    let objects = (0..30).map(|number| match number % 3 {
        0 => json!({"id": id(number)}),
        _ => json!({"id": id(number), "vector": [1, 2]}),
    });
    let archive = document(folder.path(), schema, objects.collect());
    let mut request = restore_request(&sandbox.connection(), &archive, Some("Copy"));
    let (_, question) = vectorize_question(&session, &request)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        question,
        "`text2vec-costly` would be asked for the vectors of 10 objects"
    );
    let error = restore(&session, &request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Declined, "{error}");
    assert_eq!(sandbox.store().collections(), ["Costly"]);
    request.revectorize = true;
    let outcome = restore(&session, &request).await.unwrap();
    assert_eq!(
        (outcome.exit_code, outcome.tally.accepted),
        (0, 30),
        "{outcome:?}"
    );
    sandbox.stop().await;
}
