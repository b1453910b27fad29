//! A server with the collections `One` and `Two`, alike until a test changes something.

use std::path::{Path, PathBuf};

use elysiactl::archive::Format;
use elysiactl::commands::{
    Comparison, DiffRequest, Difference, End, Inactive, Session, backup, diff,
};
use elysiactl::error::Result;
use elysiactl::format::Codec;
use elysiactl::model::CollectionName;
use elysiactl::sandbox::{Activity, Sandbox, Settings, Store};
use elysiactl::weaviate::Connection;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common;

pub struct Bench {
    pub sandbox: Sandbox,
    pub folder: tempfile::TempDir,
}

pub const NAMES: [&str; 2] = ["One", "Two"];

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Every sort of vector, and some types.
pub fn definition(name: &str) -> Value {
    let vector = |kind: &str| json!({"vectorizer": {"none": {}}, "vectorIndexType": kind});
    let mut rows = vector("hnsw");
    rows["vectorIndexConfig"] = json!({"multivector": {"enabled": true}});
    let property = |name: &str, kind: &str| json!({"name": name, "dataType": [kind]});
    json!({
        "class": name, "vectorConfig": {"a": vector("hnsw"), "rows": rows},
        "properties": [
            property("title", "text"), property("views", "int"), property("score", "number"),
            property("published", "date"), property("tags", "text[]"),
        ],
    })
}

/// The object of that number, with every property and vector.
pub fn object(number: u32) -> Value {
    json!({
        "id": id(u128::from(number) << 64 | 7), "properties": {
            "title": format!("object {number}"), "views": number, "score": f64::from(number) / 3.0,
            "published": "2024-02-29T23:59:59.123456789+05:30", "tags": ["a", "b"],
        },
        "vectors": {"a": [0.1, number, -0.0], "rows": [[1, 2], [3, number]]},
    })
}

impl Bench {
    /// Two collections of those objects, without tenants.
    pub async fn of(objects: &[Value]) -> Self {
        let store = Store::new();
        for name in NAMES {
            store.create(&definition(name)).unwrap();
        }
        let bench = Bench::around(store).await;
        for name in NAMES {
            bench.write(name, objects).await;
        }
        bench
    }

    /// Two collections with 25 objects each.
    pub async fn alike() -> Self {
        Bench::of(&(0..25).map(object).collect::<Vec<Value>>()).await
    }

    /// Two collections with the tenants `a`, `b` and `empty`; the objects of `a` and `b` have the same ids.
    pub async fn with_tenants() -> Self {
        let store = Store::new();
        for name in NAMES {
            let mut definition = definition(name);
            definition["multiTenancyConfig"] = json!({"enabled": true});
            store.create(&definition).unwrap();
            for tenant in ["a", "b", "empty"] {
                store.add_tenant(name, tenant, Activity::Hot);
            }
        }
        let bench = Bench::around(store).await;
        for name in NAMES {
            for tenant in ["a", "b"] {
                bench.write(name, &of_tenant(tenant, 0..20)).await;
            }
        }
        bench
    }

    pub async fn around(store: Store) -> Self {
        Bench {
            sandbox: Sandbox::start_with(Settings::default(), store)
                .await
                .unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn store(&self) -> &Store {
        self.sandbox.store()
    }

    /// Writes objects as a stranger would.
    pub async fn write(&self, collection: &str, objects: &[Value]) {
        if objects.is_empty() {
            return;
        }
        let mut objects = objects.to_vec();
        for object in &mut objects {
            object["class"] = json!(collection);
        }
        let body = json!({"objects": objects}).to_string();
        let reply = self.call("POST", "/v1/batch/objects", &body).await;
        assert!(!reply.contains("FAILED"), "{reply:.1000}");
    }

    pub async fn delete(&self, collection: &str, number: u32) {
        let id = object(number)["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/objects/{collection}/{id}");
        self.call("DELETE", &path, "").await;
    }

    pub async fn call(&self, method: &str, path: &str, body: &str) -> String {
        // Another test may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let method: reqwest::Method = method.parse().unwrap();
        let request = client.request(method, format!("{}{path}", self.sandbox.url()));
        let request = request
            .header("content-type", "application/json")
            .body(body.to_owned());
        let reply = request.send().await.unwrap();
        assert!(reply.status().is_success(), "{path}: {}", reply.status());
        reply.text().await.unwrap()
    }

    pub fn session(&self) -> Session {
        common::session(&self.folder.path().join("state"))
    }

    pub fn live(&self, name: &str) -> End {
        End::Collection {
            connection: Box::new(Connection::to(self.sandbox.url())),
            name: CollectionName::parse(name).unwrap(),
        }
    }

    pub async fn diff(&self, one: End, two: End) -> Result<Comparison> {
        diff(&self.session(), &request(one, two)).await
    }

    /// `One` against `Two`.
    pub async fn compare(&self) -> Comparison {
        let (one, two) = (self.live("One"), self.live("Two"));
        self.diff(one, two).await.unwrap()
    }

    /// An archive of a collection.
    pub async fn back_up(&self, name: &str, format: Format, codec: Codec) -> PathBuf {
        let layout = (format, codec);
        self.back_up_with(name, layout, Inactive::LeaveOut).await
    }

    pub async fn back_up_with(
        &self,
        name: &str,
        (format, codec): (Format, Codec),
        inactive: Inactive,
    ) -> PathBuf {
        let folder = self
            .folder
            .path()
            .join(format!("{}{}", format.name(), codec.name()));
        let mut request = common::backup_request(&common::rest(&self.sandbox), name, &folder);
        (request.format, request.codec) = (format, codec);
        request.inactive = inactive;
        let saved = backup(&self.session(), &request).await.unwrap();
        saved.archive.unwrap()
    }
}

pub fn request(one: End, two: End) -> DiffRequest {
    DiffRequest {
        one,
        two,
        limit: 100,
        skip_inactive: false,
    }
}

pub fn archive(path: &Path) -> End {
    End::Archive(path.to_owned())
}

pub fn of_tenant(tenant: &str, numbers: std::ops::Range<u32>) -> Vec<Value> {
    let mut objects: Vec<Value> = numbers.map(object).collect();
    for object in &mut objects {
        object["tenant"] = json!(tenant);
        object["properties"]["title"] = json!(tenant);
    }
    objects
}

/// Fails unless everything was compared and is alike, with so many objects.
#[track_caller]
pub fn assert_identical(found: &Comparison, objects: u64) {
    assert_eq!(found.shown, [], "{found:?}");
    assert_eq!(found.exit_code(), 0, "{found:?}");
    assert_eq!((found.one.objects, found.two.objects), (objects, objects));
    assert_eq!(found.one.digest, found.two.digest);
}

/// The one difference that was found.
#[track_caller]
pub fn only(found: &Comparison) -> &Difference {
    assert_eq!(found.counts.differences(), 1, "{found:?}");
    assert_eq!(found.exit_code(), 13);
    &found.shown[0]
}
