//! How an end is looked at before it is read.

use super::*;

pub(super) async fn look_live(
    session: &Session,
    client: Arc<Client>,
    name: &CollectionName,
) -> Result<Seen> {
    let found = target::find_to_move(session, &client, name).await?;
    let policy = session.context().policy;
    let incarnation = target::look_at(session, &client, name, &found.definition).await?;
    let states = match found.definition.has_tenants()? {
        true => Some(policy.run("list tenants", || client.tenants(name)).await?),
        false => None,
    };
    let hides_tenants = states.is_some() && may_hide(session, &client, name).await?;
    let total = match &states {
        None => {
            let count = || client.count(name, &Tenant::NONE);
            Some(policy.run("count objects", count).await?)
        }
        Some(_) => None,
    };
    target::tell_of_listing(session, &client);
    let aliases = match policy.run("list aliases", || client.aliases(name)).await {
        Ok(aliases) => {
            let look = || client.sees_aliases(name);
            let sees = policy.run("look at what the key may see", look).await?;
            sees.then(|| aliases.into_iter().collect())
        }
        // A key may not be allowed to list them, and older servers have none.
        Err(error) if error.kind() == Kind::Unauthorised => None,
        Err(error) => return Err(error),
    };
    let (active, inactive) = by_activity(states.as_deref());
    if let Some(tenant) = active.first() {
        target::confirm_grpc(session, &client, name, tenant).await?;
    }
    let plan = ReadPlan::choose(&client, &found.definition, Wanted::Everything)?;
    Ok(Seen {
        title: format!("`{name}` at {}", client.address()),
        definition: found.definition,
        version: found.version,
        tenants: Some(states.iter().flatten().map(live_state).collect()),
        hides_tenants,
        aliases,
        total,
        holds: Holds::Live(Live {
            client,
            name: name.clone(),
            incarnation,
            tenants: active,
            inactive,
            sleepers: None,
            plan,
            counted: OnceLock::new(),
        }),
    })
}

async fn may_hide(session: &Session, client: &Client, name: &CollectionName) -> Result<bool> {
    match target::check_sight(session, client, name, &[]).await {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == Kind::Unauthorised => Ok(true),
        Err(error) => Err(error),
    }
}

fn by_activity(states: Option<&[TenantState]>) -> (Vec<Tenant>, Vec<String>) {
    let Some(states) = states else {
        return (vec![Tenant::NONE], Vec::new());
    };
    let (active, inactive): (Vec<&TenantState>, Vec<&TenantState>) = states
        .iter()
        .partition(|tenant| tenant.status == TenantStatus::Hot);
    (
        active
            .iter()
            .map(|tenant| Tenant::named(&tenant.name))
            .collect(),
        inactive.iter().map(|tenant| tenant.name.clone()).collect(),
    )
}

fn live_state(tenant: &TenantState) -> (String, String) {
    (tenant.name.clone(), spelled(tenant.status))
}

fn spelled(status: TenantStatus) -> String {
    serde_json::json!(status)
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

pub(super) fn look_archived(archive: Archive) -> Seen {
    let header = archive.header();
    let state = |tenant: &crate::archive::TenantState| {
        // Servers changed the words; what they mean is compared.
        let status: Option<TenantStatus> =
            serde_json::from_value(tenant.status.clone().into()).ok();
        let status = status.map_or_else(|| tenant.status.clone(), spelled);
        (tenant.name.clone(), status)
    };
    let is_ours = archive.is_ours();
    Seen {
        title: format!("`{}`", archive.path().display()),
        definition: header.definition.clone(),
        version: header.weaviate_version.clone(),
        tenants: is_ours.then(|| archive.tenants().iter().map(state).collect()),
        hides_tenants: false,
        aliases: is_ours.then(|| archive.aliases().iter().cloned().collect()),
        total: Some(archive.object_count()),
        holds: Holds::Archived(archive),
    }
}
