//! What goes in comes out, through every layout, and other programs can read it too.

use std::io::Read as _;

use super::*;
use crate::format::{Both, Digester, Shape};

fn sorted(mut objects: Vec<Object>) -> Vec<Object> {
    objects.sort_by(|one, two| one.key.cmp(&two.key));
    objects
}

#[test]
fn what_was_written_is_read_in_every_layout() {
    for (format, codec) in LAYOUTS {
        for (count, size) in [(0, 1), (1, 5), (50, 5), (90, 100)] {
            let folder = tempfile::tempdir().unwrap();
            let path = make(folder.path(), format, codec, count, size);
            let archive = Archive::open(&path).unwrap();
            let expected: Vec<Object> = (0..count).map(object).collect();
            let found = sorted(read_all(&archive, BUDGET).unwrap());
            assert_eq!(found, sorted(expected), "{format:?} {codec:?} {count}");
            let header = archive.header();
            assert_eq!((header.object_count, header.resumed), (count, 2));
            assert_eq!(archive.definition(), &definition());
            let trailer = archive.trailer().unwrap();
            assert_eq!(
                (&trailer.tenants, &trailer.aliases),
                (&ending().tenants, &ending().aliases)
            );
            assert_eq!(archive.verify().unwrap().object_count, count);
        }
    }
}

#[test]
fn the_names_are_those_of_the_specification() {
    let folder = tempfile::tempdir().unwrap();
    for ((format, codec), name) in LAYOUTS.into_iter().zip([
        "Article_full_20260201_103000.json",
        "Article_full_20260201_103000.json.gz",
        "Article_full_20260201_103000.json.zst",
        "Article_full_20260201_103000.json.lz4",
        "Article_full_20260201_103000",
    ]) {
        assert_eq!(
            make(folder.path(), format, codec, 1, 1),
            folder.path().join(name)
        );
    }
}

/// Decodes as `zcat`, `zstdcat` and `lz4cat` do.
fn decode(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match codec {
        Codec::None => text = bytes.to_vec(),
        Codec::Gzip => {
            flate2::read::MultiGzDecoder::new(bytes)
                .read_to_end(&mut text)
                .unwrap();
        }
        Codec::Zstd => zstd::stream::copy_decode(bytes, &mut text).unwrap(),
        Codec::Lz4 => {
            let mut rest = bytes;
            while !rest.is_empty() {
                lz4_flex::frame::FrameDecoder::new(&mut rest)
                    .read_to_end(&mut text)
                    .unwrap();
            }
        }
    }
    text
}

#[test]
fn a_document_is_one_json_text_for_other_decoders() {
    for codec in Codec::ALL {
        for count in [0, 1, 40] {
            let folder = tempfile::tempdir().unwrap();
            let path = make(folder.path(), Format::Json, codec, count, 6);
            let text = decode(codec, &std::fs::read(path).unwrap());
            let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(json["objects"].as_array().unwrap().len() as u64, count);
            assert_eq!(json["object_count"], count);
            assert_eq!(json["metadata"]["object_count"], count);
            assert_eq!(json["schema"]["class"], "Article");
            let names: Vec<&String> = json.as_object().unwrap().keys().collect();
            assert!(
                names.contains(&&"seal".to_owned()) && names.contains(&&"integrity".to_owned())
            );
            let lines = String::from_utf8(text).unwrap();
            let of_objects = lines
                .lines()
                .filter(|line| line.starts_with("{\"id\":"))
                .count();
            assert_eq!(of_objects as u64, count, "one object per line");
        }
    }
}

#[test]
fn a_line_has_its_members_in_the_order_of_the_specification() {
    let folder = tempfile::tempdir().unwrap();
    let path = make(folder.path(), Format::Json, Codec::None, 22, 30);
    let text = std::fs::read_to_string(path).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains("\"tenant\":\"a\"") && line.contains("\"vectors\""))
        .unwrap();
    let names = [
        "id",
        "class",
        "properties",
        "vector",
        "vectors",
        "tenant",
        "creationTimeUnix",
        "lastUpdateTimeUnix",
    ];
    let places: Vec<usize> = names
        .iter()
        .map(|name| line.find(&format!("\"{name}\":")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{line}");
}

#[test]
fn digests_do_not_depend_on_order_batches_or_layout_but_on_every_value() {
    let digest = |objects: Vec<Object>| {
        let mut digester = Digester::new(Shape::of(&definition()).unwrap());
        Objects(objects).walk(&mut digester).unwrap();
        digester.take().digest()
    };
    let all: Vec<Object> = (0..30).map(object).collect();
    let expected = digest(all.clone());
    assert_eq!(digest(all.iter().rev().cloned().collect()), expected);
    for (format, codec) in [(Format::Json, Codec::Zstd), (Format::Jsonl, Codec::None)] {
        let folder = tempfile::tempdir().unwrap();
        let verdict = verify(&make(folder.path(), format, codec, 30, 4)).unwrap();
        assert_eq!(verdict.digest, expected);
    }
    let mut shuffled = all.clone();
    for object in &mut shuffled {
        object.properties.reverse();
        object.vectors.reverse();
    }
    assert_eq!(
        digest(shuffled),
        expected,
        "the order of names means nothing"
    );
    let changes: [fn(&mut Object); 6] = [
        |object| object.key.tenant = Tenant::named("x"),
        |object| object.key.id.0[15] ^= 1,
        |object| object.properties[0].1 = "-1".to_owned(),
        |object| object.properties[1].1 = r#"{"a":[1.50,-0.0,"\u0000"]}"#.to_owned(),
        |object| object.vectors[0].2[0] ^= 1,
        |object| object.vectors[0].0 = Some("v".to_owned()),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut changed = all.clone();
        change(&mut changed[1]);
        assert_ne!(digest(changed), expected, "{index}");
    }
}

#[test]
fn a_page_that_shows_other_objects_than_its_keys_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sink = draft(
        Arc::new(Local::at(folder.path())),
        Format::Json,
        Codec::Zstd,
    )
    .create(SinkOptions::default())
    .unwrap();
    let mut batch = sink.begin(&lane(0, 0));
    let mut short = page(vec![object(1), object(2)]);
    short.keys.pop();
    assert!(sink.append(&mut batch, &short).is_err());
    assert!(
        now(sink.apply(&mut batch)).is_err(),
        "a broken batch is not applied"
    );
}

#[test]
fn small_pages_share_a_frame_and_a_frame_is_read_in_many_pages() {
    let folder = tempfile::tempdir().unwrap();
    let draft = draft(
        Arc::new(Local::at(folder.path())),
        Format::Jsonl,
        Codec::Zstd,
    );
    let sink = draft.create(SinkOptions::default()).unwrap();
    let mut batch = sink.begin(&lane(0, 0));
    let objects: Vec<Object> = (0..60).map(object).collect();
    for few in objects.chunks(7) {
        sink.append(&mut batch, &page(few.to_vec())).unwrap();
    }
    let receipt = now(sink.apply(&mut batch)).unwrap().receipt;
    assert_eq!(
        now(sink.apply(&mut batch)).unwrap().receipt,
        receipt,
        "a repetition changes nothing"
    );
    assert_eq!((receipt.count, receipt.tenants.len()), (60, 3));
    assert_eq!(
        receipt.span,
        Some((objects[0].key.clone(), objects[59].key.clone()))
    );
    draft.seal(&[&receipt], &ending(), true).unwrap();
    let archive = Archive::open(&draft.publish().unwrap()).unwrap();
    assert_eq!(read_all(&archive, Budget::of(1, 1)).unwrap(), objects);
}

#[test]
fn a_batch_under_way_is_read_again_and_another_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = make(folder.path(), Format::Json, Codec::Gzip, 30, 4);
    let source = Archive::open(&path).unwrap().source();
    let whole = Lane {
        bounds: Bounds::Frames { from: 0, to: 8 },
        ..lane(0, 0)
    };
    let first = now(source.fetch(&whole, &Cursor::Start, Budget::of(3, 1 << 20))).unwrap();
    let whole = Lane {
        cursor: first.end.clone(),
        ..whole
    };
    let keys: Vec<Key> = (3..9).map(|number| object(number).key).collect();
    let end = Cursor::At {
        frame: 2,
        ordinal: 1,
    };
    let intent = crate::job::Intent {
        seq: 0,
        end: end.clone(),
        count: 6,
        hash: [0; 32],
    };
    let again = now(source.again(&whole, &intent, &keys)).unwrap();
    assert_eq!((again.keys.clone(), again.end), (keys.clone(), end));
    let mut collect = Collect::default();
    again.objects.walk(&mut collect).unwrap();
    assert_eq!(collect.0, (3..9).map(object).collect::<Vec<_>>());
    let other = crate::job::Intent {
        count: 5,
        ..intent.clone()
    };
    assert!(now(source.again(&whole, &other, &[])).is_err());
    assert!(now(source.again(&whole, &intent, &keys[1..])).is_err());
    let border = now(source.border(&whole, &first)).unwrap();
    assert_eq!(
        border,
        Some(Cursor::At {
            frame: 4,
            ordinal: 0
        })
    );
    let end = border.unwrap();
    assert!(whole.bounds.cut(&whole.cursor, &end).is_some());
}

#[test]
fn both_visitors_are_shown_the_same() {
    let objects = Objects((0..10).map(object).collect());
    let (mut one, mut two) = (Collect::default(), Collect::default());
    objects.walk(&mut Both(&mut one, &mut two)).unwrap();
    assert_eq!((&one.0, &two.0), (&objects.0, &objects.0));
}

#[test]
fn a_property_with_line_breaks_stays_on_its_line_and_vectors_may_come_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let draft = draft(
        Arc::new(Local::at(folder.path())),
        Format::Json,
        Codec::None,
    );
    let sink = draft.create(SinkOptions::default()).unwrap();
    let mut odd = object(3);
    odd.vectors.reverse();
    odd.properties[0].1 = "{\n\"a\" :\r\n1}".to_owned();
    let receipt = write_batch(&sink, &lane(0, 0), vec![odd.clone()]).unwrap();
    draft.seal(&[&receipt], &ending(), true).unwrap();
    let found = read_all(&Archive::open(&draft.publish().unwrap()).unwrap(), BUDGET).unwrap();
    odd.vectors.reverse();
    odd.properties[0].1 = "{ \"a\" :  1}".to_owned();
    assert_eq!(found, [odd]);
}
