//! Objects that the target refuses one by one or with their batch: each is named, everything else is restored.

use std::path::{Path, PathBuf};

use elysiactl::sandbox::{Doom, Fault, When};
use serde_json::{Value, json};

use crate::bench::{BATCHES, Bench, sample, status};

/// A document that somebody else wrote, of the objects of the collection with some changed.
pub fn foreign(bench: &Bench, change: impl Fn(usize, &mut Value)) -> PathBuf {
    let store = bench.sandbox.store();
    let objects: Vec<Value> = store
        .dump("Article")
        .iter()
        .enumerate()
        .map(|(index, object)| {
            let vector: Vec<f32> = object.vector.iter().copied().map(f32::from_bits).collect();
            let properties: Value = serde_json::from_str(&object.properties).unwrap();
            let mut object = json!({"id": object.id, "properties": properties, "vector": vector});
            change(index, &mut object);
            object
        })
        .collect();
    let document = json!({
        "metadata": {"collection": "Article"}, "schema": store.definition("Article"), "objects": objects,
    });
    let path = bench.path().join("foreign.json");
    std::fs::write(&path, document.to_string()).unwrap();
    path
}

async fn assert_refused(bench: &Bench, archive: &Path, refused: &[usize], reason: &str) {
    let ids = bench.ids();
    let count = ids.len();
    let back = bench.restore(archive, "Copy").await.unwrap();
    let end = (back.exit_code, back.tally.accepted, back.tally.rejected);
    let gone = refused.len();
    assert_eq!(end, (3, (count - gone) as u64, gone as u64), "{back:?}");
    let missing: Vec<_> = refused.iter().map(|index| ids[*index]).collect();
    let named = bench.rejects("Copy");
    let mut found: Vec<uuid::Uuid> = named.iter().map(|(id, _)| id.parse().unwrap()).collect();
    found.sort();
    assert_eq!(found, missing);
    assert!(
        named.iter().all(|(_, why)| why.contains(reason)),
        "{named:?}"
    );
    bench.assert_equal("Copy", &missing, "with refused objects");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_refused_is_named_and_the_others_are_stored() {
    for workers in [1, 4] {
        let bench = Bench::with(250, workers).await;
        let archive = bench.archive().await;
        let ids = bench.ids();
        for index in [0, 49, 50, 130, 249] {
            bench
                .sandbox
                .faults()
                .doom_object(ids[index], Doom::Refused);
        }
        assert_refused(&bench, &archive, &[0, 49, 50, 130, 249], Doom::TEXT).await;
        assert!(bench.sandbox.store().count("Copy") == 245);
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_panics_over_an_object_does_not_take_its_neighbours_with_it() {
    for over_grpc in [false, true] {
        let bench = Bench::with(250, 2).await;
        let bench = if over_grpc { bench.over_grpc() } else { bench };
        let archive = bench.archive().await;
        let ids = bench.ids();
        for index in [3, 130, 131] {
            let faults = bench.sandbox.faults();
            faults.doom_object(ids[index], Doom::Panics);
        }
        assert_refused(&bench, &archive, &[3, 130, 131], Doom::PANIC).await;
        assert_eq!(bench.sandbox.store().count("Copy"), 247);
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_reported_as_failed_but_stored_is_named_as_such() {
    let bench = Bench::with(120, 1).await;
    let archive = bench.archive().await;
    bench.sandbox.faults().doom_object(sample(5), Doom::Stored);
    bench.sandbox.faults().doom_object(sample(6), Doom::Refused);
    let back = bench.restore(&archive, "Copy").await.unwrap();
    let end = (back.exit_code, back.tally.accepted, back.tally.rejected);
    assert_eq!(end, (3, 118, 2), "{back:?}");
    let named = bench.rejects("Copy");
    let is_there = |id: uuid::Uuid| {
        let found = named.iter().find(|(named, _)| *named == id.to_string());
        found
            .unwrap()
            .1
            .contains("an object of this id is in the collection")
    };
    assert!(is_there(sample(5)) && !is_there(sample(6)), "{named:?}");
    bench.assert_equal("Copy", &[sample(6)], "stored all the same");
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_refused_as_a_whole_is_split_down_to_the_object_to_blame() {
    // Of objects 0 to 7 the sixth is refused: 0-7, (0-3), 4-7, 4-5, (4), 5, (6-7); those in brackets are taken.
    for refusal in [422, 400, 413] {
        let bench = Bench::with(8, 1).await;
        let archive = bench.archive().await;
        let rules = [1..=1, 3..=4, 6..=6]
            .map(|which| bench.strike(BATCHES, When::Nth(which), status(refusal)));
        assert_refused(&bench, &archive, &[5], &refusal.to_string()).await;
        let struck: Vec<u64> = rules.iter().map(|rule| bench.struck(*rule)).collect();
        assert_eq!(struck, [1, 2, 1]);
        assert_eq!(bench.sandbox.count(BATCHES.0, BATCHES.1), 7);
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_makes_every_batch_fail_is_found_while_the_server_takes_the_others() {
    // As above, but with what might pass: it is tried three times, and a stored object is stored again as a witness.
    for fault in [status(500), Fault::EmptyBefore] {
        let bench = Bench::with(8, 1).await;
        let archive = bench.archive().await;
        for which in [1..=3, 5..=6, 8..=8] {
            bench.strike(BATCHES, When::Nth(which), fault.clone());
        }
        // Six times the witness is taken and the object is not.
        for which in (11..=21).step_by(2) {
            bench.strike(BATCHES, When::Nth(which..=which), fault.clone());
        }
        assert_refused(&bench, &archive, &[5], "").await;
        assert_eq!(bench.sandbox.count(BATCHES.0, BATCHES.1), 21);
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_only_had_bad_luck_is_not_refused() {
    let bench = Bench::with(8, 1).await;
    let archive = bench.archive().await;
    // As above, but the last trial succeeds.
    for which in [
        1..=3,
        5..=6,
        8..=8,
        11..=11,
        13..=13,
        15..=15,
        17..=17,
        19..=19,
    ] {
        bench.strike(BATCHES, When::Nth(which), Fault::EmptyBefore);
    }
    let back = bench.restore(&archive, "Copy").await.unwrap();
    assert_eq!(
        (back.exit_code, back.tally.accepted, back.tally.rejected),
        (0, 8, 0)
    );
    assert_eq!(bench.sandbox.count(BATCHES.0, BATCHES.1), 21);
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_that_rest_cannot_carry_are_refused_with_a_reason() {
    let bench = Bench::with(60, 1).await;
    let archive = foreign(&bench, |index, object| {
        if index == 7 {
            // NaN, 0, 0, 0 as little-endian bytes.
            object["vector"] = json!({"f32": "AADAfwAAAAAAAAAAAAAAAA=="});
        }
    });
    assert_refused(&bench, &archive, &[7], "NaN or infinity").await;
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_in_the_middle_of_a_batch_refuses_no_object() {
    for (fault, workers) in [(status(500), 1), (Fault::EmptyBefore, 1), (status(500), 4)] {
        let mut bench = Bench::with(250, workers).await;
        let archive = bench.archive().await;
        bench.patience = std::time::Duration::from_millis(300);
        // Three failures alike split the batch; its first half is taken, then nothing is any more.
        bench.strike(BATCHES, When::Nth(1..=3), fault.clone());
        let rule = bench.strike(BATCHES, When::Nth(5..=u64::MAX), fault);
        let error = bench.restore(&archive, "Copy").await.unwrap_err();
        assert_eq!(error.kind().exit_code(), 5, "{error:?}");
        assert!(bench.struck(rule) > 3);
        assert_eq!(bench.rejects("Copy"), []);
        bench.sandbox.faults().clear();
        let back = bench.restore(&archive, "Copy").await.unwrap();
        assert_eq!((back.exit_code, back.tally.accepted), (0, 250), "{back:?}");
        bench.assert_equal("Copy", &[], "after the server was mended");
        bench.sandbox.stop().await;
    }
}
