//! What passes in its own time: refused connections, delays that the server names, a shard that is read-only for a while.

use std::time::Duration;

use elysiactl::sandbox::{Activity, Fault, When};

use crate::bench::{BATCHES, Bench, PAGES, status};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_connections_are_tried_until_the_server_is_back() {
    let mut bench = Bench::with(120, 1).await;
    let archive = bench.archive().await;
    let (saved, _) = tokio::join!(bench.back_up(), away_until_missed(&bench));
    let saved = saved.unwrap();
    assert_eq!((saved.exit_code, saved.tally.accepted), (0, 120));
    bench.told = Default::default();
    let (back, _) = tokio::join!(bench.restore(&archive, "Copy"), away_until_missed(&bench));
    let back = back.unwrap();
    assert_eq!((back.exit_code, back.tally.accepted), (0, 120));
    bench.assert_equal("Copy", &[], "after refused connections");
    bench.sandbox.stop().await;
}

/// The server is away when this is called first, and is back once somebody has tried to reach it again.
fn away_until_missed(bench: &Bench) -> impl Future<Output = ()> {
    bench.sandbox.restart(Duration::from_secs(3600));
    let told = bench.told.clone();
    async move {
        told.told_retry("cannot reach Weaviate").await;
        bench.sandbox.refuse_connections(Duration::ZERO);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_that_the_server_names_is_kept() {
    let bench = Bench::with(120, 1).await;
    let wait = |seconds| Fault::Status {
        status: 429,
        retry_after: Some(seconds),
        body: "{}".to_owned(),
    };
    let rule = bench.strike(PAGES, When::Nth(2..=2), wait(1));
    let began = std::time::Instant::now();
    let saved = bench.back_up().await.unwrap();
    assert_eq!((saved.exit_code, bench.struck(rule)), (0, 1));
    assert!(began.elapsed() >= Duration::from_secs(1));
    // Longer than anybody is patient: the run ends at once, and says so.
    bench.sandbox.faults().clear();
    let rule = bench.strike(PAGES, When::Nth(2..=2), wait(3_000));
    let error = bench.back_up().await.unwrap_err();
    assert_eq!((error.kind().exit_code(), bench.struck(rule)), (5, 1));
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_shard_is_waited_for_and_nothing_is_refused() {
    let bench = Bench::with(120, 1).await;
    let archive = bench.archive().await;
    let store = bench.sandbox.store().clone();
    let batches = std::sync::atomic::AtomicU64::new(0);
    bench.sandbox.on_request(move |request| {
        if (request.method.as_str(), request.path.as_str()) != BATCHES || request.status.is_some() {
            return;
        }
        match batches.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            1 => store.set_read_only("Copy", true),
            4 => store.set_read_only("Copy", false),
            _ => {}
        }
    });
    let back = bench.restore(&archive, "Copy").await.unwrap();
    let end = (back.exit_code, back.tally.accepted, back.tally.rejected);
    assert_eq!(end, (0, 120, 0));
    let retries = bench.told.retries();
    assert_eq!(retries.len(), 3, "{retries:?}");
    assert!(
        retries
            .iter()
            .all(|(_, why)| why.contains("store is read-only"))
    );
    bench.assert_equal("Copy", &[], "after a read-only shard");
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_for_a_place_to_split_that_always_fails_hinders_nobody() {
    let bench = Bench::with(400, 4).await;
    let probes = ("GET", "/v1/objects?class=Article&limit=1&");
    let rule = bench.strike(probes, When::Always, status(500));
    let saved = bench.back_up().await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.accepted), (0, 400));
    assert!(bench.struck(rule) > 0);
    bench.assert_archived(&saved, &[], "without splits").await;
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_empty_tenants_are_passed_though_every_third_request_fails() {
    let bench = Bench::with_everything().await;
    for number in 0..40 {
        let name = format!("empty{number}");
        bench
            .sandbox
            .store()
            .add_tenant("Article", &name, Activity::Hot);
    }
    let rule = bench.strike(("GET", "/v1/objects?"), When::Every(3), Fault::ResetBefore);
    let saved = bench.back_up().await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.accepted), (0, 24));
    assert!(bench.struck(rule) > 10);
    bench.assert_archived(&saved, &[], "with tenants").await;
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_retry_of_a_backup_is_counted_in_its_report_those_of_its_stages_too() {
    let bench = Bench::with(120, 1).await;
    let store = bench.sandbox.store().clone();
    let counted = std::sync::atomic::AtomicBool::new(false);
    // Somebody writes after the objects were counted, so that ids are compared in the end.
    bench.sandbox.on_request(move |request| {
        let is_page = request.path.starts_with(PAGES.1);
        if is_page && !counted.swap(true, std::sync::atomic::Ordering::SeqCst) {
            store.fill("Article", 5, 4, 77);
        }
    });
    for (kind, when) in [
        (PAGES, When::Nth(2..=2)),
        (("GET", "/v1/aliases"), When::Nth(1..=1)),
        (
            ("GET", "/v1/objects?class=Article&limit=1000"),
            When::Nth(1..=2),
        ),
    ] {
        bench.strike(kind, when, status(503));
    }
    let saved = bench.back_up().await.unwrap();
    assert_eq!(saved.exit_code, 0, "{saved:?}");
    let archive = saved.archive.unwrap();
    let name = archive.file_name().unwrap().to_str().unwrap();
    let report = archive.with_file_name(format!(".{name}.report.json"));
    let report = std::fs::read(report).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(
        (bench.told.retries().len(), &report["retries"]),
        (4, &4.into())
    );
}
