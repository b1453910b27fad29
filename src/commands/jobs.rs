//! `jobs ls|show|resume|cancel|prune`: the jobs of this state directory, from their summaries alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::backup::{self, BackupRequest, Follow, Inactive};
use super::clear::{self, ClearMethod, ClearRequest};
use super::owed;
use super::remake::Remake;
use super::restore::{self, Created, Reshape, RestoreRequest};
use super::session::{Outcome, Session, Unfinished};
use crate::archive::Format;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Plan};
use crate::format::Codec;
use crate::job::{JobId, JobKind};
use crate::journal::{JobFolder, Listed, State, StateDir};
use crate::model::{CollectionName, Definition};
use crate::weaviate::{Client, Connection, Role};

/// Every job, oldest first. Opens no journal.
pub fn list_jobs(state: &StateDir) -> Result<Vec<Listed>> {
    state.jobs()
}

/// The job whose id begins with `id`; ids are unique by far fewer letters than they have.
pub fn find_job(state: &StateDir, id: &str) -> Result<JobId> {
    let mut found: Vec<JobId> = state
        .jobs()?
        .into_iter()
        .map(|job| job.id)
        .filter(|job| !id.is_empty() && job.as_str().starts_with(id))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(job), true) => Ok(job),
        (Some(_), false) => Err(
            Error::new(Kind::Usage, format!("several jobs begin with `{id}`"))
                .with_hint("give more of the id"),
        ),
        (None, _) => Err(
            Error::new(Kind::NotFound, format!("there is no job `{id}`"))
                .with_hint("`elysiactl jobs ls` lists the jobs"),
        ),
    }
}

/// Everything that the summary, the rejects and the obligations of a job say.
pub fn describe_job(listed: &Listed, folder: &std::path::Path) -> Result<Plan> {
    let state = match &listed.state {
        Ok(state) => state,
        Err(error) => return Err(Error::new(error.kind(), error.message().to_owned())),
    };
    let identity = &state.spec.identity;
    let mut plan = Plan::new(format!("job {}", state.job));
    for (name, value) in identity
        .fields()
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    {
        plan.field(name, value);
    }
    plan.field("status", status(listed))
        .field("stage", &state.stage);
    plan.field("objects done", state.tally.accepted)
        .field("rejected", state.tally.rejected);
    if let Some(total) = state.total {
        plan.field("objects in all", total);
    }
    plan.field("batches", state.tally.batches)
        .field("bytes", state.tally.bytes);
    plan.field("retries", state.retries)
        .field("repeated", state.repeats);
    plan.field("started", &state.started)
        .field("last change", &state.updated);
    if let Some(address) = &state.address {
        plan.field("server", address);
    }
    if let Some(stopped) = &state.stopped {
        plan.field(
            "stopped",
            format!(
                "{} (exit {}): {}",
                stopped.at, stopped.exit_code, stopped.message
            ),
        );
    }
    if let Some(code) = state.exit_code {
        plan.field("exit code", code);
    }
    for archive in &state.archives {
        plan.field("archive", archive);
    }
    plan.field("folder", folder.display());
    Ok(plan)
}

/// One word for people.
pub fn status(listed: &Listed) -> &'static str {
    match &listed.state {
        Err(_) => "unreadable",
        Ok(state) if state.is_done => "done",
        Ok(_) if listed.is_running => "running",
        Ok(_) => "unfinished",
    }
}

/// Goes on with an unfinished job: what was asked is in its summary, the connection is this run's.
pub async fn resume_job(session: &Session, id: &JobId, connection: &Connection) -> Result<Outcome> {
    let folder = session.state.open_job(id)?;
    let (state, definition) = (folder.state()?, folder.definition()?);
    // The verb takes the lock itself.
    drop(folder);
    if state.is_done {
        return Err(Error::new(
            Kind::Usage,
            format!("job {id} is done; there is nothing to go on with"),
        ));
    }
    debug_assert_eq!(session.unfinished, Unfinished::Resume);
    match state.spec.identity.kind {
        JobKind::Backup => {
            let request = backup_request(&state, connection)?;
            backup::backup_and_follow(session, &request, Follow::Never).await
        }
        JobKind::Restore => {
            let request = restore_request(&state, definition, connection)?;
            restore::restore(session, &request).await
        }
        JobKind::Clear => {
            let request = clear_request(&state, connection)?;
            let plan = clear::plan_clear(session, &request).await?;
            clear::clear(session, &request, plan).await
        }
        JobKind::Copy => Err(Error::new(
            Kind::Incompatible,
            format!("job {id} is a copy, which this version does not know"),
        )),
    }
}

/// Where the job was last at work, for a run that names no address.
pub fn address_of_job(state: &StateDir, id: &JobId) -> Result<Option<String>> {
    Ok(state.open_job(id)?.state()?.address)
}

fn backup_request(state: &State, connection: &Connection) -> Result<BackupRequest> {
    let identity = &state.spec.identity;
    let group = identity
        .collections
        .iter()
        .map(|name| CollectionName::parse(name))
        .collect::<Result<_>>()?;
    Ok(BackupRequest {
        connection: connection.clone(),
        collection: CollectionName::parse(&identity.source)?,
        group,
        destination: PathBuf::from(&identity.target),
        format: Format::parse(&identity.format)?,
        codec: Codec::parse(&identity.compression)?,
        with_data: identity.with_data,
        // The job itself knows whether it is to be verified.
        verify: false,
        with_vectors: identity.with_vectors,
        tenants: identity.tenants.clone(),
        inactive: Inactive::of(identity),
    })
}

fn restore_request(
    state: &State,
    definition: Option<String>,
    connection: &Connection,
) -> Result<RestoreRequest> {
    let identity = &state.spec.identity;
    // Whatever the definition was made of, it was kept as it came out.
    let is_reshaped = identity
        .settings
        .iter()
        .any(|(name, _)| name == restore::DEFINITION);
    let schema = definition.filter(|_| is_reshaped).map(Definition::parse);
    Ok(RestoreRequest {
        connection: connection.clone(),
        archive: PathBuf::from(&identity.source),
        name: Some(CollectionName::parse(&identity.target)?)
            .filter(|name| identity.collections != [name.to_string()]),
        skip_data: !identity.with_data,
        skip_vectors: !identity.with_vectors,
        // The job was agreed to.
        revectorize: true,
        tenants: identity.tenants.clone(),
        verify: false,
        merge: identity.merge,
        force_schema: state.extra.contains_key("force schema"),
        reshape: Reshape {
            schema: schema.transpose()?,
            ..Reshape::default()
        },
    })
}

fn clear_request(state: &State, connection: &Connection) -> Result<ClearRequest> {
    let identity = &state.spec.identity;
    let setting = |name: &str| {
        identity
            .settings
            .iter()
            .find(|setting| setting.0 == name)
            .map(|setting| setting.1.as_str())
    };
    Ok(ClearRequest {
        connection: connection.clone(),
        collection: CollectionName::parse(&identity.source)?,
        delete_schema: setting("definition").is_some(),
        method: setting("method").map_or(Ok(ClearMethod::Auto), ClearMethod::parse)?,
        tenants: identity.tenants.clone(),
        // A job that has begun is past that.
        backup_to: None,
    })
}

/// Gives a job up: what must be undone is undone first, then its unfinished archive and its folder go. Collections
/// stay, unless `remove_target` and the job created it.
pub async fn cancel_job(
    session: &Session,
    id: &JobId,
    connection: &Connection,
    remove_target: bool,
) -> Result<()> {
    let folder = session.state.open_job(id)?;
    let state = folder.state()?;
    let owes = !folder.obligations()?.is_empty();
    if state.is_done && owes {
        // It came to its end without putting back what it changed.
        let client = Client::new(connection, Role::Target)?;
        return owed::settle(session, &folder, &client).await;
    }
    if state.is_done {
        return Err(Error::new(
            Kind::Usage,
            format!("job {id} is done; `elysiactl jobs prune` forgets it"),
        ));
    }
    if !owes {
        return backup::discard_loudly(session, folder, &state);
    }
    let client = Arc::new(Client::new(connection, Role::Target)?);
    let folder = Arc::new(folder);
    if state.spec.identity.kind == JobKind::Clear {
        let name = CollectionName::parse(&state.spec.identity.source)?;
        Remake {
            client: client.clone(),
            name,
            folder: folder.clone(),
        }
        .discharge(&session.first_contact())
        .await?;
    }
    let all = folder.obligations()?;
    if let Some(created) = Created::among(&all) {
        let policy = session.first_contact();
        for owed in all.iter().filter(|_| remove_target) {
            let here = policy.run("look for the collection", || {
                super::owed::check_place(&client, id, owed)
            });
            here.await?;
        }
        match remove_target {
            true => restore::remove_created(session, &client, &created).await?,
            false => session.reporter.event(&Event::Note(&format!(
                "collection `{}`, partly restored, stays as it is",
                created.name()
            ))),
        }
    }
    owed::settle(session, &folder, &client).await?;
    for owed in &all {
        folder.discharge(owed)?;
    }
    match Arc::try_unwrap(folder) {
        Ok(folder) => backup::discard_loudly(session, folder, &state),
        Err(_) => Err(Error::new(
            Kind::Locked,
            format!("job {id} is still in use"),
        )),
    }
}

/// Forgets finished jobs that are older than `older_than`; unfinished ones are never touched. Returns which.
pub fn prune_jobs(state: &StateDir, older_than: Duration, is_dry_run: bool) -> Result<Vec<JobId>> {
    let mut pruned = Vec::new();
    let mut refused = None;
    for listed in state.jobs()? {
        let Ok(job) = &listed.state else { continue };
        let age = Timestamp::now()
            .duration_since(job.started_at()?)
            .unsigned_abs();
        if !job.is_done || listed.is_running || age < older_than {
            continue;
        }
        match is_dry_run {
            true => pruned.push(listed.id),
            false => match forget(state, &listed.id) {
                Ok(()) => pruned.push(listed.id),
                // Such as one that still owes something: it is in nobody's way.
                Err(error) => refused = refused.or(Some(error)),
            },
        }
    }
    refused.map_or(Ok(pruned), Err)
}

fn forget(state: &StateDir, id: &JobId) -> Result<()> {
    let folder: JobFolder = state.open_job(id)?;
    folder.remove()
}
