//! Objects to bytes and back: lines of JSON, vectors as text, compression frames, canonical digests. Pure: no files, no clock.
//!
//! A [`LineWriter`] is a visitor that turns a page into lines; [`Lines`] is a run of lines that can be walked
//! again. Both kinds of line (documents with decimal vectors, parts with base64) are read by the same reader.
//! Whatever is read may be hostile: everything is bounded, nothing panics, damage is `Kind::Difference`.

mod canonical;
mod codec;
mod decode;
mod digest;
mod line;
mod portrait;
mod read;
mod scan;
mod tally;
mod vector;

pub use codec::{Codec, Encoder, SEPARATOR};
pub use decode::{Decoder, decode_exact};
pub use digest::{Both, Digester, Shape};
pub use line::{Framing, LineWriter, Vectors};
pub use portrait::{Part, Portrait, Portrayer};
pub use read::{Lines, MAX_LINE, Record, Takeout};
pub use scan::Scanner;
pub use tally::{Digest, Tallies};
pub use vector::{write_base64_vector, write_decimal_vector};

use crate::error::{Error, Kind};

pub(crate) fn damaged(message: impl Into<String>) -> Error {
    Error::new(Kind::Difference, message)
}
