//! Sums of object hashes, and counts, per tenant.

use std::collections::HashMap;
use std::fmt;

use super::damaged;
use crate::error::Result;
use crate::job::{TenantTally, VectorTally};
use crate::model::Tenant;

/// A sum of object hashes, little-endian, mod 2^256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The sum of two sets.
    #[must_use]
    pub fn plus(self, other: Digest) -> Digest {
        let mut sum = [0; 32];
        let mut carry = 0u16;
        for (index, out) in sum.iter_mut().enumerate() {
            carry += u16::from(self.0[index]) + u16::from(other.0[index]);
            *out = carry as u8;
            carry >>= 8;
        }
        Digest(sum)
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Result<Self> {
        let hash = blake3::Hash::from_hex(text)
            .map_err(|_| damaged(format!("`{text}` is not a digest")))?;
        Ok(Digest(*hash.as_bytes()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The lengths of vectors that are counted of one tenant: one whose vectors have more is not told about.
const MOST_LENGTHS: usize = 1_000;

/// Counts and digests per tenant, in the order of first appearance.
#[derive(Clone, Default, Debug)]
pub struct Tallies {
    list: Vec<TenantTally>,
    index: HashMap<Tenant, usize>,
}

impl Tallies {
    /// Adds objects of a tenant. Those of whose vectors nothing is known leave nothing known of any.
    pub fn add(
        &mut self,
        tenant: &Tenant,
        count: u64,
        digest: Digest,
        vectors: Option<&[VectorTally]>,
    ) {
        let at = match self.list.last() {
            Some(last) if last.tenant == *tenant => self.list.len() - 1,
            _ => self.place(tenant),
        };
        let tally = &mut self.list[at];
        tally.count += count;
        tally.digest = Digest(tally.digest).plus(digest).0;
        let known = tally.vectors.take();
        tally.vectors = known.zip(vectors).and_then(|(mut known, vectors)| {
            for more in vectors.iter().filter(|more| more.count > 0) {
                place_of(&mut known, &more.name, more.dimensions).count += more.count;
            }
            (known.len() <= MOST_LENGTHS).then_some(known)
        });
    }

    fn place(&mut self, tenant: &Tenant) -> usize {
        let next = self.list.len();
        let at = *self.index.entry(tenant.clone()).or_insert(next);
        if at == next {
            self.list.push(TenantTally {
                tenant: tenant.clone(),
                count: 0,
                digest: [0; 32],
                vectors: Some(Vec::new()),
            });
        }
        at
    }

    /// Adds all of `others`.
    pub fn merge(&mut self, others: &[TenantTally]) {
        for other in others {
            let digest = Digest(other.digest);
            self.add(&other.tenant, other.count, digest, other.vectors.as_deref());
        }
    }

    /// The tallies.
    pub fn list(&self) -> &[TenantTally] {
        &self.list
    }

    /// The tallies by tenant, each with its vectors by name and length.
    pub fn sorted(&self) -> Vec<TenantTally> {
        let mut list = self.list.clone();
        list.sort_by(|one, two| one.tenant.cmp(&two.tenant));
        list.iter_mut()
            .filter_map(|tally| tally.vectors.as_mut())
            .for_each(|vectors| vectors.sort());
        list
    }

    /// Objects of all tenants.
    pub fn count(&self) -> u64 {
        self.list.iter().map(|tally| tally.count).sum()
    }

    /// The digest over all tenants.
    pub fn digest(&self) -> Digest {
        self.list.iter().fold(Digest::default(), |sum, tally| {
            sum.plus(Digest(tally.digest))
        })
    }
}

/// The place of vectors of this name and length, made if there is none.
pub(super) fn place_of<'a>(
    known: &'a mut Vec<VectorTally>,
    name: &str,
    dimensions: u32,
) -> &'a mut VectorTally {
    let is_it = |one: &VectorTally| one.dimensions == dimensions && one.name == name;
    let at = known.iter().position(is_it).unwrap_or_else(|| {
        known.push(VectorTally {
            name: name.to_owned(),
            dimensions,
            count: 0,
        });
        known.len() - 1
    });
    &mut known[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(name: &str, dimensions: u32, count: u64) -> VectorTally {
        VectorTally {
            name: name.to_owned(),
            dimensions,
            count,
        }
    }

    #[test]
    fn vectors_are_known_of_a_tenant_only_if_they_are_known_of_all_its_objects() {
        let (a, b) = (Tenant::named("a"), Tenant::named("b"));
        let mut tallies = Tallies::default();
        let digest = Digest::default();
        tallies.add(&a, 2, digest, Some(&[vector("x", 3, 2), vector("", 4, 1)]));
        tallies.add(&b, 1, digest, Some(&[]));
        tallies.add(&a, 1, digest, Some(&[vector("x", 3, 1), vector("x", 2, 1)]));
        let vectors = |tallies: &Tallies| {
            let sorted = tallies.sorted().into_iter();
            sorted.map(|tally| tally.vectors).collect::<Vec<_>>()
        };
        let of_a = vec![vector("", 4, 1), vector("x", 2, 1), vector("x", 3, 3)];
        assert_eq!(vectors(&tallies), [Some(of_a.clone()), Some(vec![])]);

        let mut others = Tallies::default();
        others.add(&b, 1, digest, None);
        tallies.merge(others.list());
        assert_eq!(vectors(&tallies), [Some(of_a), None]);
        others.add(&b, 1, digest, Some(&[vector("x", 3, 1)]));
        assert_eq!(vectors(&others), [None]);

        let all: Vec<_> = (0..=MOST_LENGTHS as u32)
            .map(|at| vector("", at, 1))
            .collect();
        let mut many = Tallies::default();
        many.add(&a, 1, digest, Some(&all[1..]));
        assert!(vectors(&many)[0].is_some());
        many.add(&a, 1, digest, Some(&all[..1]));
        assert_eq!(vectors(&many), [None]);
    }

    #[test]
    fn sums_wrap_and_carry() {
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(Digest([0xff; 32]).plus(Digest(one)), Digest::default());
        let mut low = [0; 32];
        low[0] = 0xff;
        let mut carried = [0; 32];
        carried[1] = 1;
        assert_eq!(Digest(low).plus(Digest(one)), Digest(carried));
        assert_eq!(
            Digest::parse(&Digest(low).to_string()).unwrap(),
            Digest(low)
        );
    }
}
