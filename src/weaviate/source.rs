//! A collection as the end that is read.
//!
//! A lane is a range of keys; a page may span tenants. The end of a tenant is proven by a page without objects: a short one
//! proves nothing, unless it holds as many objects as were counted before.

mod border;
mod unreadable;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::Client;
use super::reading::{ReadPage, ReadPages, ReadPlan, Wish};
use super::trail::Trail;
use crate::error::{Error, Kind, Reaction, Result};
use crate::job::{Bounds, Cursor, Intent, Lane, LaneId};
use crate::model::{CollectionName, Key, ObjectId, Tenant};
use crate::pipe::{Budget, Page, Source};

/// The objects of one collection.
pub struct CollectionSource {
    client: Arc<Client>,
    name: CollectionName,
    /// Sorted; one [`Tenant::NONE`] for a collection without tenants.
    tenants: Vec<Tenant>,
    plan: ReadPlan,
    /// How many objects tenants held a moment ago, as far as they were counted.
    counted: HashMap<Tenant, u64>,
    /// The most objects that the server gives at once, as far as is known.
    cap: AtomicU32,
    trails: Mutex<HashMap<LaneId, Trail>>,
}

impl CollectionSource {
    /// Reads `tenants` of the collection, all of them active; [`Tenant::NONE`] alone if it has none.
    pub fn new(
        client: Arc<Client>,
        name: CollectionName,
        mut tenants: Vec<Tenant>,
        plan: ReadPlan,
    ) -> Self {
        tenants.sort();
        CollectionSource {
            client,
            name,
            tenants,
            plan,
            counted: HashMap::new(),
            cap: AtomicU32::new(u32::MAX),
            trails: Mutex::default(),
        }
    }

    /// With how many objects some tenants held a moment ago: a page of so many needs no other one that proves their end,
    /// which for small tenants is every second request.
    pub fn counted(mut self, counts: impl IntoIterator<Item = (Tenant, u64)>) -> Self {
        let of_tenants = counts.into_iter();
        let of_tenants = of_tenants.filter(|(tenant, _)| *tenant != Tenant::NONE);
        self.counted = of_tenants.collect();
        self
    }

    /// So many keys may be listed at once, if nothing comes with them: a large page is cheap then. The server reads the objects
    /// all the same, and holds them together.
    pub(super) fn keys_at_once(&self) -> Option<u32> {
        const MOST: usize = 10_000;
        const LEAST: usize = 100;
        const OBJECT_BYTES: usize = 64 << 20;
        let is_cheap = self.plan == ReadPlan::KeysOverGrpc && self.client.has_grpc();
        let fitting = OBJECT_BYTES / self.client.usual_object().max(1);
        is_cheap.then_some(fitting.clamp(LEAST, MOST) as u32)
    }

    /// True if a page from the beginning of a tenant shows that it has no more: it is short, and as many as were counted.
    fn is_whole(&self, tenant: &Tenant, asked: u32, given: usize) -> bool {
        let asked = asked.min(self.cap.load(Ordering::Relaxed));
        given < asked as usize && self.counted.get(tenant) == Some(&(given as u64))
    }

    async fn list(
        &self,
        tenant: &Tenant,
        after: Option<ObjectId>,
        limit: u32,
        plan: ReadPlan,
    ) -> Result<ReadPage> {
        let mut trail = Trail::default();
        self.list_in_turn(tenant, after, limit, (plan, &mut trail))
            .await
    }

    async fn list_in_turn(
        &self,
        tenant: &Tenant,
        after: Option<ObjectId>,
        limit: u32,
        (plan, trail): (ReadPlan, &mut Trail),
    ) -> Result<ReadPage> {
        loop {
            let wish = Wish {
                collection: &self.name,
                tenant,
                after,
                limit: limit.min(self.cap.load(Ordering::Relaxed)),
            };
            match self.client.read_page(plan, &wish, trail).await {
                // The server's cap is not published: half as many, until it is met. A smaller page ends nothing.
                Err(error)
                    if error.reaction() == Reaction::TooLarge
                        && is_capped(&error)
                        && wish.limit > 1 =>
                {
                    self.cap.fetch_min(wish.limit / 2, Ordering::Relaxed);
                }
                // What one protocol cannot give alone, the other may.
                Err(error) if is_unreadable(&error) && wish.limit == 1 && plan.has_vectors() => {
                    let other = self.client.read_page(ReadPlan::Rest, &wish, trail).await;
                    return other.map_err(|_| error);
                }
                page => return page,
            }
        }
    }

    fn trails(&self) -> MutexGuard<'_, HashMap<LaneId, Trail>> {
        self.trails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenants that a range touches, from the one to go on with: one that was read to the last id there can be is
    /// not asked again, and need not be active any more.
    fn tenants_from<'a>(
        &'a self,
        from: Option<&'a Key>,
        until: Option<&'a Key>,
    ) -> impl Iterator<Item = &'a Tenant> {
        self.tenants
            .iter()
            .skip_while(move |tenant| {
                from.is_some_and(|from| {
                    **tenant < from.tenant || **tenant == from.tenant && from.id == ObjectId::MAX
                })
            })
            .take_while(move |tenant| until.is_none_or(|until| **tenant <= until.tenant))
    }

    async fn page_after(
        &self,
        from: Option<&Key>,
        until: Option<&Key>,
        budget: Budget,
        trail: &mut Trail,
    ) -> Result<Page> {
        let mut pages = Vec::new();
        let mut position = from.cloned();
        let (mut objects, mut bytes) = (0, 0);
        let mut tenants = self.tenants_from(from, until).peekable();
        while let Some(tenant) = tenants.next() {
            loop {
                let after = position
                    .as_ref()
                    .filter(|key| key.tenant == *tenant)
                    .map(|key| key.id);
                let end = until
                    .filter(|until| until.tenant == *tenant)
                    .map(|until| until.id);
                let limit = trail.limit(tenant, after, end, budget.objects - objects);
                if budget.goes_on {
                    trail.go_on(end, budget.objects.min(self.cap.load(Ordering::Relaxed)));
                }
                let listed = self
                    .list_in_turn(tenant, after, limit, (self.plan, &mut *trail))
                    .await;
                let mut page = match listed {
                    Ok(page) => page,
                    // What was read stays read; the next page meets the error again, if it lasts.
                    Err(error) if error.is_transient() && position.as_ref() != from => {
                        return Ok(collect(pages, position, bytes, false));
                    }
                    Err(error) => return Err(error),
                };
                let read = page.given();
                check_order(&page, position.as_ref())?;
                let within = page
                    .keys()
                    .take_while(|key| until.is_none_or(|until| *key <= until))
                    .count();
                let is_whole = after.is_none() && self.is_whole(tenant, limit, read);
                let is_tenant_read = read == 0 || within < page.len() || is_whole;
                // What lies beyond the range is no part of the objects' size.
                let size = page.bytes() / page.len().max(1) * within;
                page.truncate(within);
                if let Some(last) = page.keys().last() {
                    position = Some(last.clone());
                }
                if page.len() > 0 {
                    objects += page.len() as u32;
                    bytes += size;
                    pages.push(page);
                }
                if is_tenant_read {
                    position = Some(end_of(tenant, until));
                    break;
                }
                let is_full = objects >= budget.objects || bytes >= budget.bytes;
                if is_full || self.tenants.len() == 1 {
                    // Alone there is nothing to join it with: the next page will prove the end.
                    return Ok(collect(pages, position, bytes, false));
                }
            }
            let is_full = objects >= budget.objects || bytes >= budget.bytes;
            if is_full && tenants.peek().is_some() {
                return Ok(collect(pages, position, bytes, false));
            }
        }
        Ok(collect(pages, position, bytes, true))
    }
}

/// The object may be to blame: it makes its page fail, or is larger than a message.
fn is_unreadable(error: &Error) -> bool {
    matches!(error.reaction(), Reaction::Suspect | Reaction::TooLarge)
}

fn is_capped(error: &Error) -> bool {
    error.message().contains("query maximum results exceeded")
}

/// Where a tenant that was read to its end is left, within the range.
fn end_of(tenant: &Tenant, until: Option<&Key>) -> Key {
    let end = Key {
        tenant: tenant.clone(),
        id: ObjectId::MAX,
    };
    match until {
        Some(until) if *until < end => until.clone(),
        _ => end,
    }
}

/// The cursor only goes forward; a reply that does not would be read for ever.
fn check_order(page: &ReadPage, after: Option<&Key>) -> Result<()> {
    let mut last = after;
    for key in page.keys() {
        if last.is_some_and(|last| key <= last) {
            return Err(Error::new(
                Kind::SourceRefused,
                format!("the server lists object {key} out of order"),
            ));
        }
        last = Some(key);
    }
    Ok(())
}

fn collect(pages: Vec<ReadPage>, position: Option<Key>, bytes: usize, is_last: bool) -> Page {
    Page {
        keys: pages.iter().flat_map(ReadPage::keys).cloned().collect(),
        objects: Arc::new(ReadPages(pages)),
        unreadable: Vec::new(),
        end: position.map_or(Cursor::Start, Cursor::After),
        bytes,
        is_last,
    }
}

fn range<'a>(lane: &'a Lane, cursor: &'a Cursor) -> Result<(Option<&'a Key>, Option<&'a Key>)> {
    match (&lane.bounds, cursor) {
        (Bounds::Keys { until, .. }, Cursor::After(key)) => Ok((Some(key), until.as_ref())),
        (Bounds::Keys { after, until }, Cursor::Start) => Ok((after.as_ref(), until.as_ref())),
        _ => Err(Error::new(
            Kind::JournalDamaged,
            "the journal holds a lane of frames for a live collection",
        )),
    }
}

impl Source for CollectionSource {
    const IS_BLIND: bool = true;

    fn lanes(&self) -> Vec<Bounds> {
        vec![Bounds::ALL_KEYS]
    }

    async fn fetch(&self, lane: &Lane, cursor: &Cursor, budget: Budget) -> Result<Page> {
        let (from, until) = range(lane, cursor)?;
        let mut trail = self.trails().remove(&lane.id).unwrap_or_default();
        let objects = budget.objects.max(1);
        let budget = Budget { objects, ..budget };
        let page = self.page_after(from, until, budget, &mut trail).await;
        if let Ok(page) = &page {
            trail.saw(page);
        }
        self.trails().insert(lane.id, trail);
        page
    }

    async fn again(&self, lane: &Lane, intent: &Intent, _: &[Key]) -> Result<Page> {
        let Cursor::After(end) = &intent.end else {
            return Err(Error::new(
                Kind::JournalDamaged,
                "the journal intends a batch without an end",
            ));
        };
        let (from, _) = range(lane, &lane.cursor)?;
        self.page_after(
            from,
            Some(end),
            Budget::of(u32::MAX, usize::MAX),
            &mut Trail::default(),
        )
        .await
    }

    async fn border(&self, lane: &Lane, page: &Page) -> Result<Option<Cursor>> {
        self.border_beyond(lane, page).await
    }

    async fn pass_over(&self, lane: &Lane, cursor: &Cursor, reason: &str) -> Result<Option<Page>> {
        self.unreadable_after(lane, cursor, reason).await
    }
}

#[cfg(test)]
mod tests;
