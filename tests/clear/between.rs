//! What happens between two runs, and what is owed then.

use std::time::Duration;

use elysiactl::commands::{self, ClearMethod};
use elysiactl::error::Kind;
use elysiactl::journal::Obligation;
use elysiactl::sandbox::{Activity, Settings, When};
use elysiactl::weaviate::Connection;

use crate::bench::{Bench, CREATION, DELETION, NAME, OBJECTS, refusal};

/// Stopped right before the deletion, or right before the creation.
const BEFORE_DELETION: ((&str, &str), u64) = (DELETION, 1);
const BEFORE_CREATION: ((&str, &str), u64) = (CREATION, 2);

async fn both() -> [Bench; 2] {
    [Bench::plain().await, Bench::with_tenants().await]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collection_that_was_looked_at_is_emptied_by_a_resume() {
    for (place, nth) in [BEFORE_DELETION, BEFORE_CREATION] {
        for bench in both().await {
            let shape = bench.shape();
            bench.break_at(place, nth).await;
            assert_eq!(bench.clear().await.unwrap().exit_code, 0);
            assert_eq!((bench.shape(), bench.store().count(NAME)), (shape, 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_an_application_made_anew_is_not_deleted_by_a_resume() {
    for (place, nth) in [BEFORE_DELETION, BEFORE_CREATION] {
        for bench in both().await {
            let shape = bench.shape();
            bench.break_at(place, nth).await;
            // Its objects are as old as a millisecond makes them.
            std::thread::sleep(Duration::from_millis(2));
            match bench.store().collections().is_empty() && shape[1] != "{}" {
                true => crate::bench::make_with_tenants(bench.store()),
                false => bench.made_anew_by_somebody(),
            }
            let theirs = bench.store().dump(NAME);
            assert_eq!(bench.kind().await, Kind::TargetRefused);
            assert!(!theirs.is_empty() && bench.store().dump(NAME) == theirs);
            bench.cancel().await.unwrap();
            assert!(bench.store().dump(NAME) == theirs);
            assert_eq!(bench.jobs().len(), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_made_between_two_runs_come_back() {
    let bench = Bench::with_tenants().await;
    bench.break_at(DELETION, 1).await;
    bench.store().add_tenant(NAME, "late", Activity::Cold);
    let shape = bench.shape();
    assert_eq!(bench.clear().await.unwrap().exit_code, 0);
    assert_eq!((bench.shape(), bench.store().count(NAME)), (shape, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_creates_the_collection_first() {
    for bench in both().await {
        let shape = bench.shape();
        bench.break_at(CREATION, 2).await;
        assert_eq!(bench.store().collections().len(), 0);
        bench.cancel().await.unwrap();
        assert_eq!((bench.shape(), bench.jobs().len()), (shape, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_finishes_what_was_half_created() {
    let bench = Bench::with_tenants().await;
    let shape = bench.shape();
    bench
        .break_at(("POST", "/v1/schema/Article/tenants"), 1)
        .await;
    assert_ne!(bench.shape(), shape);
    bench.cancel().await.unwrap();
    assert_eq!((bench.shape(), bench.jobs().len()), (shape, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_job_creates_the_collection_first() {
    for bench in both().await {
        let shape = bench.shape();
        bench.break_at(CREATION, 2).await;
        assert_eq!(bench.restart().await.unwrap().exit_code, 0);
        assert_eq!((bench.shape(), bench.store().count(NAME)), (shape, 0));
        let done = bench.jobs();
        assert!(done.len() == 1 && done[0].state.as_ref().unwrap().is_done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_stays_owed_while_the_server_is_away() {
    let mut bench = Bench::plain().await;
    let shape = bench.shape();
    bench.break_at(CREATION, 2).await;
    let here = std::mem::replace(
        &mut bench.request.connection,
        Connection::to("http://127.0.0.1:1"),
    );
    let mut session = bench.session();
    session.policy.patience = Some(Duration::from_millis(50));
    let id = bench.jobs().remove(0).id;
    let away = bench.request.connection.clone();
    let error = commands::cancel_job(&session, &id, &away, false).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted);
    assert!(
        error.kept().unwrap().contains("definition.json"),
        "{error:?}"
    );
    let owed = bench.state().open_job(&id).unwrap().obligations().unwrap();
    assert!(
        matches!(&owed[..], [Obligation::DroppedCollection { .. }]),
        "{owed:?}"
    );
    bench.request.connection = here;
    bench.cancel().await.unwrap();
    assert_eq!(bench.shape(), shape);
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_jobs_and_owed_ones_are_never_pruned() {
    let bench = Bench::plain().await;
    bench.break_at(CREATION, 2).await;
    let prune = || commands::prune_jobs(&bench.state(), Duration::ZERO, false);
    assert_eq!(prune().unwrap(), []);
    let id = bench.jobs().remove(0).id;
    let folder = bench.state().open_job(&id).unwrap();
    folder.update_state(|state| state.is_done = true).unwrap();
    drop(folder);
    let other = Bench::plain().await;
    assert_eq!(prune().unwrap_err().kind(), Kind::Mismatch);
    assert_eq!((bench.jobs().len(), other.jobs().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_upgraded_between_two_runs_proves_itself_before_anything_is_deleted() {
    let mut bench = Bench::plain().await.by(ClearMethod::Recreate);
    bench.break_at(DELETION, 1).await;
    let settings = Settings {
        version: "1.39.0".to_owned(),
        ..Settings::default()
    };
    bench.move_to(settings).await;
    bench.strike(CREATION, When::Always, refusal(422));
    let error = bench.clear().await.unwrap_err();
    assert_eq!(
        (error.kind(), bench.store().count(NAME)),
        (Kind::TargetRefused, OBJECTS)
    );
    assert_eq!(bench.sandbox.count(DELETION.0, DELETION.1), 0);
    bench.sandbox.faults().clear();
    assert_eq!(bench.clear().await.unwrap().exit_code, 0);
    assert_eq!(bench.store().count(NAME), 0);
}

/// A key that may do everything but list shards.
async fn without_shards(method: ClearMethod) -> Bench {
    let bench = Bench::plain().await.by(method);
    let shards = ("GET", "/v1/schema/Article/shards");
    bench.strike(shards, When::Always, refusal(403));
    bench
}

/// Where a clear of each method is stopped with its work half done.
const HALF_DONE: [(ClearMethod, (&str, &str), u64); 3] = [
    (ClearMethod::Recreate, DELETION, 1),
    (ClearMethod::Recreate, CREATION, 2),
    (ClearMethod::ById, ("DELETE", "/v1/batch/objects"), 2),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_clear_is_resumed_where_shards_may_not_be_listed() {
    for (method, place, nth) in HALF_DONE {
        let bench = without_shards(method).await;
        let shape = bench.shape();
        bench.strike(place, When::Nth(nth..=nth), refusal(401));
        bench.clear().await.unwrap_err();
        let ended = bench.clear().await.unwrap();
        assert_eq!(ended.exit_code, 0, "{method:?} at {place:?}");
        assert_eq!((bench.shape(), bench.store().count(NAME)), (shape, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_life_is_not_cleared_where_shards_may_not_be_listed() {
    for (method, place, nth) in HALF_DONE {
        let bench = without_shards(method).await;
        bench.strike(place, When::Nth(nth..=nth), refusal(401));
        bench.clear().await.unwrap_err();
        crate::bench::wait_for_the_next_second();
        bench.made_anew_by_somebody();
        let theirs = bench.store().dump(NAME);
        let kind = bench.kind().await;
        assert!(
            matches!(kind, Kind::TargetRefused | Kind::Mismatch),
            "{method:?} at {place:?}: {kind:?}"
        );
        assert!(!theirs.is_empty() && bench.store().dump(NAME) == theirs);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_collection_is_not_made_on_another_server() {
    let mut bench = Bench::plain().await;
    let shape = bench.shape();
    bench.break_at(CREATION, 2).await;
    let (first, home) = (bench.store().clone(), bench.sandbox.url());
    let away = Bench::of(elysiactl::sandbox::Store::new(), Settings::default()).await;
    bench.request.connection = Connection::to(away.sandbox.url());
    for outcome in [bench.clear().await.map(drop), bench.cancel().await] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), Kind::Mismatch, "{error}");
        let words = format!(
            "worked on collection `Article` at {home}; there is none at {}",
            away.sandbox.url()
        );
        assert!(error.message().contains(&words), "{error}");
        assert!(error.hint().unwrap().contains(&format!("--url {home}")));
    }
    assert!(away.store().collections().is_empty());
    // The server has moved, the operator made the collection there from what the job keeps.
    let session = bench.session();
    let kept = bench
        .state()
        .folder(&bench.jobs()[0].id)
        .join("definition.json");
    let connection = bench.request.connection.clone();
    commands::create_collection(&session, &connection, &kept, None)
        .await
        .unwrap();
    assert_eq!(bench.clear().await.unwrap().exit_code, 0);
    assert_eq!(crate::bench::shape(away.store()), shape);
    assert!(first.collections().is_empty());
    assert_eq!(
        commands::prune_jobs(&bench.state(), Duration::ZERO, false)
            .unwrap()
            .len(),
        1
    );
}
