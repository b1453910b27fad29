//! The collection deleted and created again.

use elysiactl::commands::{self, ClearMethod};
use elysiactl::error::Kind;
use elysiactl::sandbox::{Fault, Settings, Store, When, sample_definition};

use crate::bench::{Bench, CREATION, DELETION, NAME, OBJECTS, make_with_tenants, refusal};
use crate::common::clear_request;

const LOST: [Fault; 4] = [
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::EmptyBefore,
    Fault::EmptyAfter,
];

async fn ends_empty_in_spite_of(of: (&str, &str), nth: u64) {
    for fault in LOST {
        for bench in [Bench::plain().await, Bench::with_tenants().await] {
            let (shape, nth) = (bench.shape(), bench.nth(of, nth));
            let rule = bench.strike(of, When::Nth(nth..=nth), fault.clone());
            let outcome = bench.clear().await.unwrap();
            assert_eq!(
                (outcome.exit_code, bench.store().count(NAME)),
                (0, 0),
                "{fault:?}"
            );
            assert_eq!(
                (bench.shape(), bench.sandbox.faults().struck(rule)),
                (shape, 1)
            );
            assert_eq!(bench.store().collections(), [NAME], "{fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_the_deletion_is_no_harm() {
    ends_empty_in_spite_of(DELETION, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_the_scratch_creation_is_no_harm() {
    ends_empty_in_spite_of(CREATION, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_the_creation_is_no_harm() {
    ends_empty_in_spite_of(CREATION, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_the_scratch_deletion_is_no_harm() {
    ends_empty_in_spite_of(("DELETE", "/v1/schema/ELYSIACTL"), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_are_found_in_pages_as_small_as_the_server_gives_them() {
    let store = Store::new();
    make_with_tenants(&store);
    let settings = Settings {
        query_maximum_results: 3,
        ..Settings::default()
    };
    let bench = Bench::of(store, settings).await;
    let shape = bench.shape();
    assert_eq!(bench.clear().await.unwrap().exit_code, 0);
    assert_eq!((bench.shape(), bench.store().count(NAME)), (shape, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_so_many_tenants_could_not_be_made_again_objects_are_deleted_by_id_or_nothing_is() {
    let store = Store::new();
    make_with_tenants(&store);
    for tenant in store.tenants(NAME).keys() {
        store.set_activity(NAME, tenant, elysiactl::sandbox::Activity::Hot);
    }
    let mut settings = Settings::default();
    settings.usage_limits.tenants = Some(2);
    let bench = Bench::of(store, settings).await;
    let shape = bench.shape();
    let bench = bench.by(ClearMethod::Recreate);
    assert_eq!(bench.kind().await, Kind::TargetRefused);
    assert_eq!(bench.store().count(NAME), OBJECTS);
    let bench = bench.by(ClearMethod::Auto);
    assert_eq!(bench.clear().await.unwrap().exit_code, 0);
    assert_eq!((bench.shape(), bench.store().count(NAME)), (shape, 0));
    assert_eq!(bench.store().collections(), [NAME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_refused_and_the_real_name_is_told() {
    let bench = Bench::plain().await;
    bench.store().add_alias("Essay", NAME);
    let request = clear_request(&crate::common::rest(&bench.sandbox), "Essay");
    let refused = commands::plan_clear(&bench.session(), &request).await;
    let error = refused.err().unwrap();
    assert!(error.hint().unwrap().contains("`Article`"), "{error}");
    assert_eq!(bench.store().count(NAME), OBJECTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offloaded_tenant_is_refused() {
    let bench = Bench::with_tenants().await;
    let body = r#"[{"name":"a","activityStatus":"HOT"},{"name":"b","activityStatus":"FROZEN"}]"#;
    let tenants = Fault::Status {
        status: 200,
        retry_after: None,
        body: body.to_owned(),
    };
    bench.strike(("GET", "/v1/schema/Article/tenants"), When::Always, tenants);
    let error = bench.clear().await.unwrap_err();
    assert_eq!(error.kind(), Kind::TargetRefused);
    assert!(error.message().contains("`b`"), "{error}");
    assert_eq!(
        (bench.store().count(NAME), bench.jobs().len()),
        (OBJECTS, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_appears_in_the_gap_is_never_deleted() {
    for bench in [Bench::plain().await, Bench::with_tenants().await] {
        let shape = bench.shape();
        bench.once(DELETION, true, |store, _| store.fill(NAME, 3, 8, 77));
        assert_eq!(bench.kind().await, Kind::TargetRefused);
        let theirs = bench.store().dump(NAME);
        assert_eq!(theirs.len(), 3);
        for _ in 0..2 {
            assert_eq!(bench.kind().await, Kind::TargetRefused, "resumed");
        }
        // One of the same definition is all that is owed; beside another one nothing can be brought back.
        assert_eq!(bench.cancel().await.is_ok(), bench.shape() == shape);
        assert!(bench.store().dump(NAME) == theirs);
        assert_eq!(bench.sandbox.count(DELETION.0, DELETION.1), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_collection_comes_back_once_the_other_one_is_gone() {
    let bench = Bench::with_tenants().await;
    let shape = bench.shape();
    bench.once(DELETION, true, |store, _| store.fill(NAME, 3, 8, 77));
    assert_eq!(bench.kind().await, Kind::TargetRefused);
    bench.store().restore(&Store::new().snapshot());
    assert_eq!(bench.clear().await.unwrap().exit_code, 0);
    assert_eq!((bench.shape(), bench.store().count(NAME)), (shape, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_if_the_proof_fails() {
    let bench = Bench::plain().await.by(ClearMethod::Recreate);
    bench.strike(CREATION, When::Always, refusal(422));
    let error = bench.clear().await.unwrap_err();
    assert!(
        error.kept().unwrap().starts_with("nothing was deleted"),
        "{error}"
    );
    assert_eq!(bench.store().count(NAME), OBJECTS);
    assert_eq!(bench.sandbox.count(DELETION.0, DELETION.1), 0);
    assert_eq!(bench.store().collections(), [NAME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_deleted_by_id_if_the_proof_fails() {
    let bench = Bench::plain().await;
    let shards = bench.store().shards(NAME);
    bench.strike(CREATION, When::Always, refusal(422));
    let outcome = bench.clear().await.unwrap();
    assert_eq!(
        (outcome.exit_code, outcome.tally.accepted),
        (0, OBJECTS as u64)
    );
    assert_eq!(
        (bench.store().count(NAME), bench.store().shards(NAME)),
        (0, shards)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_the_scratch_name_that_is_not_ours_stays() {
    let bench = Bench::plain().await;
    bench.once(("GET", "/v1/schema/ELYSIACTL"), false, |store, path| {
        let name = path.rsplit('/').next().unwrap();
        store.create(&sample_definition(name)).unwrap();
        store.fill(name, 3, 8, 1);
    });
    assert_eq!(bench.kind().await, Kind::Mismatch);
    let names = bench.store().collections();
    let scratch = names.iter().find(|name| *name != NAME).unwrap();
    assert_eq!(
        (bench.store().count(scratch), bench.store().count(NAME)),
        (3, OBJECTS)
    );
    bench.cancel().await.unwrap();
    assert_eq!(bench.store().count(scratch), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collection_goes_away_if_asked_for_and_its_aliases_stay() {
    for fault in LOST {
        for mut bench in [Bench::plain().await, Bench::with_tenants().await] {
            bench.request.delete_schema = true;
            bench.store().add_alias("Essay", NAME);
            bench.strike(DELETION, When::Nth(1..=1), fault.clone());
            assert_eq!(bench.clear().await.unwrap().exit_code, 0, "{fault:?}");
            assert_eq!(bench.store().collections().len(), 0, "{fault:?}");
            assert_eq!(bench.store().aliases().len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_comes_back_after_its_deletion_is_told() {
    let mut bench = Bench::plain().await;
    bench.request.delete_schema = true;
    bench.once(DELETION, true, |store, _| store.fill(NAME, 3, 8, 77));
    assert_eq!(bench.kind().await, Kind::TargetRefused);
    assert_eq!(bench.store().count(NAME), 3);
}

const SCRATCH: &str = "/v1/schema/ELYSIACTL";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_make_no_other_collection_deletes_the_objects_by_id() {
    for forbidden in [
        &[("GET", SCRATCH)][..],
        &[CREATION],
        &[CREATION, ("DELETE", SCRATCH)],
    ] {
        let bench = Bench::plain().await;
        let (shards, shape) = (bench.store().shards(NAME), bench.shape());
        for of in forbidden {
            bench.strike(*of, When::Always, refusal(403));
        }
        assert_eq!(bench.clear().await.unwrap().exit_code, 0, "{forbidden:?}");
        assert_eq!((bench.store().count(NAME), bench.shape()), (0, shape));
        assert_eq!(bench.store().shards(NAME), shards, "{forbidden:?}");
        assert_eq!(bench.store().collections(), [NAME]);

        let bench = Bench::plain().await.by(ClearMethod::Recreate);
        for of in forbidden {
            bench.strike(*of, When::Always, refusal(403));
        }
        assert_eq!(bench.kind().await, Kind::Unauthorised, "{forbidden:?}");
        assert_eq!(bench.store().count(NAME), OBJECTS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_altogether_clears_nothing() {
    let bench = Bench::plain().await;
    bench.strike(CREATION, When::Nth(1..=1), refusal(401));
    assert_eq!(bench.kind().await, Kind::Unauthorised);
    assert_eq!(bench.store().count(NAME), OBJECTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scratch_collection_that_may_be_made_and_not_deleted_stays_owed_and_nothing_is_cleared() {
    let bench = Bench::plain().await;
    bench.strike(("DELETE", SCRATCH), When::Always, refusal(403));
    assert_eq!(bench.kind().await, Kind::Unauthorised);
    assert_eq!(bench.store().count(NAME), OBJECTS);
    assert_eq!(bench.store().collections().len(), 2);
    bench.sandbox.faults().clear();
    bench.cancel().await.unwrap();
    assert_eq!(bench.store().collections(), [NAME]);
}
