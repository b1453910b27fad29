//! A batch of objects as a request: written once, sent whole or in part.
//!
//! Each object is a piece of text of its own, so that any run of them is a request.

use std::ops::Range;

use bytes::Bytes;

use crate::error::{Error, Kind, Result};
use crate::model::{CollectionName, Key, Times};
use crate::pipe::{Buffer, Buffers, Vector, Visit};

use super::properties::{PropertyRules, Spelling};
use super::request_grpc::GrpcObject;
use super::request_rest::RestObject;

/// The language of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rest,
    Grpc,
}

impl Language {
    const fn opening(self) -> &'static [u8] {
        match self {
            Language::Rest => b"{\"objects\":[",
            Language::Grpc => b"",
        }
    }

    const fn separator(self) -> &'static [u8] {
        match self {
            Language::Rest => b",",
            Language::Grpc => b"",
        }
    }

    const fn closing(self) -> &'static [u8] {
        match self {
            Language::Rest => b"]}",
            Language::Grpc => b"",
        }
    }
}

/// About the size of a page.
const USUAL_BYTES: usize = 2 << 20;

/// Objects, written one after another.
pub(super) struct Request {
    language: Language,
    /// The opening and the objects, as far as they are written.
    text: Buffer,
    /// The complete request.
    whole: Option<Bytes>,
    objects: Vec<(Key, Range<usize>)>,
}

impl Request {
    pub fn new(language: Language, buffers: &Buffers) -> Self {
        let mut text = buffers.take(USUAL_BYTES);
        text.extend_from_slice(language.opening());
        Request {
            language,
            text,
            whole: None,
            objects: Vec::new(),
        }
    }

    pub fn language(&self) -> Language {
        self.language
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Key> + ExactSizeIterator {
        self.objects.iter().map(|(key, _)| key)
    }

    pub fn key(&self, index: usize) -> &Key {
        &self.objects[index].0
    }

    /// The request for a part of the batch; all of it is not copied.
    pub fn part(&mut self, range: &Range<usize>) -> Bytes {
        let whole = self.whole();
        if *range == (0..self.objects.len()) {
            return whole;
        }
        let objects = &self.objects[range.clone()];
        let bytes: usize = objects.iter().map(|(_, place)| place.len() + 1).sum();
        let mut part = Vec::with_capacity(bytes + 16);
        part.extend_from_slice(self.language.opening());
        for (index, (_, place)) in objects.iter().enumerate() {
            if index > 0 {
                part.extend_from_slice(self.language.separator());
            }
            part.extend_from_slice(&whole[place.clone()]);
        }
        part.extend_from_slice(self.language.closing());
        part.into()
    }

    /// The request for the whole batch, which is complete from now on.
    pub fn whole(&mut self) -> Bytes {
        let (text, closing) = (&mut self.text, self.language.closing());
        self.whole
            .get_or_insert_with(|| {
                text.extend_from_slice(closing);
                std::mem::take(text).share()
            })
            .clone()
    }
}

/// One object in one language; members come in any order, vectors among them.
pub(super) trait WriteObject {
    fn begin(&mut self, collection: &CollectionName, key: &Key) -> Result<()>;
    fn property(&mut self, name: &str, json: &str) -> Result<()>;
    /// A reason if the language cannot carry it.
    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<Option<&'static str>>;
    /// Adds the object to the request and makes ready for the next one.
    fn end(&mut self, request: &mut Vec<u8>);
}

/// Writes each object of a page as the server wants it, and says which it cannot take.
pub(super) struct RequestWriter<'a> {
    collection: &'a CollectionName,
    rules: &'a PropertyRules,
    request: &'a mut Request,
    object: Box<dyn WriteObject>,
    key: Option<Key>,
    refusal: Option<String>,
    /// For each object written, why it cannot be sent.
    pub refusals: Vec<Option<String>>,
}

impl<'a> RequestWriter<'a> {
    pub fn new(
        request: &'a mut Request,
        collection: &'a CollectionName,
        rules: &'a PropertyRules,
    ) -> Self {
        RequestWriter {
            collection,
            rules,
            object: match request.language {
                Language::Rest => Box::new(RestObject::default()),
                Language::Grpc => Box::new(GrpcObject::default()),
            },
            request,
            key: None,
            refusal: None,
            refusals: Vec::new(),
        }
    }

    fn write(&mut self, name: &str, json: &str) -> Result<()> {
        match self.rules.spell(name, json)? {
            Spelling::AsRead => self.object.property(name, json),
            Spelling::Other(json) => self.object.property(name, &json),
            Spelling::Leave => Ok(()),
        }
    }
}

impl Visit for RequestWriter<'_> {
    fn object(&mut self, key: &Key, _: Times) -> Result<()> {
        self.key = Some(key.clone());
        self.refusal = None;
        self.object.begin(self.collection, key)
    }

    /// A value that no request can hold (half a surrogate pair, 1e999) makes the object a refused one, and no other.
    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        if let Err(why) = self.write(name, json) {
            self.refusal = Some(match std::error::Error::source(&why) {
                Some(cause) => format!("{why}: {cause}"),
                None => why.to_string(),
            });
        }
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        if let Some(why) = self.object.vector(name, vector)? {
            let which = name.map_or("the vector".to_owned(), |name| format!("vector `{name}`"));
            self.refusal = Some(format!("{which} {why}"));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let key = self
            .key
            .take()
            .ok_or_else(|| Error::new(Kind::Failed, "an object ended that never began"))?;
        let Request {
            language,
            text,
            objects,
            ..
        } = &mut *self.request;
        if !objects.is_empty() {
            text.extend_from_slice(language.separator());
        }
        let begin = text.len();
        self.object.end(text);
        objects.push((key, begin..text.len()));
        self.refusals.push(self.refusal.take());
        Ok(())
    }
}
