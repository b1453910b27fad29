//! What a set of objects is, in 32 bytes: the order-independent digest.
//!
//! Σ blake3(length-prefixed tenant, id, canonical object) mod 2^256, per tenant, with the count. A sum, so that
//! lanes need no common order, batches add up, and an archive can be compared with a live collection without
//! reading both twice. Times and blob hashes, which no restore brings back, take no part.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::canonical::{Hint, write_bytes, write_canonical};
use super::tally::{Digest, Tallies, place_of};
use crate::error::{Error, Kind, Result};
use crate::job::VectorTally;
use crate::model::{Definition, Key, Times};
use crate::pipe::decode_vector;
use crate::pipe::{Vector, Visit};

/// What a digest needs to know of a definition; made once, shared by all.
#[derive(Debug)]
pub struct Shape {
    class: String,
    hints: HashMap<String, Hint>,
}

impl Shape {
    /// The shape of a collection.
    pub fn of(definition: &Definition) -> Result<Arc<Self>> {
        Ok(Arc::new(Shape {
            class: definition.name()?.as_str().to_owned(),
            hints: Hint::all(&definition.properties()?),
        }))
    }

    pub(super) fn hint(&self, property: &str) -> &Hint {
        self.hints.get(property).unwrap_or(&Hint::Plain)
    }

    pub(super) fn class(&self) -> &str {
        &self.class
    }
}

/// So many names of vectors are kept from one object to the next.
const USUAL_LENGTHS: usize = 16;

/// A visitor that digests every object it is shown.
pub struct Digester {
    shape: Arc<Shape>,
    tallies: Tallies,
    key: Option<Key>,
    last: [u8; 32],
    /// Those of the object at work; the names of those before stay, with a count of 0.
    vectors: Vec<VectorTally>,
    /// Tenant, id, members.
    body: Vec<u8>,
    /// Where the members begin.
    head: usize,
    /// Each member: its name with a tag in front, and all of it.
    members: Vec<(Range<usize>, Range<usize>)>,
    scratch: Vec<u8>,
}

impl Digester {
    /// A digester of objects of that shape.
    pub fn new(shape: Arc<Shape>) -> Self {
        Digester {
            shape,
            tallies: Tallies::default(),
            key: None,
            last: [0; 32],
            vectors: Vec::new(),
            body: Vec::new(),
            head: 0,
            members: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// What was digested so far, and begins anew.
    pub fn take(&mut self) -> Tallies {
        std::mem::take(&mut self.tallies)
    }

    /// The hash of the object visited last, without its tenant's sum: for comparing object by object.
    pub fn last(&self) -> [u8; 32] {
        self.last
    }

    fn member(&mut self, tag: u8, name: &str) -> Range<usize> {
        let start = self.body.len();
        self.body.push(tag);
        self.body.extend_from_slice(name.as_bytes());
        let end = self.body.len();
        self.body
            .extend_from_slice(&(name.len() as u64).to_le_bytes());
        start..end
    }

    fn add_vector(&mut self, name: Option<&str>, dimensions: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let named = self.member(if name.is_none() { b'v' } else { b'w' }, name.unwrap_or(""));
        self.body
            .extend_from_slice(&(dimensions as u64).to_le_bytes());
        write_bytes(&mut self.body, bytes);
        self.members
            .push((named.clone(), named.start..self.body.len()));
        self.count_vector(name.unwrap_or_default(), dimensions, bytes.len());
    }

    fn count_vector(&mut self, name: &str, dimensions: usize, bytes: usize) {
        let numbers = if dimensions == 0 {
            bytes / 4
        } else {
            dimensions
        };
        let dimensions = u32::try_from(numbers).unwrap_or(u32::MAX);
        place_of(&mut self.vectors, name, dimensions).count += 1;
    }

    fn sort(&mut self) {
        let body = &self.body;
        let name = |member: &(Range<usize>, Range<usize>)| &body[member.0.clone()];
        if self.members.is_sorted_by(|one, two| name(one) <= name(two)) {
            return;
        }
        self.members.sort_by(|one, two| name(one).cmp(name(two)));
        self.scratch.clear();
        self.scratch.extend_from_slice(&body[..self.head]);
        for (_, whole) in &self.members {
            self.scratch.extend_from_slice(&body[whole.clone()]);
        }
        std::mem::swap(&mut self.body, &mut self.scratch);
    }
}

impl Visit for Digester {
    fn object(&mut self, key: &Key, _: Times) -> Result<()> {
        self.key = Some(key.clone());
        self.body.clear();
        self.members.clear();
        self.vectors.truncate(USUAL_LENGTHS);
        self.vectors.iter_mut().for_each(|vector| vector.count = 0);
        // In one buffer with the members: a hash over one long piece works on several of its parts at once.
        write_bytes(&mut self.body, key.tenant.as_str().as_bytes());
        self.body.extend_from_slice(&key.id.0);
        self.head = self.body.len();
        Ok(())
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        let shape = self.shape.clone();
        let hint = shape.hint(name);
        if matches!(hint, Hint::Ignored) || json.trim_ascii() == "null" {
            return Ok(());
        }
        let named = self.member(b'p', name);
        write_canonical(&mut self.body, json, hint, &shape.class);
        self.members
            .push((named.clone(), named.start..self.body.len()));
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        match vector {
            Vector::Single(bytes) => self.add_vector(name, 0, bytes),
            Vector::Multi { dimensions, rows } => self.add_vector(name, dimensions, rows),
            Vector::Json(text) => {
                let mut buffer = std::mem::take(&mut self.scratch);
                let outcome = decode_vector(text, &mut buffer).map(|vector| match vector {
                    Some(Vector::Single(bytes)) => self.add_vector(name, 0, bytes),
                    Some(Vector::Multi { dimensions, rows }) => {
                        self.add_vector(name, dimensions, rows)
                    }
                    _ => {}
                });
                self.scratch = buffer;
                return outcome;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let key = self
            .key
            .take()
            .ok_or_else(|| Error::new(Kind::Failed, "an object ended that had not begun"))?;
        self.sort();
        self.last = *blake3::hash(&self.body).as_bytes();
        let digest = Digest(self.last);
        self.tallies
            .add(&key.tenant, 1, digest, Some(&self.vectors));
        Ok(())
    }
}

/// Two visitors that are shown the same.
pub struct Both<'a>(pub &'a mut dyn Visit, pub &'a mut dyn Visit);

impl Visit for Both<'_> {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.0.object(key, times)?;
        self.1.object(key, times)
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        self.0.property(name, json)?;
        self.1.property(name, json)
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        self.0.vector(name, vector)?;
        self.1.vector(name, vector)
    }

    fn end(&mut self) -> Result<()> {
        self.0.end()?;
        self.1.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObjectId;

    fn digest(class: &str, name: &str, json: &str) -> Digest {
        let definition = r#"{"class":"CLASS","properties":[
            {"name":"i","dataType":["int"]},{"name":"is","dataType":["int[]"]},{"name":"n","dataType":["number"]},
            {"name":"d","dataType":["date"]},{"name":"ds","dataType":["date[]"]},{"name":"t","dataType":["text"]},
            {"name":"g","dataType":["geoCoordinates"]},{"name":"p","dataType":["phoneNumber"]},{"name":"r","dataType":["CLASS"]},
            {"name":"h","dataType":["blobHash"]},
            {"name":"o","dataType":["object"],"nestedProperties":[{"name":"i","dataType":["int"]},{"name":"d","dataType":["date"]}]}]}"#;
        let definition = Definition::parse(definition.replace("CLASS", class)).unwrap();
        let mut digester = Digester::new(Shape::of(&definition).unwrap());
        digester
            .object(&Key::of(ObjectId::NIL), Times::default())
            .unwrap();
        digester.property(name, json).unwrap();
        digester.end().unwrap();
        digester.take().digest()
    }

    #[test]
    fn values_that_the_server_takes_for_equal_are_equal() {
        for (name, one, other) in [
            ("i", "5", "5.0"),
            ("i", "-9223372036854775808", "-9223372036854776000"),
            ("is", "[1,2e3]", "[1.0, 2000]"),
            ("n", "1", "1.0"),
            ("n", "1e2", "100"),
            (
                "d",
                r#""2020-01-01T00:00:00+00:00""#,
                r#""2020-01-01T00:00:00Z""#,
            ),
            (
                "ds",
                r#"["2020-01-01T00:00:00+00:00"]"#,
                r#"[ "2020-01-01T00:00:00Z" ]"#,
            ),
            ("t", r#""\u00e9\/""#, r#""é/""#),
            (
                "g",
                r#"{"latitude":52.3932696,"longitude":4.8374}"#,
                r#"{"longitude":4.8374000,"latitude":52.39327}"#,
            ),
            (
                "p",
                r#"{"input":"1","defaultCountry":"de","valid":true}"#,
                r#"{"defaultCountry":"de","input":"1","national":5}"#,
            ),
            (
                "p",
                r#"{"input":"1","defaultCountry":""}"#,
                r#"{"input":"1"}"#,
            ),
            (
                "r",
                r#"[{"beacon":"weaviate://localhost/X/1","href":"/a"}]"#,
                r#"[{"beacon":"weaviate://localhost/X/1"}]"#,
            ),
            (
                "o",
                r#"{"i":1.0,"d":"2020-01-01T00:00:00+00:00"}"#,
                r#"{"d":"2020-01-01T00:00:00Z","i":1}"#,
            ),
            ("h", r#""abc""#, "null"),
            ("t", "null", " null "),
        ] {
            assert_eq!(
                digest("A", name, one),
                digest("A", name, other),
                "{name}: {one} and {other}"
            );
        }
    }

    #[test]
    fn values_that_the_server_keeps_apart_differ() {
        for (name, one, other) in [
            ("i", "5", "6"),
            ("n", "0.0", "-0.0"),
            ("n", "1", "1.0000000000000002"),
            ("t", r#""a""#, r#""A""#),
            (
                "t",
                r#""2020-01-01T00:00:00+00:00""#,
                r#""2020-01-01T00:00:00Z""#,
            ),
            ("t", "null", r#""""#),
            ("is", "[]", "null"),
            ("is", "[1,2]", "[2,1]"),
            ("o", r#"{"i":null}"#, "{}"),
            ("o", r#"{"a":"","b":"c"}"#, r#"{"a":"b","c":""}"#),
            (
                "g",
                r#"{"latitude":1.0,"longitude":2.0}"#,
                r#"{"latitude":2.0,"longitude":1.0}"#,
            ),
            ("p", r#"{"input":"1"}"#, r#"{"input":"2"}"#),
            (
                "r",
                r#"[{"beacon":"weaviate://localhost/X/1"}]"#,
                r#"[{"beacon":"weaviate://localhost/Y/1"}]"#,
            ),
            ("r", "[]", "null"),
        ] {
            assert_ne!(
                digest("A", name, one),
                digest("A", name, other),
                "{name}: {one} and {other}"
            );
        }
    }

    #[test]
    fn a_reference_to_itself_follows_a_new_name() {
        let beacon = |class: &str| format!(r#"[{{"beacon":"weaviate://localhost/{class}/1"}}]"#);
        assert_eq!(
            digest("A", "r", &beacon("A")),
            digest("B", "r", &beacon("B"))
        );
        assert_ne!(
            digest("A", "r", &beacon("A")),
            digest("B", "r", &beacon("A"))
        );
        assert_ne!(
            digest("A", "r", &beacon("A")),
            digest("A", "r", &beacon("AA"))
        );
    }

    #[test]
    fn what_is_nested_too_deeply_still_counts() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_ne!(digest("A", "x", &deep(500)), digest("A", "x", &deep(501)));
    }
}
