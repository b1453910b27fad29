//! A key that may not see every tenant: lists lack the others without a word, and no job may take them for all.

use elysiactl::commands::{
    self, ClearMethod, DiffRequest, End, Session, backup, diff, restore, verify_live,
};
use elysiactl::error::{Error, Kind};
use elysiactl::model::CollectionName;
use elysiactl::sandbox::{
    Activity, Fault, Rule, Sandbox, Settings, Store, UsageLimits, When, sample_definition,
};
use serde_json::json;

use crate::common::{backup_request, clear_request, desk, rest, restore_request};

const NAME: &str = "Kind";

fn three_tenants() -> Store {
    let store = Store::new();
    let mut definition = sample_definition(NAME);
    definition["multiTenancyConfig"] = json!({"enabled": true});
    store.create(&definition).unwrap();
    for tenant in ["amber", "blue", "coral"] {
        store.add_tenant(NAME, tenant, Activity::Hot);
    }
    store.fill(NAME, 30, 4, 1);
    store
}

/// The server as a key sees it that may read these tenants alone.
async fn seen_by(readable: &'static [&'static str], store: &Store) -> Sandbox {
    let settings = Settings {
        readable_tenants: Some(readable),
        ..Settings::default()
    };
    let copy = Store::new();
    copy.restore(&store.snapshot());
    Sandbox::start_with(settings, copy).await.unwrap()
}

async fn clear(
    session: &Session,
    sandbox: &Sandbox,
    method: ClearMethod,
    tenants: &[&str],
) -> Result<u64, Error> {
    let mut request = clear_request(&rest(sandbox), NAME);
    request.method = method;
    request.tenants = tenants.iter().map(|&name| name.into()).collect();
    let plan = commands::plan_clear(session, &request).await?;
    let outcome = commands::clear(session, &request, plan).await?;
    Ok(outcome.tally.accepted)
}

fn is_refused<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorised, "{error}");
    assert!(error.message().contains("read_tenants"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_sight_of_all_tenants_nothing_is_saved_cleared_or_restored_as_if_it_were_all() {
    let all = Sandbox::start_with(Settings::default(), three_tenants())
        .await
        .unwrap();
    let (folder, session) = desk();
    let whole = backup_request(&rest(&all), NAME, &folder.path().join("whole"));
    let archive = backup(&session, &whole).await.unwrap().archive.unwrap();
    for readable in [&[][..], &["amber", "blue"]] {
        let sandbox = seen_by(readable, all.store()).await;
        let request = backup_request(&rest(&sandbox), NAME, &folder.path().join("out"));
        is_refused(backup(&session, &request).await);
        for method in [ClearMethod::Auto, ClearMethod::Recreate, ClearMethod::ById] {
            is_refused(clear(&session, &sandbox, method, &[]).await);
        }
        let back = restore_request(&rest(&sandbox), &archive, Some("Copy"));
        is_refused(restore(&session, &back).await);
        assert_eq!(sandbox.store().collections(), [NAME]);
        assert_eq!(sandbox.store().count(NAME), 30);
        sandbox.stop().await;
    }
    all.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_the_key_may_see_can_be_chosen() {
    let sandbox = seen_by(&["amber", "blue"], &three_tenants()).await;
    let (folder, session) = desk();
    let mut request = backup_request(&rest(&sandbox), NAME, &folder.path().join("out"));
    (request.tenants, request.verify) = (vec!["*".into()], true);
    let saved = backup(&session, &request).await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.accepted), (0, 20));
    let cleared = clear(&session, &sandbox, ClearMethod::Auto, &["amber"]).await;
    assert_eq!(cleared.unwrap(), 10);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_says_that_there_may_be_tenants_it_cannot_see() {
    let all = Sandbox::start_with(Settings::default(), three_tenants())
        .await
        .unwrap();
    let sandbox = seen_by(&["amber", "blue"], all.store()).await;
    let (folder, session) = desk();
    let end = |sandbox: &Sandbox| End::Collection {
        connection: Box::new(rest(sandbox)),
        name: CollectionName::parse(NAME).unwrap(),
    };
    let request = |one: End, two: End| DiffRequest {
        one,
        two,
        limit: 5,
        skip_inactive: false,
    };
    let alike = diff(&session, &request(end(&sandbox), end(&sandbox))).await;
    assert_eq!(alike.unwrap().left_out.len(), 2);
    is_refused(diff(&session, &request(end(&sandbox), end(&all))).await);
    let whole = backup_request(&rest(&all), NAME, &folder.path().join("whole"));
    let archive = backup(&session, &whole).await.unwrap().archive.unwrap();
    is_refused(verify_live(&session, &archive, &end(&sandbox), false, 5).await);
    all.stop().await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aliases_that_the_key_may_not_read_are_said_to_be_missing() {
    let settings = Settings {
        hides_aliases: true,
        ..Settings::default()
    };
    let store = Store::new();
    store.fill(NAME, 30, 4, 1);
    store.add_alias("News", NAME);
    let sandbox = Sandbox::start_with(settings, store).await.unwrap();
    let (folder, session) = desk();
    let request = backup_request(&rest(&sandbox), NAME, &folder.path().join("out"));
    let saved = backup(&session, &request).await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.accepted), (3, 30));
    assert!(saved.notes[0].contains("read_aliases"), "{saved:?}");
    sandbox.stop().await;
}

/// As GraphQL says it, and a listing.
fn forbid_reading(sandbox: &Sandbox) {
    let text =
        "rbac: authorization, forbidden action: user 'x' has insufficient permissions to read_data";
    let refusal = |status, body: serde_json::Value| Fault::Status {
        status,
        retry_after: None,
        body: body.to_string(),
    };
    let count = refusal(200, json!({"data": {}, "errors": [{"message": text}]}));
    let listing = refusal(403, json!({"error": [{"message": text}]}));
    for (method, path, fault) in [
        ("POST", "/v1/graphql", count),
        ("GET", "/v1/objects", listing),
    ] {
        let rule = Rule::new(method, path, When::Always, fault);
        sandbox.faults().add(rule);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_may_not_read_objects_changes_nothing() {
    let store = Store::new();
    store.fill(NAME, 30, 4, 1);
    let sandbox = Sandbox::start_with(Settings::default(), store)
        .await
        .unwrap();
    let (folder, session) = desk();
    let request = backup_request(&rest(&sandbox), NAME, &folder.path().join("out"));
    let archive = backup(&session, &request).await.unwrap().archive.unwrap();
    forbid_reading(&sandbox);
    let back = restore_request(&rest(&sandbox), &archive, Some("Copy"));
    for error in [
        restore(&session, &back).await.unwrap_err(),
        clear(&session, &sandbox, ClearMethod::Auto, &[])
            .await
            .unwrap_err(),
        backup(&session, &request).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Unauthorised, "{error}");
        assert!(error.message().contains("read_data"), "{error}");
    }
    assert_eq!(sandbox.store().collections(), [NAME]);
    assert_eq!(sandbox.store().count(NAME), 30);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_may_not_make_so_many_tenants_leaves_nothing_behind() {
    let settings = Settings {
        usage_limits: UsageLimits {
            tenants: Some(2),
            ..UsageLimits::default()
        },
        ..Settings::default()
    };
    let sandbox = Sandbox::start_with(settings, three_tenants())
        .await
        .unwrap();
    let (folder, session) = desk();
    let request = backup_request(&rest(&sandbox), NAME, &folder.path().join("out"));
    let archive = backup(&session, &request).await.unwrap().archive.unwrap();
    let back = restore_request(&rest(&sandbox), &archive, Some("Copy"));
    let error = restore(&session, &back).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TargetRefused, "{error}");
    assert_eq!(sandbox.store().collections(), [NAME]);
    let unfinished = session.state.jobs().unwrap();
    assert!(
        unfinished
            .iter()
            .all(|job| job.state.as_ref().unwrap().is_done)
    );
    sandbox.stop().await;
}
