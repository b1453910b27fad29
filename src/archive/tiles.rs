//! The one rule of a document's receipts: their places tile the file, from the end of the head on.

use crate::error::{Error, Kind, Result};
use crate::job::Receipt;

/// Receipts that have bytes, in the order of the file.
pub(crate) struct Tiles<'a> {
    pub(crate) receipts: Vec<&'a Receipt>,
    /// Where the last one ends.
    pub(crate) end: u64,
}

impl<'a> Tiles<'a> {
    /// Checks that `receipts` follow each other without gap or overlap from `start` on. Batches without
    /// objects have places of length 0, anywhere.
    pub(crate) fn of(receipts: &[&'a Receipt], start: u64) -> Result<Self> {
        let mut placed = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            match receipt.place {
                Some(place) if place.length > 0 => placed.push((place, *receipt)),
                None if receipt.count > 0 => {
                    return Err(torn("a batch has no place in it".to_owned()));
                }
                _ => {}
            }
        }
        placed.sort_by_key(|(place, _)| place.offset);
        let mut end = start;
        for (place, _) in &placed {
            if place.offset != end {
                return Err(torn(format!(
                    "bytes {end} to {} belong to no batch or to two",
                    place.offset
                )));
            }
            end = end
                .checked_add(place.length)
                .ok_or_else(|| torn("it has no end".to_owned()))?;
        }
        Ok(Tiles {
            receipts: placed.into_iter().map(|(_, receipt)| receipt).collect(),
            end,
        })
    }
}

fn torn(why: String) -> Error {
    Error::new(
        Kind::JournalDamaged,
        format!("the journal does not describe the unfinished archive: {why}"),
    )
    .with_hint("begin anew with --restart")
}
