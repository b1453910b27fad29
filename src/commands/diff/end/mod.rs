//! One end of a comparison as it is seen before its objects are read: a live collection or an archive.

mod change;
mod look;
mod ranges;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::archive::{Archive, Contents};
use crate::commands::diff::reading::Feed;
use crate::commands::diff::sort;
use crate::commands::pages::{Abreast, Pages};
use crate::commands::session::{Session, grouped};
use crate::commands::target;
use crate::commands::waking::{Sleepers, Waking};
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
use look::{look_archived, look_live};
use ranges::ranges_of;
pub(super) use scope::Scope;

/// Two pages of each end are held at once.
pub(super) const PAGE: Budget = Budget::of(1_000, 4 << 20);

/// Where tenants are read abreast, six of them are held at once, and four more may be on their way.
const SMALLER_PAGE: Budget = Budget::of(1_000, 2 << 20);

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
    /// True if there may be more of them, which the key may not see.
    pub hides_tenants: bool,
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
    /// Those that are woken to be read; not among the inactive ones.
    sleepers: Option<Sleepers>,
    plan: ReadPlan,
    /// Those that are awake, with how many objects they held before they were read.
    counted: OnceLock<Vec<(Tenant, u64)>>,
}

impl Seen {
    pub async fn look(session: &Session, end: &End, role: Role) -> Result<Self> {
        match end {
            End::Collection { connection, name } => {
                let connection = Connection {
                    // One replica is enough to compare, and is said to be one.
                    allow_degraded: true,
                    ..Connection::clone(connection)
                };
                let client = Arc::new(Client::new(&connection, role)?);
                look_live(session, client, name).await
            }
            End::Archive(path) => {
                let archive = Archive::open(path)?;
                for warning in archive.warnings() {
                    session.warn(&warning);
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

    /// Why not every replica of it was at hand.
    pub fn degraded(&self) -> Option<&str> {
        match &self.holds {
            Holds::Live(live) => live.client.degraded(),
            Holds::Archived(_) => None,
        }
    }

    /// False for a collection that is known to be another one.
    pub fn may_be(&self, incarnation: &Incarnation) -> bool {
        match &self.holds {
            Holds::Live(live) => live.incarnation.may_equal(incarnation),
            Holds::Archived(_) => true,
        }
    }

    /// Lets these be woken to be read, as far as they are inactive.
    pub fn may_wake(&mut self, mut sleepers: Sleepers) {
        if let Holds::Live(live) = &mut self.holds {
            let wakes = |name: &String| sleepers.tenants.contains(&Tenant::named(name));
            let (woken, inactive) = std::mem::take(&mut live.inactive)
                .into_iter()
                .partition(wakes);
            let woken: Vec<String> = woken;
            sleepers.tenants = woken.iter().map(|name| Tenant::named(name)).collect();
            live.inactive = inactive;
            live.sleepers = Some(sleepers).filter(|_| !woken.is_empty());
        }
    }

    pub fn archive(&self) -> Option<&Archive> {
        match &self.holds {
            Holds::Live(_) => None,
            Holds::Archived(archive) => Some(archive),
        }
    }

    /// Tenants that cannot be read without waking them, which nobody has allowed.
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
                let feed = live.feed(scope, &policy).await;
                target::tell_of_listing(session, &live.client);
                feed
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
                let now = target::look_at(session, &live.client, &live.name, definition).await?;
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
    async fn feed(&self, scope: &Scope, policy: &Policy) -> Result<Feed> {
        let asleep: BTreeSet<Tenant> = match &self.sleepers {
            Some(sleepers) => in_scope(&sleepers.tenants, scope).collect(),
            None => BTreeSet::new(),
        };
        let awake: Vec<Tenant> = in_scope(&self.tenants, scope).collect();
        let all = awake.iter().chain(&asleep).cloned().collect();
        let counts = self.count(policy, &awake).await?;
        let ranges = ranges_of(&counts);
        let source = self.source(scope, all, counts);
        let (doing, bounds) = ("read a page", vec![Bounds::ALL_KEYS]);
        let Some(sleepers) = self.sleepers.as_ref().filter(|_| !asleep.is_empty()) else {
            let source = Arc::new(source);
            return Ok(match ranges.len() {
                0 | 1 => Feed::Live(Pages::of(policy, doing, source, bounds, PAGE)),
                _ => Feed::Tenants(Abreast::of(policy, doing, &source, ranges, SMALLER_PAGE)),
            });
        };
        let (client, folder) = (self.client.clone(), sleepers.folder.clone());
        let all: Vec<Tenant> = awake.into_iter().chain(asleep.iter().cloned()).collect();
        let source = Waking::new(source, client, folder, self.name.clone(), &all, &asleep);
        let pages = Pages::of(policy, doing, Arc::new(source), bounds, PAGE);
        Ok(Feed::Woken(pages))
    }

    /// A hundred are counted by one request; one that was counted is read by one less.
    async fn count(&self, policy: &Policy, awake: &[Tenant]) -> Result<Vec<(Tenant, u64)>> {
        let count = || self.client.counts_of(&self.name, awake);
        let counts = policy.run("count objects", count).await?;
        let counts: Vec<(Tenant, u64)> = awake.iter().cloned().zip(counts).collect();
        // Where all is read again, the first count is the one before.
        let _ = self.counted.set(counts.clone());
        Ok(counts)
    }

    fn source(
        &self,
        scope: &Scope,
        all: Vec<Tenant>,
        counts: Vec<(Tenant, u64)>,
    ) -> CollectionSource {
        let plan = match scope.vectors {
            true => self.plan,
            false => ReadPlan::PropertiesOverRest,
        };
        let (client, name) = (self.client.clone(), self.name.clone());
        CollectionSource::new(client, name, all, plan).counted(counts)
    }
}

fn in_scope<'a>(
    tenants: impl IntoIterator<Item = &'a Tenant>,
    scope: &Scope,
) -> impl Iterator<Item = Tenant> {
    let tenants = tenants
        .into_iter()
        .filter(|tenant| scope.objects && scope.has(tenant));
    tenants.cloned()
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
