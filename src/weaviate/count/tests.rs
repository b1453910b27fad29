//! The three ways to a count tell the same, and each is taken only where it may be.

use super::*;
use crate::sandbox::{Fault, Rule, Sandbox, Settings, When};
use crate::weaviate::{Connection, Role, Transport};

const OBJECTS: u64 = 40;
/// More than two requests of GraphQL ask for.
const TENANTS: usize = 230;

fn name(text: &str) -> CollectionName {
    CollectionName::parse(text).unwrap()
}

fn tenants() -> Vec<Tenant> {
    let named = |number| Tenant::named(&format!("t{number:03}"));
    (0..TENANTS).map(named).collect()
}

/// Objects in `Article`; one in each tenant of `Kind`, but none in the first two.
async fn sandbox(graphql: bool) -> Sandbox {
    let settings = Settings {
        graphql,
        // Listing has to find out.
        query_maximum_results: 300,
        ..Settings::default()
    };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let store = sandbox.store();
    store.fill("Article", OBJECTS as usize, 2, 1);
    let mut definition = crate::sandbox::sample_definition("Kind");
    definition["multiTenancyConfig"] = json!({"enabled": true});
    store.create(&definition).unwrap();
    for tenant in &tenants()[2..] {
        store.add_tenant("Kind", tenant.as_str(), crate::sandbox::Activity::Hot);
    }
    store.fill("Kind", TENANTS - 2, 2, 1);
    for tenant in &tenants()[..2] {
        store.add_tenant("Kind", tenant.as_str(), crate::sandbox::Activity::Hot);
    }
    sandbox
}

fn client(sandbox: &Sandbox, transport: Transport) -> Client {
    let connection = Connection {
        transport,
        ..sandbox.connection()
    };
    Client::new(&connection, Role::Source).unwrap()
}

async fn confirmed(sandbox: &Sandbox) -> Client {
    let client = client(sandbox, Transport::Auto);
    client.reach_grpc(None).await.unwrap();
    let article = name("Article");
    let compared = client.confirm_grpc(&article, &Tenant::NONE);
    compared.await.unwrap();
    client
}

/// What a client counts: all, ranges of ids, and tenants.
async fn told(client: &Client) -> Vec<u64> {
    let (article, kind) = (name("Article"), name("Kind"));
    let mut ids: Vec<ObjectId> = (0..OBJECTS as usize)
        .map(|at| crate::sandbox::sample_id("Article", 1, at).to_string())
        .map(|id| ObjectId::parse(&id).unwrap())
        .collect();
    ids.sort();
    let mut told = vec![client.count(&article, &Tenant::NONE).await.unwrap()];
    for (after, until) in [
        (None, ObjectId::MAX),
        (None, ids[0]),
        (None, ids[9]),
        (Some(ids[9]), ids[19]),
        (Some(ids[9]), ids[9]),
        (Some(ids[39]), ObjectId::MAX),
        (Some(ids[0]), ObjectId::MAX),
    ] {
        let count = client.count_ids(&article, &Tenant::NONE, after, until);
        told.push(count.await.unwrap());
    }
    told.extend(client.counts_of(&kind, &tenants()).await.unwrap());
    told.push(client.count(&kind, &tenants()[7]).await.unwrap());
    told.push(client.count_in(&kind, &tenants()).await.unwrap());
    told
}

fn expected() -> Vec<u64> {
    let mut expected = vec![40, 40, 1, 10, 10, 0, 0, 39, 0, 0];
    expected.extend([1; TENANTS - 2]);
    expected.extend([1, TENANTS as u64 - 2]);
    expected
}

/// Whether GraphQL was asked more than once, and Aggregate and pages to be counted at all.
fn ways(sandbox: &Sandbox) -> [bool; 3] {
    let listed = sandbox.count("GET", "/v1/objects") - sandbox.count_calls("Search");
    [
        sandbox.count("POST", "/v1/graphql") > 1,
        sandbox.count_calls("Aggregate") > 0,
        listed > 0,
    ]
}

#[tokio::test]
async fn the_three_ways_tell_the_same() {
    let on = sandbox(true).await;
    assert_eq!(told(&client(&on, Transport::Auto)).await, expected());
    assert_eq!(ways(&on), [true, false, false]);

    let off = sandbox(false).await;
    assert_eq!(told(&confirmed(&off).await).await, expected());
    assert_eq!(ways(&off), [false, true, false]);

    let off = sandbox(false).await;
    let client = client(&off, Transport::Rest);
    assert_eq!(told(&client).await, expected());
    assert_eq!(ways(&off), [false, false, true]);
    assert!(client.has_news_of_listing() && !client.has_news_of_listing());
}

/// The second hundred is told when the third one was.
#[tokio::test]
async fn hundreds_are_counted_at_once_and_told_in_order() {
    let sandbox = sandbox(true).await;
    let faults = sandbox.faults().clone();
    let stall = Rule::new("POST", "/v1/graphql", When::Nth(2..=2), Fault::Stall(None));
    let stalled = faults.add(stall);
    sandbox.on_request(move |request| {
        let is_told = request.path.ends_with("/graphql") && request.status.is_some();
        if is_told && faults.struck(stalled) > 0 {
            faults.release();
        }
    });
    let (client, kind) = (client(&sandbox, Transport::Rest), name("Kind"));
    // The two empty ones are in the second hundred.
    let (mut tenants, mut expected) = (tenants(), expected()[8..8 + TENANTS].to_vec());
    tenants.rotate_left(100);
    expected.rotate_left(100);
    let counted = client.counts_of(&kind, &tenants);
    let counted = tokio::time::timeout(std::time::Duration::from_secs(20), counted).await;
    assert_eq!(counted.unwrap().unwrap(), expected);
}

#[tokio::test]
async fn grpc_is_reached_for_where_graphql_is_off_and_counts_once_objects_have_shown_where_it_leads()
 {
    let off = sandbox(false).await;
    let client = client(&off, Transport::Auto);
    // The first two tenants are empty, which shows nothing.
    let two = &tenants()[..2];
    assert_eq!(client.counts_of(&name("Kind"), two).await.unwrap(), [0, 0]);
    assert_eq!(
        (off.count_calls("Aggregate"), client.has_grpc()),
        (0, false)
    );
    assert_eq!(told(&client).await, expected());
    assert!(off.count_calls("Aggregate") > 0 && client.has_grpc());
}

#[tokio::test]
async fn grpc_that_lacks_some_objects_counts_nothing() {
    let (here, there) = (sandbox(false).await, sandbox(false).await);
    there.store().restore(&here.store().snapshot());
    // Alike up to the last one.
    let last = json!({"class": "Article", "id": ObjectId::MAX.to_string()});
    let batch = json!({"objects": [last]});
    let rest = client(&here, Transport::Rest);
    let stored = rest.post("batch/objects", &batch);
    assert!(stored.await.unwrap().words().contains("SUCCESS"));
    let connection = Connection {
        grpc_url: Some(there.grpc_url()),
        ..here.connection()
    };
    let client = Client::new(&connection, Role::Source).unwrap();
    let count = client.count(&name("Article"), &Tenant::NONE).await;
    assert_eq!(count.unwrap(), OBJECTS + 1);
    assert_eq!(
        (there.count_calls("Aggregate"), client.has_grpc()),
        (0, false)
    );
}

#[tokio::test]
async fn a_server_without_aggregate_is_asked_once() {
    for graphql in [true, false] {
        let sandbox = sandbox(graphql).await;
        let unknown = Fault::Status {
            status: 501,
            retry_after: None,
            body: "unknown method Aggregate for service weaviate.v1.Weaviate".to_owned(),
        };
        let rule = Rule::grpc("Aggregate", When::Always, unknown);
        let rule = sandbox.faults().add(rule);
        assert_eq!(told(&confirmed(&sandbox).await).await, expected());
        assert_eq!(sandbox.faults().struck(rule), 1);
    }
}

#[tokio::test]
async fn a_key_that_graphql_refuses_may_count_otherwise() {
    let sandbox = sandbox(true).await;
    let refused = Fault::Status {
        status: 403,
        retry_after: None,
        body: r#"{"error":[{"message":"due to GraphQL introspection, this role must have more"}]}"#
            .to_owned(),
    };
    let rule = Rule::new("POST", "/v1/graphql", When::Always, refused);
    sandbox.faults().add(rule);
    for transport in [Transport::Auto, Transport::Rest] {
        assert_eq!(told(&client(&sandbox, transport)).await, expected());
    }
}

#[tokio::test]
async fn what_cannot_be_counted_is_an_error_of_the_same_meaning_by_each_way() {
    let (on, off) = (sandbox(true).await, sandbox(false).await);
    on.store()
        .set_activity("Kind", "t005", crate::sandbox::Activity::Cold);
    off.store()
        .set_activity("Kind", "t005", crate::sandbox::Activity::Cold);
    for client in [
        client(&on, Transport::Rest),
        confirmed(&off).await,
        client(&off, Transport::Rest),
    ] {
        for (collection, tenant) in [
            ("Missing", Tenant::NONE),
            ("Article", Tenant::named("t005")),
            ("Kind", Tenant::NONE),
            ("Kind", Tenant::named("t005")),
            ("Kind", Tenant::named("nobody")),
        ] {
            let error = client.count(&name(collection), &tenant).await.unwrap_err();
            let is_final = (error.kind(), error.reaction());
            let refused = (Kind::SourceRefused, Reaction::Permanent);
            assert_eq!(is_final, refused, "{collection} `{tenant}`: {error}");
        }
        let some = [Tenant::named("t004"), Tenant::named("t005")];
        let error = client.counts_of(&name("Kind"), &some).await.unwrap_err();
        assert_eq!(error.kind(), Kind::SourceRefused);
    }
}

#[tokio::test]
async fn states_come_over_grpc_and_what_it_does_not_tell_over_rest() {
    let sandbox = sandbox(true).await;
    sandbox
        .store()
        .set_activity("Kind", "t005", crate::sandbox::Activity::Cold);
    let asked = ["t005", "t004", "nobody", "t004"].map(str::to_owned);
    let rest = client(&sandbox, Transport::Rest);
    let mut over_rest = rest.states_of(&name("Kind"), &asked).await.unwrap();
    over_rest.sort_by(|one, two| one.name.cmp(&two.name));
    let before = sandbox.count("GET", "/v1/schema/Kind/tenants/");
    let confirmed = confirmed(&sandbox).await;
    let over_grpc = confirmed.states_of(&name("Kind"), &asked).await.unwrap();
    assert_eq!(over_grpc, over_rest);
    assert_eq!(over_grpc.len(), 2);
    // Of the one that is not told.
    let singly = sandbox.count("GET", "/v1/schema/Kind/tenants/") - before;
    assert_eq!((singly, sandbox.count_calls("TenantsGet")), (1, 1));
    assert_eq!(confirmed.states_of(&name("Kind"), &[]).await.unwrap(), []);
    assert_eq!(sandbox.count_calls("TenantsGet"), 1);
}
