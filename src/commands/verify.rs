//! `col verify FILE`: is the archive whole?

use std::path::Path;

use crate::archive::{self, Sealed, Verdict};
use crate::error::Result;

/// Reads every byte of an archive and compares it with its seal. Any damage is [`crate::error::Kind::Difference`].
///
/// Blocks while it reads: call it from a thread that may block.
pub fn verify(path: &Path) -> Result<Verdict> {
    archive::verify(path)
}

/// Writes the integrity of an edited archive anew. What its editor did is then what it holds.
pub async fn reseal(path: &Path) -> Result<Sealed> {
    archive::reseal(path).await
}
