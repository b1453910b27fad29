//! What ends a run: refusals, a collection that is not the same any more, patience. Everything is kept, and resumed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use elysiactl::commands::restore;
use elysiactl::error::Kind;
use elysiactl::sandbox::{Fault, Rule, Sandbox, Settings, UsageLimits, When, sample_definition};
use elysiactl::weaviate::{Client, Connection, Role};
use serde_json::json;

use crate::bench::{BATCHES, Bench, PAGES, shown, status};
use crate::passing::Wire;

/// Calls `act` when the request of this number and kind arrives.
fn at_request(
    sandbox: &Sandbox,
    kind: (&'static str, &'static str),
    number: u64,
    act: impl Fn() + Send + Sync + 'static,
) {
    let arrived = AtomicU64::new(0);
    sandbox.on_request(move |request| {
        let is_one = request.status.is_none()
            && request.method == kind.0
            && request.path.starts_with(kind.1);
        if is_one && arrived.fetch_add(1, Ordering::Relaxed) + 1 == number {
            act();
        }
    });
}

/// Something is done, then `break_down` lets nothing work any more.
pub async fn ends_exhausted_and_is_resumed(
    mut bench: Bench,
    wire: Wire,
    break_down: impl Fn(&Bench, (&'static str, &'static str), &str),
) {
    let archive = bench.archive().await;
    bench.patience = Duration::from_millis(250);
    for (kind, name) in wire.kinds().into_iter().zip(["backup", "Copy"]) {
        let began = bench.told.committed();
        break_down(&bench, kind, name);
        let run = async || match name {
            "backup" => bench.back_up().await,
            _ => bench.restore(&archive, "Copy").await,
        };
        let error = run().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Exhausted, "{}", shown(&error));
        let hint = error.hint().unwrap();
        assert!(hint.contains("jobs resume"), "{}", shown(&error));
        assert!(bench.told.committed() > began, "{name}: nothing was kept");
        assert!(bench.rejects(name).is_empty(), "{name}");
        bench.sandbox.faults().clear();
        let finished = run().await.unwrap();
        let end = (finished.exit_code, finished.tally.accepted);
        assert_eq!(end, (0, 250), "{name}");
        if name == "backup" {
            bench.assert_archived(&finished, &[], "resumed").await;
        }
    }
    bench.assert_equal("Copy", &[], "resumed");
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_server_ends_both_verbs_as_exhausted_and_a_resume_finishes() {
    for workers in [1, 4] {
        let broken = |bench: &Bench, kind, name: &str| {
            let faults = bench.sandbox.faults().clone();
            let number = if name == "backup" { 4 } else { 3 };
            at_request(&bench.sandbox, kind, number, move || {
                faults.add(Rule::any(When::Always, status(500)));
            });
        };
        let bench = Bench::with(250, workers).await;
        ends_exhausted_and_is_resumed(bench, Wire::Rest, broken).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_ends_as_exhausted() {
    let mut bench = Bench::with(10, 1).await;
    let archive = bench.archive().await;
    bench.patience = Duration::from_millis(50);
    bench.sandbox.restart(Duration::from_secs(3600));
    for error in [
        bench.back_up().await.unwrap_err(),
        bench.restore(&archive, "Copy").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Exhausted);
        assert!(
            error
                .message()
                .starts_with("cannot reach Weaviate at http://127.0.0.1"),
            "{error}"
        );
    }
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_withdrawn_in_the_middle_ends_the_run_and_what_is_done_is_kept() {
    // The first call of a run over gRPC is one of comparison.
    for (wire, number) in [(Wire::Rest, 3), (Wire::Grpc, 4)] {
        let settings = Settings {
            api_key: Some("sesame".to_owned()),
            ..Settings::default()
        };
        let bench = wire.over(Bench::empty(settings, 1).await);
        bench.sandbox.store().fill("Article", 250, 4, 1);
        let archive = bench.archive().await;
        let withdrawn = When::Nth(number..=number);
        let strike = |kind| bench.strike(kind, withdrawn.clone(), status(401));
        let rules = wire.kinds().map(strike);
        for error in [
            bench.back_up().await.unwrap_err(),
            bench.restore(&archive, "Copy").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Unauthorised, "{}", shown(&error));
            let kept = error.kept().unwrap();
            assert!(kept.starts_with("100 of 250"), "{}", shown(&error));
            assert!(!shown(&error).contains("sesame"));
        }
        assert_eq!(rules.map(|rule| bench.struck(rule)), [1, 1]);
        assert_eq!(bench.told.retries(), [], "a refused key is not tried again");
        let saved = bench.back_up().await.unwrap();
        let back = bench.restore(&archive, "Copy").await.unwrap();
        assert_eq!((saved.tally.accepted, back.tally.accepted), (250, 250));
        bench.assert_equal("Copy", &[], "with the key again");
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_usage_limit_is_not_tried_again() {
    let settings = Settings {
        usage_limits: UsageLimits {
            objects: Some(350),
            ..UsageLimits::default()
        },
        ..Settings::default()
    };
    let bench = Bench::empty(settings, 1).await;
    bench.sandbox.store().fill("Article", 250, 4, 1);
    let archive = bench.archive().await;
    let error = bench.restore(&archive, "Copy").await.unwrap_err();
    assert_eq!(error.kind(), Kind::TargetRefused, "{}", shown(&error));
    assert!(error.message().contains("usage limit"), "{error}");
    assert_eq!(bench.told.retries(), []);
    assert_eq!(
        bench.sandbox.count(BATCHES.0, BATCHES.1),
        3,
        "two were taken, one was refused"
    );
    assert!(bench.rejects("Copy").is_empty());
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_dropped_is_not_rebuilt_as_if_nothing_had_happened() {
    for (again, workers) in [(false, 1), (false, 4), (true, 1), (true, 4)] {
        let bench = Bench::with(250, workers).await;
        let archive = bench.archive().await;
        let (store, without) = (
            bench.sandbox.store().clone(),
            bench.sandbox.store().snapshot(),
        );
        at_request(&bench.sandbox, BATCHES, 3, move || {
            store.restore(&without);
            if again {
                store.create(&sample_definition("Copy")).unwrap();
            }
        });
        let error = bench.restore(&archive, "Copy").await.unwrap_err();
        assert_eq!(
            error.kind(),
            Kind::TargetRefused,
            "{again} {workers}: {}",
            shown(&error)
        );
        assert!(
            error.message().contains("since the job began"),
            "{}",
            shown(&error)
        );
        let error = bench.restore(&archive, "Copy").await.unwrap_err();
        assert_eq!(
            error.kind(),
            Kind::TargetRefused,
            "resumed: {}",
            shown(&error)
        );
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_dropped_or_made_anew_is_no_backup() {
    for (again, workers) in [(false, 1), (false, 4), (true, 1), (true, 4)] {
        let bench = Bench::with(250, workers).await;
        let store = bench.sandbox.store().clone();
        let nothing = elysiactl::sandbox::Store::new().snapshot();
        at_request(&bench.sandbox, PAGES, 3, move || {
            store.restore(&nothing);
            if again {
                store.fill("Article", 250, 4, 1);
            }
        });
        let error = bench.back_up().await.unwrap_err();
        assert_eq!(
            error.kind(),
            Kind::SourceRefused,
            "{again} {workers}: {}",
            shown(&error)
        );
        let path = bench.path().join("out");
        let seen: Vec<_> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(
            seen.iter()
                .all(|name| name.to_str().unwrap().starts_with('.')),
            "no archive has its final name: {seen:?}"
        );
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legacy_and_a_named_vector_are_made_though_the_second_step_fails_at_first() {
    for fault in [
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::EmptyBefore,
        Fault::EmptyAfter,
        status(503),
    ] {
        let bench = Bench::with(30, 1).await;
        let client = Client::new(&Connection::to(bench.sandbox.url()), Role::Target).unwrap();
        let mut definition = bench.sandbox.store().definition("Article").unwrap();
        definition["vectorConfig"] =
            json!({"named": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}});
        let name = bench.backup_request().collection;
        client.update(&name, &definition).await.unwrap();
        let archive = bench.archive().await;
        let rule = bench.strike(("PUT", "/v1/schema/Copy"), When::Nth(1..=1), fault.clone());
        let request = bench.restore_request(&archive, "Copy");
        let back = restore(&bench.session("restore"), &request).await;
        let back = back.unwrap_or_else(|error| panic!("{fault:?}: {}", shown(&error)));
        assert_eq!((back.exit_code, bench.struck(rule)), (0, 1), "{fault:?}");
        let made = bench.sandbox.store().definition("Copy").unwrap();
        assert!(made["vectorConfig"]["named"].is_object(), "{fault:?}");
        bench.assert_equal("Copy", &[], "legacy and named");
        bench.sandbox.stop().await;
    }
}
