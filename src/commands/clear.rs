//! `col clear`: a collection becomes empty, or goes away.
//!
//! Deleting and creating again is exact and about a hundred times faster than deleting objects. Between the two calls
//! the collection exists in the job folder only: definition, tenants and shard names are plain fsynced files before
//! the first call, and a scratch collection has proven that this server takes the definition back equal. Where
//! tenants or a part are chosen, or the proof fails, objects are deleted by id.

use std::path::PathBuf;
use std::sync::Arc;

use super::remake::{self, Remake};
use super::session::{Claimed, Outcome, Session, Unfinished, fact_number, grouped};
use super::target::{self, Found};
use crate::engine::{Facts, Verb};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Plan};
use crate::job::{Identity, Job, JobKind, Spec, Summary};
use crate::journal::{JobFolder, State};
use crate::model::{CollectionName, Tenant};
use crate::weaviate::{
    Client, Collection, CollectionEraser, CollectionSource, Connection, IdSource, Incarnation,
    Role, TenantState, TenantStatus,
};

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
    count: u64,
    client: Arc<Client>,
    incarnation: Incarnation,
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
    check_tenants(request, &tenants, &found)?;
    let (incarnation, count) = match &found.is_there {
        true => (
            policy
                .run("look at the collection", || {
                    Incarnation::of(&client, name, &found.definition)
                })
                .await?,
            count(session, &client, request, &found, &tenants).await?,
        ),
        false => (Incarnation { shards: Vec::new() }, 0),
    };
    let (method, why) = choose_method(request, &tenants)?;
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
    .field("protocol", "REST");
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
    let is_going_on = session.unfinished == Unfinished::Resume
        && session.unfinished(&identity(request, method))?.is_some();
    Ok(ClearPlan {
        plan,
        is_going_on,
        found,
        method,
        tenants,
        count,
        client,
        incarnation,
    })
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
    let version = target::version(session, client).await?;
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
    let Some(kept) = remake::read_kept(&folder)? else {
        return Ok(None);
    };
    Ok(Some(Found {
        version,
        definition: kept.definition,
        is_there: false,
    }))
}

fn check_tenants(request: &ClearRequest, tenants: &[TenantState], found: &Found) -> Result<()> {
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
    let _ = found;
    let is_away =
        |tenant: &&TenantState| !matches!(tenant.status, TenantStatus::Hot | TenantStatus::Cold);
    match tenants.iter().find(is_away) {
        Some(tenant) if !request.delete_schema => Err(Error::new(
            Kind::TargetRefused,
            format!(
                "tenant `{}` of `{}` is offloaded; it could not be made again",
                tenant.name, request.collection
            ),
        )
        .with_hint("load it first, or name other tenants with --tenant")),
        _ => Ok(()),
    }
}

async fn count(
    session: &Session,
    client: &Client,
    request: &ClearRequest,
    found: &Found,
    tenants: &[TenantState],
) -> Result<u64> {
    let policy = session.context().policy;
    let mut count = 0;
    for tenant in chosen(request, found, tenants)? {
        count += policy
            .run("count objects", || {
                client.count(&request.collection, &tenant)
            })
            .await?;
    }
    Ok(count)
}

/// The active tenants that are emptied; the one without a name in a collection without tenants.
fn chosen(request: &ClearRequest, found: &Found, tenants: &[TenantState]) -> Result<Vec<Tenant>> {
    if !found.definition.has_tenants()? {
        return Ok(vec![Tenant::NONE]);
    }
    let is_chosen = |tenant: &&TenantState| {
        request.tenants.is_empty() || request.tenants.contains(&tenant.name)
    };
    let active = tenants
        .iter()
        .filter(is_chosen)
        .filter(|tenant| tenant.status == TenantStatus::Hot);
    Ok(active.map(|tenant| Tenant::named(&tenant.name)).collect())
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
    let claimed = claim(session, request, &plan).await?;
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
        method: plan.method,
        chosen,
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

async fn claim(session: &Session, request: &ClearRequest, plan: &ClearPlan) -> Result<Claimed> {
    let identity = identity(request, plan.method);
    if let Some((folder, state)) = session.unfinished(&identity)? {
        match session.unfinished {
            Unfinished::Refuse => return Err(session.in_the_way(&folder, &state)),
            Unfinished::Resume => {
                session.check_identity(&state, &identity)?;
                check_same_life(&state, plan)?;
                return session.go_on(folder);
            }
            Unfinished::Restart => {
                // What was dropped must be there again before the job that knows it is forgotten.
                let folder = Arc::new(folder);
                let remake = Remake {
                    client: plan.client.clone(),
                    name: request.collection.clone(),
                    folder: folder.clone(),
                };
                remake.discharge().await?;
                drop(remake);
                remove(session, folder, &state)?;
            }
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
    let kept = remake::keep(&plan.found.definition, &plan.tenants, &plan.incarnation)?;
    session.begin(
        &Spec {
            identity,
            tuning: session.tuning.clone(),
        },
        Some(&kept),
        |state| {
            state.incarnation = Some(plan.incarnation.shards.clone());
            state.total = Some(plan.count);
            state.address = Some(plan.client.address().to_owned());
            state
                .extra
                .extend(time.map(|time| ("server time".to_owned(), time.to_string())));
        },
    )
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

/// By id, another life of the collection is not ours to empty. By creation, the kept shard names are compared later.
fn check_same_life(state: &State, plan: &ClearPlan) -> Result<()> {
    let then = Incarnation {
        shards: state.incarnation.clone().unwrap_or_default(),
    };
    if plan.method == ClearMethod::ById && !then.may_equal(&plan.incarnation) {
        return Err(Error::new(
            Kind::Mismatch,
            format!(
                "collection `{}` was deleted and created again since job {} began",
                state.spec.identity.source, state.job
            ),
        )
        .with_hint("pass --restart to clear the new one"));
    }
    Ok(())
}

struct Clear<'a> {
    session: &'a Session,
    request: ClearRequest,
    folder: Arc<JobFolder>,
    state: State,
    client: Arc<Client>,
    method: ClearMethod,
    chosen: Vec<Tenant>,
    remake: Remake,
}

impl Clear<'_> {
    fn is_by_id(&self) -> bool {
        self.method == ClearMethod::ById && !self.request.delete_schema
    }

    fn says(&self, doing: &str) {
        self.session.reporter.event(&Event::Stage { doing });
    }

    async fn prepare_drop(&self, number: u32) -> Result<Option<Facts>> {
        match number {
            0 => {
                self.says("delete the collection");
                self.remake.drop_for_good().await?;
                Ok(Some(Facts::new()))
            }
            _ => Ok(None),
        }
    }

    async fn prepare_recreate(&self, number: u32) -> Result<Option<Facts>> {
        match number {
            0 => {
                self.says("prove with a scratch collection that the definition comes back equal");
                self.remake.prove(self.state.job.as_str()).await?;
                Ok(Some(Facts::new()))
            }
            1 => {
                self.says("delete the collection and create it again");
                self.remake.recreate().await.map(Some)
            }
            _ => Ok(None),
        }
    }

    fn source(&self) -> CollectionSource {
        let tenants = if self.is_by_id() {
            self.chosen.clone()
        } else {
            Vec::new()
        };
        CollectionSource::new(
            self.client.clone(),
            self.request.collection.clone(),
            tenants,
            false,
        )
    }

    /// What is there after all: created since the job began, or impossible to delete.
    async fn take_stock(&self) -> Result<Facts> {
        if self.request.delete_schema {
            return match self.client.collection(&self.request.collection).await? {
                Collection::Missing => Ok(Facts::new()),
                _ => Err(Error::transient(format!(
                    "collection `{}` is there again",
                    self.request.collection
                ))),
            };
        }
        let mut left = 0;
        for tenant in &self.chosen {
            left += self.client.count(&self.request.collection, tenant).await?;
        }
        let mut facts = Facts::from([("left".into(), left.to_string())]);
        if left > 0 && self.is_by_id() {
            let remains = super::census::remains(
                &self.session.context().policy,
                &self.client,
                &self.request.collection,
                &self.source(),
                self.began()?,
            )
            .await?;
            facts.extend(remains);
        }
        Ok(facts)
    }

    /// By the server's clock, in Unix milliseconds.
    fn began(&self) -> Result<i64> {
        match self
            .folder
            .state()?
            .extra
            .get("server time")
            .and_then(|time| time.parse().ok())
        {
            Some(time) => Ok(time),
            None => Ok(self.state.started_at()?.as_millisecond()),
        }
    }
}

impl Verb for Clear<'_> {
    type Source = IdSource;
    type Sink = CollectionEraser;

    async fn prepare(&self, number: u32, _: &Job) -> Result<Option<Facts>> {
        match (self.request.delete_schema, self.is_by_id()) {
            (true, _) => self.prepare_drop(number).await,
            (false, false) => self.prepare_recreate(number).await,
            (false, true) => Ok(None),
        }
    }

    async fn ends(&self, _: &Job) -> Result<(IdSource, CollectionEraser)> {
        let eraser = CollectionEraser::new(self.client.clone(), self.request.collection.clone());
        Ok((IdSource::new(self.source()), eraser))
    }

    async fn finish(&self, number: u32, _: &Job) -> Result<Option<Facts>> {
        match number {
            0 => self.take_stock().await.map(Some),
            _ => Ok(None),
        }
    }

    fn summary(&self, job: &Job) -> Summary {
        let number = |name: &str| fact_number(job, name).unwrap_or(0);
        let mut notes = Vec::new();
        let mut exit_code = 0;
        if number("stuck") > 0 {
            notes.push(format!(
                "{} objects cannot be deleted",
                grouped(number("stuck"))
            ));
            exit_code = 3;
        }
        if number("left") > number("stuck") {
            notes.push(format!(
                "{} objects were created since the job began and are left",
                grouped(number("left") - number("stuck"))
            ));
            exit_code = 3;
        }
        let mut tally = job.tally;
        if !self.is_by_id() {
            tally.accepted = self.state.total.unwrap_or(0);
        }
        Summary {
            exit_code,
            tally,
            notes,
        }
    }
}
