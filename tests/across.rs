//! From one real Weaviate to another, of another version perhaps. Ignored unless asked for, because it needs two:
//! `ELYSIACTL_TEST_URL=http://127.0.0.1:8080 ELYSIACTL_TEST_TARGET_URL=http://127.0.0.1:8090 \
//!  cargo test --test across -- --include-ignored`
//!
//! Only collections whose names begin with `ElysiactlLive` are made and removed.

mod common;
mod matrix;

use common::{patient, real};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs two servers: set ELYSIACTL_TEST_URL and ELYSIACTL_TEST_TARGET_URL"]
async fn every_kind_of_collection_comes_to_another_server_equal_or_is_refused_by_name() {
    let from = real("ELYSIACTL_TEST_URL", "ELYSIACTL_TEST_GRPC_URL");
    let to = real(
        "ELYSIACTL_TEST_TARGET_URL",
        "ELYSIACTL_TEST_TARGET_GRPC_URL",
    );
    let bad = matrix::table_across((&from, &to), "ElysiactlLiveKind", patient).await;
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
