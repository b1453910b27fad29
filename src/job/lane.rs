//! Lanes: the parts of a job that one cursor walks, and what is recorded of each batch.

use serde::{Deserialize, Serialize};

use crate::model::{Key, Tenant};

/// The number of a lane within its job; never used again for another range.
pub type LaneId = u32;

/// Which walk over the data a lane belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Pass {
    /// Objects with their properties and vectors.
    Objects,
    /// Cross-references, when every object is there.
    References,
}

/// Where to go on within a lane: everything up to here is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// Nothing of the lane is done.
    Start,
    /// Every object up to and including this key is done.
    After(Key),
    /// In an archive: go on at this object of this frame or part. A foreign document is one frame.
    At {
        /// The position of the frame or part in the archive's manifest.
        frame: u64,
        /// The position of the object in that frame.
        ordinal: u64,
    },
}

/// The part of an end that a lane walks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bounds {
    /// Keys greater than `after` and not greater than `until`; `None` is open.
    Keys {
        /// Exclusive lower border.
        after: Option<Key>,
        /// Inclusive upper border.
        until: Option<Key>,
    },
    /// Frames or parts `from..to` of an archive.
    Frames {
        /// The first frame.
        from: u64,
        /// One past the last frame.
        to: u64,
    },
}

impl Bounds {
    /// The whole of a collection.
    pub const ALL_KEYS: Bounds = Bounds::Keys {
        after: None,
        until: None,
    };

    /// True if these bounds hold nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Bounds::Keys {
                after: Some(after),
                until: Some(until),
            } => after >= until,
            Bounds::Keys { .. } => false,
            Bounds::Frames { from, to } => from >= to,
        }
    }

    /// Cuts at `end`: what is kept, and what is split off. `None` if `end` does not lie strictly inside
    /// the part beyond `cursor`, or is of another sort than the bounds.
    pub fn cut(&self, cursor: &Cursor, end: &Cursor) -> Option<(Bounds, Bounds)> {
        let (kept, off) = match (self, end) {
            (Bounds::Keys { after, until }, Cursor::After(key)) => {
                let low = match cursor {
                    Cursor::After(done) => Some(done),
                    _ => after.as_ref(),
                };
                if low.is_some_and(|low| key <= low) {
                    return None;
                }
                (
                    Bounds::Keys {
                        after: after.clone(),
                        until: Some(key.clone()),
                    },
                    Bounds::Keys {
                        after: Some(key.clone()),
                        until: until.clone(),
                    },
                )
            }
            (Bounds::Frames { from, to }, Cursor::At { frame, ordinal: 0 }) => {
                let low = match cursor {
                    Cursor::At { frame, .. } => *frame,
                    _ => *from,
                };
                if *frame <= low {
                    return None;
                }
                (
                    Bounds::Frames {
                        from: *from,
                        to: *frame,
                    },
                    Bounds::Frames {
                        from: *frame,
                        to: *to,
                    },
                )
            }
            _ => return None,
        };
        (!kept.is_empty() && !off.is_empty()).then_some((kept, off))
    }
}

/// One lane: its range, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Its number.
    pub id: LaneId,
    /// The walk it belongs to.
    pub pass: Pass,
    /// What it walks.
    pub bounds: Bounds,
    /// How far it has come: everything up to here is durable at the sink and committed.
    pub cursor: Cursor,
    /// The sequence number of its next batch.
    pub seq: u64,
    /// The batch that may or may not have happened.
    pub intent: Option<Intent>,
    /// True if nothing is left.
    pub is_drained: bool,
}

impl Lane {
    /// A lane at the beginning of its range.
    pub fn new(id: LaneId, pass: Pass, bounds: Bounds) -> Self {
        Lane {
            id,
            pass,
            bounds,
            cursor: Cursor::Start,
            seq: 0,
            intent: None,
            is_drained: false,
        }
    }

    /// The only lane of a walk that no journal knows.
    pub fn alone(bounds: Bounds) -> Self {
        Lane::new(0, Pass::Objects, bounds)
    }
}

/// What is about to be done to the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The sequence number of the batch.
    pub seq: u64,
    /// The cursor after the batch.
    pub end: Cursor,
    /// How many objects the batch has.
    pub count: u32,
    /// blake3 over the batch's keys, so that a repetition is known to be of the same objects.
    pub hash: [u8; 32],
}

/// Where the bytes of a batch lie in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// From the start of the file.
    pub offset: u64,
    /// In bytes, separator included.
    pub length: u64,
}

/// What a batch holds of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantTally {
    /// The tenant; none in a collection without tenants.
    pub tenant: Tenant,
    /// Objects.
    pub count: u64,
    /// The sum of the objects' digests mod 2^256, little-endian; zero if the job computes none.
    pub digest: [u8; 32],
    /// Their vectors; none if the job does not look into objects.
    pub vectors: Option<Vec<VectorTally>>,
}

/// How many objects have a vector of one length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VectorTally {
    /// The name of the vector, empty for the one without a name.
    pub name: String,
    /// How many numbers it has, a multi-vector in each row.
    pub dimensions: u32,
    /// Objects.
    pub count: u64,
}

/// What was done: kept to the end of the job; the receipts of a backup become the archive's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The lane that did it.
    pub lane: LaneId,
    /// The lane's sequence number of the batch.
    pub seq: u64,
    /// Where its bytes lie, for a document; receipts tile the file.
    pub place: Option<Place>,
    /// Objects in the batch.
    pub count: u32,
    /// The bytes moved: stored length for a backup, sent length for a restore.
    pub bytes: u64,
    /// The first and the last key, in the order of the lane.
    pub span: Option<(Key, Key)>,
    /// blake3 over the stored bytes of the frame or part.
    pub hash: [u8; 32],
    /// Objects that are now at the sink.
    pub accepted: u32,
    /// Objects that the server refused or could not give.
    pub rejected: u32,
    /// Length of `rejects.jsonl` with this batch's lines.
    pub rejects_length: u64,
    /// Per tenant, in the order of first appearance.
    pub tenants: Vec<TenantTally>,
}
