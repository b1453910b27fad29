//! `col restore`: an archive becomes a collection.

mod again;
mod create;
mod fit;
mod lengths;
mod part;
mod plan;
mod restart;
mod shape;
mod survey;
mod values;
mod verb;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::degraded;
use super::facts::{fact, fact_number};
use super::session::{self, Claimed, Outcome, Session, Unfinished, grouped};
use super::target;
use super::verification;
use super::{census, diff, estimate, owed};
use crate::archive::{Archive, ArchiveSource, Contents, Selection};
use crate::engine::{Facts, Verb};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Plan};
use crate::job::{Identity, Job, JobKind, Spec, Summary};
use crate::journal::{JobFolder, Obligation, State};
use crate::model::{CollectionName, Definition, Tenant, matches_glob};
use crate::weaviate::{
    Client, Collection, CollectionSink, Connection, Fitted, Incarnation, Role, TenantState,
    TenantStatus, automation, creatable, declining_quantization, definition_holds, version_numbers,
    with_automation,
};
use again::answer_again;
pub use fit::vectorize_question;
use plan::plan;
pub use restart::restart_question;
pub(super) use restart::{Created, remove_created};
pub use shape::Reshape;
use shape::Wanted;
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
    /// Leave vectors out.
    pub skip_vectors: bool,
    /// Let the server compute vectors that objects lack.
    pub revectorize: bool,
    /// The chosen tenants, as names or patterns; empty is all.
    pub tenants: Vec<String>,
    /// Write into a collection that exists.
    pub merge: bool,
    /// Go on although the created definition reads back differently, or the server lacks settings of it.
    pub force_schema: bool,
    /// What of the definition is to be otherwise.
    pub reshape: Reshape,
}

impl RestoreRequest {
    /// The name that the collection gets.
    fn name_for(&self, archive: &Archive) -> CollectionName {
        let archived = || archive.header().collection.clone();
        self.name.clone().unwrap_or_else(archived)
    }

    /// True if the archive has objects, and they are wanted.
    fn moves_objects(&self, archive: &Archive) -> bool {
        !self.skip_data && archive.header().contents == Contents::Full && archive.object_count() > 0
    }
}

/// What a restore knows before anything is written.
struct Looked {
    archive: Archive,
    client: Arc<Client>,
    version: String,
    name: CollectionName,
    /// As it was asked for.
    wanted: Wanted,
    /// As this server can be asked for it.
    fitted: Fitted,
    identity: Identity,
    there: Collection,
}

impl Looked {
    async fn look(session: &Session, request: &RestoreRequest) -> Result<Looked> {
        let archive = Archive::open(&request.archive)?;
        let name = request.name_for(&archive);
        let wanted = request.reshape.apply(&archive, &name)?;
        refuse_what_is_not_restored_yet(&archive, &wanted.definition)?;
        let client = Arc::new(Client::new(&request.connection, Role::Target)?);
        let version = target::version_and_grpc(session, &client).await?;
        let policy = session.context().policy;
        let there = policy
            .run("look for the collection", || client.collection(&name))
            .await?;
        Ok(Looked {
            fitted: fit::to_server(&wanted.definition, &version)?,
            identity: identity(request, &archive, &name, &wanted)?,
            archive,
            client,
            version,
            name,
            wanted,
            there,
        })
    }
}

/// Restores one archive. Nothing is written before the archive's header, version and seal are checked, and before what
/// the server lacks is said.
pub async fn restore(session: &Session, request: &RestoreRequest) -> Result<Outcome> {
    let looked = Looked::look(session, request).await?;
    for warning in looked.archive.warnings() {
        session.warn(&warning);
    }
    if let Some(outcome) = answer_again(session, request, &looked).await? {
        return Ok(outcome);
    }
    let mut plan = plan(request, &looked);
    if session.is_dry_run {
        let with_data = !request.skip_data;
        estimate::describe_restore(session, &mut plan, &looked.archive, with_data).await;
    }
    session.show_plan(&plan);
    fit::check_lacks(session, request, &looked)?;
    check_sight(session, request, &looked).await?;
    if session.is_dry_run {
        check_target(session, request, &looked).await?;
        return Ok(Outcome::default());
    }
    fit::check_vectorizers(session, request, &looked).await?;
    let claimed = claim(session, request, &looked).await?;
    let verb = Restore {
        session,
        request: request.clone(),
        folder: claimed.folder.clone(),
        archive: Arc::new(looked.archive),
        client: looked.client,
        version: version_numbers(&looked.version).unwrap_or_default(),
        name: looked.name.clone(),
        definition: looked.fitted.definition,
        survey: OnceCell::new(),
    };
    let outcome = session.run(&verb, claimed, looked.name.as_str()).await;
    if outcome.as_ref().is_err_and(session::is_refusal) {
        verb.disclaim().await?;
    }
    if let Ok(summary) = &outcome {
        verb.complete_report(&summary.notes)?;
    }
    let folder = verb.folder.clone();
    drop(verb);
    let summary = outcome.map_err(|error| session.forget_refused(folder, error))?;
    Ok(Outcome {
        exit_code: summary.exit_code,
        tally: summary.tally,
        notes: summary.notes,
        archive: None,
        unarchived: 0,
    })
}

/// What was written could not be counted, nor tenants be told from others, by a key that may not see them.
async fn check_sight(session: &Session, request: &RestoreRequest, looked: &Looked) -> Result<()> {
    let (client, name) = (&looked.client, &looked.name);
    if looked.wanted.definition.has_tenants()? {
        target::check_sight(session, client, name, &request.tenants).await?;
    }
    if request.skip_data || !request.tenants.is_empty() {
        return Ok(());
    }
    let look = || client.check_reads_objects(name);
    let policy = session.context().policy;
    policy.run("look at what the key may see", look).await
}

/// The question before a merge: the plan, and the name to be typed; nothing if no data would be written over, or if
/// the job that is gone on with was agreed to before.
pub async fn merge_question(
    session: &Session,
    request: &RestoreRequest,
) -> Result<Option<(Plan, CollectionName)>> {
    let looked = Looked::look(session, request).await?;
    let (client, name) = (&looked.client, &looked.name);
    if session.unfinished == Unfinished::Resume && session.unfinished(&looked.identity)?.is_some() {
        return Ok(None);
    }
    let Collection::Found(definition) = &looked.there else {
        return Ok(None);
    };
    let policy = session.context().policy;
    let is_empty = !definition.has_tenants()?
        && policy
            .run("count objects", || client.count(name, &Tenant::NONE))
            .await?
            == 0;
    if is_empty {
        return Ok(None);
    }
    Ok(Some((plan(request, &looked), looked.name)))
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

/// A setting of the identity: the hash of a definition other than the archived one.
pub(super) const DEFINITION: &str = "definition";

fn identity(
    request: &RestoreRequest,
    archive: &Archive,
    name: &CollectionName,
    wanted: &Wanted,
) -> Result<Identity> {
    let hash = || blake3::hash(wanted.definition.text().as_bytes()).to_hex()[..16].to_owned();
    Ok(Identity {
        settings: match request.reshape.is_empty() {
            true => Vec::new(),
            false => vec![(DEFINITION.to_owned(), hash())],
        },
        tenants: request.tenants.clone(),
        with_vectors: !request.skip_vectors,
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

/// Refuses a target that is in the way, before anything is touched.
async fn check_target(session: &Session, request: &RestoreRequest, looked: &Looked) -> Result<()> {
    let (client, name) = (&looked.client, &looked.name);
    match &looked.there {
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
        Collection::Found(definition) if definition.has_tenants()? => {
            check_awake(session, request, looked).await
        }
        _ => Ok(()),
    }
}

/// Objects of an inactive tenant can be neither compared nor written.
async fn check_awake(session: &Session, request: &RestoreRequest, looked: &Looked) -> Result<()> {
    if !request.moves_objects(&looked.archive) {
        return Ok(());
    }
    let (client, name) = (&looked.client, &looked.name);
    let policy = session.context().policy;
    let there = policy.run("list tenants", || client.tenants(name)).await?;
    let filled = looked.archive.trailer().into_iter();
    let filled = filled.flat_map(|trailer| &trailer.integrity.tenants);
    let filled = filled.filter(|entry| entry.count > 0);
    let filled: BTreeSet<&str> = filled.filter_map(|entry| entry.tenant.name()).collect();
    let is_asked_for = |name: &str| {
        let patterns = &request.tenants;
        patterns.is_empty() || patterns.iter().any(|pattern| matches_glob(pattern, name))
    };
    let is_in_the_way = |tenant: &&TenantState| {
        let name = tenant.name.as_str();
        tenant.status != TenantStatus::Hot && filled.contains(name) && is_asked_for(name)
    };
    let asleep: Vec<&TenantState> = there.iter().filter(is_in_the_way).collect();
    match asleep.first() {
        None => Ok(()),
        Some(first) => Err(Error::new(
            Kind::TargetRefused,
            format!(
                "{} tenants of `{name}` that the archive has objects of are inactive, such as `{}`",
                grouped(asleep.len() as u64),
                first.name
            ),
        )
        .with_kept("nothing was written")
        .with_hint("activate them first, or choose others with --tenant")),
    }
}

async fn claim(session: &Session, request: &RestoreRequest, looked: &Looked) -> Result<Claimed> {
    if let Some((folder, state)) = session.unfinished(&looked.identity)? {
        match session.unfinished {
            Unfinished::Refuse => return Err(session.in_the_way(&folder, &state)),
            Unfinished::Resume => {
                session.check_identity(&state, &looked.identity)?;
                session.say_moved(&state, looked.client.address());
                if request.verify {
                    folder.update_state(verification::want)?;
                }
                return session.go_on(folder);
            }
            Unfinished::Restart => return restart::restart(session, request, looked, folder).await,
        }
    }
    check_target(session, request, looked).await?;
    begin(session, request, looked)
}

fn begin(session: &Session, request: &RestoreRequest, looked: &Looked) -> Result<Claimed> {
    let spec = Spec {
        identity: looked.identity.clone(),
        tuning: session.tuning.clone(),
    };
    // Whoever goes on with the job by its id has no file to read the definition from.
    let definition = (!request.reshape.is_empty()).then(|| looked.wanted.definition.text());
    session.begin(&spec, definition, |state| {
        if request.verify {
            verification::want(state);
        }
        state.total = Some(match request.skip_data {
            true => 0,
            false => looked.archive.object_count(),
        });
        state.address = Some(looked.client.address().to_owned());
        state.archives = vec![request.archive.display().to_string()];
        if request.force_schema {
            state.extra.insert("force schema".into(), "yes".into());
        }
    })
}
