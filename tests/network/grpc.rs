//! What is of gRPC alone: it is not there, its messages are too long, its replies make no sense.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use elysiactl::error::Kind;
use elysiactl::sandbox::{Doom, Fault, Settings, When};
use elysiactl::weaviate::Transport;
use uuid::Uuid;

use crate::bench::{BATCHES, Bench, CALLS, PAGES, SEARCHES, sample, shown, status};
use crate::ends::ends_exhausted_and_is_resumed;
use crate::middleman::{bytes, endless, framed, put_between, with_status};
use crate::passing::Wire;
use crate::tunnel::Tunnel;

/// Long enough for a reply that comes, short enough to be waited for when none comes.
pub const SHORT: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_that_is_gone_in_the_middle_ends_both_verbs_as_exhausted_and_a_resume_finishes() {
    for (workers, fault) in [(1, status(503)), (4, Fault::ResetBefore)] {
        let bench = Bench::with(250, workers).await.over_grpc();
        let gone = |bench: &Bench, kind, _: &str| {
            bench.strike(kind, When::Nth(4..=u64::MAX), fault.clone());
        };
        ends_exhausted_and_is_resumed(bench, Wire::Grpc, gone).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_silence_the_next_call_takes_another_connection() {
    let mut bench = Bench::with(400, 1).await.over_grpc();
    let archive = bench.archive().await;
    let server = bench.sandbox.grpc_url();
    let server = server.trim_start_matches("http://").parse().unwrap();
    bench.time_out = SHORT;
    for is_backup in [true, false] {
        // Enough for the first words, too little for all objects. Reads and writes have a connection each.
        let tunnel = Tunnel::to(server, 12_000, 2).await;
        bench.grpc_url = format!("http://{}", tunnel.address);
        if is_backup {
            let saved = bench.back_up().await.unwrap();
            bench.grpc_url = bench.sandbox.grpc_url();
            bench.assert_archived(&saved, &[], "silence").await;
        } else {
            let back = bench.restore(&archive, "Copy").await.unwrap();
            assert_eq!(back.exit_code, 0, "{back:?}");
            bench.assert_equal("Copy", &[], "silence");
        }
        assert_ne!(tunnel.silenced(), 0, "nothing fell silent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_grpc_objects_go_over_rest_which_is_said_or_the_run_ends_if_that_was_asked_for() {
    let mut bench = Bench::with(120, 1).await;
    let archive = bench.archive().await;
    // Somebody else's port, free again.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    bench.grpc_url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    bench.transport = Transport::Auto;
    let saved = bench.back_up().await.unwrap();
    let back = bench.restore(&archive, "Copy").await.unwrap();
    assert_eq!((saved.tally.accepted, back.tally.accepted), (120, 120));
    let warnings = bench.told.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .all(|it| it.contains("objects go over REST")),
        "{warnings:?}"
    );
    bench.transport = Transport::Grpc;
    bench.patience = Duration::from_millis(50);
    let mut bare = bench.restore_request(&archive, "Other");
    bare.connection.transport = Transport::Grpc;
    let session = bench.session("other");
    let error = elysiactl::commands::restore(&session, &bare)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{}", shown(&error));
    assert!(bench.sandbox.store().definition("Other").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hiccup_at_the_start_is_tried_again_where_grpc_was_asked_for() {
    let bench = Bench::with(120, 1).await.over_grpc();
    let health = ("POST", "/grpc.health.v1.Health/Check");
    let rule = bench.strike(health, When::Nth(1..=2), status(503));
    let saved = bench.back_up().await.unwrap();
    assert_eq!((saved.exit_code, bench.struck(rule)), (0, 2));
    assert_eq!(bench.sandbox.count(PAGES.0, PAGES.1), 0);
}

/// Messages of at most so many bytes: about six of the objects.
fn narrow() -> Settings {
    Settings {
        grpc_max_message_size: 2_500,
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_gives_only_a_few_objects_at_once_is_read_and_compared() {
    let few = Settings {
        query_maximum_results: 3,
        ..Settings::default()
    };
    let bench = Bench::empty(few, 2).await.over_grpc();
    bench.sandbox.store().fill("Article", 120, 4, 1);
    let mut request = bench.backup_request();
    request.verify = true;
    let saved = elysiactl::commands::backup(&bench.session("few"), &request)
        .await
        .unwrap();
    assert_eq!((saved.exit_code, saved.tally.accepted), (0, 120));
    bench.assert_archived(&saved, &[], "few").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_batches_beyond_the_longest_message_are_halved() {
    let bench = Bench::empty(narrow(), 1).await.over_grpc();
    bench.sandbox.store().fill("Article", 120, 4, 1);
    let saved = bench.back_up().await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.accepted), (0, 120));
    assert_eq!(bench.sandbox.count(PAGES.0, PAGES.1), 0);
    let archive = bench.archive().await;
    let back = bench.restore(&archive, "Copy").await.unwrap();
    assert_eq!((back.exit_code, back.tally.accepted), (0, 120));
    assert_eq!(bench.sandbox.count(BATCHES.0, BATCHES.1), 0);
    bench.assert_equal("Copy", &[], "halved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_larger_than_a_message_goes_over_rest() {
    let bench = Bench::empty(narrow(), 1).await.over_grpc();
    bench.sandbox.store().fill("Article", 60, 4, 1);
    let large = serde_json::json!({"objects": [
        {"class": "Article", "id": sample(70), "properties": {"title": "x".repeat(5_000)}},
    ]});
    let address = bench.sandbox.addr();
    let post = move || crate::common::post(address, BATCHES.1, &large.to_string());
    assert!(
        tokio::task::spawn_blocking(post)
            .await
            .unwrap()
            .contains("SUCCESS")
    );
    let saved = bench.back_up().await.unwrap();
    assert_eq!(
        (saved.exit_code, saved.tally.accepted),
        (0, 61),
        "{saved:?}"
    );
    let back = bench
        .restore(&saved.archive.unwrap(), "Copy")
        .await
        .unwrap();
    assert_eq!((back.exit_code, back.tally.accepted), (0, 61), "{back:?}");
    bench.assert_equal("Copy", &[], "one of them over REST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_grpc_and_rest_refuse_is_named_and_the_others_are_stored() {
    for workers in [1, 4] {
        let bench = Bench::with(250, workers).await.over_grpc();
        let archive = bench.archive().await;
        let ids = bench.ids();
        let refused: Vec<Uuid> = [0, 49, 50, 130].map(|index: usize| ids[index]).to_vec();
        for id in &refused {
            bench.sandbox.faults().doom_object(*id, Doom::Refused);
        }
        bench.sandbox.faults().doom_object(ids[249], Doom::Stored);
        let back = bench.restore(&archive, "Copy").await.unwrap();
        let end = (back.exit_code, back.tally.accepted, back.tally.rejected);
        assert_eq!(end, (3, 245, 5), "{back:?}");
        let named = bench.rejects("Copy");
        assert!(
            named.iter().all(|(_, why)| why.contains(Doom::TEXT)),
            "{named:?}"
        );
        let mut found: Vec<Uuid> = named.iter().map(|(id, _)| id.parse().unwrap()).collect();
        found.sort();
        let mut expected = [&refused[..], &[ids[249]]].concat();
        expected.sort();
        assert_eq!(found, expected);
        bench.assert_equal("Copy", &refused, "with refused objects");
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_objects_are_passed_over_and_named_and_nothing_else_is_lost() {
    for workers in [1, 4] {
        let bench = Bench::with(250, workers).await.over_grpc();
        let ids = bench.ids();
        let unreadable = vec![ids[0], ids[49], ids[120], ids[121], ids[249]];
        for id in &unreadable {
            bench.sandbox.faults().make_unreadable(*id);
        }
        // The first page is compared as well, and cannot be.
        let mut bench = bench;
        bench.transport = Transport::Auto;
        let saved = bench.back_up().await.unwrap();
        let end = (saved.exit_code, saved.tally.accepted, saved.tally.rejected);
        assert_eq!(end, (3, 245, 5), "{saved:?}");
        let mut named = bench.rejects("backup");
        named.sort();
        let found: Vec<Uuid> = named.iter().map(|(id, _)| id.parse().unwrap()).collect();
        let mut expected = unreadable.clone();
        expected.sort();
        assert_eq!(found, expected);
        bench
            .assert_archived(&saved, &unreadable, "unreadable")
            .await;
        bench.sandbox.stop().await;
    }
}

type Lie = fn() -> Response<Body>;

fn lies() -> Vec<(&'static str, Lie)> {
    vec![
        ("no protobuf", || bytes(framed(&[0xff; 40]), true)),
        ("a length beyond its message", || {
            bytes(framed(&[0x12, 100, 1]), true)
        }),
        ("an object without an id", || {
            bytes(framed(&[0x12, 2, 0x12, 0]), true)
        }),
        ("a head that says more than comes", || {
            bytes(vec![0, 0, 0, 1, 0, 7], true)
        }),
        ("a head that says four gigabytes", || {
            bytes(vec![0, 255, 255, 255, 255, 7], true)
        }),
        ("half a head", || bytes(vec![0, 0], true)),
        ("compressed without notice", || {
            bytes(vec![1, 0, 0, 0, 1, 7], true)
        }),
        ("no status", || bytes(framed(&[]), false)),
        ("HTML", || {
            with_status(StatusCode::OK, "text/html", "<html>hello</html>")
        }),
        ("HTML that calls itself gRPC", || {
            with_status(StatusCode::OK, "application/grpc", "<html>hello</html>")
        }),
        ("a redirect", || {
            with_status(StatusCode::FOUND, "text/html", "")
        }),
        ("an endless message", || {
            endless(Bytes::from_static(&[0; 65_536]))
        }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_nonsense_never_becomes_an_archive_that_looks_whole() {
    for (what, lie) in lies() {
        let mut bench = Bench::empty(narrow(), 1).await.over_grpc();
        bench.sandbox.store().fill("Article", 60, 4, 1);
        (bench.patience, bench.batch_size) = (Duration::from_millis(60), 6);
        put_between(&mut bench, SEARCHES.1, move |number| (number > 2).then(lie)).await;
        match bench.back_up().await {
            // What gRPC cannot give, REST may.
            Ok(saved) => {
                let end = (saved.exit_code, saved.tally.accepted);
                assert_eq!(end, (0, 60), "{what}: {saved:?}");
                bench.grpc_url = bench.sandbox.grpc_url();
                bench.assert_archived(&saved, &[], what).await;
            }
            Err(error) => {
                let is_expected = matches!(error.kind(), Kind::Exhausted | Kind::SourceRefused);
                assert!(is_expected, "{what}: {}", shown(&error));
                assert!(
                    error.message().len() < 2_000,
                    "{what}: {:.300}",
                    error.message()
                );
                assert!(bench.has_no_archive(), "{what}");
            }
        }
        bench.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_to_a_batch_that_is_nonsense_is_no_success() {
    for (what, lie) in lies() {
        let mut bench = Bench::empty(narrow(), 1).await.over_grpc();
        bench.sandbox.store().fill("Article", 60, 4, 1);
        (bench.patience, bench.batch_size) = (Duration::from_millis(60), 6);
        let archive = bench.archive().await;
        put_between(&mut bench, CALLS.1, move |number| (number > 2).then(lie)).await;
        match bench.restore(&archive, "Copy").await {
            Ok(back) => {
                // Well-formed lies are found out when it is counted.
                match back.exit_code {
                    0 => bench.assert_equal("Copy", &[], what),
                    code => assert_eq!(code, 13, "{what}: {back:?}"),
                }
            }
            Err(error) => {
                let is_expected = matches!(error.kind(), Kind::Exhausted | Kind::TargetRefused);
                assert!(is_expected, "{what}: {}", shown(&error));
            }
        }
        bench.sandbox.stop().await;
    }
}
