//! A job is given up: what it has begun and nobody will finish goes with it.

use super::*;

/// Forgets an unfinished job: its hidden archive and its lease, if it has them, and its folder.
pub(in crate::commands) fn discard(folder: JobFolder, state: &State) -> Result<()> {
    let identity = &state.spec.identity;
    let storage = Local::at(&identity.target);
    if let Some(name) = state.extra.get("archive") {
        storage.remove(&partial_name(name))?;
    }
    if identity.kind == JobKind::Backup {
        storage.remove(&lease::key(&identity.source, &state.job))?;
    }
    folder.remove()
}

/// As [`discard`], and says so.
pub(in crate::commands) fn discard_loudly(
    session: &Session,
    folder: JobFolder,
    state: &State,
) -> Result<()> {
    discard(folder, state)?;
    let what = match state.extra.contains_key("archive") {
        true if is_published(state) => " is removed; its finished archive stays",
        true => " and its unfinished archive are removed",
        false => " is removed",
    };
    let note = format!("job {}{what}", state.job);
    session.reporter.event(&Event::Note(&note));
    Ok(())
}
