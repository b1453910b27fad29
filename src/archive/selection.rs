//! What of an archive is taken out: some tenants, without some vectors, and only objects that fit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::trailer::Frame;
use crate::error::Result;
use crate::model::{Key, Tenant, Times};
use crate::pipe::{Page, Reject, Vector, Visit, Walk, count_numbers};

/// What is taken out of an archive; the default is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// Only these tenants; `None` is all.
    pub tenants: Option<BTreeSet<Tenant>>,
    /// No vectors.
    pub without_vectors: bool,
    /// Not these vectors, by name, empty for the one without.
    pub left_out: BTreeSet<String>,
    /// How many numbers a vector must have, by tenant and name, empty for the one without; an object whose vector has
    /// another number of them is handed out as one that cannot be read.
    pub lengths: BTreeMap<Tenant, BTreeMap<String, usize>>,
    /// An object without a tenant is handed out as one that cannot be read.
    pub tenants_only: bool,
}

impl Selection {
    fn is_everything(&self) -> bool {
        *self == Selection::default()
    }

    /// True if objects of the tenant are taken out.
    pub fn has(&self, tenant: &Tenant) -> bool {
        self.tenants
            .as_ref()
            .is_none_or(|tenants| tenants.contains(tenant))
    }

    /// True if the vector of this name is taken out.
    pub fn has_vector(&self, name: &str) -> bool {
        !self.without_vectors && !self.left_out.contains(name)
    }

    /// False if nothing of the frame is taken out, as far as its entry shows.
    pub(super) fn touches(&self, frame: &Frame) -> bool {
        let (Some(tenants), Some(first), Some(last)) = (&self.tenants, &frame.first, &frame.last)
        else {
            return true;
        };
        let (first, last) = (&first.0.tenant, &last.0.tenant);
        first > last || tenants.range(first..=last).next().is_some()
    }

    /// The part of a page that is taken out.
    pub(super) fn of(self: &Arc<Self>, mut page: Page) -> Result<Page> {
        if self.is_everything() {
            return Ok(page);
        }
        page.unreadable
            .retain(|reject| self.has(&reject.key.tenant));
        page.keys.retain(|key| self.has(&key.tenant));
        let misfits = self.misfits(&*page.objects)?;
        let unfit: HashSet<Key> = misfits.iter().map(|unfit| unfit.key.clone()).collect();
        page.unreadable.extend(misfits);
        page.keys.retain(|key| !unfit.contains(key));
        page.objects = Arc::new(Selected {
            objects: page.objects,
            selection: self.clone(),
            unfit,
        });
        Ok(page)
    }

    fn misfits(&self, objects: &dyn Walk) -> Result<Vec<Reject>> {
        if self.lengths.is_empty() && !self.tenants_only {
            return Ok(Vec::new());
        }
        let mut measure = Measure {
            selection: self,
            key: None,
            wanted: None,
            misfits: Vec::new(),
        };
        objects.walk(&mut measure)?;
        Ok(measure.misfits)
    }
}

/// How many numbers a vector has; of a multi-vector, each row.
pub fn dimensions(vector: Vector<'_>) -> usize {
    match vector {
        Vector::Single(bytes) => bytes.len() / 4,
        Vector::Multi { dimensions, .. } => dimensions,
        Vector::Json(text) => count_numbers(text).ok().flatten().unwrap_or(0),
    }
}

/// Finds the objects that are not as they must be: their vectors of another length, or without a tenant.
struct Measure<'a> {
    selection: &'a Selection,
    key: Option<Key>,
    /// Of the object's tenant.
    wanted: Option<&'a BTreeMap<String, usize>>,
    misfits: Vec<Reject>,
}

impl Measure<'_> {
    /// One reason is enough.
    fn refuse(&mut self, reason: String) {
        let key = self.key.take();
        self.misfits.extend(key.map(|key| Reject { key, reason }));
    }
}

impl Visit for Measure<'_> {
    fn object(&mut self, key: &Key, _: Times) -> Result<()> {
        self.key = self.selection.has(&key.tenant).then(|| key.clone());
        if self.selection.tenants_only && key.tenant == Tenant::NONE {
            self.refuse("it names no tenant, where the others do; it was not sent".to_owned());
        }
        self.wanted = self.selection.lengths.get(&key.tenant);
        Ok(())
    }

    fn property(&mut self, _: &str, _: &str) -> Result<()> {
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        let wanted = self.wanted;
        let Some(wanted) = wanted.and_then(|of| of.get(name.unwrap_or_default())) else {
            return Ok(());
        };
        let found = dimensions(vector);
        if found == *wanted || !self.selection.has_vector(name.unwrap_or_default()) {
            return Ok(());
        }
        let which = name.map_or("its vector".to_owned(), |name| {
            format!("its vector `{name}`")
        });
        self.refuse(format!(
            "{which} has {found} numbers, where the others have {wanted}; it was not sent"
        ));
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The objects of a page that are taken out.
struct Selected {
    objects: Arc<dyn Walk>,
    selection: Arc<Selection>,
    unfit: HashSet<Key>,
}

impl Walk for Selected {
    fn walk(&self, visit: &mut dyn Visit) -> Result<()> {
        self.objects.walk(&mut Sieve {
            of: self,
            visit,
            is_taken: false,
        })
    }
}

/// Passes on what is selected.
struct Sieve<'a> {
    of: &'a Selected,
    visit: &'a mut dyn Visit,
    is_taken: bool,
}

impl Visit for Sieve<'_> {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.is_taken = self.of.selection.has(&key.tenant) && !self.of.unfit.contains(key);
        match self.is_taken {
            true => self.visit.object(key, times),
            false => Ok(()),
        }
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        match self.is_taken {
            true => self.visit.property(name, json),
            false => Ok(()),
        }
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        match self.is_taken && self.of.selection.has_vector(name.unwrap_or_default()) {
            true => self.visit.vector(name, vector),
            false => Ok(()),
        }
    }

    fn end(&mut self) -> Result<()> {
        match self.is_taken {
            true => self.visit.end(),
            false => Ok(()),
        }
    }
}
