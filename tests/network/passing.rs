//! Faults that pass, over either protocol: reset, cut, stalled, slow, short, half done. The job ends like a clean run.

use std::time::Duration;

use elysiactl::sandbox::{Fault, When};

use crate::bench::{BATCHES, Bench, CALLS, PAGES, SEARCHES, shown, status};
use crate::grpc::SHORT;

/// What objects go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Rest,
    Grpc,
}

impl Wire {
    pub fn over(self, bench: Bench) -> Bench {
        match self {
            Wire::Rest => bench,
            Wire::Grpc => bench.over_grpc(),
        }
    }

    /// Where a page is asked for, and where a batch is stored.
    pub fn kinds(self) -> [(&'static str, &'static str); 2] {
        match self {
            Wire::Rest => [PAGES, BATCHES],
            Wire::Grpc => [SEARCHES, CALLS],
        }
    }
}

/// Requests that are struck, and what the retry must say; `None` if none is needed.
type Struck = (When, Option<&'static str>);

/// Name, fault, and what it is over REST and over gRPC, if it is anything there.
type Case = (&'static str, fn() -> Fault, Option<Struck>, Option<Struck>);

const LOST: &str = "lost the connection";
const AWAY: &str = "not available";
const EMPTY: &str = "empty";
const TIMED_OUT: &str = "timed out";
/// A retry that may say anything.
const ANY: &str = "";

const fn at(first: u64, last: u64, why: &'static str) -> Option<Struck> {
    Some((When::Nth(first..=last), Some(why)))
}

fn page_of_html(status: u16) -> Fault {
    Fault::Proxy {
        status,
        body: "<html>try again</html>".to_owned(),
    }
}

fn slow() -> Fault {
    Fault::Slow {
        latency: Duration::from_millis(20),
        bytes_per_second: Some(200_000),
    }
}

const OFTEN: When = When::Every(2);
const SHORT_PAGES: &str = "short pages";

#[rustfmt::skip]
const CASES: [Case; 19] = [
    ("reset before", || Fault::ResetBefore, at(2, 3, LOST), at(3, 4, AWAY)),
    ("reset after", || Fault::ResetAfter, at(2, 3, LOST), at(3, 4, AWAY)),
    ("reset often", || Fault::ResetAfter, Some((OFTEN, Some(LOST))), Some((OFTEN, Some(AWAY)))),
    ("cut at once", || Fault::Truncate(0), at(1, 1, LOST), at(1, 2, ANY)),
    ("cut later", || Fault::Truncate(700), at(2, 3, LOST), at(3, 4, ANY)),
    ("500, UNKNOWN", || status(500), at(2, 3, "500"), at(3, 4, "failed")),
    ("502", || status(502), at(1, 4, "502"), None),
    ("503, UNAVAILABLE", || status(503), at(2, 6, "503"), at(2, 6, AWAY)),
    ("504, DEADLINE_EXCEEDED", || status(504), at(3, 3, "504"), at(3, 3, AWAY)),
    ("429, RESOURCE_EXHAUSTED", || status(429), at(1, 2, "429"), at(1, 2, AWAY)),
    ("empty before", || Fault::EmptyBefore, at(2, 3, EMPTY), at(2, 3, ANY)),
    ("empty after", || Fault::EmptyAfter, at(2, 3, EMPTY), at(2, 3, ANY)),
    ("a page of HTML", || page_of_html(200), None, at(2, 3, ANY)),
    ("a proxy's 502", || page_of_html(502), None, at(2, 3, ANY)),
    ("a proxy's 404", || page_of_html(404), at(2, 4, "404"), None),
    ("stall", || Fault::Stall(None), at(2, 2, TIMED_OUT), at(3, 3, TIMED_OUT)),
    ("slow", slow, Some((When::Nth(2..=2), None)), Some((When::Nth(3..=3), None))),
    ("restart", || Fault::Restart(Duration::from_millis(20)), at(3, 3, "the connection"), at(3, 3, ANY)),
    (SHORT_PAGES, || Fault::ShortPage(7), Some((When::Always, None)), Some((When::Always, None))),
];

/// Runs a verb under each fault that there is over this wire.
async fn under_each(wire: Wire, is_backup: bool) {
    for (name, fault, over_rest, over_grpc) in &CASES {
        let struck = match wire {
            Wire::Rest => over_rest,
            Wire::Grpc => over_grpc,
        };
        let (Some((when, why)), true) = (struck, is_backup || *name != SHORT_PAGES) else {
            continue;
        };
        for workers in [1, 4] {
            let what = format!("{name} over {wire:?} with {workers} workers");
            let mut bench = wire.over(Bench::with(400, workers).await);
            let strike = (when.clone(), fault());
            match is_backup {
                true => back_up_under(&mut bench, wire, strike, &what).await,
                false => restore_under(&mut bench, wire, strike, &what).await,
            }
            assert_told(&bench, wire, *why, &what);
            bench.sandbox.stop().await;
        }
    }
}

fn assert_told(bench: &Bench, wire: Wire, why: Option<&str>, what: &str) {
    let retries = bench.told.retries();
    match why {
        None => assert!(retries.is_empty(), "{what}: {retries:?}"),
        Some(why) => assert!(
            retries.iter().any(|(_, message)| message.contains(why)),
            "{what}: no retry says `{why}`: {retries:?}"
        ),
    }
    if wire == Wire::Grpc {
        assert_eq!(bench.told.warnings(), Vec::<String>::new(), "{what}");
    }
}

async fn back_up_under(bench: &mut Bench, wire: Wire, (when, fault): (When, Fault), what: &str) {
    bench.time_out = SHORT;
    let rule = bench.strike(wire.kinds()[0], when, fault);
    let saved = bench.back_up().await;
    let saved = saved.unwrap_or_else(|error| panic!("{what}: {}", shown(&error)));
    assert!(bench.struck(rule) > 0, "{what}: nothing was struck");
    let over_rest = bench.sandbox.count(PAGES.0, PAGES.1) > 0;
    assert_eq!(over_rest, wire == Wire::Rest, "{what}: the other wire");
    let end = (saved.exit_code, saved.tally.accepted, saved.tally.rejected);
    assert_eq!(end, (0, 400, 0), "{what}");
    bench.assert_archived(&saved, &[], what).await;
}

async fn restore_under(bench: &mut Bench, wire: Wire, (when, fault): (When, Fault), what: &str) {
    bench.batch_size = 20;
    let archive = bench.archive().await;
    bench.batch_size = 50;
    bench.time_out = SHORT;
    let before = bench.sandbox.count(BATCHES.0, BATCHES.1);
    let rule = bench.strike(wire.kinds()[1], when, fault);
    let back = bench.restore(&archive, "Copy").await;
    let back = back.unwrap_or_else(|error| panic!("{what}: {}", shown(&error)));
    assert!(bench.struck(rule) > 0, "{what}: nothing was struck");
    let over_rest = bench.sandbox.count(BATCHES.0, BATCHES.1) > before;
    assert_eq!(over_rest, wire == Wire::Rest, "{what}: the other wire");
    let end = (back.exit_code, back.tally.accepted, back.tally.rejected);
    assert_eq!(end, (0, 400, 0), "{what}");
    bench.assert_equal("Copy", &[], what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_meets_a_passing_fault_ends_like_a_clean_one() {
    under_each(Wire::Rest, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_meets_a_passing_fault_ends_like_a_clean_one() {
    under_each(Wire::Rest, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_over_grpc_that_meets_a_passing_fault_ends_like_a_clean_one() {
    under_each(Wire::Grpc, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_over_grpc_that_meets_a_passing_fault_ends_like_a_clean_one() {
    under_each(Wire::Grpc, false).await;
}
