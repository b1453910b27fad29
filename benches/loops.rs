//! The inner loops: a page to lines, lines to a frame, lines to a digest, a batch into the journal.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use elysiactl::format::{
    Both, Codec, Digester, Encoder, Framing, LineWriter, Lines, Shape, Vectors,
};
use elysiactl::job::{Cursor, Identity, JobKind, Receipt, Spec, Step, Tuning};
use elysiactl::journal::{Entry, StateDir, StoreKind};
use elysiactl::model::{Definition, Key, ObjectId, Times};
use elysiactl::pipe::{Vector, Visit, Walk};

const OBJECTS: usize = 1_000;
const DIMENSIONS: usize = 384;

/// Objects as a page holds them.
struct Page {
    body: String,
    vector: Vec<u8>,
}

impl Page {
    fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let numbers: Vec<f32> = (0..DIMENSIONS).map(|_| random.f32() * 2.0 - 1.0).collect();
        let letters: String = (0..400).map(|_| random.lowercase()).collect();
        Page {
            body: format!("\"{letters}\""),
            vector: numbers
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect(),
        }
    }
}

impl Walk for Page {
    fn walk(&self, visit: &mut dyn Visit) -> elysiactl::error::Result<()> {
        for index in 0..OBJECTS {
            visit.object(
                &Key::of(ObjectId::from_u128(index as u128)),
                Times::default(),
            )?;
            visit.property("body", &self.body)?;
            visit.property("score", "0.123456789")?;
            visit.property("title", "\"a title\"")?;
            visit.property("views", "12345")?;
            visit.vector(None, Vector::Single(&self.vector))?;
            visit.end()?;
        }
        Ok(())
    }
}

fn definition() -> Definition {
    let text = r#"{"class":"A","properties":[{"name":"body","dataType":["text"]},{"name":"score","dataType":["number"]},
        {"name":"title","dataType":["text"]},{"name":"views","dataType":["int"]}]}"#;
    Definition::parse(text.to_owned()).expect("a definition")
}

fn lines(vectors: Vectors) -> Vec<u8> {
    let mut writer = LineWriter::new("A", vectors, Framing::Lines);
    Page::new().walk(&mut writer).expect("a page");
    writer.text().to_vec()
}

fn encode(criterion: &mut Criterion) {
    let page = Page::new();
    let mut group = criterion.benchmark_group("encode 1,000 objects");
    group.throughput(Throughput::Elements(OBJECTS as u64));
    for (name, vectors) in [("base64", Vectors::Base64), ("decimal", Vectors::Decimal)] {
        let mut writer = LineWriter::new("A", vectors, Framing::Lines);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                writer.clear();
                page.walk(&mut writer).expect("a page");
                black_box(writer.text().len())
            });
        });
    }
    let shape = Shape::of(&definition()).expect("a shape");
    let mut writer = LineWriter::new("A", Vectors::Base64, Framing::Lines);
    group.bench_function("base64 and digest", |bencher| {
        bencher.iter(|| {
            writer.clear();
            let mut digester = Digester::new(shape.clone());
            page.walk(&mut Both(&mut writer, &mut digester))
                .expect("a page");
            black_box(digester.take())
        });
    });
    group.finish();
}

fn compress(criterion: &mut Criterion) {
    let text = lines(Vectors::Base64);
    let mut group = criterion.benchmark_group("compress 1,000 objects");
    group.throughput(Throughput::Bytes(text.len() as u64));
    for codec in [Codec::Zstd, Codec::Lz4, Codec::Gzip] {
        let (mut encoder, mut out) = (Encoder::new(codec).expect("an encoder"), Vec::new());
        group.bench_function(codec.name(), |bencher| {
            bencher.iter(|| {
                out.clear();
                text.chunks(256 << 10)
                    .for_each(|chunk| encoder.write(chunk, &mut out).expect("written"));
                encoder.finish(&mut out).expect("finished");
                black_box(out.len())
            });
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode 1,000 objects");
    group.throughput(Throughput::Elements(OBJECTS as u64));
    for (name, vectors) in [("base64", Vectors::Base64), ("decimal", Vectors::Decimal)] {
        let text = String::from_utf8(lines(vectors)).expect("text");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut lines = Lines::default();
                text.lines()
                    .for_each(|line| lines.push(line).expect("a line"));
                let mut digester = Digester::new(Shape::of(&definition()).expect("a shape"));
                lines.walk(&mut digester).expect("walked");
                black_box(digester.take())
            });
        });
    }
    group.finish();
}

/// A batch of a thousand ids, as one durable commit of each journal.
fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit 1,000 ids");
    for kind in [StoreKind::Sled, StoreKind::File] {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateDir::open(folder.path()).expect("a state directory");
        let spec = Spec {
            identity: Identity::of(JobKind::Backup, "A", "/b"),
            tuning: Tuning::default(),
        };
        let job = state.create_with(&spec, kind, |_| Ok(())).expect("a job");
        let mut store = job.open_store().expect("a journal").store;
        let mut seq = 0;
        group.bench_function(kind.to_string(), |bencher| {
            bencher.iter(|| {
                store.append(&[batch(seq)]).expect("a commit");
                seq += 1;
            });
        });
    }
    group.finish();
}

fn batch(seq: u64) -> Entry {
    let first = u128::from(seq) * OBJECTS as u128;
    let keys: Vec<Key> = (0..OBJECTS as u128)
        .map(|at| Key::of(ObjectId::from_u128(first + at + 1)))
        .collect();
    let receipt = Receipt {
        lane: 0,
        seq,
        place: None,
        count: OBJECTS as u32,
        bytes: 1 << 20,
        span: keys.first().cloned().zip(keys.last().cloned()),
        hash: [7; 32],
        accepted: OBJECTS as u32,
        rejected: 0,
        rejects_length: 0,
        tenants: Vec::new(),
    };
    let end = keys.last().cloned().map_or(Cursor::Start, Cursor::After);
    Entry {
        step: Step::Committed(0, Box::new(receipt), end),
        keys,
    }
}

criterion_group!(loops, encode, compress, decode, commit);
criterion_main!(loops);
