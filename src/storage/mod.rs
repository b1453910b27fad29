//! Bytes under a key, at a destination: whole objects put at once, and files that grow.
//!
//! Keys are relative paths with `/`. What a call promises about durability is said at each; nothing is retried
//! here and nothing is locked. [`Local`] is a folder; [`Hooked`] wraps any storage, is told of every call
//! before it happens and may make it fail.

mod hooked;
mod local;

pub use hooked::{Call, Hooked};
pub use local::Local;

use std::path::PathBuf;

use crate::error::Result;

/// A place for archives.
pub trait Storage: Send + Sync {
    /// Makes the folder `key` and its parents; the empty key is the destination itself.
    fn make_folder(&self, key: &str) -> Result<()>;

    /// Puts a whole object, replacing one of the same name: either all of it is there afterwards or nothing
    /// has changed, whatever happens in between. Durable on return, its name too.
    fn put(&self, key: &str, bytes: &[u8]) -> Result<()>;

    /// Opens a file for writing in place; makes it if it is missing. The name is not durable before [`Storage::sync_folder`].
    fn edit(&self, key: &str) -> Result<Box<dyn Handle>>;

    /// Opens a file for reading.
    fn read(&self, key: &str) -> Result<Box<dyn Handle>>;

    /// True if there is a file or folder of that name.
    fn exists(&self, key: &str) -> Result<bool>;

    /// True if there is a folder of that name.
    fn is_folder(&self, key: &str) -> Result<bool>;

    /// The files in a folder, by name, with their lengths; empty if there is no such folder.
    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>>;

    /// Renames a file or folder; fails with `Mismatch` if the new name is taken. The new name is durable on return.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Renames a file over another one, at once; the new name is durable on return. For an edited archive only.
    fn replace(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file or a folder with everything in it; a missing one is no error.
    fn remove(&self, key: &str) -> Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, key: &str) -> Result<()>;

    /// Bytes that may still be written.
    fn free_bytes(&self) -> Result<u64>;

    /// The path of a key, as people would type it.
    fn path(&self, key: &str) -> PathBuf;
}

/// An open file. Positions are absolute; there is no cursor.
pub trait Handle: Send + Sync {
    /// Fills `buffer` from `offset`; an end before that is an error of kind `Difference`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;

    /// Reads up to the length of `buffer` from `offset`; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// The length of the file.
    fn length(&self) -> Result<u64>;

    /// Cuts the file to `length`.
    fn truncate(&self, length: u64) -> Result<()>;

    /// Makes the contents durable.
    fn sync(&self) -> Result<()>;
}

/// A handle as a stream from its start.
pub struct Stream {
    handle: Box<dyn Handle>,
    offset: u64,
}

impl Stream {
    /// A stream over `handle`.
    pub fn new(handle: Box<dyn Handle>) -> Self {
        Stream { handle, offset: 0 }
    }
}

impl std::io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.handle.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
