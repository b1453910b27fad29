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
