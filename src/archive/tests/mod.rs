//! What all tests of archives share: made-up objects, a visitor that remembers, and a whole backup in one call.

mod damage;
mod edges;
mod finish;
mod foreign;
mod memory;
mod roundtrip;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::error::Result;
use crate::format::Codec;
use crate::job::{Bounds, Cursor, Lane, Pass, Receipt};
use crate::model::{Definition, Key, ObjectId, Tenant, Times};
use crate::pipe::{Budget, Page, Sink, Source, Vector, Visit, Walk};
use crate::storage::{Local, Storage};

pub(super) const BUDGET: Budget = Budget::of(7, 1 << 20);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    pub key: Key,
    pub times: Times,
    pub properties: Vec<(String, String)>,
    /// Name, length of a row or 0, bytes.
    pub vectors: Vec<(Option<String>, usize, Vec<u8>)>,
}

pub(super) fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

pub(super) fn object(number: u64) -> Object {
    let odd = [f32::from_bits(1), -0.0, 0.1, number as f32 * 1.1, f32::MAX];
    let mut vectors = vec![(None, 0, floats(&odd))];
    if number.is_multiple_of(3) {
        vectors.push((
            Some("many \"rows\"".to_owned()),
            2,
            floats(&[1.0, -2.0, 3.5, number as f32]),
        ));
    }
    if number.is_multiple_of(5) {
        let nan = f32::from_bits(0x7fc0_0000 | number as u32);
        vectors = vec![
            (None, 0, floats(&[nan, f32::INFINITY])),
            (Some("z".to_owned()), 1, floats(&[nan, 2.0])),
        ];
    }
    if number % 7 == 6 {
        vectors.clear();
    }
    Object {
        key: Key {
            tenant: Tenant::named(["", "a", "b/c \u{1}é"][number as usize / 20 % 3]),
            id: ObjectId::from_u128(u128::from(number) << 64 | 7),
        },
        times: Times {
            created: number as i64 * 1000,
            updated: -5,
        },
        properties: vec![
            ("count".to_owned(), format!("{number}")),
            (
                "nested".to_owned(),
                r#"{"b":null,"a":[1.50,-0.0,"\u0000"]}"#.to_owned(),
            ),
            (
                "title".to_owned(),
                serde_json::to_string(&format!("line\n\u{0}\u{7f}é😀 \"{number}\"")).unwrap(),
            ),
        ],
        vectors,
    }
}

pub(super) struct Objects(pub Vec<Object>);

impl Walk for Objects {
    fn walk(&self, visit: &mut dyn Visit) -> Result<()> {
        for object in &self.0 {
            visit.object(&object.key, object.times)?;
            for (name, json) in &object.properties {
                visit.property(name, json)?;
            }
            for (name, dimensions, bytes) in &object.vectors {
                let vector = match dimensions {
                    0 => Vector::Single(bytes),
                    _ => Vector::Multi {
                        dimensions: *dimensions,
                        rows: bytes,
                    },
                };
                visit.vector(name.as_deref(), vector)?;
            }
            visit.end()?;
        }
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Collect(pub Vec<Object>);

impl Visit for Collect {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.0.push(Object {
            key: key.clone(),
            times,
            properties: Vec::new(),
            vectors: Vec::new(),
        });
        Ok(())
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        self.0
            .last_mut()
            .unwrap()
            .properties
            .push((name.to_owned(), json.to_owned()));
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        let name = name.map(str::to_owned);
        self.0.last_mut().unwrap().vectors.push(match vector {
            Vector::Single(bytes) => (name, 0, bytes.to_vec()),
            Vector::Multi { dimensions, rows } => (name, dimensions, rows.to_vec()),
            Vector::Json(text) => panic!("undecoded {text}"),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(super) fn page(objects: Vec<Object>) -> Page {
    Page {
        keys: objects.iter().map(|object| object.key.clone()).collect(),
        unreadable: Vec::new(),
        end: Cursor::Start,
        bytes: 0,
        is_last: false,
        objects: Arc::new(Objects(objects)),
    }
}

pub(super) fn lane(id: u32, seq: u64) -> Lane {
    Lane {
        id,
        pass: Pass::Objects,
        bounds: Bounds::ALL_KEYS,
        cursor: Cursor::Start,
        seq,
        intent: None,
        is_drained: false,
    }
}

pub(super) fn definition() -> Definition {
    let text = r#"{"class":"Article","properties":[{"name":"count","dataType":["int"]},{"name":"title","dataType":["text"]}],"vectorConfig":{}}"#;
    Definition::parse(text.to_owned()).unwrap()
}

pub(super) fn draft(storage: Arc<dyn Storage>, format: Format, codec: Codec) -> Draft {
    let started = "2026-02-01T10:30:00Z".parse().unwrap();
    let header = Header::new(definition(), Contents::Full, started).unwrap();
    Draft::new(storage, header, format, codec)
}

pub(super) fn ending() -> Ending {
    Ending {
        finished: "2026-02-01T10:31:00Z".parse().unwrap(),
        resumed: 2,
        tenants: vec![TenantState {
            name: "a".to_owned(),
            status: "COLD".to_owned(),
        }],
        aliases: vec!["Other".to_owned()],
        ..Ending::default()
    }
}

/// Waits for what never waits.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

pub(super) fn write_batch(
    sink: &ArchiveSink,
    lane: &Lane,
    objects: Vec<Object>,
) -> Result<Receipt> {
    let mut batch = sink.begin(lane);
    sink.append(&mut batch, &page(objects))?;
    let receipt = now(sink.apply(&mut batch))?;
    sink.barrier()?;
    Ok(receipt.receipt)
}

/// Batches of `size`, dealt out to three lanes.
pub(super) fn write_all(sink: &ArchiveSink, objects: &[Object], size: usize) -> Vec<Receipt> {
    let batches = objects.chunks(size).enumerate();
    batches
        .map(|(index, objects)| {
            let lane = lane(index as u32 % 3, index as u64 / 3);
            write_batch(sink, &lane, objects.to_vec()).unwrap()
        })
        .collect()
}

pub(super) fn refs(receipts: &[Receipt]) -> Vec<&Receipt> {
    receipts.iter().collect()
}

/// A whole archive of objects 0..count.
pub(crate) fn make(
    folder: &Path,
    format: Format,
    codec: Codec,
    count: u64,
    size: usize,
) -> PathBuf {
    let objects: Vec<Object> = (0..count).map(object).collect();
    make_in(Arc::new(Local::at(folder)), format, codec, &objects, size)
}

pub(super) fn make_in(
    storage: Arc<dyn Storage>,
    format: Format,
    codec: Codec,
    objects: &[Object],
    size: usize,
) -> PathBuf {
    let draft = draft(storage, format, codec);
    let sink = draft.create(SinkOptions::default()).unwrap();
    let receipts = write_all(&sink, objects, size);
    draft.seal(&refs(&receipts), &ending(), true).unwrap();
    draft.publish().unwrap()
}

/// Everything a source gives, lane by lane.
pub(super) fn read_all(archive: &Archive, budget: Budget) -> Result<Vec<Object>> {
    let source = archive.source();
    let mut collect = Collect::default();
    for (id, bounds) in source.lanes().into_iter().enumerate() {
        let lane = Lane {
            bounds,
            ..lane(id as u32, 0)
        };
        let mut cursor = Cursor::Start;
        loop {
            let page = now(source.fetch(&lane, &cursor, budget))?;
            let before = collect.0.len();
            page.objects.walk(&mut collect)?;
            let walked: Vec<Key> = collect.0[before..]
                .iter()
                .map(|object| object.key.clone())
                .collect();
            assert_eq!(walked, page.keys);
            cursor = page.end;
            if page.is_last {
                break;
            }
        }
    }
    Ok(collect.0)
}

pub(super) const LAYOUTS: [(Format, Codec); 8] = [
    (Format::Json, Codec::None),
    (Format::Json, Codec::Gzip),
    (Format::Json, Codec::Zstd),
    (Format::Json, Codec::Lz4),
    (Format::Jsonl, Codec::None),
    (Format::Jsonl, Codec::Gzip),
    (Format::Jsonl, Codec::Zstd),
    (Format::Jsonl, Codec::Lz4),
];
