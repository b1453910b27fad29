//! One collection, a place for archives and jobs, and a listener that remembers the story.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use elysiactl::commands::{
    BackupRequest, Outcome, RestoreRequest, Session, backup, restore, verify,
};
use elysiactl::error::{Error, Result};
use elysiactl::event::{Event, Reporter};
use elysiactl::journal::StoreKind;
use elysiactl::sandbox::{Activity, Fault, Rule, Sandbox, Settings, When, sample_id};
use elysiactl::weaviate::{Connection, Transport};
use serde_json::json;
use uuid::Uuid;

use crate::common::{backup_request, restore_request, session_told};

/// Where a whole page is asked for; looking for a place to split asks for one object.
pub const PAGES: (&str, &str) = ("GET", "/v1/objects?class=Article&limit=50");
/// Where a batch is stored.
pub const BATCHES: (&str, &str) = ("POST", "/v1/batch/objects");

/// The same over gRPC; the first page of a run is compared with that of REST.
pub const SEARCHES: (&str, &str) = ("POST", "/weaviate.v1.Weaviate/Search");
/// The same over gRPC; the first object of a run goes alone.
pub const CALLS: (&str, &str) = ("POST", "/weaviate.v1.Weaviate/BatchObjects");

/// What was told, as far as these tests care.
#[derive(Default)]
pub struct Told {
    retries: Mutex<Vec<(String, String)>>,
    committed: Mutex<u64>,
    warnings: Mutex<Vec<String>>,
    changed: tokio::sync::Notify,
}

impl Told {
    /// What was being done and why it failed, for each retry.
    pub fn retries(&self) -> Vec<(String, String)> {
        self.retries.lock().unwrap().clone()
    }

    /// Waits until something was tried again for a reason of these words.
    pub async fn told_retry(&self, words: &str) {
        loop {
            let changed = self.changed.notified();
            if self.retries().iter().any(|(_, why)| why.contains(words)) {
                return;
            }
            changed.await;
        }
    }

    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap().clone()
    }

    pub fn committed(&self) -> u64 {
        *self.committed.lock().unwrap()
    }
}

impl Reporter for Told {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Retry { doing, error, .. } => {
                let retry = ((*doing).to_owned(), error.to_string());
                self.retries.lock().unwrap().push(retry);
                self.changed.notify_waiters();
            }
            Event::Committed { .. } => *self.committed.lock().unwrap() += 1,
            Event::Warning(text) => self.warnings.lock().unwrap().push((*text).to_owned()),
            _ => {}
        }
    }
}

/// A sandbox with a collection `Article`, and folders for what the jobs leave.
pub struct Bench {
    pub sandbox: Sandbox,
    folder: tempfile::TempDir,
    pub told: Arc<Told>,
    pub workers: u32,
    pub batch_size: u32,
    pub patience: Duration,
    pub time_out: Duration,
    /// REST alone, unless a test says otherwise.
    pub transport: Transport,
    /// That of the sandbox, unless a test says otherwise.
    pub grpc_url: String,
}

impl Bench {
    pub async fn with(objects: usize, workers: u32) -> Bench {
        let bench = Bench::empty(Settings::default(), workers).await;
        bench.sandbox.store().fill("Article", objects, 4, 1);
        bench
    }

    pub async fn empty(settings: Settings, workers: u32) -> Bench {
        let sandbox = Sandbox::start(settings).await.unwrap();
        Bench {
            grpc_url: sandbox.grpc_url(),
            sandbox,
            folder: tempfile::tempdir().unwrap(),
            told: Arc::default(),
            workers,
            batch_size: 50,
            patience: Duration::from_secs(20),
            time_out: Duration::from_secs(20),
            transport: Transport::Rest,
        }
    }

    /// Tenants, an alias, a legacy and a named vector: every call that a job can make is made.
    pub async fn with_everything() -> Bench {
        let bench = Bench::empty(Settings::default(), 2).await;
        let store = bench.sandbox.store();
        let mut definition = elysiactl::sandbox::sample_definition("Article");
        definition["multiTenancyConfig"] = json!({"enabled": true, "autoTenantActivation": true});
        store.create(&definition).unwrap();
        for tenant in ["amber", "blue", "coral"] {
            store.add_tenant("Article", tenant, Activity::Hot);
        }
        store.fill("Article", 24, 4, 1);
        store.add_alias("News", "Article");
        bench
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn session(&self, job: &str) -> Session {
        let mut session = session_told(&self.path().join(job), self.told.clone());
        session.store = StoreKind::File;
        session.tuning.workers = Some(self.workers);
        session.tuning.batch_size = Some(self.batch_size);
        session.policy.patience = Some(self.patience);
        session
    }

    pub fn backup_request(&self) -> BackupRequest {
        backup_request(&self.connection(), "Article", &self.path().join("out"))
    }

    pub fn restore_request(&self, archive: &Path, name: &str) -> RestoreRequest {
        restore_request(&self.connection(), archive, Some(name))
    }

    pub fn connection(&self) -> Connection {
        Connection {
            transport: self.transport,
            grpc_url: Some(self.grpc_url.clone()),
            read_timeout: self.time_out,
            write_timeout: self.time_out,
            ..self.sandbox.connection()
        }
    }

    pub async fn back_up(&self) -> Result<Outcome> {
        backup(&self.session("backup"), &self.backup_request()).await
    }

    /// The same server, over gRPC or not at all.
    pub fn over_grpc(mut self) -> Bench {
        self.transport = Transport::Grpc;
        self
    }

    /// A clean archive of the collection; made over REST, so that a test counts its own calls alone.
    pub async fn archive(&self) -> PathBuf {
        let mut request = self.backup_request();
        request.connection.transport = Transport::Rest;
        request.destination = self.path().join("clean-out");
        let saved = backup(&self.session("clean"), &request).await;
        saved.unwrap().archive.unwrap()
    }

    pub async fn restore(&self, archive: &Path, name: &str) -> Result<Outcome> {
        restore(&self.session(name), &self.restore_request(archive, name)).await
    }

    /// Adds a rule for the requests of this method and path.
    pub fn strike(&self, (method, path): (&str, &str), when: When, fault: Fault) -> usize {
        self.sandbox
            .faults()
            .add(Rule::new(method, path, when, fault))
    }

    pub fn struck(&self, rule: usize) -> u64 {
        self.sandbox.faults().struck(rule)
    }

    /// Ends all faults, then checks that the archive is whole and holds the collection as it is, less `missing`.
    pub async fn assert_archived(&self, saved: &Outcome, missing: &[Uuid], what: &str) {
        self.sandbox.faults().clear();
        let archive = saved.archive.as_ref().unwrap();
        assert!(verify(archive).is_ok(), "{what}: {:?}", verify(archive));
        let mut copy = self.restore_request(archive, "Check");
        copy.merge = false;
        let back = restore(&self.session("check"), &copy).await;
        assert_eq!(back.unwrap().exit_code, 0, "{what}");
        let mut expected = self.sandbox.store().dump("Article");
        expected.retain(|object| !missing.contains(&object.id));
        let found = self.sandbox.store().dump("Check");
        assert!(found == expected, "{what}: the archive differs");
    }

    /// That `name` holds what the collection holds, less `missing`.
    pub fn assert_equal(&self, name: &str, missing: &[Uuid], what: &str) {
        let mut expected = self.sandbox.store().dump("Article");
        expected.retain(|object| !missing.contains(&object.id));
        let found = self.sandbox.store().dump(name);
        assert!(
            found == expected,
            "{what}: {} objects instead of {}, or others",
            found.len(),
            expected.len()
        );
    }

    /// True if nothing at the destination looks like an archive.
    pub fn has_no_archive(&self) -> bool {
        let entries = std::fs::read_dir(self.path().join("out")).unwrap();
        let mut names = entries.map(|entry| entry.unwrap().file_name());
        names.all(|name| name.to_string_lossy().starts_with('.'))
    }

    /// The ids of the collection in the order in which they are listed.
    pub fn ids(&self) -> Vec<Uuid> {
        let objects = self.sandbox.store().dump("Article");
        objects.into_iter().map(|object| object.id).collect()
    }

    /// The ids and reasons in the `rejects.jsonl` of a job's only folder.
    pub fn rejects(&self, job: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        collect_rejects(&self.path().join(job), &mut found);
        found
    }
}

fn collect_rejects(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_rejects(&path, found);
        } else if path.ends_with("rejects.jsonl") {
            for line in std::fs::read_to_string(path).unwrap().lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let text = |name: &str| line[name].as_str().unwrap().to_owned();
                found.push((text("id"), text("reason")));
            }
        }
    }
}

/// The id of a sample object of `Article`.
pub fn sample(position: usize) -> Uuid {
    sample_id("Article", 1, position)
}

/// Kind, message, kept and hint, for the text of a failing assertion.
pub fn shown(error: &Error) -> String {
    format!("{error:?}")
}

/// A refusal before the effect.
pub fn status(status: u16) -> Fault {
    Fault::Status {
        status,
        retry_after: None,
        body: r#"{"error":[{"message":"no"}]}"#.to_owned(),
    }
}
