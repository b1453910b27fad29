//! A server that was started anew answers before its collections are loaded: what it does not find then is not gone.

use axum::body::Body;
use axum::http::Response;
use elysiactl::commands::{ClearMethod, clear, plan_clear};
use elysiactl::sandbox::{Fault, Rule, When};

use crate::bench::{Bench, CALLS, PAGES, SEARCHES, shown, status};
use crate::common::clear_request;
use crate::middleman::put_between;

const READY: (&str, &str) = ("GET", "/v1/.well-known/ready");

fn unknown_class() -> Response<Body> {
    Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", 2)
        .header("grpc-message", "could not find class Article in schema")
        .body(Body::empty())
        .unwrap()
}

/// Not found, without a word.
fn not_found() -> Fault {
    Fault::Status {
        status: 404,
        retry_after: None,
        body: String::new(),
    }
}

fn assert_waited(bench: &Bench) {
    let retries = bench.told.retries();
    let has_waited = retries.iter().any(|(_, why)| why.contains("is not ready"));
    assert!(has_waited, "{retries:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_grpc_does_not_find_before_the_server_is_ready_is_asked_for_again() {
    for path in [SEARCHES.1, CALLS.1] {
        let mut bench = Bench::with(300, 1).await.over_grpc();
        let archive = bench.archive().await;
        let faults = bench.sandbox.faults().clone();
        put_between(&mut bench, path, move |number| {
            (number == 3).then(|| {
                let (method, path) = READY;
                faults.add(Rule::new(method, path, When::Nth(1..=3), status(503)));
                unknown_class()
            })
        })
        .await;
        if path == SEARCHES.1 {
            let saved = bench.back_up().await.unwrap();
            bench.grpc_url = bench.sandbox.grpc_url();
            bench.assert_archived(&saved, &[], path).await;
        } else {
            let back = bench.restore(&archive, "Copy").await;
            let back = back.unwrap_or_else(|error| panic!("{}", shown(&error)));
            assert_eq!((back.exit_code, back.tally.accepted), (0, 300));
            bench.assert_equal("Copy", &[], path);
        }
        assert_waited(&bench);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rest_does_not_find_before_the_server_is_ready_is_asked_for_again() {
    for kind in [PAGES, ("GET", "/v1/schema/Article")] {
        let bench = Bench::with(300, 1).await;
        bench.strike(kind, When::Nth(2..=2), not_found());
        // The first is that of a start.
        bench.strike(READY, When::Nth(2..=4), status(503));
        let saved = bench.back_up().await.unwrap();
        bench.assert_archived(&saved, &[], kind.1).await;
        assert_waited(&bench);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_that_is_not_loaded_yet_is_cleared_and_not_called_another() {
    let bench = Bench::with(300, 1).await;
    let mut request = clear_request(&bench.connection(), "Article");
    request.method = ClearMethod::ById;
    let session = bench.session("clear");
    let plan = plan_clear(&session, &request).await.unwrap();
    bench.strike(("GET", "/v1/schema/Article"), When::Nth(1..=1), not_found());
    bench.strike(READY, When::Nth(1..=3), status(503));
    let cleared = clear(&session, &request, plan).await;
    let cleared = cleared.unwrap_or_else(|error| panic!("{}", shown(&error)));
    assert_eq!(cleared.exit_code, 0, "{cleared:?}");
    assert!(bench.sandbox.store().dump("Article").is_empty());
    assert_waited(&bench);
}

/// What the nodes of a cluster say of themselves; the second is asked by the first.
fn nodes(second: &str) -> Fault {
    let first = r#"{"name":"node1","status":"UNHEALTHY","ready":true,"dbLoaded":true}"#;
    Fault::Status {
        status: 200,
        retry_after: None,
        body: format!(r#"{{"statistics":[{first},{second}],"synchronized":false}}"#),
    }
}

const STATISTICS: (&str, &str) = ("GET", "/v1/cluster/statistics");

/// Such as one with a member that is down, or a module that does not answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_never_ready_and_has_loaded_all_is_worked_with() {
    let bench = Bench::with(300, 1).await;
    bench.strike(READY, When::Always, status(503));
    let away = r#"{"name":"node2","status":"UNAVAILABLE"}"#;
    let asked = bench.strike(STATISTICS, When::Always, nodes(away));
    // What it refuses is believed, too: it is not waited for the collection that is to be made.
    let saved = bench.back_up().await.unwrap();
    let archive = saved.archive.clone().unwrap();
    let back = bench.restore(&archive, "Copy").await;
    let back = back.unwrap_or_else(|error| panic!("{}", shown(&error)));
    assert_eq!((back.exit_code, back.tally.accepted), (0, 300));
    assert!(bench.struck(asked) > 0);
    assert_eq!(bench.told.retries(), []);
    bench.assert_archived(&saved, &[], "never ready").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_still_loading_is_not_believed_whatever_the_others_say() {
    let mut bench = Bench::with(300, 1).await;
    bench.patience = std::time::Duration::from_millis(50);
    bench.strike(READY, When::Always, status(503));
    for loading in [
        r#"{"name":"node2","status":"HEALTHY"}"#,
        r#"{"name":"node2","status":"HEALTHY","dbLoaded":true}"#,
    ] {
        bench.strike(STATISTICS, When::Always, nodes(loading));
        let error = bench.back_up().await.unwrap_err();
        assert_eq!(error.kind(), elysiactl::error::Kind::Exhausted, "{error}");
        assert!(error.message().contains("is not ready"), "{error}");
    }
}
