//! `col restore`: an archive becomes a collection.

mod verb;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::estimate;
use super::session::{
    self, Claimed, Outcome, Session, Unfinished, add_to_report, fact, fact_number, grouped,
};
use super::target;
use super::{census, diff};
use crate::archive::{Archive, ArchiveSource, Contents};
use crate::engine::{Facts, Verb};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Plan};
use crate::job::{Identity, Job, JobKind, Spec, Summary};
use crate::journal::{JobFolder, Obligation, State};
use crate::model::{CollectionName, Definition, Tenant};
use crate::weaviate::{
    Client, Collection, CollectionSink, Connection, Incarnation, Role, TenantState, TenantStatus,
    creatable, definition_holds, with_name,
};
use verb::Restore;

/// What `col restore` was asked for, one archive.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// Where the collection goes.
    pub connection: Connection,
    /// The archive.
    pub archive: PathBuf,
    /// Another name for the collection.
    pub name: Option<CollectionName>,
    /// Create the collection, leave it empty.
    pub skip_data: bool,
    /// Read the collection back when it is restored, and compare it with the archive.
    pub verify: bool,
    /// Write into a collection that exists.
    pub merge: bool,
    /// Go on although the created definition reads back differently.
    pub force_schema: bool,
}

/// Restores one archive. Nothing is written before the archive's header, version and seal are checked.
pub async fn restore(session: &Session, request: &RestoreRequest) -> Result<Outcome> {
    let archive = Archive::open(&request.archive)?;
    for warning in archive.warnings() {
        session.warn(warning);
    }
    let name = request
        .name
        .clone()
        .unwrap_or_else(|| archive.header().collection.clone());
    let definition = with_name(&archive.header().definition, &name)?;
    refuse_what_is_not_restored_yet(&archive, &definition)?;
    let client = Arc::new(Client::new(&request.connection, Role::Target)?);
    let version = target::version_and_grpc(session, &client).await?;
    let identity = identity(request, &archive, &name)?;
    if let Some(outcome) = answer_again(session, &client, &identity, &name).await? {
        return Ok(outcome);
    }
    let there = session
        .context()
        .policy
        .run("look for the collection", || client.collection(&name))
        .await?;
    let mut plan = plan(request, &archive, &client, &version, &name, &there);
    if session.is_dry_run {
        estimate::describe_restore(session, &mut plan, &archive, !request.skip_data).await;
    }
    session.show_plan(&plan);
    if session.is_dry_run {
        check_target(session, request, &client, &name, &there).await?;
        return Ok(Outcome::default());
    }
    let claimed = claim(session, request, identity, &archive, &client, &name, &there).await?;
    let verb = Restore {
        session,
        request: request.clone(),
        folder: claimed.folder.clone(),
        archive: Arc::new(archive),
        client,
        name: name.clone(),
        definition,
        verified: Mutex::default(),
    };
    let outcome = session.run(&verb, claimed, name.as_str()).await;
    if outcome.as_ref().is_err_and(session::is_refusal) {
        verb.disclaim().await?;
    }
    let folder = verb.folder.clone();
    if let (Ok(_), Some(verified)) = (&outcome, verb.take_verified()) {
        add_to_report(&folder, "verification", verified)?;
    }
    drop(verb);
    let summary = outcome.map_err(|error| session.forget_refused(folder, error))?;
    Ok(Outcome {
        exit_code: summary.exit_code,
        tally: summary.tally,
        notes: summary.notes,
        archive: None,
    })
}

/// The question before a merge: the plan, and the name to be typed; nothing if no data would be written over, or if
/// the job that is gone on with was agreed to before.
pub async fn merge_question(
    session: &Session,
    request: &RestoreRequest,
) -> Result<Option<(Plan, CollectionName)>> {
    let archive = Archive::open(&request.archive)?;
    let name = request
        .name
        .clone()
        .unwrap_or_else(|| archive.header().collection.clone());
    let identity = identity(request, &archive, &name)?;
    if session.unfinished == Unfinished::Resume && session.unfinished(&identity)?.is_some() {
        return Ok(None);
    }
    let client = Client::new(&request.connection, Role::Target)?;
    let version = target::version(session, &client).await?;
    let policy = session.context().policy;
    let there = policy
        .run("look for the collection", || client.collection(&name))
        .await?;
    let Collection::Found(definition) = &there else {
        return Ok(None);
    };
    let is_empty = !definition.has_tenants()?
        && policy
            .run("count objects", || client.count(&name, &Tenant::NONE))
            .await?
            == 0;
    if is_empty {
        return Ok(None);
    }
    Ok(Some((
        plan(request, &archive, &client, &version, &name, &there),
        name,
    )))
}

/// Nothing is ever dropped silently: what this version cannot write is refused by name.
fn refuse_what_is_not_restored_yet(archive: &Archive, definition: &Definition) -> Result<()> {
    let references: Vec<String> = definition
        .properties()?
        .into_iter()
        .filter(|property| property.is_reference)
        .map(|property| format!("`{}`", property.name))
        .collect();
    if references.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Incompatible,
        format!(
            "`{}` has cross-references ({}), which this version of elysiactl cannot restore yet",
            archive.header().collection,
            references.join(", ")
        ),
    )
    .with_kept("nothing was written; the archive holds them whole")
    .with_hint("restore it with a version that can"))
}

fn identity(
    request: &RestoreRequest,
    archive: &Archive,
    name: &CollectionName,
) -> Result<Identity> {
    Ok(Identity {
        with_data: !request.skip_data,
        merge: request.merge,
        archive_hash: archive.hash().to_owned(),
        collections: vec![archive.header().collection.to_string()],
        ..Identity::of(
            JobKind::Restore,
            &target::absolute(&request.archive)?,
            name.as_str(),
        )
    })
}

/// A finished restore answers again with its own exit code, if the target still is as it left it.
async fn answer_again(
    session: &Session,
    client: &Client,
    identity: &Identity,
    name: &CollectionName,
) -> Result<Option<Outcome>> {
    if session.unfinished != Unfinished::Resume || session.unfinished(identity)?.is_some() {
        return Ok(None);
    }
    let Some(state) = last_finished(session, identity)? else {
        return Ok(None);
    };
    let left = |name: &str| state.extra.get(name).cloned().unwrap_or_default();
    let policy = session.context().policy;
    let is_as_left = match policy
        .run("look for the collection", || client.collection(name))
        .await?
    {
        Collection::Found(definition) => {
            let incarnation = policy.run("look at the collection", || {
                Incarnation::of(client, name, &definition)
            });
            let incarnation = incarnation.await?;
            let count = policy.run("count objects", || client.count(name, &Tenant::NONE));
            // Tenants were put to sleep since they were counted.
            let same_count = definition.has_tenants()? || count.await?.to_string() == left("count");
            Incarnation::from_text(&left("incarnation")).may_equal(&incarnation) && same_count
        }
        _ => false,
    };
    if !is_as_left {
        return Err(Error::new(
            Kind::Mismatch,
            format!("job {} restored this archive into `{name}`, but the collection is not as it left it", state.job),
        )
        .with_hint("restore under another name, or pass --restart to begin anew"));
    }
    session.reporter.event(&Event::Note(&format!(
        "job {} has restored this archive already; nothing to do",
        state.job
    )));
    Ok(Some(Outcome {
        exit_code: state.exit_code.unwrap_or(0),
        tally: state.tally,
        notes: Vec::new(),
        archive: None,
    }))
}

fn last_finished(session: &Session, identity: &Identity) -> Result<Option<State>> {
    let finished = session
        .state
        .jobs()?
        .into_iter()
        .filter_map(|listed| listed.state.ok());
    Ok(finished
        .filter(|state| state.is_done && state.spec.identity == *identity)
        .last())
}

fn plan(
    request: &RestoreRequest,
    archive: &Archive,
    client: &Client,
    version: &str,
    name: &CollectionName,
    there: &Collection,
) -> Plan {
    let mut plan = Plan::new(format!(
        "restore `{}` as collection `{name}`",
        request.archive.display()
    ));
    let header = archive.header();
    let exists = match there {
        Collection::Found(_) => "yes",
        Collection::Alias(_) => "an alias has this name",
        Collection::Missing => "no",
    };
    plan.field(
        "server",
        format!("{} (Weaviate {version})", client.address()),
    )
    .field("exists", exists);
    plan.field(
        "archive of",
        format!(
            "`{}`, Weaviate {}",
            header.collection, header.weaviate_version
        ),
    );
    plan.field("type", header.contents.name());
    plan.field(
        "objects",
        if request.skip_data {
            "0".to_owned()
        } else {
            grouped(archive.object_count())
        },
    );
    target::describe_definition(&mut plan, &header.definition);
    plan.field(
        "tenants",
        match archive.tenants().len() {
            0 => "none".to_owned(),
            tenants => grouped(tenants as u64),
        },
    );
    plan.field(
        "conflicts",
        if request.merge {
            "existing objects of the same id are overwritten"
        } else {
            "none: the collection is new"
        },
    );
    plan.field("protocol", target::protocol(client));
    plan
}

/// Refuses a target that is in the way, before anything is touched.
async fn check_target(
    session: &Session,
    request: &RestoreRequest,
    client: &Client,
    name: &CollectionName,
    there: &Collection,
) -> Result<()> {
    match there {
        Collection::Alias(real) => Err(Error::new(
            Kind::TargetRefused,
            format!("`{name}` is an alias of collection `{real}`"),
        )
        .with_hint("pass --name <NEW> to restore under another name")),
        Collection::Found(definition) if !request.merge => {
            let policy = session.context().policy;
            let count = policy.run("count objects", || client.count(name, &Tenant::NONE));
            let holds = match count.await {
                Ok(count) => format!(" and holds {} objects", grouped(count)),
                Err(_) if definition.has_tenants()? => String::new(),
                Err(error) => return Err(error),
            };
            Err(Error::new(
                Kind::TargetRefused,
                format!("collection `{name}` already exists{holds}"),
            )
            .with_hint("pass --merge to restore into it, or --name <NEW> to restore beside it"))
        }
        _ => Ok(()),
    }
}

#[allow(clippy::too_many_arguments)]
async fn claim(
    session: &Session,
    request: &RestoreRequest,
    identity: Identity,
    archive: &Archive,
    client: &Client,
    name: &CollectionName,
    there: &Collection,
) -> Result<Claimed> {
    if let Some((folder, state)) = session.unfinished(&identity)? {
        match session.unfinished {
            Unfinished::Refuse => return Err(session.in_the_way(&folder, &state)),
            Unfinished::Resume => {
                session.check_identity(&state, &identity)?;
                session.say_moved(&state, client.address());
                return session.go_on(folder);
            }
            Unfinished::Restart => {
                return restart(session, request, identity, archive, client, name, folder).await;
            }
        }
    }
    check_target(session, request, client, name, there).await?;
    begin(session, request, identity, archive, client)
}

/// Removes only a collection that this job itself created, and only if it still is that one.
async fn restart(
    session: &Session,
    request: &RestoreRequest,
    identity: Identity,
    archive: &Archive,
    client: &Client,
    name: &CollectionName,
    folder: JobFolder,
) -> Result<Claimed> {
    let owed = folder.obligations()?;
    if let Some(created) = Created::among(&owed) {
        remove_created(session, client, &created).await?;
    }
    for obligation in &owed {
        folder.discharge(obligation)?;
    }
    folder.remove()?;
    let policy = session.context().policy;
    let there = policy
        .run("look for the collection", || client.collection(name))
        .await?;
    check_target(session, request, client, name, &there).await?;
    begin(session, request, identity, archive, client)
}

/// The collection that a job made or was about to make, from what it owes.
pub(super) struct Created {
    name: CollectionName,
    /// None if its making was claimed and never acknowledged.
    shards: Vec<String>,
}

impl Created {
    pub(super) fn among(owed: &[Obligation]) -> Option<Created> {
        let mut claims = owed.iter().filter_map(|owed| match owed {
            Obligation::CreatedCollection { name, shards, .. } => Some((name, shards)),
            _ => None,
        });
        // The claim comes first, what came of it last.
        let (name, shards) = claims.next_back()?;
        Some(Created {
            name: CollectionName::parse(name).ok()?,
            shards: shards.clone(),
        })
    }

    pub(super) fn name(&self) -> &CollectionName {
        &self.name
    }

    /// Its definition, if the collection is there: the one that was made, or an empty one of the claimed name.
    async fn find(&self, client: &Client) -> Result<Option<Definition>> {
        let Collection::Found(definition) = client.collection(&self.name).await? else {
            return Ok(None);
        };
        let now = Incarnation::of(client, &self.name, &definition).await?;
        let ours = Incarnation {
            shards: self.shards.clone(),
        };
        let is_ours = match self.shards.is_empty() {
            true => {
                !definition.has_tenants()? && client.count(&self.name, &Tenant::NONE).await? == 0
            }
            false => ours.may_equal(&now),
        };
        match is_ours {
            true => Ok(Some(definition)),
            false => Err(Error::new(
                Kind::TargetRefused,
                format!(
                    "collection `{}` cannot be shown to be the one that the job created",
                    self.name
                ),
            )
            .with_hint("remove it yourself, or restore under another name")),
        }
    }
}

/// The question before a restart: what it would remove and the name to be typed; nothing if it would remove no data.
pub async fn restart_question(
    session: &Session,
    request: &RestoreRequest,
) -> Result<Option<(Plan, CollectionName)>> {
    let archive = Archive::open(&request.archive)?;
    let name = request
        .name
        .clone()
        .unwrap_or_else(|| archive.header().collection.clone());
    let identity = identity(request, &archive, &name)?;
    let Some((folder, state)) = session.unfinished(&identity)? else {
        return Ok(None);
    };
    let Some(created) = Created::among(&folder.obligations()?) else {
        return Ok(None);
    };
    let client = Client::new(&request.connection, Role::Target)?;
    let version = target::version(session, &client).await?;
    let policy = session.context().policy;
    let found = policy.run("look for the collection", || created.find(&client));
    let Some(definition) = found.await? else {
        return Ok(None);
    };
    let mut plan = Plan::new(format!(
        "remove collection `{}`, which job {} created, and restore it from the beginning",
        created.name, state.job
    ));
    let server = format!("{} (Weaviate {version})", client.address());
    plan.field("server", server);
    if !definition.has_tenants()? {
        let count = policy.run("count objects", || {
            client.count(&created.name, &Tenant::NONE)
        });
        match count.await? {
            0 => return Ok(None),
            count => plan.field("objects", grouped(count)),
        };
    }
    Ok(Some((plan, created.name)))
}

pub(super) async fn remove_created(
    session: &Session,
    client: &Client,
    created: &Created,
) -> Result<()> {
    let policy = session.context().policy;
    let found = policy.run("look for the collection", || created.find(client));
    if found.await?.is_none() {
        return Ok(());
    }
    let name = &created.name;
    session.reporter.event(&Event::Note(&format!(
        "collection `{name}`, which the job created, is removed"
    )));
    policy
        .run("remove the collection", || client.delete(name))
        .await
}

fn begin(
    session: &Session,
    request: &RestoreRequest,
    identity: Identity,
    archive: &Archive,
    client: &Client,
) -> Result<Claimed> {
    session.begin(
        &Spec {
            identity,
            tuning: session.tuning.clone(),
        },
        None,
        |state| {
            if request.verify {
                state.extra.insert("verify".into(), "yes".into());
            }
            state.total = Some(if request.skip_data {
                0
            } else {
                archive.object_count()
            });
            state.address = Some(client.address().to_owned());
            state.archives = vec![request.archive.display().to_string()];
        },
    )
}
