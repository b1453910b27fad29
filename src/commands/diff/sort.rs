//! Objects in any order, sorted by key outside of the memory.
//!
//! Runs of about 16 MB are sorted and written into files without a name in the state directory; as many as can be
//! read at once are merged into one. So it takes the memory of one run and a small buffer for each, and as much
//! disk as the objects as lines, twice while runs are merged. Objects of one key keep their order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::ops::Deref;
use std::sync::Arc;

use super::super::pages::Pages;
use super::end::PAGE;
use crate::error::{Error, IoContext, Kind, Result};
use crate::format::{Framing, LineWriter, Lines, MAX_LINE, Vectors};
use crate::journal::StateDir;
use crate::model::{Key, ObjectId, Tenant, Times};
use crate::pipe::{Page, Source, Vector, Visit};

/// The objects of a run as lines.
const RUN_BYTES: usize = 16 << 20;
/// Runs that are read at once.
const FAN: usize = 64;
/// Read ahead of a run.
const BUFFER: usize = 64 << 10;

/// Reads everything and gives it back in the order of keys.
pub(super) async fn sorted<S: Source, R: Deref<Target = S> + Send + Sync>(
    mut pages: Pages<R>,
    state: &StateDir,
) -> Result<Sorted> {
    let mut sorter = Sorter::new(state.clone(), RUN_BYTES, FAN);
    while let Some(page) = pages.next().await? {
        page.objects.walk(&mut sorter.run)?;
        if sorter.run.writer.text().len() >= sorter.run_bytes {
            sorter.close_run()?;
        }
    }
    sorter.finish()
}

struct Sorter {
    state: StateDir,
    run_bytes: usize,
    fan: usize,
    run: Gathered,
    /// By how often they were merged; within, the oldest first.
    levels: Vec<Vec<File>>,
}

/// The run at hand: lines, and where the line of each key lies.
struct Gathered {
    writer: LineWriter,
    places: Vec<(Key, usize, usize)>,
}

impl Gathered {
    fn new() -> Self {
        Gathered {
            writer: LineWriter::new("", Vectors::Base64, Framing::Lines),
            places: Vec::new(),
        }
    }
}

impl Visit for Gathered {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.places.push((key.clone(), self.writer.text().len(), 0));
        self.writer.object(key, times)
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        self.writer.property(name, json)
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        self.writer.vector(name, vector)
    }

    fn end(&mut self) -> Result<()> {
        self.writer.end()?;
        if let Some(place) = self.places.last_mut() {
            place.2 = self.writer.text().len();
        }
        Ok(())
    }
}

impl Sorter {
    fn new(state: StateDir, run_bytes: usize, fan: usize) -> Self {
        Sorter {
            state,
            run_bytes,
            fan,
            run: Gathered::new(),
            levels: Vec::new(),
        }
    }

    fn close_run(&mut self) -> Result<()> {
        if self.run.places.is_empty() {
            return Ok(());
        }
        // Stable: objects of one key stay in their order.
        self.run.places.sort_by(|one, two| one.0.cmp(&two.0));
        let mut out = self.begin_file()?;
        for (key, start, end) in &self.run.places {
            write_record(&mut out, key, &self.run.writer.text()[*start..*end])?;
        }
        let file = finish_file(out)?;
        self.run = Gathered::new();
        self.add(0, file)
    }

    fn add(&mut self, level: usize, file: File) -> Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(file);
        if self.levels[level].len() < self.fan {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.levels[level]);
        let mut out = self.begin_file()?;
        let mut merge = Merge::of(runs)?;
        while let Some((key, line)) = merge.next()? {
            write_record(&mut out, &key, line.as_bytes())?;
        }
        let merged = finish_file(out)?;
        self.add(level + 1, merged)
    }

    fn begin_file(&self) -> Result<BufWriter<File>> {
        Ok(BufWriter::with_capacity(
            1 << 20,
            self.state.scratch_file()?,
        ))
    }

    fn finish(mut self) -> Result<Sorted> {
        self.close_run()?;
        // What was merged oftener is older.
        let runs = self.levels.into_iter().rev().flatten().collect();
        Merge::of(runs).map(Sorted)
    }
}

const WRITING: &str = "cannot write into the state directory";
const READING: &str = "cannot read back from the state directory";

fn write_record(out: &mut impl Write, key: &Key, line: &[u8]) -> Result<()> {
    let tenant = key.tenant.as_str().as_bytes();
    let lengths =
        u32::try_from(tenant.len()).and_then(|tenant| Ok((tenant, u32::try_from(line.len())?)));
    let (tenant_length, line_length) = lengths.map_err(|cause| {
        Error::new(Kind::Difference, format!("object {key} is too large")).with_cause(cause)
    })?;
    [
        &tenant_length.to_le_bytes()[..],
        &line_length.to_le_bytes(),
        &key.id.0,
        tenant,
        line,
    ]
    .into_iter()
    .try_for_each(|piece| out.write_all(piece))
    .doing(|| WRITING.to_owned())
}

fn finish_file(out: BufWriter<File>) -> Result<File> {
    let mut file = out
        .into_inner()
        .map_err(|error| error.into_error())
        .doing(|| WRITING.to_owned())?;
    file.rewind().doing(|| READING.to_owned())?;
    Ok(file)
}

/// Several runs as one.
struct Merge {
    runs: Vec<BufReader<File>>,
    /// The next key of each run that has one.
    heads: BinaryHeap<Reverse<(Key, usize)>>,
    /// The length of the line of each head.
    lengths: Vec<usize>,
}

impl Merge {
    fn of(files: Vec<File>) -> Result<Self> {
        let runs: Vec<BufReader<File>> = files
            .into_iter()
            .map(|file| BufReader::with_capacity(BUFFER, file))
            .collect();
        let mut merge = Merge {
            lengths: vec![0; runs.len()],
            heads: BinaryHeap::new(),
            runs,
        };
        (0..merge.runs.len()).try_for_each(|run| merge.look_at(run))?;
        Ok(merge)
    }

    fn look_at(&mut self, run: usize) -> Result<()> {
        let reader = &mut self.runs[run];
        let mut head = [0; 24];
        let is_over = read_or_end(reader, &mut head).doing(|| READING.to_owned())?;
        if is_over {
            return Ok(());
        }
        let length = |at: usize| {
            u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize
        };
        let mut id = [0; 16];
        id.copy_from_slice(&head[8..]);
        let tenant = read_text(reader, length(0))?;
        let key = Key {
            tenant: Tenant::named(&tenant),
            id: ObjectId(id),
        };
        self.lengths[run] = length(4);
        self.heads.push(Reverse((key, run)));
        Ok(())
    }

    /// The next object. Of equal keys the one of the older run comes first.
    fn next(&mut self) -> Result<Option<(Key, String)>> {
        let Some(Reverse((key, run))) = self.heads.pop() else {
            return Ok(None);
        };
        let line = read_text(&mut self.runs[run], self.lengths[run])?;
        self.look_at(run)?;
        Ok(Some((key, line)))
    }
}

/// Fills `buffer`; true if there was nothing left to read.
fn read_or_end(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match reader.read(&mut buffer[..1])? {
        0 => Ok(true),
        _ => reader.read_exact(&mut buffer[1..]).map(|()| false),
    }
}

fn read_text(reader: &mut impl Read, length: usize) -> Result<String> {
    if length > MAX_LINE * 2 {
        return Err(Error::new(Kind::Failed, READING));
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).doing(|| READING.to_owned())?;
    String::from_utf8(bytes).map_err(|cause| Error::new(Kind::Failed, READING).with_cause(cause))
}

/// Objects in the order of their keys, as pages.
pub(super) struct Sorted(Merge);

impl Sorted {
    pub fn next(&mut self) -> Result<Option<Page>> {
        let mut lines = Lines::default();
        while lines.len() < PAGE.objects as usize && lines.bytes() < PAGE.bytes {
            let Some((_, line)) = self.0.next()? else {
                break;
            };
            lines.push(&line)?;
        }
        if lines.is_empty() {
            return Ok(None);
        }
        Ok(Some(Page {
            keys: lines.keys(),
            bytes: lines.bytes(),
            objects: Arc::new(lines),
            unreadable: Vec::new(),
            end: crate::job::Cursor::Start,
            is_last: false,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: &str, id: u128) -> Key {
        Key {
            tenant: Tenant::named(tenant),
            id: ObjectId::from_u128(id),
        }
    }

    #[test]
    fn whatever_the_order_and_however_often_runs_are_merged_keys_come_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        let mut keys: Vec<(Key, u32)> = (0..500)
            .map(|at| (key(["", "a", "b"][at % 3], random.u128(..200)), at as u32))
            .collect();
        random.shuffle(&mut keys);
        let mut sorter = Sorter::new(state, 600, 3);
        for (key, value) in &keys {
            sorter.run.object(key, Times::default()).unwrap();
            sorter.run.property("n", &value.to_string()).unwrap();
            sorter.run.end().unwrap();
            if sorter.run.writer.text().len() >= sorter.run_bytes {
                sorter.close_run().unwrap();
            }
        }
        assert!(sorter.levels.len() > 3);
        let mut sorted = sorter.finish().unwrap();
        let mut found = Values(Vec::new());
        while let Some(page) = sorted.next().unwrap() {
            page.objects.walk(&mut found).unwrap();
        }
        keys.sort_by(|one, two| one.0.cmp(&two.0));
        assert!(found.0 == keys);
        // Nothing is left behind.
        let left = std::fs::read_dir(folder.path().join("jobs")).unwrap();
        assert_eq!(left.count(), 0);
    }

    struct Values(Vec<(Key, u32)>);

    impl Visit for Values {
        fn object(&mut self, key: &Key, _: Times) -> Result<()> {
            self.0.push((key.clone(), 0));
            Ok(())
        }
        fn property(&mut self, _: &str, json: &str) -> Result<()> {
            self.0.last_mut().unwrap().1 = json.parse().unwrap();
            Ok(())
        }
        fn vector(&mut self, _: Option<&str>, _: Vector<'_>) -> Result<()> {
            Ok(())
        }
        fn end(&mut self) -> Result<()> {
            Ok(())
        }
    }
}
