//! `--allow-degraded`: replicas that were away are told when they are seen, and again at the end of the job, which is 3.
//!
//! What the lost one held alone was not seen, and what was written or deleted meanwhile it has not got: nobody can show
//! that all was done.

use super::session::Session;
use crate::error::Result;
use crate::journal::{JobFolder, State};
use crate::weaviate::Client;

/// Noted in the job's summary: why not every replica was at hand.
const DEGRADED: &str = "degraded";

/// Says it, once.
pub(super) fn tell(session: &Session, client: &Client) {
    if let Some(news) = client.news_of_replicas() {
        session.warn(&format!("{news}; what is there goes on without it"));
    }
}

/// Keeps it with the job: a later run may find all replicas.
pub(super) fn keep(session: &Session, client: &Client, folder: &JobFolder) -> Result<()> {
    tell(session, client);
    let Some(why) = client.degraded() else {
        return Ok(());
    };
    let note = |state: &mut State| {
        state.extra.entry(DEGRADED.into()).or_insert(why.to_owned());
    };
    folder.update_state(note).map(drop)
}

/// Adds what was kept to `notes`; returns the exit code that it asks for.
pub(super) fn note(folder: &JobFolder, notes: &mut Vec<String>) -> Result<u8> {
    let state = folder.state()?;
    let Some(why) = state.extra.get(DEGRADED) else {
        return Ok(0);
    };
    notes.push(format!("not every replica took part: {why}"));
    Ok(3)
}
