//! A camera: copies the state directory, the destination and the server at one moment, as a crash would leave them.
//!
//! Effects and commits hold the gate shared, the camera holds it alone, so no picture shows half a commit beside the
//! archive of a moment later. What is not behind the gate (summaries, lines of refused objects) is written before or
//! after the commits that count on it, so any mixture of it is what a crash may leave.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use elysiactl::error::Result;
use elysiactl::event::{Event, Reporter};
use elysiactl::job::LaneId;
use elysiactl::journal::{Entry, Store};
use elysiactl::sandbox::{Sandbox, Snapshot};
use elysiactl::storage::{Handle, Storage};

/// A batch: its lane and its number there.
pub type BatchId = (LaneId, u64);

/// One moment of a run.
#[derive(Clone)]
pub struct Picture {
    /// When it was taken, in words.
    pub moment: String,
    /// The copy of the live folder.
    pub folder: PathBuf,
    pub server: Snapshot,
    /// Its address.
    pub url: String,
    pub told: Told,
}

/// What the run had told until then.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub applied: BTreeSet<BatchId>,
    pub committed: BTreeSet<BatchId>,
    /// How often each batch was applied in all.
    pub applications: usize,
    /// True from the moment at which nothing was left to do.
    pub is_finished: bool,
}

impl Told {
    pub fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Applied { lane, seq } => {
                self.applied.insert((*lane, *seq));
                self.applications += 1;
            }
            Event::Committed { lane, seq, .. } => {
                self.committed.insert((*lane, *seq));
            }
            Event::Finished { .. } => self.is_finished = true,
            _ => {}
        }
    }
}

pub struct Camera {
    /// What is copied.
    live: PathBuf,
    album: PathBuf,
    gate: RwLock<()>,
    server_gate: Arc<tokio::sync::RwLock<()>>,
    server: elysiactl::sandbox::Store,
    url: String,
    told: Mutex<Told>,
    pictures: Mutex<Vec<Picture>>,
}

impl Camera {
    /// Aims at the folder `live` and at the sandbox; pictures are put under `album`.
    pub fn aim(live: &Path, album: &Path, sandbox: &Sandbox) -> Arc<Self> {
        Arc::new(Camera {
            live: live.to_owned(),
            album: album.to_owned(),
            gate: RwLock::default(),
            server_gate: sandbox.gate(),
            server: sandbox.store().clone(),
            url: sandbox.url(),
            told: Mutex::default(),
            pictures: Mutex::default(),
        })
    }

    pub fn take_pictures(&self) -> Vec<Picture> {
        std::mem::take(&mut self.pictures.lock().unwrap())
    }

    pub fn shoot(&self, moment: String) {
        // Called from tasks and from plain threads: either may wait here, without keeping other tasks from running.
        tokio::task::block_in_place(|| self.shoot_alone(moment));
    }

    fn shoot_alone(&self, moment: String) {
        let _alone = self.gate.write().unwrap();
        let _server = self.server_gate.blocking_write();
        let mut pictures = self.pictures.lock().unwrap();
        let folder = self.album.join(pictures.len().to_string());
        copy_all(&self.live, &folder);
        pictures.push(Picture {
            moment,
            folder,
            server: self.server.snapshot(),
            url: self.url.clone(),
            told: self.told.lock().unwrap().clone(),
        });
    }

    /// A change: a picture before it, and none during it.
    fn change<T>(&self, moment: impl FnOnce() -> String, change: impl FnOnce() -> T) -> T {
        self.shoot(moment());
        tokio::task::block_in_place(|| {
            let _shared = self.gate.read().unwrap();
            change()
        })
    }
}

impl Reporter for Camera {
    fn event(&self, event: &Event<'_>) {
        self.told.lock().unwrap().hear(event);
        let moment = format!("{event:?}");
        self.shoot(moment.chars().take(90).collect());
    }
}

/// A journal before the camera.
pub struct WatchedStore(pub Arc<Camera>, pub Box<dyn Store>);

impl Store for WatchedStore {
    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        let WatchedStore(camera, inner) = self;
        camera.change(|| "before a commit".to_owned(), || inner.append(entries))?;
        camera.shoot("after a commit".to_owned());
        Ok(())
    }

    fn last_number(&self) -> u64 {
        self.1.last_number()
    }
}

/// An archive's storage before the camera.
pub struct WatchedStorage(pub Arc<Camera>, pub Arc<dyn Storage>);

impl WatchedStorage {
    fn change<T>(&self, what: &str, key: &str, change: impl FnOnce(&dyn Storage) -> T) -> T {
        self.0
            .change(|| format!("before {what} of {key}"), || change(&*self.1))
    }
}

impl Storage for WatchedStorage {
    fn make_folder(&self, key: &str) -> Result<()> {
        self.change("the making", key, |inner| inner.make_folder(key))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.change("the put", key, |inner| inner.put(key, bytes))
    }

    fn edit(&self, key: &str) -> Result<Box<dyn Handle>> {
        let handle = self.change("the opening", key, |inner| inner.edit(key))?;
        Ok(Box::new(WatchedHandle(self.0.clone(), handle)))
    }

    fn read(&self, key: &str) -> Result<Box<dyn Handle>> {
        self.1.read(key)
    }

    fn exists(&self, key: &str) -> Result<bool> {
        self.1.exists(key)
    }

    fn is_folder(&self, key: &str) -> Result<bool> {
        self.1.is_folder(key)
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        self.1.list(folder)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.change("the renaming", from, |inner| inner.rename(from, to))
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        self.change("the replacement", from, |inner| inner.replace(from, to))
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.change("the removal", key, |inner| inner.remove(key))
    }

    fn sync_folder(&self, key: &str) -> Result<()> {
        self.1.sync_folder(key)
    }

    fn free_bytes(&self) -> Result<u64> {
        self.1.free_bytes()
    }

    fn path(&self, key: &str) -> PathBuf {
        self.1.path(key)
    }
}

struct WatchedHandle(Arc<Camera>, Box<dyn Handle>);

impl Handle for WatchedHandle {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.1.read_exact_at(buffer, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.1.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.0.change(
            || format!("before {} bytes are written at {offset}", bytes.len()),
            || self.1.write_at(bytes, offset),
        )
    }

    fn length(&self) -> Result<u64> {
        self.1.length()
    }

    fn truncate(&self, length: u64) -> Result<()> {
        self.0.change(
            || format!("before a cut at {length}"),
            || self.1.truncate(length),
        )
    }

    fn sync(&self) -> Result<()> {
        self.1.sync()
    }
}

/// Copies a folder with everything in it. A file that is renamed or deleted meanwhile is left out, as a crash may leave it out.
pub fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().map(|sort| sort.is_dir()) {
            Ok(true) => copy_all(&entry.path(), &to),
            _ => match std::fs::copy(entry.path(), &to) {
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            },
        }
    }
}
