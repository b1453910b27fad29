//! The few gRPC messages that a ceiling needs, and a walk over replies that keeps nothing but the last id.

use bytes::Bytes;

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

pub fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

pub fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// SearchRequest for ids and times, and for everything else unless `keys_only`.
pub fn search(collection: &str, after: Option<&str>, limit: u32, keys_only: bool) -> Bytes {
    let mut message = Vec::new();
    bytes(&mut message, 1, collection.as_bytes());
    let mut metadata = Vec::new();
    for field in [1, 3, 4] {
        number(&mut metadata, field, 1);
    }
    match keys_only {
        true => bytes(&mut message, 20, &[]),
        false => number(&mut metadata, 2, 1),
    }
    bytes(&mut message, 21, &metadata);
    number(&mut message, 30, u64::from(limit));
    if let Some(after) = after {
        bytes(&mut message, 33, after.as_bytes());
    }
    for field in 100..=102 {
        number(&mut message, field, 1);
    }
    message.into()
}

/// BatchDeleteRequest for these ids.
pub fn delete(collection: &str, ids: &[String]) -> Bytes {
    let (mut list, mut filter, mut message) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids {
        bytes(&mut list, 1, id.as_bytes());
    }
    let mut target = Vec::new();
    bytes(&mut target, 1, b"_id");
    number(&mut filter, 1, 12);
    bytes(&mut filter, 9, &list);
    bytes(&mut filter, 20, &target);
    bytes(&mut message, 1, collection.as_bytes());
    bytes(&mut message, 2, &filter);
    message.into()
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for index in 0..10 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The length-delimited fields of a message.
pub fn fields<'a>(mut rest: &'a [u8]) -> impl Iterator<Item = (u64, &'a [u8])> {
    std::iter::from_fn(move || {
        loop {
            let tag = take_varint(&mut rest)?;
            let length = match tag & 7 {
                0 => {
                    take_varint(&mut rest)?;
                    continue;
                }
                1 => 8,
                5 => 4,
                _ => usize::try_from(take_varint(&mut rest)?).ok()?,
            };
            let value: &'a [u8] = rest.get(..length)?;
            rest = &rest[length..];
            if tag & 7 == 2 {
                return Some((tag >> 3, value));
            }
        }
    })
}

/// How many objects a SearchReply holds, and the id of the last one.
pub fn count_and_last(reply: &[u8]) -> (usize, Option<String>) {
    let (mut count, mut last) = (0, None);
    for (_, result) in fields(reply).filter(|(field, _)| *field == 2) {
        count += 1;
        last = Some(result);
    }
    (count, last.and_then(id_of))
}

fn id_of(result: &[u8]) -> Option<String> {
    let (_, metadata) = fields(result).find(|(field, _)| *field == 2)?;
    let (_, id) = fields(metadata).find(|(field, _)| *field == 1)?;
    Some(String::from_utf8_lossy(id).into_owned())
}

/// The ids of a SearchReply.
pub fn ids(reply: &[u8]) -> Vec<String> {
    let results = fields(reply).filter(|(field, _)| *field == 2);
    results.filter_map(|(_, result)| id_of(result)).collect()
}
