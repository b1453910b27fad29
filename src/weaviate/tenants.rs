//! Many tenants at once: their counts, and the states of a few.

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::api::TenantState;
use super::client::{Client, Patience};
use crate::error::Result;
use crate::model::{CollectionName, Tenant};

/// So many tenants are counted by one request: on 1.40 a hundred take 40 ms together and 900 ms one by one.
const COUNTED_AT_ONCE: usize = 100;

impl Client {
    /// How many objects are in these tenants together, all of them active; [`Tenant::NONE`] is a collection without.
    pub async fn count_in(&self, name: &CollectionName, tenants: &[Tenant]) -> Result<u64> {
        Ok(self.counts_of(name, tenants).await?.into_iter().sum())
    }

    /// How many objects are in each of these tenants.
    pub async fn counts_of(&self, name: &CollectionName, tenants: &[Tenant]) -> Result<Vec<u64>> {
        if let [tenant] = tenants {
            return Ok(vec![self.count(name, tenant).await?]);
        }
        let mut counts = Vec::with_capacity(tenants.len());
        for some in tenants.chunks(COUNTED_AT_ONCE) {
            counts.extend(self.count_some(name, some).await?);
        }
        Ok(counts)
    }

    async fn count_some(&self, name: &CollectionName, tenants: &[Tenant]) -> Result<Vec<u64>> {
        let fields = tenants.iter().enumerate();
        let fields: Vec<String> = fields
            .map(|(at, tenant)| format!("t{at}:{name}(tenant:\"{tenant}\"){{meta{{count}}}}"))
            .collect();
        let query = json!({"query": format!("{{Aggregate{{{}}}}}", fields.join(" "))});
        let body = Bytes::from(query.to_string());
        let reply = self
            .send(Method::POST, "graphql", Some(body), Patience::Read)
            .await?;
        let value: Value = self.parse("count objects", &reply)?;
        if let Some(message) = value.pointer("/errors/0/message").and_then(Value::as_str) {
            return Err(self.cannot_count(name, message));
        }
        let count = |at: usize| {
            let count = value.pointer(&format!("/data/Aggregate/t{at}/0/meta/count"));
            count.and_then(Value::as_u64)
        };
        let counts: Option<Vec<u64>> = (0..tenants.len()).map(count).collect();
        counts.ok_or_else(|| self.unexpected("count objects", &reply))
    }

    /// The states of these tenants, in no order; one that is gone is left out. Asks for each alone, which wakes none, and
    /// lists them all where the server knows no such question (1.27).
    pub async fn states_of(
        &self,
        name: &CollectionName,
        tenants: &[String],
    ) -> Result<Vec<TenantState>> {
        let mut states = Vec::new();
        for tenant in tenants {
            let reply = self.get(&format!("schema/{name}/tenants/{tenant}")).await?;
            match reply.status {
                StatusCode::METHOD_NOT_ALLOWED => {
                    let mut all = self.tenants(name).await?;
                    all.retain(|state| tenants.contains(&state.name));
                    return Ok(all);
                }
                StatusCode::NOT_FOUND => {}
                _ => states.push(self.parse("show a tenant", &reply)?),
            }
        }
        Ok(states)
    }
}
