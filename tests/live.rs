//! The round trips against a real Weaviate. Ignored unless asked for, because they need one:
//! `ELYSIACTL_TEST_URL=http://127.0.0.1:8080 cargo test --test live -- --include-ignored`
//!
//! Only collections whose names begin with `ElysiactlLive` are made and removed.

mod common;
mod matrix;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{backup_request, patient, real, restore_request};
use elysiactl::archive::Format;
use elysiactl::commands::{
    self, ClearMethod, ClearRequest, Session, backup, clear, plan_clear, restore, verify,
};
use elysiactl::format::Codec;
use elysiactl::model::{CollectionName, Tenant};
use elysiactl::sandbox::{Sandbox, Settings};
use elysiactl::weaviate::{Client, Connection, Role};

fn url() -> String {
    std::env::var("ELYSIACTL_TEST_URL").expect("ELYSIACTL_TEST_URL names the server")
}

fn server() -> Connection {
    real("ELYSIACTL_TEST_URL", "ELYSIACTL_TEST_GRPC_URL")
}

fn grpc_url() -> String {
    server().grpc_url.expect("there is one")
}

fn client() -> Client {
    Client::new(&server(), Role::Target).unwrap()
}

fn name(text: &str) -> CollectionName {
    CollectionName::parse(text).unwrap()
}

/// Sample data made in a sandbox, brought to the real server under `target`.
async fn bring(
    session: &Session,
    folder: &Path,
    target: &str,
    objects: usize,
) -> std::path::PathBuf {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    sandbox.store().fill("Article", objects, 32, 7);
    let mut request = backup_request(&sandbox.connection(), "Article", &folder.join("made"));
    request.format = Format::Jsonl;
    request.codec = Codec::Zstd;
    let archive = backup(session, &request).await.unwrap().archive.unwrap();
    sandbox.stop().await;
    client().delete(&name(target)).await.unwrap();
    let restored = restore(session, &restore_request(&server(), &archive, Some(target)))
        .await
        .unwrap();
    assert_eq!(
        (restored.exit_code, restored.tally.accepted),
        (0, objects as u64)
    );
    archive
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a server: set ELYSIACTL_TEST_URL"]
async fn every_kind_of_collection_comes_back_equal_by_every_layout() {
    let bad = matrix::table(&server(), "ElysiactlLiveKind", patient).await;
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a server: set ELYSIACTL_TEST_URL"]
async fn every_kind_of_collection_is_the_same_but_empty_after_a_clear_by_each_method() {
    let bad = matrix::clears::table(&server(), "ElysiactlLiveClear", patient).await;
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a server: set ELYSIACTL_TEST_URL"]
async fn a_collection_comes_back_with_the_same_digest_in_every_layout() {
    let folder = tempfile::tempdir().unwrap();
    let session = patient(&folder.path().join("state"));
    let made = bring(&session, folder.path(), "ElysiactlLiveOne", 3_000).await;
    let original = verify(&made).unwrap();
    for (format, codec) in [
        (Format::Json, Codec::None),
        (Format::Json, Codec::Gzip),
        (Format::Json, Codec::Lz4),
        (Format::Jsonl, Codec::Zstd),
    ] {
        let mut request = backup_request(
            &server(),
            "ElysiactlLiveOne",
            &folder.path().join(format!("{format:?}{codec:?}")),
        );
        (request.format, request.codec) = (format, codec);
        let saved = backup(&session, &request).await.unwrap();
        assert_eq!((saved.exit_code, saved.tally.accepted), (0, 3_000));
        let archive = saved.archive.unwrap();
        // The digest covers every property, every bit of every vector, every id.
        assert_eq!(
            verify(&archive).unwrap().digest,
            original.digest,
            "{format:?} {codec:?}"
        );
        client().delete(&name("ElysiactlLiveTwo")).await.unwrap();
        let back = restore(
            &session,
            &restore_request(&server(), &archive, Some("ElysiactlLiveTwo")),
        )
        .await
        .unwrap();
        assert_eq!((back.exit_code, back.tally.accepted), (0, 3_000));
        let mut request = backup_request(
            &server(),
            "ElysiactlLiveTwo",
            &folder.path().join(format!("again{format:?}{codec:?}")),
        );
        (request.format, request.codec) = (Format::Jsonl, Codec::Zstd);
        let again = backup(&session, &request).await.unwrap().archive.unwrap();
        assert_eq!(
            verify(&again).unwrap().digest,
            original.digest,
            "restored from {format:?} {codec:?}"
        );
    }
    client().delete(&name("ElysiactlLiveOne")).await.unwrap();
    client().delete(&name("ElysiactlLiveTwo")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a server: set ELYSIACTL_TEST_URL"]
async fn a_clear_leaves_the_same_definition_and_no_object_by_both_methods() {
    let folder = tempfile::tempdir().unwrap();
    let session = patient(&folder.path().join("state"));
    for method in [ClearMethod::Recreate, ClearMethod::ById] {
        bring(
            &session,
            &folder.path().join(method.name()),
            "ElysiactlLiveThree",
            2_500,
        )
        .await;
        let before = commands::show_collection(&session, &server(), &name("ElysiactlLiveThree"))
            .await
            .unwrap();
        let request = ClearRequest {
            connection: server(),
            collection: name("ElysiactlLiveThree"),
            delete_schema: false,
            method,
            tenants: Vec::new(),
            backup_to: None,
        };
        let plan = plan_clear(&session, &request).await.unwrap();
        assert_eq!(
            clear(&session, &request, plan).await.unwrap().exit_code,
            0,
            "{method:?}"
        );
        assert_eq!(
            client()
                .count(&name("ElysiactlLiveThree"), &Tenant::NONE)
                .await
                .unwrap(),
            0
        );
        let after = commands::show_collection(&session, &server(), &name("ElysiactlLiveThree"))
            .await
            .unwrap();
        assert_eq!(
            after.value().unwrap(),
            before.value().unwrap(),
            "{method:?}"
        );
    }
    client().delete(&name("ElysiactlLiveThree")).await.unwrap();
}

/// The real binary, killed a moment after it began, until one run comes to its end.
#[test]
#[ignore = "needs a server: set ELYSIACTL_TEST_URL"]
fn a_backup_and_a_restore_killed_again_and_again_end_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let session = patient(&folder.path().join("state"));
    let made = runtime.block_on(bring(&session, folder.path(), "ElysiactlLiveFour", 20_000));
    let original = verify(&made).unwrap().digest;

    let output = folder.path().join("killed");
    let words = [
        "col",
        "backup",
        "ElysiactlLiveFour",
        "--batch-size",
        "200",
        "-o",
        output.to_str().unwrap(),
        "--resume",
    ];
    let archive = until_done(folder.path(), &words);
    assert_eq!(verify(Path::new(archive.trim())).unwrap().digest, original);

    runtime
        .block_on(client().delete(&name("ElysiactlLiveFive")))
        .unwrap();
    let words = [
        "col",
        "restore",
        archive.trim(),
        "--name",
        "ElysiactlLiveFive",
        "--batch-size",
        "200",
        "--resume",
    ];
    until_done(folder.path(), &words);
    let mut request = backup_request(&server(), "ElysiactlLiveFive", &folder.path().join("five"));
    (request.format, request.codec) = (Format::Jsonl, Codec::Zstd);
    let again = runtime
        .block_on(backup(&session, &request))
        .unwrap()
        .archive
        .unwrap();
    assert_eq!(verify(&again).unwrap().digest, original);
    for collection in ["ElysiactlLiveFour", "ElysiactlLiveFive"] {
        runtime
            .block_on(client().delete(&name(collection)))
            .unwrap();
    }
}

fn until_done(folder: &Path, words: &[&str]) -> String {
    let mut lifetime = Duration::from_millis(150);
    loop {
        let mut child = Command::new(env!("CARGO_BIN_EXE_elysiactl"))
            .args(words)
            .args(["--url", &url(), "--grpc-url", &grpc_url(), "--state-dir"])
            .arg(folder.join("killed-state"))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(lifetime);
        // A child that has ended already cannot be killed.
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            Some(0) => return String::from_utf8(output.stdout).unwrap(),
            // Killed: the next run lives a little longer, so that the last one comes to its end.
            None => lifetime = lifetime * 3 / 2,
            Some(code) => panic!(
                "{words:?} ended with {code}: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
}
