//! A collection as the end that is read.
//!
//! A lane is a range of keys; a page may span tenants. The end of a tenant is proven by a page without objects: a short one
//! proves nothing, unless it holds as many objects as were counted before.

mod border;
mod unreadable;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::client::Client;
use super::reading::{ReadPage, ReadPages, ReadPlan, Wish};
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
    /// How far apart the ids of each lane's last page were, on average.
    spacings: Mutex<HashMap<LaneId, u128>>,
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
            spacings: Mutex::default(),
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
        loop {
            let wish = Wish {
                collection: &self.name,
                tenant,
                after,
                limit: limit.min(self.cap.load(Ordering::Relaxed)),
            };
            match self.client.read_page(plan, &wish).await {
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
                    let other = self.client.read_page(ReadPlan::Rest, &wish).await;
                    return other.map_err(|_| error);
                }
                page => return page,
            }
        }
    }

    fn spacings(&self) -> std::sync::MutexGuard<'_, HashMap<LaneId, u128>> {
        self.spacings.lock().unwrap_or_else(PoisonError::into_inner)
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
        spacing: Option<u128>,
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
                let limit = estimate(after, end, spacing).min(budget.objects - objects);
                let listed = self.list(tenant, after, limit, self.plan).await;
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

/// How many objects may lie in a range whose ids are so far apart, with some more, lest another page be needed for a few. What
/// is read beyond the end of a lane is read in vain.
fn estimate(after: Option<ObjectId>, until: Option<ObjectId>, spacing: Option<u128>) -> u32 {
    let (Some(after), Some(until), Some(spacing)) = (after, until, spacing) else {
        return u32::MAX;
    };
    let left = until.to_u128().saturating_sub(after.to_u128()) / spacing.max(1);
    u32::try_from(left.saturating_add(left / 32).saturating_add(16)).unwrap_or(u32::MAX)
}

/// The average distance of the ids of a page, if they are all of one tenant.
fn spacing(page: &Page) -> Option<u128> {
    let (first, last) = page.keys.first().zip(page.keys.last())?;
    let gaps = (page.keys.len() as u128)
        .checked_sub(1)
        .filter(|gaps| *gaps > 0)?;
    (first.tenant == last.tenant).then(|| (last.id.to_u128() - first.id.to_u128()) / gaps)
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
        let known = self.spacings().get(&lane.id).copied();
        let objects = budget.objects.max(1);
        let budget = Budget { objects, ..budget };
        let page = self.page_after(from, until, budget, known).await?;
        if let Some(spacing) = spacing(&page) {
            self.spacings().insert(lane.id, spacing);
        }
        Ok(page)
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
            Budget {
                objects: u32::MAX,
                bytes: usize::MAX,
            },
            None,
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
mod tests {
    use super::*;
    use crate::sandbox::{Sandbox, Settings};
    use crate::weaviate::{IdSource, Role};

    async fn sources() -> (Sandbox, Arc<Client>, impl Fn(ReadPlan) -> CollectionSource) {
        let sandbox = Sandbox::start(Settings::default()).await.unwrap();
        sandbox.store().fill("Article", 40, 8, 1);
        let client = Client::new(&sandbox.connection(), Role::Source).unwrap();
        let name = CollectionName::parse("Article").unwrap();
        client.reach_grpc(None).await.unwrap();
        client.confirm_grpc(&name, &Tenant::NONE).await.unwrap();
        let client = Arc::new(client);
        let shared = client.clone();
        let source = move |plan| {
            CollectionSource::new(shared.clone(), name.clone(), vec![Tenant::NONE], plan)
        };
        (sandbox, client, source)
    }

    #[tokio::test]
    async fn fewer_keys_of_larger_objects_are_listed_at_once() {
        let (_sandbox, client, source) = sources().await;
        let keys = source(ReadPlan::KeysOverGrpc);
        assert_eq!(keys.keys_at_once(), Some(10_000));
        client.saw_objects(3, 3 * (256 << 10));
        assert_eq!(keys.keys_at_once(), Some(256));
        client.saw_objects(1, 1 << 30);
        assert_eq!(keys.keys_at_once(), Some(100));
        assert_eq!(source(ReadPlan::Rest).keys_at_once(), None);
    }

    #[tokio::test]
    async fn a_page_of_ids_is_as_large_as_what_was_listed_for_them() {
        let (_sandbox, _client, source) = sources().await;
        let lane = Lane::alone(Bounds::ALL_KEYS);
        let budget = Budget {
            objects: 10,
            bytes: usize::MAX,
        };
        let size = async |plan| {
            let page = IdSource::new(source(plan))
                .fetch(&lane, &lane.cursor, budget)
                .await;
            let page = page.unwrap();
            assert_eq!(page.keys.len(), 10);
            page.bytes
        };
        let keys = size(ReadPlan::KeysOverGrpc).await;
        let objects = size(ReadPlan::PropertiesOverRest).await;
        assert!(keys <= 10 * 64 && objects > 10 * 100, "{keys} {objects}");
    }

    #[test]
    fn the_last_page_of_a_lane_is_asked_for_as_large_as_it_is_about() {
        let id = |number: u128| Some(ObjectId::from_u128(number));
        assert_eq!(estimate(id(1_000), id(101_000), Some(100)), 1_000 + 31 + 16);
        assert_eq!(estimate(id(5), id(5), Some(100)), 16);
        for unknown in [
            estimate(None, id(9), Some(1)),
            estimate(id(1), None, Some(1)),
            estimate(id(1), id(9), None),
            estimate(id(0), Some(ObjectId::MAX), Some(0)),
        ] {
            assert_eq!(unknown, u32::MAX);
        }
    }
}
