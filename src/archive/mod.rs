//! One backup on storage: a JSON document or a folder of parts, its two ends, and the proof that it is whole.
//!
//! Writing: a [`Header`] becomes a [`Draft`], which makes an [`ArchiveSink`]; when the job's receipts are
//! complete the draft is sealed and published. Reading: [`Archive::open`] checks an archive from both ends and
//! gives an [`ArchiveSource`]; [`verify`] reads all of it. Until it is published an archive has a hidden name;
//! a published one is never touched. Documents of other programs are read, not written. Servers and journals
//! are unknown here.
//!
//! The version of the shape is 1.0; anything else is refused by name.

mod appender;
mod document;
mod draft;
mod folder;
mod foreign;
mod header;
mod open;
mod reseal;
mod selection;
mod sink;
mod source;
mod strangers;
#[cfg(test)]
pub(crate) mod tests;
mod tiles;
mod trailer;
mod verify;

pub use draft::{Draft, Format, Sealed, partial_name};
pub use header::{Contents, Header, Options, VERSION};
pub use open::Archive;
pub use reseal::reseal;
pub use selection::{Selection, dimensions};
pub use sink::{ArchiveSink, Batch, SinkOptions};
pub use source::ArchiveSource;
pub use trailer::{Ending, Frame, Hex, Integrity, KeyText, TenantEntry, TenantState, Trailer};
pub use verify::{Verdict, verify};
