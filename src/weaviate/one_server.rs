//! That gRPC leads to the same server as REST: an address that is a default, or a port-forward, may lead to another one.
//!
//! Reading shows it only where the two hold other objects. Whoever writes sees it in the effect of the first write.

use reqwest::StatusCode;
use serde::Deserialize;

use super::client::Client;
use super::found::{FoundPage, Parts};
use super::grpc::Grpc;
use super::listing::ListedPage;
use super::reading::Wish;
use crate::error::{Error, Reaction, Result};
use crate::model::{CollectionName, Key, ObjectId, Tenant, Times};

/// How many objects are compared.
const SOME: u32 = 16;

/// What both have shown alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Objects,
    /// Neither has any.
    Nothing,
}

impl Client {
    /// Fails if gRPC shows other first objects than REST.
    pub(super) async fn compare_first(
        &self,
        grpc: &Grpc,
        collection: &CollectionName,
        tenant: &Tenant,
    ) -> Result<Shown> {
        let wish = first(collection, tenant);
        self.compare(grpc, &wish, may_be_one_server).await
    }

    /// As [`Client::compare_first`], at several places and all that is there: where nothing else is asked over REST, a copy
    /// that lacks a part of the objects must show here.
    pub(super) async fn compare_all_over(
        &self,
        grpc: &Grpc,
        collection: &CollectionName,
        tenant: &Tenant,
    ) -> Result<Shown> {
        const PLACES: u128 = 8;
        let mut shown = Shown::Nothing;
        for place in 0..PLACES {
            let after = u128::MAX / PLACES * place;
            let wish = Wish {
                after: after.checked_sub(1).map(ObjectId::from_u128),
                ..first(collection, tenant)
            };
            match self.compare(grpc, &wish, is_one_server).await {
                Ok(Shown::Objects) => shown = Shown::Objects,
                Ok(Shown::Nothing) => {}
                // An object there may be to blame, which cannot be read: the other places tell.
                Err(error) if error.reaction() == Reaction::Suspect => {}
                Err(error) => return Err(error),
            }
        }
        Ok(shown)
    }

    /// Others may write meanwhile: there are a few tries.
    async fn compare(
        &self,
        grpc: &Grpc,
        wish: &Wish<'_>,
        is_alike: fn(&[Timed], &[Timed]) -> bool,
    ) -> Result<Shown> {
        const TRIES: u32 = 3;
        let mut wish = Wish { ..*wish };
        let mut tries = 0;
        while tries < TRIES {
            let (listed, found) = tokio::join!(
                self.list_page(&wish, false),
                self.find(grpc, &wish, Parts::Keys)
            );
            match listed.and_then(|listed| Ok((listed, found?))) {
                // Even so few may be more than the server gives at once.
                Err(error) if error.reaction() == Reaction::TooLarge && wish.limit > 1 => {
                    wish.limit /= 2;
                    continue;
                }
                shown => {
                    let (listed, found) = shown?;
                    let (listed, found) = (times_listed(&listed), times_found(&found));
                    if is_alike(&listed, &found) {
                        return Ok(match listed.is_empty() {
                            true => Shown::Nothing,
                            false => Shown::Objects,
                        });
                    }
                }
            }
            tries += 1;
        }
        let seen = format!("it has other objects in `{}`", wish.collection);
        Err(self.leads_elsewhere(grpc, &seen))
    }

    /// gRPC is that of another server, by what was seen.
    pub(super) fn leads_elsewhere(&self, grpc: &Grpc, seen: &str) -> Error {
        let message = format!(
            "gRPC at {} leads to another server than {}: {seen}",
            grpc.address(),
            self.address()
        );
        Error::new(self.role().refused(), message)
            .with_hint("pass the address of gRPC with --grpc-url, or --transport rest")
    }

    /// The times of an object as REST tells them; `None` if it, or its tenant, is not there to be read.
    pub(super) async fn times(&self, name: &CollectionName, key: &Key) -> Result<Option<Times>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shown {
            creation_time_unix: i64,
            last_update_time_unix: i64,
        }
        let tenant = key
            .tenant
            .name()
            .map(|tenant| format!("?tenant={tenant}"))
            .unwrap_or_default();
        let reply = self
            .get(&format!("objects/{name}/{}{tenant}", key.id))
            .await?;
        if let StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY = reply.status {
            return Ok(None);
        }
        let shown: Shown = self.parse("show an object", &reply)?;
        Ok(Some(Times {
            created: shown.creation_time_unix,
            updated: shown.last_update_time_unix,
        }))
    }

    /// The times of an object as gRPC tells them; `None` if it is not there, or is expired.
    pub(super) async fn times_over_grpc(
        &self,
        grpc: &Grpc,
        name: &CollectionName,
        key: &Key,
    ) -> Result<Option<Times>> {
        let before = key.id.to_u128().checked_sub(1).map(ObjectId::from_u128);
        let wish = Wish {
            collection: name,
            tenant: &key.tenant,
            after: before,
            limit: 1,
        };
        let found = self.find(grpc, &wish, Parts::Keys).await?;
        let is_it = found.len() > 0 && found.key(0) == key;
        Ok(is_it.then(|| found.times(0)))
    }
}

type Timed = (Key, Times);

fn first<'a>(collection: &'a CollectionName, tenant: &'a Tenant) -> Wish<'a> {
    Wish {
        collection,
        tenant,
        after: None,
        limit: SOME,
    }
}

fn times_listed(page: &ListedPage) -> Vec<Timed> {
    let keys = page.keys().cloned().enumerate();
    keys.map(|(index, key)| (key, page.times(index))).collect()
}

fn times_found(page: &FoundPage) -> Vec<Timed> {
    let keys = page.keys().cloned().enumerate();
    keys.map(|(index, key)| (key, page.times(index))).collect()
}

/// Of the objects that both show most have the same times, or neither shows any. One that is shown by one alone says
/// nothing: it was written or deleted meanwhile, or is expired.
fn may_be_one_server(listed: &[Timed], found: &[Timed]) -> bool {
    let (mut same, mut other) = (0, 0);
    for (key, times) in found {
        match listed.iter().find(|(listed, _)| listed == key) {
            Some((_, listed)) if listed == times => same += 1,
            Some(_) => other += 1,
            None => {}
        }
    }
    same > other || (listed.is_empty() && found.is_empty())
}

/// As far as both pages reach they show the same objects with the same times; one that is not full reaches to the end.
fn is_one_server(listed: &[Timed], found: &[Timed]) -> bool {
    let is_full = |page: &&[Timed]| page.len() >= SOME as usize;
    let full = [listed, found].into_iter().filter(is_full);
    let end = full
        .filter_map(|page| page.last())
        .map(|(key, _)| key)
        .min();
    let within = |object: &&Timed| end.is_none_or(|end| object.0 <= *end);
    let (listed, found) = (listed.iter().filter(within), found.iter().filter(within));
    listed.eq(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(list: &[(u128, i64, i64)]) -> Vec<Timed> {
        let timed = |&(id, created, updated): &(u128, i64, i64)| {
            let key = Key::of(ObjectId::from_u128(id));
            (key, Times { created, updated })
        };
        list.iter().map(timed).collect()
    }

    #[test]
    fn one_server_shows_the_same_objects_but_for_what_is_written_meanwhile() {
        let listed = objects(&[(1, 5, 5), (2, 5, 5), (3, 5, 5)]);
        for found in [
            &[(1, 5, 5), (2, 5, 5), (3, 5, 5)][..],
            &[(1, 5, 5), (2, 5, 9), (3, 5, 5)],
            &[(3, 5, 5), (4, 6, 6)],
        ] {
            assert!(may_be_one_server(&listed, &objects(found)), "{found:?}");
        }
        assert!(may_be_one_server(&[], &[]));
    }

    #[test]
    fn another_server_has_none_of_them_or_wrote_them_at_other_times() {
        let listed = objects(&[(1, 5, 5), (2, 5, 5)]);
        for found in [
            &[][..],
            &[(3, 5, 5)],
            &[(1, 6, 6), (2, 6, 6)],
            // A copy that lives on.
            &[(1, 5, 8), (2, 5, 8)],
        ] {
            assert!(!may_be_one_server(&listed, &objects(found)), "{found:?}");
            assert!(!may_be_one_server(&objects(found), &listed), "{found:?}");
        }
    }

    #[test]
    fn all_that_both_pages_reach_is_the_same_on_one_server() {
        let page = |ids: &[u128]| {
            let timed: Vec<_> = ids.iter().map(|id| (*id, 5, 5)).collect();
            objects(&timed)
        };
        let full: Vec<u128> = (1..=16).collect();
        assert!(is_one_server(&[], &[]));
        assert!(is_one_server(&page(&[1, 2]), &page(&[1, 2])));
        assert!(is_one_server(&page(&full), &page(&full)));
        let lacking_one: Vec<u128> = (1..=17).filter(|id| *id != 9).collect();
        for (one, two) in [
            (page(&[1, 2]), page(&[1])),
            (page(&[1]), page(&[])),
            (page(&full), page(&full[..15])),
            (page(&full), page(&lacking_one)),
            (page(&[1, 2]), objects(&[(1, 5, 5), (2, 5, 6)])),
        ] {
            assert!(!is_one_server(&one, &two) && !is_one_server(&two, &one));
        }
        // It came behind what the other page reaches to.
        let longer: Vec<u128> = (1..=17).collect();
        assert!(is_one_server(&page(&full), &page(&longer)));
    }
}
