//! Every moment of a clear is a crash: each is resumed and leaves the same empty collection, and everything else alone.
#![allow(
    clippy::print_stdout,
    reason = "the number of crash points is the result"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use elysiactl::commands::ClearMethod;
use elysiactl::journal::StoreKind;
use elysiactl::model::CollectionName;
use elysiactl::sandbox::{Activity, Dumped, Sandbox, Store, sample_definition};

use elysiactl::weaviate::{Client, Role, Transport};

use crate::pictures::check_batches;
use crate::scene::{COLLECTION, Deed, Ear, Scene, empty_server};

const OBJECTS: usize = 200;
const OTHER: &str = "Author";
/// Of each clean run.
const LEAST_PICTURES: usize = 50;

/// Everything at a server that a clear must leave as it is.
#[derive(Debug, PartialEq)]
struct Surroundings {
    collections: Vec<String>,
    definition: Option<Value>,
    tenants: BTreeMap<String, Activity>,
    aliases: BTreeMap<String, String>,
    other: (Vec<String>, Vec<Dumped>),
}

impl Surroundings {
    fn of(store: &Store) -> Self {
        Surroundings {
            collections: store.collections(),
            definition: store.definition(COLLECTION).map(in_order),
            tenants: store.tenants(COLLECTION),
            aliases: store.aliases(),
            other: (store.shards(OTHER), store.dump(OTHER)),
        }
    }
}

/// The server changes the order of properties with every update of a definition.
pub fn in_order(mut definition: Value) -> Value {
    let properties = definition["properties"].as_array_mut().unwrap();
    properties.sort_by_key(|property| property["name"].to_string());
    definition
}

async fn server(mut definition: Value) -> Sandbox {
    let sandbox = empty_server().await;
    let store = sandbox.store();
    let named = definition.as_object_mut().unwrap().remove("vectorConfig");
    store.create(&definition).unwrap();
    if let Some(named) = named {
        let client = Client::new(&sandbox.connection(), Role::Target).unwrap();
        let mut update = store.definition(COLLECTION).unwrap();
        update["vectorConfig"] = named;
        let name = CollectionName::parse(COLLECTION).unwrap();
        client.update(&name, &update).await.unwrap();
    }
    for (tenant, activity) in [
        ("a", Activity::Hot),
        ("b", Activity::Cold),
        ("c", Activity::Hot),
    ] {
        store.add_tenant(COLLECTION, tenant, activity);
    }
    store.fill(COLLECTION, OBJECTS, 8, 1);
    store.fill(OTHER, 30, 8, 1);
    store.add_alias("Essay", COLLECTION);
    store.add_alias("Writer", OTHER);
    sandbox
}

fn with_tenants() -> Value {
    let mut definition = sample_definition(COLLECTION);
    definition["multiTenancyConfig"] = serde_json::json!({
        "enabled": true, "autoTenantCreation": true, "autoTenantActivation": true,
    });
    definition
}

/// A class with both kinds of vectors is made in two steps.
fn in_two_steps() -> Value {
    let mut definition = sample_definition(COLLECTION);
    definition["vectorConfig"] = serde_json::json!({
        "named": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"},
    });
    definition
}

async fn clears_end_alike(
    (method, transport): (ClearMethod, Transport),
    definition: Value,
    store: StoreKind,
    workers: u32,
) {
    let sandbox = server(definition).await;
    let before = Surroundings::of(sandbox.store());
    let scene = Scene::new(Deed::Clear(method), store, workers).over(transport);
    let (outcome, pictures) = scene.photographed(&sandbox).await;
    assert_eq!(outcome.unwrap().exit_code, 0);
    assert_eq!(sandbox.store().count(COLLECTION), 0);
    assert_eq!(Surroundings::of(sandbox.store()), before);
    let mut sound = 0;
    for (number, picture) in pictures.iter().enumerate() {
        let moment = format!("picture {number}, {}", picture.moment);
        let sandbox = scene.put_back(picture).await;
        let ear = Arc::new(Ear::default());
        let outcome = scene.run(&sandbox.connection(), ear.clone()).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("{moment}: {error}"));
        assert_eq!(outcome.exit_code, 0, "{moment}: {outcome:?}");
        assert_eq!(sandbox.store().count(COLLECTION), 0, "{moment}");
        assert_eq!(Surroundings::of(sandbox.store()), before, "{moment}");
        check_batches(&scene, picture, &ear, &moment);
        for job in scene.jobs() {
            assert!(!job.is_running && job.state.unwrap().is_done, "{moment}");
        }
        sound += 1;
    }
    println!(
        "clear {} over {transport:?}, {workers} lanes, {store} store: {sound} of {} crash points",
        method.name(),
        pictures.len()
    );
    assert!(pictures.len() >= LEAST_PICTURES, "{}", pictures.len());
}

macro_rules! every_crash_of_a {
    ($($name:ident: $run:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() { $run.await })*
    };
}

use ClearMethod::{ById, Recreate};
use StoreKind::{File, Sled};
use Transport::{Grpc, Rest};

every_crash_of_a! {
    clear_by_creation_with_sled_ends_empty: clears_end_alike((Recreate, Grpc), sample_definition(COLLECTION), Sled, 1);
    clear_by_creation_with_a_file_ends_empty: clears_end_alike((Recreate, Grpc), sample_definition(COLLECTION), File, 4);
    clear_of_tenants_with_sled_ends_empty: clears_end_alike((Recreate, Grpc), with_tenants(), Sled, 4);
    clear_of_tenants_with_a_file_ends_empty: clears_end_alike((Recreate, Grpc), with_tenants(), File, 1);
    clear_of_two_kinds_of_vectors_ends_empty: clears_end_alike((Recreate, Grpc), in_two_steps(), File, 1);
    clear_by_id_of_one_lane_with_sled_ends_empty: clears_end_alike((ById, Grpc), sample_definition(COLLECTION), Sled, 1);
    clear_by_id_of_one_lane_with_a_file_ends_empty: clears_end_alike((ById, Grpc), sample_definition(COLLECTION), File, 1);
    clear_by_id_of_four_lanes_with_sled_ends_empty: clears_end_alike((ById, Grpc), sample_definition(COLLECTION), Sled, 4);
    clear_by_id_of_four_lanes_with_a_file_ends_empty: clears_end_alike((ById, Grpc), sample_definition(COLLECTION), File, 4);
    clear_by_id_of_one_lane_over_rest_ends_empty: clears_end_alike((ById, Rest), sample_definition(COLLECTION), File, 1);
    clear_by_id_of_four_lanes_over_rest_ends_empty: clears_end_alike((ById, Rest), sample_definition(COLLECTION), File, 4);
}
