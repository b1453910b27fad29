//! What goes wrong while two ends are read.

use elysiactl::error::Kind;
use elysiactl::sandbox::{Fault, Rule, Store, When};

use crate::bench::*;

/// `One` with 3,000 objects in several pages, against itself.
async fn large() -> Bench {
    let store = Store::new();
    store.fill("One", 3_000, 16, 1);
    Bench::around(store).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_lost_again_and_again_change_nothing() {
    let bench = large().await;
    let faults = bench.sandbox.faults();
    let mut rules = Vec::new();
    for (every, fault) in [
        (3, Fault::ResetAfter),
        (4, Fault::Truncate(2_000)),
        (5, Fault::ResetBefore),
        (7, Fault::EmptyAfter),
    ] {
        rules.push(faults.add(Rule::new("GET", "/v1/objects", When::Every(every), fault)));
    }
    let found = bench
        .diff(bench.live("One"), bench.live("One"))
        .await
        .unwrap();
    assert_identical(&found, 3_000);
    assert!(rules.into_iter().all(|rule| faults.struck(rule) > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_for_good_is_no_difference() {
    let bench = large().await;
    bench.sandbox.faults().add(Rule::new(
        "GET",
        "/v1/objects",
        When::Nth(4..=u64::MAX),
        Fault::ResetBefore,
    ));
    let mut session = bench.session();
    session.policy.patience = Some(std::time::Duration::from_millis(50));
    let request = request(bench.live("One"), bench.live("One"));
    let error = elysiactl::commands::diff(&session, &request)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_that_is_made_anew_while_it_is_read_is_not_compared() {
    let bench = large().await;
    let store = bench.store().clone();
    let is_done = std::sync::Mutex::new(false);
    bench.sandbox.on_request(move |request| {
        let mut is_done = is_done.lock().unwrap();
        if request.status.is_none() && request.path.starts_with("/v1/objects") && !*is_done {
            *is_done = true;
            let (snapshot, other) = (store.snapshot(), Store::new());
            other.fill("One", 3_000, 16, 1);
            drop(snapshot);
            store.restore(&other.snapshot());
        }
    });
    let error = bench
        .diff(bench.live("One"), bench.live("One"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::SourceRefused, "{error:?}");
}
