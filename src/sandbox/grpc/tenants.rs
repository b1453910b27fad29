//! TenantsGet.

use super::super::call::Call;
use super::super::class::{Activity, Partition};
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
    let shown = |(name, partition): (&String, &Partition)| Tenant {
        name: name.clone(),
        activity_status: match partition.activity {
            Activity::Hot => 1,
            Activity::Cold => 2,
            Activity::Frozen => 4,
        },
    };
    let all = &class.partitions;
    Ok(TenantsGetReply {
        took: 0.0,
        tenants: match names {
            None => all.iter().map(shown).collect(),
            // One that is named twice is told twice.
            Some(names) => {
                let found = names.iter().filter_map(|name| all.get_key_value(name));
                found.map(shown).collect()
            }
        },
    })
}
