//! Which tenants a backup reads, and what becomes of those that are inactive.

use super::*;

/// What becomes of inactive tenants. Reading one would fail, or wake it for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inactive {
    /// They are counted, and the backup is refused.
    #[default]
    Refuse,
    /// They are left out, and named in the archive.
    LeaveOut,
    /// They are woken, a few at a time, and put back.
    Wake,
}

/// The name of a setting of the identity.
const INACTIVE: &str = "inactive tenants";

impl Inactive {
    /// As a job's identity says it.
    pub(super) fn setting(self) -> Option<(String, String)> {
        let word = match self {
            Inactive::Refuse => return None,
            Inactive::LeaveOut => "left out",
            Inactive::Wake => "woken",
        };
        Some((INACTIVE.to_owned(), word.to_owned()))
    }

    /// As the identity of a job says it.
    pub(in crate::commands) fn of(identity: &Identity) -> Self {
        let setting = identity.settings.iter().find(|(name, _)| name == INACTIVE);
        match setting.map(|(_, word)| word.as_str()) {
            None => Inactive::Refuse,
            Some("woken") => Inactive::Wake,
            Some(_) => Inactive::LeaveOut,
        }
    }
}

/// Which tenants are read, and how.
#[derive(Default)]
pub(super) struct Choice {
    pub(super) chosen: BTreeSet<Tenant>,
    pub(super) asleep: BTreeSet<Tenant>,
    pub(super) skipped: Vec<String>,
    pub(super) offloaded: Vec<String>,
}

pub(super) fn choose(
    tenants: &[TenantState],
    found: &Found,
    request: &BackupRequest,
) -> Result<Choice> {
    let collection = &request.collection;
    if !found.definition.has_tenants()? {
        return match request.tenants.first() {
            None => Ok(Choice {
                chosen: BTreeSet::from([Tenant::NONE]),
                ..Choice::default()
            }),
            Some(_) => Err(Error::new(
                Kind::Usage,
                format!("collection `{collection}` has no tenants to choose from"),
            )),
        };
    }
    let names = tenants.iter().map(|tenant| tenant.name.as_str());
    let wanted = target::matching(&request.tenants, names, collection.as_str())?;
    let mut choice = Choice::default();
    for state in tenants {
        if request.tenants.is_empty() || wanted.contains(&state.name) {
            choice.take(state, request.inactive);
        }
    }
    if request.inactive == Inactive::Refuse && request.with_data && !choice.skipped.is_empty() {
        return Err(Error::new(
            Kind::SourceRefused,
            format!("{} of the chosen tenants of `{collection}` are inactive and cannot be read", choice.skipped.len()),
        )
        .with_hint("pass --activate-tenants to wake them and put them back, --skip-inactive to leave them out, or choose others with --tenant"));
    }
    Ok(choice)
}

impl Choice {
    fn take(&mut self, state: &TenantState, inactive: Inactive) {
        let tenant = Tenant::named(&state.name);
        match (state.status, inactive) {
            (TenantStatus::Hot, _) => drop(self.chosen.insert(tenant)),
            (TenantStatus::Cold, Inactive::Wake) => {
                self.asleep.insert(tenant.clone());
                self.chosen.insert(tenant);
            }
            (TenantStatus::Cold, _) => self.skipped.push(state.name.clone()),
            // Nobody can read it without bringing it back from where it lies.
            _ => self.offloaded.push(state.name.clone()),
        }
    }
}
