//! Parts of a collection, collections that exist already, and what cannot be restored.

use elysiactl::commands::{backup, restore};
use elysiactl::error::Kind;
use elysiactl::sandbox::sample_id;
use elysiactl::sandbox::{Fault, Rule, When};
use serde_json::json;

use crate::common::{backup_request, desk, restore_request, sandbox_with};
use crate::kinds::{plain, sandbox_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_definition_alone_can_be_saved_and_data_can_be_left_out() {
    let sandbox = sandbox_with("Article", 50).await;
    let (folder, session) = desk();
    let mut request = backup_request(&sandbox.connection(), "Article", &folder.path().join("out"));
    let full = backup(&session, &request).await.unwrap().archive.unwrap();
    request.with_data = false;
    let saved = backup(&session, &request).await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.accepted), (0, 0));
    let bare = saved.archive.unwrap();
    let mut without = restore_request(&sandbox.connection(), &full, Some("WithoutData"));
    without.skip_data = true;
    for asked in [
        restore_request(&sandbox.connection(), &bare, Some("Bare")),
        without,
    ] {
        let back = restore(&session, &asked).await.unwrap();
        assert_eq!((back.exit_code, back.tally.accepted), (0, 0), "{back:?}");
        let name = asked.name.unwrap();
        assert_eq!(sandbox.store().count(name.as_str()), 0);
        let made = sandbox.store().definition(name.as_str()).unwrap();
        let old = sandbox.store().definition("Article").unwrap();
        assert_eq!(made["properties"], old["properties"]);
    }
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_can_be_left_out() {
    let sandbox = sandbox_with("Article", 50).await;
    let (folder, session) = desk();
    let mut request = backup_request(&sandbox.connection(), "Article", &folder.path().join("out"));
    request.with_vectors = false;
    let archive = backup(&session, &request).await.unwrap().archive.unwrap();
    restore(
        &session,
        &restore_request(&sandbox.connection(), &archive, Some("Copy")),
    )
    .await
    .unwrap();
    let mut expected = sandbox.store().dump("Article");
    expected.iter_mut().for_each(|object| object.vector.clear());
    assert!(sandbox.store().dump("Copy") == expected);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_overwrites_what_has_the_same_id_and_leaves_the_rest() {
    let sandbox = sandbox_with("Article", 50).await;
    let (folder, session) = desk();
    let request = backup_request(&sandbox.connection(), "Article", &folder.path().join("out"));
    let archive = backup(&session, &request).await.unwrap().archive.unwrap();
    let then = sandbox.store().dump("Article");
    // Other contents under the first ten ids, and five objects more.
    let store = sandbox.store();
    store.fill("Article", 5, 8, 2);
    let other = json!({"class": "Article", "id": sample_id("Article", 1, 3), "properties": {"title": "other"}});
    let (address, body) = (sandbox.addr(), json!({"objects": [other]}).to_string());
    let reply = tokio::task::spawn_blocking(move || {
        crate::common::post(address, "/v1/batch/objects", &body)
    });
    assert!(reply.await.unwrap().contains("SUCCESS"));
    let refused = restore(
        &session,
        &restore_request(&sandbox.connection(), &archive, None),
    )
    .await
    .unwrap_err();
    assert_eq!(refused.kind(), Kind::TargetRefused, "{refused:?}");
    assert!(
        refused
            .message()
            .contains("already exists and holds 55 objects"),
        "{refused}"
    );
    let mut merge = restore_request(&sandbox.connection(), &archive, None);
    merge.merge = true;
    let back = restore(&session, &merge).await.unwrap();
    assert_eq!((back.exit_code, back.tally.accepted), (0, 50), "{back:?}");
    let now = store.dump("Article");
    assert_eq!(now.len(), 55);
    assert!(then.iter().all(|object| now.contains(object)));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_that_refers_to_itself_is_refused_by_name_and_nothing_is_written() {
    let (mut definition, objects) = plain([]);
    definition["properties"] = json!([
        {"name": "title", "dataType": ["text"]}, {"name": "next", "dataType": ["Kind"]}]);
    let sandbox = sandbox_of(&(definition, objects)).await;
    let (folder, session) = desk();
    let request = backup_request(&sandbox.connection(), "Kind", &folder.path().join("out"));
    let archive = backup(&session, &request).await.unwrap().archive.unwrap();
    let asked = restore_request(&sandbox.connection(), &archive, Some("Copy"));
    let refused = restore(&session, &asked).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Incompatible);
    assert!(refused.message().contains("`next`"), "{refused}");
    assert_eq!(sandbox.store().collections(), ["Kind"]);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_lies_beside_the_archive() {
    let sandbox = crate::sandbox_with("Article", 30).await;
    let cut = Rule::new("GET", "/v1/objects", When::Nth(1..=1), Fault::ResetBefore);
    sandbox.faults().add(cut);
    let folder = tempfile::tempdir().unwrap();
    let session = crate::session(&folder.path().join("state"));
    let server = crate::common::rest(&sandbox);
    let request = crate::backup_request(&server, "Article", folder.path());
    let archive = crate::backup(&session, &request)
        .await
        .unwrap()
        .archive
        .unwrap();
    let name = archive.file_name().unwrap().to_str().unwrap();
    let beside = |what: &str| archive.with_file_name(format!(".{name}.{what}"));
    let report = std::fs::read(beside("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(
        (&report["accepted"], &report["exit_code"]),
        (&30.into(), &0.into())
    );
    assert!(!beside("rejects.jsonl").exists(), "nothing was rejected");
    assert_eq!(
        (&report["retries"], &report["batches_repeated"]),
        (&1.into(), &0.into())
    );
    sandbox.stop().await;
}
