//! How long the vectors of an archive are, and how long they have to be.
//!
//! An index takes vectors of one length, that of the first. Every tenant has an index of its own, so each may have another
//! length; an index that is skipped takes any. Where nothing is there yet, the length of most objects counts; in a collection to
//! merge into, that of the objects there.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::survey::Group;
use crate::archive::{Archive, Selection, dimensions};
use crate::commands::pages::Pages;
use crate::error::Result;
use crate::job::{Bounds, Lane};
use crate::model::{CollectionName, Definition, Key, Tenant, Times};
use crate::pipe::{Budget, Source, Vector, Visit, decode_vector};
use crate::retry::Policy;
use crate::weaviate::{Client, CollectionSource, ReadPlan, Wanted, unindexed_vectors};

/// How many numbers vectors have, by tenant and name.
pub(super) type Known = BTreeMap<Tenant, BTreeMap<String, usize>>;

/// So many objects of a tenant are looked at until each vector was seen.
const LOOKED_AT: usize = 1_000;
/// So many tenants are looked at together.
const AT_ONCE: usize = 8;
const LOOK: Budget = Budget::of(50, 1 << 20);
const PAGE: Budget = Budget::of(1_000, 4 << 20);

/// The lengths that were found, and how often. There may be very many tenants.
#[derive(Clone, Debug, Default)]
pub(super) struct Lengths {
    names: Vec<String>,
    tenants: BTreeMap<Tenant, Vec<Length>>,
}

#[derive(Clone, Debug)]
struct Length {
    /// Its place among the names.
    name: u16,
    numbers: u32,
    count: u64,
}

impl Lengths {
    pub fn add(&mut self, tenant: &Tenant, name: &str, numbers: usize) {
        let numbers = u32::try_from(numbers).unwrap_or(u32::MAX);
        self.add_many(tenant, name, numbers, 1);
    }

    /// Adds the vectors of so many objects.
    pub fn add_many(&mut self, tenant: &Tenant, name: &str, numbers: u32, count: u64) {
        let name = self.place_of(name);
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.clone(), Vec::new());
        }
        let Some(lengths) = self.tenants.get_mut(tenant) else {
            return;
        };
        let is_it = |length: &&mut Length| (length.name, length.numbers) == (name, numbers);
        match lengths.iter_mut().find(is_it) {
            Some(length) => length.count += count,
            None => lengths.push(Length {
                name,
                numbers,
                count,
            }),
        }
    }

    fn place_of(&mut self, name: &str) -> u16 {
        let known = self.names.iter().position(|known| known == name);
        let place = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        place as u16
    }

    /// Objects that have this vector.
    pub fn with_vector(&self, name: &str) -> u64 {
        let all = self.tenants.values().flatten();
        let of_it = all.filter(|length| self.names[usize::from(length.name)] == name);
        of_it.map(|length| length.count).sum()
    }

    /// The lengths that vectors must have, where some have another one. `unindexed` vectors may have any.
    pub fn wanted(&self, there: &Known, unindexed: &[String]) -> Known {
        let mut wanted = Known::new();
        for (tenant, lengths) in &self.tenants {
            for (place, name) in self.names.iter().enumerate() {
                let of_it = |length: &&Length| usize::from(length.name) == place;
                let found: Vec<&Length> = lengths.iter().filter(of_it).collect();
                let there = there.get(tenant).and_then(|there| there.get(name));
                let Some(numbers) = must_be(&found, there.copied()) else {
                    continue;
                };
                if !unindexed.contains(name) {
                    let of_tenant = wanted.entry(tenant.clone()).or_default();
                    of_tenant.insert(name.clone(), numbers);
                }
            }
        }
        wanted
    }
}

/// The length that is to be kept, if some of these are of another one.
fn must_be(found: &[&Length], there: Option<usize>) -> Option<usize> {
    let most = found
        .iter()
        .max_by_key(|length| (length.count, length.numbers))?;
    let kept = there.unwrap_or(most.numbers as usize);
    let is_other = |length: &&Length| length.numbers as usize != kept;
    found.iter().any(is_other).then_some(kept)
}

/// The objects that do not fit, in words by reason, and how many there are. The archive is read again for it.
pub(super) async fn misfits(
    archive: &Archive,
    selection: &Selection,
    mut stop: impl FnMut() -> Result<()>,
) -> Result<(Vec<String>, u64)> {
    let mut found: BTreeMap<String, Group> = BTreeMap::new();
    let source = archive.source().only(selection.clone());
    for bounds in source.lanes() {
        let mut lane = Lane::alone(bounds);
        loop {
            stop()?;
            let page = source.fetch(&lane, &lane.cursor, PAGE).await?;
            for unfit in &page.unreadable {
                let group = found.entry(unfit.reason.clone()).or_default();
                group.add(&unfit.key);
            }
            if page.is_last {
                break;
            }
            lane.cursor = page.end;
            tokio::task::yield_now().await;
        }
    }
    let words = found
        .iter()
        .map(|(reason, some)| format!("{}: {reason}", some.words()));
    Ok((words.collect(), found.values().map(|some| some.count).sum()))
}

/// A collection to merge into, as far as it can be read.
pub(super) struct There<'a> {
    pub client: &'a Arc<Client>,
    pub name: &'a CollectionName,
    pub definition: &'a Definition,
    /// Those that are active.
    pub tenants: Vec<Tenant>,
}

impl There<'_> {
    /// The lengths of the vectors there, of tenants and vectors that the archive has.
    pub async fn lengths(&self, policy: &Policy, archived: &Lengths) -> Result<Known> {
        let plan = ReadPlan::choose(self.client, self.definition, Wanted::Everything)?;
        let names = archived.names.len();
        let is_archived = |tenant: &Tenant| archived.tenants.contains_key(tenant);
        let both: Vec<Tenant> = self
            .tenants
            .iter()
            .filter(|tenant| is_archived(tenant))
            .cloned()
            .collect();
        let looks = both
            .into_iter()
            .map(|tenant| self.lengths_of(policy, tenant, plan, names));
        let found = stream::iter(looks).buffer_unordered(AT_ONCE);
        let found: Known = found.try_collect().await?;
        self.with_other_names(found)
    }

    async fn lengths_of(
        &self,
        policy: &Policy,
        tenant: Tenant,
        plan: ReadPlan,
        names: usize,
    ) -> Result<(Tenant, BTreeMap<String, usize>)> {
        let (client, name) = (self.client.clone(), self.name.clone());
        let source = CollectionSource::new(client, name, vec![tenant.clone()], plan);
        let doing = "look at the vectors that are there";
        let mut pages = Pages::of(policy, doing, &source, vec![Bounds::ALL_KEYS], LOOK);
        let (mut seen, mut objects) = (Seen::default(), 0);
        while seen.0.len() < names && objects < LOOKED_AT {
            let Some(page) = pages.next().await? else {
                break;
            };
            page.objects.walk(&mut seen)?;
            objects += page.keys.len();
        }
        Ok((tenant, seen.0))
    }

    /// The vector without a name and the only one may be spelled as each other.
    fn with_other_names(&self, mut found: Known) -> Result<Known> {
        let vectors = self.definition.vectors()?;
        let (name, other) = match vectors.named.as_slice() {
            [] => ("", "default"),
            [only] if !vectors.has_legacy => (only.as_str(), ""),
            _ => return Ok(found),
        };
        for lengths in found.values_mut() {
            if let Some(numbers) = lengths.get(name).copied() {
                lengths.insert(other.to_owned(), numbers);
            }
        }
        Ok(found)
    }
}

/// The vectors of a definition that may have any length, by name.
pub(super) fn unindexed(definition: &Definition) -> Result<Vec<String>> {
    let mut names = unindexed_vectors(definition)?;
    let vectors = definition.vectors()?;
    if let ([only], false) = (vectors.named.as_slice(), vectors.has_legacy)
        && names.contains(only)
    {
        names.push(String::new());
    }
    Ok(names)
}

/// The first length of each vector.
#[derive(Default)]
struct Seen(BTreeMap<String, usize>);

impl Visit for Seen {
    fn object(&mut self, _: &Key, _: Times) -> Result<()> {
        Ok(())
    }

    fn property(&mut self, _: &str, _: &str) -> Result<()> {
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        let mut buffer = Vec::new();
        let vector = match vector {
            Vector::Json(text) => decode_vector(text, &mut buffer)?,
            bytes => Some(bytes),
        };
        if let Some(vector) = vector {
            let name = name.unwrap_or_default().to_owned();
            self.0.entry(name).or_insert(dimensions(vector));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(list: &[(&str, &str, usize, u32)]) -> Lengths {
        let mut lengths = Lengths::default();
        for (tenant, name, numbers, count) in list {
            for _ in 0..*count {
                lengths.add(&Tenant::named(tenant), name, *numbers);
            }
        }
        lengths
    }

    fn known(list: &[(&str, &str, usize)]) -> Known {
        let mut known = Known::new();
        for (tenant, name, numbers) in list {
            let of_tenant = known.entry(Tenant::named(tenant)).or_default();
            of_tenant.insert((*name).to_owned(), *numbers);
        }
        known
    }

    #[test]
    fn each_tenant_and_vector_keeps_the_length_of_most_of_its_objects() {
        let found = lengths(&[("a", "", 3, 5), ("b", "", 4, 2), ("b", "x", 2, 9)]);
        assert!(found.wanted(&Known::new(), &[]).is_empty());
        let found = lengths(&[("a", "", 3, 5), ("b", "", 4, 2), ("b", "", 3, 1)]);
        assert_eq!(found.wanted(&Known::new(), &[]), known(&[("b", "", 4)]));
        assert_eq!((found.with_vector(""), found.with_vector("x")), (8, 0));
    }

    #[test]
    fn a_vector_without_an_index_may_have_any_length() {
        let found = lengths(&[("", "a", 3, 5), ("", "a", 4, 2)]);
        let unindexed = ["a".to_owned()];
        assert!(found.wanted(&Known::new(), &unindexed).is_empty());
    }

    #[test]
    fn the_length_that_is_there_counts_however_many_objects_have_another_one() {
        let found = lengths(&[("a", "", 3, 5), ("a", "", 4, 1), ("b", "", 3, 1)]);
        let there = known(&[("a", "", 4), ("b", "", 3)]);
        assert_eq!(found.wanted(&there, &[]), known(&[("a", "", 4)]));
    }
}
