//! Objects as lines of JSON: a visitor that writes what a page's walk shows it.
//!
//! Members come in one order: id, class, properties, vector, vectors, tenant, creationTimeUnix,
//! lastUpdateTimeUnix. Absent members are left out. Property values pass through as they were spelled; no value
//! tree is built and buffers are used again, so that the cost is that of the bytes.

use serde_json::ser::{CompactFormatter, Formatter};

use super::vector::{write_base64_vector, write_decimal_vector};
use crate::error::{Error, Kind, Result};
use crate::model::{Key, Times};
use crate::pipe::decode_vector;
use crate::pipe::{Vector, Visit};

/// How vectors are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vectors {
    /// As lists of decimal numbers.
    Decimal,
    /// As base64 of little-endian f32: a quarter of the time, and smaller.
    Base64,
}

/// What stands between lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `\n{…},\n{…}`: a piece of a JSON array, without commas at its edges.
    Array,
    /// `{…}\n{…}\n`.
    Lines,
}

/// Writes objects as lines into a buffer of its own.
pub struct LineWriter {
    out: Vec<u8>,
    class: Vec<u8>,
    vectors: Vectors,
    framing: Framing,
    is_first: bool,
    key: Option<Key>,
    times: Times,
    has_property: bool,
    unnamed: Vec<u8>,
    named: Vec<u8>,
    scratch: Vec<u8>,
    count: u32,
}

impl LineWriter {
    /// A writer of objects of the collection `class`.
    pub fn new(class: &str, vectors: Vectors, framing: Framing) -> Self {
        let mut name = Vec::new();
        write_string(&mut name, class);
        LineWriter {
            out: Vec::new(),
            class: name,
            vectors,
            framing,
            is_first: true,
            key: None,
            times: Times::default(),
            has_property: false,
            unnamed: Vec::new(),
            named: Vec::new(),
            scratch: Vec::new(),
            count: 0,
        }
    }

    /// The lines so far.
    pub fn text(&self) -> &[u8] {
        &self.out
    }

    /// Objects completed since the last [`LineWriter::clear`].
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Forgets the lines, which are written somewhere; the next line is not the first.
    pub fn clear(&mut self) {
        self.out.clear();
        self.count = 0;
    }

    /// Forgets everything: the next line is the first of another piece.
    pub fn restart(&mut self) {
        self.clear();
        self.key = None;
        self.is_first = true;
    }

    fn begin_vectors(&mut self, name: Option<&str>) {
        match name {
            None => {
                self.unnamed.clear();
                self.unnamed.extend_from_slice(b",\"vector\":");
            }
            Some(name) => {
                let opening: &[u8] = if self.named.is_empty() {
                    b",\"vectors\":{"
                } else {
                    b","
                };
                self.named.extend_from_slice(opening);
                write_string(&mut self.named, name);
                self.named.push(b':');
            }
        }
    }
}

impl Visit for LineWriter {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        match (self.framing, self.is_first) {
            (Framing::Array, true) => self.out.push(b'\n'),
            (Framing::Array, false) => self.out.extend_from_slice(b",\n"),
            (Framing::Lines, _) => {}
        }
        let mut id = uuid::Uuid::encode_buffer();
        let id = uuid::Uuid::from_bytes(key.id.0)
            .as_hyphenated()
            .encode_lower(&mut id);
        self.out.extend_from_slice(b"{\"id\":\"");
        self.out.extend_from_slice(id.as_bytes());
        self.out.extend_from_slice(b"\",\"class\":");
        self.out.extend_from_slice(&self.class);
        self.out.extend_from_slice(b",\"properties\":{");
        self.key = Some(key.clone());
        self.times = times;
        self.has_property = false;
        self.unnamed.clear();
        self.named.clear();
        Ok(())
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        if self.key.is_none() {
            return Err(out_of_turn());
        }
        if self.has_property {
            self.out.push(b',');
        }
        self.has_property = true;
        write_string(&mut self.out, name);
        self.out.push(b':');
        write_on_one_line(&mut self.out, json);
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        if self.key.is_none() {
            return Err(out_of_turn());
        }
        // An empty vector is no vector.
        let is_absent = match vector {
            Vector::Single(bytes) => bytes.is_empty(),
            Vector::Multi { rows, .. } => rows.is_empty(),
            Vector::Json(text) => {
                text.len() < 3
                    || (text.len() < 8 && decode_vector(text, &mut self.scratch)?.is_none())
            }
        };
        if is_absent {
            return Ok(());
        }
        self.begin_vectors(name);
        let out = if name.is_none() {
            &mut self.unnamed
        } else {
            &mut self.named
        };
        match self.vectors {
            Vectors::Decimal => write_decimal_vector(out, vector),
            Vectors::Base64 => write_base64_vector(out, vector, &mut self.scratch),
        }
    }

    fn end(&mut self) -> Result<()> {
        let key = self.key.take().ok_or_else(out_of_turn)?;
        self.out.push(b'}');
        self.out.extend_from_slice(&self.unnamed);
        if !self.named.is_empty() {
            self.out.extend_from_slice(&self.named);
            self.out.push(b'}');
        }
        if let Some(tenant) = key.tenant.name() {
            self.out.extend_from_slice(b",\"tenant\":");
            write_string(&mut self.out, tenant);
        }
        write_number(&mut self.out, b",\"creationTimeUnix\":", self.times.created);
        write_number(
            &mut self.out,
            b",\"lastUpdateTimeUnix\":",
            self.times.updated,
        );
        self.out.push(b'}');
        if self.framing == Framing::Lines {
            self.out.push(b'\n');
        }
        self.is_first = false;
        self.count += 1;
        Ok(())
    }
}

fn out_of_turn() -> Error {
    Error::new(
        Kind::Failed,
        "a part of an object was visited outside of an object",
    )
}

pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail, and neither can a string.
    let outcome = serde_json::to_writer(&mut *out, text);
    debug_assert!(outcome.is_ok());
}

fn write_number(out: &mut Vec<u8>, name: &[u8], number: i64) {
    out.extend_from_slice(name);
    let outcome = CompactFormatter.write_i64(out, number);
    debug_assert!(outcome.is_ok());
}

/// Line breaks in JSON text stand between tokens only, where a space does as well.
fn write_on_one_line(out: &mut Vec<u8>, json: &str) {
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        out.extend_from_slice(json.as_bytes());
        return;
    }
    let spaced = json.bytes().map(|byte| {
        if matches!(byte, b'\n' | b'\r') {
            b' '
        } else {
            byte
        }
    });
    out.extend(spaced);
}
