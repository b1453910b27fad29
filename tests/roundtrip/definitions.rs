//! Definitions that are asked to be otherwise, or that the target does not know.

use elysiactl::archive::Format;
use elysiactl::commands::{Outcome, Reshape, backup, restore};
use elysiactl::error::{Error, Kind};
use elysiactl::model::Definition;
use elysiactl::sandbox::{Sandbox, Settings};
use serde_json::{Value, json};

use crate::common::{
    self, backup_request, desk, restore_request, sandbox_with, session, unavailable,
};

/// Restores the sample collection as `Copy` into a server of that version, the definition asked to be otherwise.
async fn reshaped(
    reshape: Reshape,
    settings: Settings,
) -> (Result<Outcome, Error>, Sandbox, tempfile::TempDir) {
    let source = sandbox_with("Article", 60).await;
    let (folder, session) = desk();
    let mut saved = backup_request(&source.connection(), "Article", &folder.path().join("out"));
    saved.format = Format::Jsonl;
    let archive = backup(&session, &saved).await.unwrap().archive.unwrap();
    source.stop().await;
    let target = Sandbox::start(settings).await.unwrap();
    let mut request = restore_request(&target.connection(), &archive, Some("Copy"));
    request.reshape = reshape;
    (restore(&session, &request).await, target, folder)
}

fn patch(patch: Value) -> Reshape {
    Reshape {
        patch: Some(patch),
        ..Reshape::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_patch_and_shards_change_the_definition_and_the_objects_come_back() {
    let mut reshape =
        patch(json!({"description": "moved", "invertedIndexConfig": {"bm25": {"k1": 1.5}}}));
    reshape.shards = Some(3);
    let (outcome, target, _folder) = reshaped(reshape, Settings::default()).await;
    assert_eq!(outcome.unwrap().tally.accepted, 60);
    let made = target.store().definition("Copy").unwrap();
    assert_eq!(made["description"], "moved");
    assert_eq!(
        made["invertedIndexConfig"]["bm25"],
        json!({"b": 0.75, "k1": 1.5})
    );
    assert_eq!(made["shardingConfig"]["actualCount"], 3);
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_do_not_fit_another_definition_are_refused_before_anything_is_written() {
    let unfit = json!({"class": "Any", "vectorizer": "none", "properties": [{"name": "other", "dataType": ["text"]}]});
    let without = Reshape {
        schema: Some(Definition::parse(unfit.to_string()).unwrap()),
        ..Reshape::default()
    };
    let named = json!({"vectorizer": null, "vectorIndexType": null, "vectorIndexConfig": null,
        "vectorConfig": {"a": {"vectorizer": {"none": {}}}, "b": {"vectorizer": {"none": {}}}}});
    for (reshape, word) in [
        (without, "is in objects and not in the definition"),
        (
            patch(json!({"properties": [{"name": "title", "dataType": ["int"]}]})),
            "values do not fit `title` as int",
        ),
        (patch(named), "the vector without a name is in objects"),
    ] {
        let (outcome, target, folder) = reshaped(reshape, Settings::default()).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), Kind::Incompatible, "{error}");
        assert!(error.message().contains(word), "{error}");
        assert!(target.store().collections().is_empty());
        let jobs = session(&folder.path().join("state")).state.jobs().unwrap();
        assert!(
            jobs.iter().all(|job| job.state.as_ref().unwrap().is_done),
            "a job is left"
        );
        target.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_that_renames_the_collection_is_refused() {
    let (outcome, target, _folder) =
        reshaped(patch(json!({"class": "Other"})), Settings::default()).await;
    assert_eq!(outcome.unwrap_err().kind(), Kind::Usage);
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_at_rest_that_an_older_server_does_not_know_are_no_obstacle() {
    let old = Settings {
        version: "1.27.27".into(),
        ..Settings::default()
    };
    let (outcome, target, _folder) = reshaped(Reshape::default(), old).await;
    let outcome = outcome.unwrap();
    assert_eq!(
        (outcome.exit_code, outcome.tally.accepted),
        (0, 60),
        "{outcome:?}"
    );
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_server_lacks_is_refused_before_anything_is_written_unless_a_setting_is_given_up()
 {
    let source = Sandbox::start(Settings::default()).await.unwrap();
    let quantized = json!({"class": "Kind", "vectorizer": "none", "vectorIndexType": "hnsw",
        "vectorIndexConfig": {"rq": {"enabled": true, "bits": 8}}});
    source.store().create(&quantized).unwrap();
    let (folder, session) = desk();
    let saved = backup_request(&source.connection(), "Kind", &folder.path().join("out"));
    let archive = backup(&session, &saved).await.unwrap().archive.unwrap();
    let target = Sandbox::start(Settings {
        version: "1.27.1".into(),
        ..Settings::default()
    })
    .await
    .unwrap();
    let mut request = restore_request(&target.connection(), &archive, None);
    let error = restore(&session, &request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Incompatible);
    assert!(
        error
            .message()
            .contains("rotational quantization came with Weaviate 1.32"),
        "{error}"
    );
    assert!(target.store().collections().is_empty());
    request.force_schema = true;
    assert_eq!(restore(&session, &request).await.unwrap().exit_code, 0);
    source.stop().await;
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reshaped_restore_is_gone_on_with_by_its_id_alone() {
    use elysiactl::commands::resume_job;
    use elysiactl::sandbox::{Rule, When};
    let source = sandbox_with("Article", 300).await;
    let folder = tempfile::tempdir().unwrap();
    let mut session = session(&folder.path().join("state"));
    let saved = backup_request(&source.connection(), "Article", &folder.path().join("out"));
    let archive = backup(&session, &saved).await.unwrap().archive.unwrap();
    let mut request = restore_request(&common::rest(&source), &archive, Some("Copy"));
    request.reshape = patch(json!({"description": "moved"}));
    let broken = Rule::new(
        "POST",
        "/v1/batch/objects",
        When::Nth(2..=1_000),
        unavailable(),
    );
    source.faults().add(broken);
    session.policy.patience = Some(std::time::Duration::from_millis(50));
    let error = restore(&session, &request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    source.faults().clear();
    let job = session
        .state
        .jobs()
        .unwrap()
        .into_iter()
        .find(|job| !job.state.as_ref().unwrap().is_done);
    let outcome = resume_job(&session, &job.unwrap().id, &request.connection)
        .await
        .unwrap();
    assert_eq!(outcome.tally.accepted, 300, "{outcome:?}");
    assert_eq!(
        source.store().definition("Copy").unwrap()["description"],
        "moved"
    );
    source.stop().await;
}

fn quantizing() -> Settings {
    Settings {
        default_quantization: Some("rq"),
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_quantizes_by_default_is_asked_not_to_where_the_archive_has_no_quantization()
{
    let (outcome, target, _folder) = reshaped(Reshape::default(), quantizing()).await;
    assert_eq!(outcome.unwrap().tally.accepted, 60);
    let made = target.store().definition("Copy").unwrap();
    assert_eq!(made["vectorIndexConfig"]["rq"]["enabled"], false);
    assert_eq!(made["vectorIndexConfig"]["skipDefaultQuantization"], true);
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quantization_by_default_is_taken_where_that_is_asked_for() {
    let rq = json!({"vectorIndexConfig": {"rq": {"enabled": true}}});
    let (outcome, target, _folder) = reshaped(patch(rq), quantizing()).await;
    assert_eq!(outcome.unwrap().exit_code, 0);
    let made = target.store().definition("Copy").unwrap();
    assert_eq!(made["vectorIndexConfig"]["rq"]["enabled"], true);
    target.stop().await;
}
