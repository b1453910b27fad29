//! Documents that others wrote are read as they are; what was ours and is no longer whole is not.

use std::io::Write as _;

use super::memory::{Files, Memory};
use super::*;
use crate::error::Kind;

const SCHEMA: &str = r#""schema": {"class": "Article", "properties": []}"#;

fn open(bytes: &[u8]) -> Result<Archive> {
    let files = Files::from([("x.dat".to_owned(), bytes.to_vec())]);
    Archive::open_in(Arc::new(Memory::of(files)), "x.dat")
}

fn ids(archive: &Archive) -> Vec<u128> {
    let objects = read_all(archive, Budget::of(2, 1 << 20)).unwrap();
    objects
        .iter()
        .map(|object| object.key.id.to_u128())
        .collect()
}

fn indented() -> String {
    format!(
        r#"{{
  "objects": [
    {{ "vector": [ 1, 2.5 ], "properties": {{ "a": "]}}" , "b": [1, 2] }},
       "id": "00000000-0000-0000-0000-000000000001", "extra": {{"x": [null]}} }},
    {{ "id": "00000000-0000-0000-0000-000000000002", "vector": null, "tenant": null }} ,
    {{ "id": "00000000-0000-0000-0000-000000000003", "vectors": {{ "n": [[1],[2]] }}, "creationTimeUnix": 5 }}
  ],
  {SCHEMA},
  "metadata": {{ "version": "1.0", "timestamp": "2026-02-01T10:30:00", "collection": "Article" }}
}}

"#
    )
}

#[test]
fn an_indented_document_with_its_keys_in_any_order_is_read() {
    for prefix in ["", "\u{feff}", " \n"] {
        let archive = open(format!("{prefix}{}", indented()).as_bytes()).unwrap();
        assert_eq!((archive.object_count(), ids(&archive)), (3, vec![1, 2, 3]));
        assert!(!archive.is_ours() && archive.warnings()[0].contains("no integrity"));
        assert_eq!(archive.header().weaviate_version, "unknown");
        assert_eq!(archive.header().started.to_string(), "2026-02-01T10:30:00Z");
        let objects = read_all(&archive, BUDGET).unwrap();
        assert_eq!(
            objects[0].properties[0],
            ("a".to_owned(), "\"]}\"".to_owned())
        );
        assert_eq!(objects[0].vectors, [(None, 0, floats(&[1.0, 2.5]))]);
        assert_eq!(
            objects[2].vectors,
            [(Some("n".to_owned()), 1, floats(&[1.0, 2.0]))]
        );
        assert_eq!((objects[1].times.created, objects[2].times.created), (0, 5));
        assert_eq!(archive.verify().unwrap().object_count, 3);
    }
}

#[test]
fn any_compression_and_one_line_will_do() {
    let text: String = indented().lines().map(str::trim).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let zstd = zstd::stream::encode_all(text.as_bytes(), 3).unwrap();
    let lz4 = Codec::Lz4.compress(text.as_bytes()).unwrap();
    for bytes in [text.as_bytes().to_vec(), gzip.finish().unwrap(), zstd, lz4] {
        let archive = open(&bytes).unwrap();
        assert_eq!(ids(&archive), [1, 2, 3]);
        assert_eq!(archive.hash(), blake3::hash(&bytes).to_hex().as_str());
        for length in (0..bytes.len()).step_by(7) {
            assert!(open(&bytes[..length]).is_err(), "cut to {length}");
        }
    }
}

#[test]
fn a_resume_goes_on_at_its_ordinal() {
    let archive = open(indented().as_bytes()).unwrap();
    let source = archive.source();
    let lane = Lane {
        bounds: source.lanes()[0].clone(),
        ..lane(0, 0)
    };
    let page = now(source.fetch(
        &lane,
        &Cursor::At {
            frame: 0,
            ordinal: 2,
        },
        BUDGET,
    ))
    .unwrap();
    assert_eq!(page.keys, [Key::of(ObjectId::from_u128(3))]);
    assert_eq!(
        (page.end, page.is_last),
        (
            Cursor::At {
                frame: 1,
                ordinal: 0
            },
            true
        )
    );
}

#[test]
fn little_is_needed_and_nonsense_is_refused_by_name() {
    for text in [
        format!("{{{SCHEMA}}}"),
        format!("{{\"objects\":[], {SCHEMA}}}"),
    ] {
        let archive = open(text.as_bytes()).unwrap();
        assert!(archive.object_count() == 0 && ids(&archive).is_empty());
        archive.verify().unwrap();
    }
    let object = r#"{"id":"00000000-0000-0000-0000-000000000001"}"#;
    for (text, kind) in [
        ("".to_owned(), Kind::Incompatible),
        ("hello".to_owned(), Kind::Incompatible),
        ("[]".to_owned(), Kind::Incompatible),
        ("{}".to_owned(), Kind::Incompatible),
        (format!("{{\"objects\":[{object}]}}"), Kind::Incompatible),
        (
            format!("{{{SCHEMA},\"metadata\":{{\"version\":\"2.0\"}}}}"),
            Kind::Incompatible,
        ),
        (format!("{{{SCHEMA}}} x"), Kind::Difference),
        (format!("{{{SCHEMA},{SCHEMA}}}"), Kind::Difference),
        (format!("{{{SCHEMA},}}"), Kind::Difference),
        (
            format!("{{{SCHEMA},\"objects\":[{object} {object}]}}"),
            Kind::Difference,
        ),
        (
            format!("{{{SCHEMA},\"objects\":[{object},]}}"),
            Kind::Difference,
        ),
        (format!("{{{SCHEMA},\"objects\":[{{}}]}}"), Kind::Difference),
        (format!("{{{SCHEMA},\"objects\":[1]}}"), Kind::Difference),
        (
            format!("{{{SCHEMA},\"objects\":[{{\"id\":\"1\"}}]}}"),
            Kind::Difference,
        ),
        (format!("{{{SCHEMA},\"objects\":{{}}}}"), Kind::Difference),
        (format!("{{{SCHEMA},\"x\":tru}}"), Kind::Difference),
    ] {
        let error = open(text.as_bytes())
            .err()
            .unwrap_or_else(|| panic!("{text}"));
        assert_eq!(error.kind(), kind, "{text}: {error}");
    }
}

#[test]
fn a_count_that_does_not_fit_is_warned_of() {
    let text = format!("{{{SCHEMA},\"objects\":[],\"object_count\":7}}");
    let archive = open(text.as_bytes()).unwrap();
    assert!(
        archive.warnings()[1].contains("7 objects"),
        "{:?}",
        archive.warnings()
    );
    assert!(!archive.verify().unwrap().is_whole);
}

#[test]
fn ours_in_other_clothes_is_refused_until_it_is_sealed_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = make(folder.path(), Format::Json, Codec::None, 5, 2);
    let text = std::fs::read_to_string(path).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut without_seal = json.clone();
    without_seal.as_object_mut().unwrap().remove("seal");
    let mut without_mark = json.clone();
    without_mark["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("sealed");
    for edited in [
        serde_json::to_string_pretty(&json).unwrap(),
        without_seal.to_string(),
        without_mark.to_string(),
        text.replace("\"COLD\"", "\"HOTT\""),
        text.replacen("line\\n", "line\\t", 1),
        format!("{text} "),
    ] {
        let outcome = open(edited.as_bytes()).and_then(|archive| archive.verify());
        assert_eq!(outcome.unwrap_err().kind(), Kind::Difference);
    }
    without_mark.as_object_mut().unwrap().remove("seal");
    assert_eq!(
        ids(&open(without_mark.to_string().as_bytes()).unwrap()).len(),
        5
    );
}

#[test]
fn an_unfinished_archive_is_refused() {
    for (format, codec) in LAYOUTS {
        let memory = Memory::default();
        let draft = draft(Arc::new(memory.clone()), format, codec);
        let sink = draft.create(SinkOptions::default()).unwrap();
        write_all(&sink, &[object(1)], 1);
        memory.rename(&draft.partial(), "x").unwrap();
        assert_eq!(
            Archive::open_in(Arc::new(memory), "x")
                .err()
                .unwrap()
                .kind(),
            Kind::Difference
        );
    }
}

#[test]
fn an_edited_archive_is_good_again_once_it_is_sealed_anew() {
    for codec in Codec::ALL {
        let memory = Memory::default();
        let objects: Vec<Object> = (0..5).map(object).collect();
        let path = make_in(Arc::new(memory.clone()), Format::Json, codec, &objects, 2);
        let name = path.to_str().unwrap();
        let mut text = String::new();
        let stored = memory.files()[name].clone();
        let mut decoder = crate::format::Decoder::new(codec, stored.as_slice()).unwrap();
        std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
        let edited = text
            .replace("\"COLD\"", "\"HOT\"")
            .replace("\"count\":3", "\"count\":33");
        memory
            .put(name, &codec.compress(edited.as_bytes()).unwrap())
            .unwrap();
        let storage: Arc<dyn Storage> = Arc::new(memory.clone());
        assert!(Archive::open_in(storage.clone(), name).is_err());
        now(super::super::reseal::reseal_in(storage.clone(), name)).unwrap();
        let archive = Archive::open_in(storage, name).unwrap();
        archive.verify().unwrap();
        assert_eq!(archive.trailer().unwrap().tenants[0].status, "HOT");
        assert_eq!(
            (archive.header().resumed, archive.header().finished),
            (2, Some(ending().finished))
        );
        assert_eq!(read_all(&archive, BUDGET).unwrap()[3].properties[0].1, "33");
        assert_eq!(memory.files().len(), 1);
    }
}

#[test]
fn an_edited_folder_is_good_again_once_it_is_sealed_anew() {
    let memory = Memory::default();
    let objects: Vec<Object> = (0..9).map(object).collect();
    let path = make_in(
        Arc::new(memory.clone()),
        Format::Jsonl,
        Codec::None,
        &objects,
        3,
    );
    let name = path.to_str().unwrap();
    let part = format!("{name}/objects/part-00001-00000000.jsonl");
    let text = String::from_utf8(memory.files()[&part].clone()).unwrap();
    memory
        .put(&part, text.lines().next().unwrap().as_bytes())
        .unwrap();
    memory
        .put(
            &format!("{name}/schema.json"),
            b"{\"class\":\"Article\",\"properties\":[]}\n",
        )
        .unwrap();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    assert!(Archive::open_in(storage.clone(), name).is_err());
    now(super::super::reseal::reseal_in(storage.clone(), name)).unwrap();
    let archive = Archive::open_in(storage, name).unwrap();
    assert_eq!(archive.verify().unwrap().object_count, 7);
    assert_eq!(
        archive.definition().text(),
        "{\"class\":\"Article\",\"properties\":[]}"
    );
    assert_eq!(archive.trailer().unwrap().aliases, ["Other"]);
}

fn with_strangers() -> String {
    let object = |id: u32, class: &str| {
        format!(r#"{{"id":"00000000-0000-0000-0000-{id:012}","class":"{class}"}}"#)
    };
    let objects = (1..=9).map(|id| object(id, if id % 3 == 0 { "Article" } else { "Other" }));
    let objects: Vec<String> = objects.collect();
    format!("{{\"objects\":[{}],{SCHEMA}}}", objects.join(","))
}

/// None is lost where a page ends among them, and what was under way is found again.
#[test]
fn objects_of_another_collection_are_handed_out_as_unreadable_in_pages_of_any_size() {
    let archive = open(with_strangers().as_bytes()).unwrap();
    let source = archive.source();
    for objects in 1..=10 {
        let budget = Budget { objects, ..BUDGET };
        let mut lane = Lane {
            bounds: source.lanes()[0].clone(),
            ..lane(0, 0)
        };
        let (mut own, mut others, mut is_last) = (Vec::new(), Vec::new(), false);
        while !is_last {
            let page = now(source.fetch(&lane, &lane.cursor, budget)).unwrap();
            assert!(page.keys.len() + page.unreadable.len() <= objects as usize);
            own.extend(page.keys.iter().map(|key| key.id.to_u128()));
            others.extend(page.unreadable.iter().map(|one| one.key.id.to_u128()));
            (lane.cursor, is_last) = (page.end, page.is_last);
        }
        assert_eq!((own, others), (vec![3, 6, 9], vec![1, 2, 4, 5, 7, 8]));
    }
    let verdict = archive.verify().unwrap();
    assert_eq!((verdict.object_count, verdict.is_whole), (9, false));
}

#[test]
fn what_holds_objects_of_another_collection_is_not_sealed_anew() {
    let memory = Memory::of(Files::from([(
        "x".to_owned(),
        with_strangers().into_bytes(),
    )]));
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let error = now(super::super::reseal::reseal_in(storage, "x")).unwrap_err();
    assert!(error.message().contains("`Other` (6)"), "{error}");
    assert_eq!(memory.files()["x"], with_strangers().into_bytes());

    let (memory, objects) = (Memory::default(), [object(1), object(2)]);
    let storage = Arc::new(memory.clone());
    let path = make_in(storage.clone(), Format::Jsonl, Codec::None, &objects, 2);
    let name = path.to_str().unwrap();
    let parts = memory
        .files()
        .into_iter()
        .filter(|(file, _)| file.contains("/objects/"));
    for (file, text) in parts {
        let text = String::from_utf8(text).unwrap();
        memory
            .put(
                &file,
                text.replacen("\"class\":\"Article\"", "\"class\":\"Other\"", 1)
                    .as_bytes(),
            )
            .unwrap();
    }
    let error = now(super::super::reseal::reseal_in(storage, name)).unwrap_err();
    assert!(error.message().contains("`Other` ("), "{error}");
}
