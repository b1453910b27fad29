//! Objects that no page can hold: passed over and named, everything else is in the archive. A server that cannot read
//! at all is another matter.

use std::sync::atomic::{AtomicBool, Ordering};

use elysiactl::sandbox::{Activity, Fault, When, sample_definition};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, PAGES, status};

/// Takes some of the ids of a collection.
type Choice = fn(&[Uuid]) -> Vec<Uuid>;

async fn assert_passed_over(bench: &Bench, unreadable: &[Uuid], what: &str) {
    let count = bench.ids().len();
    for id in unreadable {
        bench.sandbox.faults().make_unreadable(*id);
    }
    let saved = bench.back_up().await.unwrap();
    let end = (saved.exit_code, saved.tally.accepted, saved.tally.rejected);
    let gone = unreadable.len();
    assert_eq!(end, (3, (count - gone) as u64, gone as u64), "{what}");
    let mut named = bench.rejects("backup");
    named.sort();
    let ids: Vec<Uuid> = named.iter().map(|(id, _)| id.parse().unwrap()).collect();
    let mut expected = unreadable.to_vec();
    expected.sort();
    assert_eq!(ids, expected, "{what}");
    assert!(
        named.iter().all(|(_, why)| why.contains("500")),
        "{named:?}"
    );
    bench.assert_archived(&saved, unreadable, what).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_objects_are_passed_over_and_named_wherever_they_lie() {
    let places: [(&str, Choice); 5] = [
        ("one in the middle", |ids| vec![ids[77]]),
        ("two neighbours", |ids| ids[120..122].to_vec()),
        ("the first", |ids| vec![ids[0]]),
        ("the last", |ids| vec![ids[ids.len() - 1]]),
        ("first, last and a page's edges", |ids| {
            vec![ids[0], ids[49], ids[50], ids[ids.len() - 1]]
        }),
    ];
    for (what, choose) in places {
        for workers in [1, 4] {
            let bench = Bench::with(250, workers).await;
            let unreadable = choose(&bench.ids());
            assert_passed_over(&bench, &unreadable, &format!("{what}, {workers} workers")).await;
            bench.sandbox.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_of_unreadable_objects_alone_ends_with_all_of_them_named() {
    let bench = Bench::with(3, 1).await;
    let ids = bench.ids();
    assert_passed_over(&bench, &ids, "all").await;
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_search_for_an_unreadable_object_survives_a_bad_network() {
    let bench = Bench::with(120, 1).await;
    let id = bench.ids()[60];
    bench.sandbox.faults().make_unreadable(id);
    let rule = bench.strike(
        ("POST", "/v1/graphql"),
        When::Nth(40..=42),
        Fault::ResetBefore,
    );
    let saved = bench.back_up().await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.rejected), (3, 1));
    assert_eq!(bench.struck(rule), 3);
    assert_eq!(bench.rejects("backup")[0].0, id.to_string());
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_come_while_unreadable_ones_are_passed_over_are_counted() {
    let bench = Bench::with(120, 1).await;
    let id = bench.ids()[60];
    bench.sandbox.faults().make_unreadable(id);
    let (store, once) = (bench.sandbox.store().clone(), AtomicBool::new(false));
    bench.sandbox.on_request(move |request| {
        // Behind the page that was read already.
        if request.path.contains("limit=1&after=") && !once.swap(true, Ordering::Relaxed) {
            store.fill("Article", 130, 4, 2);
        }
    });
    let saved = bench.back_up().await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.rejected), (3, 1), "{saved:?}");
    assert!(
        saved.notes.iter().any(|note| note.contains("were added")),
        "{saved:?}"
    );
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_can_be_read_again_is_not_passed_over_for_one_of_another_tenant() {
    let bench = Bench::empty(Default::default(), 1).await;
    let store = bench.sandbox.store();
    let mut definition = sample_definition("Article");
    definition["multiTenancyConfig"] = json!({"enabled": true});
    store.create(&definition).unwrap();
    store.add_tenant("Article", "amber", Activity::Hot);
    store.add_tenant("Article", "blue", Activity::Hot);
    store.fill("Article", 20, 4, 1);
    let dump = store.dump("Article");
    let blue = dump
        .iter()
        .find(|object| object.tenant == "blue")
        .unwrap()
        .id;
    bench.sandbox.faults().make_unreadable(blue);
    // From 50 objects to one the page is halved five times; then it fails once more, and is passed over.
    let pages = ("GET", "/v1/objects?class=Article&limit=");
    let rule = bench.strike(pages, When::Nth(1..=8), status(500));
    let saved = bench.back_up().await.unwrap();
    let end = (saved.exit_code, saved.tally.accepted, saved.tally.rejected);
    assert_eq!(end, (3, 19, 1));
    assert_eq!(bench.struck(rule), 8);
    assert_eq!(bench.rejects("backup")[0].0, blue.to_string());
    bench.assert_archived(&saved, &[blue], "two tenants").await;
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_can_read_nothing_loses_no_object() {
    for workers in [1, 4] {
        let mut bench = Bench::with(250, workers).await;
        bench.patience = std::time::Duration::from_millis(300);
        // Counting works on, so that each object could be found and blamed.
        let all = ("GET", "/v1/objects?");
        let first = bench.strike(PAGES, When::Nth(3..=3), Fault::ResetBefore);
        let rule = bench.strike(all, When::Always, status(500));
        let error = bench.back_up().await.unwrap_err();
        assert_eq!(error.kind().exit_code(), 5, "{error:?}");
        assert!(bench.struck(rule) > 10 && bench.struck(first) <= 1);
        assert!(bench.rejects("backup").is_empty());
        bench.sandbox.faults().clear();
        let saved = bench.back_up().await.unwrap();
        assert_eq!((saved.exit_code, saved.tally.accepted), (0, 250));
        bench
            .assert_archived(&saved, &[], "after the server was mended")
            .await;
        bench.sandbox.stop().await;
    }
}
