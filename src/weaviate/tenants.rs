//! The state of single tenants.

use reqwest::StatusCode;

use super::api::TenantState;
use super::client::Client;
use crate::error::Result;
use crate::model::CollectionName;

impl Client {
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
