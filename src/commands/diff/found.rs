//! What a comparison finds: differences by name, how many there are, and what could not be compared.

use std::collections::BTreeMap;

use crate::format::{Digest, Part, Tallies};
use crate::job::TenantTally;
use crate::model::Key;

/// How one thing at the first end relates to the second end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The second end lacks it.
    Missing,
    /// Only the second end has it.
    Extra,
    /// Both have it and it differs.
    Different,
    /// The first end has the same key more than once.
    RepeatedInOne,
    /// The second end has the same key more than once.
    RepeatedInTwo,
}

impl Change {
    /// As JSON lines spell it.
    pub fn name(self) -> &'static str {
        match self {
            Change::Missing => "missing",
            Change::Extra => "extra",
            Change::Different => "different",
            Change::RepeatedInOne => "repeated in one",
            Change::RepeatedInTwo => "repeated in two",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// A setting of the definition.
    Setting {
        /// A JSON pointer with both values, as `/replicationConfig/factor: 1 against 3`.
        detail: String,
    },
    /// An alias that only one of them has.
    Alias {
        /// Its name.
        name: String,
        /// Missing or extra.
        change: Change,
    },
    /// A tenant that only one of them has, or whose state differs.
    Tenant {
        /// Its name.
        name: String,
        /// Its state at the first end; `None` if it is not there.
        one: Option<String>,
        /// Its state at the second end.
        two: Option<String>,
    },
    /// An object.
    Object {
        /// Where it lies.
        key: Key,
        /// What is with it.
        change: Change,
        /// In what it differs, the first [`MOST_PARTS`] parts.
        parts: Vec<Part>,
        /// The number of parts in which it differs.
        part_count: usize,
    },
}

/// So many parts of one object are named.
pub const MOST_PARTS: usize = 20;

/// How many differences there are, shown or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Settings of the definition.
    pub settings: u64,
    /// Aliases.
    pub aliases: u64,
    /// Tenants.
    pub tenants: u64,
    /// Objects that the second end lacks.
    pub missing: u64,
    /// Objects that only the second end has.
    pub extra: u64,
    /// Objects that differ.
    pub different: u64,
    /// Objects whose key an end has more than once, beyond the first.
    pub repeated: u64,
    /// Objects at both ends, one of which cannot be read.
    pub unreadable: u64,
    /// Differences that are none of the above because their reason is known, by reason.
    pub explained: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// All that differ.
    pub fn differences(&self) -> u64 {
        self.settings + self.aliases + self.tenants + self.objects()
    }

    /// Objects that differ in any way.
    pub fn objects(&self) -> u64 {
        self.missing + self.extra + self.different + self.repeated
    }

    /// Adds what was counted of objects.
    pub(super) fn add_objects(&mut self, objects: Counts) {
        self.missing += objects.missing;
        self.extra += objects.extra;
        self.different += objects.different;
        self.repeated += objects.repeated;
        self.unreadable += objects.unreadable;
        for (why, count) in objects.explained {
            *self.explained.entry(why).or_default() += count;
        }
    }

    pub(super) fn count(&mut self, change: Change) {
        let counter = match change {
            Change::Missing => &mut self.missing,
            Change::Extra => &mut self.extra,
            Change::Different => &mut self.different,
            Change::RepeatedInOne | Change::RepeatedInTwo => &mut self.repeated,
        };
        *counter += 1;
    }
}

/// What was read of one end.
#[derive(Clone, Debug, Default)]
pub struct EndTally {
    /// The end in words.
    pub title: String,
    /// Objects read.
    pub objects: u64,
    /// The digest over them.
    pub digest: Digest,
    /// Count and digest per tenant, by name.
    pub tenants: Vec<TenantTally>,
}

impl EndTally {
    /// Nothing was read yet.
    pub(super) fn named(title: &str) -> Self {
        EndTally {
            title: title.to_owned(),
            ..EndTally::default()
        }
    }

    pub(super) fn of(title: String, tallies: &Tallies) -> Self {
        EndTally {
            title,
            objects: tallies.count(),
            digest: tallies.digest(),
            tenants: tallies.sorted(),
        }
    }
}

/// What came of comparing two ends.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// What was read of the first.
    pub one: EndTally,
    /// What was read of the second.
    pub two: EndTally,
    /// How many differences there are.
    pub counts: Counts,
    /// The first differences, at most as many as were asked for; objects by key.
    pub shown: Vec<Difference>,
    /// What was left out of the comparison, one sentence fragment each: without differences the ends are then not
    /// shown to be identical.
    pub left_out: Vec<String>,
    /// What one should know beside, one sentence fragment each.
    pub notes: Vec<String>,
}

impl Comparison {
    /// 0 only if everything was compared and nothing differs, 13 if something differs, else 3.
    pub fn exit_code(&self) -> u8 {
        match self.counts.differences() {
            0 if self.left_out.is_empty() && self.counts.unreadable == 0 => 0,
            0 => 3,
            _ => 13,
        }
    }
}
