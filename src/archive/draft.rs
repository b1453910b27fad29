//! An archive that is being made: its hidden name, its beginning, its end.
//!
//! Until it is published an archive lies under a hidden name that ends in `.partial`. Making, reopening,
//! sealing, publishing and discarding may each be repeated after a crash at any point, also after the one in
//! which they succeeded. A finished name is never touched: a rename does not replace.

use std::path::PathBuf;
use std::sync::Arc;

use super::document;
use super::folder;
use super::header::{Contents, Header};
use super::sink::{ArchiveSink, SinkOptions};
use super::tiles::Tiles;
use super::trailer::{Ending, Frame, Trailer};
use crate::error::{Error, Kind, Result};
use crate::format::Codec;
use crate::job::Receipt;
use crate::storage::Storage;

/// The layout of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON document.
    Json,
    /// A folder of parts with JSON lines.
    Jsonl,
}

impl Format {
    /// Its name on the command line: `json` or `jsonl`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Jsonl => "jsonl",
        }
    }

    /// The format of that name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "json" => Ok(Format::Json),
            "jsonl" => Ok(Format::Jsonl),
            _ => Err(Error::new(Kind::Usage, format!("`{name}` is not a format"))
                .with_hint("choose json or jsonl")),
        }
    }
}

/// An archive under way. Cheap to clone; holds no open file.
#[derive(Clone)]
pub struct Draft {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) header: Header,
    pub(crate) format: Format,
    pub(crate) codec: Codec,
    name: String,
}

/// An archive with its seal, not yet under its final name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The seal, hexadecimal.
    pub seal: String,
    /// Objects in it.
    pub object_count: u64,
    /// Its size on storage.
    pub bytes: u64,
}

impl Draft {
    /// Plans a new archive and its name; touches nothing.
    pub fn new(
        storage: Arc<dyn Storage>,
        mut header: Header,
        format: Format,
        codec: Codec,
    ) -> Self {
        header = header.initial();
        header.options.format = format.name().to_owned();
        header.options.compression = codec.name().to_owned();
        let name = file_name(&header, format, codec);
        Draft {
            storage,
            header,
            format,
            codec,
            name,
        }
    }

    /// An archive that will take the place of `name`.
    pub(crate) fn again(
        storage: Arc<dyn Storage>,
        header: Header,
        format: Format,
        codec: Codec,
        name: &str,
    ) -> Self {
        let name = name.to_owned();
        Draft {
            name,
            ..Draft::new(storage, header, format, codec)
        }
    }

    /// Finds the archive `name` of an earlier run, under its hidden or its final name, by the hash that
    /// [`Draft::header_hash`] gave. Another archive, or none, is `Mismatch`.
    pub fn resume(storage: Arc<dyn Storage>, name: &str, header_hash: &str) -> Result<Self> {
        let hidden = partial_name(name);
        let key = if storage.exists(&hidden)? {
            &hidden
        } else {
            name
        };
        if !storage.exists(key)? {
            return Err(gone(&*storage, &hidden));
        }
        let found = match storage.is_folder(key)? {
            true => folder::read_head(&*storage, key)?.map(|head| (head.header, Format::Jsonl)),
            false => document::recover_header(&*storage, key)?.map(|header| (header, Format::Json)),
        };
        match found {
            Some((header, format)) if header.hash() == header_hash => {
                let codec = Codec::parse(&header.options.compression)?;
                Ok(Draft {
                    storage,
                    header: header.initial(),
                    format,
                    codec,
                    name: name.to_owned(),
                })
            }
            _ => Err(Error::new(
                Kind::Mismatch,
                format!(
                    "`{}` is not the archive that this job began",
                    storage.path(key).display()
                ),
            )
            .with_hint("begin anew with --restart")),
        }
    }

    /// The name that the archive will have.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path that the archive will have.
    pub fn path(&self) -> PathBuf {
        self.storage.path(&self.name)
    }

    /// Names this archive from its first byte on; a resume must give it back.
    pub fn header_hash(&self) -> String {
        self.header.hash()
    }

    /// The header as written so far.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// True if an archive of this name is there, finished or not.
    pub fn is_taken(&self) -> Result<bool> {
        Ok(self.storage.exists(&self.name)? || self.storage.exists(&self.partial())?)
    }

    pub(crate) fn partial(&self) -> String {
        partial_name(&self.name)
    }

    /// Makes the hidden archive with its head, durably; what this draft wrote before is written over.
    pub fn create(&self, options: SinkOptions) -> Result<ArchiveSink> {
        self.storage.make_folder("")?;
        if self.storage.exists(&self.name)? {
            return Err(taken(&self.path()));
        }
        let partial = self.partial();
        if self.storage.exists(&partial)? {
            // Ours from an earlier try, or of another job that began in the same second. A folder gets its mark last.
            if self.format == Format::Json || !folder::is_unmarked(&*self.storage, &partial)? {
                Draft::resume(self.storage.clone(), &self.name, &self.header_hash())?;
            }
            self.storage.remove(&partial)?;
        }
        self.make(options)
    }

    /// Writes the head and opens the rest.
    pub(crate) fn make(&self, options: SinkOptions) -> Result<ArchiveSink> {
        let partial = self.partial();
        match self.format {
            Format::Json => self
                .storage
                .put(&partial, &document::head(self.codec, &self.header, false))?,
            Format::Jsonl => folder::create(&*self.storage, &partial, &self.header)?,
        }
        ArchiveSink::new(self, options, 0)
    }

    /// Opens the hidden archive again and cuts it back to what is committed.
    pub fn reopen(&self, receipts: &[&Receipt], options: SinkOptions) -> Result<ArchiveSink> {
        let partial = self.partial();
        if !self.storage.exists(&partial)? {
            return Err(gone(&*self.storage, &partial));
        }
        let mut frames = 0;
        if self.format == Format::Json {
            let tiles = Tiles::of(receipts, self.head_length())?;
            let file = self.storage.edit(&partial)?;
            if file.length()? < tiles.end {
                return Err(too_short(&self.storage.path(&partial)));
            }
            file.truncate(tiles.end)?;
            // A crash while sealing may have left a head that is patched already, or torn.
            file.write_at(&document::head(self.codec, &self.header, false), 0)?;
            frames = tiles.receipts.len() as u64;
        } else {
            folder::check_parts(&*self.storage, &partial, receipts, self.codec)?;
        }
        ArchiveSink::new(self, options, frames)
    }

    pub(crate) fn head_length(&self) -> u64 {
        document::head(self.codec, &self.header, false).len() as u64
    }

    /// Writes the end of the archive and makes all of it durable. `receipts` are those of the objects pass.
    pub fn seal(&self, receipts: &[&Receipt], ending: &Ending, has_digest: bool) -> Result<Sealed> {
        if !self.storage.exists(&self.partial())? {
            return self.sealed_before();
        }
        let mut header = self.header.clone();
        header.finished = Some(ending.finished);
        header.resumed = ending.resumed;
        if header.contents == Contents::Full {
            header.object_count = receipts
                .iter()
                .map(|receipt| u64::from(receipt.count))
                .sum();
        }
        match self.format {
            Format::Json => self.seal_document(receipts, ending, has_digest, &header),
            Format::Jsonl => folder::seal(self, receipts, ending, has_digest, &header),
        }
    }

    fn seal_document(
        &self,
        receipts: &[&Receipt],
        ending: &Ending,
        has_digest: bool,
        header: &Header,
    ) -> Result<Sealed> {
        let tiles = Tiles::of(receipts, self.head_length())?;
        let frames = tiles
            .receipts
            .iter()
            .map(|receipt| Frame::of(receipt, String::new()));
        let trailer = Trailer::new(receipts, frames.collect(), ending, has_digest);
        let head = document::head(self.codec, header, true);
        let (tail, seal) = document::tail(self.codec, &head, &trailer, tiles.end)?;
        let partial = self.partial();
        let file = self.storage.edit(&partial)?;
        if file.length()? < tiles.end {
            return Err(too_short(&self.storage.path(&partial)));
        }
        file.truncate(tiles.end)?;
        file.write_at(&tail, tiles.end)?;
        // Last, and in one write: a head that says "sealed" has everything behind it.
        file.write_at(&head, 0)?;
        file.sync()?;
        Ok(Sealed {
            seal: blake3::Hash::from_bytes(seal).to_hex().to_string(),
            object_count: trailer.object_count,
            bytes: tiles.end + tail.len() as u64,
        })
    }

    /// The seal of the archive that was published in an earlier run.
    fn sealed_before(&self) -> Result<Sealed> {
        if !self.storage.exists(&self.name)? {
            return Err(gone(&*self.storage, &self.partial()));
        }
        self.check_sealed(&self.name)
    }

    fn check_sealed(&self, key: &str) -> Result<Sealed> {
        let archive = super::Archive::open_in(self.storage.clone(), key)?;
        if archive.header().hash() != self.header_hash() {
            return Err(taken(&self.path()));
        }
        Ok(Sealed {
            seal: archive.hash().to_owned(),
            object_count: archive.object_count(),
            bytes: archive.bytes(),
        })
    }

    /// The sealed archive, under whichever name it has.
    pub fn sealed(&self) -> Result<super::Archive> {
        let partial = self.partial();
        let key = if self.storage.exists(&partial)? {
            &partial
        } else {
            &self.name
        };
        super::Archive::open_in(self.storage.clone(), key)
    }

    /// Gives the sealed archive its final name, durably, and returns its path.
    pub fn publish(&self) -> Result<PathBuf> {
        let partial = self.partial();
        if self.storage.exists(&partial)? {
            self.check_sealed(&partial)?;
            self.storage.rename(&partial, &self.name)?;
        } else {
            self.sealed_before()?;
            // The crash may have come between the rename and the flush of the folder.
            self.storage.sync_folder("")?;
        }
        Ok(self.path())
    }

    /// Removes the hidden archive, if it is there.
    pub fn discard(&self) -> Result<()> {
        self.storage.remove(&self.partial())
    }
}

/// `{collection}_{full|schema}_{YYYYmmdd_HHMMSS}` in UTC, and what the format adds.
fn file_name(header: &Header, format: Format, codec: Codec) -> String {
    let contents = match header.contents {
        Contents::Full => "full",
        Contents::SchemaOnly => "schema",
    };
    let extension = match format {
        Format::Json => format!(".json{}", codec.extension()),
        Format::Jsonl => String::new(),
    };
    let time = header.started.strftime("%Y%m%d_%H%M%S");
    format!("{}_{contents}_{time}{extension}", header.collection)
}

/// The hidden name of the unfinished archive `name`.
pub fn partial_name(name: &str) -> String {
    format!(".{name}.partial")
}

fn gone(storage: &dyn Storage, key: &str) -> Error {
    Error::new(
        Kind::Mismatch,
        format!(
            "the unfinished archive `{}` is gone",
            storage.path(key).display()
        ),
    )
    .with_hint("put it back, or begin anew with --restart")
}

fn too_short(path: &std::path::Path) -> Error {
    Error::new(
        Kind::Mismatch,
        format!(
            "the unfinished archive `{}` is shorter than the journal says",
            path.display()
        ),
    )
    .with_hint("put the right file back, or begin anew with --restart")
}

fn taken(path: &std::path::Path) -> Error {
    Error::new(
        Kind::Mismatch,
        format!("`{}` exists already and is never replaced", path.display()),
    )
    .with_hint("move it away, or wait a second and begin again")
}
