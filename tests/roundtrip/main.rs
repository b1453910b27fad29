//! Backup then restore is equality, for each kind of collection, format and destination.

#[path = "../common/mod.rs"]
mod common;

mod foreign;
mod kinds;
mod parts;

use common::{backup_request, restore_request, sandbox_with, session};
use elysiactl::archive::Format;
use elysiactl::commands::{backup, restore, verify};
use elysiactl::format::Codec;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_comes_back_equal_in_every_format_and_compression() {
    let sandbox = sandbox_with("Article", 1_234).await;
    let url = sandbox.url();
    for (format, codec) in [
        (Format::Json, Codec::None),
        (Format::Json, Codec::Gzip),
        (Format::Json, Codec::Zstd),
        (Format::Json, Codec::Lz4),
        (Format::Jsonl, Codec::Zstd),
        (Format::Jsonl, Codec::None),
        (Format::Jsonl, Codec::Gzip),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let session = session(&folder.path().join("state"));
        let mut request = backup_request(&url, "Article", &folder.path().join("backups"));
        (request.format, request.codec) = (format, codec);
        let saved = backup(&session, &request).await.unwrap();
        assert_eq!(
            (saved.exit_code, saved.tally.accepted),
            (0, 1_234),
            "{saved:?}"
        );
        let copy = format!("Copy{}{}", format.name(), codec.name());
        let archive = saved.archive.unwrap();
        assert_eq!(verify(&archive).unwrap().object_count, 1_234);
        let back = restore(&session, &restore_request(&url, &archive, Some(&copy)))
            .await
            .unwrap();
        assert_eq!(
            (back.exit_code, back.tally.accepted),
            (0, 1_234),
            "{back:?}"
        );
        assert!(
            sandbox.store().dump("Article") == sandbox.store().dump(&copy),
            "{format:?} {codec:?} differs"
        );
    }
    sandbox.stop().await;
}
