//! `col restore`: an archive becomes a collection.

use std::path::PathBuf;
use std::sync::Arc;

use super::session::{self, Claimed, Outcome, Session, Unfinished, fact, fact_number, grouped};
use super::target;
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
    let version = target::version(session, &client).await?;
    let identity = identity(request, &archive, &name)?;
    if let Some(outcome) = answer_again(session, &client, &identity, &name).await? {
        return Ok(outcome);
    }
    let there = session
        .context()
        .policy
        .run("look for the collection", || client.collection(&name))
        .await?;
    session.show_plan(&plan(request, &archive, &client, &version, &name, &there));
    if session.is_dry_run {
        check_target(request, &client, &name, &there).await?;
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
    };
    let outcome = session.run(&verb, claimed, name.as_str()).await;
    if outcome.as_ref().is_err_and(session::is_refusal) {
        verb.disclaim().await?;
    }
    let folder = verb.folder.clone();
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
            let incarnation = Incarnation::of(client, name, &definition).await?;
            let count = policy
                .run("count objects", || client.count(name, &Tenant::NONE))
                .await;
            let same_count = count.is_ok_and(|count| count.to_string() == left("count"))
                || definition.has_tenants()?;
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
    plan.field("protocol", "REST");
    plan
}

/// Refuses a target that is in the way, before anything is touched.
async fn check_target(
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
            let holds = match client.count(name, &Tenant::NONE).await {
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
                return session.go_on(folder, state);
            }
            Unfinished::Restart => {
                return restart(session, request, identity, archive, client, name, folder).await;
            }
        }
    }
    check_target(request, client, name, there).await?;
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
    check_target(request, client, name, &there).await?;
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

struct Restore<'a> {
    session: &'a Session,
    request: RestoreRequest,
    folder: Arc<JobFolder>,
    archive: Arc<Archive>,
    client: Arc<Client>,
    name: CollectionName,
    /// As it is to be, under the name that it gets.
    definition: Definition,
}

impl Restore<'_> {
    /// Makes sure that the collection is there and is ours, or is the one to merge into.
    async fn make_collection(&self) -> Result<Facts> {
        self.session.reporter.event(&Event::Stage {
            doing: "create the collection",
        });
        let made = match self.client.collection(&self.name).await? {
            Collection::Found(definition) => self.accept(definition).await?,
            Collection::Alias(_) | Collection::Missing => self.create().await?,
        };
        let incarnation = Incarnation::of(&self.client, &self.name, &made).await?;
        if !self.request.merge {
            self.folder
                .save_obligation(&Obligation::CreatedCollection {
                    url: self.client.address().to_owned(),
                    name: self.name.to_string(),
                    shards: incarnation.shards.clone(),
                })?;
        }
        let before = self.count_all(&made).await?;
        Ok(Facts::from([
            ("expected".into(), self.expected().to_string()),
            ("incarnation".into(), incarnation.to_text()),
            ("definition".into(), made.text().to_owned()),
            ("before".into(), before.to_string()),
        ]))
    }

    fn expected(&self) -> u64 {
        if self.request.skip_data {
            0
        } else {
            self.archive.object_count()
        }
    }

    /// An existing collection: the one to merge into, or our own whose creation was not acknowledged.
    async fn accept(&self, found: Definition) -> Result<Definition> {
        let differences = definition_holds(&self.definition, &found)?;
        let is_ours = self.folder.obligations()?.iter().any(|obligation| {
            matches!(obligation, Obligation::CreatedCollection { name, .. } if name == self.name.as_str())
        });
        if !self.request.merge && !(is_ours && self.count_all(&found).await? == 0) {
            return Err(Error::new(
                Kind::TargetRefused,
                format!("collection `{}` already exists", self.name),
            )
            .with_hint("pass --merge to restore into it, or --name <NEW> to restore beside it"));
        }
        if !self.request.merge && !differences.is_empty() {
            return self.complete().await;
        }
        self.check_definition(&differences)?;
        Ok(found)
    }

    async fn create(&self) -> Result<Definition> {
        let creatable = creatable(&self.definition)?;
        for left_out in &creatable.left_out {
            self.session.warn(left_out);
        }
        // The name is claimed before the effect: after a lost reply an empty collection of it is taken for ours.
        self.folder
            .save_obligation(&Obligation::CreatedCollection {
                url: self.client.address().to_owned(),
                name: self.name.to_string(),
                shards: Vec::new(),
            })?;
        self.client.create(&creatable.create).await?;
        match self.complete().await {
            Err(error) if session::is_refusal(&error) => {
                // Made by this very call: ours beyond doubt.
                self.client.delete(&self.name).await?;
                Err(error)
            }
            outcome => outcome,
        }
    }

    /// Strikes out claims to a collection that is not there.
    async fn disclaim(&self) -> Result<()> {
        if !matches!(
            self.client.collection(&self.name).await?,
            Collection::Missing
        ) {
            return Ok(());
        }
        for owed in self.folder.obligations()? {
            self.folder.discharge(&owed)?;
        }
        Ok(())
    }

    /// The second step of a creation, and a look at what came of both. May be repeated.
    async fn complete(&self) -> Result<Definition> {
        if let Some(update) = creatable(&self.definition)?.then_update {
            self.client.update(&self.name, &update).await?;
        }
        let Collection::Found(made) = self.client.collection(&self.name).await? else {
            return Err(Error::new(
                Kind::TargetRefused,
                format!(
                    "collection `{}` is not there right after its creation",
                    self.name
                ),
            ));
        };
        self.check_definition(&definition_holds(&self.definition, &made)?)?;
        Ok(made)
    }

    fn check_definition(&self, differences: &[String]) -> Result<()> {
        if differences.is_empty() {
            return Ok(());
        }
        let list = differences
            .iter()
            .take(5)
            .cloned()
            .collect::<Vec<_>>()
            .join("; ");
        if self.request.force_schema {
            self.session.warn(&format!(
                "collection `{}` differs from the archive: {list}",
                self.name
            ));
            return Ok(());
        }
        Err(Error::new(
            Kind::Incompatible,
            format!(
                "collection `{}` has another definition than the archive: {list}",
                self.name
            ),
        )
        .with_hint(
            "pass --force-schema to go on all the same, or --name <NEW> to restore beside it",
        ))
    }

    /// Tenants are made active; they get their states back at the end.
    async fn make_tenants(&self) -> Result<Facts> {
        if self.definition.has_tenants()? {
            let tenants: Vec<TenantState> = self
                .archive
                .tenants()
                .iter()
                .map(|tenant| TenantState {
                    name: tenant.name.clone(),
                    status: TenantStatus::Hot,
                })
                .collect();
            for some in tenants.chunks(1_000) {
                self.client.create_tenants(&self.name, some).await?;
            }
        }
        Ok(Facts::new())
    }

    async fn count_all(&self, definition: &Definition) -> Result<u64> {
        if !definition.has_tenants()? {
            return self.client.count(&self.name, &Tenant::NONE).await;
        }
        let mut count = 0;
        for tenant in self.client.tenants(&self.name).await? {
            if tenant.status == TenantStatus::Hot {
                count += self
                    .client
                    .count(&self.name, &Tenant::named(&tenant.name))
                    .await?;
            }
        }
        Ok(count)
    }

    fn sink(&self, job: &Job) -> Result<CollectionSink> {
        let definition = Definition::parse(fact(job, "definition")?.to_owned())?;
        let incarnation = Incarnation::from_text(fact(job, "incarnation")?);
        CollectionSink::new(self.client.clone(), definition, incarnation)
    }

    /// The last look: still the same collection, and as many objects as were accepted.
    async fn take_stock(&self, job: &Job) -> Result<Facts> {
        self.sink(job)?.check_incarnation().await?;
        let after = self.count_all(&self.definition).await?;
        self.folder.update_state(|state| {
            state.extra.insert("count".into(), after.to_string());
        })?;
        Ok(Facts::from([("after".into(), after.to_string())]))
    }

    /// States of tenants, automation flags and aliases, now that the data are there.
    async fn settle(&self) -> Result<Facts> {
        let mut facts = Facts::new();
        if self.definition.has_tenants()? {
            self.set_tenants_back().await?;
        }
        if self.request.name.is_none() {
            facts.insert(
                "aliases taken".into(),
                self.make_aliases().await?.join(", "),
            );
        }
        Ok(facts)
    }

    async fn set_tenants_back(&self) -> Result<()> {
        let mut value = self.definition.value()?;
        if let Some(made) = creatable(&self.definition)?
            .create
            .get("multiTenancyConfig")
            && value.get("multiTenancyConfig") != Some(made)
        {
            let mut update = creatable(&self.definition)?.create;
            update["multiTenancyConfig"] = value["multiTenancyConfig"].take();
            self.client.update(&self.name, &update).await?;
        }
        let asleep: Vec<TenantState> = self
            .archive
            .tenants()
            .iter()
            .filter_map(|tenant| {
                Some((
                    tenant,
                    serde_json::from_value(tenant.status.clone().into()).ok()?,
                ))
            })
            .filter(|(_, status)| *status == TenantStatus::Cold)
            .map(|(tenant, status)| TenantState {
                name: tenant.name.clone(),
                status,
            })
            .collect();
        self.client.set_tenants(&self.name, &asleep).await
    }

    async fn make_aliases(&self) -> Result<Vec<String>> {
        let mut taken = Vec::new();
        for alias in self.archive.aliases() {
            if !self.client.make_alias(alias, &self.name).await? {
                taken.push(alias.clone());
            }
        }
        Ok(taken)
    }
}

impl Verb for Restore<'_> {
    type Source = ArchiveSource;
    type Sink = CollectionSink;

    async fn prepare(&self, number: u32, _: &Job) -> Result<Option<Facts>> {
        match number {
            0 => self.make_collection().await.map(Some),
            1 => self.make_tenants().await.map(Some),
            _ => Ok(None),
        }
    }

    async fn ends(&self, job: &Job) -> Result<(ArchiveSource, CollectionSink)> {
        let incarnation = fact(job, "incarnation")?.to_owned();
        self.folder.update_state(|state| {
            state.extra.insert("incarnation".into(), incarnation);
        })?;
        let source = match self.request.skip_data
            || self.archive.header().contents == Contents::SchemaOnly
        {
            true => self.archive.source().without_objects(),
            false => self.archive.source(),
        };
        Ok((source, self.sink(job)?))
    }

    async fn finish(&self, number: u32, job: &Job) -> Result<Option<Facts>> {
        match number {
            0 => self.take_stock(job).await.map(Some),
            1 => self.settle().await.map(Some),
            2 => {
                // From here on the collection is the user's; a restart must not remove it.
                for owed in self.folder.obligations()? {
                    self.folder.discharge(&owed)?;
                }
                Ok(Some(Facts::new()))
            }
            _ => Ok(None),
        }
    }

    fn summary(&self, job: &Job) -> Summary {
        let number = |name: &str| fact_number(job, name).unwrap_or(0);
        let (accepted, rejected) = (job.tally.accepted, job.tally.rejected);
        let (before, after, expected) = (number("before"), number("after"), number("expected"));
        let mut notes = Vec::new();
        if rejected > 0 {
            notes.push(format!(
                "{} objects were refused; rejects.jsonl names each with its reason",
                grouped(rejected)
            ));
        }
        let mut exit_code = if rejected > 0 { 3 } else { 0 };
        if accepted + rejected != expected {
            notes.push(format!(
                "{} objects are accounted for, the archive holds {}",
                grouped(accepted + rejected),
                grouped(expected)
            ));
            exit_code = 13;
        }
        // Into a collection that held objects nothing can be said from counts but that they may not shrink.
        let least = if before == 0 {
            accepted
        } else {
            before.max(accepted)
        };
        if after < least {
            notes.push(format!(
                "the collection counts {} objects, at least {} were expected",
                grouped(after),
                grouped(least)
            ));
            exit_code = 13;
        } else if before == 0 && after > accepted + rejected {
            notes.push(format!("the collection counts {} objects more than were restored: somebody else writes to it", grouped(after - accepted - rejected)));
            exit_code = exit_code.max(3);
        } else if before == 0 && after > accepted {
            notes.push(format!(
                "{} of the refused objects are in the collection all the same",
                grouped(after - accepted)
            ));
        }
        if let Some(taken) = job
            .facts
            .get("aliases taken")
            .filter(|taken| !taken.is_empty())
        {
            notes.push(format!(
                "these aliases are taken and were left as they are: {taken}"
            ));
            exit_code = exit_code.max(3);
        }
        Summary {
            exit_code,
            tally: job.tally,
            notes,
        }
    }
}
