//! Beginning a restore anew: what the unfinished job created is removed, and nothing else.

use super::*;

/// Removes only a collection that this job itself created, and only if it still is that one.
pub(super) async fn restart(
    session: &Session,
    request: &RestoreRequest,
    looked: &Looked,
    folder: JobFolder,
) -> Result<Claimed> {
    let client = &looked.client;
    let all = folder.obligations()?;
    if let Some(created) = Created::among(&all) {
        remove_created(session, client, &created).await?;
    }
    owed::settle(session, &folder, client).await?;
    for obligation in &all {
        folder.discharge(obligation)?;
    }
    folder.remove()?;
    let now = Looked::look(session, request).await?;
    check_target(session, request, &now).await?;
    begin(session, request, looked)
}

/// The collection that a job made or was about to make, from what it owes.
pub(in crate::commands) struct Created {
    name: CollectionName,
    /// None if its making was claimed and never acknowledged.
    shards: Vec<String>,
}

impl Created {
    pub(in crate::commands) fn among(owed: &[Obligation]) -> Option<Created> {
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

    pub(in crate::commands) fn name(&self) -> &CollectionName {
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
    let name = request.name_for(&archive);
    let wanted = request.reshape.apply(&archive, &name)?;
    let identity = identity(request, &archive, &name, &wanted)?;
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

pub(in crate::commands) async fn remove_created(
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
