//! Whether a collection is the one that a job began with, where shards may not be listed or bear the tenants' names.

use std::time::Duration;

use elysiactl::error::{Error, Kind};
use elysiactl::model::{Key, ObjectId};
use elysiactl::sandbox::{RequestInfo, Store, When, sample_definition};
use elysiactl::weaviate::{Client, Connection, Role};
use serde_json::json;

use crate::bench::{BATCHES, Bench, PAGES, shown, status};

const OBJECTS: usize = 250;

/// A key that may do everything but list shards.
fn forbid_shards(bench: &Bench, collection: &str) {
    let path = format!("/v1/schema/{collection}/shards");
    bench.strike(("GET", &path), When::Always, status(403));
}

async fn without_shards() -> Bench {
    let bench = Bench::with(OBJECTS, 1).await;
    forbid_shards(&bench, "Article");
    bench
}

fn fill_tenants(store: &Store) {
    let mut definition = sample_definition("Article");
    definition["multiTenancyConfig"] = json!({"enabled": true});
    store.create(&definition).unwrap();
    for tenant in ["amber", "blue", "coral"] {
        store.add_tenant("Article", tenant, elysiactl::sandbox::Activity::Hot);
    }
    store.fill("Article", OBJECTS, 4, 1);
}

async fn with_tenants() -> Bench {
    let bench = Bench::empty(elysiactl::sandbox::Settings::default(), 1).await;
    fill_tenants(bench.sandbox.store());
    bench
}

/// The same definition, tenants, ids and contents, in another life.
fn make_anew(store: &Store) {
    let has_tenants = !store.tenants("Article").is_empty();
    // Creation times are in milliseconds.
    std::thread::sleep(Duration::from_millis(2));
    store.restore(&Store::new().snapshot());
    match has_tenants {
        true => fill_tenants(store),
        false => store.fill("Article", OBJECTS, 4, 1),
    }
}

/// Ends a backup at the n-th page as a crash would.
async fn break_backup(bench: &Bench, page: u64) {
    let rule = bench.strike(PAGES, When::Nth(page..=page), status(401));
    bench.back_up().await.unwrap_err();
    assert_eq!(bench.struck(rule), 1);
}

fn says(error: &Error, kind: Kind, words: &str) {
    assert_eq!(error.kind(), kind, "{}", shown(error));
    assert!(error.message().contains(words), "{}", shown(error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_resumed_where_shards_say_nothing() {
    for bench in [without_shards().await, with_tenants().await] {
        for page in [1, 3] {
            break_backup(&bench, page).await;
        }
        let saved = bench.back_up().await.unwrap();
        assert_eq!((saved.exit_code, saved.tally.accepted), (0, OBJECTS as u64));
        bench.assert_archived(&saved, &[], "resumed").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_not_resumed_from_another_life_where_shards_say_nothing() {
    for bench in [without_shards().await, with_tenants().await] {
        break_backup(&bench, 3).await;
        make_anew(bench.sandbox.store());
        let error = bench.back_up().await.unwrap_err();
        says(&error, Kind::Mismatch, "it was deleted and created again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_made_anew_under_a_backup_is_no_success_where_shards_say_nothing() {
    for bench in [without_shards().await, with_tenants().await] {
        let store = bench.sandbox.store().clone();
        let seen = std::sync::atomic::AtomicU64::new(0);
        bench.sandbox.on_request(move |request: &RequestInfo| {
            let is_page = request.path.starts_with(PAGES.1) && request.status.is_none();
            if is_page && seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 2 {
                tokio::task::block_in_place(|| make_anew(&store));
            }
        });
        let error = bench.back_up().await.unwrap_err();
        says(
            &error,
            Kind::SourceRefused,
            "was deleted and created again while it was read",
        );
        let error = bench.back_up().await.unwrap_err();
        says(&error, Kind::Mismatch, "it was deleted and created again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_whose_first_objects_were_deleted_is_still_the_same() {
    let bench = without_shards().await;
    let name = bench.backup_request().collection;
    break_backup(&bench, 4).await;
    let client = Client::new(&Connection::to(bench.sandbox.url()), Role::Target).unwrap();
    for id in bench.ids().into_iter().take(20) {
        let key = Key::of(ObjectId::parse(&id.to_string()).unwrap());
        client.delete_object(&name, &key).await.unwrap();
    }
    let saved = bench.back_up().await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.accepted), (0, OBJECTS as u64));
    let note = "20 objects were deleted while the backup ran and are in the archive";
    assert!(saved.notes.iter().any(|it| it == note), "{saved:?}");
}

/// A restore as `Copy` that ended at the third batch.
async fn broken_restore() -> (Bench, std::path::PathBuf) {
    let bench = Bench::with(OBJECTS, 1).await;
    let archive = bench.archive().await;
    forbid_shards(&bench, "Copy");
    bench.strike(BATCHES, When::Nth(3..=3), status(401));
    bench.restore(&archive, "Copy").await.unwrap_err();
    assert_eq!(bench.sandbox.store().count("Copy"), 100);
    (bench, archive)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_is_resumed_where_shards_may_not_be_listed() {
    let (bench, archive) = broken_restore().await;
    let back = bench.restore(&archive, "Copy").await.unwrap();
    assert_eq!((back.exit_code, back.tally.accepted), (0, OBJECTS as u64));
    bench.assert_equal("Copy", &[], "resumed");
    // And a finished one answers again.
    assert_eq!(bench.restore(&archive, "Copy").await.unwrap().exit_code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_is_not_resumed_into_another_life_where_shards_may_not_be_listed() {
    let (bench, archive) = broken_restore().await;
    let store = bench.sandbox.store();
    let definition = store.definition("Copy").unwrap();
    let without = Store::new();
    without.fill("Article", OBJECTS, 4, 1);
    store.restore(&without.snapshot());
    store.create(&definition).unwrap();
    let error = bench.restore(&archive, "Copy").await.unwrap_err();
    says(
        &error,
        Kind::Mismatch,
        "nothing of what was restored is in it",
    );
    assert_eq!(store.count("Copy"), 0, "nothing is written into it");
}
