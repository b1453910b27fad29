//! What a job noted in its journal and in its summary, read again.
//!
//! A stage that noted something was committed with it. A fact that is missing or cannot be read means that the journal
//! is damaged: it is never taken for nothing, as nothing is what a job without losses has found.

use std::str::FromStr;

use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::journal::State;

/// Noted in the job's summary: when it began, by the server's clock in Unix milliseconds.
pub(super) const SERVER_TIME: &str = "server time";

/// What a stage noted under this name.
pub(super) fn fact<'a>(job: &'a Job, name: &str) -> Result<&'a str> {
    let noted = job.facts.get(name).map(String::as_str);
    noted.ok_or_else(|| damaged(format!("the journal lacks `{name}`")))
}

/// The number that a stage noted under this name.
pub(super) fn fact_number<N: FromStr>(job: &Job, name: &str) -> Result<N> {
    let noted = fact(job, name)?;
    noted
        .parse()
        .map_err(|_| damaged(format!("`{name}` is no number in the journal: `{noted}`")))
}

/// How often the job was gone on with.
pub(super) fn resumed(state: &State) -> Result<u32> {
    Ok(noted_number(state, "resumed")?.unwrap_or(0))
}

/// When the job began, in Unix milliseconds: by the server's clock if it told its time.
pub(super) fn began(state: &State) -> Result<i64> {
    match noted_number(state, SERVER_TIME)? {
        Some(time) => Ok(time),
        None => Ok(state.started_at()?.as_millisecond()),
    }
}

/// A number in the job's summary, if one was noted under this name.
fn noted_number<N: FromStr>(state: &State, name: &str) -> Result<Option<N>> {
    let parsed = |noted: &String| {
        let what = || format!("the summary of the job holds no number as `{name}`: `{noted}`");
        let damaged = |_| Error::new(Kind::JournalDamaged, what());
        noted.parse().map_err(damaged)
    };
    state.extra.get(name).map(parsed).transpose()
}

fn damaged(what: String) -> Error {
    Error::new(Kind::JournalDamaged, what).with_hint("begin anew with --restart")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A job that knows nothing else.
    pub fn job_with(facts: &[(&str, &str)]) -> Job {
        let facts = facts.iter();
        Job {
            facts: facts
                .map(|(name, fact)| (name.to_string(), fact.to_string()))
                .collect(),
            ..Job::default()
        }
    }

    /// Each of `facts` is taken away and made unreadable in turn: never is the outcome anything but damage.
    pub fn none_may_lack<T>(facts: &[(&str, &str)], read: impl Fn(&Job) -> Result<T>) {
        assert!(read(&job_with(facts)).is_ok());
        for (name, _) in facts {
            let mut job = job_with(facts);
            job.facts.insert(name.to_string(), "-".into());
            let unreadable = read(&job);
            job.facts.remove(*name);
            for outcome in [unreadable, read(&job)] {
                let error = outcome.err().unwrap_or_else(|| panic!("without `{name}`"));
                assert_eq!(error.kind(), Kind::JournalDamaged, "{error}");
                assert!(error.message().contains(name), "{error}");
            }
        }
    }
}
