//! A storage in memory: fast enough to damage an archive at every byte, and copied in one call.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Kind, Result};
use crate::storage::{Handle, Storage};

pub(super) type Files = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Default)]
pub(super) struct Memory(pub Arc<Mutex<Files>>);

impl Memory {
    pub(super) fn of(files: Files) -> Self {
        Memory(Arc::new(Mutex::new(files)))
    }

    pub(super) fn files(&self) -> Files {
        self.0.lock().unwrap().clone()
    }

    fn missing(key: &str) -> Error {
        Error::new(Kind::NotFound, format!("`{key}` is missing"))
    }
}

/// True if `name` is `key` or lies within it.
fn is_in(name: &str, key: &str) -> bool {
    name == key
        || name
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with('/'))
}

impl Storage for Memory {
    fn make_folder(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.0
            .lock()
            .unwrap()
            .insert(key.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn edit(&self, key: &str) -> Result<Box<dyn Handle>> {
        self.0.lock().unwrap().entry(key.to_owned()).or_default();
        self.read(key)
    }

    fn read(&self, key: &str) -> Result<Box<dyn Handle>> {
        match self.0.lock().unwrap().contains_key(key) {
            true => Ok(Box::new(MemoryFile(self.clone(), key.to_owned()))),
            false => Err(Memory::missing(key)),
        }
    }

    fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.0.lock().unwrap().keys().any(|name| is_in(name, key)))
    }

    fn is_folder(&self, key: &str) -> Result<bool> {
        let files = self.0.lock().unwrap();
        Ok(files.keys().any(|name| name != key && is_in(name, key)))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        let files = self.0.lock().unwrap();
        let within = |(name, bytes): (&String, &Vec<u8>)| {
            let rest = name.strip_prefix(folder)?.strip_prefix('/')?;
            (!rest.contains('/')).then(|| (rest.to_owned(), bytes.len() as u64))
        };
        Ok(files.iter().filter_map(within).collect())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        if self.exists(to)? {
            return Err(Error::new(Kind::Mismatch, "taken"));
        }
        let mut files = self.0.lock().unwrap();
        let names: Vec<String> = files
            .keys()
            .filter(|name| is_in(name, from))
            .cloned()
            .collect();
        for name in names {
            let bytes = files.remove(&name).unwrap();
            files.insert(format!("{to}{}", &name[from.len()..]), bytes);
        }
        Ok(())
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        self.remove(to)?;
        self.rename(from, to)
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.0.lock().unwrap().retain(|name, _| !is_in(name, key));
        Ok(())
    }

    fn sync_folder(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> Result<u64> {
        Ok(u64::MAX)
    }

    fn path(&self, key: &str) -> PathBuf {
        PathBuf::from(key)
    }
}

struct MemoryFile(Memory, String);

impl MemoryFile {
    fn with<T>(&self, change: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T> {
        let mut files = self.0.0.lock().unwrap();
        files
            .get_mut(&self.1)
            .map(change)
            .ok_or_else(|| Memory::missing(&self.1))
    }
}

impl Handle for MemoryFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let count = self.read_at(buffer, offset).unwrap();
        match count == buffer.len() {
            true => Ok(()),
            false => Err(Error::new(Kind::Difference, "cut off")),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.with(|bytes| {
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            count
        })
        .map_err(std::io::Error::other)
    }

    fn write_at(&self, new: &[u8], offset: u64) -> Result<()> {
        self.with(|bytes| {
            let end = offset as usize + new.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[offset as usize..end].copy_from_slice(new);
        })
    }

    fn length(&self) -> Result<u64> {
        self.with(|bytes| bytes.len() as u64)
    }

    fn truncate(&self, length: u64) -> Result<()> {
        self.with(|bytes| bytes.resize(length as usize, 0))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}
