//! A server on which GraphQL is switched off: every job does there what it does elsewhere, over gRPC and over REST.

use std::path::Path;

use elysiactl::commands::{
    ClearMethod, ClearRequest, DiffRequest, End, Inactive, backup, clear, diff, list_collections,
    plan_clear, restore, verify_live,
};
use elysiactl::model::CollectionName;
use elysiactl::sandbox::{Activity, Fault, Rule, Settings, When, sample_definition};
use elysiactl::weaviate::Transport;
use serde_json::json;

use crate::bench::{Bench, shown, status};
use crate::common::clear_request;

const EVERY: [Transport; 3] = [Transport::Rest, Transport::Auto, Transport::Grpc];
const TENANTS: [&str; 5] = ["amber", "blue", "coral", "dun", "empty"];

fn settings() -> Settings {
    Settings {
        graphql: false,
        ..Settings::default()
    }
}

async fn plain(transport: Transport) -> Bench {
    let mut bench = Bench::empty(settings(), 2).await;
    bench.transport = transport;
    bench.sandbox.store().fill("Article", 250, 4, 1);
    bench
}

/// Four tenants of 30 objects, one of them inactive, and an empty one.
async fn with_tenants(transport: Transport) -> Bench {
    let mut bench = Bench::empty(settings(), 2).await;
    bench.transport = transport;
    let store = bench.sandbox.store();
    let mut definition = sample_definition("Article");
    definition["multiTenancyConfig"] = json!({"enabled": true});
    store.create(&definition).unwrap();
    for tenant in &TENANTS[..4] {
        store.add_tenant("Article", tenant, Activity::Hot);
    }
    store.fill("Article", 120, 4, 1);
    store.add_tenant("Article", TENANTS[4], Activity::Hot);
    store.set_activity("Article", "dun", Activity::Cold);
    bench
}

/// By which way it was counted, and whether that was said.
fn assert_counted(bench: &Bench, what: &str) {
    let warnings = bench.told.warnings();
    let is_told = warnings
        .iter()
        .any(|words| words.contains("counted by listing"));
    let over_rest = bench.transport == Transport::Rest;
    assert_eq!(is_told, over_rest, "{what}: {warnings:?}");
    let calls = bench.sandbox.count_calls("Aggregate");
    assert_eq!(calls == 0, over_rest, "{what}: {calls} calls");
    assert_eq!(bench.told.retries(), [], "{what}");
}

fn end(bench: &Bench, name: &str) -> End {
    End::Collection {
        connection: Box::new(bench.connection()),
        name: CollectionName::parse(name).unwrap(),
    }
}

/// That the collection, its archive and its copy are alike, as far as no tenant must be woken for it.
async fn assert_alike(bench: &Bench, archive: &Path, objects: u64, what: &str) {
    let request = DiffRequest {
        one: end(bench, "Article"),
        two: end(bench, "Copy"),
        limit: 10,
        skip_inactive: true,
    };
    let copied = diff(&bench.session("diff"), &request).await.unwrap();
    let session = bench.session("live");
    let article = end(bench, "Article");
    let live = verify_live(&session, archive, &article, true, 10);
    for compared in [copied, live.await.unwrap()] {
        assert_eq!(compared.counts.objects(), 0, "{what}: {compared:?}");
        assert_eq!(compared.two.objects, objects, "{what}: {compared:?}");
        assert_eq!(compared.notes, [""; 0], "{what}");
    }
}

async fn assert_cleared(bench: &Bench, name: &str, method: ClearMethod, tenants: &[&str]) {
    let request = ClearRequest {
        method,
        tenants: tenants.iter().map(|name| (*name).to_owned()).collect(),
        ..clear_request(&bench.connection(), name)
    };
    let session = bench.session("clear");
    let plan = plan_clear(&session, &request).await.unwrap();
    let cleared = clear(&session, &request, plan).await.unwrap();
    assert_eq!(cleared.exit_code, 0, "{method:?}: {cleared:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verb_does_its_work() {
    for transport in EVERY {
        let bench = plain(transport).await;
        let what = format!("{transport:?}");
        let mut request = bench.backup_request();
        request.verify = true;
        let saved = backup(&bench.session("backup"), &request).await.unwrap();
        assert_eq!((saved.exit_code, saved.tally.accepted), (0, 250), "{what}");
        let archive = saved.archive.unwrap();
        let mut request = bench.restore_request(&archive, "Copy");
        request.verify = true;
        let back = restore(&bench.session("back"), &request).await.unwrap();
        assert_eq!((back.exit_code, back.tally.accepted), (0, 250), "{what}");
        assert_alike(&bench, &archive, 250, &what).await;
        for (name, method) in [
            ("Article", ClearMethod::ById),
            ("Copy", ClearMethod::Recreate),
        ] {
            assert_cleared(&bench, name, method, &[]).await;
            assert_eq!(bench.sandbox.store().count(name), 0, "{what}");
        }
        assert_counted(&bench, &what);
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verb_does_its_work_with_tenants() {
    for transport in EVERY {
        let bench = with_tenants(transport).await;
        let store = bench.sandbox.store();
        let (what, before) = (format!("{transport:?}"), store.tenants("Article"));
        let mut request = bench.backup_request();
        request.inactive = Inactive::Wake;
        let saved = backup(&bench.session("backup"), &request).await.unwrap();
        assert_eq!((saved.exit_code, saved.tally.accepted), (0, 120), "{what}");
        assert_eq!(store.tenants("Article"), before, "{what}");
        let archive = saved.archive.unwrap();
        let back = bench.restore(&archive, "Copy").await.unwrap();
        assert_eq!((back.exit_code, back.tally.accepted), (0, 120), "{what}");
        assert_eq!(store.tenants("Copy"), before, "{what}");
        assert_alike(&bench, &archive, 90, &what).await;
        assert_cleared(&bench, "Article", ClearMethod::ById, &["blue", "empty"]).await;
        assert_eq!(store.count("Article"), 90, "{what}");
        assert_cleared(&bench, "Copy", ClearMethod::Recreate, &[]).await;
        assert_eq!(store.count("Copy"), 0, "{what}");
        assert_counted(&bench, &what);
        let told = bench.sandbox.count_calls("TenantsGet");
        assert_eq!(told == 0, transport == Transport::Rest, "{what}");
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_tells_every_count() {
    for transport in EVERY {
        let bench = with_tenants(transport).await;
        bench.sandbox.store().fill("Boat", 40, 4, 1);
        let session = bench.session("list");
        let rows = list_collections(&session, &bench.connection()).await;
        let counts: Vec<_> = rows.unwrap().into_iter().map(|row| row.count).collect();
        assert_eq!(counts, [Some(90), Some(40)], "{transport:?}");
        assert_counted(&bench, &format!("{transport:?}"));
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passing_fault_of_a_count_or_of_states_is_tried_again() {
    let faults = [
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Truncate(0),
        Fault::Truncate(3),
        Fault::EmptyBefore,
        Fault::EmptyAfter,
        Fault::Stall(None),
        status(500),
        status(503),
        status(504),
        Fault::Proxy {
            status: 502,
            body: "<html>".to_owned(),
        },
    ];
    for (method, fault) in ["Aggregate", "TenantsGet"]
        .into_iter()
        .flat_map(|method| faults.iter().map(move |fault| (method, fault)))
    {
        let what = format!("{method}: {fault:?}");
        let mut bench = with_tenants(Transport::Auto).await;
        bench.time_out = std::time::Duration::from_millis(400);
        let before = bench.sandbox.store().tenants("Article");
        let rule = Rule::grpc(method, When::Nth(1..=2), fault.clone());
        let rule = bench.sandbox.faults().add(rule);
        let mut request = bench.backup_request();
        request.inactive = Inactive::Wake;
        let saved = backup(&bench.session("backup"), &request).await;
        let saved = saved.unwrap_or_else(|error| panic!("{what}: {}", shown(&error)));
        assert_eq!((saved.exit_code, saved.tally.accepted), (0, 120), "{what}");
        assert_eq!(bench.struck(rule), 2, "{what}");
        assert!(!bench.told.retries().is_empty(), "{what}");
        assert_eq!(bench.sandbox.store().tenants("Article"), before, "{what}");
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_object_is_named_over_grpc() {
    let bench = plain(Transport::Grpc).await;
    let id = bench.ids()[60];
    bench.sandbox.faults().make_unreadable(id);
    let saved = bench.back_up().await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.rejected), (3, 1), "{saved:?}");
    assert_eq!(bench.rejects("backup")[0].0, id.to_string());
    bench.sandbox.stop().await;
}
