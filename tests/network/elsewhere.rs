//! gRPC that leads to another server than REST: it is noticed, and nothing of that server is read, changed or deleted.

use elysiactl::commands::{
    self, ClearMethod, ClearRequest, Inactive, Outcome, backup, restore, verify,
};
use elysiactl::error::{Kind, Result};
use elysiactl::sandbox::{Activity, Dumped, Sandbox, Settings, Store, sample_definition};
use elysiactl::weaviate::Transport;
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, shown};
use crate::common::{clear_request, post};

const BOTH: [Transport; 2] = [Transport::Auto, Transport::Grpc];

/// A bench whose gRPC is that of another server.
async fn misled(objects: usize, other: Store) -> (Bench, Sandbox) {
    let mut bench = Bench::with(objects, 1).await;
    let other = Sandbox::start_with(Settings::default(), other)
        .await
        .unwrap();
    bench.grpc_url = other.grpc_url();
    (bench, other)
}

/// Another server with a collection of the same name.
fn stranger() -> Store {
    let store = Store::new();
    store.fill("Article", 80, 4, 2);
    store
}

/// The same server at an earlier time.
fn copy_of(bench: &Bench) -> Store {
    let store = Store::new();
    store.restore(&bench.sandbox.store().snapshot());
    store
}

fn is_noticed(bench: &Bench) -> bool {
    let warnings = bench.told.warnings();
    warnings
        .iter()
        .any(|it| it.contains("objects go over REST"))
}

async fn clear(bench: &Bench) -> Result<Outcome> {
    let request = ClearRequest {
        method: ClearMethod::ById,
        ..clear_request(&bench.connection(), "Article")
    };
    let session = bench.session("clear");
    let plan = commands::plan_clear(&session, &request).await?;
    commands::clear(&session, &request, plan).await
}

/// Times as well: nothing was even written again.
fn all_of(sandbox: &Sandbox) -> (Vec<String>, Vec<Dumped>, usize) {
    let store = sandbox.store();
    let writes = sandbox.count_calls("Batch") + sandbox.count("POST", "/v1/batch");
    (store.collections(), store.dump("Article"), writes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_reads_nothing_of_another_server() {
    for other in [stranger(), Store::new()] {
        let (mut bench, other) = misled(120, other).await;
        bench.transport = Transport::Auto;
        let saved = bench.back_up().await.unwrap();
        assert_eq!((saved.exit_code, saved.tally.accepted), (0, 120));
        assert!(is_noticed(&bench), "{:?}", bench.told.warnings());
        bench.assert_archived(&saved, &[], "misled").await;
        bench.transport = Transport::Grpc;
        let mut request = bench.backup_request();
        request.destination = bench.path().join("refused");
        let error = backup(&bench.session("refused"), &request)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::SourceRefused, "{}", shown(&error));
        other.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_beside_a_server_that_lacks_the_collection_does_not_make_it_there() {
    for transport in BOTH {
        let (mut bench, other) = misled(120, stranger()).await;
        let (archive, before) = (bench.archive().await, all_of(&other));
        bench.transport = transport;
        let back = bench.restore(&archive, "Copy").await;
        match transport {
            Transport::Grpc => {
                let error = back.unwrap_err();
                assert_eq!(error.kind(), Kind::TargetRefused, "{}", shown(&error));
            }
            _ => {
                assert_eq!(back.unwrap().exit_code, 0);
                assert!(is_noticed(&bench));
                bench.assert_equal("Copy", &[], "over REST");
            }
        }
        assert_eq!(all_of(&other), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_into_one_of_two_empty_collections_stops_at_the_first_object() {
    for (transport, workers) in [
        (Transport::Auto, 1),
        (Transport::Auto, 4),
        (Transport::Grpc, 4),
    ] {
        let empty = Store::new();
        empty.create(&sample_definition("Copy")).unwrap();
        let (mut bench, other) = misled(400, empty).await;
        bench.batch_size = 20;
        let archive = bench.archive().await;
        (bench.transport, bench.workers) = (transport, workers);
        let error = bench.restore(&archive, "Copy").await.unwrap_err();
        assert_eq!(error.kind(), Kind::TargetRefused, "{}", shown(&error));
        assert!(
            error.message().contains("leads to another server"),
            "{error}"
        );
        // It could not be known before; more than this one goes there under no circumstances.
        assert_eq!(other.store().count("Copy"), 1);
        assert_eq!(bench.sandbox.store().count("Copy"), 0);
        // By now the two differ, which the next run sees before it writes.
        bench.transport = Transport::Auto;
        let back = bench.restore(&archive, "Copy").await.unwrap();
        assert_eq!((back.exit_code, back.tally.accepted), (0, 400));
        assert!(is_noticed(&bench));
        assert_eq!(other.store().count("Copy"), 1);
        bench.assert_equal("Copy", &[], "over REST");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_beside_a_copy_stops_at_the_first_object_that_differs() {
    let (mut bench, _) = misled(120, Store::new()).await;
    let archive = bench.archive().await;
    // Other contents under the same ids, by now; the copy has them as well.
    bench.sandbox.store().restore(&Store::new().snapshot());
    bench.sandbox.store().fill("Article", 120, 4, 1);
    bench.sandbox.store().fill("Article", 60, 0, 1);
    let other = copy_of(&bench);
    let other = Sandbox::start_with(Settings::default(), other)
        .await
        .unwrap();
    (bench.grpc_url, bench.transport) = (other.grpc_url(), Transport::Auto);
    let (before, theirs) = (
        bench.sandbox.store().dump("Article"),
        other.store().dump("Article"),
    );
    let mut request = bench.restore_request(&archive, "Article");
    request.merge = true;
    let error = restore(&bench.session("merge"), &request)
        .await
        .unwrap_err();
    assert!(
        error.message().contains("leads to another server"),
        "{}",
        shown(&error)
    );
    assert!(bench.sandbox.store().dump("Article") == before);
    let now = other.store().dump("Article");
    let changed = now.iter().zip(&theirs).filter(|(one, two)| one != two);
    assert!(changed.count() <= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clear_deletes_nothing_of_another_server() {
    for transport in BOTH {
        let (mut bench, other) = misled(120, stranger()).await;
        bench.transport = transport;
        let before = all_of(&other);
        match (transport, clear(&bench).await) {
            (Transport::Grpc, Err(error)) => {
                assert_eq!(error.kind(), Kind::TargetRefused, "{}", shown(&error));
                assert_eq!(bench.sandbox.store().count("Article"), 120);
            }
            (_, cleared) => {
                assert_eq!(cleared.unwrap().exit_code, 0);
                assert!(is_noticed(&bench));
                assert_eq!(bench.sandbox.store().count("Article"), 0);
            }
        }
        assert_eq!(all_of(&other), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clear_beside_a_copy_empties_the_right_one_and_all_of_it() {
    for more in [0, 30] {
        let (mut bench, _) = misled(120, Store::new()).await;
        let other = copy_of(&bench);
        let other = Sandbox::start_with(Settings::default(), other)
            .await
            .unwrap();
        (bench.grpc_url, bench.transport) = (other.grpc_url(), Transport::Grpc);
        // The copy does not know them.
        bench.sandbox.store().fill("Article", more, 4, 7);
        let before = all_of(&other);
        let cleared = clear(&bench).await.unwrap();
        assert_eq!(
            (cleared.exit_code, bench.sandbox.store().count("Article")),
            (0, 0)
        );
        assert_eq!(all_of(&other), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_copy_that_lacks_objects_is_a_loss_and_no_success() {
    let (mut bench, _) = misled(120, Store::new()).await;
    let other = copy_of(&bench);
    let other = Sandbox::start_with(Settings::default(), other)
        .await
        .unwrap();
    (bench.grpc_url, bench.transport) = (other.grpc_url(), Transport::Grpc);
    bench.sandbox.store().fill("Article", 30, 4, 7);
    // The server tells its time in seconds: what is there must be older than the backup.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let saved = bench.back_up().await.unwrap();
    assert_eq!(
        (saved.exit_code, saved.tally.accepted),
        (13, 120),
        "{saved:?}"
    );
    assert!(
        saved.notes[0].contains("30 objects older than the backup"),
        "{saved:?}"
    );
    let archive = saved.archive.as_ref().unwrap();
    assert_eq!(verify(archive).unwrap().lost, 30);
    bench.transport = Transport::Rest;
    let back = bench.restore(archive, "Copy").await.unwrap();
    assert_eq!((back.exit_code, back.tally.accepted), (3, 120), "{back:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_were_woken_are_not_counted_where_they_were_read() {
    let (mut bench, _) = misled(0, Store::new()).await;
    let store = bench.sandbox.store().clone();
    store.restore(&Store::new().snapshot());
    let mut definition = sample_definition("Article");
    definition["multiTenancyConfig"] = json!({"enabled": true});
    store.create(&definition).unwrap();
    for tenant in ["amber", "blue"] {
        store.add_tenant("Article", tenant, Activity::Hot);
    }
    store.fill("Article", 40, 4, 1);
    // There both are awake, and one lacks an object.
    let other = Sandbox::start_with(Settings::default(), copy_of(&bench));
    let other = other.await.unwrap();
    let one = json!({"class": "Article", "tenant": "blue", "id": Uuid::from_u128(7)});
    let (address, body) = (bench.sandbox.addr(), json!({"objects": [one]}).to_string());
    let stored = tokio::task::spawn_blocking(move || post(address, "/v1/batch/objects", &body));
    assert!(stored.await.unwrap().contains("SUCCESS"));
    store.set_activity("Article", "blue", Activity::Cold);
    (bench.grpc_url, bench.transport) = (other.grpc_url(), Transport::Grpc);
    // The server tells its time in seconds: what is there must be older than the backup.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let mut request = bench.backup_request();
    request.inactive = Inactive::Wake;
    let saved = backup(&bench.session("backup"), &request).await.unwrap();
    let end = (saved.exit_code, saved.tally.accepted);
    assert_eq!(end, (13, 40), "{saved:?}");
}
