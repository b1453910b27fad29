//! What a backup would do, for people.

use super::*;

pub(super) fn plan(request: &BackupRequest, client: &Client, found: &Found, seen: &Seen) -> Plan {
    let mut plan = Plan::new(format!("back up collection `{}`", request.collection));
    plan.field("exists", "yes").field(
        "server",
        format!("{} (Weaviate {})", client.address(), found.version),
    );
    plan.field(
        "type",
        if request.with_data {
            "full"
        } else {
            "schema-only"
        },
    );
    plan.field("output", request.destination.display())
        .field("format", request.format.name());
    plan.field("compression", request.codec.name())
        .field("objects", grouped(seen.count));
    target::describe_definition(&mut plan, &found.definition);
    if !seen.tenants.is_empty() {
        plan.field("tenants", grouped(seen.tenants.len() as u64))
            .field("tenants left out", seen.skipped.len())
            .field("tenants offloaded", seen.offloaded.len());
        if request.inactive == Inactive::Wake {
            plan.field("tenants to be woken", grouped(seen.asleep.len() as u64));
        }
    } else {
        plan.field("tenants", "none");
    }
    plan.field("protocol", seen.plan);
    plan
}

pub(super) async fn describe_size(
    session: &Session,
    request: &BackupRequest,
    client: &Arc<Client>,
    seen: &Seen,
    plan: &mut Plan,
) {
    let awake = seen.chosen.iter();
    let awake = awake.filter(|tenant| !seen.asleep.contains(*tenant));
    let some = awake.take(estimate::SAMPLED_TENANTS).cloned();
    let source = CollectionSource::new(
        client.clone(),
        request.collection.clone(),
        some.collect(),
        seen.plan,
    );
    let spelling = Spelling {
        format: request.format,
        codec: request.codec,
    };
    let objects = if request.with_data { seen.count } else { 0 };
    // Two counts, and the page that proves the end.
    let cost = Cost {
        per_page: 1,
        most_in_page: ArchiveSink::MOST,
        per_tenant: 3,
    };
    let tenants = seen.chosen.len() as u64;
    estimate::describe(session, plan, (&source, spelling), (objects, tenants), cost).await;
}
