//! `--backup-to`: nothing is cleared before an archive of it was read back and compared with the collection.

use std::path::Path;

use super::*;
use crate::archive::Format;
use crate::commands::backup::{BackupRequest, Follow, Inactive, backup_and_follow};
use crate::commands::diff;
use crate::format::Codec;

/// Noted in the job's summary: the archive that was made before.
const SAVED: &str = "saved";

/// Makes the archive and returns its path. A clear that is gone on with has one: what it has left is no whole
/// collection.
pub(super) async fn save(
    session: &Session,
    request: &ClearRequest,
    plan: &ClearPlan,
    destination: &Path,
) -> Result<String> {
    if let Some((folder, state)) = session.unfinished(&identity(request, plan.method))? {
        return match (session.unfinished, state.extra.get(SAVED)) {
            (Unfinished::Resume, Some(archive)) => Ok(archive.clone()),
            (Unfinished::Resume, None) => Err(begun_without(request, &state)),
            (Unfinished::Refuse | Unfinished::Restart, _) => {
                Err(session.in_the_way(&folder, &state))
            }
        };
    }
    let wanted = backup_request(request, destination);
    let outcome = backup_and_follow(session, &wanted, Follow::Always).await;
    let outcome = outcome.map_err(unsaved)?;
    let (0, Some(archive)) = (outcome.exit_code, &outcome.archive) else {
        let found = outcome
            .notes
            .first()
            .map_or("it is not whole", String::as_str);
        return Err(unsaved(Error::new(Kind::Difference, found)));
    };
    // They would be gone, and in no archive.
    if let Some(writes) = outcome
        .notes
        .iter()
        .find(|note| diff::tells_of_writes(note))
    {
        let error = unsaved(Error::new(Kind::Difference, writes));
        return Err(error.with_hint("stop what writes to it, then clear again"));
    }
    let archive = archive.display().to_string();
    session
        .reporter
        .event(&Event::Note(&format!("backed up and verified: {archive}")));
    Ok(archive)
}

/// Remembers it for a run that goes on.
pub(super) fn remember(state: &mut State, archive: Option<String>) {
    let archive = archive.map(|archive| (SAVED.to_owned(), archive));
    state.extra.extend(archive);
}

fn backup_request(request: &ClearRequest, destination: &Path) -> BackupRequest {
    BackupRequest {
        connection: request.connection.clone(),
        collection: request.collection.clone(),
        group: Vec::new(),
        destination: destination.to_owned(),
        format: Format::Json,
        codec: Codec::Zstd,
        with_data: true,
        verify: true,
        with_vectors: true,
        tenants: Vec::new(),
        inactive: Inactive::Refuse,
    }
}

fn unsaved(error: Error) -> Error {
    let is_resumable = matches!(error.kind(), Kind::Interrupted | Kind::Exhausted);
    let error = error
        .within("the backup before clearing did not succeed")
        .with_kept("nothing was cleared");
    match is_resumable {
        true => {
            error.with_hint("the same command with --resume goes on with the backup, then clears")
        }
        false => error,
    }
}

fn begun_without(request: &ClearRequest, state: &State) -> Error {
    Error::new(
        Kind::Mismatch,
        format!(
            "job {} began to clear `{}` without a backup; what is left is not the whole collection",
            state.job, request.collection
        ),
    )
    .with_hint("leave --backup-to out to go on, or pass --restart to begin anew")
}
