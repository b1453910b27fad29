//! Every kind of collection in every layout: what comes back is equal in every value and every bit of every vector.

use elysiactl::archive::Format;
use elysiactl::commands::{backup, restore, verify};
use elysiactl::format::Codec;
use elysiactl::sandbox::{Activity, Sandbox, Settings, sample_definition};
use elysiactl::weaviate::{Client, Connection, Role, Transport};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{backup_request, desk, post, restore_request};

const LAYOUTS: [(Format, Codec); 4] = [
    (Format::Json, Codec::None),
    (Format::Json, Codec::Gzip),
    (Format::Jsonl, Codec::Zstd),
    (Format::Jsonl, Codec::Lz4),
];

/// Definition and objects, as they are posted.
type Kind = (Value, Vec<Value>);

pub fn plain(ids: impl IntoIterator<Item = Uuid>) -> Kind {
    let objects = ids
        .into_iter()
        .enumerate()
        .map(|(index, id)| json!({"id": id, "properties": {"title": "é\u{0}", "views": index}, "vector": [index, -0.0, 1e-45]}))
        .collect();
    (sample_definition("Kind"), objects)
}

fn vector(kind: &str) -> Value {
    json!({"vectorizer": {"none": {}}, "vectorIndexType": kind})
}

fn named(objects: Vec<Value>) -> Kind {
    let mut multi = vector("hnsw");
    multi["vectorIndexConfig"] = json!({"multivector": {"enabled": true}});
    let definition = json!({"class": "Kind", "properties": [{"name": "n", "dataType": ["number"]}],
        "vectorConfig": {"a": vector("hnsw"), "b": vector("flat"), "rows": multi}});
    (definition, objects)
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A UUIDv7: milliseconds first, then a counter.
fn v7(number: u64) -> Uuid {
    let millis = 1_700_000_000_000 + number / 7;
    let bits = (u128::from(millis) << 80) | (7 << 76) | (2 << 62) | u128::from(number);
    Uuid::from_u128(bits)
}

fn data_types() -> Kind {
    let primitives = [
        "text",
        "text[]",
        "int",
        "int[]",
        "number",
        "number[]",
        "boolean",
        "boolean[]",
        "date",
        "date[]",
        "uuid",
        "uuid[]",
        "geoCoordinates",
        "phoneNumber",
        "blob",
    ];
    let mut properties: Vec<Value> = primitives
        .iter()
        .map(|kind| json!({"name": kind.replace("[]", "s"), "dataType": [kind]}))
        .collect();
    let nested = json!([
        {"name": "s", "dataType": ["text"]}, {"name": "i", "dataType": ["int"]}, {"name": "b", "dataType": ["boolean"]},
        {"name": "d", "dataType": ["date"]}, {"name": "u", "dataType": ["uuid"]}, {"name": "ns", "dataType": ["number[]"]},
        {"name": "bl", "dataType": ["blob"]},
        {"name": "l2", "dataType": ["object"], "nestedProperties": [{"name": "l3", "dataType": ["object[]"],
            "nestedProperties": [{"name": "s", "dataType": ["text"]}, {"name": "n", "dataType": ["number"]}]}]},
    ]);
    properties.push(json!({"name": "object", "dataType": ["object"], "nestedProperties": nested}));
    properties
        .push(json!({"name": "objects", "dataType": ["object[]"], "nestedProperties": nested}));
    let values = [
        json!({"text": "Ünïcode 東京 😀 \u{0}\u{1}\u{1f}\u{2028}<>&\"\\", "texts": ["", "b", "\u{feff}"]}),
        json!({"int": i64::MIN, "ints": [i64::MAX, (1i64 << 53) + 1, 0, -1]}),
        json!({"number": -0.0, "numbers": [1e308, 5e-324, 1e21, 1e-7, 0.1, 100000000000000000000.0]}),
        json!({"boolean": false, "booleans": [true, false]}),
        json!({"date": "2024-02-29T23:59:59.123456789+05:30", "dates": ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9Z"]}),
        json!({"uuid": "00000000-0000-0000-0000-000000000000", "uuids": ["FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"]}),
        json!({"geoCoordinates": {"latitude": 52.3932696, "longitude": -4.8374263}}),
        json!({"phoneNumber": {"input": "020 1234567", "defaultCountry": "nl"}}),
        json!({"phoneNumber": {"input": "+49 30 1234567"}, "blob": "aGVsbG8="}),
        json!({"texts": [], "ints": [], "numbers": [], "booleans": [], "dates": [], "uuids": [], "objects": []}),
        json!({"object": {"s": "x", "i": -5, "b": true, "d": "2020-01-01T00:00:00Z", "u": "8a3b0b4e-0b5f-4a43-9d5f-7d5f6f3a1b2c",
            "ns": [1.5, -0.0], "bl": "aGVsbG8=", "l2": {"l3": [{"s": "deep", "n": 1e-7}, {"s": null}]}}}),
        json!({"objects": [{"i": 1}, {"s": "\u{0}"}, {"l2": {"l3": []}}]}),
        json!({}),
    ];
    let objects = values
        .into_iter()
        .enumerate()
        .map(|(index, properties)| json!({"id": id(index as u128 + 1), "properties": properties}))
        .collect();
    (
        json!({"class": "Kind", "vectorizer": "none", "properties": properties}),
        objects,
    )
}

/// What gRPC carries exactly, and ints that it does not.
fn exact_types() -> Kind {
    let (mut definition, mut objects) = data_types();
    let is_exact = |name: &str| {
        !name.starts_with("object") && !["geoCoordinates", "phoneNumber", "blob"].contains(&name)
    };
    let properties = definition["properties"].as_array_mut().unwrap();
    properties.retain(|property| is_exact(property["name"].as_str().unwrap()));
    for object in &mut objects {
        let properties = object["properties"].as_object_mut().unwrap();
        properties.retain(|name, _| is_exact(name));
        object["vector"] = json!([0.1, -0.0]);
    }
    (definition, objects)
}

fn kinds() -> Vec<(&'static str, Kind)> {
    let tenanted = || {
        let (mut definition, mut objects) = plain((0..90).map(|number| id(number % 30)));
        definition["multiTenancyConfig"] = json!({"enabled": true});
        for (index, object) in objects.iter_mut().enumerate() {
            object["tenant"] = json!(["amber", "Amber", "blue"][index / 30]);
        }
        (definition, objects)
    };
    let large = (0..6u8).map(|index| {
        let text = "é\"x".repeat(250_000) + &index.to_string();
        json!({"id": id(u128::from(index)), "properties": {"body": text}})
    });
    vec![
        ("exact types", exact_types()),
        ("empty", plain([])),
        ("one object", plain([id(5)])),
        ("nil and highest id", plain([id(0), id(u128::MAX), id(7)])),
        ("no properties", (json!({"class": "Kind", "vectorizer": "none"}), vec![json!({"id": id(1)}), json!({"id": id(2), "vector": [1]})])),
        ("all data types", data_types()),
        (
            "named vectors",
            named((0..40).map(|index| json!({"id": id(index), "properties": {"n": index as u32},
                "vectors": {"a": [0.1, index as u32], "b": [3.4028235e38, -1e-45, 0.33333334]}})).collect()),
        ),
        (
            "multi-vectors",
            named((0..40).map(|index| json!({"id": id(index),
                "vectors": {"rows": vec![json!([1.5, -0.0, index as u32]); 1 + index as usize % 4]}})).collect()),
        ),
        (
            "with and without vectors",
            named((0..40u32).map(|index| match index % 3 {
                0 => json!({"id": id(index.into())}),
                1 => json!({"id": id(index.into()), "vectors": {"b": [1, 2]}}),
                _ => json!({"id": id(index.into()), "vectors": {"a": [index], "rows": [[1, 2]]}}),
            }).collect()),
        ),
        ("tenants", tenanted()),
        ("large objects", (sample_definition("Kind"), large.collect())),
        ("ids that count up", plain((0..700).map(id))),
        ("ids by time", plain((0..700).map(v7))),
    ]
}

pub async fn sandbox_of(kind: &Kind) -> Sandbox {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    sandbox.store().create(&kind.0).unwrap();
    for tenant in ["amber", "Amber", "blue", "empty"] {
        sandbox.store().add_tenant("Kind", tenant, Activity::Hot);
    }
    for some in kind.1.chunks(500) {
        let mut objects = some.to_vec();
        objects
            .iter_mut()
            .for_each(|object| object["class"] = json!("Kind"));
        let (address, body) = (sandbox.addr(), json!({"objects": objects}).to_string());
        let reply = tokio::task::spawn_blocking(move || post(address, "/v1/batch/objects", &body));
        let reply = reply.await.unwrap();
        assert!(
            reply.starts_with("HTTP/1.1 200") && !reply.contains("FAILED"),
            "{reply:.1000}"
        );
    }
    sandbox
}

async fn comes_back(what: &str, sandbox: &Sandbox, layout: (Format, Codec)) {
    comes_back_over(Transport::Grpc, what, sandbox, layout).await;
}

async fn comes_back_over(
    transport: Transport,
    what: &str,
    sandbox: &Sandbox,
    (format, codec): (Format, Codec),
) {
    let server = Connection {
        transport,
        ..sandbox.connection()
    };
    let what = format!(
        "{what} as {}, {}, {transport:?}",
        format.name(),
        codec.name()
    );
    let (folder, session) = desk();
    let mut request = backup_request(&server, "Kind", &folder.path().join("out"));
    (request.format, request.codec) = (format, codec);
    let store = sandbox.store();
    let expected = store.dump("Kind");
    let saved = backup(&session, &request)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let counts = (saved.exit_code, saved.tally.accepted, saved.tally.rejected);
    assert_eq!(counts, (0, expected.len() as u64, 0), "{what}");
    let archive = saved.archive.unwrap();
    assert_eq!(
        verify(&archive).unwrap().object_count,
        expected.len() as u64,
        "{what}"
    );
    let copy = format!("Copy{}{}{transport:?}", format.name(), codec.name());
    let back = restore(&session, &restore_request(&server, &archive, Some(&copy))).await;
    let back = back.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let counts = (back.exit_code, back.tally.accepted, back.tally.rejected);
    assert_eq!(counts, (0, expected.len() as u64, 0), "{what}: {back:?}");
    let found = store.dump(&copy);
    for (one, other) in expected.iter().zip(&found) {
        assert!(one == other, "{what}: {one:.600?}\n{other:.600?}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
    assert_eq!(store.tenants(&copy), store.tenants("Kind"), "{what}");
    let (mut old, new) = (
        store.definition("Kind").unwrap(),
        store.definition(&copy).unwrap(),
    );
    old["class"] = new["class"].clone();
    assert_eq!(old, new, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_collection_comes_back_equal_in_every_layout() {
    for (what, kind) in kinds() {
        let sandbox = sandbox_of(&kind).await;
        for layout in LAYOUTS {
            comes_back(what, &sandbox, layout).await;
        }
        comes_back_over(Transport::Rest, what, &sandbox, LAYOUTS[2]).await;
        sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_grpc_does_not_carry_goes_over_rest_and_nothing_else_does() {
    let sandbox = sandbox_of(&exact_types()).await;
    let batches = sandbox.count("POST", "/v1/batch/objects");
    comes_back("exact types", &sandbox, LAYOUTS[0]).await;
    let pages = "/v1/objects?class=Kind&limit=100";
    assert_eq!(sandbox.count("GET", pages), 0);
    // An `int` of 2^63 alone, and one in a list.
    assert_eq!(sandbox.count("POST", "/v1/batch/objects") - batches, 1);
    assert!(sandbox.count_calls("BatchObjects") > 0);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legacy_and_a_named_vector_in_one_collection_come_back_equal() {
    let sandbox = sandbox_of(&plain([])).await;
    let client = Client::new(&sandbox.connection(), Role::Target).unwrap();
    let mut definition = sandbox.store().definition("Kind").unwrap();
    definition["vectorConfig"] = json!({"a": vector("hnsw")});
    let name = backup_request(&sandbox.connection(), "Kind", "x".as_ref()).collection;
    client.update(&name, &definition).await.unwrap();
    let objects: Vec<Value> = (0..60u32)
        .map(|index| match index % 3 {
            0 => json!({"class": "Kind", "id": id(index.into()), "vector": [index, 0.1]}),
            1 => json!({"class": "Kind", "id": id(index.into()), "vectors": {"a": [index]}}),
            _ => json!({"class": "Kind", "id": id(index.into()), "vector": [1, 2], "vectors": {"a": [3]}}),
        })
        .collect();
    let (address, body) = (sandbox.addr(), json!({"objects": objects}).to_string());
    let reply = tokio::task::spawn_blocking(move || post(address, "/v1/batch/objects", &body))
        .await
        .unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 200") && !reply.contains("FAILED"),
        "{reply:.1000}"
    );
    for layout in LAYOUTS {
        comes_back("legacy and named", &sandbox, layout).await;
    }
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_small_objects_come_back_equal_by_four_lanes() {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    sandbox.store().fill("Kind", 10_000, 4, 3);
    comes_back("ten thousand", &sandbox, (Format::Json, Codec::Zstd)).await;
    sandbox.stop().await;
}
