//! `col ls|show|create` and `health`: one look or one call, no job.

use std::path::Path;

use super::kept;
use super::session::Session;
use super::target;
use crate::archive::Archive;
use crate::error::{Error, IoContext, Kind, Result};
use crate::event::{Event, Plan};
use crate::model::{CollectionName, Definition, Tenant};
use crate::weaviate::{
    Client, Collection, Connection, Role, TenantStatus, creatable, definition_holds, with_name,
};

/// One collection in a listing.
#[derive(Clone, Debug)]
pub struct CollectionRow {
    /// Its name.
    pub name: CollectionName,
    /// Objects; of the active tenants only, as counting would wake the others. `None` if it could not be counted.
    pub count: Option<u64>,
    /// Tenants, if it has any.
    pub tenants: Option<usize>,
    /// Its vectors in words.
    pub vectors: String,
}

/// Every collection of a server, by name.
pub async fn list_collections(
    session: &Session,
    connection: &Connection,
) -> Result<Vec<CollectionRow>> {
    let client = Client::new(connection, Role::Source)?;
    target::version(session, &client).await?;
    let policy = session.context().policy;
    let mut rows = Vec::new();
    for definition in policy
        .run("list collections", || client.collections())
        .await?
    {
        rows.push(row(session, &client, &definition).await?);
        target::tell_of_listing(session, &client);
    }
    Ok(rows)
}

async fn row(session: &Session, client: &Client, definition: &Definition) -> Result<CollectionRow> {
    let name = definition.name()?;
    let policy = session.context().policy;
    let vectors = definition.vectors()?;
    let mut words: Vec<String> = if vectors.has_legacy {
        vec!["unnamed".to_owned()]
    } else {
        Vec::new()
    };
    words.extend(vectors.named);
    let (count, tenants) = match definition.has_tenants()? {
        false => (
            policy
                .run("count objects", || client.count(&name, &Tenant::NONE))
                .await
                .ok(),
            None,
        ),
        true => {
            let tenants = policy.run("list tenants", || client.tenants(&name)).await?;
            let active: Vec<Tenant> = tenants
                .iter()
                .filter(|tenant| tenant.status == TenantStatus::Hot)
                .map(|tenant| Tenant::named(&tenant.name))
                .collect();
            let count = policy
                .run("count objects", || client.count_in(&name, &active))
                .await?;
            (Some(count), Some(tenants.len()))
        }
    };
    Ok(CollectionRow {
        name,
        count,
        tenants,
        vectors: words.join(", "),
    })
}

/// The definition of one collection.
pub async fn show_collection(
    session: &Session,
    connection: &Connection,
    name: &CollectionName,
) -> Result<Definition> {
    let client = Client::new(connection, Role::Source)?;
    Ok(target::find(session, &client, name).await?.definition)
}

/// Creates a collection from a file that holds a definition, or from an archive.
pub async fn create_collection(
    session: &Session,
    connection: &Connection,
    file: &Path,
    name: Option<CollectionName>,
) -> Result<Definition> {
    let mut wanted = definition_in(file)?;
    if let Some(name) = &name {
        wanted = with_name(&wanted, name)?;
    }
    let name = wanted.name()?;
    let client = Client::new(connection, Role::Target)?;
    let version = target::version(session, &client).await?;
    let mut plan = Plan::new(format!("create collection `{name}`"));
    plan.field(
        "server",
        format!("{} (Weaviate {version})", client.address()),
    )
    .field("from", file.display());
    target::describe_definition(&mut plan, &wanted);
    session.show_plan(&plan);
    let policy = session.context().policy;
    if !matches!(
        policy
            .run("look for the collection", || client.collection(&name))
            .await?,
        Collection::Missing
    ) {
        return Err(Error::new(
            Kind::TargetRefused,
            format!("collection `{name}` already exists"),
        )
        .with_hint("pass --name <NEW> to create it beside the other"));
    }
    if session.is_dry_run {
        return Ok(wanted);
    }
    let creatable = creatable(&wanted)?;
    creatable
        .left_out
        .iter()
        .for_each(|left_out| session.warn(left_out));
    let made = client.create(&creatable.create).await?;
    if let Some(update) = &creatable.then_update {
        policy
            .run("add named vectors", || client.update(&name, update))
            .await?;
    }
    for difference in definition_holds(&wanted, &made)? {
        session.warn(&format!("the server made it differently: {difference}"));
    }
    session
        .reporter
        .event(&Event::Note(&format!("collection `{name}` is created")));
    Ok(made)
}

/// A file that is a definition, what a clear keeps of one, or else an archive.
pub fn definition_in(file: &Path) -> Result<Definition> {
    if file.is_file() {
        let text = std::fs::read(file).doing(|| format!("cannot read `{}`", file.display()))?;
        let read = |text: String| {
            let kept = kept::definition_in(&text);
            kept.or_else(|| Definition::parse(text).ok())
        };
        if let Some(definition) = String::from_utf8(text).ok().and_then(read) {
            return Ok(definition);
        }
    }
    Ok(Archive::open(file)?.definition().clone())
}

/// What a server says of its health.
pub async fn health(session: &Session, connection: &Connection) -> Result<Plan> {
    let client = Client::new(connection, Role::Source)?;
    let mut plan = Plan::new("health");
    let version = target::version(session, &client).await?;
    plan.field("server", client.address())
        .field("version", version);
    let is_ready = client.is_ready().await;
    plan.field("ready", if is_ready { "yes" } else { "no" });
    for (node, status) in client.nodes().await? {
        plan.field(format!("node {node}"), status);
    }
    if !is_ready {
        return Err(Error::new(
            Kind::Exhausted,
            format!("{} is not ready", client.address()),
        ));
    }
    Ok(plan)
}
