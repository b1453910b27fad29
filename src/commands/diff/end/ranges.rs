//! How the tenants of a collection are read several at a time: as lanes of a few small ones each.

use crate::job::Bounds;
use crate::model::{Key, ObjectId, Tenant};

/// A lane is long enough with so many objects: the next ones are read meanwhile, but not far.
const OBJECTS: u64 = 128;
/// Or with so many tenants: an empty one takes a request, too.
const TENANTS: usize = 16;

/// All keys in lanes that follow each other, each of a few of these tenants, as large as they are said to be.
pub(super) fn ranges_of(counts: &[(Tenant, u64)]) -> Vec<Bounds> {
    let mut counts: Vec<&(Tenant, u64)> = counts.iter().collect();
    counts.sort();
    let (mut ranges, mut after) = (Vec::new(), None);
    let (mut tenants, mut objects) = (0, 0);
    let last = counts.pop();
    for (tenant, count) in counts {
        (tenants, objects) = (tenants + 1, count.saturating_add(objects));
        if tenants >= TENANTS || objects >= OBJECTS {
            let border = Key {
                tenant: tenant.clone(),
                id: ObjectId::MAX,
            };
            let until = Some(border.clone());
            let after = after.replace(border);
            ranges.push(Bounds::Keys { after, until });
            (tenants, objects) = (0, 0);
        }
    }
    ranges.extend(last.map(|_| Bounds::Keys { after, until: None }));
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(counts: impl IntoIterator<Item = u64>) -> Vec<(Tenant, u64)> {
        let counts = (0..).zip(counts);
        let named = counts.map(|(at, count): (u32, u64)| (format!("t{at:04}"), count));
        named
            .map(|(name, count)| (Tenant::named(&name), count))
            .collect()
    }

    /// The last tenant of each lane but the last one.
    fn borders(ranges: &[Bounds]) -> Vec<String> {
        let until = ranges.iter().filter_map(|range| match range {
            Bounds::Keys { until, .. } => until.as_ref(),
            Bounds::Frames { .. } => None,
        });
        until.map(|key| key.tenant.to_string()).collect()
    }

    #[test]
    fn lanes_follow_each_other_and_together_hold_every_key() {
        let ranges = ranges_of(&tenants((0..500).map(|at| at % 90)));
        assert!(ranges.len() > 100);
        let mut before = None;
        for range in &ranges {
            let Bounds::Keys { after, until } = range else {
                panic!("{range:?}");
            };
            assert_eq!(*after, before);
            assert!(!range.is_empty());
            assert!(until.as_ref().is_none_or(|key| key.id == ObjectId::MAX));
            before = until.clone();
        }
        assert_eq!(before, None, "the last one is open");
    }

    #[test]
    fn a_lane_ends_with_enough_objects_or_tenants() {
        let ranges = |counts: &[u64]| borders(&ranges_of(&tenants(counts.iter().copied())));
        assert_eq!(ranges(&[0; 40]), ["t0015", "t0031"]);
        assert_eq!(ranges(&[100, 27, 1, 5, u64::MAX, 7]), ["t0002", "t0004"]);
        assert_eq!(ranges(&[1_000]), [""; 0]);
    }

    #[test]
    fn the_order_in_which_tenants_are_listed_is_no_matter() {
        let mut counted = tenants([50; 20]);
        let ordered = ranges_of(&counted);
        counted.reverse();
        assert_eq!(ranges_of(&counted), ordered);
    }
}
