//! A node of the cluster is away: the others leave its objects out of pages and counts without a word.

use std::time::Duration;

use elysiactl::commands::{self, ClearMethod, DiffRequest, End};
use elysiactl::error::Kind;
use elysiactl::model::CollectionName;
use elysiactl::sandbox::Settings;

use crate::bench::{Bench, shown};
use crate::common::clear_request;

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
    let end = || End::Collection {
        connection: Box::new(bench.connection()),
        name: CollectionName::parse("Article").unwrap(),
    };
    let both = DiffRequest {
        one: end(),
        two: end(),
        limit: 5,
        skip_inactive: false,
    };
    let compared = commands::diff(&bench.session("diff"), &both).await;
    assert_eq!(compared.err().unwrap().kind(), Kind::Exhausted);
    assert_eq!(bench.sandbox.store().count("Article"), 120);
    bench.sandbox.stop().await;
}
