//! Each kind of difference between two live collections is found, counted and named.

use elysiactl::commands::{Change, Comparison, Difference};
use elysiactl::error::Kind;
use elysiactl::format::Part;
use elysiactl::sandbox::{Activity, Store};
use serde_json::json;

use crate::bench::*;

#[track_caller]
fn object_of(found: &Comparison) -> (String, Change, Vec<Part>) {
    match only(found) {
        Difference::Object {
            key, change, parts, ..
        } => (key.to_string(), *change, parts.clone()),
        other => panic!("{other:?}"),
    }
}

fn id_of(number: u32) -> String {
    object(number)["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_copy_under_another_name_is_identical() {
    let bench = Bench::alike().await;
    assert_identical(&bench.compare().await, 25);
}

#[tokio::test]
async fn empty_collections_are_identical() {
    let bench = Bench::of(&[]).await;
    assert_identical(&bench.compare().await, 0);
}

#[tokio::test]
async fn an_object_that_is_missing_is_found() {
    let bench = Bench::alike().await;
    bench.delete("Two", 7).await;
    let found = bench.compare().await;
    assert_eq!(object_of(&found), (id_of(7), Change::Missing, vec![]));
    assert_eq!(found.counts.missing, 1);
}

#[tokio::test]
async fn an_object_too_many_is_found() {
    let bench = Bench::alike().await;
    bench.write("Two", &[object(25)]).await;
    let found = bench.compare().await;
    assert_eq!(object_of(&found), (id_of(25), Change::Extra, vec![]));
    assert_eq!(found.counts.extra, 1);
}

#[tokio::test]
async fn every_object_of_a_collection_against_an_empty_one_is_counted_and_the_first_are_shown() {
    let bench = Bench::of(&[]).await;
    bench
        .write("One", &(0..25).map(object).collect::<Vec<_>>())
        .await;
    let mut request = request(bench.live("One"), bench.live("Two"));
    request.limit = 10;
    let found = elysiactl::commands::diff(&bench.session(), &request)
        .await
        .unwrap();
    assert_eq!((found.counts.missing, found.shown.len()), (25, 10));
    assert_eq!(found.exit_code(), 13);
}

/// As number in one collection, as text in the other: the same characters, another type.
#[tokio::test]
async fn a_property_that_differs_in_type_only_is_found() {
    let store = Store::new();
    for (name, kind) in [("One", "int"), ("Two", "text")] {
        let property = json!({"name": "v", "dataType": [kind]});
        store
            .create(&json!({"class": name, "vectorizer": "none", "properties": [property]}))
            .unwrap();
    }
    let bench = Bench::around(store).await;
    bench
        .write("One", &[json!({"id": id(1), "properties": {"v": 1}})])
        .await;
    bench
        .write("Two", &[json!({"id": id(1), "properties": {"v": "1"}})])
        .await;
    let found = bench.compare().await;
    assert_eq!(found.counts.different, 1);
    let Some(Difference::Object { parts, .. }) = found.shown.last() else {
        panic!("{found:?}");
    };
    let expected = Part::Property {
        name: "v".into(),
        one: Some("1".into()),
        two: Some("\"1\"".into()),
    };
    assert_eq!(parts, &[expected]);
    // And the setting that goes with it.
    assert!(found.counts.settings > 0, "{found:?}");
}

#[tokio::test]
async fn another_spelling_of_the_same_moment_is_another_date() {
    let bench = Bench::alike().await;
    let mut changed = object(3);
    changed["properties"]["published"] = json!("2024-02-29T18:29:59.123456789Z");
    bench.write("Two", &[changed]).await;
    let (key, change, parts) = object_of(&bench.compare().await);
    assert_eq!((key, change), (id_of(3), Change::Different));
    assert!(
        matches!(&parts[..], [Part::Property { name, .. }] if name == "published"),
        "{parts:?}"
    );
}

#[tokio::test]
async fn a_property_that_is_gone_and_an_empty_list_in_its_place_differ() {
    let bench = Bench::alike().await;
    let mut changed = object(3);
    changed["properties"]["tags"] = json!(null);
    bench.write("One", &[changed.clone()]).await;
    changed["properties"]["tags"] = json!([]);
    bench.write("Two", &[changed]).await;
    let (_, _, parts) = object_of(&bench.compare().await);
    let expected = Part::Property {
        name: "tags".into(),
        one: None,
        two: Some("[]".into()),
    };
    assert_eq!(parts, [expected]);
}

#[tokio::test]
async fn one_bit_of_a_vector_is_found_and_named_with_its_place() {
    let bench = Bench::alike().await;
    let mut changed = object(3);
    changed["vectors"]["a"] = json!([f32::from_bits(0.1f32.to_bits() ^ 1), 3, -0.0]);
    bench.write("Two", &[changed]).await;
    let (_, _, parts) = object_of(&bench.compare().await);
    let bits = 0.1f32.to_bits();
    let expected = Part::VectorNumber {
        name: Some("a".into()),
        index: 0,
        one: bits,
        two: bits ^ 1,
    };
    assert_eq!(parts, [expected]);
}

#[tokio::test]
async fn a_row_of_a_multi_vector_and_a_vector_that_is_missing_are_found() {
    let bench = Bench::alike().await;
    let mut changed = object(3);
    changed["vectors"] = json!({"rows": [[1, 2], [4, 3], [5, 6]]});
    bench.write("Two", &[changed]).await;
    let (_, _, parts) = object_of(&bench.compare().await);
    let form = |name: &str, one: Option<&str>, two: Option<&str>| Part::VectorForm {
        name: Some(name.into()),
        one: one.map(str::to_owned),
        two: two.map(str::to_owned),
    };
    let expected = [
        form("a", Some("3 numbers"), None),
        form(
            "rows",
            Some("2 rows of 2 numbers"),
            Some("3 rows of 2 numbers"),
        ),
    ];
    assert_eq!(parts, expected);
}

#[tokio::test]
async fn the_vector_without_a_name_is_compared_too() {
    let store = Store::new();
    store.fill("One", 300, 8, 1);
    store
        .create(&elysiactl::sandbox::sample_definition("Two"))
        .unwrap();
    let bench = Bench::around(store).await;
    let objects: Vec<_> = bench
        .store()
        .dump("One")
        .into_iter()
        .map(|object| {
            let properties: serde_json::Value = serde_json::from_str(&object.properties).unwrap();
            let vector: Vec<f32> = object.vector.into_iter().map(f32::from_bits).collect();
            json!({"id": object.id, "properties": properties, "vector": vector})
        })
        .collect();
    bench.write("Two", &objects).await;
    assert_identical(&bench.compare().await, 300);
    let mut changed = objects[299].clone();
    changed["vector"][7] = json!(0.25);
    bench.write("Two", &[changed]).await;
    let (_, _, parts) = object_of(&bench.compare().await);
    assert!(
        matches!(
            &parts[..],
            [Part::VectorNumber {
                name: None,
                index: 7,
                ..
            }]
        ),
        "{parts:?}"
    );
}

#[tokio::test]
async fn a_setting_that_differs_is_found() {
    let store = Store::new();
    for (name, factor) in NAMES.into_iter().zip([1.2, 1.3]) {
        let mut definition = definition(name);
        definition["invertedIndexConfig"] = json!({"bm25": {"k1": factor, "b": 0.75}});
        store.create(&definition).unwrap();
    }
    let bench = Bench::around(store).await;
    let found = bench.compare().await;
    let Difference::Setting { detail } = only(&found) else {
        panic!("{found:?}");
    };
    assert_eq!(detail, "/invertedIndexConfig/bm25/k1: 1.2 against 1.3");
}

#[tokio::test]
async fn a_flag_that_creates_tenants_by_itself_is_a_setting_too() {
    let store = Store::new();
    for (name, is_on) in NAMES.into_iter().zip([false, true]) {
        let mut definition = definition(name);
        definition["multiTenancyConfig"] = json!({"enabled": true, "autoTenantCreation": is_on});
        store.create(&definition).unwrap();
    }
    let bench = Bench::around(store).await;
    let found = bench.compare().await;
    let Difference::Setting { detail } = only(&found) else {
        panic!("{found:?}");
    };
    assert_eq!(
        detail,
        "/multiTenancyConfig/autoTenantCreation: false against true"
    );
}

#[tokio::test]
async fn the_same_ids_in_several_tenants_are_objects_of_their_own() {
    let bench = Bench::with_tenants().await;
    let found = bench.compare().await;
    assert_identical(&found, 40);
    assert_eq!(found.one.tenants.len(), 2);
    let mut changed = of_tenant("b", 5..6);
    changed[0]["properties"]["views"] = json!(99);
    bench.write("Two", &changed).await;
    let (key, change, parts) = object_of(&bench.compare().await);
    assert_eq!(
        (key, change),
        (format!("{}/b", id_of(5)), Change::Different)
    );
    assert!(
        matches!(&parts[..], [Part::Property { name, .. }] if name == "views"),
        "{parts:?}"
    );
}

#[tokio::test]
async fn the_state_of_a_tenant_is_compared_without_waking_it() {
    let bench = Bench::with_tenants().await;
    bench.store().add_tenant("One", "asleep", Activity::Cold);
    bench.store().add_tenant("Two", "asleep", Activity::Hot);
    let mut request = request(bench.live("One"), bench.live("Two"));
    let session = bench.session();
    let refused = elysiactl::commands::diff(&session, &request)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::SourceRefused);
    assert!(refused.hint().unwrap().contains("--skip-inactive"));
    request.skip_inactive = true;
    let found = elysiactl::commands::diff(&session, &request).await.unwrap();
    let expected = Difference::Tenant {
        name: "asleep".into(),
        one: Some("COLD".into()),
        two: Some("HOT".into()),
    };
    assert_eq!(only(&found), &expected);
    assert_eq!(bench.store().tenants("One")["asleep"], Activity::Cold);
}

#[tokio::test]
async fn what_was_left_out_is_not_called_identical() {
    let bench = Bench::with_tenants().await;
    for name in NAMES {
        bench.store().add_tenant(name, "asleep", Activity::Cold);
    }
    let mut request = request(bench.live("One"), bench.live("Two"));
    request.skip_inactive = true;
    let found = elysiactl::commands::diff(&bench.session(), &request)
        .await
        .unwrap();
    assert_eq!((found.counts.differences(), found.exit_code()), (0, 3));
    assert_eq!(found.left_out.len(), 2, "{found:?}");
}

#[tokio::test]
async fn a_tenant_without_objects_that_is_missing_is_found() {
    let bench = Bench::with_tenants().await;
    bench.store().add_tenant("One", "more", Activity::Hot);
    let expected = Difference::Tenant {
        name: "more".into(),
        one: Some("HOT".into()),
        two: None,
    };
    assert_eq!(only(&bench.compare().await), &expected);
}

#[tokio::test]
async fn a_collection_that_is_not_there_is_not_found() {
    let bench = Bench::alike().await;
    let outcome = bench.diff(bench.live("One"), bench.live("Nine")).await;
    assert_eq!(outcome.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_counted_and_nothing_is_called_identical() {
    let bench = Bench::alike().await;
    let unreadable = object(7)["id"].as_str().unwrap().parse().unwrap();
    bench.sandbox.faults().make_unreadable(unreadable);
    let found = bench.compare().await;
    assert_eq!(found.counts.unreadable, 1, "{found:?}");
    assert_eq!((found.counts.differences(), found.exit_code()), (0, 3));
    assert_eq!(found.one.objects, 24);
}
