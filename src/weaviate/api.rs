//! The calls, each with the shape of its reply checked.

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::client::{Client, Patience, Reply};
use super::replicas::Shard;
use crate::error::{Error, Reaction, Result};
use crate::model::{CollectionName, Definition, ObjectId, Tenant};

/// What the server says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Meta {
    /// Such as `1.40.0`.
    pub version: String,
    /// The longest gRPC message, in bytes.
    #[serde(rename = "grpcMaxMessageSize")]
    pub grpc_max_message_size: Option<u64>,
}

impl Meta {
    /// Major and minor version, if the version reads like one.
    pub fn version_numbers(&self) -> Option<(u32, u32)> {
        super::features::version_numbers(&self.version)
    }
}

/// A collection that was asked for by name.
#[derive(Clone, Debug)]
pub enum Collection {
    /// It exists.
    Found(Definition),
    /// The name is an alias of this collection.
    Alias(CollectionName),
    /// There is none.
    Missing,
}

/// What a tenant is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TenantStatus {
    /// Can be read and written.
    #[serde(alias = "ACTIVE")]
    Hot,
    /// On disk only; refuses reads, writes and counts.
    #[serde(alias = "INACTIVE")]
    Cold,
    /// Offloaded to cloud storage.
    #[serde(alias = "OFFLOADED")]
    Frozen,
    /// On its way to cloud storage.
    #[serde(alias = "OFFLOADING")]
    Freezing,
    /// On its way back.
    #[serde(alias = "ONLOADING")]
    Unfreezing,
}

/// A tenant with its status.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct TenantState {
    /// Its name.
    pub name: String,
    /// What it is doing.
    #[serde(rename = "activityStatus")]
    pub status: TenantStatus,
}

impl Client {
    /// Version and limits. The first call of a run: tells unreachable from refused.
    pub async fn meta(&self) -> Result<Meta> {
        let reply = self.get("meta").await?;
        self.parse("tell its version", &reply)
    }

    /// True if the server says that it is ready.
    pub async fn is_ready(&self) -> bool {
        self.get(".well-known/ready")
            .await
            .is_ok_and(|reply| reply.status == StatusCode::OK)
    }

    /// The nodes of the cluster with their status.
    pub async fn nodes(&self) -> Result<Vec<(String, String)>> {
        #[derive(Deserialize)]
        struct Node {
            name: String,
            status: String,
        }
        #[derive(Deserialize)]
        struct Nodes {
            nodes: Vec<Node>,
        }
        let reply = self.get("nodes").await?;
        let nodes: Nodes = self.parse("list nodes", &reply)?;
        Ok(nodes
            .nodes
            .into_iter()
            .map(|node| (node.name, node.status))
            .collect())
    }

    /// The server's own clock, in Unix milliseconds; `None` if it does not tell.
    pub async fn server_time(&self) -> Result<Option<i64>> {
        let reply = self.get("meta").await?;
        let since = reply
            .server_time
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(since.map(|since| since.as_millis() as i64))
    }

    /// The definition of a collection, with aliases told apart: the server resolves them.
    pub async fn collection(&self, name: &CollectionName) -> Result<Collection> {
        let reply = self.get(&format!("schema/{name}")).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(Collection::Missing);
        }
        self.expect_ok("show a definition", &reply)?;
        let definition = self.definition(&reply)?;
        let real = definition.name()?;
        Ok(if real == *name {
            Collection::Found(definition)
        } else {
            Collection::Alias(real)
        })
    }

    /// Every collection's definition, sorted by name.
    pub async fn collections(&self) -> Result<Vec<Definition>> {
        #[derive(Deserialize)]
        struct Schema {
            classes: Option<Vec<Definition>>,
        }
        let reply = self.get("schema").await?;
        let schema: Schema = self.parse("list collections", &reply)?;
        let mut named = Vec::new();
        for definition in schema.classes.unwrap_or_default() {
            named.push((definition.name()?, definition));
        }
        named.sort_by(|one, two| one.0.cmp(&two.0));
        Ok(named
            .into_iter()
            .map(|(_, definition)| definition)
            .collect())
    }

    /// Creates a collection and returns the definition as the server made it.
    pub async fn create(&self, definition: &serde_json::Value) -> Result<Definition> {
        let reply = self.post("schema", definition).await?;
        self.expect_ok("create a collection", &reply)?;
        self.definition(&reply)
    }

    /// Changes the settings of a collection.
    pub async fn update(
        &self,
        name: &CollectionName,
        definition: &serde_json::Value,
    ) -> Result<()> {
        let body = Bytes::from(definition.to_string());
        let reply = self
            .send(
                Method::PUT,
                &format!("schema/{name}"),
                Some(body),
                Patience::Write,
            )
            .await?;
        self.expect_ok("change a collection", &reply)?;
        // The reply is the definition: an empty 200 changed nothing.
        self.definition(&reply).map(drop)
    }

    /// Deletes a collection. A missing one is a success, as the server says; an alias is not resolved and nothing happens.
    pub async fn delete(&self, name: &CollectionName) -> Result<()> {
        let reply = self
            .send(
                Method::DELETE,
                &format!("schema/{name}"),
                None,
                Patience::Write,
            )
            .await?;
        self.expect_ok("delete a collection", &reply)
    }

    /// The names of a collection's shards, sorted: random at each creation. Fails, as what may pass, if one lies on no node
    /// that is there, or on fewer than the `replicas` that it should have and that is not allowed.
    pub async fn shards(&self, name: &CollectionName, replicas: usize) -> Result<Vec<String>> {
        let reply = self.get(&format!("schema/{name}/shards")).await?;
        let shards: Vec<Shard> = self.parse("list shards", &reply)?;
        self.check_shards(name, &shards, replicas).await?;
        let mut names: Vec<String> = shards.into_iter().map(|shard| shard.name).collect();
        names.sort();
        Ok(names)
    }

    /// The tenants of a collection, sorted by name.
    pub async fn tenants(&self, name: &CollectionName) -> Result<Vec<TenantState>> {
        let reply = self.get(&format!("schema/{name}/tenants")).await?;
        let mut tenants: Vec<TenantState> = self.parse("list tenants", &reply)?;
        tenants.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(tenants)
    }

    /// Creates tenants; existing ones are left as they are.
    pub async fn create_tenants(
        &self,
        name: &CollectionName,
        tenants: &[TenantState],
    ) -> Result<()> {
        let reply = self
            .post(&format!("schema/{name}/tenants"), &json!(tenants))
            .await?;
        self.expect_json("create tenants", &reply)
    }

    /// Sets statuses; the server takes at most 100 tenants a call.
    pub async fn set_tenants(&self, name: &CollectionName, tenants: &[TenantState]) -> Result<()> {
        for some in tenants.chunks(100) {
            let body = Bytes::from(json!(some).to_string());
            let reply = self
                .send(
                    Method::PUT,
                    &format!("schema/{name}/tenants"),
                    Some(body),
                    Patience::Write,
                )
                .await?;
            self.expect_json("set the status of tenants", &reply)?;
        }
        Ok(())
    }

    /// The aliases of a collection, sorted. Servers before 1.32 have none.
    pub async fn aliases(&self, name: &CollectionName) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Alias {
            alias: String,
            class: String,
        }
        #[derive(Deserialize)]
        struct Aliases {
            aliases: Option<Vec<Alias>>,
        }
        let reply = self.get(&format!("aliases?class={name}")).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let aliases: Aliases = self.parse("list aliases", &reply)?;
        let ours = aliases
            .aliases
            .unwrap_or_default()
            .into_iter()
            .filter(|alias| alias.class == name.as_str());
        let mut names: Vec<String> = ours.map(|alias| alias.alias).collect();
        names.sort();
        Ok(names)
    }

    /// Makes an alias; true if it now points to this collection, false if the name is taken.
    pub async fn make_alias(&self, alias: &str, name: &CollectionName) -> Result<bool> {
        if self
            .aliases(name)
            .await?
            .iter()
            .any(|existing| existing == alias)
        {
            return Ok(true);
        }
        let reply = self
            .post("aliases", &json!({"alias": alias, "class": name.as_str()}))
            .await?;
        let is_taken =
            matches!(reply.status.as_u16(), 422) && reply.words().contains("already exists");
        if is_taken {
            return Ok(false);
        }
        self.expect_json("make an alias", &reply)?;
        Ok(true)
    }

    /// The next objects of a collection as the server wrote them.
    pub(super) async fn list(&self, of: &Listing<'_>) -> Result<Bytes> {
        let reply = self.get(&of.path()).await?;
        match reply.status {
            StatusCode::OK => Ok(reply.body),
            StatusCode::NOT_FOUND => Err(Error::new(
                self.role().refused(),
                format!("collection `{}` is gone", of.collection),
            )
            .with_hint("somebody deleted it while it was read")),
            _ if reply.words().contains("query maximum results exceeded") => Err(self
                .unexpected("list objects", &reply)
                .with_reaction(Reaction::TooLarge)),
            _ => Err(self.unexpected("list objects", &reply)),
        }
    }

    /// Stores a batch; the reply is still to be read. A refusal as a whole asks to be split.
    pub(super) async fn store(&self, body: Bytes) -> Result<Bytes> {
        let reply = self
            .send(Method::POST, "batch/objects", Some(body), Patience::Write)
            .await?;
        match reply.status {
            StatusCode::OK => Ok(reply.body),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Err(self
                .unexpected("store a batch", &reply)
                .with_reaction(Reaction::Split)),
            _ => Err(self.unexpected("store a batch", &reply)),
        }
    }

    /// One object as the server wrote it, vectors included; `None` if it is not there.
    pub(super) async fn object(
        &self,
        name: &CollectionName,
        key: &crate::model::Key,
    ) -> Result<Option<Bytes>> {
        let tenant = key
            .tenant
            .name()
            .map(|tenant| format!("&tenant={tenant}"))
            .unwrap_or_default();
        let reply = self
            .get(&format!("objects/{name}/{}?include=vector{tenant}", key.id))
            .await?;
        match reply.status {
            StatusCode::OK if !reply.body.is_empty() => Ok(Some(reply.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.unexpected("show an object", &reply)),
        }
    }

    pub(super) async fn post(&self, path: &str, body: &serde_json::Value) -> Result<Reply> {
        self.send(
            Method::POST,
            path,
            Some(Bytes::from(body.to_string())),
            Patience::Write,
        )
        .await
    }

    pub(super) fn expect_ok(&self, doing: &str, reply: &Reply) -> Result<()> {
        if reply.status.is_success() {
            Ok(())
        } else {
            Err(self.unexpected(doing, reply))
        }
    }

    /// For calls whose reply repeats what was done: without it a 200 is no success.
    fn expect_json(&self, doing: &str, reply: &Reply) -> Result<()> {
        let _: serde::de::IgnoredAny = self.parse(doing, reply)?;
        Ok(())
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, doing: &str, reply: &Reply) -> Result<T> {
        self.expect_ok(doing, reply)?;
        serde_json::from_slice(&reply.body).map_err(|_| self.unexpected(doing, reply))
    }

    fn definition(&self, reply: &Reply) -> Result<Definition> {
        let text = String::from_utf8(reply.body.to_vec())
            .map_err(|_| self.unexpected("show a definition", reply))?;
        Definition::parse(text.trim().to_owned())
            .map_err(|_| self.unexpected("show a definition", reply))
    }
}

/// A request for a page.
pub(super) struct Listing<'a> {
    pub collection: &'a CollectionName,
    pub tenant: &'a Tenant,
    /// Exclusive; `None` starts at the very beginning, the nil id included.
    pub after: Option<ObjectId>,
    pub limit: u32,
    pub with_vectors: bool,
}

impl Listing<'_> {
    fn path(&self) -> String {
        let after = self.after.map(|id| id.to_string()).unwrap_or_default();
        let mut path = format!(
            "objects?class={}&limit={}&after={after}",
            self.collection, self.limit
        );
        if self.with_vectors {
            path.push_str("&include=vector");
        }
        if let Some(tenant) = self.tenant.name() {
            // Tenant names have letters, digits, `_` and `-` only.
            path.push_str("&tenant=");
            path.push_str(tenant);
        }
        path
    }
}
