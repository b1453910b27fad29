//! `col clear`: a collection becomes empty, or goes away.
//!
//! Deleting and creating again is exact and about a hundred times faster than deleting objects. Between the two calls
//! the collection exists in the job folder only: definition, tenants and shard names are plain fsynced files before
//! the first call, and a scratch collection has proven that this server takes the definition back equal. Where
//! tenants or a part are chosen, or the proof fails, objects are deleted by id.

mod life;
mod plan;
mod saved;
mod verb;

use std::path::PathBuf;
use std::sync::Arc;

use super::degraded;
use super::estimate::{self, Cost};
use super::facts::{SERVER_TIME, began, fact_number};
use super::kept::{self, Kept};
use super::remake::{self, Remake};
use super::session::{Claimed, Outcome, Session, Unfinished, grouped};
use super::target::{self, Found};
use crate::engine::{Facts, Verb};
use crate::error::{Error, Kind, Reaction, Result};
use crate::event::{Event, Plan};
use crate::job::{Identity, Job, JobKind, Spec, Summary};
use crate::journal::{JobFolder, State};
use crate::model::{CollectionName, Tenant};
use crate::pipe::Sink;
use crate::weaviate::{
    Client, Collection, CollectionEraser, CollectionSource, Connection, IdSource, Incarnation,
    ReadPlan, Role, TenantState, TenantStatus, Wanted,
};
use life::{another_life, check_same_life};
pub use plan::{ClearPlan, plan_clear};
use plan::{chosen, total};
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
        unarchived: 0,
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
            .extend(time.map(|time| (SERVER_TIME.to_owned(), time.to_string())));
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
