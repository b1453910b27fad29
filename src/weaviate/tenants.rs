//! The states of a few tenants among many.

use std::collections::BTreeMap;

use reqwest::StatusCode;

use super::api::TenantState;
use super::client::Client;
use super::grpc::Method as GrpcMethod;
use super::tenant_states as told;
use crate::error::Result;
use crate::model::CollectionName;

impl Client {
    /// The states of these tenants, in no order; one that is gone is left out. It wakes none.
    pub async fn states_of(
        &self,
        name: &CollectionName,
        tenants: &[String],
    ) -> Result<Vec<TenantState>> {
        let mut states = self.told_states(name, tenants).await?;
        // One that was not told may be gone, or be another's business: REST says which.
        let others: Vec<&String> = tenants
            .iter()
            .filter(|name| !states.contains_key(*name))
            .collect();
        for state in self.asked_states(name, &others).await? {
            states.insert(state.name.clone(), state);
        }
        Ok(states.into_values().collect())
    }

    /// Those that gRPC tells, once it is confirmed.
    async fn told_states(
        &self,
        name: &CollectionName,
        tenants: &[String],
    ) -> Result<BTreeMap<String, TenantState>> {
        let Some(grpc) = self.grpc().filter(|_| !tenants.is_empty()) else {
            return Ok(BTreeMap::new());
        };
        let request = told::request(name, tenants);
        let asked = self.call_if_known(grpc, GrpcMethod::TenantsGet, request);
        let Some(reply) = asked.await? else {
            return Ok(BTreeMap::new());
        };
        let states = told::read(&reply)?.into_iter();
        let asked_for = states.filter(|state| tenants.contains(&state.name));
        Ok(asked_for.map(|state| (state.name.clone(), state)).collect())
    }

    /// Asks for each alone, and lists them all where the server knows no such question (1.27).
    async fn asked_states(
        &self,
        name: &CollectionName,
        tenants: &[&String],
    ) -> Result<Vec<TenantState>> {
        let mut states = Vec::new();
        for tenant in tenants {
            let reply = self.get(&format!("schema/{name}/tenants/{tenant}")).await?;
            match reply.status {
                StatusCode::METHOD_NOT_ALLOWED => {
                    let mut all = self.tenants(name).await?;
                    all.retain(|state| tenants.contains(&&state.name));
                    return Ok(all);
                }
                StatusCode::NOT_FOUND => {}
                _ => states.push(self.parse("show a tenant", &reply)?),
            }
        }
        Ok(states)
    }
}
