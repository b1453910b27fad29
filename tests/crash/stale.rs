//! The ways in which other tools went on from the wrong state: each is refused, or comes out right.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use elysiactl::archive::{Archive, Format};
use elysiactl::commands::{Outcome, Unfinished, backup, restore, verify};
use elysiactl::error::{Error, Kind, Result};
use elysiactl::event::{Event, Reporter, Silent};
use elysiactl::format::Codec;
use elysiactl::journal::StoreKind;
use elysiactl::sandbox::{Sandbox, sample_id};
use elysiactl::weaviate::Transport;

use crate::camera::Picture;
use crate::common::sandbox_with;
use crate::pictures::archive_of;
use crate::scene::{COLLECTION, Deed, Ear, Scene, empty_server, entries};

const OBJECTS: usize = 200;

/// A job that was killed when about half of it was committed, its server, and the picture of that moment.
pub async fn killed(scene: &Scene, sandbox: &Sandbox) -> Picture {
    let (outcome, pictures) = scene.photographed(sandbox).await;
    outcome.unwrap();
    let is_half_done = |picture: &&Picture| {
        picture.told.committed.len() >= 4 && picture.moment.starts_with("Committed")
    };
    pictures.into_iter().find(|it| is_half_done(&it)).unwrap()
}

async fn killed_backup(deed: Deed) -> (Scene, Sandbox) {
    let scene = Scene::new(deed, StoreKind::File, 1);
    let sandbox = sandbox_with(COLLECTION, OBJECTS).await;
    let picture = killed(&scene, &sandbox).await;
    let sandbox = scene.put_back(&picture).await;
    (scene, sandbox)
}

fn document() -> Deed {
    Deed::Backup(Format::Json, Codec::Zstd)
}

fn folder() -> Deed {
    Deed::Backup(Format::Jsonl, Codec::None)
}

async fn killed_restore(transport: Transport) -> (tempfile::TempDir, Scene, Sandbox) {
    let (temporary, archive, _) = archive_of(OBJECTS, Format::Json, 25).await;
    let scene = Scene::new(Deed::Restore(archive), StoreKind::File, 1).over(transport);
    let picture = killed(&scene, &empty_server().await).await;
    let sandbox = scene.put_back(&picture).await;
    (temporary, scene, sandbox)
}

fn is_whole(outcome: &Outcome) {
    assert_eq!(
        (outcome.exit_code, outcome.tally.accepted),
        (0, OBJECTS as u64)
    );
    if let Some(archive) = &outcome.archive {
        assert_eq!(verify(archive).unwrap().object_count, OBJECTS as u64);
    }
}

fn kind_of<T: std::fmt::Debug>(outcome: Result<T>) -> Kind {
    outcome.unwrap_err().kind()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_job_of_the_same_name_is_not_gone_on_with() {
    let scene = Scene::new(document(), StoreKind::Sled, 1);
    let sandbox = sandbox_with(COLLECTION, 100).await;
    let first = scene.run_silently(&sandbox.connection()).await.unwrap();
    // The next one may bear the same second in its name.
    let aside = scene.live().join("first");
    std::fs::rename(first.archive.unwrap(), &aside).unwrap();
    sandbox.store().fill(COLLECTION, OBJECTS, 8, 1);
    is_whole(&scene.run_silently(&sandbox.connection()).await.unwrap());
    assert_eq!(verify(&aside).unwrap().object_count, 100);
    assert_eq!(scene.jobs().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_into_a_collection_that_was_deleted_since_is_not_taken_as_done() {
    let (_folder, archive, _) = archive_of(OBJECTS, Format::Json, 25).await;
    let scene = Scene::new(Deed::Restore(archive), StoreKind::File, 1);
    let sandbox = empty_server().await;
    is_whole(&scene.run_silently(&sandbox.connection()).await.unwrap());
    is_whole(&scene.run_silently(&sandbox.connection()).await.unwrap());
    let another = empty_server().await;
    assert_eq!(
        kind_of(scene.run_silently(&another.connection()).await),
        Kind::Mismatch
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_job_is_not_listed_as_running() {
    let (scene, _sandbox) = killed_backup(document()).await;
    let jobs = scene.jobs();
    assert!(!jobs[0].is_running && !jobs[0].state.as_ref().unwrap().is_done);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_job_is_in_the_way_unless_a_resume_is_asked_for() {
    let (scene, sandbox) = killed_backup(document()).await;
    let mut session = scene.session(Arc::new(Silent));
    session.unfinished = Unfinished::Refuse;
    let refused = backup(&session, &scene.backup_request(&sandbox.connection())).await;
    assert_eq!(kind_of(refused), Kind::Mismatch);
    is_whole(&scene.run_silently(&sandbox.connection()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_job_of_something_else_is_left_alone() {
    let (scene, sandbox) = killed_backup(document()).await;
    sandbox.store().fill("Author", 60, 8, 2);
    let session = scene.session(Arc::new(Silent));
    let other = crate::common::backup_request(&sandbox.connection(), "Author", &scene.backups());
    let done = backup(&session, &other).await.unwrap();
    assert_eq!(verify(&done.archive.unwrap()).unwrap().object_count, 60);
    let left = scene.jobs().into_iter().filter_map(|job| job.state.ok());
    assert_eq!(left.filter(|state| !state.is_done).count(), 1);
    is_whole(&scene.run_silently(&sandbox.connection()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_with_other_settings_is_refused() {
    let (scene, sandbox) = killed_backup(document()).await;
    let session = scene.session(Arc::new(Silent));
    let as_begun = scene.backup_request(&sandbox.connection());
    let mut others = [
        as_begun.clone(),
        as_begun.clone(),
        as_begun.clone(),
        as_begun,
    ];
    others[0].with_vectors = false;
    others[1].codec = Codec::Gzip;
    others[2].format = Format::Jsonl;
    others[3].with_data = false;
    for other in &others {
        assert_eq!(kind_of(backup(&session, other).await), Kind::Mismatch);
    }
    is_whole(&scene.run_silently(&sandbox.connection()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_from_another_archive_is_refused() {
    let (_folder, scene, sandbox) = killed_restore(Transport::Grpc).await;
    let request = scene.restore_request(&sandbox.connection());
    let aside = scene.live().join("aside");
    std::fs::rename(&request.archive, &aside).unwrap();
    let (_other, other, _) = archive_of(OBJECTS - 1, Format::Json, 25).await;
    std::fs::copy(other, &request.archive).unwrap();
    assert_eq!(
        kind_of(scene.run_silently(&sandbox.connection()).await),
        Kind::Mismatch
    );
    assert!(sandbox.store().count(COLLECTION) < OBJECTS);
    std::fs::rename(aside, &request.archive).unwrap();
    is_whole(&scene.run_silently(&sandbox.connection()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_of_a_collection_that_was_made_anew_is_refused() {
    let (scene, _sandbox) = killed_backup(document()).await;
    // The same name, ids and contents, but another life.
    let another = sandbox_with(COLLECTION, OBJECTS).await;
    assert_eq!(
        kind_of(scene.run_silently(&another.connection()).await),
        Kind::Mismatch
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_cut_short_is_not_taken_as_done() {
    let (scene, sandbox) = killed_backup(folder()).await;
    let parts = entries(&scene.unfinished_archive().join("objects"));
    cut(&parts[0], 1);
    assert_eq!(
        kind_of(scene.run_silently(&sandbox.connection()).await),
        Kind::Mismatch
    );
    assert_eq!(scene.archives().len(), 0);
}

fn cut(path: &Path, bytes: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length - bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_archive_lists_what_every_run_wrote() {
    for deed in [document(), folder()] {
        let (scene, sandbox) = killed_backup(deed).await;
        let ear = Arc::new(Ear::default());
        let done = scene.run(&sandbox.connection(), ear.clone()).await.unwrap();
        is_whole(&done);
        let kept = ear.kept.lock().unwrap().batches;
        let now = ear.told.lock().unwrap().applied.len() as u64;
        assert!(kept > 0 && now > 0);
        let archive = Archive::open(&done.archive.unwrap()).unwrap();
        let frames = &archive.trailer().unwrap().integrity.frames;
        assert_eq!(frames.len() as u64, kept + now);
        assert_eq!(archive.header().resumed, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_takes_nothing_away_from_a_half_filled_collection() {
    for transport in [Transport::Grpc, Transport::Rest] {
        nothing_is_taken_away(transport).await;
    }
}

async fn nothing_is_taken_away(transport: Transport) {
    let (_folder, scene, sandbox) = killed_restore(transport).await;
    let before = sandbox.store().dump(COLLECTION);
    assert!(!before.is_empty() && before.len() < OBJECTS);
    let connection = sandbox.connection();
    let sandbox = Arc::new(sandbox);
    let watched = Arc::downgrade(&sandbox);
    let (count, lost) = (before.len(), Arc::new(Mutex::new(0)));
    let seen = lost.clone();
    sandbox.on_request(move |_| {
        let now = watched
            .upgrade()
            .map_or(count, |it| it.store().count(COLLECTION));
        *seen.lock().unwrap() += usize::from(now < count);
    });
    is_whole(&scene.run_silently(&connection).await.unwrap());
    assert_eq!((*lost.lock().unwrap(), sandbox.count("DELETE", "")), (0, 0));
    assert_eq!(sandbox.count_calls("BatchDelete"), 0);
    // One batch may be sent again, no more.
    let left = OBJECTS - count;
    let sent = match transport {
        Transport::Rest => sandbox.count("POST", "/v1/batch/objects"),
        _ => sandbox.count_calls("BatchObjects"),
    };
    assert!(sent <= left.div_ceil(scene.batch as usize) + 1, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn borders_of_lanes_are_kept_by_a_resume_with_any_number_of_workers() {
    for workers in [1, 2, 7] {
        let mut scene = Scene::new(document(), StoreKind::Sled, 4);
        let sandbox = sandbox_with(COLLECTION, OBJECTS).await;
        let (outcome, pictures) = scene.photographed(&sandbox).await;
        outcome.unwrap();
        let is_cut = |picture: &&Picture| picture.moment.starts_with("Split");
        let picture = pictures.iter().rfind(is_cut).unwrap();
        let sandbox = scene.put_back(picture).await;
        // Other ids shift whatever is computed from the data.
        sandbox.store().fill(COLLECTION, OBJECTS, 8, 99);
        scene.workers = workers;
        let done = scene.run_silently(&sandbox.connection()).await.unwrap();
        assert_eq!(done.exit_code, 0, "{done:?}");
        let archived = keys_in(&done.archive.unwrap()).await;
        let mut once = archived.clone();
        once.dedup();
        assert_eq!(archived, once, "objects are archived twice");
        for at in 0..OBJECTS {
            let id = sample_id(COLLECTION, 1, at).to_string();
            assert!(archived.binary_search(&id).is_ok(), "{id} was skipped");
        }
    }
}

/// Every id of an archive, sorted.
async fn keys_in(archive: &Path) -> Vec<String> {
    let server = empty_server().await;
    let requests = crate::common::restore_request(&server.connection(), archive, None);
    let scene = Scene::backup(StoreKind::File);
    restore(&scene.session(Arc::new(Silent)), &requests)
        .await
        .unwrap();
    let counted = verify(archive).unwrap().object_count;
    let dump = server.store().dump(COLLECTION);
    assert_eq!(counted, dump.len() as u64, "objects are archived twice");
    let mut ids: Vec<String> = dump.iter().map(|object| object.id.to_string()).collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_state_is_missing_is_said_aloud_and_not_gone_on_with() {
    for damage in ["", "{\"version\":1", "{\"version\":99}"] {
        let (scene, sandbox) = killed_backup(document()).await;
        let state = scene.job_folder().join("state.json");
        match damage {
            "" => std::fs::remove_file(&state).unwrap(),
            text => std::fs::write(&state, text).unwrap(),
        }
        let id = scene.jobs()[0].id.to_string();
        let ear = Arc::new(Ear::default());
        let done = scene.run(&sandbox.connection(), ear.clone()).await;
        let warnings = ear.warnings.lock().unwrap();
        assert!(warnings.iter().any(|it| it.contains(&id)), "{warnings:?}");
        is_whole(&done.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_read_is_not_taken_as_gone() {
    let (scene, sandbox) = killed_backup(document()).await;
    let state = scene.job_folder().join("state.json");
    std::fs::remove_file(&state).unwrap();
    // Reading a folder fails, whoever asks.
    std::fs::create_dir(&state).unwrap();
    assert_eq!(
        kind_of(scene.run_silently(&sandbox.connection()).await),
        Kind::Failed
    );
    assert_eq!((scene.jobs().len(), scene.archives().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_the_same_however_it_is_spelled() {
    let scene = Scene::new(document(), StoreKind::File, 1);
    let sandbox = sandbox_with(COLLECTION, OBJECTS).await;
    let mut session = scene.session(Arc::new(Silent));
    let (real, link) = (scene.live().join("real"), scene.live().join("link"));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let mut request = scene.backup_request(&sandbox.connection());
    // It is missing in the first run, and there in the second.
    request.destination = link.join("deep/er");
    session.reporter = Arc::new(StopAtFirst(session.stop.clone()));
    assert_eq!(kind_of(backup(&session, &request).await), Kind::Interrupted);
    request.destination = real.join("deep/er");
    is_whole(
        &backup(&scene.session(Arc::new(Silent)), &request)
            .await
            .unwrap(),
    );
    assert_eq!(scene.jobs().len(), 1, "the job was not found again");
}

struct StopAtFirst(elysiactl::engine::Stop);

impl Reporter for StopAtFirst {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Committed { .. }) {
            self.0.ask();
        }
    }
}

/// Says when the first batch is committed, and waits until it may go on.
struct Pausing(Mutex<Option<(Sender<()>, Receiver<()>)>>);

impl Reporter for Pausing {
    fn event(&self, event: &Event<'_>) {
        if let Event::Committed { .. } = event
            && let Some((reached, go_on)) = self.0.lock().unwrap().take()
        {
            reached.send(()).unwrap();
            go_on.recv().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_at_the_same_time_is_refused_and_disturbs_nothing() {
    let scene = Arc::new(Scene::new(document(), StoreKind::Sled, 1));
    let sandbox = sandbox_with(COLLECTION, OBJECTS).await;
    let ((reached, wait), (go, go_on)) = (channel(), channel());
    let pausing = Arc::new(Pausing(Mutex::new(Some((reached, go_on)))));
    let (first, connection) = (scene.clone(), sandbox.connection());
    let first = tokio::spawn(async move { first.run(&connection, pausing).await });
    tokio::task::block_in_place(|| wait.recv().unwrap());
    assert!(scene.jobs()[0].is_running);
    let second: Result<Outcome, Error> = scene.run_silently(&sandbox.connection()).await;
    assert_eq!(kind_of(second), Kind::Locked);
    go.send(()).unwrap();
    is_whole(&first.await.unwrap().unwrap());
}
