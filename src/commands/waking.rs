//! A collection with inactive tenants as the end that is read: a window of them at a time is woken, read, and put back.
//!
//! What is woken is written down before it is woken, so that whoever comes next puts it back. The cursor of a lane says
//! which window is open; windows follow each other in the order of the tenants. A lane with sleepers is not cut.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use super::owed;
use crate::error::Result;
use crate::job::{Bounds, Cursor, Intent, Lane, LaneId, Receipt};
use crate::journal::{JobFolder, Obligation};
use crate::model::{CollectionName, Key, ObjectId, Tenant};
use crate::pipe::{Budget, Page, Source};
use crate::weaviate::{Client, CollectionSource, TenantState, TenantStatus};

/// So many inactive tenants are awake at once.
const WINDOW: usize = 8;

/// Noted in the job's summary: woken tenants whose count was another one than that of the objects read.
pub(super) const UNCOUNTED: &str = "uncounted tenants";

/// Inactive tenants that may be woken while they are read, and the job that puts them back.
pub(super) struct Sleepers {
    pub tenants: BTreeSet<Tenant>,
    pub folder: Arc<JobFolder>,
}

/// The tenants of a lane that are awake now.
struct Window {
    owed: Obligation,
    tenants: Vec<String>,
    /// False once they are being put back: they may be inactive even if that failed, since only the answer may be lost.
    is_awake: bool,
    /// The last key in it; `None` reaches to the end of all.
    end: Option<Key>,
}

/// A collection whose inactive tenants are woken while they are read.
pub(super) struct Waking {
    source: CollectionSource,
    client: Arc<Client>,
    folder: Arc<JobFolder>,
    name: CollectionName,
    /// All that are read, in order; true for those that must be woken.
    tenants: BTreeMap<Tenant, bool>,
    windows: tokio::sync::Mutex<HashMap<LaneId, Window>>,
    /// Objects read of each tenant that must be woken.
    read: std::sync::Mutex<HashMap<Tenant, u64>>,
}

impl Waking {
    /// Reads `tenants`; those `asleep` are woken for it.
    pub fn new(
        source: CollectionSource,
        client: Arc<Client>,
        folder: Arc<JobFolder>,
        name: CollectionName,
        tenants: &[Tenant],
        asleep: &BTreeSet<Tenant>,
    ) -> Self {
        let with_need = |tenant: &Tenant| (tenant.clone(), asleep.contains(tenant));
        Waking {
            source,
            client,
            folder,
            name,
            tenants: tenants.iter().map(with_need).collect(),
            windows: tokio::sync::Mutex::default(),
            read: std::sync::Mutex::default(),
        }
    }

    /// Takes in what earlier runs have read.
    pub fn count_read(&self, receipts: &[&Receipt]) {
        for tally in receipts.iter().flat_map(|receipt| &receipt.tenants) {
            self.add(&tally.tenant, tally.count);
        }
    }

    fn add(&self, tenant: &Tenant, count: u64) {
        if self.tenants.get(tenant) == Some(&true) {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            *read.entry(tenant.clone()).or_default() += count;
        }
    }

    fn take_back(&self, tenant: &Tenant) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = read.get_mut(tenant) {
            *count = count.saturating_sub(1);
        }
    }

    fn read_of(&self, tenant: &Tenant) -> u64 {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(tenant).copied().unwrap_or(0)
    }

    fn has_sleepers(&self) -> bool {
        self.tenants.values().any(|must_wake| *must_wake)
    }

    /// The inactive tenants from the cursor on that are woken together, and the last key that they reach to.
    fn window_at(&self, lane: &Lane, cursor: &Cursor) -> (Vec<String>, Option<Key>) {
        let (from, until) = match (&lane.bounds, cursor) {
            (Bounds::Keys { until, .. }, Cursor::After(key)) => (Some(key), until.as_ref()),
            (Bounds::Keys { after, until }, _) => (after.as_ref(), until.as_ref()),
            _ => (None, None),
        };
        let is_ahead = |tenant: &Tenant| {
            from.is_none_or(|from| {
                *tenant > from.tenant || *tenant == from.tenant && from.id != ObjectId::MAX
            }) && until.is_none_or(|until| *tenant <= until.tenant)
        };
        let (mut asleep, mut last) = (Vec::new(), None);
        for (tenant, must_wake) in self.tenants.iter().filter(|(tenant, _)| is_ahead(tenant)) {
            if *must_wake && asleep.len() == WINDOW {
                return (asleep, last);
            }
            if *must_wake {
                asleep.push(tenant.to_string());
            }
            last = Some(Key {
                tenant: tenant.clone(),
                id: ObjectId::MAX,
            });
        }
        (asleep, None)
    }

    /// Has the tenants at the cursor awake, and says up to where they are.
    async fn open(&self, lane: &Lane, cursor: &Cursor) -> Result<Option<Key>> {
        let mut windows = self.windows.lock().await;
        if let Some(window) = windows.get_mut(&lane.id) {
            let is_inside = match (cursor, &window.end) {
                (Cursor::After(key), Some(end)) => key < end,
                _ => true,
            };
            if is_inside {
                if !window.is_awake {
                    self.wake(&window.tenants).await?;
                    window.is_awake = true;
                }
                return Ok(window.end.clone());
            }
            self.close(window).await?;
            windows.remove(&lane.id);
        }
        let (tenants, end) = self.window_at(lane, cursor);
        let owed = Obligation::WokenTenants {
            url: self.client.address().to_owned(),
            collection: self.name.to_string(),
            tenants: tenants.clone(),
        };
        if !tenants.is_empty() {
            self.folder.save_obligation(&owed)?;
        }
        self.wake(&tenants).await?;
        let window = Window {
            owed,
            tenants,
            is_awake: true,
            end: end.clone(),
        };
        windows.insert(lane.id, window);
        Ok(end)
    }

    async fn wake(&self, tenants: &[String]) -> Result<()> {
        let active = tenants.iter().map(|name| TenantState {
            name: name.clone(),
            status: TenantStatus::Hot,
        });
        let active: Vec<TenantState> = active.collect();
        self.client.set_tenants(&self.name, &active).await
    }

    /// Counts what the window held, and puts its tenants back.
    async fn close(&self, window: &mut Window) -> Result<()> {
        if window.is_awake {
            self.count(&window.tenants).await?;
        }
        window.is_awake = false;
        owed::put_to_sleep(&self.client, &self.name, &window.tenants).await?;
        self.folder.discharge(&window.owed)
    }

    /// Counts what the tenants hold against what was read of them.
    async fn count(&self, tenants: &[String]) -> Result<()> {
        let tenants: Vec<Tenant> = tenants.iter().map(|name| Tenant::named(name)).collect();
        let counts = self.client.counts_of(&self.name, &tenants).await?;
        let counts = tenants.iter().zip(counts);
        let uncounted = counts.filter(|(tenant, count)| *count != self.read_of(tenant));
        let uncounted = uncounted.count() as u64;
        if uncounted > 0 {
            self.folder.update_state(|state| {
                let before = state
                    .extra
                    .get(UNCOUNTED)
                    .and_then(|count| count.parse().ok());
                let count = before.unwrap_or(0) + uncounted;
                state.extra.insert(UNCOUNTED.into(), count.to_string());
            })?;
        }
        Ok(())
    }

    async fn close_lane(&self, lane: LaneId) -> Result<()> {
        let mut windows = self.windows.lock().await;
        if let Some(window) = windows.get_mut(&lane) {
            self.close(window).await?;
            windows.remove(&lane);
        }
        Ok(())
    }
}

/// The lane as far as its tenants are awake.
fn up_to(lane: &Lane, end: &Option<Key>) -> Lane {
    let mut part = lane.clone();
    if let (Bounds::Keys { until, .. }, Some(end)) = (&mut part.bounds, end)
        && until.as_ref().is_none_or(|until| end < until)
    {
        *until = Some(end.clone());
    }
    part
}

impl Source for Waking {
    const IS_BLIND: bool = CollectionSource::IS_BLIND;

    fn lanes(&self) -> Vec<Bounds> {
        self.source.lanes()
    }

    async fn fetch(&self, lane: &Lane, cursor: &Cursor, budget: Budget) -> Result<Page> {
        if !self.has_sleepers() {
            return self.source.fetch(lane, cursor, budget).await;
        }
        let end = self.open(lane, cursor).await?;
        let part = up_to(lane, &end);
        let mut page = self.source.fetch(&part, cursor, budget).await?;
        page.keys.iter().for_each(|key| self.add(&key.tenant, 1));
        if !page.is_last {
            return Ok(page);
        }
        // Counted and put back before the page is handed out: an error asks for the page again.
        let closed = self.close_lane(lane.id).await;
        if closed.is_err() {
            let back = |key: &Key| self.take_back(&key.tenant);
            page.keys.iter().for_each(back);
            closed?;
        }
        if part.bounds != lane.bounds {
            page.is_last = false;
            page.end = end.map_or(page.end, Cursor::After);
        }
        Ok(page)
    }

    async fn again(&self, lane: &Lane, intent: &Intent, keys: &[Key]) -> Result<Page> {
        self.source.again(lane, intent, keys).await
    }

    async fn border(&self, lane: &Lane, page: &Page) -> Result<Option<Cursor>> {
        match self.has_sleepers() {
            true => Ok(None),
            false => self.source.border(lane, page).await,
        }
    }

    async fn pass_over(&self, lane: &Lane, cursor: &Cursor, reason: &str) -> Result<Option<Page>> {
        if !self.has_sleepers() {
            return self.source.pass_over(lane, cursor, reason).await;
        }
        let end = self.open(lane, cursor).await?;
        let part = up_to(lane, &end);
        let passed = self.source.pass_over(&part, cursor, reason).await?;
        Ok(passed.map(|mut page| {
            let unreadable = page.unreadable.iter();
            unreadable.for_each(|reject| self.add(&reject.key.tenant, 1));
            // Where nothing is left in the window, the next one follows.
            page.is_last = page.is_last && part.bounds == lane.bounds;
            page
        }))
    }
}
