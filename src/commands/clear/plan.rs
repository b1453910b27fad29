//! What a clear would do: the collection is looked at and a method chosen; nothing is touched.

use super::*;

/// What a clear would do.
pub struct ClearPlan {
    /// For people.
    pub plan: Plan,
    /// True if it goes on with an unfinished job, which was agreed to when it began.
    pub is_going_on: bool,
    pub(super) found: Found,
    pub(super) method: ClearMethod,
    pub(super) tenants: Vec<TenantState>,
    pub(super) counts: Vec<(Tenant, u64)>,
    pub(super) client: Arc<Client>,
    pub(super) incarnation: Incarnation,
    /// How ids are read.
    pub(super) read_plan: ReadPlan,
}

/// Looks at the collection and decides on the method; touches nothing.
pub async fn plan_clear(session: &Session, request: &ClearRequest) -> Result<ClearPlan> {
    let client = Arc::new(Client::new(&request.connection, Role::Target)?);
    let found = match find_or_interrupted(session, request, &client).await? {
        Some(found) => found,
        None => target::find(session, &client, &request.collection).await?,
    };
    let policy = session.context().policy;
    let name = &request.collection;
    let tenants = match found.definition.has_tenants()? {
        true => {
            target::check_sight(session, &client, name, &request.tenants).await?;
            let list = policy.run("list tenants", || client.tenants(name));
            list.await.or_else(missing_is_empty)?
        }
        false => Vec::new(),
    };
    check_tenants(request, &tenants)?;
    let (incarnation, counts) = match &found.is_there {
        true => (
            target::look_at(session, &client, name, &found.definition).await?,
            count(session, &client, request, &found, &tenants).await?,
        ),
        false => (Incarnation { shards: Vec::new() }, Vec::new()),
    };
    let count = total(&counts);
    let (method, why) = choose_method(request, &tenants)?;
    let first = chosen(request, &found, &tenants)?.into_iter().next();
    if let (true, ClearMethod::ById, Some(tenant)) = (found.is_there, method, first) {
        target::confirm_grpc(session, &client, name, &tenant).await?;
    }
    let read_plan = ReadPlan::choose(&client, &found.definition, Wanted::Keys)?;
    let looked = (&*client, &found, read_plan);
    let mut plan = describe(request, looked, (method, why), &tenants, count);
    if session.is_dry_run {
        let what = (&client, &found, method);
        describe_size(session, request, what, &tenants, count, &mut plan).await?;
    }
    let is_going_on = session.unfinished == Unfinished::Resume
        && session.unfinished(&identity(request, method))?.is_some();
    Ok(ClearPlan {
        plan,
        is_going_on,
        found,
        method,
        tenants,
        counts,
        client,
        incarnation,
        read_plan,
    })
}

/// The plan for people.
fn describe(
    request: &ClearRequest,
    (client, found, read_plan): (&Client, &Found, ReadPlan),
    (method, why): (ClearMethod, &str),
    tenants: &[TenantState],
    count: u64,
) -> Plan {
    let name = &request.collection;
    let mut plan = Plan::new(format!("clear collection `{name}`"));
    plan.field(
        "exists",
        if found.is_there {
            "yes"
        } else {
            "no: an earlier run has deleted it and will create it again"
        },
    );
    plan.field(
        "server",
        format!("{} (Weaviate {})", client.address(), found.version),
    );
    plan.field(
        "type",
        if request.delete_schema {
            "objects and definition"
        } else {
            "objects; the definition stays"
        },
    );
    plan.field("objects", grouped(count));
    target::describe_definition(&mut plan, &found.definition);
    plan.field(
        "tenants",
        if tenants.is_empty() {
            "none".to_owned()
        } else {
            grouped(tenants.len() as u64)
        },
    )
    .field("protocol", read_plan);
    plan.field(
        "method",
        if request.delete_schema {
            "delete the collection"
        } else {
            method.name()
        },
    )
    .field("why", why);
    if method == ClearMethod::Recreate && !request.delete_schema {
        plan.field("gap", "the collection does not exist for about 0.2 s");
    }
    plan
}

/// What is there to be deleted, and what that costs.
async fn describe_size(
    session: &Session,
    request: &ClearRequest,
    (client, found, method): (&Arc<Client>, &Found, ClearMethod),
    tenants: &[TenantState],
    count: u64,
    plan: &mut Plan,
) -> Result<()> {
    let chosen = chosen(request, found, tenants)?;
    let some = chosen.iter().take(estimate::SAMPLED_TENANTS).cloned();
    let name = request.collection.clone();
    let by = ReadPlan::choose(client, &found.definition, Wanted::Everything)?;
    let source = CollectionSource::new(client.clone(), name, some.collect(), by);
    let is_by_id = method == ClearMethod::ById && !request.delete_schema;
    // By id, a page is listed and then deleted; tenants are counted before and after.
    let cost = Cost {
        per_page: if is_by_id { 2 } else { 0 },
        most_in_page: CollectionEraser::MOST,
        per_tenant: 2,
    };
    let amount = (count, chosen.len() as u64);
    estimate::describe(session, plan, (&source, estimate::JSON), amount, cost).await;
    Ok(())
}

fn missing_is_empty(error: Error) -> Result<Vec<TenantState>> {
    if error.is_transient() {
        Err(error)
    } else {
        Ok(Vec::new())
    }
}

/// The definition of a collection that an interrupted clear has deleted and not created again yet.
async fn find_or_interrupted(
    session: &Session,
    request: &ClearRequest,
    client: &Client,
) -> Result<Option<Found>> {
    let version = target::version_and_grpc(session, client).await?;
    let policy = session.context().policy;
    if !matches!(
        policy
            .run("look for the collection", || client
                .collection(&request.collection))
            .await?,
        Collection::Missing
    ) {
        return Ok(None);
    }
    let Some((folder, _)) = session.unfinished(&identity(request, ClearMethod::Auto))? else {
        return Ok(None);
    };
    let is_ours = request.delete_schema || remake::owes_a_collection(&folder)?;
    if !is_ours {
        return Ok(None);
    }
    let Some(kept) = Kept::read(&folder)? else {
        return Ok(None);
    };
    Ok(Some(Found {
        version,
        definition: kept.definition,
        is_there: false,
    }))
}

fn check_tenants(request: &ClearRequest, tenants: &[TenantState]) -> Result<()> {
    if let Some(unknown) = request
        .tenants
        .iter()
        .find(|name| !tenants.iter().any(|tenant| tenant.name == **name))
    {
        return Err(Error::new(
            Kind::NotFound,
            format!(
                "collection `{}` has no tenant `{unknown}`",
                request.collection
            ),
        ));
    }
    match tenants
        .iter()
        .find(|tenant| request.tenants.contains(&tenant.name) && tenant.status != TenantStatus::Hot)
    {
        Some(tenant) => Err(Error::new(
            Kind::TargetRefused,
            format!(
                "tenant `{}` of `{}` is not active; its objects cannot be deleted by id",
                tenant.name, request.collection
            ),
        )
        .with_hint("activate it first")),
        None if request.delete_schema || !request.tenants.is_empty() => Ok(()),
        None => remake::check_states(&request.collection, tenants),
    }
}

/// How many objects each tenant holds that is emptied.
async fn count(
    session: &Session,
    client: &Client,
    request: &ClearRequest,
    found: &Found,
    tenants: &[TenantState],
) -> Result<Vec<(Tenant, u64)>> {
    let tenants = chosen(request, found, tenants)?;
    let policy = session.context().policy;
    let count = || client.counts_of(&request.collection, &tenants);
    let counts = policy.run("count objects", count).await?;
    target::tell_of_listing(session, client);
    Ok(tenants.into_iter().zip(counts).collect())
}

pub(super) fn total(counts: &[(Tenant, u64)]) -> u64 {
    counts.iter().map(|(_, count)| count).sum()
}

/// The active tenants that are emptied; the one without a name in a collection without tenants.
pub(super) fn chosen(
    request: &ClearRequest,
    found: &Found,
    tenants: &[TenantState],
) -> Result<Vec<Tenant>> {
    if !found.definition.has_tenants()? {
        return Ok(vec![Tenant::NONE]);
    }
    let is_chosen = |tenant: &&TenantState| {
        request.tenants.is_empty() || request.tenants.contains(&tenant.name)
    };
    let chosen: Vec<TenantState> = tenants.iter().filter(is_chosen).cloned().collect();
    Ok(kept::active(&chosen))
}

fn choose_method(
    request: &ClearRequest,
    tenants: &[TenantState],
) -> Result<(ClearMethod, &'static str)> {
    let is_part = !request.tenants.is_empty();
    match request.method {
        ClearMethod::Recreate if is_part => Err(Error::new(
            Kind::Usage,
            "a part of a collection cannot be cleared by creating it again",
        )
        .with_hint("leave --method out, or pass --method by-id")),
        ClearMethod::Auto if is_part => Ok((ClearMethod::ById, "tenants were chosen")),
        ClearMethod::Auto => Ok((
            ClearMethod::Recreate,
            "exact, and about 100 times faster than deleting objects",
        )),
        ClearMethod::ById
            if tenants
                .iter()
                .any(|tenant| tenant.status == TenantStatus::Cold && !is_part) =>
        {
            Err(Error::new(
                Kind::TargetRefused,
                "some tenants are inactive; their objects cannot be deleted by id",
            )
            .with_hint("activate them first, choose tenants with --tenant, or leave --method out"))
        }
        method => Ok((method, "asked for")),
    }
}
