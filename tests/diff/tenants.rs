//! Many tenants: they are read several at a time, and compared as if they were read one after another.

use std::time::Duration;

use elysiactl::archive::Format;
use elysiactl::commands::{Change, Comparison, Difference, End, diff, verify_live};
use elysiactl::error::{Kind, Result};
use elysiactl::format::{Codec, Part};
use elysiactl::model::CollectionName;
use elysiactl::sandbox::{Activity, Fault, Rule, Store, When};
use serde_json::{Value, json};

use crate::bench::*;

const TENANTS: u32 = 70;
/// In more than one page.
const LARGE: u32 = 400;

fn tenant(at: u32) -> String {
    format!("t{at:03}")
}

/// One in the middle is large, some are empty.
fn size(at: u32) -> u32 {
    match at {
        30 => LARGE,
        _ => at % 7,
    }
}

fn objects(at: u32) -> Vec<Value> {
    of_tenant(&tenant(at), 0..size(at))
}

fn total() -> u64 {
    (0..TENANTS).map(size).map(u64::from).sum()
}

/// `One` and `Two` with all these tenants.
async fn many() -> Bench {
    let store = Store::new();
    for name in NAMES {
        let mut definition = definition(name);
        definition["multiTenancyConfig"] = json!({"enabled": true});
        store.create(&definition).unwrap();
        for at in 0..TENANTS {
            store.add_tenant(name, &tenant(at), Activity::Hot);
        }
    }
    let bench = Bench::around(store).await;
    let all: Vec<Value> = (0..TENANTS).flat_map(objects).collect();
    for name in NAMES {
        bench.write(name, &all).await;
    }
    bench
}

/// With gRPC, which reads them.
fn live(bench: &Bench, name: &str) -> End {
    End::Collection {
        connection: Box::new(bench.sandbox.connection()),
        name: CollectionName::parse(name).unwrap(),
    }
}

async fn compared(bench: &Bench) -> Result<Comparison> {
    bench.diff(live(bench, "One"), live(bench, "Two")).await
}

async fn delete(bench: &Bench, collection: &str, at: u32, number: u32) {
    let id = object(number)["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/objects/{collection}/{id}?tenant={}", tenant(at));
    bench.call("DELETE", &path, "").await;
}

/// The first that holds objects, the large one, the one behind it, and the last.
const PLACES: [u32; 4] = [1, 30, 31, TENANTS - 1];

#[track_caller]
fn named(found: &Comparison, at: u32, number: u32) -> (Change, Vec<Part>) {
    match only(found) {
        Difference::Object {
            key, change, parts, ..
        } => {
            assert_eq!(key.tenant.as_str(), tenant(at));
            assert_eq!(
                key.id.to_string(),
                object(number)["id"].as_str().unwrap_or_default()
            );
            (*change, parts.clone())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_tenants_of_every_size_are_identical() {
    let bench = many().await;
    assert_identical(&compared(&bench).await.unwrap(), total());
    let (one, two) = (bench.live("One"), bench.live("Two"));
    assert_identical(&bench.diff(one, two).await.unwrap(), total());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_missing_is_named_whichever_tenant_it_is_in() {
    let bench = many().await;
    let alike = bench.store().snapshot();
    for at in PLACES {
        bench.store().restore(&alike);
        let number = size(at) - 1;
        delete(&bench, "Two", at, number).await;
        let found = compared(&bench).await.unwrap();
        assert_eq!(named(&found, at, number).0, Change::Missing);
        assert_eq!(found.one.objects, total());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_too_many_is_named_whichever_tenant_it_is_in() {
    let bench = many().await;
    let alike = bench.store().snapshot();
    for at in PLACES {
        bench.store().restore(&alike);
        let number = size(at);
        let more = of_tenant(&tenant(at), number..number + 1);
        bench.write("Two", &more).await;
        let found = compared(&bench).await.unwrap();
        assert_eq!(named(&found, at, number).0, Change::Extra);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_differs_is_named_with_its_part_whichever_tenant_it_is_in() {
    let bench = many().await;
    let alike = bench.store().snapshot();
    for at in PLACES {
        bench.store().restore(&alike);
        let mut changed = of_tenant(&tenant(at), 0..1);
        changed[0]["vectors"]["a"] = json!([0.1, 0, 0.5]);
        bench.write("Two", &changed).await;
        let found = compared(&bench).await.unwrap();
        let (change, parts) = named(&found, at, 0);
        assert_eq!((change, parts.len()), (Change::Different, 1));
        assert!(
            matches!(parts[0], Part::VectorNumber { index: 2, .. }),
            "{parts:?}"
        );
    }
}

/// One request waits until three more were made beside it; one after another they would wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_requests_for_tenants_of_one_collection_are_made_at_once() {
    let bench = many().await;
    let path = bench.back_up("One", Format::Jsonl, Codec::Zstd).await;
    let faults = bench.sandbox.faults().clone();
    // Before the first tenant is read, gRPC is asked where it leads.
    let stalls = (8..=10).map(|nth| Rule::grpc("Search", When::Nth(nth..=nth), Fault::Stall(None)));
    let stalled: Vec<usize> = stalls.map(|rule| faults.add(rule)).collect();
    let last = *stalled.last().unwrap();
    bench.sandbox.on_request(move |request| {
        if request.path.ends_with("/Search") && request.status.is_none() && faults.struck(last) > 0
        {
            faults.release();
        }
    });
    let end = live(&bench, "One");
    let session = bench.session();
    let verified = verify_live(&session, &path, &end, false, 10);
    let found = tokio::time::timeout(Duration::from_secs(60), verified).await;
    assert_identical(&found.unwrap().unwrap(), total());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_lost_among_many_tenants_change_nothing() {
    let bench = many().await;
    let faults = bench.sandbox.faults();
    let mut rules = Vec::new();
    for (every, fault) in [
        (11, Fault::ResetAfter),
        (13, Fault::Truncate(200)),
        (17, Fault::ResetBefore),
        (19, Fault::EmptyAfter),
    ] {
        rules.push(faults.add(Rule::grpc("Search", When::Every(every), fault)));
    }
    assert_identical(&compared(&bench).await.unwrap(), total());
    assert!(rules.into_iter().all(|rule| faults.struck(rule) > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_gives_no_more_pages_in_the_middle_of_many_tenants_is_no_difference() {
    let bench = many().await;
    let gone = Rule::grpc("Search", When::Nth(60..=u64::MAX), Fault::ResetBefore);
    bench.sandbox.faults().add(gone);
    let mut session = bench.session();
    session.policy.patience = Some(Duration::from_millis(50));
    let request = request(live(&bench, "One"), live(&bench, "Two"));
    let error = diff(&session, &request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_cannot_be_read_is_counted_once_among_many_tenants() {
    let bench = many().await;
    // Of the large tenant alone.
    let unreadable = object(LARGE / 2)["id"].as_str().unwrap().parse().unwrap();
    bench.sandbox.faults().make_unreadable(unreadable);
    let found = compared(&bench).await.unwrap();
    assert_eq!(found.counts.unreadable, 1, "{found:?}");
    assert_eq!(found.counts.differences(), 0, "{found:?}");
    assert_eq!(found.one.objects, total() - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_falls_asleep_while_many_are_read_is_no_difference() {
    let bench = many().await;
    let store = bench.store().clone();
    let asked = std::sync::atomic::AtomicU32::new(0);
    bench.sandbox.on_request(move |request| {
        let is_asked = request.path.ends_with("/Search") && request.status.is_none();
        if is_asked && asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 20 {
            store.set_activity("One", &tenant(TENANTS - 1), Activity::Cold);
        }
    });
    let error = compared(&bench).await.unwrap_err();
    assert_eq!(error.kind(), Kind::SourceRefused, "{error:?}");
}
