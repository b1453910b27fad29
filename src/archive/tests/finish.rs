//! Crashes at every step, full disks, wrong files: a repetition ends like the clean run, or says why it cannot.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::memory::{Files, Memory};
use super::*;
use crate::error::{Error, Kind};
use crate::storage::{Call, Hooked};

const BOTH: [(Format, Codec); 2] = [(Format::Json, Codec::Zstd), (Format::Jsonl, Codec::Gzip)];

fn objects(count: u64) -> Vec<Object> {
    (0..count).map(object).collect()
}

/// A storage that fails at call number `fatal` and at every later one, as a process does that is no more.
fn dying(memory: &Memory, fatal: usize) -> Arc<dyn Storage> {
    let calls = AtomicUsize::new(0);
    Arc::new(Hooked::new(Arc::new(memory.clone()), move |_| {
        match calls.fetch_add(1, Ordering::Relaxed) >= fatal {
            true => Err(Error::new(Kind::Failed, "killed")),
            false => Ok(()),
        }
    }))
}

fn clean_run(format: Format, codec: Codec) -> Files {
    let memory = Memory::default();
    make_in(Arc::new(memory.clone()), format, codec, &objects(30), 4);
    memory.files()
}

fn finish(draft: &Draft, receipts: &[Receipt]) -> Result<()> {
    draft.seal(&refs(receipts), &ending(), true)?;
    draft.publish()?;
    Ok(())
}

#[test]
fn sealing_and_publishing_can_be_killed_at_every_step_and_repeated() {
    for (format, codec) in BOTH {
        let expected = clean_run(format, codec);
        let mut fatal = 0;
        loop {
            let memory = Memory::default();
            let draft_of = |storage| draft(storage, format, codec);
            let sink = draft_of(Arc::new(memory.clone()))
                .create(SinkOptions::default())
                .unwrap();
            let receipts = write_all(&sink, &objects(30), 4);
            let was_killed = finish(&draft_of(dying(&memory, fatal)), &receipts).is_err();
            let first = draft_of(Arc::new(memory.clone()));
            let found = Draft::resume(Arc::new(memory.clone()), first.name(), &first.header_hash())
                .unwrap();
            finish(&found, &receipts).unwrap();
            finish(&found, &receipts).unwrap();
            assert_eq!(
                memory.files(),
                expected,
                "{format:?}, killed at call {fatal}"
            );
            if !was_killed {
                break;
            }
            fatal += 1;
        }
        assert!(fatal >= 4, "{fatal} steps");
    }
}

#[test]
fn making_can_be_killed_at_every_step_and_repeated() {
    for (format, codec) in BOTH {
        for fatal in 0..8 {
            let memory = Memory::default();
            let _ = draft(dying(&memory, fatal), format, codec).create(SinkOptions::default());
            let again = draft(Arc::new(memory.clone()), format, codec);
            let sink = again.create(SinkOptions::default()).unwrap();
            let receipts = write_all(&sink, &objects(30), 4);
            finish(&again, &receipts).unwrap();
            assert_eq!(
                memory.files(),
                clean_run(format, codec),
                "killed at call {fatal}"
            );
        }
    }
}

#[test]
fn moving_can_be_killed_at_every_call_and_goes_on_from_the_last_receipt() {
    for (format, codec) in BOTH {
        let mut fatal = 0;
        loop {
            let memory = Memory::default();
            let first = draft(Arc::new(memory.clone()), format, codec);
            first.create(SinkOptions::default()).unwrap();
            let sink =
                draft(dying(&memory, fatal), format, codec).reopen(&[], SinkOptions::default());
            let batches = objects(30);
            let mut receipts = Vec::new();
            if let Ok(sink) = sink {
                for (index, few) in batches.chunks(4).enumerate() {
                    match write_batch(&sink, &lane(0, index as u64), few.to_vec()) {
                        Ok(receipt) => receipts.push(receipt),
                        Err(_) => break,
                    }
                }
            }
            let was_killed = receipts.len() < batches.chunks(4).len();
            let sink = first
                .reopen(&refs(&receipts), SinkOptions::default())
                .unwrap();
            for (index, few) in batches.chunks(4).enumerate().skip(receipts.len()) {
                receipts.push(write_batch(&sink, &lane(0, index as u64), few.to_vec()).unwrap());
            }
            finish(&first, &receipts).unwrap();
            let archive = Archive::open_in(Arc::new(memory), first.name()).unwrap();
            assert_eq!(
                read_all(&archive, BUDGET).unwrap(),
                batches,
                "killed at call {fatal}"
            );
            archive.verify().unwrap();
            if !was_killed {
                break;
            }
            fatal += 1;
        }
    }
}

#[test]
fn a_write_that_failed_gives_its_place_back_and_is_repeated() {
    for (format, codec) in BOTH {
        let memory = Memory::default();
        let left = Arc::new(AtomicUsize::new(2));
        let fuse = left.clone();
        let storage = Hooked::new(Arc::new(memory.clone()), move |call| {
            let is_frame = matches!(call, Call::Write { .. });
            match is_frame && fuse.fetch_sub(1, Ordering::Relaxed) == 1 {
                true => Err(Error::transient("no luck")),
                false => Ok(()),
            }
        });
        let draft = draft(Arc::new(storage), format, codec);
        let sink = draft.create(SinkOptions::default()).unwrap();
        let first = write_batch(&sink, &lane(0, 0), objects(4)).unwrap();
        let mut failing = sink.begin(&lane(0, 1));
        sink.append(&mut failing, &page(objects(30)[4..9].to_vec()))
            .unwrap();
        assert!(now(sink.apply(&mut failing)).unwrap_err().is_transient());
        let between = write_batch(&sink, &lane(1, 0), objects(30)[9..30].to_vec()).unwrap();
        let repeated = now(sink.apply(&mut failing)).unwrap().receipt;
        sink.barrier().unwrap();
        finish(&draft, &[first, repeated, between]).unwrap();
        let archive = Archive::open_in(Arc::new(memory), draft.name()).unwrap();
        let mut found = read_all(&archive, BUDGET).unwrap();
        found.sort_by_key(|object| object.times.created);
        assert_eq!(found, objects(30));
    }
}

#[test]
fn contents_are_durable_before_names_and_a_head_says_sealed_last() {
    let memory = Memory::default();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = calls.clone();
    let storage = Hooked::new(Arc::new(memory), move |call| {
        log.lock().unwrap().push(call.clone());
        Ok(())
    });
    let draft = draft(Arc::new(storage), Format::Json, Codec::Zstd);
    let sink = draft.create(SinkOptions::default()).unwrap();
    let receipt = write_batch(&sink, &lane(0, 0), objects(3)).unwrap();
    calls.lock().unwrap().clear();
    finish(&draft, std::slice::from_ref(&receipt)).unwrap();
    let (key, end) = (
        draft.partial(),
        receipt.place.unwrap().offset + receipt.bytes,
    );
    let calls: Vec<Call> = calls.lock().unwrap().clone();
    assert_eq!(
        calls[..2],
        [
            Call::Edit(key.clone()),
            Call::Truncate {
                key: key.clone(),
                length: end
            }
        ]
    );
    assert!(matches!(&calls[2], Call::Write { offset, .. } if *offset == end));
    assert!(matches!(&calls[3], Call::Write { offset: 0, .. }));
    assert_eq!(
        calls[4..],
        [
            Call::Sync(key.clone()),
            Call::Rename {
                from: key,
                to: draft.name().to_owned()
            }
        ]
    );
}

#[test]
fn nothing_is_accepted_after_a_flush_that_failed() {
    for (format, codec) in BOTH {
        let storage = Hooked::new(Arc::new(Memory::default()), |call| match call {
            Call::Sync(_) => Err(Error::new(Kind::Failed, "bad disk")),
            _ => Ok(()),
        });
        let sink = draft(Arc::new(storage), format, codec)
            .create(SinkOptions::default())
            .unwrap();
        assert_eq!(
            write_batch(&sink, &lane(0, 0), objects(1))
                .unwrap_err()
                .message(),
            "bad disk"
        );
        let error = write_batch(&sink, &lane(0, 0), objects(1)).unwrap_err();
        assert_eq!(
            error.message(),
            "the archive could not be made durable before"
        );
    }
}

#[test]
fn a_nearly_full_disk_is_refused_before_the_write_and_can_be_resumed() {
    let memory = Memory::default();
    let storage = Hooked::new(Arc::new(memory), |call| match call {
        Call::FreeBytes => Err(Error::new(Kind::Exhausted, "disk full")),
        _ => Ok(()),
    });
    let sink = draft(Arc::new(storage), Format::Json, Codec::None)
        .create(SinkOptions::default())
        .unwrap();
    assert_eq!(
        write_batch(&sink, &lane(0, 0), objects(1))
            .unwrap_err()
            .kind(),
        Kind::Exhausted
    );
}

#[test]
fn receipts_that_do_not_tile_the_file_are_a_damaged_journal() {
    let memory = Memory::default();
    let draft = draft(Arc::new(memory.clone()), Format::Json, Codec::Zstd);
    let sink = draft.create(SinkOptions::default()).unwrap();
    let receipts = write_all(&sink, &objects(12), 4);
    let reopen = |receipts: &[&Receipt]| draft.reopen(receipts, SinkOptions::default()).map(|_| ());
    let kind = |receipts: &[&Receipt]| reopen(receipts).unwrap_err().kind();
    assert_eq!(kind(&[&receipts[0], &receipts[2]]), Kind::JournalDamaged);
    assert_eq!(kind(&[&receipts[1]]), Kind::JournalDamaged);
    assert_eq!(kind(&[&receipts[0], &receipts[0]]), Kind::JournalDamaged);
    reopen(&refs(&receipts)).unwrap();
    reopen(&[&receipts[1], &receipts[0]]).unwrap();
    assert_eq!(
        kind(&refs(&receipts)),
        Kind::Mismatch,
        "the file was cut to two of them"
    );
    draft.discard().unwrap();
    assert_eq!(kind(&[]), Kind::Mismatch);
}

#[test]
fn another_archive_of_the_same_name_is_never_touched() {
    let memory = Memory::default();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let ours = draft(storage.clone(), Format::Json, Codec::Zstd);
    let mut header = ours.header().clone();
    header.options.job = "7f3c9a00".to_owned();
    let other = Draft::new(storage.clone(), header, Format::Json, Codec::Zstd);
    assert_eq!(other.name(), ours.name());
    let sink = other.create(SinkOptions::default()).unwrap();
    let receipts = write_all(&sink, &objects(3), 4);
    let kind = |outcome: Result<ArchiveSink>| outcome.err().unwrap().kind();
    assert_eq!(kind(ours.create(SinkOptions::default())), Kind::Mismatch);
    finish(&other, &receipts).unwrap();
    let before = memory.files();
    assert_eq!(kind(ours.create(SinkOptions::default())), Kind::Mismatch);
    assert_eq!(finish(&ours, &[]).unwrap_err().kind(), Kind::Mismatch);
    assert_eq!(memory.files(), before);
}

#[test]
fn parts_without_a_receipt_are_removed_and_missing_ones_are_noticed() {
    let memory = Memory::default();
    let draft = draft(Arc::new(memory.clone()), Format::Jsonl, Codec::Zstd);
    let sink = draft.create(SinkOptions::default()).unwrap();
    let receipts = write_all(&sink, &objects(12), 4);
    let kept = [&receipts[0], &receipts[2]];
    draft.reopen(&kept, SinkOptions::default()).unwrap();
    draft.seal(&kept, &ending(), true).unwrap();
    draft.publish().unwrap();
    let archive = Archive::open_in(Arc::new(memory.clone()), draft.name()).unwrap();
    assert_eq!(archive.verify().unwrap().object_count, 8);
    let again = Draft::new(
        Arc::new(Memory::default()),
        draft.header().clone(),
        Format::Jsonl,
        Codec::Zstd,
    );
    again.create(SinkOptions::default()).unwrap();
    let error = again
        .reopen(&refs(&receipts), SinkOptions::default())
        .err()
        .unwrap();
    assert_eq!(error.kind(), Kind::Mismatch);
}

#[test]
fn an_archive_that_lacks_objects_is_not_whole_and_stays_so_when_it_is_sealed_anew() {
    for (format, codec) in BOTH {
        let memory = Memory::default();
        let storage: Arc<dyn Storage> = Arc::new(memory.clone());
        let draft = draft(storage.clone(), format, codec);
        let sink = draft.create(SinkOptions::default()).unwrap();
        let receipts = write_all(&sink, &objects(30), 4);
        let losing = Ending {
            lost: 7,
            ..ending()
        };
        draft.seal(&refs(&receipts), &losing, true).unwrap();
        let path = draft.publish().unwrap();
        let name = path.to_str().unwrap();
        for _ in 0..2 {
            let archive = Archive::open_in(storage.clone(), name).unwrap();
            assert!(archive.doubt().unwrap().contains("7 objects"));
            let verdict = archive.verify().unwrap();
            assert_eq!((verdict.is_whole, verdict.lost), (false, 7));
            assert!(verdict.warnings[0].contains("7 objects"));
            now(super::super::reseal::reseal_in(storage.clone(), name)).unwrap();
        }
    }
}
