//! What gRPC's Aggregate is asked and answers: how many objects there are. Nothing else of it is used.

use bytes::Bytes;

use super::protobuf::{Add, Fields, Wire, malformed};
use crate::error::Result;
use crate::model::{CollectionName, ObjectId, Tenant};

/// Objects of one tenant that are counted.
pub(super) struct Counted<'a> {
    pub collection: &'a CollectionName,
    pub tenant: &'a Tenant,
    /// `None` is all of them.
    pub ids: Option<Ids>,
}

/// A range of ids.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    /// Exclusive; `None` starts at the very beginning.
    pub after: Option<ObjectId>,
    /// Inclusive.
    pub until: ObjectId,
}

impl<'a> Counted<'a> {
    /// All that there are.
    pub fn all(collection: &'a CollectionName, tenant: &'a Tenant) -> Self {
        Counted {
            collection,
            tenant,
            ids: None,
        }
    }

    /// AggregateRequest.
    pub fn message(&self) -> Bytes {
        let mut message = Vec::with_capacity(96);
        message.add_bytes(1, self.collection.as_str().as_bytes());
        if let Some(tenant) = self.tenant.name() {
            message.add_bytes(10, tenant.as_bytes());
        }
        // Without it the reply is 0, and no error.
        message.add_bool(20, true);
        if let Some(ids) = &self.ids {
            message.add_message(40, |filters| ids.write(filters));
        }
        message.into()
    }
}

impl Ids {
    /// Filters, with each bound an operand.
    fn write(&self, filters: &mut Vec<u8>) {
        const GREATER_THAN: u64 = 3;
        const LESS_THAN_EQUAL: u64 = 6;
        const AND: u64 = 7;
        filters.add_number(1, AND);
        let bounds = [
            (LESS_THAN_EQUAL, Some(self.until)),
            (GREATER_THAN, self.after),
        ];
        for (operator, id) in bounds {
            let Some(id) = id else { continue };
            filters.add_message(3, |bound| {
                bound.add_number(1, operator);
                bound.add_bytes(4, id.to_string().as_bytes());
                bound.add_message(20, |target| target.add_bytes(1, b"_id"));
            });
        }
    }
}

/// The count in an AggregateReply; one that is not told is an error, never 0.
pub(super) fn read_count(reply: &[u8]) -> Result<u64> {
    const SINGLE: u64 = 2;
    const OBJECTS: u64 = 1;
    let mut count = None;
    for field in Fields::of(reply) {
        let (SINGLE, Wire::Bytes(single)) = field? else {
            continue;
        };
        for field in Fields::of(single) {
            if let (OBJECTS, Wire::Varint(number)) = field? {
                count = Some(number);
            }
        }
    }
    let count = count.ok_or_else(|| malformed("a count is missing"))?;
    // An int64: what is below zero has the highest bit.
    i64::try_from(count).map_err(|_| malformed("a count is below zero"))?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(single: &[u8]) -> Vec<u8> {
        let mut reply = Vec::new();
        // `took` comes first.
        reply.extend_from_slice(&[0x0d, 0, 0, 0, 0]);
        reply.add_bytes(2, single);
        reply
    }

    #[test]
    fn a_count_is_read_as_it_was_recorded() {
        // From recordings of 1.40: none, five, and a number of several bytes.
        for (single, count) in [
            (&[8, 0][..], 0),
            (&[8, 5], 5),
            (&[8, 0xac, 2], 300),
            (
                &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
                i64::MAX as u64,
            ),
        ] {
            assert_eq!(read_count(&reply(single)).unwrap(), count);
        }
    }

    #[test]
    fn a_reply_without_a_count_is_broken_and_not_zero() {
        let below_zero = [8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let grouped = [0x1a, 2, 8, 5];
        for broken in [
            Vec::new(),
            vec![0x0d, 0, 0, 0, 0],
            reply(&[]),
            // Another field of the single result, and one of another wire type.
            reply(&[16, 5]),
            reply(&[10, 1, 5]),
            reply(&[9, 5, 0, 0, 0, 0, 0, 0, 0]),
            reply(&below_zero),
            reply(&[8]),
            reply(&[8, 0x80]),
            grouped.to_vec(),
            // The single result is a number.
            vec![16, 5],
            // Cut.
            vec![0x12, 2, 8],
            b"<html>".to_vec(),
        ] {
            let error = read_count(&broken).unwrap_err();
            assert!(error.is_transient(), "{broken:?}: {error}");
        }
    }
}
