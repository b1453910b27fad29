//! TenantsGet.

use super::super::call::Call;
use super::super::class::Activity;
use super::messages::{Tenant, TenantsGetReply, TenantsGetRequest};

/// Lists tenants, all or some by name; the error is the server's text.
pub(super) fn tenants(
    call: &Call<'_>,
    request: &TenantsGetRequest,
) -> Result<TenantsGetReply, String> {
    let names = request.names.as_ref().map(|names| &names.values);
    if names.is_some_and(Vec::is_empty) {
        return Err("get tenants: must specify at least one tenant name".to_owned());
    }
    let refuse = |text: String| {
        format!(
            "get tenants: failed to execute query: could not get tenants: could not get tenants: {text}"
        )
    };
    let data = call.store.read();
    let class = data.class(&request.collection);
    let class = class.ok_or_else(|| refuse("class not found".to_owned()))?;
    if !class.has_tenants() {
        let text = format!("multi-tenancy is not enabled for class \"{}\"", class.name);
        return Err(refuse(text));
    }
    let wanted = |name: &String| names.is_none_or(|names| names.contains(name));
    let found = class.partitions.iter().filter(|(name, _)| wanted(name));
    Ok(TenantsGetReply {
        took: 0.0,
        tenants: found
            .map(|(name, partition)| Tenant {
                name: name.clone(),
                activity_status: match partition.activity {
                    Activity::Hot => 1,
                    Activity::Cold => 2,
                    Activity::Frozen => 4,
                },
            })
            .collect(),
    })
}
