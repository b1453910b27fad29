//! Documents that others wrote: indented, keys in any order, one member or many, without table of contents.
//!
//! Such a document is one lane; its cursor is the ordinal of an object, found again by reading from the start,
//! in constant memory. A first pass reads all of it: the shape, the definition, the metadata, every object's
//! key, the count, the hash. What carries a mark or a seal of ours but does not keep to our shape was edited
//! or damaged and is refused.

use std::io::BufReader;

use super::document::{broken_seal, mark};
use super::header::{Contents, Header};
use super::strangers::{Classes, Strangers, stranger};
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::format::{Codec, Decoder, Lines, Scanner};
use crate::model::{CollectionName, Definition};
use crate::pipe::{Budget, Reject};
use crate::storage::{Storage, Stream};

type Text = Scanner<Decoder<BufReader<Stream>>>;

/// What the first pass found.
pub(crate) struct Survey {
    pub(crate) header: Header,
    pub(crate) object_count: u64,
    pub(crate) hash: String,
    /// Why it may not be whole.
    pub(crate) doubt: Option<String>,
    /// Objects of other collections.
    pub(super) strangers: Strangers,
    /// True if it bears a mark or a seal of ours.
    pub(crate) is_ours: bool,
    /// Members that a table of contents has.
    pub(crate) others: Value,
}

#[derive(Default)]
struct Found {
    metadata: Option<String>,
    schema: Option<String>,
    object_count: Option<u64>,
    stated_count: Option<u64>,
    has_seal: bool,
    classes: Classes,
    others: serde_json::Map<String, Value>,
}

fn open(storage: &dyn Storage, key: &str, codec: Codec) -> Result<Text> {
    let input = BufReader::with_capacity(64 << 10, Stream::new(storage.read(key)?));
    let mut text = Scanner::new(Decoder::new(codec, input)?);
    // A byte order mark is no part of the text.
    if text.peek()? == Some(0xef) {
        [0xef, 0xbb, 0xbf]
            .into_iter()
            .try_for_each(|byte| text.byte(byte))?;
    }
    match text.peek_token()? {
        Some(b'{') => Ok(text),
        _ => Err(Error::new(Kind::Incompatible, "this is not an archive")
            .with_hint("an archive is a JSON document, plain or compressed, or a folder with a `manifest.json`")),
    }
}

/// Reads the whole document once. One that was ours and no longer keeps to our shape is refused.
pub(crate) fn survey(storage: &dyn Storage, key: &str, codec: Codec) -> Result<Survey> {
    let survey = survey_any(storage, key, codec)?;
    match survey.is_ours {
        true => Err(broken_seal()),
        false => {
            survey.strangers.refuse_all_of(survey.object_count)?;
            Ok(survey)
        }
    }
}

/// Reads the whole document once, whoever wrote it.
pub(crate) fn survey_any(storage: &dyn Storage, key: &str, codec: Codec) -> Result<Survey> {
    let mut text = open(storage, key, codec)?;
    let mut found = Found::default();
    each_member(&mut text, |text, name| take_member(text, name, &mut found))?;
    if let Some(byte) = text.peek_token()? {
        return Err(text.unexpected(Some(byte)));
    }
    let is_marked = found
        .metadata
        .as_deref()
        .is_some_and(|metadata| mark(metadata).is_some());
    let is_ours = found.has_seal || is_marked;
    let header = header(&found)?;
    let object_count = found.object_count.unwrap_or(0);
    let miscounted = doubt(&found, &header, object_count);
    let strangers = found.classes.strangers(&header.collection);
    let doubts: Vec<String> = miscounted.into_iter().chain(strangers.doubt()).collect();
    Ok(Survey {
        doubt: (!doubts.is_empty()).then(|| doubts.join("; ")),
        strangers,
        header,
        object_count,
        hash: hash(storage, key)?,
        is_ours,
        others: Value::Object(found.others),
    })
}

fn each_member(text: &mut Text, mut take: impl FnMut(&mut Text, &str) -> Result<()>) -> Result<()> {
    text.token(b'{')?;
    if text.peek_token()? == Some(b'}') {
        return text.token(b'}');
    }
    loop {
        let name = text.text()?;
        let name: String =
            serde_json::from_str(&name).map_err(|cause| not_json(cause, text.position()))?;
        text.token(b':')?;
        take(text, &name)?;
        match text.peek_token()? {
            Some(b',') => text.token(b',')?,
            _ => return text.token(b'}'),
        }
    }
}

fn not_json(cause: serde_json::Error, at: u64) -> Error {
    Error::new(
        Kind::Difference,
        format!("the text before byte {at} is not as it should be: {cause}"),
    )
    .with_cause(cause)
}

fn take_member(text: &mut Text, name: &str, found: &mut Found) -> Result<()> {
    match name {
        "metadata" => once(&mut found.metadata, text),
        "schema" => once(&mut found.schema, text),
        "objects" if found.object_count.is_some() => Err(twice(name)),
        "objects" => {
            found.object_count = Some(count_objects(text, &mut found.classes)?);
            Ok(())
        }
        _ => {
            found.has_seal |= name == "seal";
            let value = text.text()?;
            let _: serde::de::IgnoredAny =
                serde_json::from_str(&value).map_err(|cause| not_json(cause, text.position()))?;
            if name == "object_count" {
                found.stated_count = value.parse().ok();
            }
            if matches!(
                name,
                "tenants" | "aliases" | "notes" | "lost" | "definition_at_end"
            ) {
                let value = serde_json::from_str(&value)
                    .map_err(|cause| not_json(cause, text.position()))?;
                found.others.insert(name.to_owned(), value);
            }
            Ok(())
        }
    }
}

fn once(slot: &mut Option<String>, text: &mut Text) -> Result<()> {
    let value = text.text()?;
    let _: serde::de::IgnoredAny =
        serde_json::from_str(&value).map_err(|cause| not_json(cause, text.position()))?;
    match slot.replace(value) {
        Some(_) => Err(twice("metadata` or `schema")),
        None => Ok(()),
    }
}

fn twice(name: &str) -> Error {
    Error::new(Kind::Difference, format!("the document has `{name}` twice"))
}

fn count_objects(text: &mut Text, classes: &mut Classes) -> Result<u64> {
    let (mut count, mut object) = (0, String::new());
    begin_array(text)?;
    while next_object(text, count == 0, &mut object)? {
        // Every object is taken up once, so that what cannot be read is known before anything is restored.
        Lines::default()
            .push(&object)
            .and_then(|()| classes.add(&object))
            .map_err(|error| error.within(format_args!("object {count}")))?;
        count += 1;
    }
    Ok(count)
}

fn begin_array(text: &mut Text) -> Result<()> {
    text.token(b'[')
}

/// Takes the next object of the array; false at its end.
fn next_object(text: &mut Text, is_first: bool, object: &mut String) -> Result<bool> {
    match text.peek_token()? {
        Some(b']') => {
            text.token(b']')?;
            return Ok(false);
        }
        _ if is_first => {}
        _ => text.token(b',')?,
    }
    let mut bytes = std::mem::take(object).into_bytes();
    text.value(&mut bytes)?;
    *object = String::from_utf8(bytes).map_err(|cause| {
        Error::new(Kind::Difference, "an object is not UTF-8").with_cause(cause)
    })?;
    Ok(true)
}

fn header(found: &Found) -> Result<Header> {
    let schema = found.schema.clone().ok_or_else(|| {
        Error::new(
            Kind::Incompatible,
            "the document has no `schema`, so its collection cannot be made",
        )
    })?;
    let mut header = Header::parse(
        found.metadata.as_deref().unwrap_or("{}"),
        Definition::parse(schema)?,
    )?;
    if found.object_count.is_some_and(|count| count > 0) {
        header.contents = Contents::Full;
    }
    Ok(header)
}

/// A count is all the integrity that such a document may have.
fn doubt(found: &Found, header: &Header, count: u64) -> Option<String> {
    let of_metadata = (header.object_count > 0).then_some(header.object_count);
    let stated = found.stated_count.or(of_metadata);
    stated
        .filter(|stated| *stated != count && header.contents == Contents::Full)
        .map(|stated| format!("the document says it has {stated} objects, but it holds {count}"))
}

fn hash(storage: &dyn Storage, key: &str) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(Stream::new(storage.read(key)?))
        .map_err(|cause| Error::new(Kind::Failed, "cannot read it").with_cause(cause))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The objects of a foreign document, one after another.
pub(crate) struct Objects {
    text: Text,
    pub(crate) ordinal: u64,
    object: String,
    /// What is not of this collection is handed out apart.
    own: Option<CollectionName>,
}

impl Objects {
    /// Goes to the object `ordinal`, reading all before it.
    pub(crate) fn at(storage: &dyn Storage, key: &str, codec: Codec, ordinal: u64) -> Result<Self> {
        let mut text = open(storage, key, codec)?;
        text.token(b'{')?;
        loop {
            let name = text.text()?;
            text.token(b':')?;
            if name == "\"objects\"" {
                break;
            }
            text.value(&mut Vec::new())?;
            text.token(b',')?;
        }
        begin_array(&mut text)?;
        let mut objects = Objects {
            text,
            ordinal: 0,
            object: String::new(),
            own: None,
        };
        while objects.ordinal < ordinal {
            if !objects.next()? {
                return Err(changed());
            }
        }
        Ok(objects)
    }

    /// Only those of this collection are taken as objects of it.
    pub(super) fn of(self, own: CollectionName) -> Self {
        Objects {
            own: Some(own),
            ..self
        }
    }

    fn next(&mut self) -> Result<bool> {
        let found = next_object(&mut self.text, self.ordinal == 0, &mut self.object)?;
        self.ordinal += u64::from(found);
        Ok(found)
    }

    /// Takes objects within the budget and before `end`; returns those that are of another collection.
    pub(crate) fn take(
        &mut self,
        budget: Budget,
        end: u64,
        lines: &mut Lines,
    ) -> Result<Vec<Reject>> {
        let mut strangers = Vec::new();
        let has_room = |lines: &Lines, strangers: &[Reject]| {
            let taken = lines.len() + strangers.len();
            taken == 0 || taken < budget.objects as usize && lines.bytes() < budget.bytes
        };
        while self.ordinal < end && has_room(lines, &strangers) {
            if !self.next()? {
                return Err(changed());
            }
            self.take_one(lines, &mut strangers)
                .map_err(|error| error.within(format_args!("object {}", self.ordinal - 1)))?;
        }
        Ok(strangers)
    }

    fn take_one(&self, lines: &mut Lines, strangers: &mut Vec<Reject>) -> Result<()> {
        let own = self.own.as_ref();
        match own.map(|own| stranger(&self.object, own)).transpose()? {
            Some(Some(found)) => strangers.push(found),
            _ => lines.push(&self.object)?,
        }
        Ok(())
    }
}

fn changed() -> Error {
    Error::new(
        Kind::Difference,
        "the document has changed since it was opened",
    )
}
