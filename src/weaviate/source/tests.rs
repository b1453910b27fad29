//! Pages of a collection: how large they are, and in what order they are asked for.

use super::*;
use crate::sandbox::{Fault, Rule, Sandbox, Settings, When};
use crate::weaviate::{IdSource, Role};

async fn sources() -> (Sandbox, Arc<Client>, impl Fn(ReadPlan) -> CollectionSource) {
    sources_of(Settings::default()).await
}

async fn sources_of(
    settings: Settings,
) -> (Sandbox, Arc<Client>, impl Fn(ReadPlan) -> CollectionSource) {
    let sandbox = Sandbox::start(settings).await.unwrap();
    sandbox.store().fill("Article", 40, 8, 1);
    let client = Client::new(&sandbox.connection(), Role::Source).unwrap();
    let name = CollectionName::parse("Article").unwrap();
    client.reach_grpc(None).await.unwrap();
    client.confirm_grpc(&name, &Tenant::NONE).await.unwrap();
    let client = Arc::new(client);
    let shared = client.clone();
    let source =
        move |plan| CollectionSource::new(shared.clone(), name.clone(), vec![Tenant::NONE], plan);
    (sandbox, client, source)
}

#[tokio::test]
async fn fewer_keys_of_larger_objects_are_listed_at_once() {
    let (_sandbox, client, source) = sources().await;
    let keys = source(ReadPlan::KeysOverGrpc);
    assert_eq!(keys.keys_at_once(), Some(10_000));
    client.saw_objects(3, 3 * (256 << 10));
    assert_eq!(keys.keys_at_once(), Some(256));
    client.saw_objects(1, 1 << 30);
    assert_eq!(keys.keys_at_once(), Some(100));
    assert_eq!(source(ReadPlan::Rest).keys_at_once(), None);
}

#[tokio::test]
async fn a_page_of_ids_is_as_large_as_what_was_listed_for_them() {
    let (_sandbox, _client, source) = sources().await;
    let lane = Lane::alone(Bounds::ALL_KEYS);
    let budget = Budget::of(10, usize::MAX);
    let size = async |plan| {
        let page = IdSource::new(source(plan))
            .fetch(&lane, &lane.cursor, budget)
            .await;
        let page = page.unwrap();
        assert_eq!(page.keys.len(), 10);
        page.bytes
    };
    let keys = size(ReadPlan::KeysOverGrpc).await;
    let objects = size(ReadPlan::PropertiesOverRest).await;
    assert!(keys <= 10 * 64 && objects > 10 * 100, "{keys} {objects}");
}

fn onward(objects: u32) -> Budget {
    Budget {
        goes_on: true,
        ..Budget::of(objects, usize::MAX)
    }
}

/// A lane read to its end, in pages of ten.
async fn read_all(source: &CollectionSource, lane: &mut Lane) -> Vec<Vec<Key>> {
    let mut pages = Vec::new();
    loop {
        let page = source.fetch(lane, &lane.cursor, onward(10)).await.unwrap();
        lane.cursor = page.end.clone();
        pages.push(page.keys);
        if page.is_last {
            return pages;
        }
    }
}

/// Waits until so many pages were asked for; fails after a while.
async fn until_asked(sandbox: &Sandbox, calls: usize) {
    let asked = async {
        while sandbox.count_calls("Search") < calls {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let asked = tokio::time::timeout(std::time::Duration::from_secs(60), asked);
    asked.await.expect("so many calls");
}

#[tokio::test]
async fn the_page_behind_a_full_one_is_asked_for_before_it_is_wanted_and_none_behind_the_last() {
    for plan in [ReadPlan::Grpc, ReadPlan::KeysOverGrpc] {
        let (sandbox, _client, source) = sources().await;
        let source = source(plan);
        let before = sandbox.count_calls("Search");
        let mut lane = Lane::alone(Bounds::ALL_KEYS);
        let first = source.fetch(&lane, &lane.cursor, onward(10)).await.unwrap();
        until_asked(&sandbox, before + 2).await;
        let pages = read_all(&source, &mut lane).await;
        assert_eq!(pages[0], first.keys, "a cursor may be read from again");
        let lengths: Vec<usize> = pages.iter().map(Vec::len).collect();
        assert_eq!(lengths, [10, 10, 10, 10, 0]);
        assert!(pages.concat().is_sorted());
        // The first page twice, the one behind it twice, three more.
        assert_eq!(sandbox.count_calls("Search") - before, 7);
    }
}

#[tokio::test]
async fn what_was_asked_for_ends_where_the_lane_ends_even_if_that_was_cut_meanwhile() {
    let (sandbox, _client, source) = sources().await;
    let source = source(ReadPlan::Grpc);
    let mut lane = Lane::alone(Bounds::ALL_KEYS);
    let all = read_all(&source, &mut lane).await.concat();
    for end in [12, 20, 25] {
        let mut lane = Lane::alone(Bounds::ALL_KEYS);
        let first = source.fetch(&lane, &lane.cursor, onward(10)).await.unwrap();
        lane.cursor = first.end;
        lane.bounds = Bounds::Keys {
            after: None,
            until: Some(all[end - 1].clone()),
        };
        let rest = read_all(&source, &mut lane).await;
        assert_eq!(rest.concat(), all[10..end], "cut after {end}");
    }
    // The end is known beforehand: a full page before it, and one that is no larger than what is left.
    let before = sandbox.count_calls("Search");
    let mut lane = Lane::alone(Bounds::Keys {
        after: None,
        until: Some(all[9].clone()),
    });
    assert_eq!(read_all(&source, &mut lane).await.concat(), all[..10]);
    assert!(sandbox.count_calls("Search") - before <= 2);
}

#[tokio::test]
async fn a_page_that_failed_before_it_was_wanted_fails_when_it_is_and_is_asked_for_again_then() {
    let (sandbox, _client, source) = sources().await;
    let source = source(ReadPlan::Grpc);
    let refused = Fault::Status {
        status: 503,
        retry_after: None,
        body: "not now".to_owned(),
    };
    let rule = Rule::grpc("Search", When::Nth(2..=2), refused);
    let rule = sandbox.faults().add(rule);
    let mut lane = Lane::alone(Bounds::ALL_KEYS);
    let first = source.fetch(&lane, &lane.cursor, onward(10)).await.unwrap();
    lane.cursor = first.end;
    let failed = source.fetch(&lane, &lane.cursor, onward(10)).await;
    assert!(failed.is_err_and(|error| error.is_transient()));
    assert_eq!(sandbox.faults().struck(rule), 1);
    let rest = read_all(&source, &mut lane).await.concat();
    assert_eq!(first.keys.len() + rest.len(), 40);
}

#[tokio::test]
async fn no_more_are_asked_for_beforehand_than_the_server_gives() {
    let (sandbox, _client, source) = sources_of(Settings {
        query_maximum_results: 4,
        ..Settings::default()
    })
    .await;
    let source = source(ReadPlan::Grpc);
    let mut lane = Lane::alone(Bounds::ALL_KEYS);
    let before = sandbox.count_calls("Search");
    assert_eq!(read_all(&source, &mut lane).await.concat().len(), 40);
    // Twenty pages of two, the empty one, and two that were too large.
    assert_eq!(sandbox.count_calls("Search") - before, 23);
}
