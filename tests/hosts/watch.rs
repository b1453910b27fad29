//! A run elsewhere, of which only its lease is known: it is watched, no clock is believed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use elysiactl::commands::{Outcome, Session, backup};
use elysiactl::error::{Kind, Result};
use elysiactl::event::{Event, Reporter};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::common;
use crate::leases::{BACKUP, from_elsewhere, leases, lost, write_lease};
use crate::program::World;

/// The clock of a host is a little behind, right, ahead, or of another zone.
const SKEWS: [i64; 6] = [-23 * 3600, -3600, -360, 0, 360, 14 * 3600];

/// Does something once a lease is watched.
struct WhenWatched<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> Reporter for WhenWatched<F> {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Warning(text) if text.contains(" may be at work on ")) {
            let deed = self.0.lock().unwrap().take();
            deed.into_iter().for_each(|deed| deed());
        }
    }
}

/// A backup in this process that waits for so long; `deed` is done when it begins to watch.
fn back_up(
    world: &World,
    silence: Duration,
    deed: impl FnOnce() + Send + 'static,
) -> Result<Outcome> {
    let reporter = Arc::new(WhenWatched(Mutex::new(Some(deed))));
    let session = Session {
        silence,
        ..common::session_told(&world.path().join("here"), reporter)
    };
    let connection = common::rest(&world.sandbox);
    let request = common::backup_request(&connection, "Article", &world.path().join("out"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(backup(&session, &request))
}

fn ago(seconds: i64) -> String {
    (Timestamp::now() + SignedDuration::from_secs(seconds)).to_string()
}

#[test]
fn a_lost_run_is_swept_after_the_time_of_silence_whatever_its_clock_said() {
    for skew in SKEWS {
        let world = lost(BACKUP, 3);
        write_lease(&world, &from_elsewhere(&ago(skew)));
        back_up(&world, Duration::ZERO, || ()).unwrap();
        assert_eq!(world.hidden("out"), [""; 0], "{skew}");
        assert_eq!(world.archives("out").len(), 1, "{skew}");
    }
}

#[test]
fn a_run_that_says_so_again_is_at_work_whatever_its_clock_says() {
    for skew in SKEWS {
        let world = lost(BACKUP, 3);
        write_lease(&world, &from_elsewhere(&ago(skew)));
        let left = world.hidden("out");
        let path = world
            .path()
            .join("out")
            .join(left.iter().find(|name| name.ends_with(".lease")).unwrap());
        let mut lease = leases(&world).remove(0);
        lease["heartbeat"] = json!(ago(skew + 30));
        let beat = move || std::fs::write(path, lease.to_string()).unwrap();
        // Nobody waits so long: it is seen at once.
        let error = back_up(&world, Duration::from_secs(3600), beat).unwrap_err();
        assert_eq!(error.kind(), Kind::Locked, "{error}");
        assert_eq!(world.hidden("out"), left, "{skew}");
    }
}

#[test]
fn a_run_that_ends_while_it_is_watched_holds_nobody_up() {
    let world = lost(BACKUP, 3);
    write_lease(&world, &from_elsewhere(&ago(0)));
    let names = world.hidden("out");
    let out = world.path().join("out");
    let ends = move || {
        names
            .iter()
            .for_each(|name| std::fs::remove_file(out.join(name)).unwrap())
    };
    back_up(&world, Duration::from_secs(3600), ends).unwrap();
    assert_eq!(world.hidden("out"), [""; 0]);
}

#[test]
fn a_signal_ends_the_watch_and_no_job_is_begun() {
    let world = lost(BACKUP, 3);
    write_lease(&world, &from_elsewhere(&ago(0)));
    let left = world.hidden("out");
    let running = world.start(BACKUP);
    running.says("may be at work on `Article` in `out`");
    running.signal(rustix::process::Signal::TERM);
    running.wait().with(4);
    assert_eq!((world.hidden("out"), world.jobs().len()), (left, 0));
}
