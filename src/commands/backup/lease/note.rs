//! What the file of a lease says, and what that tells of the run that wrote it.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::job::JobId;
use crate::journal::Holder;
use crate::model::CollectionName;

/// A job that stopped in order may be resumed on its own host for so long. No clock is so wrong that whoever was last heard
/// of before that could be at work.
const PAUSE: SignedDuration = SignedDuration::from_hours(24);

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    version: u32,
    pub job: String,
    pub collection: String,
    /// The final name of the archive, once it is chosen.
    pub archive: Option<String>,
    host: Option<String>,
    pid: u32,
    /// Among which processes that number means something.
    among: Option<String>,
    /// RFC 3339, by the clock of the run that wrote it.
    #[serde(with = "rfc3339")]
    pub heartbeat: Timestamp,
    /// False after a run that stopped in order and can be resumed.
    pub is_at_work: bool,
    /// True while the run looks whether another one had the same idea.
    #[serde(default)]
    pub is_claiming: bool,
}

impl Note {
    pub fn of_this_process(
        collection: &CollectionName,
        job: &JobId,
        archive: Option<String>,
    ) -> Note {
        let holder = Holder::this();
        Note {
            version: 1,
            job: job.to_string(),
            collection: collection.to_string(),
            archive,
            host: holder.host,
            pid: holder.pid,
            among: process_space(),
            heartbeat: now(),
            is_at_work: true,
            is_claiming: true,
        }
    }

    /// What a file says, if it says what a lease says; a name in it may not lead elsewhere.
    pub fn parse(text: &[u8]) -> Option<Note> {
        let note: Note = serde_json::from_slice(text).ok()?;
        let is_plain = |name: &String| !name.contains('/') && !name.is_empty();
        (note.version == 1 && note.archive.iter().all(is_plain)).then_some(note)
    }

    /// Nothing is waited for: it was given up, or its process is gone.
    pub fn is_dead(&self, now: Timestamp) -> bool {
        now.duration_since(self.heartbeat) > PAUSE || self.is_of_a_dead_process()
    }

    /// Among our own processes one can look. Our own number is of one before us: it does not know our jobs.
    fn is_of_a_dead_process(&self) -> bool {
        self.is_at_work
            && self.is_among_ours()
            && (self.pid == std::process::id() || !is_there(self.pid))
    }

    /// Its process is there and was heard of within `silence`: numbers of processes are given again.
    pub fn is_alive(&self, now: Timestamp, silence: SignedDuration) -> bool {
        let is_fresh = now.duration_since(self.heartbeat).abs() <= silence;
        self.is_at_work && is_fresh && self.is_among_ours() && is_there(self.pid)
    }

    fn is_among_ours(&self) -> bool {
        self.among.is_some() && self.among == process_space()
    }

    pub fn who(&self) -> String {
        let host = self.host.as_deref().unwrap_or("an unknown host");
        format!("job {}, process {} on {host}", self.job, self.pid)
    }
}

/// The name of the lease of a job.
pub(super) fn name(collection: &str, job: &str) -> String {
    format!(".{collection}.{job}.lease")
}

/// Containers may share the name of their host, but not its processes: this boot and this name space of processes.
fn process_space() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

fn is_there(pid: u32) -> bool {
    let all = Path::new("/proc");
    !all.join("self").exists() || all.join(pid.to_string()).exists()
}

/// To the second: people read it.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now)
}

mod rfc3339 {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(text: D) -> Result<Timestamp, D::Error> {
        String::deserialize(text)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SILENCE: SignedDuration = SignedDuration::from_mins(5);

    pub fn note(among: Option<&str>, pid: u32) -> Note {
        Note {
            version: 1,
            job: "0a1b2c3d".into(),
            collection: "Article".into(),
            archive: None,
            host: Some("host".into()),
            pid,
            among: among.map(str::to_owned),
            heartbeat: Timestamp::UNIX_EPOCH,
            is_at_work: true,
            is_claiming: false,
        }
    }

    fn later(span: SignedDuration) -> Timestamp {
        Timestamp::UNIX_EPOCH + span
    }

    #[test]
    fn only_a_clock_that_is_a_day_ahead_shows_a_run_elsewhere_to_be_dead() {
        let second = SignedDuration::from_secs(1);
        let mut note = note(Some("elsewhere"), 1);
        for is_at_work in [true, false] {
            note.is_at_work = is_at_work;
            assert!(!note.is_dead(later(PAUSE)) && note.is_dead(later(PAUSE + second)));
            // A clock that is behind ours says nothing about death.
            assert!(!note.is_dead(later(-PAUSE - second)));
        }
    }

    #[test]
    fn a_process_of_this_host_is_looked_for() {
        let here = process_space();
        let here = here.as_deref();
        let now = later(SignedDuration::ZERO);
        // No process has the largest number; the first one is always there.
        for (among, pid, is_dead, is_alive) in [
            (here, u32::MAX, true, false),
            (here, std::process::id(), true, true),
            (here, 1, false, true),
            (Some("elsewhere"), u32::MAX, false, false),
            (Some("elsewhere"), 1, false, false),
            (None, 1, false, false),
        ] {
            let note = note(among, pid);
            let judged = (note.is_dead(now), note.is_alive(now, SILENCE));
            assert_eq!(judged, (is_dead, is_alive), "{note:?}");
        }
        // Its number may have been given to another one.
        assert!(!note(here, 1).is_alive(later(SILENCE * 2), SILENCE));
    }

    #[test]
    fn a_lease_that_names_something_elsewhere_is_none() {
        let mut note = note(None, 1);
        let parsed = |note: &Note| Note::parse(&serde_json::to_vec(note).unwrap());
        assert_eq!(parsed(&note), Some(note.clone()));
        note.archive = Some("../../etc".into());
        assert_eq!(parsed(&note), None);
        assert_eq!(Note::parse(b"{\"version\":2}"), None);
    }
}
