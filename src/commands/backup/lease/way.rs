//! What other runs left at a destination: one that is at work is kept off from, what a lost one left is swept.
//!
//! The clocks of two hosts do not tell whether a run is alive: its lease is watched. It is at work if the file changes, and
//! dead if it stays as it is for the time of silence by our own clock.

use std::io::Read as _;
use std::time::Instant;

use jiff::SignedDuration;

use super::super::Session;
use super::note::{Note, now};
use crate::archive::partial_name;
use crate::error::{Error, Kind, Result};
use crate::journal::Listed;
use crate::model::CollectionName;
use crate::storage::{Storage, Stream};

/// No lease is longer.
const LONGEST: u64 = 4 << 10;
/// A lease is looked at so often in the time of silence.
const LOOKS: u32 = 150;

/// What stands in the way of a backup of one collection.
pub(in crate::commands::backup) struct Way<'a> {
    pub session: &'a Session,
    pub storage: &'a dyn Storage,
    pub collection: &'a CollectionName,
}

/// What a lease means.
enum Verdict {
    /// It is nobody's any more, or holds nobody up.
    Free,
    AtWork,
    /// Only time can tell.
    Unsure,
}

/// What became of a lease that was watched.
enum Watched {
    Gone,
    Changed(Note),
    Silent,
}

impl Way<'_> {
    /// Returns once nobody is at work and what lost runs left is swept; [`Kind::Locked`] if somebody is at work.
    pub async fn clear(&self) -> Result<()> {
        let hidden = self.unfinished()?;
        let leases = self.leases()?;
        self.pass_all(None).await?;
        let jobs = self.session.state.jobs()?;
        self.name_strays(&hidden, &leases, &jobs)
    }

    /// The same once the own claim is made: of those who claim at once, the first by name goes on when all others have
    /// given way.
    pub(super) async fn contend(&self, own: &Note) -> Result<()> {
        self.pass_all(Some(own)).await
    }

    async fn pass_all(&self, own: Option<&Note>) -> Result<()> {
        let jobs = self.session.state.jobs()?;
        for (key, note) in self.leases()? {
            self.pass(&key, note, &jobs, own).await?;
        }
        Ok(())
    }

    async fn pass(
        &self,
        key: &str,
        mut note: Note,
        jobs: &[Listed],
        own: Option<&Note>,
    ) -> Result<()> {
        loop {
            match self.judge(key, &note, jobs, own)? {
                Verdict::Free => return Ok(()),
                Verdict::AtWork => return Err(self.held(&note)),
                Verdict::Unsure if own.is_none() => self.say_watched(&note),
                Verdict::Unsure => {}
            }
            match self.watch(key, &note).await? {
                Watched::Gone => return Ok(()),
                Watched::Silent => return self.sweep(key, &note, jobs),
                Watched::Changed(next) if own.is_none() && next.is_at_work => {
                    return Err(self.held(&next));
                }
                Watched::Changed(next) => note = next,
            }
        }
    }

    fn judge(
        &self,
        key: &str,
        note: &Note,
        jobs: &[Listed],
        own: Option<&Note>,
    ) -> Result<Verdict> {
        if let Some(job) = jobs.iter().find(|job| job.id.as_str() == note.job) {
            // It ended between its last step and the removal of its lease.
            if job.state.as_ref().is_ok_and(|state| state.is_done) {
                self.storage.remove(key)?;
            }
            return Ok(Verdict::Free);
        }
        if note.is_dead(now()) {
            self.sweep(key, note, jobs)?;
            return Ok(Verdict::Free);
        }
        let silence = SignedDuration::try_from(self.session.silence).unwrap_or(SignedDuration::MAX);
        Ok(match own {
            _ if !note.is_at_work => Verdict::Free,
            // It was not there when the way was clear: it is no lost one's.
            Some(own) if note.is_claiming && note.job > own.job => Verdict::Unsure,
            Some(_) => Verdict::AtWork,
            None if note.is_alive(now(), silence) => Verdict::AtWork,
            None => Verdict::Unsure,
        })
    }

    async fn watch(&self, key: &str, note: &Note) -> Result<Watched> {
        let (silence, stop) = (self.session.silence, &self.session.stop);
        let began = Instant::now();
        loop {
            match self.read(key)? {
                None => return Ok(Watched::Gone),
                Some(text) => match Note::parse(&text) {
                    Some(next) if next == *note => {}
                    Some(next) => return Ok(Watched::Changed(next)),
                    None => return Err(self.held(note)),
                },
            }
            if began.elapsed() >= silence {
                return Ok(Watched::Silent);
            }
            tokio::select! {
                () = tokio::time::sleep(silence / LOOKS) => {}
                () = stop.asked() => stop.check()?,
            }
        }
    }

    fn leases(&self) -> Result<Vec<(String, Note)>> {
        let start = format!(".{}.", self.collection);
        let mut found = Vec::new();
        for (key, _) in self.storage.list("")? {
            if !key.starts_with(&start) || !key.ends_with(".lease") {
                continue;
            }
            match self.read(&key)? {
                None => {}
                Some(text) => match Note::parse(&text) {
                    Some(note) => found.push((key, note)),
                    None => self.session.warn(&format!(
                        "`{}` is not a lease that this version can read; it is left alone",
                        self.storage.path(&key).display()
                    )),
                },
            }
        }
        Ok(found)
    }

    /// `None` if it is gone by now.
    fn read(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let file = match self.storage.read(key) {
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = Vec::new();
        let outcome = Stream::new(file).take(LONGEST).read_to_end(&mut text);
        outcome.map_err(|cause| {
            let path = self.storage.path(key);
            Error::new(Kind::Failed, format!("cannot read `{}`", path.display())).with_cause(cause)
        })?;
        Ok(Some(text))
    }

    /// The archive first: a crash in between is found again by the lease.
    fn sweep(&self, key: &str, note: &Note, jobs: &[Listed]) -> Result<()> {
        let hidden = note.archive.as_deref().map(partial_name);
        if let Some(hidden) = hidden.filter(|hidden| self.storage.exists(hidden).unwrap_or(true)) {
            if is_owned(jobs, note.archive.as_deref()) {
                return Ok(());
            }
            self.storage.remove(&hidden)?;
            self.session.warn(&format!(
                "the unfinished archive `{}` is removed: it was left by {}, last heard of at {}, and nobody can finish it",
                self.storage.path(&hidden).display(),
                note.who(),
                note.heartbeat,
            ));
        }
        self.storage.remove(key)
    }

    fn say_watched(&self, note: &Note) {
        let place = self.storage.path("");
        self.session.warn(&format!(
            "{} may be at work on `{}` in `{}`, last heard of at {}: it counts as dead after {} of silence",
            note.who(),
            self.collection,
            place.display(),
            note.heartbeat,
            humantime::format_duration(self.session.silence),
        ));
    }

    fn held(&self, note: &Note) -> Error {
        let place = self.storage.path("");
        Error::new(
            Kind::Locked,
            format!(
                "`{}` is being backed up into `{}` by {}, last heard of at {}",
                self.collection,
                place.display(),
                note.who(),
                note.heartbeat
            ),
        )
        .with_hint("wait until that run is over, or stop it")
    }
}

/// Names are unique at a destination; one that an unfinished job of ours uses anywhere is left alone.
pub(super) fn is_owned(jobs: &[Listed], archive: Option<&str>) -> bool {
    let unfinished = jobs.iter().filter_map(|job| job.state.as_ref().ok());
    let mut unfinished = unfinished.filter(|state| !state.is_done);
    unfinished.any(|state| state.extra.get("archive").map(String::as_str) == archive)
}
