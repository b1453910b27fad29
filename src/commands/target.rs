//! Finding a collection, and describing what was found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::degraded;
use super::session::Session;
use crate::error::{Error, IoContext, Kind, Result};
use crate::event::Plan;
use crate::model::{CollectionName, Definition, Tenant, matches_glob};
use crate::weaviate::{Client, Collection, Incarnation, Meta, Transport};

/// The oldest server that is known to be understood.
const OLDEST: (u32, u32) = (1, 27);
/// The newest server that was tested.
const NEWEST: (u32, u32) = (1, 40);

/// A collection on a server that can be worked with.
pub(super) struct Found {
    pub version: String,
    pub definition: Definition,
    /// False if only an interrupted job knows it.
    pub is_there: bool,
}

/// The server's version, checked: older ones are refused, newer ones warned about.
pub(super) async fn version(session: &Session, client: &Client) -> Result<String> {
    let meta = session
        .first_contact()
        .run("reach the server", || client.meta())
        .await?;
    check_version(session, client, &meta)?;
    Ok(meta.version)
}

/// As [`version`], for whoever moves objects: gRPC is reached for as well. Without it they go over REST, which is said.
pub(super) async fn version_and_grpc(session: &Session, client: &Client) -> Result<String> {
    let policy = session.first_contact();
    let meta = policy.run("reach the server", || client.meta()).await?;
    check_version(session, client, &meta)?;
    let limit = meta.grpc_max_message_size;
    // Where REST would do, nobody waits.
    let reached = match client.transport() {
        Transport::Grpc => policy.run("reach gRPC", || client.reach_grpc(limit)).await,
        _ => client.reach_grpc(limit).await,
    };
    reached.or_else(|error| do_without_grpc(session, client, error))?;
    Ok(meta.version)
}

/// Makes sure that gRPC, if it was reached, is that of the same server. `tenant` must be active.
pub(super) async fn confirm_grpc(
    session: &Session,
    client: &Client,
    name: &CollectionName,
    tenant: &Tenant,
) -> Result<()> {
    let policy = session.context().policy;
    let confirmed = policy
        .run("compare gRPC with REST", || {
            client.confirm_grpc(name, tenant)
        })
        .await;
    confirmed.or_else(|error| do_without_grpc(session, client, error))
}

/// Says so, once, if objects are counted the slow way.
pub(super) fn tell_of_listing(session: &Session, client: &Client) {
    if client.has_news_of_listing() {
        session.warn(&format!(
            "{} answers no GraphQL, and gRPC cannot be asked instead: objects are counted by listing them, which takes longer",
            client.address()
        ));
    }
}

/// What objects are written over, as far as it is known before they are.
pub(super) fn protocol(client: &Client) -> &'static str {
    match client.reaches_grpc() {
        true => "gRPC",
        false => "REST",
    }
}

fn do_without_grpc(session: &Session, client: &Client, error: Error) -> Result<()> {
    if client.transport() == Transport::Grpc {
        return Err(error);
    }
    session.warn(&format!("{error}; objects go over REST"));
    Ok(())
}

fn check_version(session: &Session, client: &Client, meta: &Meta) -> Result<()> {
    match meta.version_numbers() {
        Some(version) if version < OLDEST => Err(Error::new(
            Kind::Incompatible,
            format!(
                "{} runs Weaviate {}, which is older than {}.{}",
                client.address(),
                meta.version,
                OLDEST.0,
                OLDEST.1
            ),
        )
        .with_hint("upgrade the server; 1.27 to 1.40 are supported")),
        Some(version) if version > NEWEST => {
            session.warn(&format!(
                "{} runs Weaviate {}, newer than what was tested ({}.{})",
                client.address(),
                meta.version,
                NEWEST.0,
                NEWEST.1
            ));
            Ok(())
        }
        Some(_) => Ok(()),
        None => Err(Error::new(
            Kind::Incompatible,
            format!(
                "{} does not tell a version that can be read: `{}`",
                client.address(),
                meta.version
            ),
        )),
    }
}

/// A collection that must exist, for whoever moves its objects: gRPC is reached for as well.
pub(super) async fn find_to_move(
    session: &Session,
    client: &Client,
    name: &CollectionName,
) -> Result<Found> {
    let version = version_and_grpc(session, client).await?;
    look_for(session, client, name, version).await
}

/// A collection that must exist.
pub(super) async fn find(
    session: &Session,
    client: &Client,
    name: &CollectionName,
) -> Result<Found> {
    let version = version(session, client).await?;
    look_for(session, client, name, version).await
}

/// An alias is refused with the real name.
async fn look_for(
    session: &Session,
    client: &Client,
    name: &CollectionName,
    version: String,
) -> Result<Found> {
    let policy = session.context().policy;
    match policy
        .run("look for the collection", || client.collection(name))
        .await?
    {
        Collection::Found(definition) => Ok(Found {
            version,
            definition,
            is_there: true,
        }),
        Collection::Alias(real) => Err(Error::new(
            Kind::Usage,
            format!("`{name}` is an alias of collection `{real}`"),
        )
        .with_hint(format!("name the collection itself: `{real}`"))),
        Collection::Missing => Err(Error::new(
            Kind::NotFound,
            format!("there is no collection `{name}` at {}", client.address()),
        )
        .with_hint("`elysiactl col ls` lists the collections of a server")),
    }
}

/// Which life of the collection this is, once all of it is at hand. What that waits for is said at once.
pub(super) async fn look_at(
    session: &Session,
    client: &Client,
    name: &CollectionName,
    definition: &Definition,
) -> Result<Incarnation> {
    let policy = session.context().policy;
    let mut tries = policy.tries("look at the collection");
    let mut is_said = false;
    loop {
        match Incarnation::of(client, name, definition).await {
            Ok(seen) => {
                degraded::tell(session, client);
                return Ok(seen);
            }
            Err(error) => {
                if error.is_transient() && !is_said {
                    say_awaited(session, &error);
                    is_said = true;
                }
                tries.pause(error).await?;
            }
        }
    }
}

fn say_awaited(session: &Session, error: &Error) {
    let most = session.policy.patience.map(|patience| {
        let seconds = Duration::from_secs(patience.as_secs().max(1));
        format!(", at most {}", humantime::format_duration(seconds))
    });
    let most = most.unwrap_or_default();
    session.warn(&format!("{error}; this is waited for{most} (--retry-for)"));
}

/// The tenants that patterns choose among `names`; one that chooses none is refused.
pub(super) fn matching<'a>(
    patterns: &[String],
    names: impl Iterator<Item = &'a str> + Clone,
    collection: &str,
) -> Result<BTreeSet<String>> {
    let mut chosen = BTreeSet::new();
    for pattern in patterns {
        let mut matching = names
            .clone()
            .filter(|name| matches_glob(pattern, name))
            .peekable();
        if matching.peek().is_none() {
            return Err(Error::new(
                Kind::NotFound,
                format!("collection `{collection}` has no tenant `{pattern}`"),
            ));
        }
        chosen.extend(matching.map(str::to_owned));
    }
    Ok(chosen)
}

/// Adds what a definition says to a plan.
pub(super) fn describe_definition(plan: &mut Plan, definition: &Definition) {
    if let Ok(properties) = definition.properties() {
        plan.field("properties", properties.len());
    }
    if let Ok(vectors) = definition.vectors() {
        let legacy = if vectors.has_legacy { 1 } else { 0 };
        plan.field("vectors", legacy + vectors.named.len());
    }
    let factor = definition
        .value()
        .ok()
        .and_then(|value| value.pointer("/replicationConfig/factor")?.as_u64());
    if let Some(factor) = factor {
        plan.field("replication factor", factor);
    }
}

/// Links are resolved as far as the path exists, so that two spellings are one destination, before it is made and after.
fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

/// A path that stays the same from whichever folder a later run is started.
pub(super) fn absolute(path: &Path) -> Result<String> {
    let absolute =
        std::path::absolute(path).doing(|| format!("cannot use `{}`", path.display()))?;
    Ok(real(&absolute).display().to_string())
}
/// Without `chosen` tenants all are meant, and the key must be one that may see all.
pub(super) async fn check_sight(
    session: &Session,
    client: &Client,
    name: &CollectionName,
    chosen: &[String],
) -> Result<()> {
    if !chosen.is_empty() {
        return Ok(());
    }
    let policy = session.context().policy;
    let look = || client.check_sees_tenants(name);
    policy.run("look at what the key may see", look).await
}
