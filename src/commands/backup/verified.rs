//! After a backup: what is in the archive, told in the report; and `--verify`.

use std::path::Path;

use serde_json::{Value, json};

use super::{BackupRequest, census};
use crate::archive::Archive;
use crate::commands::diff::verify_backup;
use crate::commands::session::{Outcome, Session, add_to_report};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::JobFolder;

/// Adds count and digest per tenant to the report.
pub(super) fn report_tenants(folder: &JobFolder) -> Result<()> {
    let state = folder.state()?;
    let Some(path) = state.archives.first() else {
        return Ok(());
    };
    let archive = Archive::open(Path::new(path))?;
    let Some(trailer) = archive.trailer() else {
        return Ok(());
    };
    let integrity = &trailer.integrity;
    add_to_report(folder, "digest", json!(integrity.digest))?;
    add_to_report(folder, "tenants", json!(integrity.tenants))
}

/// Reads the archive from its first byte to its last, then compares it with the collection as it is now.
pub(super) async fn verify(
    session: &Session,
    request: &BackupRequest,
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
    for sentence in found.sentences() {
        session.warn(&sentence);
    }
    outcome.exit_code = match (outcome.exit_code, found.exit_code_of_job()) {
        (13, _) | (_, 13) => 13,
        (one, other) => one.max(other),
    };
    add_to_report(folder, "verification", found.report())?;
    add_to_report(folder, "exit_code", Value::from(outcome.exit_code))
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
