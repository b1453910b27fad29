//! One object taken apart: what it holds under each name, and in what two such objects differ.
//!
//! A digest says that two objects differ, a portrait says where. Both follow the same canonical rules, so that
//! objects of one digest have no differing parts. (Objects of two have at least one, unless a name occurs twice.)

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::canonical::{Hint, write_canonical};
use super::digest::Shape;
use crate::error::Result;
use crate::model::{Key, Times};
use crate::pipe::{Vector, Visit, decode_vector};

/// The most characters of a value that are shown.
const SHOWN: usize = 60;
/// So many characters before the first differing one are shown.
const LEAD: usize = 16;

/// What one object holds.
#[derive(Debug, Default)]
pub struct Portrait {
    properties: BTreeMap<String, Value>,
    vectors: BTreeMap<Option<String>, Numbers>,
}

#[derive(Debug)]
struct Value {
    json: String,
    canonical: Vec<u8>,
}

#[derive(Debug)]
struct Numbers {
    /// The length of a row of a multi-vector, 0 for a single vector.
    dimensions: usize,
    bytes: Vec<u8>,
}

/// One part in which two objects differ; `None` is absent. Values are shortened to where they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A property.
    Property {
        /// Its name.
        name: String,
        /// The value of the first object, JSON text.
        one: Option<String>,
        /// The value of the second object, JSON text.
        two: Option<String>,
    },
    /// A vector that one of them lacks, or whose form differs: "384 numbers", "3 rows of 128 numbers".
    VectorForm {
        /// Its name, none for the one without a name.
        name: Option<String>,
        /// The form of the first.
        one: Option<String>,
        /// The form of the second.
        two: Option<String>,
    },
    /// A vector of the same form whose numbers differ.
    VectorNumber {
        /// Its name, none for the one without a name.
        name: Option<String>,
        /// The place of the first number that differs; of a multi-vector counted through all rows.
        index: usize,
        /// Its bits in the first.
        one: u32,
        /// Its bits in the second.
        two: u32,
    },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_nothing = |value: &Option<String>| value.clone().unwrap_or("nothing".to_owned());
        match self {
            Part::Property { name, one, two } => {
                write!(
                    f,
                    "`{name}` {} against {}",
                    or_nothing(one),
                    or_nothing(two)
                )
            }
            Part::VectorForm { name, one, two } => {
                write_vector(f, name)?;
                write!(f, " {} against {}", or_nothing(one), or_nothing(two))
            }
            Part::VectorNumber {
                name,
                index,
                one,
                two,
            } => {
                write_vector(f, name)?;
                write!(f, "[{index}] {} against {}", number(*one), number(*two))
            }
        }
    }
}

fn write_vector(f: &mut fmt::Formatter<'_>, name: &Option<String>) -> fmt::Result {
    match name {
        Some(name) => write!(f, "vector `{name}`"),
        None => f.write_str("vector"),
    }
}

/// The number with its bits, which alone tell one NaN from another.
fn number(bits: u32) -> String {
    format!("{:?} (0x{bits:08x})", f32::from_bits(bits))
}

impl Portrait {
    /// In what `other` differs, by name, properties first.
    pub fn parts_that_differ(&self, other: &Portrait) -> Vec<Part> {
        let mut parts = Vec::new();
        for (name, one, two) in both(&self.properties, &other.properties) {
            if one.map(|value| &value.canonical) != two.map(|value| &value.canonical) {
                parts.push(property(name, one, two));
            }
        }
        for (name, one, two) in both(&self.vectors, &other.vectors) {
            parts.extend(vector(name, one, two));
        }
        parts
    }
}

/// Every name of either with what both have under it.
fn both<'a, K: Ord, V>(
    one: &'a BTreeMap<K, V>,
    two: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
    let names: std::collections::BTreeSet<&K> = one.keys().chain(two.keys()).collect();
    names
        .into_iter()
        .map(|name| (name, one.get(name), two.get(name)))
}

fn property(name: &str, one: Option<&Value>, two: Option<&Value>) -> Part {
    let text = |value: Option<&Value>| value.map_or("", |value| value.json.as_str()).to_owned();
    let from = first_difference(&text(one), &text(two));
    let shown = |value: Option<&Value>| value.map(|value| excerpt(&value.json, from));
    Part::Property {
        name: name.to_owned(),
        one: shown(one),
        two: shown(two),
    }
}

/// In characters.
fn first_difference(one: &str, two: &str) -> usize {
    let pairs = one.chars().zip(two.chars());
    pairs.take_while(|(one, two)| one == two).count()
}

/// The characters around `place`, no more than are shown.
fn excerpt(text: &str, place: usize) -> String {
    let length = text.chars().count();
    let most_skipped = length.saturating_sub(SHOWN);
    let skipped = place.saturating_sub(LEAD).min(most_skipped);
    let mut shown: String = text.chars().skip(skipped).take(SHOWN).collect();
    if skipped > 0 {
        shown.insert(0, '…');
    }
    if skipped + SHOWN < length {
        shown.push('…');
    }
    shown
}

fn vector(name: &Option<String>, one: Option<&Numbers>, two: Option<&Numbers>) -> Option<Part> {
    let form = |numbers: Option<&Numbers>| numbers.map(Numbers::form);
    if form(one) != form(two) {
        return Some(Part::VectorForm {
            name: name.clone(),
            one: form(one),
            two: form(two),
        });
    }
    let (one, two) = (one?, two?);
    let pairs = one.bits().zip(two.bits()).enumerate();
    let (index, (one, two)) = pairs.into_iter().find(|(_, (one, two))| one != two)?;
    Some(Part::VectorNumber {
        name: name.clone(),
        index,
        one,
        two,
    })
}

impl Numbers {
    fn form(&self) -> String {
        let count = self.bytes.len() / 4;
        match count.checked_div(self.dimensions) {
            None => format!("{count} numbers"),
            Some(rows) => format!("{rows} rows of {} numbers", self.dimensions),
        }
    }

    fn bits(&self) -> impl Iterator<Item = u32> {
        let numbers = self.bytes.chunks_exact(4);
        numbers.map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

/// A visitor that portrays the objects whose keys are wanted.
pub struct Portrayer<W> {
    shape: Arc<Shape>,
    wants: W,
    key: Option<Key>,
    at_work: Portrait,
    scratch: Vec<u8>,
    done: Vec<(Key, Portrait)>,
}

impl<W: Fn(&Key) -> bool> Portrayer<W> {
    /// A portrayer of objects of that shape.
    pub fn new(shape: Arc<Shape>, wants: W) -> Self {
        Portrayer {
            shape,
            wants,
            key: None,
            at_work: Portrait::default(),
            scratch: Vec::new(),
            done: Vec::new(),
        }
    }

    /// The portraits, in the order of the walk.
    pub fn finish(self) -> Vec<(Key, Portrait)> {
        self.done
    }

    fn keep(&mut self, name: Option<&str>, dimensions: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let numbers = Numbers {
            dimensions,
            bytes: bytes.to_vec(),
        };
        self.at_work
            .vectors
            .insert(name.map(str::to_owned), numbers);
    }
}

impl<W: Fn(&Key) -> bool> Visit for Portrayer<W> {
    fn object(&mut self, key: &Key, _: Times) -> Result<()> {
        self.key = (self.wants)(key).then(|| key.clone());
        self.at_work = Portrait::default();
        Ok(())
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        let hint = self.shape.hint(name);
        if self.key.is_none() || matches!(hint, Hint::Ignored) || json.trim_ascii() == "null" {
            return Ok(());
        }
        let mut canonical = Vec::new();
        write_canonical(&mut canonical, json, hint, self.shape.class());
        let json = json.to_owned();
        self.at_work
            .properties
            .insert(name.to_owned(), Value { json, canonical });
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        if self.key.is_none() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.scratch);
        let decoded = match vector {
            Vector::Json(text) => decode_vector(text, &mut buffer),
            bytes => Ok(Some(bytes)),
        };
        let kept = decoded.map(|decoded| match decoded {
            Some(Vector::Single(bytes)) => self.keep(name, 0, bytes),
            Some(Vector::Multi { dimensions, rows }) => self.keep(name, dimensions, rows),
            _ => {}
        });
        self.scratch = buffer;
        kept
    }

    fn end(&mut self) -> Result<()> {
        if let Some(key) = self.key.take() {
            self.done.push((key, std::mem::take(&mut self.at_work)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Definition, ObjectId};

    fn portrait(show: impl Fn(&mut dyn Visit)) -> Portrait {
        let definition = r#"{"class":"A","properties":[{"name":"i","dataType":["int"]},{"name":"h","dataType":["blobHash"]}]}"#;
        let definition = Definition::parse(definition.to_owned()).unwrap();
        let mut portrayer = Portrayer::new(Shape::of(&definition).unwrap(), |_| true);
        let key = Key::of(ObjectId::NIL);
        portrayer.object(&key, Times::default()).unwrap();
        show(&mut portrayer);
        portrayer.end().unwrap();
        portrayer.finish().remove(0).1
    }

    fn with(name: &str, json: &str) -> Portrait {
        portrait(|visit| visit.property(name, json).unwrap())
    }

    fn with_vector(vector: Vector<'_>) -> Portrait {
        portrait(|visit| visit.vector(Some("v"), vector).unwrap())
    }

    #[test]
    fn what_the_digest_takes_for_equal_has_no_differing_part() {
        for (one, two) in [
            (with("i", "5"), with("i", "5.0")),
            (with("h", "\"x\""), with("h", "\"y\"")),
            (with("t", "null"), portrait(|_| ())),
            (
                with_vector(Vector::Json("[1,2]")),
                with_vector(Vector::Single(&[0, 0, 128, 63, 0, 0, 0, 64])),
            ),
            (with_vector(Vector::Json("[]")), portrait(|_| ())),
        ] {
            assert_eq!(one.parts_that_differ(&two), []);
        }
    }

    #[test]
    fn a_value_of_another_type_and_one_that_is_absent_differ() {
        let parts = with("t", "1").parts_that_differ(&with("t", "\"1\""));
        let property = |one: Option<&str>, two: Option<&str>| Part::Property {
            name: "t".into(),
            one: one.map(str::to_owned),
            two: two.map(str::to_owned),
        };
        assert_eq!(parts, [property(Some("1"), Some("\"1\""))]);
        let parts = with("t", "1").parts_that_differ(&portrait(|_| ()));
        assert_eq!(parts, [property(Some("1"), None)]);
    }

    #[test]
    fn a_long_value_is_shown_where_it_differs() {
        let long = |middle: &str| format!("\"{}{middle}{}\"", "a".repeat(500), "b".repeat(500));
        let parts = with("t", &long("é")).parts_that_differ(&with("t", &long("è")));
        let Part::Property {
            one: Some(one),
            two: Some(two),
            ..
        } = &parts[0]
        else {
            panic!("{parts:?}");
        };
        assert!(one.contains('é') && two.contains('è'), "{one} {two}");
        assert!(one.chars().count() <= SHOWN + 2);
    }

    #[test]
    fn one_bit_of_a_vector_and_another_form_are_found() {
        let parts = with_vector(Vector::Json("[1,-0.0]"))
            .parts_that_differ(&with_vector(Vector::Json("[1,0]")));
        let name = Some("v".to_owned());
        assert_eq!(
            parts,
            [Part::VectorNumber {
                name: name.clone(),
                index: 1,
                one: 1 << 31,
                two: 0
            }]
        );
        let parts = with_vector(Vector::Json("[[1,2],[3,4]]"))
            .parts_that_differ(&with_vector(Vector::Json("[1,2,3,4]")));
        let (one, two) = (
            Some("2 rows of 2 numbers".to_owned()),
            Some("4 numbers".to_owned()),
        );
        assert_eq!(parts, [Part::VectorForm { name, one, two }]);
    }
}
