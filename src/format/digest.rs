//! What a set of objects is, in 32 bytes: the order-independent digest.
//!
//! Σ blake3(length-prefixed tenant, id, canonical object) mod 2^256, per tenant, with the count. A sum, so that
//! lanes need no common order, batches add up, and an archive can be compared with a live collection without
//! reading both twice. Times and blob hashes, which no restore brings back, take no part.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::canonical::{Hint, write_bytes, write_canonical};
use super::damaged;
use super::vector::decode_vector;
use crate::error::{Error, Kind, Result};
use crate::job::TenantTally;
use crate::model::{Definition, Key, Tenant, Times};
use crate::pipe::{Vector, Visit};

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

/// What a digest needs to know of a definition; made once, shared by all.
#[derive(Debug)]
pub struct Shape {
    class: String,
    hints: HashMap<String, Hint>,
}

impl Shape {
    /// The shape of a collection.
    pub fn of(definition: &Definition) -> Result<Arc<Self>> {
        Ok(Arc::new(Shape {
            class: definition.name()?.as_str().to_owned(),
            hints: Hint::all(&definition.properties()?),
        }))
    }
}

/// A visitor that digests every object it is shown.
pub struct Digester {
    shape: Arc<Shape>,
    tallies: Tallies,
    key: Option<Key>,
    last: [u8; 32],
    body: Vec<u8>,
    /// Each member: its name with a tag in front, and all of it.
    members: Vec<(Range<usize>, Range<usize>)>,
    scratch: Vec<u8>,
}

impl Digester {
    /// A digester of objects of that shape.
    pub fn new(shape: Arc<Shape>) -> Self {
        Digester {
            shape,
            tallies: Tallies::default(),
            key: None,
            last: [0; 32],
            body: Vec::new(),
            members: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// What was digested so far, and begins anew.
    pub fn take(&mut self) -> Tallies {
        std::mem::take(&mut self.tallies)
    }

    /// The hash of the object visited last, without its tenant's sum: for comparing object by object.
    pub fn last(&self) -> [u8; 32] {
        self.last
    }

    fn member(&mut self, tag: u8, name: &str) -> Range<usize> {
        let start = self.body.len();
        self.body.push(tag);
        self.body.extend_from_slice(name.as_bytes());
        let end = self.body.len();
        self.body
            .extend_from_slice(&(name.len() as u64).to_le_bytes());
        start..end
    }

    fn add_vector(&mut self, name: Option<&str>, dimensions: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let named = self.member(if name.is_none() { b'v' } else { b'w' }, name.unwrap_or(""));
        self.body
            .extend_from_slice(&(dimensions as u64).to_le_bytes());
        write_bytes(&mut self.body, bytes);
        self.members
            .push((named.clone(), named.start..self.body.len()));
    }

    fn sort(&mut self) {
        let body = &self.body;
        let name = |member: &(Range<usize>, Range<usize>)| &body[member.0.clone()];
        if self.members.is_sorted_by(|one, two| name(one) <= name(two)) {
            return;
        }
        self.members.sort_by(|one, two| name(one).cmp(name(two)));
        self.scratch.clear();
        for (_, whole) in &self.members {
            self.scratch.extend_from_slice(&body[whole.clone()]);
        }
        std::mem::swap(&mut self.body, &mut self.scratch);
    }
}

impl Visit for Digester {
    fn object(&mut self, key: &Key, _: Times) -> Result<()> {
        self.key = Some(key.clone());
        self.body.clear();
        self.members.clear();
        Ok(())
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        let shape = self.shape.clone();
        let hint = shape.hints.get(name).unwrap_or(&Hint::Plain);
        if matches!(hint, Hint::Ignored) || json.trim_ascii() == "null" {
            return Ok(());
        }
        let named = self.member(b'p', name);
        write_canonical(&mut self.body, json, hint, &shape.class);
        self.members
            .push((named.clone(), named.start..self.body.len()));
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        match vector {
            Vector::Single(bytes) => self.add_vector(name, 0, bytes),
            Vector::Multi { dimensions, rows } => self.add_vector(name, dimensions, rows),
            Vector::Json(text) => {
                let mut buffer = std::mem::take(&mut self.scratch);
                let outcome = decode_vector(text, &mut buffer).map(|vector| match vector {
                    Some(Vector::Single(bytes)) => self.add_vector(name, 0, bytes),
                    Some(Vector::Multi { dimensions, rows }) => {
                        self.add_vector(name, dimensions, rows)
                    }
                    _ => {}
                });
                self.scratch = buffer;
                return outcome;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let key = self
            .key
            .take()
            .ok_or_else(|| Error::new(Kind::Failed, "an object ended that had not begun"))?;
        self.sort();
        let tenant = key.tenant.as_str().as_bytes();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(tenant.len() as u64).to_le_bytes());
        hasher.update(tenant);
        hasher.update(&key.id.0);
        hasher.update(&self.body);
        self.last = *hasher.finalize().as_bytes();
        self.tallies.add(&key.tenant, 1, Digest(self.last));
        Ok(())
    }
}

/// Two visitors that are shown the same.
pub struct Both<'a>(pub &'a mut dyn Visit, pub &'a mut dyn Visit);

impl Visit for Both<'_> {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.0.object(key, times)?;
        self.1.object(key, times)
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        self.0.property(name, json)?;
        self.1.property(name, json)
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        self.0.vector(name, vector)?;
        self.1.vector(name, vector)
    }

    fn end(&mut self) -> Result<()> {
        self.0.end()?;
        self.1.end()
    }
}
