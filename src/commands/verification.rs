//! `--verify`: the comparison is a stage of its job, and what it found is kept with the job.
//!
//! A comparison that loses its server or is killed leaves the job to be gone on with; it begins again, nothing is moved
//! again. Whichever run asked for it, the job is not done before it was made.

use std::collections::BTreeMap;
use std::future::Future;

use serde_json::Value;

use super::diff::{Comparison, DELETED_SINCE};
use super::facts::{fact, fact_number};
use super::session::{Session, add_to_report};
use crate::engine::Facts;
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::journal::{JobFolder, State};

/// Noted in the job's summary once a run has asked for it.
const WANTED: &str = "verify";
/// A fact: the exit code that the comparison asks for.
const CODE: &str = "verify code";
/// A fact: its findings, as a list of sentences.
const FOUND: &str = "verify found";

/// Remembers that the job is to be verified: a later run need not ask again.
pub(super) fn want(state: &mut State) {
    state.extra.insert(WANTED.into(), "yes".into());
}

/// True if this run or an earlier one asked for it.
pub(super) fn is_wanted(state: &State) -> bool {
    state.extra.contains_key(WANTED)
}

/// True once it is made.
pub(super) fn is_made(job: &Job) -> bool {
    job.facts.contains_key(CODE)
}

/// Makes the comparison. It has nothing to bring to an end, so a signal ends it where it is.
pub(super) async fn make(
    session: &Session,
    folder: &JobFolder,
    comparison: impl Future<Output = Result<Comparison>>,
) -> Result<Facts> {
    let found = session.stop.cuts_short(comparison).await?;
    // Tenants are too many for the journal.
    folder.write_verification(&found.report().to_string())?;
    facts(found.exit_code_of_job(), &found.sentences())
}

/// What is known without a comparison.
pub(super) fn finding(code: u8, sentence: String) -> Result<Facts> {
    facts(code, &[sentence])
}

fn facts(code: u8, sentences: &[String]) -> Result<Facts> {
    let sentences = serde_json::to_string(sentences)
        .map_err(|cause| Error::new(Kind::Failed, "findings cannot be kept").with_cause(cause))?;
    let facts = [(CODE.into(), code.to_string()), (FOUND.into(), sentences)];
    Ok(Facts::from(facts))
}

/// Adds the findings to `notes`; returns the exit code that they ask for. A comparison that was made or is `due` must
/// have found something, if only that nothing differs.
pub(super) fn tell(job: &Job, due: bool, notes: &mut Vec<String>) -> Result<u8> {
    if !due && !job.facts.contains_key(CODE) && !job.facts.contains_key(FOUND) {
        return Ok(0);
    }
    let found: Vec<String> = serde_json::from_str(fact(job, FOUND)?).map_err(|cause| {
        let what = format!("`{FOUND}` cannot be read in the journal");
        Error::new(Kind::JournalDamaged, what).with_cause(cause)
    })?;
    notes.extend(found);
    fact_number(job, CODE)
}

/// Puts what was found into the report of the job.
pub(super) fn complete_report(folder: &JobFolder) -> Result<()> {
    let Some(text) = folder.verification()? else {
        return Ok(());
    };
    let found: Value = serde_json::from_str(&text).map_err(|cause| unreadable(&cause))?;
    add_to_report(folder, "verification", found)
}

/// How many objects the archive lacks or has as they were, for a reason that makes it no bad archive; 0 if it was not compared.
pub(super) fn unarchived(folder: &JobFolder) -> Result<u64> {
    #[derive(serde::Deserialize)]
    struct Found {
        explained: BTreeMap<String, u64>,
    }
    let Some(text) = folder.verification()? else {
        return Ok(0);
    };
    let found: Found = serde_json::from_str(&text).map_err(|cause| unreadable(&cause))?;
    let explained = found.explained.iter();
    Ok(explained
        .filter(|(why, _)| why.as_str() != DELETED_SINCE)
        .map(|(_, count)| count)
        .sum())
}

fn unreadable(cause: &serde_json::Error) -> Error {
    Error::new(
        Kind::JournalDamaged,
        format!("the verification of the job cannot be read: {cause}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::facts::tests::{job_with, none_may_lack};

    #[test]
    fn findings_that_are_lost_are_no_success() {
        let made = [(CODE, "0"), (FOUND, "[]")];
        for due in [true, false] {
            let tell = |job: &Job| tell(job, due, &mut Vec::new());
            assert_eq!(tell(&job_with(&made)).unwrap(), 0);
        }
        none_may_lack(&made, |job| tell(job, false, &mut Vec::new()));
        let nothing = job_with(&[]);
        assert_eq!(tell(&nothing, false, &mut Vec::new()).unwrap(), 0);
        assert!(tell(&nothing, true, &mut Vec::new()).is_err());
    }
}
