//! A job with its surroundings: the folder in which all of it lies, and how to run it, now and again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use elysiactl::archive::Format;
use elysiactl::commands::{
    self, BackupRequest, ClearMethod, ClearRequest, Outcome, RestoreRequest, Session,
};
use elysiactl::error::Result;
use elysiactl::event::{Event, Reporter, Silent};
use elysiactl::format::Codec;
use elysiactl::job::{Tally, Tuning};
use elysiactl::journal::{Listed, StateDir, StoreKind};
use elysiactl::sandbox::{Sandbox, Settings, Snapshot, Store};
use elysiactl::storage::Local;
use elysiactl::weaviate::{Connection, Transport};

use crate::camera::{Camera, Picture, Told, WatchedStorage, WatchedStore};
use crate::common;

pub const COLLECTION: &str = "Article";

/// What is done.
#[derive(Clone)]
pub enum Deed {
    Backup(Format, Codec),
    Restore(PathBuf),
    Clear(ClearMethod),
}

/// A job that can be run again at the same place.
pub struct Scene {
    root: tempfile::TempDir,
    pub deed: Deed,
    pub store: StoreKind,
    pub workers: u32,
    pub batch: u32,
    /// How objects are moved; over gRPC, or not at all, unless a test says otherwise.
    pub transport: Transport,
}

impl Scene {
    pub fn new(deed: Deed, store: StoreKind, workers: u32) -> Self {
        Scene {
            root: temporary_folder(),
            deed,
            store,
            workers,
            batch: 25,
            transport: Transport::Grpc,
        }
    }

    /// The same, moved over this.
    pub fn over(self, transport: Transport) -> Self {
        Scene { transport, ..self }
    }

    pub fn backup(store: StoreKind) -> Self {
        Scene::new(Deed::Backup(Format::Json, Codec::Zstd), store, 1)
    }

    /// What a crash leaves: the state directory and the destination.
    pub fn live(&self) -> PathBuf {
        self.root.path().join("live")
    }

    pub fn state(&self) -> PathBuf {
        self.live().join("state")
    }

    pub fn backups(&self) -> PathBuf {
        self.live().join("backups")
    }

    pub fn session(&self, reporter: Arc<dyn Reporter>) -> Session {
        std::fs::create_dir_all(self.live()).unwrap();
        Session {
            store: self.store,
            tuning: Tuning {
                batch_size: Some(self.batch),
                workers: Some(self.workers),
                ..Tuning::default()
            },
            ..common::session_told(&self.state(), reporter)
        }
    }

    pub fn backup_request(&self, server: &Connection) -> BackupRequest {
        let mut request = common::backup_request(&self.reach(server), COLLECTION, &self.backups());
        if let Deed::Backup(format, codec) = &self.deed {
            (request.format, request.codec) = (*format, *codec);
        }
        request
    }

    pub fn restore_request(&self, server: &Connection) -> RestoreRequest {
        let archive = match &self.deed {
            Deed::Restore(archive) => archive.clone(),
            Deed::Backup(..) | Deed::Clear(_) => self.archives().remove(0),
        };
        common::restore_request(&self.reach(server), &archive, None)
    }

    /// Runs the job as a new process would: begins it, or goes on with it.
    pub async fn run(&self, server: &Connection, reporter: Arc<dyn Reporter>) -> Result<Outcome> {
        let session = self.session(reporter);
        match &self.deed {
            Deed::Backup(..) => commands::backup(&session, &self.backup_request(server)).await,
            Deed::Restore(_) => commands::restore(&session, &self.restore_request(server)).await,
            Deed::Clear(method) => self.clear(&session, server, *method).await,
        }
    }

    pub async fn run_silently(&self, server: &Connection) -> Result<Outcome> {
        self.run(server, Arc::new(Silent)).await
    }

    /// The server over the protocols of this scene.
    fn reach(&self, server: &Connection) -> Connection {
        Connection {
            transport: self.transport,
            ..server.clone()
        }
    }

    async fn clear(
        &self,
        session: &Session,
        server: &Connection,
        method: ClearMethod,
    ) -> Result<Outcome> {
        let request = ClearRequest {
            method,
            ..common::clear_request(&self.reach(server), COLLECTION)
        };
        let plan = commands::plan_clear(session, &request).await?;
        commands::clear(session, &request, plan).await
    }

    /// Runs the job and gives back a picture of every moment.
    pub async fn photographed(&self, sandbox: &Sandbox) -> (Result<Outcome>, Vec<Picture>) {
        let camera = Camera::aim(&self.live(), &self.root.path().join("album"), sandbox);
        let mut session = self.session(camera.clone());
        let watching = camera.clone();
        session.state = session
            .state
            .wrapping(move |store| Box::new(WatchedStore(watching.clone(), store)));
        let server = sandbox.connection();
        let outcome = match &self.deed {
            Deed::Backup(..) => {
                let local = Arc::new(Local::at(self.backups()));
                let storage = Arc::new(WatchedStorage(camera.clone(), local));
                commands::backup_into(&session, &self.backup_request(&server), storage).await
            }
            Deed::Restore(_) => commands::restore(&session, &self.restore_request(&server)).await,
            Deed::Clear(method) => {
                // Everything lies at the server: a picture before and after each request.
                let watching = camera.clone();
                sandbox.on_request(move |request| {
                    let when = request.status.map_or("before", |_| "after");
                    watching.shoot(format!("{when} {} {}", request.method, request.path));
                });
                self.clear(&session, &server, *method).await
            }
        };
        (outcome, camera.take_pictures())
    }

    /// Puts everything back to the moment of the picture and starts another server with its data.
    pub async fn put_back(&self, picture: &Picture) -> Sandbox {
        self.replace_live(&picture.folder);
        let sandbox = server_with(&picture.server).await;
        self.move_debts(&picture.url, &sandbox.url());
        sandbox
    }

    /// What is owed to the server that was photographed is owed to the one that stands for it.
    fn move_debts(&self, from: &str, to: &str) {
        for job in entries(&self.state().join("jobs")) {
            let owed = job.join("obligations.json");
            if let Ok(text) = std::fs::read_to_string(&owed) {
                std::fs::write(owed, text.replace(from, to)).unwrap();
            }
        }
    }

    fn replace_live(&self, folder: &Path) {
        std::fs::remove_dir_all(self.live()).unwrap();
        crate::camera::copy_all(folder, &self.live());
    }

    /// What lies at the destination under a name that can be seen.
    pub fn archives(&self) -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = entries(&self.backups());
        names.retain(|path| !is_hidden(path));
        names
    }

    /// What is hidden and is not a report.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let mut names = entries(&self.backups());
        names.retain(|path| is_hidden(path) && !path.to_string_lossy().ends_with(".report.json"));
        names
    }

    /// The archive that is under way.
    pub fn unfinished_archive(&self) -> PathBuf {
        let mut names = self.leftovers();
        names.retain(|path| path.to_string_lossy().ends_with(".partial"));
        let [archive] = names.try_into().unwrap();
        archive
    }

    pub fn jobs(&self) -> Vec<Listed> {
        StateDir::open(&self.state()).unwrap().jobs().unwrap()
    }

    /// The folder of the only job.
    pub fn job_folder(&self) -> PathBuf {
        let jobs = self.jobs();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        self.state().join("jobs").join(jobs[0].id.as_str())
    }
}

/// In memory where there is room: pictures cannot show a missing sync, and thousands of syncs take minutes on a disk.
pub fn temporary_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |about| about.f_bavail * about.f_frsize);
    match room > 2 << 30 {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Another server with the same data, at another address.
pub async fn server_with(data: &Snapshot) -> Sandbox {
    let store = Store::new();
    store.restore(data);
    Sandbox::start_with(Settings::default(), store)
        .await
        .unwrap()
}

pub async fn empty_server() -> Sandbox {
    Sandbox::start(Settings::default()).await.unwrap()
}

/// Listens to a run, and to nothing else.
#[derive(Default)]
pub struct Ear {
    pub told: Mutex<Told>,
    /// What earlier runs had committed, by the run's own words.
    pub kept: Mutex<Tally>,
    pub warnings: Mutex<Vec<String>>,
}

impl Reporter for Ear {
    fn event(&self, event: &Event<'_>) {
        self.told.lock().unwrap().hear(event);
        match event {
            Event::Started { kept, .. } => *self.kept.lock().unwrap() = *kept,
            Event::Warning(warning) => self.warnings.lock().unwrap().push((*warning).to_owned()),
            _ => {}
        }
    }
}
