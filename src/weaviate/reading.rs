//! How a collection is read: the plan that loses nothing, and the page that it gives.
//!
//! gRPC is faster by far where vectors are read, but it does not carry every type exactly: raw beacons, blobs that nobody
//! names, nulls within objects, objects that look like coordinates. Where a collection has such a property, properties come
//! from REST and vectors from gRPC, joined by id and time of the last update. An object whose two halves do not fit was written
//! in between: it is read again alone, over REST.

use std::fmt;

use super::api::Listing;
use super::client::Client;
use super::found::{FoundPage, Parts, Scratch, Search};
use super::grpc::{Grpc, Method};
use super::listing::ListedPage;
use super::trail::{Follow, Trail};
use crate::error::Result;
use crate::model::{CollectionName, Definition, Key, ObjectId, PropertyType, Tenant};
use crate::pipe::{Visit, Walk};

/// What is wanted of each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Properties and vectors.
    Everything,
    /// Properties alone.
    Properties,
    /// Its id and its times.
    Keys,
}

/// Which protocol gives what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadPlan {
    /// Everything over gRPC.
    Grpc,
    /// Ids, properties and order over REST, vectors over gRPC.
    Joined,
    /// Everything over REST.
    Rest,
    /// Properties over REST, no vectors.
    PropertiesOverRest,
    /// Ids and times over gRPC.
    KeysOverGrpc,
}

impl ReadPlan {
    /// The fastest way that is exact for this definition, with what the client can reach.
    pub fn choose(client: &Client, definition: &Definition, wanted: Wanted) -> Result<Self> {
        // Expired objects are hidden over gRPC while they are still listed over REST.
        let has_ttl = definition.has_ttl()?;
        Ok(match wanted {
            Wanted::Properties => ReadPlan::PropertiesOverRest,
            Wanted::Keys if client.has_grpc() && !has_ttl => ReadPlan::KeysOverGrpc,
            Wanted::Keys => ReadPlan::PropertiesOverRest,
            Wanted::Everything if !client.has_grpc() => ReadPlan::Rest,
            Wanted::Everything if has_ttl || !definition.properties()?.iter().all(is_exact) => {
                ReadPlan::Joined
            }
            Wanted::Everything => ReadPlan::Grpc,
        })
    }

    /// True if vectors are read.
    pub(super) fn has_vectors(self) -> bool {
        matches!(self, ReadPlan::Grpc | ReadPlan::Joined | ReadPlan::Rest)
    }
}

impl fmt::Display for ReadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReadPlan::Grpc | ReadPlan::KeysOverGrpc => "gRPC",
            ReadPlan::Joined => "REST for properties, gRPC for vectors",
            ReadPlan::Rest | ReadPlan::PropertiesOverRest => "REST",
        })
    }
}

/// True if gRPC tells every value of this type apart.
fn is_exact(property: &PropertyType) -> bool {
    const EXACT: [&str; 7] = ["text", "string", "int", "number", "boolean", "date", "uuid"];
    let element = property.data_type.trim_end_matches("[]");
    !property.is_reference && EXACT.contains(&element)
}

/// A request for objects of one tenant.
pub(super) struct Wish<'a> {
    pub collection: &'a CollectionName,
    pub tenant: &'a Tenant,
    /// Exclusive; `None` starts at the very beginning.
    pub after: Option<ObjectId>,
    pub limit: u32,
}

impl Wish<'_> {
    fn listing(&self, with_vectors: bool) -> Listing<'_> {
        Listing {
            collection: self.collection,
            tenant: self.tenant,
            after: self.after,
            limit: self.limit,
            with_vectors,
        }
    }

    fn search(&self, parts: Parts) -> Search<'_> {
        Search {
            collection: self.collection,
            tenant: self.tenant,
            after: self.after,
            limit: self.limit,
            parts,
        }
    }
}

impl Client {
    /// Reads a page by the plan.
    pub(super) async fn read_page(
        &self,
        plan: ReadPlan,
        wish: &Wish<'_>,
        trail: &mut Trail,
    ) -> Result<ReadPage> {
        let page = match (plan, self.grpc()) {
            (ReadPlan::Grpc, Some(grpc)) => {
                let found = self.find_in_turn(grpc, wish, Parts::All, trail);
                ReadPage::of_found(found.await?)
            }
            (ReadPlan::KeysOverGrpc, Some(grpc)) => {
                let found = self.find_in_turn(grpc, wish, Parts::Keys, trail);
                ReadPage::of_found(found.await?)
            }
            (ReadPlan::Joined, Some(grpc)) => {
                let (listed, found) = tokio::join!(
                    self.list_page(wish, false),
                    self.find(grpc, wish, Parts::Vectors)
                );
                ReadPage::joined(listed?, found?)
            }
            (ReadPlan::PropertiesOverRest, _) => {
                ReadPage::of_listed(self.list_page(wish, false).await?)
            }
            (ReadPlan::KeysOverGrpc, None) => {
                ReadPage::of_listed(self.list_page(wish, false).await?)
            }
            _ => ReadPage::of_listed(self.list_page(wish, true).await?),
        };
        self.mend(page, wish).await
    }

    pub(super) async fn find(
        &self,
        grpc: &Grpc,
        wish: &Wish<'_>,
        parts: Parts,
    ) -> Result<FoundPage> {
        let reply = self
            .call(grpc, Method::Search, wish.search(parts).message())
            .await?;
        FoundPage::parse(reply, wish.tenant)
    }

    /// Takes the page that was asked for already, if it is this one, and asks for the one behind it.
    async fn find_in_turn(
        &self,
        grpc: &Grpc,
        wish: &Wish<'_>,
        parts: Parts,
        trail: &mut Trail,
    ) -> Result<FoundPage> {
        let search = wish.search(parts);
        let (before, follow) = trail.step(&search);
        let next = follow.clone().map(Follow::next);
        let turn = self.call_in_turn(grpc, search.message(), (before, next));
        let (reply, behind) = turn.await?;
        let page = FoundPage::parse(reply, wish.tenant)?;
        trail.keep(follow, &page, behind);
        Ok(page)
    }

    pub(super) async fn list_page(
        &self,
        wish: &Wish<'_>,
        with_vectors: bool,
    ) -> Result<ListedPage> {
        let body = self.list(&wish.listing(with_vectors)).await?;
        let page = ListedPage::parse(body, wish.tenant)?;
        self.saw_objects(page.len(), page.bytes());
        Ok(page)
    }

    /// Reads again alone what a page could not tell; what is gone by now is left out.
    async fn mend(&self, mut page: ReadPage, wish: &Wish<'_>) -> Result<ReadPage> {
        for index in 0..page.objects.len() {
            if !matches!(page.objects[index].1, Place::Unknown) {
                continue;
            }
            let key = page.objects[index].0.clone();
            page.objects[index].1 = match self.object(wish.collection, &key).await? {
                Some(body) => Place::Alone(Box::new(ListedPage::of_one(body, wish.tenant)?)),
                None => Place::Gone,
            };
        }
        page.objects
            .retain(|(_, place)| !matches!(place, Place::Gone));
        Ok(page)
    }
}

/// Objects of one tenant in the order of their ids, wherever they came from.
pub(super) struct ReadPage {
    objects: Vec<(Key, Place)>,
    listed: Option<ListedPage>,
    found: Option<FoundPage>,
    /// The server gave so many, before anything was left out.
    given: usize,
}

/// Where the parts of an object are.
enum Place {
    Listed(usize),
    Found(usize),
    /// Properties from REST, vectors from gRPC.
    Both {
        listed: usize,
        found: usize,
    },
    Alone(Box<ListedPage>),
    /// To be read again alone.
    Unknown,
    Gone,
}

impl ReadPage {
    fn of_listed(listed: ListedPage) -> Self {
        ReadPage {
            objects: listed
                .keys()
                .enumerate()
                .map(|(index, key)| (key.clone(), Place::Listed(index)))
                .collect(),
            given: listed.len(),
            listed: Some(listed),
            found: None,
        }
    }

    fn of_found(found: FoundPage) -> Self {
        let place = |index| match found.is_doubtful(index) {
            true => Place::Unknown,
            false => Place::Found(index),
        };
        ReadPage {
            objects: found
                .keys()
                .enumerate()
                .map(|(index, key)| (key.clone(), place(index)))
                .collect(),
            given: found.len(),
            listed: None,
            found: Some(found),
        }
    }

    /// The objects that REST lists, each with the vectors that belong to this very version of it.
    fn joined(listed: ListedPage, found: FoundPage) -> Self {
        let mut partners = (0..found.len()).peekable();
        let mut objects = Vec::with_capacity(listed.len());
        for (index, key) in listed.keys().enumerate() {
            while partners
                .next_if(|partner| found.key(*partner) < key)
                .is_some()
            {}
            let is_same = |partner: &usize| {
                found.key(*partner) == key
                    && found.times(*partner).updated == listed.times(index).updated
            };
            let place = match partners.next_if(is_same) {
                Some(partner) => Place::Both {
                    listed: index,
                    found: partner,
                },
                None => Place::Unknown,
            };
            objects.push((key.clone(), place));
        }
        ReadPage {
            objects,
            given: listed.len(),
            listed: Some(listed),
            found: Some(found),
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.iter().map(|(key, _)| key)
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// What the server gave; more than [`ReadPage::len`] if some were deleted meanwhile.
    pub fn given(&self) -> usize {
        self.given
    }

    pub fn bytes(&self) -> usize {
        let alone = |place: &Place| match place {
            Place::Alone(page) => page.bytes(),
            _ => 0,
        };
        self.listed.as_ref().map_or(0, ListedPage::bytes)
            + self.found.as_ref().map_or(0, FoundPage::bytes)
            + self
                .objects
                .iter()
                .map(|(_, place)| size_of::<(Key, Place)>() + alone(place))
                .sum::<usize>()
    }

    /// Keeps the first `count` objects.
    pub fn truncate(&mut self, count: usize) {
        self.objects.truncate(count);
    }

    fn walk_object<'a>(
        &'a self,
        (key, place): &'a (Key, Place),
        scratch: &mut Scratch<'a>,
        visit: &mut dyn Visit,
    ) -> Result<()> {
        match (place, &self.listed, &self.found) {
            (Place::Alone(page), ..) => page.walk(visit),
            (Place::Listed(index), Some(listed), _) => listed.walk_one(*index, visit),
            (Place::Found(index), _, Some(found)) => {
                visit.object(key, found.times(*index))?;
                found.walk_properties(*index, scratch, visit)?;
                found.walk_vectors(*index, visit)?;
                visit.end()
            }
            (
                Place::Both {
                    listed: index,
                    found: partner,
                },
                Some(listed),
                Some(found),
            ) => {
                visit.object(key, listed.times(*index))?;
                listed.walk_properties(*index, visit)?;
                found.walk_vectors(*partner, visit)?;
                visit.end()
            }
            _ => Ok(()),
        }
    }
}

impl Walk for ReadPage {
    fn walk(&self, visit: &mut dyn Visit) -> Result<()> {
        let mut scratch = Scratch::default();
        self.objects
            .iter()
            .try_for_each(|object| self.walk_object(object, &mut scratch, visit))
    }
}

/// Several replies one after another: a page may span tenants.
pub(super) struct ReadPages(pub Vec<ReadPage>);

impl Walk for ReadPages {
    fn walk(&self, visit: &mut dyn Visit) -> Result<()> {
        self.0.iter().try_for_each(|page| page.walk(visit))
    }
}

#[cfg(test)]
mod tests;
