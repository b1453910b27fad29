//! The program's own jobs, as its commands run them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use elysiactl::archive::Format;
use elysiactl::commands::{
    self, BackupRequest, ClearMethod, ClearRequest, RestoreRequest, Session, Unfinished,
};
use elysiactl::engine::Stop;
use elysiactl::error::Result;
use elysiactl::event::Silent;
use elysiactl::format::Codec;
use elysiactl::job::Tuning;
use elysiactl::journal::{Entry, StateDir, Store, StoreKind};
use elysiactl::model::CollectionName;
use elysiactl::retry::Policy;
use elysiactl::weaviate::Connection;

/// A journal that remembers nothing: what checkpoints cost is the difference to it.
struct NoJournal(u64);

impl Store for NoJournal {
    fn append(&mut self, _: &[Entry]) -> Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn last_number(&self) -> u64 {
        self.0
    }
}

pub fn session(folder: &Path, workers: Option<u32>, has_journal: bool) -> Result<Session> {
    let mut state = StateDir::open(&folder.join("state"))?;
    if !has_journal {
        state = state.wrapping(|store| Box::new(NoJournal(store.last_number())));
    }
    Ok(Session {
        state,
        store: StoreKind::Sled,
        unfinished: Unfinished::Refuse,
        resume_within: Duration::from_secs(3600),
        silence: Duration::from_secs(300),
        is_dry_run: false,
        reporter: Arc::new(Silent),
        policy: Policy::default(),
        stop: Stop::new(Duration::from_secs(5)),
        tuning: Tuning {
            workers,
            ..Tuning::default()
        },
    })
}

pub async fn backup(
    session: &Session,
    connection: &Connection,
    collection: &str,
    folder: &Path,
    (format, codec): (Format, Codec),
) -> Result<u64> {
    let request = BackupRequest {
        connection: connection.clone(),
        collection: CollectionName::parse(collection)?,
        group: Vec::new(),
        destination: folder.to_owned(),
        format,
        codec,
        with_data: true,
        verify: false,
        with_vectors: true,
        tenants: Vec::new(),
        inactive: elysiactl::commands::Inactive::Refuse,
    };
    let outcome = commands::backup(session, &request).await?;
    assert_eq!(outcome.exit_code, 0, "{:?}", outcome.notes);
    Ok(outcome.tally.accepted)
}

pub async fn restore(
    session: &Session,
    connection: &Connection,
    archive: &Path,
    name: &str,
) -> Result<u64> {
    let request = RestoreRequest {
        connection: connection.clone(),
        archive: archive.to_owned(),
        name: Some(CollectionName::parse(name)?),
        skip_data: false,
        verify: false,
        merge: false,
        skip_vectors: false,
        revectorize: false,
        tenants: Vec::new(),
        reshape: Default::default(),
        force_schema: false,
    };
    let outcome = commands::restore(session, &request).await?;
    assert_eq!(outcome.exit_code, 0, "{:?}", outcome.notes);
    Ok(outcome.tally.accepted)
}

pub async fn clear(
    session: &Session,
    connection: &Connection,
    collection: &str,
    method: ClearMethod,
    objects: u64,
) -> Result<u64> {
    let request = ClearRequest {
        connection: connection.clone(),
        collection: CollectionName::parse(collection)?,
        delete_schema: false,
        method,
        backup_to: None,
        tenants: Vec::new(),
    };
    let plan = commands::plan_clear(session, &request).await?;
    let outcome = commands::clear(session, &request, plan).await?;
    assert_eq!(outcome.exit_code, 0, "{:?}", outcome.notes);
    Ok(objects)
}
