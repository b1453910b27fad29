//! How fast pages become frames. Not run by itself: `cargo test --release --lib speed -- --ignored --nocapture`.

#![allow(clippy::print_stderr)]

use std::time::Instant;

use super::memory::Memory;
use super::*;

const OBJECTS: u64 = 1000;
const PAGES: usize = 40;

/// 384 dimensions and six properties, with about 400 letters of text.
fn typical(number: u64) -> Object {
    let seed = blake3::hash(&number.to_le_bytes());
    let mut noise = vec![0; 384 * 4];
    blake3::Hasher::new_keyed(seed.as_bytes())
        .finalize_xof()
        .fill(&mut noise);
    let unit = |bytes: &[u8]| {
        (f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) + f32::from(bytes[2]) / 256.0)
            / 400_000.0
    };
    let vector: Vec<f32> = noise.chunks_exact(4).map(unit).collect();
    let words: Vec<String> = noise
        .chunks(23)
        .map(|bytes| format!("word{}", bytes[0]))
        .collect();
    let property = |name: &str, json: String| (name.to_owned(), json);
    Object {
        key: Key::of(ObjectId::from_u128(u128::from(number) << 70)),
        times: Times {
            created: 1_700_000_000_000,
            updated: 1_700_000_000_001,
        },
        properties: vec![
            property("body", format!("\"{}\"", words.join(" "))),
            property("count", number.to_string()),
            property("date", "\"2026-02-01T10:30:00Z\"".to_owned()),
            property("score", format!("{}.25", number)),
            property("tags", r#"["one","two","three"]"#.to_owned()),
            property("title", format!("\"title {number}\"")),
        ],
        vectors: vec![(None, 0, floats(&vector))],
    }
}

fn measure(format: Format, codec: Codec, with_digest: bool, page: &Page) {
    let folder = tempfile::tempdir().unwrap();
    let draft = draft(Arc::new(Local::at(folder.path())), format, codec);
    let options = SinkOptions {
        with_digest,
        ..SinkOptions::default()
    };
    let sink = draft.create(options).unwrap();
    let (began, mut stored) = (Instant::now(), 0);
    let mut batch = sink.begin(&lane(0, 0));
    for seq in 1..=PAGES {
        if sink.append(&mut batch, page).unwrap() == crate::pipe::Appetite::Full || seq == PAGES {
            stored += now(sink.apply(&mut batch)).unwrap().receipt.bytes;
            batch = sink.begin(&lane(0, seq as u64));
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let objects = (OBJECTS as usize * PAGES) as f64;
    let given: usize = 384 * 4 + 700;
    eprintln!(
        "{:5} {:4} digest {:5}: {:7.0} objects/s, {:5.0} MB/s of objects, {:4.2} s per 100 K, {:.0} bytes stored each",
        format.name(),
        codec.name(),
        with_digest,
        objects / seconds,
        objects * given as f64 / seconds / 1e6,
        seconds / objects * 1e5,
        stored as f64 / objects
    );
}

#[test]
#[ignore = "a measurement"]
fn speed_of_encoding_and_reading() {
    let page = page((0..OBJECTS).map(typical).collect());
    for with_digest in [false, true] {
        for (format, codec) in LAYOUTS {
            measure(format, codec, with_digest, &page);
        }
    }
    for (format, codec) in LAYOUTS {
        let memory = Memory::default();
        let objects: Vec<Object> = (0..20 * OBJECTS).map(typical).collect();
        let name = make_in(Arc::new(memory.clone()), format, codec, &objects, 1000);
        let archive = Archive::open_in(Arc::new(memory), name.to_str().unwrap()).unwrap();
        let began = Instant::now();
        let count = archive.verify().unwrap().object_count as f64;
        eprintln!(
            "{:5} {:4} verify: {:.0} objects/s",
            format.name(),
            codec.name(),
            count / began.elapsed().as_secs_f64()
        );
    }
}
