//! A page of objects as REST lists them: parsed once into places, walked without building objects.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::clean;
use super::members::members;
use crate::error::{Error, Kind, Reaction, Result};
use crate::model::{Key, ObjectId, Tenant, Times};
use crate::pipe::{Vector, Visit, Walk};

/// One reply of the server, of one tenant.
pub(super) struct ListedPage {
    text: String,
    objects: Vec<ListedObject>,
}

/// Where the parts of an object lie in the text.
struct ListedObject {
    key: Key,
    times: Times,
    properties: Option<Range<usize>>,
    vector: Option<Range<usize>>,
    vectors: Option<Range<usize>>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    objects: Vec<Object<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    creation_time_unix: i64,
    last_update_time_unix: i64,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    vector: Option<&'a RawValue>,
    #[serde(borrow)]
    vectors: Option<&'a RawValue>,
}

/// A reply that is not what was asked for.
pub(super) fn not_a_page(why: &str) -> Error {
    // The reason may quote the reply, which may be long.
    let why = clean(why);
    Error::transient(format!("the server gave a page that cannot be read: {why}"))
        .with_reaction(Reaction::Suspect)
}

fn text_of(body: Bytes) -> Result<String> {
    match String::from_utf8(body.into()) {
        Ok(text) if text.is_empty() => Err(not_a_page("the reply is empty")),
        Ok(text) => Ok(text),
        Err(_) => Err(not_a_page("it is not UTF-8")),
    }
}

impl ListedObject {
    fn parse(object: Object<'_>, text: &str, tenant: &Tenant) -> Result<Self> {
        Ok(ListedObject {
            key: Key {
                tenant: tenant.clone(),
                id: ObjectId::parse(&object.id).map_err(|error| not_a_page(error.message()))?,
            },
            times: Times {
                created: object.creation_time_unix,
                updated: object.last_update_time_unix,
            },
            properties: object.properties.map(|raw| place(text, raw)),
            vector: object.vector.map(|raw| place(text, raw)),
            vectors: object.vectors.map(|raw| place(text, raw)),
        })
    }
}

impl ListedPage {
    /// Reads a reply. One that is not the expected JSON, an empty one included, is an error, never an empty page:
    /// a panic in the server's handler, or a NaN in a vector, is a 200 with an empty body.
    pub fn parse(body: Bytes, tenant: &Tenant) -> Result<Self> {
        let text = text_of(body)?;
        let listed: Listed<'_> =
            serde_json::from_str(&text).map_err(|cause| not_a_page(&cause.to_string()))?;
        let mut objects = Vec::with_capacity(listed.objects.len());
        for object in listed.objects {
            objects.push(ListedObject::parse(object, &text, tenant)?);
        }
        Ok(ListedPage { text, objects })
    }

    /// The reply to a request for one object, as a page of it.
    pub fn of_one(body: Bytes, tenant: &Tenant) -> Result<Self> {
        let text = text_of(body)?;
        let object: Object<'_> =
            serde_json::from_str(&text).map_err(|cause| not_a_page(&cause.to_string()))?;
        let objects = vec![ListedObject::parse(object, &text, tenant)?];
        Ok(ListedPage { text, objects })
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.iter().map(|object| &object.key)
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn bytes(&self) -> usize {
        self.text.len() + self.objects.len() * size_of::<ListedObject>()
    }
}

/// Raw values are slices of the text they were parsed from.
fn place(text: &str, raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
    start..start + raw.get().len()
}

impl ListedPage {
    pub fn times(&self, index: usize) -> Times {
        self.objects[index].times
    }

    pub fn walk_properties(&self, index: usize, visit: &mut dyn Visit) -> Result<()> {
        match &self.objects[index].properties {
            Some(properties) => each_member(&self.text[properties.clone()], |name, raw| {
                visit.property(name, raw)
            }),
            None => Ok(()),
        }
    }

    fn walk_vectors(&self, object: &ListedObject, visit: &mut dyn Visit) -> Result<()> {
        if let Some(vector) = &object.vector {
            visit.vector(None, Vector::Json(&self.text[vector.clone()]))?;
        }
        match &object.vectors {
            Some(vectors) => each_member(&self.text[vectors.clone()], |name, raw| {
                visit.vector(Some(name), Vector::Json(raw))
            }),
            None => Ok(()),
        }
    }

    fn walk_parts(&self, index: usize, visit: &mut dyn Visit) -> Result<()> {
        let object = &self.objects[index];
        visit.object(&object.key, object.times)?;
        self.walk_properties(index, visit)?;
        self.walk_vectors(object, visit)?;
        visit.end()
    }

    /// Visits one object.
    pub fn walk_one(&self, index: usize, visit: &mut dyn Visit) -> Result<()> {
        let walked = self.walk_parts(index, visit);
        walked.map_err(|error| match error.kind() {
            // A value that nobody can write down: the server is to blame, no archive is damaged.
            Kind::Difference => error
                .within(format_args!(
                    "the server gave object {}",
                    self.objects[index].key
                ))
                .with_kind(Kind::SourceRefused),
            _ => error,
        })
    }
}

impl Walk for ListedPage {
    fn walk(&self, visit: &mut dyn Visit) -> Result<()> {
        (0..self.objects.len()).try_for_each(|index| self.walk_one(index, visit))
    }
}

fn each_member(json: &str, take: impl FnMut(&str, &str) -> Result<()>) -> Result<()> {
    members(json, take, |cause| {
        Error::transient("the server gave an object that cannot be read")
            .with_reaction(Reaction::Suspect)
            .with_cause(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Told(Vec<String>);

    impl Visit for Told {
        fn object(&mut self, key: &Key, times: Times) -> Result<()> {
            self.0
                .push(format!("object {key} {} {}", times.created, times.updated));
            Ok(())
        }
        fn property(&mut self, name: &str, json: &str) -> Result<()> {
            self.0.push(format!("{name}={json}"));
            Ok(())
        }
        fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
            self.0.push(format!("{name:?} {vector:?}"));
            Ok(())
        }
        fn end(&mut self) -> Result<()> {
            self.0.push("end".into());
            Ok(())
        }
    }

    fn parse(text: &str) -> Result<ListedPage> {
        ListedPage::parse(Bytes::copy_from_slice(text.as_bytes()), &Tenant::named("t"))
    }

    #[test]
    fn a_page_is_walked_with_every_value_as_it_was_spelled() {
        let page = parse(
            r#"{"deprecations":[],"objects":[{"class":"A","creationTimeUnix":1,"id":"00000000-0000-0000-0000-000000000007",
            "lastUpdateTimeUnix":2,"properties":{"a":1e+308,"b\n":"\u0000"},"vector":[1e-45,-0],"vectors":{"n":[[1],[2]]},"vectorWeights":null}],"totalResults":1}"#,
        )
        .unwrap();
        let mut told = Told(Vec::new());
        page.walk(&mut told).unwrap();
        assert_eq!(
            told.0,
            [
                "object 00000000-0000-0000-0000-000000000007/t 1 2",
                "a=1e+308",
                "b\n=\"\\u0000\"",
                "None Json(\"[1e-45,-0]\")",
                "Some(\"n\") Json(\"[[1],[2]]\")",
                "end"
            ]
        );
    }

    #[test]
    fn what_is_not_a_page_is_an_error_and_never_an_empty_page() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"objects":null}"#,
            r#"{"objects":[{"id":"nope"}]}"#,
            r#"{"objects":["#,
        ] {
            let error = parse(text)
                .err()
                .unwrap_or_else(|| panic!("{text} was taken for a page"));
            assert!(error.is_transient(), "{text}");
        }
        assert_eq!(parse(r#"{"objects":[]}"#).unwrap().len(), 0);
    }
}
