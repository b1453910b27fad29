//! Jobs side by side in a state directory: locks, states, obligations, and what is left after a crash.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::story::spec;
use super::{JobFolder, Obligation, StateDir, StoreKind};
use crate::error::{Error, Kind};
use crate::job::{JobId, JobKind};

fn state_dir() -> (tempfile::TempDir, StateDir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = StateDir::open(&temp.path().join("deep/state")).unwrap();
    (temp, dir)
}

fn create(dir: &StateDir) -> JobFolder {
    dir.create(&spec(JobKind::Backup), StoreKind::File).unwrap()
}

fn woken(tenant: &str) -> Obligation {
    Obligation::WokenTenants {
        url: "http://localhost:8080".into(),
        collection: "Article".into(),
        tenants: vec![tenant.into()],
    }
}

#[test]
fn a_job_is_open_once_and_the_error_names_who_holds_it() {
    let (_temp, dir) = state_dir();
    let folder = create(&dir);
    let id = folder.id().clone();
    let error = dir.open_job(&id).unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    let process = format!("process {}", std::process::id());
    assert!(error.message().contains(&process), "{error}");
    assert_eq!(dir.remove(&id).unwrap_err().kind(), Kind::Locked);
    drop(folder);
    assert_eq!(dir.open_job(&id).unwrap().id(), &id);
}

#[test]
fn a_job_runs_only_while_its_lock_is_held() {
    let (_temp, dir) = state_dir();
    let folder = create(&dir);
    let listed = &dir.jobs().unwrap()[0];
    assert!(listed.is_running);
    assert_eq!(listed.holder.as_ref().unwrap().pid, std::process::id());
    // A killed process leaves its lock file with its name in it.
    drop(folder);
    assert!(!dir.jobs().unwrap()[0].is_running);
}

#[test]
fn an_unknown_job_is_not_found_and_not_made() {
    let (_temp, dir) = state_dir();
    let id = JobId::random();
    assert_eq!(dir.open_job(&id).unwrap_err().kind(), Kind::NotFound);
    assert!(!dir.folder(&id).exists());
}

#[test]
fn the_state_comes_back_with_the_time_of_writing() {
    let (_temp, dir) = state_dir();
    let folder = create(&dir);
    let mut state = folder.state().unwrap();
    assert_eq!(state.spec, spec(JobKind::Backup));
    state.commit_number = 7;
    state.stopped = Some(super::Stopped::now(&Error::new(
        Kind::Interrupted,
        "stopped",
    )));
    state.extra.insert("method".into(), "by-id".into());
    state.updated = "never".into();
    folder.write_state(&state).unwrap();
    let found = folder.state().unwrap();
    assert!(found.updated.parse::<jiff::Timestamp>().is_ok() && found.started_at().is_ok());
    state.updated.clone_from(&found.updated);
    assert_eq!(found, state);
}

#[test]
fn a_state_that_cannot_be_read_is_listed_with_its_reason() {
    let (_temp, dir) = state_dir();
    let (good, broken, newer, missing) = (create(&dir), create(&dir), create(&dir), create(&dir));
    let path = |folder: &JobFolder| folder.path().join("state.json");
    fs::write(path(&broken), "{\"version\":1").unwrap();
    let text = fs::read_to_string(path(&newer)).unwrap();
    fs::write(
        path(&newer),
        text.replace("\"version\": 1", "\"version\": 8"),
    )
    .unwrap();
    fs::remove_file(path(&missing)).unwrap();
    let jobs = dir.jobs().unwrap();
    assert_eq!((jobs.len(), &jobs[0].id), (4, good.id()));
    let kind_of = |folder: &JobFolder| {
        let listed = jobs.iter().find(|job| &job.id == folder.id()).unwrap();
        listed.state.as_ref().unwrap_err().kind()
    };
    assert_eq!(kind_of(&broken), Kind::JournalDamaged);
    assert_eq!(kind_of(&newer), Kind::Incompatible);
    assert_eq!(kind_of(&missing), Kind::JournalDamaged);
    assert!(newer.state().unwrap_err().message().contains("version 8"));
    assert!(missing.open_store().is_err(), "never taken for a new job");
}

#[test]
fn the_state_of_another_job_is_refused() {
    let (_temp, dir) = state_dir();
    let (one, two) = (create(&dir), create(&dir));
    fs::copy(one.path().join("state.json"), two.path().join("state.json")).unwrap();
    assert_eq!(two.state().unwrap_err().kind(), Kind::JournalDamaged);
}

#[test]
fn everything_is_private_to_its_owner() {
    let (temp, dir) = state_dir();
    let folder = create(&dir);
    let other = dir.create(&spec(JobKind::Backup), StoreKind::Sled).unwrap();
    drop(other.open_store().unwrap());
    folder.save_definition("{}").unwrap();
    folder.save_obligation(&woken("a")).unwrap();
    folder.write_report("{}").unwrap();
    drop((folder.rejects().unwrap(), folder.open_store().unwrap()));
    check_private(&temp.path().join("deep"));
}

fn check_private(path: &Path) {
    let metadata = fs::metadata(path).unwrap();
    let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
    let mode = metadata.permissions().mode() & 0o777;
    assert_eq!(mode, wanted, "{}", path.display());
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            check_private(&entry.unwrap().path());
        }
    }
}

#[test]
fn obligations_stay_until_they_are_met_and_keep_the_job() {
    let (_temp, dir) = state_dir();
    let folder = create(&dir);
    let id = folder.id().clone();
    for obligation in [woken("a"), woken("b"), woken("a")] {
        folder.save_obligation(&obligation).unwrap();
    }
    drop(folder);
    let folder = dir.open_job(&id).unwrap();
    assert_eq!(folder.obligations().unwrap(), [woken("a"), woken("b")]);
    folder.discharge(&woken("a")).unwrap();
    let error = folder.remove().unwrap_err();
    assert!(error.hint().unwrap().contains("obligations.json"));
    let folder = dir.open_job(&id).unwrap();
    folder.discharge(&woken("b")).unwrap();
    folder.remove().unwrap();
    assert!(dir.jobs().unwrap().is_empty() && !dir.folder(&id).exists());
}

#[test]
fn unreadable_obligations_keep_the_job() {
    let (_temp, dir) = state_dir();
    let folder = create(&dir);
    fs::write(folder.path().join("obligations.json"), "[").unwrap();
    let path = folder.path().to_owned();
    assert!(folder.save_obligation(&woken("a")).is_err());
    assert!(folder.remove().is_err() && path.exists());
}

#[test]
fn obligations_of_several_threads_are_all_kept() {
    let (_temp, dir) = state_dir();
    let folder = create(&dir);
    std::thread::scope(|scope| {
        for tenant in ["a", "b", "c", "d"] {
            let folder = &folder;
            scope.spawn(move || folder.save_obligation(&woken(tenant)).unwrap());
        }
    });
    assert_eq!(folder.obligations().unwrap().len(), 4);
}

#[test]
fn a_definition_and_a_report_come_back() {
    let (_temp, dir) = state_dir();
    let folder = create(&dir);
    assert_eq!(
        (folder.definition().unwrap(), folder.report().unwrap()),
        (None, None)
    );
    folder.save_definition("{\"class\":\"A\"}").unwrap();
    folder.write_report("{}").unwrap();
    assert_eq!(folder.definition().unwrap().unwrap(), "{\"class\":\"A\"}");
    assert_eq!(folder.report().unwrap().unwrap(), "{}");
}

#[test]
fn a_job_that_is_done_keeps_its_state_and_not_its_journal() {
    let (_temp, dir) = state_dir();
    let folder = create(&dir);
    drop(folder.open_store().unwrap());
    let mut state = folder.state().unwrap();
    (state.is_done, state.exit_code) = (true, Some(0));
    folder.write_state(&state).unwrap();
    folder.delete_journal().unwrap();
    let error = folder.open_store().err().unwrap();
    assert!(error.message().contains("is done"), "{error}");
    assert!(dir.jobs().unwrap()[0].state.as_ref().unwrap().is_done);
}

#[test]
fn what_a_crash_left_half_made_or_half_removed_is_no_job() {
    let (temp, dir) = state_dir();
    let jobs = temp.path().join("deep/state/jobs");
    for name in [".new-00000001", ".removed-00000002"] {
        fs::create_dir(jobs.join(name)).unwrap();
    }
    assert!(dir.jobs().unwrap().is_empty());
    StateDir::open(&temp.path().join("deep/state")).unwrap();
    // One that is being made right now looks the same: only an old one is swept.
    assert!(jobs.join(".new-00000001").exists() && !jobs.join(".removed-00000002").exists());
}

#[test]
fn a_state_directory_that_cannot_be_made_says_what_to_do() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    fs::write(&file, "").unwrap();
    let error = StateDir::open(&file.join("state")).unwrap_err();
    assert!(error.message().contains("state directory"), "{error}");
    assert!(error.hint().unwrap().contains("--state-dir"));
}
