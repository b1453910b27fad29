//! A page of objects as REST lists them: parsed once into places, walked without building objects.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::client::clean;
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

impl ListedPage {
    /// Reads a reply. One that is not the expected JSON, an empty one included, is an error, never an empty page:
    /// a panic in the server's handler, or a NaN in a vector, is a 200 with an empty body.
    pub fn parse(body: Bytes, tenant: &Tenant) -> Result<Self> {
        let not_a_page = |why: String| {
            // The reason may quote the reply, which may be long.
            Error::transient(format!(
                "the server gave a page that cannot be read: {}",
                clean(&why)
            ))
            .with_reaction(Reaction::Suspect)
        };
        let text =
            String::from_utf8(body.into()).map_err(|_| not_a_page("it is not UTF-8".into()))?;
        let listed: Listed<'_> =
            serde_json::from_str(&text).map_err(|cause| match text.is_empty() {
                true => not_a_page("the reply is empty".into()),
                false => not_a_page(cause.to_string()),
            })?;
        let mut objects = Vec::with_capacity(listed.objects.len());
        for object in listed.objects {
            objects.push(ListedObject {
                key: Key {
                    tenant: tenant.clone(),
                    id: ObjectId::parse(&object.id)
                        .map_err(|error| not_a_page(error.message().to_owned()))?,
                },
                times: Times {
                    created: object.creation_time_unix,
                    updated: object.last_update_time_unix,
                },
                properties: object.properties.map(|raw| place(&text, raw)),
                vector: object.vector.map(|raw| place(&text, raw)),
                vectors: object.vectors.map(|raw| place(&text, raw)),
            });
        }
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

    /// Keeps the first `count` objects.
    pub fn truncate(&mut self, count: usize) {
        self.objects.truncate(count);
    }
}

/// Raw values are slices of the text they were parsed from.
fn place(text: &str, raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
    start..start + raw.get().len()
}

impl ListedPage {
    fn walk_object(&self, object: &ListedObject, visit: &mut dyn Visit) -> Result<()> {
        visit.object(&object.key, object.times)?;
        if let Some(properties) = &object.properties {
            each_member(&self.text[properties.clone()], |name, raw| {
                visit.property(name, raw)
            })?;
        }
        if let Some(vector) = &object.vector {
            visit.vector(None, Vector::Json(&self.text[vector.clone()]))?;
        }
        if let Some(vectors) = &object.vectors {
            each_member(&self.text[vectors.clone()], |name, raw| {
                visit.vector(Some(name), Vector::Json(raw))
            })?;
        }
        visit.end()
    }
}

impl Walk for ListedPage {
    fn walk(&self, visit: &mut dyn Visit) -> Result<()> {
        self.objects.iter().try_for_each(|object| {
            self.walk_object(object, visit)
                .map_err(|error| match error.kind() {
                    // A value that nobody can write down: the server is to blame, no archive is damaged.
                    Kind::Difference => error
                        .within(format_args!("the server gave object {}", object.key))
                        .with_kind(Kind::SourceRefused),
                    _ => error,
                })
        })
    }
}

/// Several replies one after another: a page may span tenants.
pub(super) struct ListedPages(pub Vec<ListedPage>);

impl Walk for ListedPages {
    fn walk(&self, visit: &mut dyn Visit) -> Result<()> {
        self.0.iter().try_for_each(|page| page.walk(visit))
    }
}

/// Calls `take` with name and raw value of each member of a JSON object; `null` has none.
fn each_member(json: &str, take: impl FnMut(&str, &str) -> Result<()>) -> Result<()> {
    struct Members<F> {
        take: F,
        failed: Option<Error>,
    }
    impl<'de, F: FnMut(&str, &str) -> Result<()>> Visitor<'de> for &mut Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
            while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                let raw: &'de RawValue = map.next_value()?;
                if let Err(error) = (self.take)(&name, raw.get()) {
                    self.failed = Some(error);
                    return Err(serde::de::Error::custom("stopped"));
                }
            }
            Ok(())
        }
    }
    if json == "null" {
        return Ok(());
    }
    let mut members = Members { take, failed: None };
    let parsed = serde_json::Deserializer::from_str(json).deserialize_map(&mut members);
    match (members.failed.take(), parsed) {
        (Some(error), _) => Err(error),
        (None, Err(cause)) => Err(Error::transient(
            "the server gave an object that cannot be read",
        )
        .with_reaction(Reaction::Suspect)
        .with_cause(cause)),
        (None, Ok(())) => Ok(()),
    }
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
