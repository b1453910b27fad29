//! Rejects, schema-only archives, torn heads, and what must not be published.

use super::memory::Memory;
use super::*;
use crate::error::Kind;
use crate::pipe::Reject;

const BOTH: [(Format, Codec); 2] = [(Format::Json, Codec::Zstd), (Format::Jsonl, Codec::Gzip)];

fn objects(count: u64) -> Vec<Object> {
    (0..count).map(object).collect()
}

fn finish(draft: &Draft, receipts: &[Receipt]) -> Result<()> {
    draft.seal(&refs(receipts), &ending(), true)?;
    draft.publish()?;
    Ok(())
}

#[test]
fn rejects_are_counted_in_receipt_and_trailer() {
    let memory = Memory::default();
    let draft = draft(Arc::new(memory.clone()), Format::Json, Codec::Zstd);
    let sink = draft.create(SinkOptions::default()).unwrap();
    let mut empty = page(Vec::new());
    empty.unreadable = vec![Reject {
        key: object(5).key,
        reason: "broken".to_owned(),
    }];
    let mut batch = sink.begin(&lane(0, 0));
    sink.append(&mut batch, &empty).unwrap();
    let applied = now(sink.apply(&mut batch)).unwrap();
    assert_eq!(applied.rejects, empty.unreadable);
    let first = applied.receipt;
    assert_eq!((first.count, first.rejected, first.bytes), (0, 1, 0));
    let second = write_batch(&sink, &lane(0, 1), objects(2)).unwrap();
    assert_eq!(second.place.unwrap().offset, draft.head_length());
    finish(&draft, &[first, second]).unwrap();
    let archive = Archive::open_in(Arc::new(memory), draft.name()).unwrap();
    assert_eq!(archive.trailer().unwrap().integrity.rejected, 1);
}

#[test]
fn a_batch_of_unreadable_objects_alone_leaves_nothing_between_two_others() {
    for (format, codec) in LAYOUTS {
        let memory = Memory::default();
        let draft = draft(Arc::new(memory.clone()), format, codec);
        let sink = draft.create(SinkOptions::default()).unwrap();
        let before = write_batch(&sink, &lane(0, 0), objects(4)).unwrap();
        let nothing = write_batch(&sink, &lane(0, 1), Vec::new()).unwrap();
        assert_eq!(
            (nothing.count, nothing.bytes),
            (0, 0),
            "{format:?} {codec:?}"
        );
        let after = write_batch(&sink, &lane(0, 2), (4..9).map(object).collect()).unwrap();
        finish(&draft, &[before, nothing, after]).unwrap();
        let archive = Archive::open_in(Arc::new(memory), draft.name()).unwrap();
        archive.verify().unwrap();
        assert_eq!(read_all(&archive, BUDGET).unwrap(), objects(9));
    }
}

#[test]
fn a_schema_only_archive_keeps_the_live_count_and_has_no_objects() {
    for format in [Format::Json, Format::Jsonl] {
        let memory = Memory::default();
        let started = "2026-02-01T10:30:00Z".parse().unwrap();
        let mut header = Header::new(definition(), Contents::SchemaOnly, started).unwrap();
        header.object_count = 1250;
        let draft = Draft::new(Arc::new(memory.clone()), header, format, Codec::None);
        draft.create(SinkOptions::default()).unwrap();
        finish(&draft, &[]).unwrap();
        assert!(draft.name().starts_with("Article_schema_2026"));
        let archive = Archive::open_in(Arc::new(memory), draft.name()).unwrap();
        assert_eq!(
            (archive.header().object_count, archive.object_count()),
            (1250, 0)
        );
        archive.verify().unwrap();
        assert!(read_all(&archive, BUDGET).unwrap().is_empty());
    }
}

#[test]
fn a_head_torn_by_a_power_cut_is_mended() {
    for codec in Codec::ALL {
        let memory = Memory::default();
        let draft = draft(Arc::new(memory.clone()), Format::Json, codec);
        let sink = draft.create(SinkOptions::default()).unwrap();
        let receipts = write_all(&sink, &objects(5), 4);
        let key = draft.partial();
        let before = memory.files()[&key].clone();
        draft.seal(&refs(&receipts), &ending(), true).unwrap();
        let after = memory.files()[&key].clone();
        let length = draft.head_length() as usize;
        assert_ne!(before[..length], after[..length]);
        for cut in 0..=length {
            for (start, end) in [(&before, &after), (&after, &before)] {
                let torn = [&start[..cut], &end[cut..length], &after[length..]].concat();
                memory.put(&key, &torn).unwrap();
                let storage: Arc<dyn Storage> = Arc::new(memory.clone());
                let found = Draft::resume(storage, draft.name(), &draft.header_hash());
                let found =
                    found.unwrap_or_else(|error| panic!("{codec:?} torn at {cut}: {error}"));
                found.seal(&refs(&receipts), &ending(), true).unwrap();
                assert!(memory.files()[&key] == after, "{codec:?} torn at {cut}");
            }
        }
    }
}

#[test]
fn what_is_not_sealed_is_not_published() {
    for (format, codec) in BOTH {
        let memory = Memory::default();
        let draft = draft(Arc::new(memory.clone()), format, codec);
        let sink = draft.create(SinkOptions::default()).unwrap();
        write_all(&sink, &objects(5), 4);
        assert_eq!(draft.publish().unwrap_err().kind(), Kind::Difference);
        assert!(!memory.exists(draft.name()).unwrap());
    }
}

#[test]
fn a_repeated_part_leaves_nothing_of_the_longer_one_before_it() {
    let memory = Memory::default();
    let draft = draft(Arc::new(memory.clone()), Format::Jsonl, Codec::None);
    let sink = draft.create(SinkOptions::default()).unwrap();
    write_batch(&sink, &lane(0, 0), objects(20)).unwrap();
    let sink = draft.reopen(&[], SinkOptions::default()).unwrap();
    let receipt = write_batch(&sink, &lane(0, 0), objects(3)).unwrap();
    finish(&draft, &[receipt]).unwrap();
    let archive = Archive::open_in(Arc::new(memory), draft.name()).unwrap();
    assert_eq!(archive.verify().unwrap().object_count, 3);
}
