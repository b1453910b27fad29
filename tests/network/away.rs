//! A node of the cluster is away: the others leave its objects out of pages and counts without a word.

use std::time::Duration;

use elysiactl::commands::{self, ClearMethod, ClearRequest, DiffRequest, End, Outcome, Unfinished};
use elysiactl::error::{Kind, Result};
use elysiactl::model::CollectionName;
use elysiactl::sandbox::{Activity, Fault, Settings, When, sample_definition};
use serde_json::json;

use crate::bench::{Bench, PAGES, shown};
use crate::common::{clear_request, post};

async fn without_a_node() -> Bench {
    let away = Settings {
        is_node_away: true,
        ..Settings::default()
    };
    let mut bench = Bench::empty(away, 2).await;
    bench.sandbox.store().fill("Article", 120, 4, 1);
    bench.patience = Duration::from_millis(50);
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_saved_compared_or_cleared_as_if_it_were_all() {
    let bench = without_a_node().await;
    let saved = bench.back_up().await.unwrap_err();
    assert_eq!(saved.kind(), Kind::Exhausted, "{}", shown(&saved));
    assert!(saved.message().contains("shard"), "{}", shown(&saved));
    let mut request = clear_request(&bench.connection(), "Article");
    request.method = ClearMethod::ById;
    let cleared = commands::plan_clear(&bench.session("clear"), &request).await;
    assert_eq!(cleared.err().unwrap().kind(), Kind::Exhausted);
    let compared = commands::diff(&bench.session("diff"), &with_itself(&bench)).await;
    assert_eq!(compared.err().unwrap().kind(), Kind::Exhausted);
    assert_eq!(bench.sandbox.store().count("Article"), 120);
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_waited_for_is_said_when_the_waiting_begins() {
    let bench = without_a_node().await;
    let compared = commands::diff(&bench.session("diff"), &with_itself(&bench)).await;
    let shard = &bench.sandbox.store().shards("Article")[0];
    assert!(compared.is_err());
    let warnings = bench.told.warnings();
    let says = |warning: &&String| warning.contains(shard) && warning.contains("--retry-for");
    assert_eq!(warnings.iter().filter(says).count(), 1, "{warnings:?}");
    bench.sandbox.stop().await;
}

fn with_itself(bench: &Bench) -> DiffRequest {
    let end = || End::Collection {
        connection: Box::new(bench.connection()),
        name: CollectionName::parse("Article").unwrap(),
    };
    DiffRequest {
        one: end(),
        two: end(),
        limit: 5,
        skip_inactive: false,
    }
}

/// A collection of which each shard is on two nodes, one of them away.
async fn with_a_replica_away(with_tenants: bool) -> Bench {
    let settings = Settings {
        lost_nodes: 1,
        ..Settings::default()
    };
    let mut bench = Bench::empty(settings, 2).await;
    bench.patience = Duration::from_millis(50);
    let mut definition = sample_definition("Article");
    definition["replicationConfig"] = json!({"factor": 2});
    definition["multiTenancyConfig"] = json!({"enabled": with_tenants});
    let address = bench.sandbox.addr();
    let made = post(address, "/v1/schema", &definition.to_string());
    assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    let store = bench.sandbox.store();
    for tenant in ["amber", "blue"].iter().filter(|_| with_tenants) {
        store.add_tenant("Article", tenant, Activity::Hot);
    }
    store.fill("Article", 120, 4, 1);
    bench
}

/// As `--resume`, with or without `--allow-degraded`.
async fn backed_up(bench: &Bench, allowed: bool) -> Result<Outcome> {
    let mut request = bench.backup_request();
    request.connection.allow_degraded = allowed;
    let mut session = bench.session("backup");
    session.unfinished = Unfinished::Resume;
    commands::backup(&session, &request).await
}

async fn restored(bench: &Bench, saved: &Outcome, allowed: bool) -> Result<Outcome> {
    let archive = saved.archive.as_ref().unwrap();
    let mut request = bench.restore_request(archive, "Copy");
    request.connection.allow_degraded = allowed;
    let mut session = bench.session("restore");
    session.unfinished = Unfinished::Resume;
    commands::restore(&session, &request).await
}

async fn cleared(bench: &Bench, allowed: bool) -> Result<Outcome> {
    let mut connection = bench.connection();
    connection.allow_degraded = allowed;
    let request = ClearRequest {
        method: ClearMethod::ById,
        ..clear_request(&connection, "Article")
    };
    let session = bench.session("clear");
    let plan = commands::plan_clear(&session, &request).await?;
    commands::clear(&session, &request, plan).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_are_away_are_gone_on_without_only_where_that_is_allowed() {
    for with_tenants in [false, true] {
        let bench = with_a_replica_away(with_tenants).await;
        let refused = |outcome: Result<Outcome>| {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), Kind::Exhausted, "{}", shown(&error));
            assert!(error.message().contains("`node2` is away"), "{error}");
            assert!(error.hint().unwrap().contains("--allow-degraded"));
        };
        let not_shown_complete = |outcome: &Outcome| {
            assert_eq!(outcome.exit_code, 3, "{:?}", outcome.notes);
            let note = |note: &String| note.contains("`node2` is away");
            assert!(outcome.notes.iter().any(note), "{:?}", outcome.notes);
        };
        refused(backed_up(&bench, false).await);
        let saved = backed_up(&bench, true).await.unwrap();
        not_shown_complete(&saved);
        refused(restored(&bench, &saved, false).await);
        not_shown_complete(&restored(&bench, &saved, true).await.unwrap());
        bench.assert_equal("Copy", &[], "restored");
        refused(cleared(&bench, false).await);
        assert_eq!(
            bench.sandbox.store().count("Article"),
            bench.sandbox.store().count("Copy")
        );
        not_shown_complete(&cleared(&bench, true).await.unwrap());
        assert_eq!(bench.sandbox.store().count("Article"), 0);
        let warnings = bench.told.warnings();
        let says = |warning: &String| warning.contains("goes on without it");
        assert!(warnings.iter().any(says), "{warnings:?}");
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_of_one_replica_shows_nothing_of_the_other() {
    let bench = with_a_replica_away(false).await;
    let found = commands::diff(&bench.session("diff"), &with_itself(&bench)).await;
    let found = found.unwrap();
    assert_eq!(found.exit_code(), 3);
    assert_eq!(found.left_out.len(), 1, "{:?}", found.left_out);
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_out_of_sight_for_a_moment_is_read_anew_before_there_is_an_archive() {
    let bench = Bench::with(240, 1).await;
    // The server tells its time in seconds: what is there must be older than the backup.
    std::thread::sleep(Duration::from_millis(1_100));
    bench.strike(PAGES, When::Nth(3..=3), Fault::ShortPage(0));
    let saved = backed_up(&bench, false).await.unwrap();
    let warnings = bench.told.warnings();
    let says = |warning: &String| warning.starts_with("140 objects");
    assert!(warnings.iter().any(says), "{warnings:?}");
    assert_eq!(
        (saved.exit_code, saved.tally.accepted),
        (0, 240),
        "{saved:?}"
    );
    bench.assert_archived(&saved, &[], "read again").await;
    bench.sandbox.stop().await;
}
