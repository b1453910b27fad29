//! One end of a comparison as it is seen before its objects are read: a live collection or an archive.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::super::pages::Pages;
use super::super::session::{Session, grouped};
use super::super::target;
use super::reading::Feed;
use super::sort;
use crate::archive::{Archive, Contents};
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::job::Bounds;
use crate::model::{CollectionName, Definition, Key, Tenant};
use crate::pipe::{Budget, Source as _};
use crate::retry::Policy;
use crate::weaviate::{
    Client, Collection, CollectionSource, Connection, Incarnation, ReadPlan, Role, TenantState,
    TenantStatus, Wanted,
};

/// Two pages of each end are held at once.
pub(super) const PAGE: Budget = Budget {
    objects: 1_000,
    bytes: 4 << 20,
};

/// One end of a comparison.
#[derive(Clone, Debug)]
pub enum End {
    /// A collection on a server.
    Collection {
        /// The server.
        connection: Box<Connection>,
        /// Its name.
        name: CollectionName,
    },
    /// An archive, file or folder.
    Archive(PathBuf),
}

/// What an end says of itself.
pub(super) struct Seen {
    pub title: String,
    pub definition: Definition,
    /// The server's version, as far as it is known.
    pub version: String,
    /// Tenants with their states; `None` if the end names none.
    pub tenants: Option<BTreeMap<String, String>>,
    /// Sorted; `None` if they could not be learned.
    pub aliases: Option<BTreeSet<String>>,
    /// Objects, where that can be told without reading them.
    pub total: Option<u64>,
    holds: Holds,
}

enum Holds {
    Live(Live),
    Archived(Archive),
}

/// A collection on a server.
struct Live {
    client: Arc<Client>,
    name: CollectionName,
    incarnation: Incarnation,
    tenants: Vec<Tenant>,
    inactive: Vec<String>,
    plan: ReadPlan,
}

impl Seen {
    pub async fn look(session: &Session, end: &End, role: Role) -> Result<Self> {
        match end {
            End::Collection { connection, name } => {
                let client = Arc::new(Client::new(connection, role)?);
                look_live(session, client, name).await
            }
            End::Archive(path) => {
                let archive = Archive::open(path)?;
                for warning in archive.warnings() {
                    session.warn(warning);
                }
                Ok(Seen::of_archive(archive))
            }
        }
    }

    pub fn of_archive(archive: Archive) -> Self {
        look_archived(archive)
    }

    /// False for a document that another program wrote.
    pub fn is_ours(&self) -> bool {
        match &self.holds {
            Holds::Live(_) => true,
            Holds::Archived(archive) => archive.is_ours(),
        }
    }

    /// False for a collection that is known to be another one.
    pub fn may_be(&self, incarnation: &Incarnation) -> bool {
        match &self.holds {
            Holds::Live(live) => live.incarnation.may_equal(incarnation),
            Holds::Archived(_) => true,
        }
    }

    pub fn archive(&self) -> Option<&Archive> {
        match &self.holds {
            Holds::Live(_) => None,
            Holds::Archived(archive) => Some(archive),
        }
    }

    /// Tenants that cannot be read without waking them.
    pub fn inactive(&self) -> &[String] {
        match &self.holds {
            Holds::Live(live) => &live.inactive,
            Holds::Archived(_) => &[],
        }
    }

    /// The objects in the order of their keys. An archive that is known to be `unsorted` is sorted first.
    pub async fn feed(&self, session: &Session, scope: &Scope, unsorted: bool) -> Result<Feed> {
        let policy = session.context().policy;
        match &self.holds {
            Holds::Live(live) => {
                let source = Arc::new(live.source(scope, &policy).await?);
                let bounds = vec![Bounds::ALL_KEYS];
                Ok(Feed::Live(Pages::of(
                    &policy,
                    "read a page",
                    source,
                    bounds,
                    PAGE,
                )))
            }
            Holds::Archived(archive) => {
                let source = Arc::new(archive.source());
                let order = (!unsorted).then(|| lanes_in_order(archive)).flatten();
                let bounds = order.clone().unwrap_or_else(|| source.lanes());
                let pages = Pages::of(&policy, "read a page", source, bounds, PAGE);
                match order {
                    Some(_) => Ok(Feed::Archived(pages)),
                    None => {
                        let doing = format!("sort the objects of {}", self.title);
                        session.reporter.event(&Event::Stage { doing: &doing });
                        sort::sorted(pages, &session.state).await.map(Feed::Sorted)
                    }
                }
            }
        }
    }

    /// A collection that was dropped or made anew while it was read was not read as a whole.
    pub async fn check_same_life(&self, session: &Session) -> Result<()> {
        let Holds::Live(live) = &self.holds else {
            return Ok(());
        };
        let policy = session.context().policy;
        let look = || live.client.collection(&live.name);
        let found = policy.run("look for the collection", look).await?;
        let is_same = match &found {
            Collection::Found(definition) => {
                let look = || Incarnation::of(&live.client, &live.name, definition);
                let now = policy.run("look at the collection", look).await?;
                live.incarnation.may_equal(&now)
            }
            Collection::Alias(_) | Collection::Missing => false,
        };
        match is_same {
            true => Ok(()),
            false => Err(Error::new(
                Kind::SourceRefused,
                format!("{} was deleted while it was read", self.title),
            )
            .with_hint("compare again")),
        }
    }
}

impl Live {
    async fn source(&self, scope: &Scope, policy: &Policy) -> Result<CollectionSource> {
        let tenants = self.tenants.iter();
        let tenants = tenants.filter(|tenant| scope.has(tenant)).cloned();
        let tenants: Vec<Tenant> = match scope.objects {
            true => tenants.collect(),
            false => Vec::new(),
        };
        let plan = match scope.vectors {
            true => self.plan,
            false => ReadPlan::PropertiesOverRest,
        };
        // A hundred are counted by one request; one that was counted is read by one less.
        let counts = match tenants.as_slice() {
            [_] => Vec::new(),
            tenants => {
                let count = || self.client.counts_of(&self.name, tenants);
                policy.run("count objects", count).await?
            }
        };
        let counts: Vec<(Tenant, u64)> = tenants.iter().cloned().zip(counts).collect();
        let (client, name) = (self.client.clone(), self.name.clone());
        Ok(CollectionSource::new(client, name, tenants, plan).counted(counts))
    }
}

async fn look_live(session: &Session, client: Arc<Client>, name: &CollectionName) -> Result<Seen> {
    let found = target::find_to_move(session, &client, name).await?;
    let policy = session.context().policy;
    let look = || Incarnation::of(&client, name, &found.definition);
    let incarnation = policy.run("look at the collection", look).await?;
    let states = match found.definition.has_tenants()? {
        true => Some(policy.run("list tenants", || client.tenants(name)).await?),
        false => None,
    };
    let total = match &states {
        None => {
            let count = || client.count(name, &Tenant::NONE);
            Some(policy.run("count objects", count).await?)
        }
        Some(_) => None,
    };
    let aliases = match policy.run("list aliases", || client.aliases(name)).await {
        Ok(aliases) => Some(aliases.into_iter().collect()),
        // A key may not be allowed to list them, and older servers have none.
        Err(error) if error.kind() == Kind::Unauthorised => None,
        Err(error) => return Err(error),
    };
    let (active, inactive) = by_activity(states.as_deref());
    if let Some(tenant) = active.first() {
        target::confirm_grpc(session, &client, name, tenant).await?;
    }
    let plan = ReadPlan::choose(&client, &found.definition, Wanted::Everything)?;
    Ok(Seen {
        title: format!("`{name}` at {}", client.address()),
        definition: found.definition,
        version: found.version,
        tenants: Some(states.iter().flatten().map(live_state).collect()),
        aliases,
        total,
        holds: Holds::Live(Live {
            client,
            name: name.clone(),
            incarnation,
            tenants: active,
            inactive,
            plan,
        }),
    })
}

fn by_activity(states: Option<&[TenantState]>) -> (Vec<Tenant>, Vec<String>) {
    let Some(states) = states else {
        return (vec![Tenant::NONE], Vec::new());
    };
    let (active, inactive): (Vec<&TenantState>, Vec<&TenantState>) = states
        .iter()
        .partition(|tenant| tenant.status == TenantStatus::Hot);
    (
        active
            .iter()
            .map(|tenant| Tenant::named(&tenant.name))
            .collect(),
        inactive.iter().map(|tenant| tenant.name.clone()).collect(),
    )
}

fn live_state(tenant: &TenantState) -> (String, String) {
    (tenant.name.clone(), spelled(tenant.status))
}

fn spelled(status: TenantStatus) -> String {
    serde_json::json!(status)
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn look_archived(archive: Archive) -> Seen {
    let header = archive.header();
    let state = |tenant: &crate::archive::TenantState| {
        // Servers changed the words; what they mean is compared.
        let status: Option<TenantStatus> =
            serde_json::from_value(tenant.status.clone().into()).ok();
        let status = status.map_or_else(|| tenant.status.clone(), spelled);
        (tenant.name.clone(), status)
    };
    let is_ours = archive.is_ours();
    Seen {
        title: format!("`{}`", archive.path().display()),
        definition: header.definition.clone(),
        version: header.weaviate_version.clone(),
        tenants: is_ours.then(|| archive.tenants().iter().map(state).collect()),
        aliases: is_ours.then(|| archive.aliases().iter().cloned().collect()),
        total: Some(archive.object_count()),
        holds: Holds::Archived(archive),
    }
}

/// One lane per frame in the order of keys; `None` if frames overlap or say nothing, as in a document that was
/// edited or that another program wrote.
fn lanes_in_order(archive: &Archive) -> Option<Vec<Bounds>> {
    let frames = &archive.trailer()?.integrity.frames;
    let mut spans: Vec<(&Key, &Key, u64)> = Vec::with_capacity(frames.len());
    for (frame, index) in frames.iter().zip(0..) {
        match (&frame.first, &frame.last) {
            (Some(first), Some(last)) => spans.push((&first.0, &last.0, index)),
            _ if frame.count == 0 => {}
            _ => return None,
        }
    }
    spans.sort();
    let is_ordered = spans.iter().all(|(first, last, _)| first <= last)
        && spans.windows(2).all(|pair| pair[0].1 < pair[1].0);
    let lane = |(_, _, index): (&Key, &Key, u64)| Bounds::Frames {
        from: index,
        to: index + 1,
    };
    is_ordered.then(|| spans.into_iter().map(lane).collect())
}

/// What both ends can be asked for.
#[derive(Clone, Debug)]
pub(super) struct Scope {
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
