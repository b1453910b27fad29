//! Sums of object hashes, and counts, per tenant.

use std::collections::HashMap;
use std::fmt;

use super::damaged;
use crate::error::Result;
use crate::job::TenantTally;
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

/// Counts and digests per tenant, in the order of first appearance.
#[derive(Clone, Default, Debug)]
pub struct Tallies {
    list: Vec<TenantTally>,
    index: HashMap<Tenant, usize>,
}

impl Tallies {
    /// Adds objects of a tenant.
    pub fn add(&mut self, tenant: &Tenant, count: u64, digest: Digest) {
        let at = match self.list.last() {
            Some(last) if last.tenant == *tenant => self.list.len() - 1,
            _ => self.place(tenant),
        };
        let tally = &mut self.list[at];
        tally.count += count;
        tally.digest = Digest(tally.digest).plus(digest).0;
    }

    fn place(&mut self, tenant: &Tenant) -> usize {
        let next = self.list.len();
        let at = *self.index.entry(tenant.clone()).or_insert(next);
        if at == next {
            self.list.push(TenantTally {
                tenant: tenant.clone(),
                count: 0,
                digest: [0; 32],
            });
        }
        at
    }

    /// Adds all of `others`.
    pub fn merge(&mut self, others: &[TenantTally]) {
        for other in others {
            self.add(&other.tenant, other.count, Digest(other.digest));
        }
    }

    /// The tallies.
    pub fn list(&self) -> &[TenantTally] {
        &self.list
    }

    /// The tallies, by tenant.
    pub fn sorted(&self) -> Vec<TenantTally> {
        let mut list = self.list.clone();
        list.sort_by(|one, two| one.tenant.cmp(&two.tenant));
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

#[cfg(test)]
mod tests {
    use super::*;

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
