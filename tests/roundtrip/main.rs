//! Backup then restore is equality, for each kind of collection, format and destination.

#[path = "../common/mod.rs"]
mod common;
#[path = "../matrix/mod.rs"]
mod matrix;

mod definitions;
mod foreign;
mod kinds;
mod parts;
mod sight;
mod tenants;
mod vectors;

use std::sync::Arc;

use common::{backup_request, desk, restore_request, sandbox_with, session};
use elysiactl::archive::Format;
use elysiactl::commands::{backup, restore, verify};
use elysiactl::format::Codec;
use elysiactl::job::{Bounds, Cursor, Lane, Pass};
use elysiactl::model::{CollectionName, Key, ObjectId, Tenant};
use elysiactl::pipe::{Budget, Source};
use elysiactl::sandbox::{Sandbox, Settings};
use elysiactl::weaviate::{Client, CollectionSource, Connection, ReadPlan, Role};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_collection_comes_back_equal_by_every_layout() {
    let settings = Settings {
        ttl_schedule: true,
        ..Settings::default()
    };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let bad = matrix::table(&sandbox.connection(), "Kind", session).await;
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_comes_back_equal_in_every_format_and_compression() {
    let sandbox = sandbox_with("Article", 1_234).await;
    let connection = sandbox.connection();
    for (format, codec) in [
        (Format::Json, Codec::None),
        (Format::Json, Codec::Gzip),
        (Format::Json, Codec::Zstd),
        (Format::Json, Codec::Lz4),
        (Format::Jsonl, Codec::Zstd),
        (Format::Jsonl, Codec::None),
        (Format::Jsonl, Codec::Gzip),
    ] {
        let (folder, session) = desk();
        let mut request = backup_request(&connection, "Article", &folder.path().join("backups"));
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
        let back = restore(
            &session,
            &restore_request(&connection, &archive, Some(&copy)),
        )
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

/// Pages are measured by what they are: an end of a lane that looked huge once made all other pages tiny, and lanes few.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_beyond_a_lane_does_not_make_its_objects_larger() {
    let sandbox = sandbox_with("Article", 300).await;
    let name = CollectionName::parse("Article").unwrap();
    let client = Client::new(&sandbox.connection(), Role::Source).unwrap();
    client.reach_grpc(None).await.unwrap();
    client.confirm_grpc(&name, &Tenant::NONE).await.unwrap();
    let client = Arc::new(client);
    for plan in [ReadPlan::Rest, ReadPlan::Joined, ReadPlan::Grpc] {
        let source = CollectionSource::new(client.clone(), name.clone(), vec![Tenant::NONE], plan);
        let budget = Budget::of(300, usize::MAX);
        let all = Lane::alone(Bounds::ALL_KEYS);
        let all = source.fetch(&all, &Cursor::Start, budget).await.unwrap();
        let few = Lane::alone(Bounds::Keys {
            after: None,
            until: Some(all.keys[9].clone()),
        });
        let few = source.fetch(&few, &Cursor::Start, budget).await.unwrap();
        assert_eq!((all.keys.len(), few.keys.len()), (300, 10));
        let (usual, seen) = (all.bytes / 300, few.bytes / 10);
        assert!(
            (usual / 2..=usual * 2).contains(&seen),
            "{plan:?}: {usual} {seen}"
        );
    }
    sandbox.stop().await;
}

/// A page larger than its budget whose objects all lie beyond the lane's end was once read for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_comes_to_its_end_although_a_page_is_larger_than_its_budget() {
    let sandbox = sandbox_with("Article", 300).await;
    let client = Arc::new(Client::new(&Connection::to(sandbox.url()), Role::Source).unwrap());
    let name = CollectionName::parse("Article").unwrap();
    let source = CollectionSource::new(client, name, vec![Tenant::NONE], ReadPlan::Rest);
    let middle = Key::of(ObjectId::from_u128(u128::MAX / 2));
    let bounds = Bounds::Keys {
        after: None,
        until: Some(middle.clone()),
    };
    let mut lane = Lane {
        id: 0,
        pass: Pass::Objects,
        bounds,
        cursor: Cursor::Start,
        seq: 0,
        intent: None,
        is_drained: false,
    };
    let mut keys = Vec::new();
    for fetches in 1.. {
        assert!(fetches < 20, "the lane goes on and on");
        let page = source
            .fetch(&lane, &lane.cursor, Budget::of(50, 1))
            .await
            .unwrap();
        keys.extend(page.keys);
        lane.cursor = page.end;
        if page.is_last {
            break;
        }
    }
    let dump = sandbox.store().dump("Article");
    let expected = dump
        .iter()
        .filter(|object| object.id.as_u128() <= u128::MAX / 2)
        .count();
    assert_eq!(keys.len(), expected);
    assert!(keys.iter().all(|key| *key <= middle));
    sandbox.stop().await;
}
