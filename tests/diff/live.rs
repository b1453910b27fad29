//! `--verify` and `verify --live`: what was archived or restored against the collection as it is.

use std::path::Path;
use std::sync::{Arc, Mutex};

use elysiactl::archive::Format;
use elysiactl::commands::{Comparison, Inactive, Outcome, backup, restore, verify_live};
use elysiactl::format::Codec;
use elysiactl::sandbox::{Activity, Doom, RequestInfo, Snapshot};
use serde_json::{Value, json};

use crate::bench::*;
use crate::common::{backup_request, post, restore_request};

async fn against_live(bench: &Bench, path: &Path, name: &str) -> Comparison {
    verify_live(&bench.session(), path, &bench.live(name), false, 10)
        .await
        .unwrap()
}

async fn verified_backup(bench: &Bench) -> Outcome {
    let mut request = backup_request(
        &crate::common::rest(&bench.sandbox),
        "One",
        &bench.folder.path().join("out"),
    );
    request.verify = true;
    backup(&bench.session(), &request).await.unwrap()
}

async fn verified_restore(bench: &Bench, path: &Path, name: &str, merge: bool) -> Outcome {
    let mut request = restore_request(&crate::common::rest(&bench.sandbox), path, Some(name));
    (request.verify, request.merge) = (true, merge);
    restore(&bench.session(), &request).await.unwrap()
}

/// The report of the job that was verified.
fn report(bench: &Bench) -> Value {
    let state = bench.session().state;
    let read = |id: &elysiactl::job::JobId| {
        let text = std::fs::read(state.folder(id).join("report.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    let mut reports = state
        .jobs()
        .unwrap()
        .into_iter()
        .map(|listed| read(&listed.id));
    reports
        .find(|report| report["verification"].is_object())
        .unwrap()
}

/// Does something once, when a request arrives that is like this.
fn once(
    bench: &Bench,
    is_it: impl Fn(&RequestInfo) -> bool + Send + Sync + 'static,
    deed: impl FnOnce() + Send + 'static,
) {
    let deed = Mutex::new(Some(deed));
    bench.sandbox.on_request(move |request| {
        if request.status.is_none() && is_it(request) {
            let deed = deed.lock().unwrap().take();
            deed.into_iter().for_each(|deed| deed());
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_is_verified_against_its_collection_and_a_difference_is_13() {
    let bench = Bench::alike().await;
    let path = bench.back_up("One", Format::Jsonl, Codec::Zstd).await;
    assert_identical(&against_live(&bench, &path, "One").await, 25);
    assert_identical(&against_live(&bench, &path, "Two").await, 25);
    bench.delete("One", 3).await;
    let found = against_live(&bench, &path, "One").await;
    assert_eq!((found.counts.missing, found.exit_code()), (1, 13));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_the_archive_was_not_made_of_are_no_matter() {
    let bench = Bench::with_tenants().await;
    let mut request = backup_request(
        &crate::common::rest(&bench.sandbox),
        "One",
        &bench.folder.path().join("out"),
    );
    (request.verify, request.tenants) = (true, vec!["a".into()]);
    let saved = backup(&bench.session(), &request).await.unwrap();
    assert_eq!(saved.exit_code, 0);
    let found = against_live(&bench, &saved.archive.unwrap(), "One").await;
    assert_identical(&found, 20);
    assert_eq!(found.notes.len(), 1, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_backup_reports_counts_and_digests_per_tenant() {
    let bench = Bench::with_tenants().await;
    let saved = verified_backup(&bench).await;
    assert_eq!(saved.exit_code, 0);
    let report = report(&bench);
    assert_eq!(report["tenants"].as_array().unwrap().len(), 3);
    let verified = &report["verification"]["tenants"];
    for at in 0..2 {
        assert_eq!(report["tenants"][at]["objects"], 20);
        assert_eq!(report["tenants"][at]["digest"], verified[at]["digest"]);
    }
    assert_eq!(report["tenants"][2]["objects"], 0);
    assert_eq!(
        report["archive"]["digest"],
        report["verification"]["digest"]
    );
    assert_eq!(report["verification"]["differences"], 0);
    // The one beside the archive is the same.
    let archive = saved.archive.unwrap();
    let name = format!(
        ".{}.report.json",
        archive.file_name().unwrap().to_string_lossy()
    );
    let beside = std::fs::read(archive.with_file_name(name)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&beside).unwrap(), report);
}

/// The writes come when everything is read, and before the comparison.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_written_while_a_backup_runs_is_told_and_is_no_loss() {
    let bench = Bench::alike().await;
    let whole = bench.store().snapshot();
    bench.delete("One", 3).await;
    let without_one = bench.store().snapshot();
    bench.store().restore(&whole);
    let mut objects = [object(4), object(25), object(26)];
    objects[0]["properties"]["views"] = json!(99);
    for object in &mut objects {
        object["class"] = json!("One");
    }
    let (store, address) = (bench.store().clone(), bench.sandbox.addr());
    let body = json!({"objects": objects}).to_string();
    // The sandbox serves the writes on the threads that this one leaves.
    let write = move || {
        tokio::task::block_in_place(|| {
            store.restore(&without_one);
            assert!(!post(address, "/v1/batch/objects", &body).contains("FAILED"));
        });
    };
    once(
        &bench,
        |request| request.path.starts_with("/v1/aliases"),
        write,
    );
    let saved = verified_backup(&bench).await;
    assert_eq!(saved.exit_code, 0, "{}", report(&bench));
    let explained = &report(&bench)["verification"]["explained"];
    let expected = json!({
        "objects added since the backup began": 2, "objects changed since the backup began": 1,
        "objects deleted since the backup began": 1,
    });
    assert_eq!(explained, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_changed_since_the_backup_is_told_with_3() {
    let bench = Bench::with_tenants().await;
    let store = bench.store().clone();
    let more = move || store.add_tenant("One", "more", Activity::Hot);
    once(
        &bench,
        |request| request.path.starts_with("/v1/aliases"),
        more,
    );
    assert_eq!(verified_backup(&bench).await.exit_code, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_restore_is_compared_while_its_tenants_are_awake() {
    let bench = Bench::with_tenants().await;
    bench.store().add_tenant("One", "asleep", Activity::Cold);
    let layout = (Format::Jsonl, Codec::Zstd);
    let path = bench.back_up_with("One", layout, Inactive::Wake).await;
    let back = verified_restore(&bench, &path, "Copy", false).await;
    assert_eq!((back.exit_code, back.notes.len()), (0, 0), "{back:?}");
    let report = report(&bench);
    assert_eq!(report["verification"]["objects"], 40);
    assert_eq!(
        report["verification"]["tenants"].as_array().unwrap().len(),
        2
    );
    assert_eq!(bench.store().tenants("Copy")["asleep"], Activity::Cold);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_the_server_refused_are_3_and_no_difference() {
    let bench = Bench::alike().await;
    let path = bench.back_up("One", Format::Json, Codec::None).await;
    let doomed = object(7)["id"].as_str().unwrap().parse().unwrap();
    bench.sandbox.faults().doom_object(doomed, Doom::Refused);
    let back = verified_restore(&bench, &path, "Copy", false).await;
    assert_eq!(back.exit_code, 3, "{back:?}");
    assert!(
        back.notes
            .iter()
            .any(|note| note.contains("1 objects that the server refused")),
        "{back:?}"
    );
}

/// The server counts all and then has lost some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_are_lost_after_a_restore_are_13_and_named() {
    let bench = Bench::of(&(0..250).map(object).collect::<Vec<_>>()).await;
    let path = bench.back_up("One", Format::Json, Codec::None).await;
    let taken: Arc<Mutex<Option<Snapshot>>> = Arc::default();
    let (store, keep) = (bench.store().clone(), taken.clone());
    bench.sandbox.on_request(move |request| {
        let is_batch = request.path.starts_with("/v1/batch/objects") && request.status.is_some();
        let mut kept = keep.lock().unwrap();
        if is_batch && kept.is_none() {
            *kept = Some(store.snapshot());
        }
    });
    let store = bench.store().clone();
    // What is looked at before the first batch is not read back.
    let stored = taken.clone();
    let lose = move || store.restore(taken.lock().unwrap().as_ref().unwrap());
    let is_read_back = move |request: &RequestInfo| {
        stored.lock().unwrap().is_some()
            && request.method == "GET"
            && request.path.starts_with("/v1/objects?")
            && request.path.contains("class=Copy")
            // Whether the key may read objects is asked before there are any.
            && !request.path.ends_with("&limit=0")
    };
    once(&bench, is_read_back, lose);
    let back = verified_restore(&bench, &path, "Copy", false).await;
    assert_eq!(back.exit_code, 13, "{back:?}");
    assert!(
        back.notes
            .iter()
            .any(|note| note.contains("only in one: 00000000-")),
        "{back:?}"
    );
    assert!(report(&bench)["verification"]["missing"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_before_a_merge_is_no_difference() {
    let bench = Bench::alike().await;
    let path = bench.back_up("One", Format::Json, Codec::None).await;
    bench.delete("Two", 3).await;
    bench.write("Two", &[object(100), object(101)]).await;
    let back = verified_restore(&bench, &path, "Two", true).await;
    assert_eq!(back.exit_code, 0, "{back:?}");
}

/// Both ends are the same by then: only the counts show that something came and went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_that_changes_while_it_is_compared_is_named() {
    for has_tenants in [false, true] {
        let bench = match has_tenants {
            true => Bench::with_tenants().await,
            false => Bench::alike().await,
        };
        assert_eq!(bench.compare().await.notes, [""; 0]);
        let store = bench.store().clone();
        let pages = |request: &RequestInfo| request.path.starts_with("/v1/objects?class=One&");
        // The whole store is put back as it was with one object more.
        if has_tenants {
            bench.write("One", &of_tenant("a", 20..21)).await;
        } else {
            bench.write("One", &[object(25)]).await;
        }
        let more = store.snapshot();
        once(&bench, pages, move || store.restore(&more));
        let gone = object(if has_tenants { 20 } else { 25 })["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let tenant = if has_tenants { "?tenant=a" } else { "" };
        let path = format!("/v1/objects/One/{gone}{tenant}");
        bench.call("DELETE", &path, "").await;
        let found = bench.compare().await;
        let which = if has_tenants { "1 tenants of " } else { "" };
        let counted = if has_tenants { (20, 21) } else { (25, 26) };
        let said = format!(
            "{which}`One` at {} changed while this was compared: {} objects were counted before, {} read, and {} counted afterwards",
            bench.sandbox.url(),
            counted.0,
            counted.1,
            counted.1
        );
        assert_eq!(found.notes, [said], "{found:?}");
    }
}
