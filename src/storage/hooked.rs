//! A storage that tells a listener of every change before it happens, and fails if the listener says so.
//!
//! Tests use it to assert the order of calls, to fill a disk at the n-th write, and to stop at every step.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Handle, Storage};
use crate::error::Result;

/// A change that is about to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Call {
    MakeFolder(String),
    Put(String),
    Edit(String),
    Write {
        key: String,
        offset: u64,
        length: usize,
    },
    Truncate {
        key: String,
        length: u64,
    },
    Sync(String),
    Rename {
        from: String,
        to: String,
    },
    Replace {
        from: String,
        to: String,
    },
    Remove(String),
    SyncFolder(String),
    /// Not a change: an error here stands for a disk that is full.
    FreeBytes,
}

type Listener = Arc<dyn Fn(&Call) -> Result<()> + Send + Sync>;

/// Wraps a storage.
#[derive(Clone)]
pub struct Hooked {
    inner: Arc<dyn Storage>,
    listener: Listener,
}

impl Hooked {
    /// Wraps `inner`; `listener` is called before every change, and its error is the call's error.
    pub fn new(
        inner: Arc<dyn Storage>,
        listener: impl Fn(&Call) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Hooked {
            inner,
            listener: Arc::new(listener),
        }
    }

    fn told(&self, call: Call) -> Result<&dyn Storage> {
        (self.listener)(&call)?;
        Ok(&*self.inner)
    }

    fn handle(&self, key: &str, inner: Box<dyn Handle>) -> Box<dyn Handle> {
        Box::new(HookedHandle {
            inner,
            key: key.to_owned(),
            listener: self.listener.clone(),
        })
    }
}

impl Storage for Hooked {
    fn make_folder(&self, key: &str) -> Result<()> {
        self.told(Call::MakeFolder(key.into()))?.make_folder(key)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.told(Call::Put(key.into()))?.put(key, bytes)
    }

    fn edit(&self, key: &str) -> Result<Box<dyn Handle>> {
        let inner = self.told(Call::Edit(key.into()))?.edit(key)?;
        Ok(self.handle(key, inner))
    }

    fn read(&self, key: &str) -> Result<Box<dyn Handle>> {
        self.inner.read(key)
    }

    fn exists(&self, key: &str) -> Result<bool> {
        self.inner.exists(key)
    }

    fn is_folder(&self, key: &str) -> Result<bool> {
        self.inner.is_folder(key)
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        self.inner.list(folder)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.told(Call::Rename {
            from: from.into(),
            to: to.into(),
        })?
        .rename(from, to)
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        let call = Call::Replace {
            from: from.into(),
            to: to.into(),
        };
        self.told(call)?.replace(from, to)
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.told(Call::Remove(key.into()))?.remove(key)
    }

    fn sync_folder(&self, key: &str) -> Result<()> {
        self.told(Call::SyncFolder(key.into()))?.sync_folder(key)
    }

    fn free_bytes(&self) -> Result<u64> {
        self.told(Call::FreeBytes)?.free_bytes()
    }

    fn path(&self, key: &str) -> PathBuf {
        self.inner.path(key)
    }
}

struct HookedHandle {
    inner: Box<dyn Handle>,
    key: String,
    listener: Listener,
}

impl Handle for HookedHandle {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.inner.read_exact_at(buffer, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        (self.listener)(&Call::Write {
            key: self.key.clone(),
            offset,
            length: bytes.len(),
        })?;
        self.inner.write_at(bytes, offset)
    }

    fn length(&self) -> Result<u64> {
        self.inner.length()
    }

    fn truncate(&self, length: u64) -> Result<()> {
        (self.listener)(&Call::Truncate {
            key: self.key.clone(),
            length,
        })?;
        self.inner.truncate(length)
    }

    fn sync(&self) -> Result<()> {
        (self.listener)(&Call::Sync(self.key.clone()))?;
        self.inner.sync()
    }
}
