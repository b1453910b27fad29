//! `col clear`: a collection becomes empty, or goes away.
//!
//! Deleting and creating again is exact and about a hundred times faster than deleting objects. Between the two calls
//! the collection exists in the job folder only: definition, tenants and shard names are plain fsynced files before
//! the first call, and a scratch collection has proven that this server takes the definition back equal. Where
//! tenants or a part are chosen, or the proof fails, objects are deleted by id.

mod saved;
mod verb;

use std::path::PathBuf;
use std::sync::Arc;

use super::estimate::{self, Cost};
use super::kept::{self, Kept};
use super::remake::{self, Remake};
use super::session::{Claimed, Outcome, Session, Unfinished, fact_number, grouped};
use super::target::{self, Found};
use crate::engine::{Facts, Verb};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Plan};
use crate::job::{Identity, Job, JobKind, Spec, Summary};
use crate::journal::{JobFolder, State};
use crate::model::{CollectionName, Tenant};
use crate::pipe::Sink;
use crate::weaviate::{
    Client, Collection, CollectionEraser, CollectionSource, Connection, IdSource, Incarnation,
    ReadPlan, Role, TenantState, TenantStatus, Wanted,
};
use verb::Clear;

/// A fact: the server version on which the definition was proven to come back equal.
const PROVEN: &str = "proven on";
/// A fact: why it was not.
const UNPROVEN: &str = "unproven";

/// How a collection is emptied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClearMethod {
    /// By creating it anew if that is exact here, else by id.
    #[default]
    Auto,
    /// Delete the collection and create it again.
    Recreate,
    /// Delete the objects, batch by batch.
    ById,
}

impl ClearMethod {
    /// As the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            ClearMethod::Auto => "auto",
            ClearMethod::Recreate => "recreate",
            ClearMethod::ById => "by-id",
        }
    }

    /// The method of that name.
    pub fn parse(name: &str) -> Result<Self> {
        [ClearMethod::Auto, ClearMethod::Recreate, ClearMethod::ById]
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| {
                Error::new(Kind::Usage, format!("`{name}` is not a method"))
                    .with_hint("choose auto, recreate or by-id")
            })
    }
}

/// What `col clear` was asked for. The question was answered before.
#[derive(Clone, Debug)]
pub struct ClearRequest {
    /// Where the collection is.
    pub connection: Connection,
    /// Its name.
    pub collection: CollectionName,
    /// True to delete the collection itself.
    pub delete_schema: bool,
    /// How.
    pub method: ClearMethod,
    /// The tenants to empty; empty is all.
    pub tenants: Vec<String>,
    /// Where an archive of the collection goes before anything is cleared.
    pub backup_to: Option<PathBuf>,
}

/// What a clear would do.
pub struct ClearPlan {
    /// For people.
    pub plan: Plan,
    /// True if it goes on with an unfinished job, which was agreed to when it began.
    pub is_going_on: bool,
    found: Found,
    method: ClearMethod,
    tenants: Vec<TenantState>,
    counts: Vec<(Tenant, u64)>,
    client: Arc<Client>,
    incarnation: Incarnation,
    /// How ids are read.
    read_plan: ReadPlan,
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
        true => policy
            .run("list tenants", || client.tenants(name))
            .await
            .or_else(missing_is_empty)?,
        false => Vec::new(),
    };
    check_tenants(request, &tenants)?;
    let (incarnation, counts) = match &found.is_there {
        true => (
            policy
                .run("look at the collection", || {
                    Incarnation::of(&client, name, &found.definition)
                })
                .await?,
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
    Ok(tenants.into_iter().zip(counts).collect())
}

fn total(counts: &[(Tenant, u64)]) -> u64 {
    counts.iter().map(|(_, count)| count).sum()
}

/// The active tenants that are emptied; the one without a name in a collection without tenants.
fn chosen(request: &ClearRequest, found: &Found, tenants: &[TenantState]) -> Result<Vec<Tenant>> {
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

fn identity(request: &ClearRequest, method: ClearMethod) -> Identity {
    let mut settings = Vec::new();
    if request.delete_schema {
        settings.push(("definition".to_owned(), "deleted".to_owned()));
    } else if method != ClearMethod::Auto {
        settings.push(("method".to_owned(), method.name().to_owned()));
    }
    Identity {
        tenants: request.tenants.clone(),
        settings,
        ..Identity::of(JobKind::Clear, request.collection.as_str(), "")
    }
}

/// Clears a collection as planned. The plan was shown and agreed to.
pub async fn clear(session: &Session, request: &ClearRequest, plan: ClearPlan) -> Result<Outcome> {
    if session.is_dry_run {
        return Ok(Outcome::default());
    }
    let plan = match session.unfinished {
        Unfinished::Restart => forget_unfinished(session, request, plan).await?,
        _ => plan,
    };
    let saved = match &request.backup_to {
        Some(destination) => Some(saved::save(session, request, &plan, destination).await?),
        None => None,
    };
    let claimed = claim(session, request, &plan, saved).await?;
    let chosen = chosen(request, &plan.found, &plan.tenants)?;
    let remake = Remake {
        client: plan.client.clone(),
        name: request.collection.clone(),
        folder: claimed.folder.clone(),
    };
    let verb = Clear {
        session,
        request: request.clone(),
        folder: claimed.folder.clone(),
        state: claimed.state.clone(),
        client: plan.client.clone(),
        version: plan.found.version.clone(),
        method: plan.method,
        chosen,
        has_sleepers: plan
            .tenants
            .iter()
            .any(|tenant| tenant.status != TenantStatus::Hot),
        read_plan: plan.read_plan,
        counts: plan.counts,
        remake,
    };
    let outcome = session
        .run(&verb, claimed, request.collection.as_str())
        .await;
    let folder = verb.folder.clone();
    drop(verb);
    let summary = outcome.map_err(|error| session.forget_refused(folder, error))?;
    Ok(Outcome {
        exit_code: summary.exit_code,
        tally: summary.tally,
        notes: summary.notes,
        archive: None::<PathBuf>,
    })
}

/// What was dropped must be there again before the job that knows it is forgotten.
async fn forget_unfinished(
    session: &Session,
    request: &ClearRequest,
    plan: ClearPlan,
) -> Result<ClearPlan> {
    let Some((folder, state)) = session.unfinished(&identity(request, plan.method))? else {
        return Ok(plan);
    };
    let folder = Arc::new(folder);
    let remake = Remake {
        client: plan.client.clone(),
        name: request.collection.clone(),
        folder: folder.clone(),
    };
    remake.discharge(&session.first_contact()).await?;
    drop(remake);
    remove(session, folder, &state)?;
    // It may be another one now than the one that was looked at.
    plan_clear(session, request).await
}

async fn claim(
    session: &Session,
    request: &ClearRequest,
    plan: &ClearPlan,
    saved: Option<String>,
) -> Result<Claimed> {
    let identity = identity(request, plan.method);
    if let Some((folder, state)) = session.unfinished(&identity)? {
        match session.unfinished {
            Unfinished::Refuse => return Err(session.in_the_way(&folder, &state)),
            Unfinished::Resume => {
                session.check_identity(&state, &identity)?;
                check_same_life(session, &state, plan, request).await?;
                session.say_moved(&state, plan.client.address());
                return session.go_on(folder);
            }
            // It was forgotten before; another run has begun one since.
            Unfinished::Restart => return Err(session.in_the_way(&folder, &state)),
        }
    }
    if !plan.found.is_there {
        return Err(Error::new(
            Kind::NotFound,
            format!("there is no collection `{}`", request.collection),
        ));
    }
    let policy = session.context().policy;
    let time = policy
        .run("ask for the server's time", || plan.client.server_time())
        .await?;
    let witnesses = kept::witnesses(
        &policy,
        &plan.client,
        &request.collection,
        &plan.found.definition,
        &plan.tenants,
        &plan.incarnation,
    )
    .await?;
    let kept = Kept::new(
        plan.found.definition.clone(),
        plan.tenants.clone(),
        plan.incarnation.clone(),
        witnesses,
    );
    let spec = Spec {
        identity,
        tuning: session.tuning.clone(),
    };
    session.begin(&spec, Some(&kept.to_text()?), |state| {
        state.incarnation = Some(plan.incarnation.shards.clone());
        state.total = Some(total(&plan.counts));
        state.address = Some(plan.client.address().to_owned());
        saved::remember(state, saved);
        state
            .extra
            .extend(time.map(|time| ("server time".to_owned(), time.to_string())));
    })
}

fn remove(session: &Session, folder: Arc<JobFolder>, state: &State) -> Result<()> {
    session
        .reporter
        .event(&Event::Note(&format!("job {} is forgotten", state.job)));
    match Arc::try_unwrap(folder) {
        Ok(folder) => folder.remove(),
        Err(_) => Err(Error::new(
            Kind::Locked,
            format!("job {} is still in use", state.job),
        )),
    }
}

/// By id, another life of the collection is not ours to empty: other shards, or, where shards say nothing, objects
/// that are all younger than the job. By creation, this is looked at right before the deletion.
async fn check_same_life(
    session: &Session,
    state: &State,
    plan: &ClearPlan,
    request: &ClearRequest,
) -> Result<()> {
    if plan.method != ClearMethod::ById {
        return Ok(());
    }
    let then = Incarnation {
        shards: state.incarnation.clone().unwrap_or_default(),
    };
    let is_same = match then.shards.is_empty() || plan.incarnation.shards.is_empty() {
        false => then == plan.incarnation,
        true => {
            let source = CollectionSource::new(
                plan.client.clone(),
                request.collection.clone(),
                chosen(request, &plan.found, &plan.tenants)?,
                plan.read_plan,
            );
            let first = super::census::first(&session.context().policy, &source, 16).await?;
            let began = began(state)?;
            let is_old = |created: i64| super::census::is_older(created, began);
            first.is_empty() || first.iter().any(|(_, times)| is_old(times.created))
        }
    };
    match is_same {
        true => Ok(()),
        false => Err(another_life(request, state)),
    }
}

fn another_life(request: &ClearRequest, state: &State) -> Error {
    Error::new(
        Kind::Mismatch,
        format!(
            "collection `{}` was deleted and created again since job {} began",
            request.collection, state.job
        ),
    )
    .with_hint("pass --restart to clear the new one")
}

/// By the server's clock, in Unix milliseconds.
fn began(state: &State) -> Result<i64> {
    match state
        .extra
        .get("server time")
        .and_then(|time| time.parse().ok())
    {
        Some(time) => Ok(time),
        None => Ok(state.started_at()?.as_millisecond()),
    }
}
