//! What both ends can be asked for.

use super::*;

/// What both ends can be asked for.
#[derive(Clone, Debug)]
pub(in crate::commands::diff) struct Scope {
    /// These tenants alone.
    only: Option<BTreeSet<String>>,
    /// Not these tenants.
    without: BTreeSet<String>,
    pub vectors: bool,
    pub objects: bool,
    /// What an archive was not made to hold, one sentence fragment each.
    pub narrowed: Vec<String>,
    /// Inactive tenants that are left out, one sentence fragment for each end.
    pub inactive: Vec<String>,
}

impl Default for Scope {
    /// Everything.
    fn default() -> Self {
        Scope {
            only: None,
            without: BTreeSet::new(),
            vectors: true,
            objects: true,
            narrowed: Vec::new(),
            inactive: Vec::new(),
        }
    }
}

impl Scope {
    /// What both ends hold. Inactive tenants are left out if `skip_inactive`, else refused.
    pub fn of(one: &Seen, two: &Seen, skip_inactive: bool) -> Result<Self> {
        let mut scope = Scope::default();
        for seen in [one, two] {
            scope.narrow_to_archived(seen);
        }
        for (seen, other) in [(one, two), (two, one)] {
            scope.narrow_to_seen(seen, other)?;
        }
        let inactive = [scope.inactive_of(one), scope.inactive_of(two)];
        for (seen, inactive) in [one, two].into_iter().zip(inactive) {
            scope.leave_inactive_out(seen, inactive, skip_inactive)?;
        }
        Ok(scope)
    }

    pub fn has(&self, tenant: &Tenant) -> bool {
        let is_chosen = self
            .only
            .as_ref()
            .is_none_or(|only| only.contains(tenant.as_str()));
        is_chosen && !self.without.contains(tenant.as_str())
    }

    fn narrow_to_archived(&mut self, seen: &Seen) {
        let Some(archive) = seen.archive() else {
            return;
        };
        let options = &archive.header().options;
        if !options.tenants.is_empty() {
            let chosen: BTreeSet<String> = options.tenants.iter().cloned().collect();
            self.narrow(format!(
                "tenants other than the {} that {} was made of",
                grouped(chosen.len() as u64),
                seen.title
            ));
            self.only = Some(match self.only.take() {
                Some(only) => only.intersection(&chosen).cloned().collect(),
                None => chosen,
            });
        }
        if !options.skipped_tenants.is_empty() {
            self.narrow(format!(
                "{} tenants that were inactive when {} was made",
                grouped(options.skipped_tenants.len() as u64),
                seen.title
            ));
            self.without.extend(options.skipped_tenants.iter().cloned());
        }
        if !options.vectors {
            self.vectors = false;
            self.narrow(format!("vectors, which {} does not hold", seen.title));
        }
        if archive.header().contents == Contents::SchemaOnly {
            self.objects = false;
            self.narrow(format!("objects, which {} does not hold", seen.title));
        }
    }

    /// What the key may not see is left out; it cannot be said of a tenant of the other end that it is missing.
    fn narrow_to_seen(&mut self, seen: &Seen, other: &Seen) -> Result<()> {
        if !seen.hides_tenants {
            return Ok(());
        }
        let there = seen.tenants.iter().flatten().map(|(name, _)| name);
        let there: BTreeSet<&String> = there.collect();
        let wanted = other.tenants.iter().flatten().map(|(name, _)| name);
        let mut wanted = wanted.filter(|name| self.has(&Tenant::named(name)));
        if let Some(hidden) = wanted.find(|name| !there.contains(name)) {
            return Err(Error::new(
                Kind::Unauthorised,
                format!("the key lacks read_tenants for some tenants of {}: whether it has `{hidden}` cannot be told", seen.title),
            )
            .with_hint("let it read_tenants of all tenants"));
        }
        if self.only.is_none() {
            self.narrow(format!(
                "tenants of {} that the key may not see, if there are any",
                seen.title
            ));
        }
        Ok(())
    }

    fn narrow(&mut self, what: String) {
        self.narrowed.push(what);
    }

    fn inactive_of(&self, seen: &Seen) -> Vec<String> {
        let inactive = seen.inactive().iter();
        let is_wanted = |name: &&String| self.objects && self.has(&Tenant::named(name));
        inactive.filter(is_wanted).cloned().collect()
    }

    fn leave_inactive_out(&mut self, seen: &Seen, inactive: Vec<String>, skip: bool) -> Result<()> {
        if inactive.is_empty() {
            return Ok(());
        }
        let count = grouped(inactive.len() as u64);
        if !skip {
            return Err(Error::new(
                Kind::SourceRefused,
                format!(
                    "{count} tenants of {} are inactive and cannot be read",
                    seen.title
                ),
            )
            .with_kept("nothing was touched")
            .with_hint(
                "activate them first, or pass --skip-inactive to leave them out of the comparison",
            ));
        }
        self.inactive
            .push(format!("{count} inactive tenants of {}", seen.title));
        self.without.extend(inactive);
        Ok(())
    }
}
