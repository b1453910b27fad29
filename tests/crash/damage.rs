//! Journals and archives that are damaged, older, or gone when the job is resumed: it ends right, or says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use elysiactl::archive::Format;
use elysiactl::commands::verify;
use elysiactl::error::{Error, Kind};
use elysiactl::format::Codec;
use elysiactl::journal::StoreKind;
use elysiactl::sandbox::{Dumped, Sandbox};

use crate::camera::Picture;
use crate::common::sandbox_with;
use crate::pictures::archive_of;
use crate::scene::{COLLECTION, Deed, Scene, empty_server, entries};
use crate::stale::killed;

const OBJECTS: usize = 200;
const FLIPS: u64 = 24;

struct Case {
    _folder: Option<tempfile::TempDir>,
    scene: Scene,
    picture: Picture,
    objects: Vec<Dumped>,
}

async fn backup_case(format: Format, store: StoreKind) -> Case {
    let scene = Scene::new(Deed::Backup(format, Codec::Zstd), store, 1);
    let sandbox = sandbox_with(COLLECTION, OBJECTS).await;
    let picture = killed(&scene, &sandbox).await;
    Case {
        _folder: None,
        objects: sandbox.store().dump(COLLECTION),
        scene,
        picture,
    }
}

async fn restore_case(store: StoreKind) -> Case {
    let (folder, archive, objects) = archive_of(OBJECTS, Format::Json, 25).await;
    let scene = Scene::new(Deed::Restore(archive), store, 1);
    let picture = killed(&scene, &empty_server().await).await;
    Case {
        _folder: Some(folder),
        scene,
        picture,
        objects,
    }
}

impl Case {
    /// Resumes after `damage`; what ends well is equal in every object. The kind of the error otherwise.
    async fn resumed_after(&self, damage: impl FnOnce(&Scene)) -> Option<Kind> {
        let sandbox = self.scene.put_back(&self.picture).await;
        damage(&self.scene);
        match self.scene.run_silently(&sandbox.connection()).await {
            Ok(outcome) => {
                assert_eq!(
                    (outcome.exit_code, outcome.tally.accepted),
                    (0, OBJECTS as u64)
                );
                self.check(&sandbox);
                None
            }
            Err(error) => Some(self.refused(&error)),
        }
    }

    fn check(&self, sandbox: &Sandbox) {
        assert!(sandbox.store().dump(COLLECTION) == self.objects);
        for archive in self.scene.archives() {
            assert_eq!(verify(&archive).unwrap().object_count, OBJECTS as u64);
        }
    }

    /// Whoever is refused is told how to go on, and finds no archive that looks whole.
    fn refused(&self, error: &Error) -> Kind {
        assert!(error.hint().is_some(), "{error}");
        assert_eq!(self.scene.archives(), Vec::<PathBuf>::new(), "{error}");
        error.kind()
    }
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(folder) {
        match path.is_dir() {
            true => files.extend(files_under(&path)),
            false => files.push(path),
        }
    }
    files
}

/// Flips a bit at so many places of all files together; the length of sled's files is mostly zeros.
fn flip(folder: &Path, at: u64) {
    let files = files_under(folder);
    let used: Vec<(PathBuf, Vec<u8>)> = files
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    let is_used = |bytes: &[u8]| {
        bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1)
    };
    let total: usize = used.iter().map(|(_, bytes)| is_used(bytes)).sum();
    let mut place = total as u64 as usize * at as usize / FLIPS as usize + at as usize % 13;
    for (path, mut bytes) in used {
        let length = is_used(&bytes);
        if place < length {
            bytes[place] ^= 1 << (at % 8);
            std::fs::write(path, bytes).unwrap();
            return;
        }
        place -= length;
    }
}

async fn flipped_bits_do_no_harm(case: Case) {
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for at in 0..FLIPS {
        let end = case
            .resumed_after(|scene| flip(&scene.job_folder().join("journal"), at))
            .await;
        assert!(
            matches!(end, None | Some(Kind::JournalDamaged)),
            "flip {at}: {end:?}"
        );
        *ends.entry(format!("{end:?}")).or_default() += 1;
    }
    assert_eq!(ends.values().sum::<u32>(), FLIPS as u32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_in_sled_ends_a_backup_right_or_is_told() {
    flipped_bits_do_no_harm(backup_case(Format::Json, StoreKind::Sled).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_in_the_file_store_ends_a_backup_right_or_is_told() {
    flipped_bits_do_no_harm(backup_case(Format::Jsonl, StoreKind::File).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_in_sled_ends_a_restore_right_or_is_told() {
    flipped_bits_do_no_harm(restore_case(StoreKind::Sled).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_in_the_file_store_ends_a_restore_right_or_is_told() {
    flipped_bits_do_no_harm(restore_case(StoreKind::File).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_gone_is_told() {
    for store in [StoreKind::Sled, StoreKind::File] {
        for case in [
            backup_case(Format::Json, store).await,
            restore_case(store).await,
        ] {
            let gone = |scene: &Scene| {
                std::fs::remove_dir_all(scene.job_folder().join("journal")).unwrap();
            };
            assert_eq!(case.resumed_after(gone).await, Some(Kind::JournalDamaged));
            let emptied = |scene: &Scene| {
                for file in files_under(&scene.job_folder().join("journal")) {
                    std::fs::write(file, "").unwrap();
                }
            };
            assert_eq!(
                case.resumed_after(emptied).await,
                Some(Kind::JournalDamaged)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_journal_than_the_archive_loses_and_doubles_nothing() {
    for format in [Format::Json, Format::Jsonl] {
        let scene = Scene::new(Deed::Backup(format, Codec::Zstd), StoreKind::File, 1);
        let sandbox = sandbox_with(COLLECTION, OBJECTS).await;
        let (outcome, pictures) = scene.photographed(&sandbox).await;
        outcome.unwrap();
        let committed = |count| {
            let is_so = move |it: &&Picture| it.told.committed.len() == count;
            pictures.iter().find(is_so).unwrap()
        };
        let (older, newer) = (committed(3), committed(6));
        let sandbox = scene.put_back(newer).await;
        let journal = scene.job_folder().join("journal");
        std::fs::remove_dir_all(&journal).unwrap();
        let id = scene.jobs()[0].id.to_string();
        let earlier = older.folder.join("state/jobs").join(id).join("journal");
        crate::camera::copy_all(&earlier, &journal);
        let done = scene.run_silently(&sandbox.connection()).await.unwrap();
        assert_eq!((done.exit_code, scene.leftovers().len()), (0, 0));
        assert_eq!(
            verify(&done.archive.unwrap()).unwrap().object_count,
            OBJECTS as u64
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_journal_than_the_collection_loses_and_doubles_nothing() {
    let (_folder, archive, objects) = archive_of(OBJECTS, Format::Json, 25).await;
    let scene = Scene::new(Deed::Restore(archive), StoreKind::File, 1);
    let (outcome, pictures) = scene.photographed(&empty_server().await).await;
    outcome.unwrap();
    let newer = pictures.iter().find(|it| it.told.committed.len() == 6);
    let case = Case {
        _folder: None,
        scene,
        picture: newer.unwrap().clone(),
        objects,
    };
    let committed = "after a commit";
    for older in pictures.iter().filter(|it| it.moment == committed) {
        let earlier = older.folder.clone();
        let end = case.resumed_after(|scene| {
            let job = scene.job_folder();
            let there = Path::new("state/jobs").join(job.file_name().unwrap());
            std::fs::remove_dir_all(job.join("journal")).unwrap();
            crate::camera::copy_all(&earlier.join(there).join("journal"), &job.join("journal"));
        });
        assert_eq!(end.await, None);
        if older.told.committed.len() == 6 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_archive_that_is_gone_shorter_or_another_is_refused() {
    for format in [Format::Json, Format::Jsonl] {
        let case = backup_case(format, StoreKind::File).await;
        let gone = |scene: &Scene| {
            let hidden = scene.unfinished_archive();
            std::fs::rename(hidden, scene.live().join("aside")).unwrap();
        };
        assert_eq!(case.resumed_after(gone).await, Some(Kind::Mismatch));
        let shorter = |scene: &Scene| {
            let last = files_under(&scene.unfinished_archive());
            let last = last
                .into_iter()
                .rfind(|path| path.to_string_lossy().contains("part-"));
            let last = last.unwrap_or_else(|| scene.unfinished_archive());
            let bytes = std::fs::read(&last).unwrap();
            std::fs::write(&last, &bytes[..bytes.len() - 1]).unwrap();
        };
        assert_eq!(case.resumed_after(shorter).await, Some(Kind::Mismatch));
        let (_folder, other, _) = archive_of(10, format, 25).await;
        let another = |scene: &Scene| {
            let hidden = scene.unfinished_archive();
            std::fs::rename(&hidden, scene.live().join("aside")).unwrap();
            std::fs::rename(&other, hidden).unwrap();
        };
        assert_eq!(case.resumed_after(another).await, Some(Kind::Mismatch));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_beyond_the_last_commit_is_cut_off() {
    for format in [Format::Json, Format::Jsonl] {
        let case = backup_case(format, StoreKind::Sled).await;
        let longer = |scene: &Scene| {
            let hidden = scene.unfinished_archive();
            match hidden.is_dir() {
                true => {
                    let part = hidden.join("objects/part-00000-00000099.jsonl.zst");
                    std::fs::write(part, "half of a part").unwrap();
                }
                false => {
                    let mut bytes = std::fs::read(&hidden).unwrap();
                    bytes.extend_from_slice(&[0x5a; 5_000]);
                    std::fs::write(hidden, bytes).unwrap();
                }
            }
        };
        assert_eq!(case.resumed_after(longer).await, None);
    }
}
