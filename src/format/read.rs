//! Lines back to objects: one reader for documents and parts, our own and those that others wrote.
//!
//! A line is parsed once, into borrowed pieces, when it is taken up; walking shows the pieces. Keys may come in
//! any order, unknown members are left out, missing times are 0, a missing or null vector is none. Vectors are
//! shown as bytes, whatever their spelling, and numbers that do not fit are errors here and not at the server.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::damaged;
use crate::error::{Error, Kind, Result};
use crate::model::{Key, ObjectId, Tenant, Times};
use crate::pipe::{Buffers, Vector, Visit, Walk, count_numbers, decode_vector};

/// The longest line, in bytes: a single object cannot be larger in any server.
pub const MAX_LINE: usize = 256 << 20;

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    vector: Option<&'a RawValue>,
    #[serde(borrow)]
    vectors: Option<&'a RawValue>,
    #[serde(borrow)]
    tenant: Option<Cow<'a, str>>,
    #[serde(rename = "creationTimeUnix")]
    created: Option<i64>,
    #[serde(rename = "lastUpdateTimeUnix")]
    updated: Option<i64>,
}

/// One object of a line: its key, and where its pieces lie.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its key.
    pub key: Key,
    times: Times,
    properties: Option<Range<usize>>,
    vector: Option<Range<usize>>,
    vectors: Option<Range<usize>>,
}

impl Record {
    fn parse(line: &str, at: usize, last_tenant: &Tenant) -> Result<Self> {
        let members: Members<'_> =
            serde_json::from_str(line).map_err(|cause| not_an_object(&cause))?;
        let id = members.id.ok_or_else(|| damaged("an object has no `id`"))?;
        let within = |part: Option<&RawValue>| part.map(|part| place(line, part.get(), at));
        Ok(Record {
            key: Key {
                tenant: tenant(members.tenant.as_deref(), last_tenant),
                id: ObjectId::parse(&id).map_err(|error| error.with_kind(Kind::Difference))?,
            },
            times: Times {
                created: members.created.unwrap_or(0),
                updated: members.updated.unwrap_or(0),
            },
            properties: within(members.properties),
            vector: within(members.vector),
            vectors: within(members.vectors),
        })
    }
}

fn not_an_object(cause: &serde_json::Error) -> Error {
    damaged(format!("a line is not an object: {cause}"))
}

/// Runs of objects share their tenant's name.
fn tenant(name: Option<&str>, last: &Tenant) -> Tenant {
    match name {
        Some(name) if name == last.as_str() => last.clone(),
        Some(name) => Tenant::named(name),
        None => Tenant::NONE,
    }
}

/// Where the borrowed `part` lies, if `whole` begins at `at`.
fn place(whole: &str, part: &str, at: usize) -> Range<usize> {
    let start = at + (part.as_ptr() as usize - whole.as_ptr() as usize);
    start..start + part.len()
}

/// A run of objects as text, parsed into pieces.
#[derive(Default)]
pub struct Lines {
    text: String,
    records: Vec<Record>,
    home: Buffers,
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.home
            .give_back(std::mem::take(&mut self.text).into_bytes());
    }
}

impl Lines {
    /// Room for about so many bytes of text: what grows by doubling holds up to twice its bytes.
    pub(crate) fn with_room(bytes: usize, buffers: &Buffers) -> Self {
        const LARGEST: usize = 7 << 20;
        Lines {
            text: buffers.take_text(bytes.min(LARGEST)),
            records: Vec::new(),
            home: buffers.clone(),
        }
    }

    /// Adds the text of one object.
    pub fn push(&mut self, object: &str) -> Result<()> {
        let last = self
            .records
            .last()
            .map(|last| last.key.tenant.clone())
            .unwrap_or_default();
        let record = Record::parse(object, self.text.len(), &last)?;
        self.text.push_str(object);
        self.records.push(record);
        Ok(())
    }

    /// Objects.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The memory it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.records.len() * size_of::<Record>()
    }

    /// The keys, in order.
    pub fn keys(&self) -> Vec<Key> {
        self.records
            .iter()
            .map(|record| record.key.clone())
            .collect()
    }

    fn show(&self, record: &Record, visit: &mut dyn Visit, buffer: &mut Vec<u8>) -> Result<()> {
        visit.object(&record.key, record.times)?;
        if let Some(properties) = &record.properties {
            members(&self.text[properties.clone()], |name, json| {
                visit.property(name, json)
            })?;
        }
        if let Some(vector) = &record.vector {
            show_vector(None, &self.text[vector.clone()], visit, buffer)?;
        }
        if let Some(vectors) = &record.vectors {
            members(&self.text[vectors.clone()], |name, json| {
                show_vector(Some(name), json, visit, buffer)
            })?;
        }
        visit.end()
    }
}

fn show_vector(
    name: Option<&str>,
    json: &str,
    visit: &mut dyn Visit,
    buffer: &mut Vec<u8>,
) -> Result<()> {
    if !visit.needs_numbers() && count_numbers(json)?.is_some() {
        return visit.vector(name, Vector::Json(json));
    }
    match decode_vector(json, buffer)? {
        Some(vector) => visit.vector(name, vector),
        None => Ok(()),
    }
}

impl Walk for Lines {
    fn walk(&self, visit: &mut dyn Visit) -> Result<()> {
        let mut buffer = Vec::new();
        for record in &self.records {
            self.show(record, visit, &mut buffer)
                .map_err(|error| error.within(format_args!("object {}", record.key)))?;
        }
        Ok(())
    }
}

/// Shows the members of a JSON object, values as text.
fn members(json: &str, mut show: impl FnMut(&str, &str) -> Result<()>) -> Result<()> {
    struct Each<'f, F> {
        show: &'f mut F,
        failed: &'f mut Option<Error>,
    }
    impl<'de, F: FnMut(&str, &str) -> Result<()>> Visitor<'de> for Each<'_, F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                if let Err(error) = (self.show)(&name, value.get()) {
                    *self.failed = Some(error);
                    return Err(serde::de::Error::custom("stopped"));
                }
            }
            Ok(())
        }
    }
    let mut failed = None;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let outcome = deserializer.deserialize_map(Each {
        show: &mut show,
        failed: &mut failed,
    });
    match (failed, outcome) {
        (Some(error), _) => Err(error),
        (None, Err(cause)) => Err(not_an_object(&cause)),
        (None, Ok(())) => Ok(()),
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Cuts a stream of text into lines, whole ones only.
pub struct Takeout<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    is_over: bool,
}

impl<R: std::io::Read> Takeout<R> {
    /// Cuts `input`.
    pub fn new(input: R) -> Self {
        Takeout {
            input,
            buffer: Vec::new(),
            start: 0,
            is_over: false,
        }
    }

    /// The next line that is not empty, without its break and without the commas at its edges.
    pub fn next_line(&mut self) -> Result<Option<&str>> {
        loop {
            let Some(range) = self.next_range()? else {
                return Ok(None);
            };
            let line = trim_commas(&self.buffer[range.clone()]);
            if !line.is_empty() {
                // Trimmed again, because a borrow cannot be returned out of a loop.
                return std::str::from_utf8(trim_commas(&self.buffer[range]))
                    .map(Some)
                    .map_err(|cause| damaged("a line is not UTF-8").with_cause(cause));
            }
        }
    }

    fn next_range(&mut self) -> Result<Option<Range<usize>>> {
        let mut searched = self.start;
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                let range = self.start..searched + found;
                self.start = range.end + 1;
                return Ok(Some(range));
            }
            if self.is_over {
                let range = self.start..self.buffer.len();
                self.start = range.end;
                return Ok((!range.is_empty()).then_some(range));
            }
            searched = self.read_more()?;
        }
    }

    /// Reads another piece and says where it begins.
    fn read_more(&mut self) -> Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        if before > MAX_LINE {
            return Err(damaged(format!("a line is longer than {MAX_LINE} bytes")));
        }
        self.buffer.resize(before + (before / 2).max(64 << 10), 0);
        let count = self.input.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + *count.as_ref().unwrap_or(&0));
        let count = count.map_err(|cause| {
            damaged(format!("the data are damaged or cut off: {cause}")).with_cause(cause)
        })?;
        self.is_over = count == 0;
        Ok(before)
    }
}

fn trim_commas(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    let line = line.strip_prefix(b",").unwrap_or(line);
    line.strip_suffix(b",").unwrap_or(line).trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_input_breaks_and_edges_do_not_matter() {
        let long = "x".repeat(200_000);
        let text = format!("\n{{1}},\n{{2}}\n,\n{{{long}}},\r\n\n{{4}}");
        let mut lines = Takeout::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push(line.to_owned());
        }
        assert_eq!(
            found,
            [
                "{1}".to_owned(),
                "{2}".to_owned(),
                format!("{{{long}}}"),
                "{4}".to_owned()
            ]
        );
    }

    #[test]
    fn what_is_not_an_object_with_an_id_is_refused() {
        let id = r#""id":"00000000-0000-0000-0000-000000000001""#;
        assert!(Lines::default().push(&format!("{{{id}}}")).is_ok());
        for line in [
            "{}".to_owned(),
            "[]".to_owned(),
            "{".to_owned(),
            r#"{"id":"x"}"#.to_owned(),
            r#"{"id":1}"#.to_owned(),
            format!("{{{id}}} {{{id}}}"),
            format!("{{{id},{id}}}"),
            format!(r#"{{{id},"creationTimeUnix":"now"}}"#),
        ] {
            assert!(Lines::default().push(&line).is_err(), "{line}");
        }
    }
}
