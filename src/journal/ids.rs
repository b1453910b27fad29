//! The processed ids of a batch, packed: at most 4,000 and 64 KB a record, tenants as runs.
//!
//! The body of a record is `packed ‖ running`, where `running = blake3(running before ‖ packed)` goes through all
//! records of a lane, whatever batch they belong to. So a record that is missing, old or of another lane breaks
//! the chain, although each record by itself is sound.

use serde::{Deserialize, Serialize};

use super::record::{Bytes, RECORD_BYTES, Running, damaged, decode, encode, link};
use crate::error::Result;
use crate::job::{Cursor, JobId, LaneId};
use crate::model::{Key, ObjectId, Tenant};

/// More ids than this never share a record.
const RECORD_IDS: usize = 4_000;

/// Seal, numbers, and the running hash of a record; the cursor's tenant comes on top.
const OVERHEAD_BYTES: usize = 256;

#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    lane: LaneId,
    seq: u64,
    part: u16,
    cursor: Cursor,
    count: u32,
    runs: Vec<(Tenant, u32)>,
    #[serde(borrow)]
    ids: Bytes<'a>,
}

/// Where a record says it belongs, and its ids.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) lane: LaneId,
    pub(super) seq: u64,
    pub(super) part: u16,
    pub(super) cursor: Cursor,
    pub(super) keys: Vec<Key>,
}

/// The running hash of a lane that has no batch yet.
pub(super) fn seed(job: &JobId, lane: LaneId) -> Running {
    link(
        blake3::hash(job.as_str().as_bytes()).as_bytes(),
        &lane.to_be_bytes(),
    )
}

/// The bodies that hold the ids of a batch, at least one, and the lane's running hash after them.
pub(super) fn pack(
    (lane, seq, cursor): (LaneId, u64, &Cursor),
    keys: &[Key],
    before: Running,
) -> Result<(Vec<Vec<u8>>, Running)> {
    let (mut bodies, mut running) = (Vec::new(), before);
    for (part, keys) in split(keys, cursor).into_iter().enumerate() {
        let ids: Vec<u8> = keys.iter().flat_map(|key| key.id.0).collect();
        let mut body = encode(&Packed {
            lane,
            seq,
            part: super::record::part_number(part)?,
            cursor: cursor.clone(),
            count: keys.len() as u32, // at most RECORD_IDS
            runs: runs(keys),
            ids: Bytes(&ids),
        })?;
        running = link(&running, &body);
        body.extend_from_slice(&running);
        bodies.push(body);
    }
    Ok((bodies, running))
}

fn split<'a>(keys: &'a [Key], cursor: &Cursor) -> Vec<&'a [Key]> {
    let named = match cursor {
        Cursor::After(key) => key.tenant.as_str().len(),
        _ => 0,
    };
    let room = RECORD_BYTES.saturating_sub(OVERHEAD_BYTES + named);
    let (mut parts, mut start, mut size) = (Vec::new(), 0, 0);
    for at in 0..keys.len() {
        let mut cost = cost(keys, start, at);
        if at > start && (at - start == RECORD_IDS || size + cost > room) {
            parts.push(&keys[start..at]);
            (start, size) = (at, 0);
            cost = self::cost(keys, start, at);
        }
        size += cost;
    }
    parts.push(&keys[start..]);
    parts
}

/// The bytes that the key at `at` adds to a part that begins at `start`.
fn cost(keys: &[Key], start: usize, at: usize) -> usize {
    let begins_run = at == start || keys[at].tenant != keys[at - 1].tenant;
    // A run has a length and a count, at most 3 bytes each below 64 KB.
    16 + if begins_run {
        keys[at].tenant.as_str().len() + 6
    } else {
        0
    }
}

fn runs(keys: &[Key]) -> Vec<(Tenant, u32)> {
    keys.chunk_by(|one, other| one.tenant == other.tenant)
        .map(|run| (run[0].tenant.clone(), run.len() as u32)) // chunks are never empty
        .collect()
}

/// The running hash of a body, if it continues the chain from `before`.
pub(super) fn check_link(before: &Running, body: &[u8]) -> Result<Running> {
    let (packed, running) = parts_of(body)?;
    match link(before, packed) == *running {
        true => Ok(*running),
        false => Err(damaged("the ids of a lane do not follow one another")),
    }
}

/// What a body holds.
pub(super) fn unpack(body: &[u8]) -> Result<Part> {
    let packed: Packed<'_> = decode(parts_of(body)?.0)?;
    let in_runs: u64 = packed.runs.iter().map(|run| u64::from(run.1)).sum();
    let (ids, rest) = packed.ids.0.as_chunks::<16>();
    if !rest.is_empty() || in_runs != ids.len() as u64 || in_runs != u64::from(packed.count) {
        return Err(damaged("a record of ids contradicts itself"));
    }
    let tenants = packed
        .runs
        .iter()
        .flat_map(|(tenant, count)| std::iter::repeat_n(tenant, *count as usize));
    let keys = tenants.zip(ids).map(|(tenant, id)| Key {
        tenant: tenant.clone(),
        id: ObjectId(*id),
    });
    Ok(Part {
        lane: packed.lane,
        seq: packed.seq,
        part: packed.part,
        keys: keys.collect(),
        cursor: packed.cursor,
    })
}

fn parts_of(body: &[u8]) -> Result<(&[u8], &Running)> {
    body.split_last_chunk()
        .ok_or_else(|| damaged("a record of ids is cut short"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::FileFailurePersistence;

    use super::*;

    const START: Running = [0; 32];

    fn round_trip(keys: &[Key]) -> Vec<Vec<u8>> {
        let cursor = keys.last().cloned().map_or(Cursor::Start, Cursor::After);
        let (bodies, end) = pack((3, 9, &cursor), keys, START).unwrap();
        let (mut running, mut found) = (START, Vec::new());
        for (number, body) in bodies.iter().enumerate() {
            assert!(body.len() + 5 <= RECORD_BYTES, "{}", body.len());
            running = check_link(&running, body).unwrap();
            let part = unpack(body).unwrap();
            assert!(part.keys.len() <= RECORD_IDS);
            assert_eq!(
                (part.lane, part.seq, part.part as usize, &part.cursor),
                (3, 9, number, &cursor)
            );
            found.extend(part.keys);
        }
        assert_eq!((found, running), (keys.to_vec(), end));
        bodies
    }

    fn keys(count: u128, tenant: impl Fn(u128) -> String) -> Vec<Key> {
        (0..count)
            .map(|number| Key {
                tenant: Tenant::named(&tenant(number)),
                id: ObjectId::from_u128(number),
            })
            .collect()
    }

    #[test]
    fn an_empty_batch_has_a_record_too() {
        assert_eq!(round_trip(&[]).len(), 1);
    }

    #[test]
    fn more_than_four_thousand_ids_need_another_record() {
        assert_eq!(round_trip(&keys(4_000, |_| String::new())).len(), 1);
        assert_eq!(round_trip(&keys(4_001, |_| String::new())).len(), 2);
    }

    #[test]
    fn ten_thousand_tenants_of_long_names_stay_in_small_records() {
        round_trip(&keys(10_000, |number| format!("{number:0>64}")));
        // Names of 130 bytes: their lengths take two bytes.
        round_trip(&keys(3_000, |number| format!("{number:0>130}")));
    }

    #[test]
    fn a_record_of_another_place_breaks_the_chain() {
        let cursor = Cursor::Start;
        let (one, running) = pack((0, 0, &cursor), &keys(3, |_| "a".into()), START).unwrap();
        let (two, _) = pack((0, 1, &cursor), &keys(3, |_| "a".into()), running).unwrap();
        assert!(check_link(&running, &two[0]).is_ok());
        assert!(check_link(&START, &two[0]).is_err());
        assert!(check_link(&running, &one[0]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 200,
            failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/journal.txt"))),
            ..ProptestConfig::default()
        })]

        #[test]
        fn packed_ids_come_back_in_order(
            runs in prop::collection::vec(("[a-zA-Z0-9_é-]{0,80}", prop::collection::vec(any::<u128>(), 0..600)), 0..40)
        ) {
            let keys: Vec<Key> = runs.iter().flat_map(|(tenant, ids)| {
                let tenant = Tenant::named(tenant);
                ids.iter().map(move |id| Key { tenant: tenant.clone(), id: ObjectId::from_u128(*id) })
            }).collect();
            round_trip(&keys);
        }
    }
}
