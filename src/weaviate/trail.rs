//! What the reading of a lane remembers from page to page: how far apart its ids are, and the page that was asked for right
//! behind the last one, before anybody had looked at that.

use bytes::Bytes;

use super::found::{Extent, FoundPage, Parts, Search};
use super::grpc::{Next, Pending};
use crate::model::{CollectionName, ObjectId, Tenant};
use crate::pipe::Page;

/// Where a lane's reading is.
#[derive(Default)]
pub(super) struct Trail {
    /// How far apart the ids of the last page were, on average.
    spacing: Option<u128>,
    ahead: Option<Ahead>,
    /// Whether, and up to where, the page behind the next one may be asked for.
    onward: Option<Onward>,
}

/// A page that was asked for before it was wanted.
struct Ahead {
    tenant: Tenant,
    place: Place,
    reply: Pending,
}

/// What distinguishes a page from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    after: ObjectId,
    limit: u32,
}

#[derive(Clone, Copy)]
struct Onward {
    until: Option<ObjectId>,
    most: u32,
}

impl Trail {
    /// How many objects to ask for after an id, at most so many: as many as were asked for already, or about as many as are
    /// left in the range.
    pub fn limit(
        &self,
        tenant: &Tenant,
        after: Option<ObjectId>,
        until: Option<ObjectId>,
        most: u32,
    ) -> u32 {
        let ahead = self.ahead.as_ref();
        match ahead.filter(|ahead| ahead.is_after(tenant, after)) {
            Some(ahead) => ahead.place.limit,
            None => estimate(after, until, self.spacing).min(most),
        }
    }

    /// Behind the next page, if it is full, another one of `most` objects will be wanted, up to `until`.
    pub fn go_on(&mut self, until: Option<ObjectId>, most: u32) {
        self.onward = Some(Onward { until, most });
    }

    /// The page of this search, if it was asked for already, and how to ask for the one behind it.
    pub fn step(&mut self, search: &Search<'_>) -> (Option<Pending>, Option<Follow>) {
        let ahead = self.ahead.take();
        let ahead = ahead.filter(|ahead| ahead.is_after(search.tenant, search.after));
        let follow = self.onward.take().map(|onward| Follow {
            collection: search.collection.clone(),
            tenant: search.tenant.clone(),
            parts: search.parts,
            asked: ahead
                .as_ref()
                .map_or(search.limit, |ahead| ahead.place.limit),
            onward,
        });
        (ahead.map(|ahead| ahead.reply), follow)
    }

    /// What was asked for behind a page.
    pub fn keep(&mut self, follow: Option<Follow>, page: &FoundPage, reply: Option<Pending>) {
        let place = follow
            .as_ref()
            .zip(page.extent())
            .and_then(|(follow, extent)| follow.place(&extent));
        self.ahead = follow.zip(place.zip(reply)).map(|(follow, asked)| Ahead {
            tenant: follow.tenant,
            place: asked.0,
            reply: asked.1,
        });
    }

    /// Learns from a page, if it is all of one tenant.
    pub fn saw(&mut self, page: &Page) {
        let ends = page.keys.first().zip(page.keys.last());
        let ends = ends.filter(|(first, last)| first.tenant == last.tenant);
        let spacing = ends.and_then(|(first, last)| {
            let extent = Extent {
                first: first.id,
                last: last.id,
                count: page.keys.len(),
            };
            spacing(&extent)
        });
        self.spacing = spacing.or(self.spacing);
    }
}

impl Ahead {
    fn is_after(&self, tenant: &Tenant, after: Option<ObjectId>) -> bool {
        self.tenant == *tenant && after == Some(self.place.after)
    }
}

/// How to ask for the page behind another one.
#[derive(Clone)]
pub(super) struct Follow {
    collection: CollectionName,
    tenant: Tenant,
    parts: Parts,
    /// So many objects were asked for in the page before.
    asked: u32,
    onward: Onward,
}

impl Follow {
    /// Asks as soon as the reply has come.
    pub fn next(self) -> Next {
        Box::new(move |reply| {
            let place = self.place(&FoundPage::extent_of(reply)?)?;
            Some(self.message(place))
        })
    }

    /// None behind a page that is not full, which may be the last, and none beyond the end of the range.
    fn place(&self, extent: &Extent) -> Option<Place> {
        let Onward { until, most } = self.onward;
        let is_full = extent.count >= self.asked as usize;
        if !is_full || until.is_some_and(|until| extent.last >= until) {
            return None;
        }
        let after = extent.last;
        let limit = estimate(Some(after), until, spacing(extent)).min(most);
        Some(Place { after, limit })
    }

    fn message(&self, place: Place) -> Bytes {
        let search = Search {
            collection: &self.collection,
            tenant: &self.tenant,
            after: Some(place.after),
            limit: place.limit,
            parts: self.parts,
        };
        search.message()
    }
}

/// The average distance of the ids of a page.
fn spacing(extent: &Extent) -> Option<u128> {
    let gaps = (extent.count as u128).checked_sub(1)?;
    let span = extent.last.to_u128().checked_sub(extent.first.to_u128())?;
    span.checked_div(gaps)
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_page_behind_begins_after_the_last_id_and_ends_where_the_range_does() {
        let follow = |until: Option<u128>| Follow {
            collection: CollectionName::parse("Article").unwrap(),
            tenant: Tenant::NONE,
            parts: Parts::All,
            asked: 10,
            onward: Onward {
                until: until.map(ObjectId::from_u128),
                most: 500,
            },
        };
        let extent = |count| Extent {
            first: ObjectId::from_u128(100),
            last: ObjectId::from_u128(1_000),
            count,
        };
        let place = |until, count| {
            let place = follow(until).place(&extent(count));
            place.map(|place| (place.after.to_u128(), place.limit))
        };
        assert_eq!(place(None, 10), Some((1_000, 500)));
        // 100 apart from each other.
        assert_eq!(place(Some(5_000), 10), Some((1_000, 40 + 1 + 16)));
        assert_eq!(place(Some(u128::MAX), 10), Some((1_000, 500)));
        for (until, count) in [(None, 9), (None, 0), (Some(1_000), 10), (Some(999), 10)] {
            assert_eq!(place(until, count), None, "{until:?} {count}");
        }
    }
}
