//! A new seal for an archive of ours that was edited on purpose.
//!
//! Everything is read as if another program had written it, checked for its shape, counted, hashed and digested
//! anew. A document is written again beside itself and then takes its own place; in a folder only the metadata
//! and the manifest are written, and `schema.json` wins over `metadata.json`.

use std::io::Cursor as Bytes;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::document::{mark, recognise};
use super::draft::{Draft, Format, Sealed};
use super::folder;
use super::foreign::{self, Survey};
use super::header::{Contents, Header};
use super::open::split_path;
use super::sink::{ArchiveSink, SinkOptions};
use super::strangers::Classes;
use super::trailer::{Ending, Frame, Hex, KeyText, Trailer};
use crate::error::{Error, Kind, Result};
use crate::format::{Codec, Decoder, Digester, Lines, Shape, Takeout, Tallies};
use crate::job::{Bounds, Cursor, Lane, Receipt};
use crate::model::Definition;
use crate::pipe::{Budget, Page, Sink as _, Walk as _};
use crate::storage::Storage;

const BUDGET: Budget = Budget::of(1000, 2 << 20);

/// Seals the archive at `path` anew, as it is now. A document of another program becomes one of ours.
pub async fn reseal(path: &Path) -> Result<Sealed> {
    let (storage, name) = split_path(path)?;
    reseal_in(storage, name)
        .await
        .map_err(|error| error.within(format_args!("cannot seal `{}`", path.display())))
}

pub(crate) async fn reseal_in(storage: Arc<dyn Storage>, name: &str) -> Result<Sealed> {
    match storage.is_folder(name)? {
        true => reseal_folder(storage, name),
        false => reseal_document(storage, name).await,
    }
}

async fn reseal_document(storage: Arc<dyn Storage>, name: &str) -> Result<Sealed> {
    let codec = recognise(&*storage, name)?;
    let survey = foreign::survey_any(&*storage, name, codec)?;
    // All are written as objects of one collection.
    survey.strangers.refuse_any()?;
    let draft = Draft::again(
        storage.clone(),
        survey.header.clone(),
        Format::Json,
        codec,
        name,
    );
    let sink = draft.make(SinkOptions::default())?;
    let receipts = copy(&*storage, name, codec, &survey, &sink).await?;
    let receipts: Vec<&Receipt> = receipts.iter().collect();
    let sealed = draft.seal(&receipts, &ending(&survey.header, &survey.others)?, true)?;
    storage.replace(&draft.partial(), name)?;
    Ok(sealed)
}

async fn copy(
    storage: &dyn Storage,
    name: &str,
    codec: Codec,
    survey: &Survey,
    sink: &ArchiveSink,
) -> Result<Vec<Receipt>> {
    let mut receipts = Vec::new();
    if survey.object_count == 0 {
        return Ok(receipts);
    }
    let mut objects = foreign::Objects::at(storage, name, codec, 0)?;
    while objects.ordinal < survey.object_count {
        let mut lines = Lines::default();
        objects.take(BUDGET, survey.object_count, &mut lines)?;
        let mut batch = sink.begin(&only_lane(receipts.len() as u64));
        sink.append(&mut batch, &page(lines))?;
        receipts.push(sink.apply(&mut batch).await?.receipt);
    }
    Ok(receipts)
}

fn only_lane(seq: u64) -> Lane {
    Lane {
        seq,
        ..Lane::alone(Bounds::ALL_KEYS)
    }
}

fn page(lines: Lines) -> Page {
    Page {
        keys: lines.keys(),
        bytes: lines.bytes(),
        objects: Arc::new(lines),
        unreadable: Vec::new(),
        end: Cursor::Start,
        is_last: false,
    }
}

/// What the archive said of its end, as it says it now.
fn ending(header: &Header, members: &Value) -> Result<Ending> {
    fn read<T: serde::de::DeserializeOwned + Default>(members: &Value, name: &str) -> Result<T> {
        match members.get(name) {
            None | Some(Value::Null) => Ok(T::default()),
            Some(value) => serde_json::from_value(value.clone()).map_err(|cause| {
                Error::new(Kind::Difference, format!("`{name}` is not as it should be"))
                    .with_cause(cause)
            }),
        }
    }
    let definition: Option<Value> = read(members, "definition_at_end")?;
    Ok(Ending {
        finished: header.finished.unwrap_or(header.started),
        resumed: header.resumed,
        tenants: read(members, "tenants")?,
        aliases: read(members, "aliases")?,
        definition_at_end: definition
            .map(|value| Definition::parse(value.to_string()))
            .transpose()?,
        notes: read(members, "notes")?,
        // Nobody knows whether its editor has found them.
        lost: read(members, "lost")?,
        is_edited: true,
    })
}

fn reseal_folder(storage: Arc<dyn Storage>, name: &str) -> Result<Sealed> {
    let text = |file: &str| -> Result<String> {
        let bytes = folder::read_all(&*storage, &format!("{name}/{file}"))?;
        String::from_utf8(bytes)
            .map_err(|_| Error::new(Kind::Difference, format!("`{file}` is not UTF-8")))
    };
    let json = |file: &str| -> Result<Value> {
        serde_json::from_str(&text(file)?).map_err(|cause| {
            Error::new(Kind::Difference, format!("`{file}` is not JSON")).with_cause(cause)
        })
    };
    let metadata = json("metadata.json")?
        .get("metadata")
        .cloned()
        .unwrap_or_default()
        .to_string();
    if mark(&metadata) != Some(true) {
        return Err(Error::new(
            Kind::Difference,
            "the backup was never finished",
        ));
    }
    let header = Header::parse(&metadata, Definition::parse(text("schema.json")?)?)?;
    let codec = Codec::parse(&header.options.compression)?;
    let ending = ending(&header, &json("manifest.json")?)?;
    let mut tallies = Tallies::default();
    let mut frames = Vec::new();
    for (file, _) in storage.list(&format!("{name}/objects"))? {
        frames.push(read_part(
            &*storage,
            name,
            format!("objects/{file}"),
            codec,
            &header,
            &mut tallies,
        )?);
    }
    let mut sealed = header.initial();
    (sealed.finished, sealed.resumed) = (header.finished, header.resumed);
    if header.contents == Contents::Full {
        sealed.object_count = tallies.count();
    }
    storage.put(
        &format!("{name}/schema.json"),
        sealed.definition.text().as_bytes(),
    )?;
    let contents = Trailer::of(&tallies, frames, &ending, true);
    folder::write_end(&*storage, name, &sealed, contents)
}

/// Reads a part and says what its entry must be.
fn read_part(
    storage: &dyn Storage,
    folder: &str,
    path: String,
    codec: Codec,
    header: &Header,
    tallies: &mut Tallies,
) -> Result<Frame> {
    let bytes = folder::read_all(storage, &format!("{folder}/{path}"))?;
    let (length, hash) = (bytes.len() as u64, *blake3::hash(&bytes).as_bytes());
    let mut lines = Takeout::new(Decoder::new(codec, Bytes::new(bytes))?);
    let mut classes = Classes::default();
    let mut digester = Digester::new(Shape::of(&header.definition)?);
    let (mut count, mut first, mut last) = (0, None, None);
    while let Some(line) = lines.next_line().map_err(|error| error.within(&path))? {
        let mut object = Lines::default();
        let pushed = object.push(line).and_then(|()| classes.add(line));
        pushed.map_err(|error| error.within(&path))?;
        object.walk(&mut digester)?;
        last = object.keys().pop().map(KeyText);
        first = first.or_else(|| last.clone());
        count += 1;
    }
    let strangers = classes.strangers(&header.collection);
    strangers
        .refuse_any()
        .map_err(|error| error.within(&path))?;
    tallies.merge(digester.take().list());
    Ok(Frame {
        path,
        offset: 0,
        length,
        count,
        first,
        last,
        blake3: Hex(hash),
    })
}
