//! Objects deleted one batch after another.

use elysiactl::commands::ClearMethod;
use elysiactl::error::Kind;
use elysiactl::sandbox::{Activity, Fault, Settings, Store, When, sample_id};
use elysiactl::weaviate::Transport;
use serde_json::json;

use crate::bench::{
    Bench, NAME, OBJECTS, filled, make_with_tenants, refusal, wait_for_the_next_second,
};
use crate::common::post;

const BATCHES: (&str, &str) = ("DELETE", "/v1/batch/objects");
const ONE: (&str, &str) = ("DELETE", "/v1/objects/Article/");

async fn by_id() -> Bench {
    Bench::plain().await.by(ClearMethod::ById)
}

/// One more object, whose id the index spells in upper case.
async fn add_in_upper_case(bench: &Bench) {
    let id = sample_id(NAME, 5, 0).to_string().to_uppercase();
    let object = json!({"class": NAME, "id": id, "properties": {"title": "x"}});
    let (address, body) = (
        bench.sandbox.addr(),
        json!({"objects": [object]}).to_string(),
    );
    let reply = tokio::task::spawn_blocking(move || post(address, "/v1/batch/objects", &body));
    assert!(reply.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_objects_than_a_page_may_hold_are_all_deleted() {
    let settings = Settings {
        query_maximum_results: 30,
        ..Settings::default()
    };
    let mut bench = Bench::of(filled(), settings).await.by(ClearMethod::ById);
    let shards = bench.store().shards(NAME);
    for (transport, batch_size) in [
        (Transport::Rest, None),
        (Transport::Rest, Some(100)),
        (Transport::Grpc, None),
        (Transport::Grpc, Some(100)),
    ] {
        bench.request.connection.transport = transport;
        bench.store().fill(NAME, OBJECTS, 8, 1);
        let mut session = bench.session();
        session.tuning.batch_size = batch_size;
        let outcome = bench.clear_in(&session).await.unwrap();
        assert_eq!(
            (outcome.exit_code, outcome.tally.accepted),
            (0, OBJECTS as u64)
        );
        assert_eq!(bench.store().count(NAME), 0);
    }
    assert_eq!(
        bench.store().shards(NAME),
        shards,
        "the collection was made anew"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_during_the_clear_is_left_and_counted() {
    let bench = by_id().await;
    bench.once(BATCHES, true, |_, _| wait_for_the_next_second());
    let store = bench.store().clone();
    bench.sandbox.on_request(move |request| {
        let is_last_count = request.path == "/v1/graphql" && store.count(NAME) == 0;
        if is_last_count && request.status.is_none() {
            store.fill(NAME, 5, 8, 99);
        }
    });
    let outcome = bench.clear().await.unwrap();
    assert_eq!((outcome.exit_code, bench.store().count(NAME)), (3, 5));
    assert!(
        outcome.notes[0].contains("5 objects were created since"),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_the_index_spells_in_upper_case_is_deleted_singly() {
    for transport in [Transport::Rest, Transport::Grpc] {
        let mut bench = by_id().await;
        bench.request.connection.transport = transport;
        add_in_upper_case(&bench).await;
        assert_eq!(bench.store().count(NAME), OBJECTS + 1);
        assert_eq!(bench.clear().await.unwrap().exit_code, 0);
        assert_eq!(bench.store().count(NAME), 0);
        assert_eq!(bench.sandbox.count(ONE.0, ONE.1), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_deleted_is_counted() {
    let bench = by_id().await;
    add_in_upper_case(&bench).await;
    bench.strike(ONE, When::Always, refusal(500));
    let outcome = bench.clear().await.unwrap();
    assert_eq!((outcome.exit_code, bench.store().count(NAME)), (3, 1));
    assert!(
        outcome.notes[0].contains("1 objects cannot be deleted"),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_deleted_at_once_is_deleted_object_by_object() {
    let bench = by_id().await;
    bench.strike(BATCHES, When::Always, refusal(500));
    let outcome = bench.clear().await.unwrap();
    assert_eq!((outcome.exit_code, bench.store().count(NAME)), (0, 0));
    let (batches, singly) = (
        bench.sandbox.count(BATCHES.0, BATCHES.1),
        bench.sandbox.count(ONE.0, ONE.1),
    );
    assert_eq!(batches as u64, 3 * outcome.tally.batches);
    assert_eq!(singly, OBJECTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_no_writes_stops_the_job_and_a_resume_goes_on() {
    let bench = by_id().await;
    bench.store().set_read_only(NAME, true);
    let mut session = bench.session();
    session.policy.patience = Some(std::time::Duration::from_millis(50));
    let error = bench.clear_in(&session).await.unwrap_err();
    assert_eq!(
        (error.kind(), bench.store().count(NAME)),
        (Kind::Exhausted, OBJECTS)
    );
    bench.store().set_read_only(NAME, false);
    assert_eq!(bench.clear().await.unwrap().exit_code, 0);
    assert_eq!(bench.store().count(NAME), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_replies_to_a_batch_change_nothing() {
    for fault in [
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::EmptyAfter,
        Fault::EmptyBefore,
    ] {
        let bench = by_id().await;
        bench.strike(BATCHES, When::Every(2), fault.clone());
        let outcome = bench.clear().await.unwrap();
        assert_eq!(
            (
                outcome.exit_code,
                outcome.tally.accepted,
                bench.store().count(NAME)
            ),
            (0, OBJECTS as u64, 0),
            "{fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_chosen_tenant_is_emptied() {
    let mut bench = Bench::with_tenants().await;
    let (shape, before) = (bench.shape(), bench.store().dump(NAME));
    bench.request.tenants = vec!["a".to_owned()];
    assert_eq!(bench.clear().await.unwrap().exit_code, 0);
    let rest: Vec<_> = before
        .into_iter()
        .filter(|object| object.tenant != "a")
        .collect();
    assert!(bench.store().dump(NAME) == rest);
    assert_eq!(bench.shape(), shape);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_tenant_that_sleeps_or_is_unknown_is_refused() {
    let mut bench = Bench::with_tenants().await;
    let shape = bench.shape();
    for (tenant, kind) in [("b", Kind::TargetRefused), ("z", Kind::NotFound)] {
        bench.request.tenants = vec![tenant.to_owned()];
        assert_eq!(bench.kind().await, kind);
    }
    assert_eq!((bench.shape(), bench.store().count(NAME)), (shape, OBJECTS));
    assert_eq!(bench.jobs().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_a_later_life_of_the_collection_are_not_deleted_by_a_resume() {
    for tenants in [false, true] {
        let mut bench = match tenants {
            false => by_id().await,
            true => Bench::with_tenants().await,
        };
        if tenants {
            bench.request.tenants = vec!["a".to_owned(), "c".to_owned()];
        }
        bench.break_at(BATCHES, 1).await;
        wait_for_the_next_second();
        bench.made_anew_by_somebody();
        let theirs = bench.store().dump(NAME);
        assert_eq!(bench.kind().await, Kind::Mismatch);
        assert!(bench.store().dump(NAME) == theirs);
        assert_eq!(bench.restart().await.unwrap().exit_code, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_deleted_meanwhile_is_cleared() {
    let store = Store::new();
    make_with_tenants(&store);
    for tenant in store.tenants(NAME).keys() {
        store.set_activity(NAME, tenant, Activity::Hot);
    }
    let bench = Bench::of(store, Settings::default()).await;
    let bench = bench.by(ClearMethod::ById);
    let last = (BATCHES.0, "/v1/batch/objects?tenant=c");
    bench.once(last, false, |store, _| store.remove_tenant(NAME, "c"));
    let mut session = bench.session();
    session.tuning.workers = Some(1);
    let stopped = bench.clear_in(&session).await;
    assert!(stopped.is_err() || stopped.unwrap().exit_code == 0);
    assert_eq!(bench.clear_in(&session).await.unwrap().exit_code, 0);
    assert_eq!(bench.store().count(NAME), 0);
}
