//! Every moment of a clean run is a crash: each is resumed, reaches the same end, and repeats at most a batch per lane.
#![allow(
    clippy::print_stdout,
    reason = "the number of crash points is the result"
)]

use std::path::PathBuf;
use std::sync::Arc;

use elysiactl::archive::Format;
use elysiactl::commands::{Outcome, restore, verify};
use elysiactl::format::{Codec, Digest};
use elysiactl::journal::StoreKind;
use elysiactl::sandbox::{Doom, Dumped, Sandbox, sample_id};
use elysiactl::weaviate::Transport;

use crate::camera::Picture;
use crate::common::{sandbox_with, session};
use crate::scene::{COLLECTION, Deed, Ear, Scene, empty_server, entries, temporary_folder};

const OBJECTS: usize = 400;
/// Of each clean run.
const LEAST_PICTURES: usize = 60;

/// What every resume must come to.
#[derive(Default)]
struct End {
    exit_code: u8,
    objects: Vec<Dumped>,
    /// What the server refuses.
    doomed: Vec<uuid::Uuid>,
    /// Of a backup's archive.
    digest: Option<Digest>,
}

async fn backups_end_alike(
    (format, codec): (Format, Codec),
    store: StoreKind,
    workers: u32,
    transport: Transport,
) {
    let sandbox = sandbox_with(COLLECTION, OBJECTS).await;
    let scene = Scene::new(Deed::Backup(format, codec), store, workers).over(transport);
    let (outcome, pictures) = scene.photographed(&sandbox).await;
    let outcome = outcome.unwrap();
    assert_eq!((outcome.exit_code, scene.leftovers()), (0, Vec::new()));
    // The digest of the clean run's archive stands for its content: restored, it equals the original.
    let digest = verify(&outcome.archive.unwrap()).unwrap().digest;
    let elsewhere = empty_server().await;
    let (another, request) = (
        session(&scene.live().join("restored")),
        scene.restore_request(&elsewhere.connection()),
    );
    let restored = restore(&another, &request).await;
    assert_eq!(restored.unwrap().exit_code, 0);
    let objects = sandbox.store().dump(COLLECTION);
    assert!(elsewhere.store().dump(COLLECTION) == objects);
    let end = End {
        objects,
        digest: Some(digest),
        ..End::default()
    };
    resume_all(&scene, &pictures, &end).await;
}

async fn restores_end_alike(
    (format, frame): (Format, u32),
    store: StoreKind,
    workers: u32,
    transport: Transport,
) {
    let (_folder, archive, objects) = archive_of(OBJECTS, format, frame).await;
    let scene = Scene::new(Deed::Restore(archive), store, workers).over(transport);
    let sandbox = empty_server().await;
    let (outcome, pictures) = scene.photographed(&sandbox).await;
    assert_eq!(outcome.unwrap().exit_code, 0);
    let end = End {
        objects,
        ..End::default()
    };
    resume_all(&scene, &pictures, &end).await;
}

/// An archive whose frames hold so many objects, and what it is of.
pub async fn archive_of(
    objects: usize,
    format: Format,
    frame: u32,
) -> (tempfile::TempDir, PathBuf, Vec<Dumped>) {
    let folder = temporary_folder();
    let sandbox = sandbox_with(COLLECTION, objects).await;
    let mut scene = Scene::new(Deed::Backup(format, Codec::Zstd), StoreKind::File, 1);
    scene.batch = frame;
    let made = scene.run_silently(&sandbox.connection()).await.unwrap();
    let made = made.archive.unwrap();
    let archive = folder.path().join(made.file_name().unwrap());
    std::fs::rename(&made, &archive).unwrap();
    (folder, archive, sandbox.store().dump(COLLECTION))
}

async fn resume_all(scene: &Scene, pictures: &[Picture], end: &End) {
    let mut sound = 0;
    for (number, picture) in pictures.iter().enumerate() {
        let sandbox = scene.put_back(picture).await;
        for id in &end.doomed {
            sandbox.faults().doom_object(*id, Doom::Refused);
        }
        let ear = Arc::new(Ear::default());
        let outcome = scene.run(&sandbox.connection(), ear.clone()).await;
        let moment = format!("picture {number}, {}", picture.moment);
        let outcome = outcome.unwrap_or_else(|error| panic!("{moment}: {error}"));
        check_outcome(&outcome, end, &moment);
        check_batches(scene, picture, &ear, &moment);
        check_places(scene, picture, &sandbox, end, &moment);
        sound += 1;
    }
    let verb = match scene.deed {
        Deed::Backup(format, _) => format!("backup to {}", format.name()),
        Deed::Restore(_) => "restore".to_owned(),
        Deed::Clear(method) => format!("clear {}", method.name()),
    };
    println!(
        "{verb} over {:?}, {} lanes, {} store: {sound} of {} crash points",
        scene.transport,
        scene.workers,
        scene.store,
        pictures.len()
    );
    assert!(pictures.len() >= LEAST_PICTURES, "{}", pictures.len());
}

fn check_outcome(outcome: &Outcome, end: &End, moment: &str) {
    let found = (
        outcome.exit_code,
        outcome.tally.accepted,
        outcome.tally.rejected,
    );
    let rejected = end.doomed.len() as u64;
    let expected = (end.exit_code, OBJECTS as u64 - rejected, rejected);
    assert_eq!(found, expected, "{moment}: {outcome:?}");
}

/// Nothing that was told as committed is done again, and of what was applied at most one batch per lane.
pub fn check_batches(scene: &Scene, picture: &Picture, ear: &Ear, moment: &str) {
    let (before, now) = (&picture.told, ear.told.lock().unwrap());
    if before.is_finished {
        return;
    }
    let undone: Vec<_> = now.applied.intersection(&before.committed).collect();
    assert!(undone.is_empty(), "{moment}: {undone:?} were committed");
    let repeated: Vec<_> = now.applied.intersection(&before.applied).collect();
    let is_one_per_lane = repeated.windows(2).all(|pair| pair[0].0 != pair[1].0);
    assert!(is_one_per_lane, "{moment}: {repeated:?} are done again");
    assert!(
        repeated.len() <= scene.workers as usize,
        "{moment}: {repeated:?}"
    );
    assert_eq!(now.applications, now.applied.len(), "{moment}");
    let there = match scene.deed {
        Deed::Restore(_) => stored_in(picture),
        Deed::Backup(..) | Deed::Clear(_) => 0,
    };
    let most = ear.kept.lock().unwrap().accepted + u64::from(scene.workers * scene.batch);
    assert!(there <= most, "{moment}: {there} of {most} were there");
}

fn stored_in(picture: &Picture) -> u64 {
    let store = elysiactl::sandbox::Store::new();
    store.restore(&picture.server);
    store.count(COLLECTION) as u64
}

/// One whole archive or one equal collection, nothing left over, and every job told as what it is.
fn check_places(scene: &Scene, picture: &Picture, sandbox: &Sandbox, end: &End, moment: &str) {
    assert!(
        sandbox.store().dump(COLLECTION) == end.objects,
        "{moment}: the collection differs"
    );
    for job in scene.jobs() {
        assert!(!job.is_running && job.state.unwrap().is_done, "{moment}");
    }
    check_rejects(scene, end, moment);
    let Some(digest) = end.digest else {
        return;
    };
    assert_eq!(scene.leftovers(), Vec::<PathBuf>::new(), "{moment}");
    let archives = scene.archives();
    assert!(
        archives.len() == 1 || picture.is_done(),
        "{moment}: {archives:?}"
    );
    for archive in archives {
        let verdict = verify(&archive).unwrap_or_else(|error| panic!("{moment}: {error}"));
        assert_eq!(verdict.object_count, OBJECTS as u64, "{moment}");
        assert!(verdict.digest == digest, "{moment}: the archive differs");
    }
}

fn check_rejects(scene: &Scene, end: &End, moment: &str) {
    let refused = |path: PathBuf| std::fs::read_to_string(path.join("rejects.jsonl")).unwrap();
    for lines in entries(&scene.state().join("jobs"))
        .into_iter()
        .map(refused)
    {
        assert_eq!(lines.lines().count(), end.doomed.len(), "{moment}: {lines}");
        for id in &end.doomed {
            assert_eq!(
                lines.matches(&id.to_string()).count(),
                1,
                "{moment}: {lines}"
            );
        }
    }
}

impl Picture {
    /// True if the job's summary says that it is done: another backup begins anew.
    fn is_done(&self) -> bool {
        let state = elysiactl::journal::StateDir::open(&self.folder.join("state")).unwrap();
        let jobs = state.jobs().unwrap();
        jobs.iter()
            .any(|job| job.state.as_ref().is_ok_and(|state| state.is_done))
    }
}

macro_rules! every_crash_of_a {
    ($($name:ident: $run:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() { $run.await })*
    };
}

use Codec::{None as Plain, Zstd};
use Format::{Json, Jsonl};
use StoreKind::{File, Sled};
use Transport::{Grpc, Rest};

every_crash_of_a! {
    backup_of_one_lane_with_sled_comes_to_the_same_end: backups_end_alike((Json, Zstd), Sled, 1, Grpc);
    backup_of_one_lane_with_a_file_comes_to_the_same_end: backups_end_alike((Jsonl, Plain), File, 1, Grpc);
    backup_of_four_lanes_with_sled_comes_to_the_same_end: backups_end_alike((Jsonl, Zstd), Sled, 4, Grpc);
    backup_of_four_lanes_with_a_file_comes_to_the_same_end: backups_end_alike((Json, Plain), File, 4, Grpc);
    restore_of_one_lane_with_sled_comes_to_the_same_end: restores_end_alike((Json, 200), Sled, 1, Grpc);
    restore_of_one_lane_with_a_file_comes_to_the_same_end: restores_end_alike((Jsonl, 200), File, 1, Grpc);
    restore_of_four_lanes_with_sled_comes_to_the_same_end: restores_end_alike((Jsonl, 25), Sled, 4, Grpc);
    restore_of_four_lanes_with_a_file_comes_to_the_same_end: restores_end_alike((Json, 25), File, 4, Grpc);
    backup_of_one_lane_over_rest_comes_to_the_same_end: backups_end_alike((Json, Zstd), File, 1, Rest);
    backup_of_four_lanes_over_rest_comes_to_the_same_end: backups_end_alike((Jsonl, Plain), File, 4, Rest);
    restore_of_one_lane_over_rest_comes_to_the_same_end: restores_end_alike((Jsonl, 200), File, 1, Rest);
    restore_of_four_lanes_over_rest_comes_to_the_same_end: restores_end_alike((Json, 25), File, 4, Rest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_object_refused_over_grpc_is_listed_once_whenever_a_restore_is_resumed() {
    every_refused_object_is_listed_once(Grpc).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_object_refused_over_rest_is_listed_once_whenever_a_restore_is_resumed() {
    every_refused_object_is_listed_once(Rest).await;
}

async fn every_refused_object_is_listed_once(transport: Transport) {
    let (_folder, archive, mut objects) = archive_of(OBJECTS, Json, 25).await;
    let doomed: Vec<uuid::Uuid> = (0..OBJECTS)
        .step_by(29)
        .map(|at| sample_id(COLLECTION, 1, at))
        .collect();
    objects.retain(|object| !doomed.contains(&object.id));
    let scene = Scene::new(Deed::Restore(archive), File, 4).over(transport);
    let sandbox = empty_server().await;
    for id in &doomed {
        sandbox.faults().doom_object(*id, Doom::Refused);
    }
    let (outcome, pictures) = scene.photographed(&sandbox).await;
    assert_eq!(outcome.unwrap().exit_code, 3);
    let end = End {
        exit_code: 3,
        objects,
        doomed,
        ..End::default()
    };
    resume_all(&scene, &pictures, &end).await;
}
