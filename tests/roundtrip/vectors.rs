//! Vectors that are left out, that do not fit, or that a module would compute.

use std::path::{Path, PathBuf};

use elysiactl::commands::{backup, restore, vectorize_question};
use elysiactl::error::Kind;
use elysiactl::sandbox::{Sandbox, Settings};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{backup_request, desk, post, restore_request, sandbox_with};

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
    let (folder, session) = desk();
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
    let (folder, session) = desk();
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

/// Objects of each tenant with vectors of another length.
fn of_tenants(lengths: &[(&str, usize)], first: u128) -> Vec<Value> {
    let objects = lengths.iter().zip(first..).map(|((tenant, length), number)| {
        json!({"id": id(number), "tenant": tenant, "properties": {}, "vector": vec![1; *length]})
    });
    objects.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tenant_has_an_index_of_its_own_and_may_have_vectors_of_another_length() {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    let (folder, session) = desk();
    let schema =
        json!({"class": "Mixed", "vectorizer": "none", "multiTenancyConfig": {"enabled": true}});
    let objects = of_tenants(&[("a", 3), ("b", 4), ("a", 3), ("b", 4), ("b", 2)], 0);
    let archive = document(folder.path(), schema, objects);
    let request = restore_request(&sandbox.connection(), &archive, None);
    let outcome = restore(&session, &request).await.unwrap();
    let tally = outcome.tally;
    assert_eq!(
        (outcome.exit_code, tally.accepted, tally.rejected),
        (3, 4, 1)
    );
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_merged_into_a_collection_have_to_fit_the_vectors_that_are_there() {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    let (folder, session) = desk();
    let schema =
        json!({"class": "There", "vectorizer": "none", "multiTenancyConfig": {"enabled": true}});
    let there = of_tenants(&[("a", 3), ("b", 4)], 0);
    let request = |archive: &Path| restore_request(&sandbox.connection(), archive, None);
    let archive = document(folder.path(), schema.clone(), there);
    assert_eq!(
        restore(&session, &request(&archive))
            .await
            .unwrap()
            .exit_code,
        0
    );

    // In the archive all of one tenant are of one length; that of most does not count.
    let some = of_tenants(&[("a", 3), ("b", 3), ("b", 3), ("c", 5)], 10);
    let archive = document(folder.path(), schema.clone(), some);
    let mut merge = request(&archive);
    merge.merge = true;
    let outcome = restore(&session, &merge).await.unwrap();
    let tally = outcome.tally;
    assert_eq!(
        (outcome.exit_code, tally.accepted, tally.rejected),
        (3, 2, 2)
    );
    assert_eq!(sandbox.store().count("There"), 4);

    let none = of_tenants(&[("a", 2), ("b", 2)], 20);
    let archive = document(folder.path(), schema, none);
    let mut merge = request(&archive);
    merge.merge = true;
    let error = restore(&session, &merge).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Incompatible, "{error}");
    assert!(error.message().contains(&id(20).to_string()), "{error}");
    assert_eq!(sandbox.store().count("There"), 4);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vector_whose_index_was_dropped_is_left_out_and_said_so() {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    let (folder, session) = desk();
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
    let (folder, session) = desk();
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
