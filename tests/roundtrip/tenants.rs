//! Tenants: chosen, woken and put back, with their states, and what is owed to them.

use std::sync::Arc;

use elysiactl::commands::{Inactive, Session, backup, cancel_job, restore};
use elysiactl::error::Kind;
use elysiactl::job::{Bounds, Lane};
use elysiactl::model::{CollectionName, Tenant};
use elysiactl::pipe::{Budget, Source as _};
use elysiactl::sandbox::{Activity, Fault, Rule, Sandbox, Settings, When};
use elysiactl::weaviate::{Client, CollectionSource, ReadPlan, Role};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{self, backup_request, desk, post, restore_request, session, unavailable};

/// `count` tenants `t000`, `t001`, … of three objects each; every third is inactive, and all from the thirtieth on.
async fn with_tenants(count: usize) -> Sandbox {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    let definition = json!({"class": "Kind", "vectorizer": "none", "properties": [{"name": "n", "dataType": ["int"]}],
        "multiTenancyConfig": {"enabled": true, "autoTenantCreation": true, "autoTenantActivation": false}});
    sandbox.store().create(&definition).unwrap();
    let names: Vec<String> = (0..count).map(|number| format!("t{number:03}")).collect();
    let objects: Vec<Value> = names
        .iter()
        .flat_map(|name| (1..=3).map(move |id| json!({"class": "Kind", "tenant": name, "id": Uuid::from_u128(id), "properties": {"n": id as u32}})))
        .collect();
    let (address, body) = (sandbox.addr(), json!({"objects": objects}).to_string());
    let reply = tokio::task::spawn_blocking(move || post(address, "/v1/batch/objects", &body));
    assert!(!reply.await.unwrap().contains("FAILED"));
    let is_asleep = |number: &usize| number.is_multiple_of(3) || *number >= 30;
    for name in (0..count).filter(is_asleep).map(|number| &names[number]) {
        sandbox.store().set_activity("Kind", name, Activity::Cold);
    }
    sandbox
}

fn owed(session: &Session) -> usize {
    let jobs = session.state.jobs().unwrap();
    let owed = jobs.iter().map(|job| {
        let path = session.state.folder(&job.id).join("obligations.json");
        let text = std::fs::read_to_string(path).unwrap_or_else(|_| r#"{"obligations":[]}"#.into());
        let value: Value = serde_json::from_str(&text).unwrap();
        value["obligations"].as_array().unwrap().len()
    });
    owed.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inactive_tenants_are_woken_eight_at_a_time_put_back_and_come_back_inactive() {
    let sandbox = with_tenants(50).await;
    let before = sandbox.store().tenants("Kind");
    let (folder, session) = desk();
    let mut request = backup_request(&common::rest(&sandbox), "Kind", &folder.path().join("out"));
    let refused = backup(&session, &request).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::SourceRefused);
    request.inactive = Inactive::Wake;
    let saved = backup(&session, &request).await.unwrap();
    assert_eq!(
        (saved.exit_code, saved.tally.accepted),
        (0, 150),
        "{saved:?}"
    );
    assert_eq!(sandbox.store().tenants("Kind"), before);
    assert_eq!(owed(&session), 0);
    let archive = saved.archive.unwrap();
    let back = restore(
        &session,
        &restore_request(&common::rest(&sandbox), &archive, Some("Copy")),
    )
    .await
    .unwrap();
    assert_eq!((back.exit_code, back.tally.accepted), (0, 150), "{back:?}");
    assert_eq!(sandbox.store().tenants("Copy"), before);
    assert!(sandbox.store().dump("Copy") == sandbox.store().dump("Kind"));
    let definition = sandbox.store().definition("Copy").unwrap();
    assert_eq!(definition["multiTenancyConfig"]["autoTenantCreation"], true);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn woken_tenants_are_compared_while_they_are_awake_and_are_put_back() {
    let sandbox = with_tenants(50).await;
    let before = sandbox.store().tenants("Kind");
    let folder = tempfile::tempdir().unwrap();
    for (name, server) in [
        ("rest", common::rest(&sandbox)),
        ("grpc", sandbox.connection()),
    ] {
        let session = session(&folder.path().join(name).join("state"));
        let mut request = backup_request(&server, "Kind", &folder.path().join(name).join("out"));
        (request.inactive, request.verify) = (Inactive::Wake, true);
        let saved = backup(&session, &request).await.unwrap();
        let end = (saved.exit_code, saved.tally.accepted);
        assert_eq!(end, (0, 150), "{saved:?}");
        assert!(saved.notes.is_empty(), "{saved:?}");
        assert_eq!(sandbox.store().tenants("Kind"), before);
        assert_eq!(owed(&session), 0);
        assert_eq!(verified(&session), 150);
    }
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_are_read_and_put_back_whichever_answer_about_their_state_is_lost() {
    let sandbox = with_tenants(50).await;
    let before = sandbox.store().tenants("Kind");
    for nth in 1..=6 {
        let folder = tempfile::tempdir().unwrap();
        let mut session = session(&folder.path().join("state"));
        session.tuning.batch_size = Some(7);
        let out = folder.path().join("out");
        let mut request = backup_request(&common::rest(&sandbox), "Kind", &out);
        request.inactive = Inactive::Wake;
        let states = ("PUT", "/v1/schema/Kind/tenants");
        let rule = Rule::new(states.0, states.1, When::Nth(nth..=nth), Fault::ResetAfter);
        let rule = sandbox.faults().add(rule);
        let saved = backup(&session, &request).await;
        let saved = saved.unwrap_or_else(|error| panic!("answer {nth} is lost: {error:?}"));
        assert_eq!((saved.exit_code, saved.tally.accepted), (0, 150));
        assert_eq!(sandbox.faults().struck(rule), 1);
        assert_eq!(sandbox.store().tenants("Kind"), before);
        assert_eq!(owed(&session), 0);
        sandbox.faults().clear();
    }
    sandbox.stop().await;
}

/// How many objects the comparison of the only job has read.
fn verified(session: &Session) -> u64 {
    let job = session.state.jobs().unwrap().remove(0).id;
    let report = std::fs::read(session.state.folder(&job).join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    report["verification"]["objects"].as_u64().unwrap()
}

/// A backup that wakes tenants and whose server answers no third page.
async fn broken_backup(
    sandbox: &Sandbox,
    session: &mut Session,
    out: &std::path::Path,
) -> elysiactl::commands::BackupRequest {
    let mut request = backup_request(&common::rest(sandbox), "Kind", out);
    request.inactive = Inactive::Wake;
    // From some moment on nothing works any more, not even putting tenants back.
    sandbox.faults().add(Rule::new(
        "GET",
        "/v1/objects",
        When::Nth(30..=10_000),
        unavailable(),
    ));
    sandbox.faults().add(Rule::new(
        "GET",
        "/v1/schema/Kind/tenants/t",
        When::Always,
        unavailable(),
    ));
    session.policy.patience = Some(std::time::Duration::from_millis(50));
    let error = backup(session, &request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    assert_eq!(owed(session), 1, "what was woken is owed");
    sandbox.faults().clear();
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_left_awake_by_a_broken_backup_are_put_back_by_its_resume() {
    let sandbox = with_tenants(50).await;
    let before = sandbox.store().tenants("Kind");
    let folder = tempfile::tempdir().unwrap();
    let mut session = session(&folder.path().join("state"));
    let request = broken_backup(&sandbox, &mut session, &folder.path().join("out")).await;
    assert_ne!(sandbox.store().tenants("Kind"), before);
    let saved = backup(&session, &request).await.unwrap();
    assert_eq!(
        (saved.exit_code, saved.tally.accepted),
        (0, 150),
        "{saved:?}"
    );
    assert_eq!(sandbox.store().tenants("Kind"), before);
    let archive = elysiactl::archive::Archive::open(&saved.archive.unwrap()).unwrap();
    let cold = archive
        .tenants()
        .iter()
        .filter(|tenant| tenant.status == "COLD");
    assert_eq!(cold.count(), 30, "the archive has the states from before");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_left_awake_by_a_broken_backup_are_put_back_by_its_cancellation() {
    let sandbox = with_tenants(50).await;
    let before = sandbox.store().tenants("Kind");
    let folder = tempfile::tempdir().unwrap();
    let mut session = session(&folder.path().join("state"));
    let request = broken_backup(&sandbox, &mut session, &folder.path().join("out")).await;
    let job = session.state.jobs().unwrap().remove(0).id;
    cancel_job(&session, &job, &request.connection, false)
        .await
        .unwrap();
    assert_eq!(sandbox.store().tenants("Kind"), before);
    assert!(session.state.jobs().unwrap().is_empty());
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offloaded_tenants_are_listed_and_the_rest_is_saved_and_restored() {
    let sandbox = with_tenants(6).await;
    sandbox
        .store()
        .set_activity("Kind", "t001", Activity::Frozen);
    let (folder, session) = desk();
    let mut request = backup_request(&common::rest(&sandbox), "Kind", &folder.path().join("out"));
    request.inactive = Inactive::Wake;
    let saved = backup(&session, &request).await.unwrap();
    assert_eq!(
        (saved.exit_code, saved.tally.accepted),
        (3, 15),
        "{saved:?}"
    );
    assert!(
        saved.notes.iter().any(|note| note.contains("t001")),
        "{:?}",
        saved.notes
    );
    let back = restore(
        &session,
        &restore_request(
            &common::rest(&sandbox),
            &saved.archive.unwrap(),
            Some("Copy"),
        ),
    )
    .await
    .unwrap();
    assert_eq!((back.exit_code, back.tally.accepted), (3, 15), "{back:?}");
    assert!(!sandbox.store().tenants("Copy").contains_key("t001"));
    for job in session.state.jobs().unwrap() {
        let path = session.state.folder(&job.id).join("report.json");
        let report: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let lost = report["not_restored"].as_array().unwrap();
        let says = |word: &str| lost.iter().any(|one| one.as_str().unwrap().contains(word));
        assert!(
            says("t001") && says("creation and update times"),
            "{report:#}"
        );
        let zero = json!({"tenant": "t000", "status": "COLD", "objects": 3, "digest": report["tenants"][0]["digest"], "rejected": 0});
        assert_eq!(report["tenants"][0], zero);
        assert!(report["archive"]["digest"].is_string());
        assert_eq!(report["rejects"]["count"], 0);
    }
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_are_chosen_by_name_and_pattern_on_both_ways() {
    let sandbox = with_tenants(30).await;
    let (folder, session) = desk();
    let mut request = backup_request(&common::rest(&sandbox), "Kind", &folder.path().join("out"));
    (request.inactive, request.tenants) = (Inactive::Wake, vec!["t01*".into(), "t002".into()]);
    let saved = backup(&session, &request).await.unwrap();
    assert_eq!(
        (saved.exit_code, saved.tally.accepted),
        (0, 33),
        "{saved:?}"
    );
    let archive = saved.archive.unwrap();
    let mut back = restore_request(&common::rest(&sandbox), &archive, Some("Copy"));
    back.tenants = vec!["t01?".into()];
    let outcome = restore(&session, &back).await.unwrap();
    assert_eq!(
        (outcome.exit_code, outcome.tally.accepted),
        (0, 30),
        "{outcome:?}"
    );
    let made = sandbox.store().tenants("Copy");
    let mut expected = sandbox.store().tenants("Kind");
    expected.retain(|name, _| name.starts_with("t01"));
    assert_eq!(made, expected);
    back.tenants = vec!["nobody*".into()];
    back.name = Some(elysiactl::model::CollectionName::parse("Other").unwrap());
    assert_eq!(
        restore(&session, &back).await.unwrap_err().kind(),
        Kind::NotFound
    );
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn automation_of_a_collection_merged_into_is_off_during_the_load_and_back_afterwards() {
    let sandbox = with_tenants(6).await;
    let folder = tempfile::tempdir().unwrap();
    let mut session = session(&folder.path().join("state"));
    let mut request = backup_request(&common::rest(&sandbox), "Kind", &folder.path().join("out"));
    request.inactive = Inactive::Wake;
    let archive = backup(&session, &request).await.unwrap().archive.unwrap();
    let flag = || {
        sandbox.store().definition("Kind").unwrap()["multiTenancyConfig"]["autoTenantCreation"]
            .clone()
    };
    let mut back = restore_request(&common::rest(&sandbox), &archive, None);
    back.merge = true;
    for name in ["t000", "t003"] {
        sandbox.store().set_activity("Kind", name, Activity::Hot);
    }
    sandbox.faults().add(Rule::new(
        "POST",
        "/v1/batch/objects",
        When::Always,
        unavailable(),
    ));
    session.policy.patience = Some(std::time::Duration::from_millis(50));
    assert_eq!(
        restore(&session, &back).await.unwrap_err().kind(),
        Kind::Exhausted
    );
    assert_eq!(flag(), false);
    sandbox.faults().clear();
    let outcome = restore(&session, &back).await.unwrap();
    assert_eq!(outcome.exit_code, 0, "{outcome:?}");
    assert_eq!(flag(), true);
    assert_eq!(owed(&session), 0);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tenants_are_counted_by_one_request() {
    let sandbox = with_tenants(150).await;
    for number in 0..150 {
        let name = format!("t{number:03}");
        sandbox.store().set_activity("Kind", &name, Activity::Hot);
    }
    // Two before and two after.
    let fifth = Rule::new("POST", "/v1/graphql", When::Nth(5..=1_000), unavailable());
    sandbox.faults().add(fifth);
    let folder = tempfile::tempdir().unwrap();
    let mut session = session(&folder.path().join("state"));
    session.policy.patience = Some(std::time::Duration::from_millis(50));
    let request = backup_request(&common::rest(&sandbox), "Kind", &folder.path().join("out"));
    let saved = backup(&session, &request).await.unwrap();
    assert_eq!((saved.exit_code, saved.tally.accepted), (0, 450));
    sandbox.stop().await;
}

/// The objects that are read of two tenants of three objects each, counted as so many, and the requests for it.
async fn read_counted(sandbox: &Sandbox, counts: [u64; 2], page: u32) -> (usize, usize) {
    let client = Client::new(&common::rest(sandbox), Role::Source).unwrap();
    let tenants = ["t000", "t001"].map(Tenant::named);
    let name = CollectionName::parse("Kind").unwrap();
    let plan = ReadPlan::Rest;
    let source = CollectionSource::new(Arc::new(client), name, tenants.to_vec(), plan)
        .counted(tenants.into_iter().zip(counts));
    let budget = Budget::of(page, usize::MAX);
    let before = sandbox.count("GET", "/v1/objects");
    let (mut lane, mut objects) = (Lane::alone(Bounds::ALL_KEYS), 0);
    loop {
        let read = source.fetch(&lane, &lane.cursor, budget).await.unwrap();
        objects += read.keys.len();
        if read.is_last {
            return (objects, sandbox.count("GET", "/v1/objects") - before);
        }
        lane.cursor = read.end;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_shows_as_many_as_were_counted_is_not_asked_for_its_end() {
    let sandbox = with_tenants(2).await;
    sandbox.store().set_activity("Kind", "t000", Activity::Hot);
    assert_eq!(read_counted(&sandbox, [3, 3], 100).await, (6, 2));
    // A count that is not what is shown proves nothing, and neither does a page that was full.
    assert_eq!(read_counted(&sandbox, [2, 4], 100).await, (6, 4));
    assert_eq!(read_counted(&sandbox, [1, 3], 1).await.0, 6);
    assert_eq!(read_counted(&sandbox, [3, 3], 3).await.0, 6);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_onto_inactive_tenants_is_refused_by_name_before_anything_is_written() {
    let sandbox = with_tenants(6).await;
    let (folder, session) = desk();
    let mut request = backup_request(&common::rest(&sandbox), "Kind", &folder.path().join("out"));
    request.inactive = Inactive::Wake;
    let archive = backup(&session, &request).await.unwrap().archive.unwrap();
    let before = sandbox.store().dump("Kind");
    let mut back = restore_request(&common::rest(&sandbox), &archive, None);
    back.merge = true;
    let error = restore(&session, &back).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TargetRefused);
    assert!(error.message().contains("2 tenants of `Kind`"), "{error}");
    assert_eq!(sandbox.store().dump("Kind"), before);
    back.tenants = vec!["t001".into(), "t002".into()];
    assert_eq!(restore(&session, &back).await.unwrap().tally.accepted, 6);
    sandbox.stop().await;
}
