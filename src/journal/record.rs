//! How records look in either store: an address, and a sealed value.
//!
//! A value is `version ‖ body ‖ CRC32(address ‖ version ‖ body)`, so a value that turns up under another address
//! is as damaged as one with a flipped bit. The checksum is looked at before the version: an unknown version
//! under a good checksum was written by another release, not by a failing disk.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Kind, Result};
use crate::job::{JobId, LaneId, Step};

/// The version of every record.
const VERSION: u8 = 2;

/// What fits into one record; sled moves values of a few hundred KB to files that no fsync of ours reaches.
pub(super) const RECORD_BYTES: usize = 64 << 10;

/// A step longer than this is spread over several records.
const CHUNK_BYTES: usize = 60_000;

/// A running blake3 hash.
pub(super) type Running = [u8; 32];

/// Where a record lies. The derived order and the order of the bytes are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    /// A part of the ids of a lane's pending intent.
    Intended { lane: LaneId, part: u16 },
    /// A part of the ids of a committed batch.
    Kept { lane: LaneId, seq: u64, part: u16 },
    /// The one record that says how long the journal is.
    Head,
    /// A part of a step.
    Step { number: u64, part: u16 },
}

impl Address {
    /// The bytes of the address.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Address::Intended { lane, part } => {
                [b"i", &lane.to_be_bytes()[..], &part.to_be_bytes()].concat()
            }
            Address::Kept { lane, seq, part } => [
                b"k",
                &lane.to_be_bytes()[..],
                &seq.to_be_bytes(),
                &part.to_be_bytes(),
            ]
            .concat(),
            Address::Head => b"n".to_vec(),
            Address::Step { number, part } => {
                [b"s", &number.to_be_bytes()[..], &part.to_be_bytes()].concat()
            }
        }
    }

    /// The address of these bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Address> {
        Self::read(bytes).ok_or_else(|| damaged("a record has an unknown address"))
    }

    fn read(bytes: &[u8]) -> Option<Address> {
        let (&sort, rest) = bytes.split_first()?;
        match (sort, rest.len()) {
            (b'i', 6) => Some(Address::Intended {
                lane: u32::from_be_bytes(rest[..4].try_into().ok()?),
                part: u16::from_be_bytes(rest[4..].try_into().ok()?),
            }),
            (b'k', 14) => Some(Address::Kept {
                lane: u32::from_be_bytes(rest[..4].try_into().ok()?),
                seq: u64::from_be_bytes(rest[4..12].try_into().ok()?),
                part: u16::from_be_bytes(rest[12..].try_into().ok()?),
            }),
            (b'n', 0) => Some(Address::Head),
            (b's', 10) => Some(Address::Step {
                number: u64::from_be_bytes(rest[..8].try_into().ok()?),
                part: u16::from_be_bytes(rest[8..].try_into().ok()?),
            }),
            _ => None,
        }
    }
}

/// The value that holds `body` at this address.
pub(super) fn seal(address: Address, body: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(body.len() + 5);
    value.push(VERSION);
    value.extend_from_slice(body);
    let sum = checksum(address, &value);
    value.extend_from_slice(&sum.to_le_bytes());
    value
}

/// The body of a value at this address.
pub(super) fn unseal(address: Address, value: &[u8]) -> Result<&[u8]> {
    let Some((sealed, sum)) = value.split_last_chunk::<4>() else {
        return Err(damaged("a record is cut short"));
    };
    if checksum(address, sealed) != u32::from_le_bytes(*sum) {
        return Err(damaged("a record does not fit its checksum"));
    }
    match sealed.split_first() {
        Some((&VERSION, body)) => Ok(body),
        Some((&version, _)) => Err(other_version("journal records", version.into(), VERSION)
            .with_hint(
                "use the release of elysiactl that began the job, or pass --restart to begin anew",
            )),
        None => Err(damaged("a record is empty")),
    }
}

fn checksum(address: Address, sealed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&address.to_bytes());
    hasher.update(sealed);
    hasher.finalize()
}

/// How long the journal is, and what it says; rewritten by every commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The job that it belongs to.
    pub(super) job: JobId,
    /// Commits so far.
    pub(super) number: u64,
    /// Steps so far.
    pub(super) steps: u64,
    /// Running hash over all steps.
    pub(super) chain: Running,
}

/// What the step of a batch remembers of its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The records that hold them.
    pub(super) parts: u16,
    /// The lane's running hash with them.
    pub(super) running: Running,
}

/// The running hash after one more step.
pub(super) fn link(before: &Running, bytes: &[u8]) -> Running {
    *blake3::Hasher::new()
        .update(before)
        .update(bytes)
        .finalize()
        .as_bytes()
}

/// The bytes of a step.
pub(super) fn encode_step(step: &Step, mark: Option<Mark>) -> Result<Vec<u8>> {
    encode(&(step, mark))
}

/// The step of these bytes.
pub(super) fn decode_step(bytes: &[u8]) -> Result<(Step, Option<Mark>)> {
    decode(bytes)
}

/// The sealed records of a step.
pub(super) fn step_records(number: u64, bytes: &[u8]) -> Result<Vec<(Address, Vec<u8>)>> {
    let parts = part_number(bytes.len().div_ceil(CHUNK_BYTES))?;
    let chunks = bytes.chunks(CHUNK_BYTES).zip(0..parts);
    Ok(chunks
        .map(|(chunk, part)| {
            let address = Address::Step { number, part };
            let body = [&parts.to_le_bytes(), chunk].concat();
            (address, seal(address, &body))
        })
        .collect())
}

/// The number of parts and the chunk of a step record.
pub(super) fn step_chunk(body: &[u8]) -> Result<(u16, &[u8])> {
    body.split_first_chunk::<2>()
        .map(|(parts, chunk)| (u16::from_le_bytes(*parts), chunk))
        .ok_or_else(|| damaged("a step is cut short"))
}

/// A count of parts, if it can be addressed.
pub(super) fn part_number(parts: usize) -> Result<u16> {
    u16::try_from(parts)
        .map_err(|_| Error::new(Kind::Failed, "a batch is too large for the journal"))
}

/// The bytes of a value.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|cause| {
        Error::new(Kind::Failed, "cannot encode a journal record").with_cause(cause)
    })
}

/// The value of these bytes.
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    postcard::from_bytes(bytes)
        .map_err(|cause| damaged("a record cannot be decoded").with_cause(cause))
}

/// The error of a journal that cannot be what was written.
pub(super) fn damaged(why: impl std::fmt::Display) -> Error {
    Error::new(
        Kind::JournalDamaged,
        format!("the journal is damaged: {why}"),
    )
}

/// The error of something written by a release with another format.
pub(super) fn other_version(what: &str, theirs: u64, ours: u8) -> Error {
    Error::new(
        Kind::Incompatible,
        format!("{what} have version {theirs}, this elysiactl reads version {ours}"),
    )
    .with_hint("use the release of elysiactl that began the job")
}

/// Bytes that are written and read as one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_only_its_own_address_and_only_unchanged() {
        let (here, there) = (Address::Head, Address::Intended { lane: 256, part: 1 });
        let value = seal(here, b"body");
        assert_eq!(unseal(here, &value).unwrap(), b"body");
        assert_eq!(
            unseal(there, &value).unwrap_err().kind(),
            Kind::JournalDamaged
        );
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                unseal(here, &flipped).unwrap_err().kind(),
                Kind::JournalDamaged,
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_record_of_a_newer_release_is_refused_by_its_version() {
        let mut value = vec![VERSION + 1];
        value.extend_from_slice(&checksum(Address::Head, &value).to_le_bytes());
        let error = unseal(Address::Head, &value).unwrap_err();
        assert_eq!(error.kind(), Kind::Incompatible);
        assert!(error.message().contains("version 3"), "{error}");
    }

    #[test]
    fn addresses_come_back_and_sort_like_their_bytes() {
        let addresses = [
            Address::Intended { lane: 256, part: 1 },
            Address::Kept {
                lane: 1,
                seq: 255,
                part: 9,
            },
            Address::Kept {
                lane: 1,
                seq: 256,
                part: 0,
            },
            Address::Head,
            Address::Step { number: 7, part: 0 },
            Address::Step { number: 7, part: 1 },
        ];
        assert!(addresses.is_sorted());
        assert!(addresses.map(Address::to_bytes).is_sorted());
        for address in addresses {
            assert_eq!(Address::parse(&address.to_bytes()).unwrap(), address);
        }
        assert!(Address::parse(b"sxx").is_err() && Address::parse(b"").is_err());
    }

    #[test]
    fn a_long_step_is_spread_over_records_that_stay_small() {
        let records = step_records(3, &[7; 150_000]).unwrap();
        assert_eq!(records.len(), 3);
        assert!(records.iter().all(|(_, value)| value.len() <= RECORD_BYTES));
    }
}
