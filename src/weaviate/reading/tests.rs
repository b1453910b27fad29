//! Every plan shows what is stored, whatever is written while it reads.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::model::Times;
use crate::pipe::{Vector, decode_vector};
use crate::sandbox::{Sandbox, Settings, Store};
use crate::weaviate::Role;

/// What a walk showed.
#[derive(Debug, Default, PartialEq)]
struct Shown(Vec<Seen>);

/// An object: its times, its properties and the bytes of its vectors.
type Seen = (
    Key,
    Times,
    BTreeMap<String, Value>,
    BTreeMap<String, Vec<u8>>,
);

impl Visit for Shown {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.0
            .push((key.clone(), times, BTreeMap::new(), BTreeMap::new()));
        Ok(())
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        let value = serde_json::from_str(json).expect("JSON");
        self.0
            .last_mut()
            .expect("an object")
            .2
            .insert(name.to_owned(), value);
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        let mut buffer = Vec::new();
        let bytes = match vector {
            Vector::Json(json) => match decode_vector(json, &mut buffer)? {
                Some(Vector::Single(bytes)) => bytes.to_vec(),
                _ => Vec::new(),
            },
            Vector::Single(bytes) | Vector::Multi { rows: bytes, .. } => bytes.to_vec(),
        };
        let name = name.unwrap_or_default().to_owned();
        self.0.last_mut().expect("an object").3.insert(name, bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Scene {
    sandbox: Sandbox,
    client: Client,
    name: CollectionName,
}

impl Scene {
    /// A collection of these properties, reached over gRPC.
    async fn of(properties: Value) -> Scene {
        Scene::defined(json!({"class": "Kind", "vectorizer": "none", "properties": properties}))
            .await
    }

    async fn defined(definition: Value) -> Scene {
        let settings = Settings {
            ttl_schedule: true,
            ..Settings::default()
        };
        let sandbox = Sandbox::start_with(settings, Store::new())
            .await
            .expect("a sandbox");
        let client = Client::new(&sandbox.connection(), Role::Target).expect("a client");
        client.reach_grpc(None).await.expect("gRPC");
        let create = Bytes::from(definition.to_string());
        let created = client.send(
            reqwest::Method::POST,
            "schema",
            Some(create),
            super::super::client::Patience::Write,
        );
        assert!(created.await.expect("a reply").status.is_success());
        let name = CollectionName::parse("Kind").expect("a name");
        client
            .confirm_grpc(&name, &Tenant::NONE)
            .await
            .expect("one server");
        Scene {
            sandbox,
            client,
            name,
        }
    }

    async fn write(&self, objects: &[Value]) {
        let mut objects = objects.to_vec();
        objects
            .iter_mut()
            .for_each(|object| object["class"] = json!("Kind"));
        let body = json!({"objects": objects}).to_string();
        let reply = self.client.store(body.into()).await.expect("a reply");
        assert!(
            !String::from_utf8_lossy(&reply).contains("FAILED"),
            "{reply:?}"
        );
    }

    fn wish(&self) -> Wish<'_> {
        Wish {
            collection: &self.name,
            tenant: &Tenant::NONE,
            after: None,
            limit: 100,
        }
    }

    async fn read(&self, plan: ReadPlan) -> Shown {
        let page = self
            .client
            .read_page(plan, &self.wish(), &mut Trail::default())
            .await
            .expect("a page");
        shown(&page)
    }

    async fn plan(&self) -> ReadPlan {
        let crate::weaviate::Collection::Found(definition) =
            self.client.collection(&self.name).await.expect("a reply")
        else {
            panic!("no collection");
        };
        ReadPlan::choose(&self.client, &definition, Wanted::Everything).expect("a plan")
    }
}

fn shown(page: &ReadPage) -> Shown {
    let mut shown = Shown::default();
    page.walk(&mut shown).expect("a walk");
    shown
}

fn id(number: u128) -> String {
    ObjectId::from_u128(number).to_string()
}

#[tokio::test]
async fn each_type_is_read_the_fastest_way_that_is_exact() {
    for (kind, plan) in [
        ("text", ReadPlan::Grpc),
        ("text[]", ReadPlan::Grpc),
        ("int", ReadPlan::Grpc),
        ("int[]", ReadPlan::Grpc),
        ("number", ReadPlan::Grpc),
        ("number[]", ReadPlan::Grpc),
        ("boolean", ReadPlan::Grpc),
        ("boolean[]", ReadPlan::Grpc),
        ("date", ReadPlan::Grpc),
        ("date[]", ReadPlan::Grpc),
        ("uuid", ReadPlan::Grpc),
        ("uuid[]", ReadPlan::Grpc),
        ("geoCoordinates", ReadPlan::Joined),
        ("phoneNumber", ReadPlan::Joined),
        ("blob", ReadPlan::Joined),
        ("Kind", ReadPlan::Joined),
        ("object", ReadPlan::Joined),
        ("object[]", ReadPlan::Joined),
    ] {
        let mut property = json!({"name": "one", "dataType": [kind]});
        if kind.starts_with("object") {
            property["nestedProperties"] = json!([{"name": "s", "dataType": ["text"]}]);
        }
        let scene = Scene::of(json!([{"name": "title", "dataType": ["text"]}])).await;
        let mut definition = scene.sandbox.store().definition("Kind").expect("one");
        definition["properties"]
            .as_array_mut()
            .expect("a list")
            .push(property);
        let definition = Definition::parse(definition.to_string()).expect("a definition");
        let chosen = ReadPlan::choose(&scene.client, &definition, Wanted::Everything);
        assert_eq!(chosen.expect("a plan"), plan, "{kind}");
        let alone = Client::new(&scene.sandbox.connection(), Role::Source).expect("a client");
        let chosen = ReadPlan::choose(&alone, &definition, Wanted::Everything);
        assert_eq!(
            chosen.expect("a plan"),
            ReadPlan::Rest,
            "{kind} without gRPC"
        );
    }
}

/// Five objects whose properties and vectors say which version they are of.
fn versions(version: u32, numbers: &[u128]) -> Vec<Value> {
    let object = |number: &u128| json!({"id": id(*number), "properties": {"n": version}, "vector": [version, 1]});
    numbers.iter().map(object).collect()
}

#[tokio::test]
async fn what_is_written_between_the_halves_of_a_joined_page_is_mended() {
    for is_listed_first in [true, false] {
        let scene = Scene::of(json!([{"name": "n", "dataType": ["int"]}])).await;
        scene.write(&versions(1, &[1, 3, 5, 7, 9])).await;
        let (wish, grpc) = (scene.wish(), scene.client.grpc().expect("gRPC"));
        let before_listed = scene.client.list_page(&wish, false).await.expect("a page");
        let before_found = scene
            .client
            .find(grpc, &wish, Parts::Vectors)
            .await
            .expect("a page");
        // One is written again, one is deleted, two come: in between and at the end.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        scene.write(&versions(2, &[3, 4, 11])).await;
        let gone = Key::of(ObjectId::from_u128(7));
        scene
            .client
            .delete_object(&scene.name, &gone)
            .await
            .expect("a deletion");
        let page = match is_listed_first {
            true => {
                let found = scene.client.find(grpc, &wish, Parts::Vectors).await;
                ReadPage::joined(before_listed, found.expect("a page"))
            }
            false => {
                let listed = scene.client.list_page(&wish, false).await;
                ReadPage::joined(listed.expect("a page"), before_found)
            }
        };
        let mended = scene.client.mend(page, &wish).await.expect("a page");
        assert_eq!(mended.given(), if is_listed_first { 5 } else { 6 });
        let now = scene.read(ReadPlan::Rest).await;
        for object in &shown(&mended).0 {
            assert!(now.0.contains(object), "{object:?}");
        }
        let numbers: Vec<u128> = mended.keys().map(|key| key.id.to_u128()).collect();
        match is_listed_first {
            // What came since may be missing, as in any page.
            true => assert_eq!(numbers, [1, 3, 5, 9]),
            false => assert_eq!(numbers, [1, 3, 4, 5, 9, 11]),
        }
    }
}

#[tokio::test]
async fn ints_at_their_limits_come_back_right_by_every_plan() {
    let scene = Scene::of(json!([
        {"name": "n", "dataType": ["int"]}, {"name": "ns", "dataType": ["int[]"]},
    ]))
    .await;
    assert_eq!(scene.plan().await, ReadPlan::Grpc);
    let values = [
        json!({"n": i64::MIN}),
        json!({"n": i64::MAX}),
        json!({"n": (1i64 << 53) + 1}),
        json!({"ns": [0, i64::MIN, -1]}),
        json!({"ns": [i64::MAX, 7]}),
        json!({"n": -1, "ns": []}),
    ];
    let objects: Vec<Value> = (1..).zip(values).map(|(number, properties)| json!({"id": id(number), "properties": properties, "vector": [1, 2]})).collect();
    scene.write(&objects).await;
    let calls = scene.sandbox.count("GET", "/v1/objects/Kind/");
    let found = scene.read(ReadPlan::Grpc).await;
    // Those that may be 2^63 or -2^63 are read alone, and no others.
    assert_eq!(scene.sandbox.count("GET", "/v1/objects/Kind/") - calls, 4);
    assert_eq!(found, scene.read(ReadPlan::Rest).await);
    assert_eq!(found.0.len(), 6);
    assert_eq!(found, scene.read(ReadPlan::Joined).await);
}

#[tokio::test]
async fn objects_whose_time_is_up_are_read_as_long_as_rest_lists_them() {
    let scene = Scene::defined(json!({
        "class": "Kind", "vectorizer": "none",
        "properties": [{"name": "until", "dataType": ["date"]}],
        "objectTtlConfig": {"enabled": true, "deleteOn": "until", "defaultTtl": 60, "filterExpiredObjects": true},
    })).await;
    assert_eq!(scene.plan().await, ReadPlan::Joined);
    let objects: Vec<Value> = (1..=6u8).map(|number| {
        let year = if number % 2 == 0 { 2001 } else { 9001 };
        json!({"id": id(number.into()), "properties": {"until": format!("{year}-01-01T00:00:00Z")}, "vector": [number, 0.1]})
    }).collect();
    scene.write(&objects).await;
    assert_eq!(
        scene.read(ReadPlan::Grpc).await.0.len(),
        3,
        "gRPC hides what is expired"
    );
    let all = scene.read(ReadPlan::Rest).await;
    assert_eq!((all.0.len(), scene.read(ReadPlan::Joined).await), (6, all));
}
