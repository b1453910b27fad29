//! One spelling for each value, so that the same object has the same digest however it was read.
//!
//! The type that the definition gives a property decides: ints are i64 (the server keeps f64), numbers are the
//! bits of f64, geo coordinates of f32, dates are text with `Z` for `+00:00`, of a phone number only what was
//! typed, of a reference only its beacon, with the own collection's name left out. Names are sorted; nested
//! nulls are kept. What is not of its type, or of a type unknown here, is compared as plain JSON.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::model::PropertyType;

/// What the type of a value means for its canonical form.
#[derive(Debug)]
pub(crate) enum Hint {
    Plain,
    Int,
    Date,
    Geo,
    Degrees,
    Phone,
    Reference,
    Beacon,
    /// Never comes back from a restore, so it takes no part.
    Ignored,
    Object(HashMap<String, Hint>),
}

impl Hint {
    fn of(property: &PropertyType) -> Self {
        if property.is_reference {
            return Hint::Reference;
        }
        match property.data_type.trim_end_matches("[]") {
            "int" => Hint::Int,
            "date" => Hint::Date,
            "geoCoordinates" => Hint::Geo,
            "phoneNumber" => Hint::Phone,
            "blobHash" => Hint::Ignored,
            "object" => Hint::Object(Hint::all(&property.nested)),
            _ => Hint::Plain,
        }
    }

    pub(crate) fn all(properties: &[PropertyType]) -> HashMap<String, Hint> {
        properties
            .iter()
            .map(|property| (property.name.clone(), Hint::of(property)))
            .collect()
    }

    fn member(&self, name: &str) -> &Hint {
        match self {
            Hint::Object(members) => members.get(name).unwrap_or(&Hint::Plain),
            Hint::Geo => &Hint::Degrees,
            Hint::Phone if !matches!(name, "input" | "defaultCountry") => &Hint::Ignored,
            Hint::Reference if name == "beacon" => &Hint::Beacon,
            Hint::Reference => &Hint::Ignored,
            _ => &Hint::Plain,
        }
    }
}

/// Appends the canonical form of JSON text. Text that is nested too deeply to be read stands for itself.
pub(crate) fn write_canonical(out: &mut Vec<u8>, json: &str, hint: &Hint, own: &str) {
    let before = out.len();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let outcome = Canonical { out, hint, own }.deserialize(&mut deserializer);
    if outcome.and_then(|()| deserializer.end()).is_err() {
        out.truncate(before);
        out.push(b'?');
        write_bytes(out, json.as_bytes());
    }
}

pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

struct Canonical<'a> {
    out: &'a mut Vec<u8>,
    hint: &'a Hint,
    own: &'a str,
}

impl Canonical<'_> {
    fn inner<'b>(&'b mut self, hint: &'b Hint) -> Canonical<'b> {
        Canonical {
            out: self.out,
            hint,
            own: self.own,
        }
    }

    fn number(self, number: f64) {
        match self.hint {
            // Saturates, as the server clamps.
            Hint::Int => self.tagged(b'i', &(number as i64).to_le_bytes()),
            Hint::Degrees => self.tagged(b'g', &(number as f32).to_bits().to_le_bytes()),
            _ => self.tagged(b'd', &number.to_bits().to_le_bytes()),
        }
    }

    fn tagged(self, tag: u8, bytes: &[u8]) {
        self.out.push(tag);
        self.out.extend_from_slice(bytes);
    }

    fn text(self, text: &str) {
        self.out.push(b's');
        match self.hint {
            Hint::Date => match text.strip_suffix("+00:00") {
                Some(start) => write_bytes(self.out, format!("{start}Z").as_bytes()),
                None => write_bytes(self.out, text.as_bytes()),
            },
            Hint::Beacon => write_bytes(self.out, without_own_class(text, self.own).as_bytes()),
            _ => write_bytes(self.out, text.as_bytes()),
        }
    }
}

/// A collection may come back under another name, and its references to itself follow.
fn without_own_class(beacon: &str, own: &str) -> String {
    match beacon.rsplit_once('/') {
        Some((rest, id)) => match rest.strip_suffix(own) {
            Some(host) if host.ends_with('/') => format!("{host}\u{0}/{id}"),
            _ => beacon.to_owned(),
        },
        None => beacon.to_owned(),
    }
}

impl<'de> DeserializeSeed<'de> for Canonical<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Canonical<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push(b'n');
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.push(if value { b't' } else { b'f' });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.text(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        let hint = self.hint;
        while seq.next_element_seed(self.inner(hint))?.is_some() {}
        self.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut members: Vec<(String, Vec<u8>)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let hint = self.hint.member(&name);
            let mut out = Vec::new();
            map.next_value_seed(Canonical {
                out: &mut out,
                hint,
                own: self.own,
            })?;
            if !matches!(hint, Hint::Ignored) {
                members.push((name, out));
            }
        }
        if matches!(self.hint, Hint::Phone) {
            // The server answers "" for a country that was not given.
            members.retain(|(_, value)| value[..] != [b's', 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        members.sort();
        if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(A::Error::custom("a name occurs twice"));
        }
        self.write_members(&members);
        Ok(())
    }
}

impl Canonical<'_> {
    fn write_members(&mut self, members: &[(String, Vec<u8>)]) {
        self.out.push(b'{');
        for (name, value) in members {
            write_bytes(self.out, name.as_bytes());
            self.out.extend_from_slice(value);
        }
        // A length can begin with any byte: the count closes the list.
        self.out
            .extend_from_slice(&(members.len() as u64).to_be_bytes());
        self.out.push(b'}');
    }
}
