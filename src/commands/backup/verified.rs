//! After a backup: what is in the archive, told in the report; and `--verify`.

use std::path::Path;

use serde_json::Value;

use super::{BackupRequest, census};
use crate::archive::Archive;
use crate::commands::diff::verify_backup;
use crate::commands::session::{Outcome, Session, add_to_report};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::JobFolder;
use crate::storage::Storage;

/// The name of the job's archive at its destination.
pub(super) fn archive_name(folder: &JobFolder) -> Result<String> {
    let archives = folder.state()?.archives;
    let name = archives
        .first()
        .and_then(|path| Path::new(path).file_name());
    Ok(name.unwrap_or_default().to_string_lossy().into_owned())
}

/// The report as it is now, where whoever finds the archive finds it.
pub(super) fn put_report_beside(storage: &dyn Storage, folder: &JobFolder) -> Result<()> {
    let name = archive_name(folder)?;
    match folder.report()? {
        Some(report) => storage.put(&format!(".{name}.report.json"), report.as_bytes()),
        None => Ok(()),
    }
}

/// Reads the archive from its first byte to its last, then compares it with the collection as it is now.
pub(super) async fn verify(
    session: &Session,
    request: &BackupRequest,
    storage: &dyn Storage,
    folder: &JobFolder,
    outcome: &mut Outcome,
) -> Result<()> {
    let Some(path) = outcome.archive.clone() else {
        return Ok(());
    };
    let doing = "verify the archive";
    session.reporter.event(&Event::Stage { doing });
    let archive = Archive::open(&path)?;
    archive.verify()?;
    let state = folder.state()?;
    let began = state.extra.get("server time");
    let started = match began.and_then(|time| time.parse().ok()) {
        Some(time) => time,
        None => state.started_at()?.as_millisecond(),
    };
    let rejected = census::read_rejected(folder)?;
    let found = verify_backup(session, archive, &request.connection, rejected, started)
        .await
        .map_err(|error| still_whole(error, &path))?;
    let code = found.exit_code_of_job();
    for sentence in found.sentences() {
        session.reporter.event(&match code {
            0 => Event::Note(&sentence),
            _ => Event::Warning(&sentence),
        });
    }
    outcome.exit_code = match (outcome.exit_code, code) {
        (13, _) | (_, 13) => 13,
        (one, other) => one.max(other),
    };
    add_to_report(folder, "verification", found.report())?;
    add_to_report(folder, "exit_code", Value::from(outcome.exit_code))?;
    put_report_beside(storage, folder)
}

fn still_whole(error: Error, path: &Path) -> Error {
    let path = path.display();
    error
        .within("the archive was not compared with the collection")
        .with_kept(format!("the archive `{path}` is whole"))
        .with_hint(format!(
            "`elysiactl col verify {path} --live` compares them"
        ))
}
