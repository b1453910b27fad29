//! An archive that is read: recognised by its content, checked from both ends before anything is taken out.
//!
//! Opening reads the head, the seal and the table of contents; each frame or part is checked against it when it
//! is taken up. Documents that others wrote have neither mark nor seal; they are read once from end to end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document;
use super::folder;
use super::foreign;
use super::header::{Contents, Header};
use super::trailer::{TenantState, Trailer};
use crate::error::{Error, Kind, Result};
use crate::format::Codec;
use crate::model::{CollectionName, Definition};
use crate::pipe::Buffers;
use crate::storage::{Local, Storage};

/// A finished archive. Cheap to clone.
#[derive(Clone)]
pub struct Archive(pub(crate) Arc<Opened>);

pub(crate) struct Opened {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) key: String,
    pub(crate) layout: Layout,
    pub(crate) codec: Codec,
    header: Header,
    hash: String,
    pub(crate) object_count: u64,
    bytes: u64,
    doubt: Option<String>,
    pub(crate) buffers: Buffers,
    /// True if a foreign document has objects of other collections.
    pub(crate) has_strangers: bool,
}

pub(crate) enum Layout {
    Document(Trailer),
    Folder(Trailer),
    Foreign,
}

impl Opened {
    pub(crate) fn collection(&self) -> &CollectionName {
        &self.header.collection
    }
}

impl Archive {
    /// Opens and checks the archive at `path`, file or folder.
    pub fn open(path: &Path) -> Result<Self> {
        let (storage, name) = split_path(path)?;
        Archive::open_in(storage, name)
    }

    /// Opens and checks the archive `key` of a storage.
    pub fn open_in(storage: Arc<dyn Storage>, key: &str) -> Result<Self> {
        let path = storage.path(key);
        if !storage.exists(key)? {
            return Err(Error::new(
                Kind::NotFound,
                format!("there is no archive `{}`", path.display()),
            ));
        }
        let opened = match storage.is_folder(key)? {
            true => open_folder(storage, key),
            false => open_file(storage, key),
        };
        opened
            .map(|opened| Archive(Arc::new(opened)))
            .map_err(|error| error.within(format_args!("`{}`", path.display())))
    }

    /// What it says about itself.
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// Its table of contents; a foreign document has none.
    pub fn trailer(&self) -> Option<&Trailer> {
        match &self.0.layout {
            Layout::Document(trailer) | Layout::Folder(trailer) => Some(trailer),
            Layout::Foreign => None,
        }
    }

    /// Every tenant with its state; a foreign document names none.
    pub fn tenants(&self) -> &[TenantState] {
        self.trailer()
            .map(|trailer| trailer.tenants.as_slice())
            .unwrap_or_default()
    }

    /// The aliases of its collection; a foreign document names none.
    pub fn aliases(&self) -> &[String] {
        self.trailer()
            .map(|trailer| trailer.aliases.as_slice())
            .unwrap_or_default()
    }

    /// The definition of its collection.
    pub fn definition(&self) -> &Definition {
        &self.0.header.definition
    }

    /// Names its exact content: the seal, or blake3 over a foreign document; hexadecimal.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }

    /// Objects in it.
    pub fn object_count(&self) -> u64 {
        self.0.object_count
    }

    /// Its size on storage.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// False for a document that another program wrote.
    pub fn is_ours(&self) -> bool {
        !matches!(self.0.layout, Layout::Foreign)
    }

    /// Objects that were in the collection before the backup began and are not in the archive, as it says itself.
    pub fn lost(&self) -> u64 {
        self.trailer().map_or(0, |trailer| trailer.lost)
    }

    /// What a user should know before relying on it.
    pub fn warnings(&self) -> Vec<String> {
        let foreign = "the document was written by another program and has no integrity: damage to it cannot be noticed";
        let foreign = (!self.is_ours()).then(|| foreign.to_owned());
        foreign.into_iter().chain(self.0.doubt.clone()).collect()
    }

    /// Why it is not whole, or not shown to be: objects were lost while it was made; or another program wrote it, and it says
    /// that it has another number of objects, or some of them are of another collection.
    pub fn doubt(&self) -> Option<&str> {
        self.0.doubt.as_deref()
    }

    /// Where it lies.
    pub fn path(&self) -> PathBuf {
        self.0.storage.path(&self.0.key)
    }
}

/// The folder of a path as a storage, and the name in it.
pub(crate) fn split_path(path: &Path) -> Result<(Arc<dyn Storage>, &str)> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("`{}` is not the name of an archive", path.display()),
            )
        })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok((Arc::new(Local::at(folder)), name))
}

fn open_folder(storage: Arc<dyn Storage>, key: &str) -> Result<Opened> {
    let head = match folder::read_head(&*storage, key) {
        Ok(Some(head)) => head,
        Ok(None) => {
            return Err(Error::new(
                Kind::Difference,
                "`metadata.json` is not that of an archive",
            ));
        }
        Err(error) if error.kind() == Kind::NotFound => {
            return Err(Error::new(
                Kind::Incompatible,
                "the folder is no archive: it has no `metadata.json`",
            ));
        }
        Err(error) => return Err(error),
    };
    let (trailer, seal) = folder::read_closing(&*storage, key, &head)?;
    let codec = Codec::parse(&head.header.options.compression)
        .map_err(|error| error.with_kind(Kind::Incompatible))?;
    check_counts(&head.header, head.is_sealed, &trailer)?;
    let bytes = trailer
        .integrity
        .frames
        .iter()
        .map(|frame| frame.length)
        .sum();
    Ok(ours(
        storage,
        key,
        Layout::Folder(trailer),
        codec,
        head.header,
        seal,
        bytes,
    ))
}

fn open_file(storage: Arc<dyn Storage>, key: &str) -> Result<Opened> {
    let Some(opening) = document::read_opening(&*storage, key)? else {
        return open_foreign(storage, key);
    };
    let handle = storage.read(key)?;
    let closing = document::read_closing(&*handle, &opening)?;
    check_counts(&opening.header, opening.is_sealed, &closing.trailer)?;
    let layout = Layout::Document(closing.trailer);
    let bytes = handle.length()?;
    Ok(ours(
        storage,
        key,
        layout,
        opening.codec,
        opening.header,
        closing.seal,
        bytes,
    ))
}

fn check_counts(header: &Header, is_sealed: bool, trailer: &Trailer) -> Result<()> {
    let fits = match header.contents {
        Contents::Full => header.object_count == trailer.object_count,
        Contents::SchemaOnly => trailer.object_count == 0,
    };
    match fits && is_sealed {
        true => Ok(()),
        false => Err(document::broken_seal()),
    }
}

fn ours(
    storage: Arc<dyn Storage>,
    key: &str,
    layout: Layout,
    codec: Codec,
    header: Header,
    seal: [u8; 32],
    bytes: u64,
) -> Opened {
    let (object_count, lost) = match &layout {
        Layout::Document(trailer) | Layout::Folder(trailer) => (trailer.object_count, trailer.lost),
        Layout::Foreign => (0, 0),
    };
    Opened {
        storage,
        key: key.to_owned(),
        layout,
        codec,
        header,
        hash: blake3::Hash::from_bytes(seal).to_hex().to_string(),
        object_count,
        bytes,
        doubt: (lost > 0).then(|| {
            format!("the archive is not whole: {lost} objects that the collection held before the backup began are not in it")
        }),
        buffers: Buffers::default(),
        has_strangers: false,
    }
}

fn open_foreign(storage: Arc<dyn Storage>, key: &str) -> Result<Opened> {
    let codec = document::recognise(&*storage, key)?;
    let survey = foreign::survey(&*storage, key, codec)?;
    let bytes = storage.read(key)?.length()?;
    Ok(Opened {
        key: key.to_owned(),
        layout: Layout::Foreign,
        codec,
        hash: survey.hash,
        object_count: survey.object_count,
        bytes,
        doubt: survey.doubt,
        buffers: Buffers::default(),
        has_strangers: survey.strangers.count > 0,
        header: survey.header,
        storage,
    })
}
