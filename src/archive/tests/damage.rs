//! No damaged byte and no cut goes unnoticed, and none makes the reader panic.

use super::memory::{Files, Memory};
use super::*;
use crate::error::Kind;

/// An object that does not compress well, so that few make an archive of some size.
fn noisy(number: u64) -> Object {
    let mut object = object(number);
    let seed = blake3::hash(&number.to_le_bytes());
    let mut noise = vec![0; 400];
    blake3::Hasher::new_keyed(seed.as_bytes())
        .finalize_xof()
        .fill(&mut noise);
    // Exponents that are finite.
    noise
        .chunks_exact_mut(4)
        .for_each(|number| number[3] = 0x3f);
    object.vectors.push((Some("noise".to_owned()), 0, noise));
    object
}

/// An archive as files in memory, and its name.
fn sample(format: Format, codec: Codec, count: u64) -> (Files, String) {
    let memory = Memory::default();
    let objects: Vec<Object> = (0..count).map(noisy).collect();
    let path = make_in(Arc::new(memory.clone()), format, codec, &objects, 5);
    (memory.files(), path.to_str().unwrap().to_owned())
}

fn check(memory: &Memory, name: &str) -> Result<Verdict> {
    Archive::open_in(Arc::new(memory.clone()), name)?.verify()
}

fn assert_refused(memory: &Memory, name: &str, what: impl FnOnce() -> String) {
    match check(memory, name) {
        Ok(_) => panic!("passed: {}", what()),
        Err(error) => assert!(
            matches!(
                error.kind(),
                Kind::Difference | Kind::Incompatible | Kind::NotFound
            ),
            "{}: {:?} {error}",
            what(),
            error.kind()
        ),
    }
}

fn flip_every_byte(files: &Files, name: &str) {
    let memory = Memory::of(files.clone());
    check(&memory, name).unwrap();
    for (key, bytes) in files {
        for at in 0..bytes.len() {
            let flip = |mask: u8| memory.0.lock().unwrap().get_mut(key).unwrap()[at] ^= mask;
            let mask = 1 << (at % 8);
            flip(mask);
            assert_refused(&memory, name, || {
                format!("{key} byte {at} of {} ^ {mask}", bytes.len())
            });
            flip(mask);
        }
    }
    check(&memory, name).unwrap();
}

fn cut_everywhere(files: &Files, name: &str) {
    let memory = Memory::of(files.clone());
    for (key, bytes) in files {
        for length in 0..bytes.len() {
            memory.put(key, &bytes[..length]).unwrap();
            assert_refused(&memory, name, || {
                format!("{key} cut to {length} of {}", bytes.len())
            });
        }
        memory
            .put(key, &[bytes.as_slice(), b"\n"].concat())
            .unwrap();
        assert_refused(&memory, name, || format!("{key} with a byte more"));
        memory.remove(key).unwrap();
        assert_refused(&memory, name, || format!("{key} removed"));
        memory.put(key, bytes).unwrap();
    }
}

fn ruin(format: Format, codec: Codec, count: u64) {
    let (files, name) = sample(format, codec, count);
    let size: usize = files.values().map(Vec::len).sum();
    assert!(size > 14_000, "{size} bytes are too few to be worth it");
    flip_every_byte(&files, &name);
    cut_everywhere(&files, &name);
}

#[test]
fn a_plain_document_shows_every_damage() {
    ruin(Format::Json, Codec::None, 10);
}

#[test]
fn a_gzip_document_shows_every_damage() {
    ruin(Format::Json, Codec::Gzip, 24);
}

#[test]
fn a_zstd_document_shows_every_damage() {
    ruin(Format::Json, Codec::Zstd, 24);
}

#[test]
fn an_lz4_document_shows_every_damage() {
    ruin(Format::Json, Codec::Lz4, 14);
}

#[test]
fn a_folder_shows_every_damage_in_each_of_its_files() {
    ruin(Format::Jsonl, Codec::Zstd, 28);
}

#[test]
fn a_plain_folder_shows_every_damage_in_each_of_its_files() {
    ruin(Format::Jsonl, Codec::None, 20);
}

#[test]
fn an_empty_archive_shows_every_damage() {
    for (format, codec) in LAYOUTS {
        let (files, name) = sample(format, codec, 0);
        flip_every_byte(&files, &name);
        cut_everywhere(&files, &name);
    }
}

#[test]
fn a_part_that_no_manifest_names_is_damage() {
    let (mut files, name) = sample(Format::Jsonl, Codec::Zstd, 20);
    files.insert(
        format!("{name}/objects/part-00009-00000000.jsonl.zst"),
        Vec::new(),
    );
    assert_refused(&Memory::of(files), &name, || "a stranger".to_owned());
}

#[test]
fn a_damaged_frame_is_named_and_nothing_of_it_is_handed_out() {
    let (mut files, name) = sample(Format::Json, Codec::Zstd, 40);
    let archive = Archive::open_in(Arc::new(Memory::of(files.clone())), &name).unwrap();
    let frame = archive.trailer().unwrap().integrity.frames[3].clone();
    let at = (frame.offset + frame.length - 1) as usize;
    files.get_mut(&name).unwrap()[at] ^= 0x10;
    let archive = Archive::open_in(Arc::new(Memory::of(files)), &name).unwrap();
    let source = archive.source();
    let lane = Lane {
        bounds: Bounds::Frames { from: 2, to: 5 },
        ..lane(0, 0)
    };
    let before = now(source.fetch(&lane, &Cursor::Start, Budget::of(100, 1 << 20))).unwrap();
    assert_eq!(before.keys.len(), 5);
    let error = now(source.fetch(&lane, &before.end, BUDGET)).err().unwrap();
    assert_eq!(error.kind(), Kind::Difference);
    assert!(
        error
            .message()
            .starts_with(&format!("frame 3 of `{name}` is damaged: blake3 is ")),
        "{error}"
    );
    assert!(error.hint().is_some());
}
