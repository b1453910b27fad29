//! What is seen of the collection before anything is touched.

use super::*;

/// As many as there are witnesses at most.
const WITNESSED_TENANTS: usize = 16;

/// What was seen of the collection before anything was touched.
pub(super) struct Seen {
    pub incarnation: Incarnation,
    /// Every tenant of the collection.
    pub tenants: Vec<TenantState>,
    /// Those that are read.
    pub chosen: Vec<Tenant>,
    /// Those among them that are woken for it.
    pub asleep: BTreeSet<Tenant>,
    /// Inactive ones that are left out as it was asked for.
    pub skipped: Vec<String>,
    /// Those that lie elsewhere and cannot be read.
    pub offloaded: Vec<String>,
    /// Some of those that hold objects and are awake.
    pub filled: Vec<Tenant>,
    /// Objects of those that are awake.
    pub count: u64,
    /// How many of them each tenant has.
    pub counts: Vec<(Tenant, u64)>,
    /// In Unix milliseconds, by the server's clock.
    pub server_time: Option<i64>,
    /// How objects are read.
    pub plan: ReadPlan,
}

impl Seen {
    pub async fn look(
        session: &Session,
        client: &Client,
        found: &Found,
        request: &BackupRequest,
    ) -> Result<Self> {
        let policy = session.context().policy;
        let name = &request.collection;
        let incarnation = target::look_at(session, client, name, &found.definition).await?;
        let tenants = match found.definition.has_tenants()? {
            true => {
                target::check_sight(session, client, name, &request.tenants).await?;
                policy.run("list tenants", || client.tenants(name)).await?
            }
            false => Vec::new(),
        };
        let Choice {
            chosen,
            asleep,
            skipped,
            offloaded,
        } = choose(&tenants, found, request)?;
        let awake: Vec<Tenant> = chosen.difference(&asleep).cloned().collect();
        let wanted = match request.with_vectors {
            true => Wanted::Everything,
            false => Wanted::Properties,
        };
        let counts = policy
            .run("count objects", || client.counts_of(name, &awake))
            .await?;
        target::tell_of_listing(session, client);
        let filled = awake.iter().zip(&counts).filter(|(_, count)| **count > 0);
        let filled: Vec<Tenant> = filled
            .map(|(tenant, _)| tenant.clone())
            .take(WITNESSED_TENANTS)
            .collect();
        // Where there are objects, they show where gRPC leads.
        if let Some(tenant) = filled.first().or(awake.first()) {
            target::confirm_grpc(session, client, name, tenant).await?;
        }
        let server_time = policy
            .run("ask for the server's time", || client.server_time())
            .await?;
        Ok(Seen {
            incarnation,
            tenants,
            chosen: chosen.into_iter().collect(),
            asleep,
            skipped,
            filled,
            offloaded,
            count: counts.iter().sum(),
            counts: awake.into_iter().zip(counts).collect(),
            server_time,
            plan: ReadPlan::choose(client, &found.definition, wanted)?,
        })
    }

    /// The ids of those that hold objects.
    pub fn filled_source(&self, client: &Arc<Client>, name: &CollectionName) -> CollectionSource {
        let tenants = self.filled.clone();
        CollectionSource::new(
            client.clone(),
            name.clone(),
            tenants,
            ReadPlan::PropertiesOverRest,
        )
    }

    /// What the job will know the collection by where its shards say nothing.
    pub async fn witnesses(
        &self,
        session: &Session,
        request: &BackupRequest,
        client: &Arc<Client>,
    ) -> Result<Option<(String, String)>> {
        if !self.incarnation.shards.is_empty() || self.filled.is_empty() {
            return Ok(None);
        }
        let policy = session.context().policy;
        let source = self.filled_source(client, &request.collection);
        let witnesses = Witnesses::call(&policy, &source).await?;
        let text = serde_json::to_string(&witnesses).map_err(|cause| {
            Error::new(Kind::Failed, "witnesses cannot be kept").with_cause(cause)
        })?;
        Ok(Some((WITNESSES.to_owned(), text)))
    }
}
