//! Whether a live collection changed while it was read: counted before, read, and counted again.

use super::*;
use crate::commands::diff::found::EndTally;

impl Seen {
    /// What is to be said of it once it was `read`; none of an archive, or if all counts are alike.
    pub async fn changes(&self, session: &Session, read: &EndTally) -> Result<Option<String>> {
        let Holds::Live(live) = &self.holds else {
            return Ok(None);
        };
        let Some(before) = live.counted.get().filter(|counted| !counted.is_empty()) else {
            return Ok(None);
        };
        let tenants: Vec<Tenant> = before.iter().map(|(tenant, _)| tenant.clone()).collect();
        let count = || live.client.counts_of(&live.name, &tenants);
        let after = match session.context().policy.run("count objects", count).await {
            Ok(after) => after,
            Err(error) if error.is_transient() => return Err(error),
            // Such as a tenant that is gone or asleep by now.
            Err(error) => {
                let title = &self.title;
                return Ok(Some(format!("{title} cannot be counted again: {error}")));
            }
        };
        Ok(changed(&self.title, before, read, &after))
    }
}

fn changed(
    title: &str,
    before: &[(Tenant, u64)],
    read: &EndTally,
    after: &[u64],
) -> Option<String> {
    let read: BTreeMap<&Tenant, u64> = read
        .tenants
        .iter()
        .map(|tally| (&tally.tenant, tally.count))
        .collect();
    let of_tenants = before.iter().zip(after).map(|((tenant, before), after)| {
        let read = read.get(tenant).copied().unwrap_or(0);
        [*before, read, *after]
    });
    let changed: Vec<[u64; 3]> = of_tenants
        .filter(|[before, read, after]| before != read || read != after)
        .collect();
    if changed.is_empty() {
        return None;
    }
    let sum = |at: usize| grouped(changed.iter().map(|counts| counts[at]).sum());
    let which = match before {
        [(tenant, _)] if *tenant == Tenant::NONE => title.to_owned(),
        _ => format!("{} tenants of {title}", grouped(changed.len() as u64)),
    };
    Some(format!(
        "{which} changed while this was compared: {} objects were counted before, {} read, and {} counted afterwards",
        sum(0),
        sum(1),
        sum(2)
    ))
}
