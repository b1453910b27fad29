//! The folder layout: `metadata.json`, `schema.json`, `objects/part-….jsonl.zst`, and `manifest.json` last.
//!
//! One commit is one part, named by lane and sequence, so that a repeated batch writes over itself. Parts are
//! frames that the plain tools read as one, and go to disk while they grow. Sealing removes every file that no receipt
//! names before it writes the manifest: other programs open the folder, not the manifest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::appender::check_space;
use super::document::{broken_seal, mark};
use super::draft::{Draft, Sealed};
use super::header::{Contents, Header};
use super::sink::Batch;
use super::trailer::{self, Ending, Frame, Hex, Trailer};
use crate::error::{Error, Kind, Result};
use crate::format::Codec;
use crate::job::{Lane, LaneId, Receipt};
use crate::model::Definition;
use crate::storage::{Handle, Storage};

/// Compressed bytes are written when there are so many.
const DRAIN: usize = 256 << 10;

pub(crate) fn create(storage: &dyn Storage, key: &str, header: &Header) -> Result<()> {
    storage.make_folder(&format!("{key}/objects"))?;
    storage.put(
        &format!("{key}/schema.json"),
        header.definition.text().as_bytes(),
    )?;
    // The mark of a folder that is ours comes last.
    storage.put(
        &format!("{key}/metadata.json"),
        metadata(header, false).as_bytes(),
    )?;
    storage.sync_folder("")
}

/// True if a crash came while the folder was made: it has no mark and no part yet.
pub(crate) fn is_unmarked(storage: &dyn Storage, key: &str) -> Result<bool> {
    Ok(!storage.exists(&format!("{key}/metadata.json"))?
        && storage.list(&format!("{key}/objects"))?.is_empty())
}

fn metadata(header: &Header, is_sealed: bool) -> String {
    header.text(is_sealed) + "}"
}

fn part_path(lane: u32, seq: u64, codec: Codec) -> String {
    format!("objects/part-{lane:05}-{seq:08}.jsonl{}", codec.extension())
}

/// The head of a folder, as found.
pub(crate) struct Head {
    pub(crate) header: Header,
    pub(crate) is_sealed: bool,
    metadata: Vec<u8>,
}

/// Reads `metadata.json`; `None` if it is not ours.
pub(crate) fn read_head(storage: &dyn Storage, key: &str) -> Result<Option<Head>> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
        #[serde(borrow)]
        schema: &'a RawValue,
    }
    let bytes = read_all(storage, &format!("{key}/metadata.json"))?;
    let Ok(wire) = serde_json::from_slice::<Wire<'_>>(&bytes) else {
        return Ok(None);
    };
    let Some(is_sealed) = mark(wire.metadata.get()) else {
        return Ok(None);
    };
    let definition = Definition::parse(wire.schema.get().to_owned())
        .map_err(|error| error.with_kind(Kind::Difference))?;
    let header = Header::parse(wire.metadata.get(), definition)?;
    if metadata(&header, is_sealed).as_bytes() != bytes {
        return Err(Error::new(
            Kind::Difference,
            "`metadata.json` is damaged or was edited",
        ));
    }
    Ok(Some(Head {
        header,
        is_sealed,
        metadata: bytes,
    }))
}

pub(crate) fn read_all(storage: &dyn Storage, key: &str) -> Result<Vec<u8>> {
    let handle = storage.read(key)?;
    let mut bytes = vec![0; handle.length()? as usize];
    handle.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Reads and checks the manifest, the definition beside it, and that exactly its parts are there.
pub(crate) fn read_closing(
    storage: &dyn Storage,
    key: &str,
    head: &Head,
) -> Result<(Trailer, [u8; 32])> {
    let manifest =
        read_all(storage, &format!("{key}/manifest.json")).map_err(|error| match error.kind() {
            Kind::NotFound => Error::new(
                Kind::Difference,
                "the folder has no `manifest.json`: it is unfinished",
            ),
            _ => error,
        })?;
    let schema = read_all(storage, &format!("{key}/schema.json"))
        .map_err(|error| error.with_kind(Kind::Difference))?;
    let text = String::from_utf8(manifest).map_err(|_| broken_seal())?;
    let (body, seal) = split_manifest(&text).ok_or_else(broken_seal)?;
    let trailer = Trailer::parse(&format!("{body}}}"))?;
    let pieces: [&[u8]; 2] = [&head.metadata, &schema];
    if trailer::seal(&pieces, &trailer.integrity.frames, body.as_bytes()) != seal
        || schema != head.header.definition.text().as_bytes()
        || trailer.frame_count() != trailer.object_count
    {
        return Err(broken_seal());
    }
    check_listing(storage, key, &trailer.integrity.frames)?;
    Ok((trailer, seal))
}

/// The manifest without its seal and closing brace, and the seal.
fn split_manifest(text: &str) -> Option<(&str, [u8; 32])> {
    let (body, seal) = text.strip_suffix("\"}\n")?.rsplit_once(",\"seal\":\"")?;
    let hash = blake3::Hash::from_hex(seal).ok()?;
    // One spelling only: upper case would be read as well.
    (hash.to_hex().as_str() == seal && body.starts_with('{')).then_some((body, *hash.as_bytes()))
}

fn check_listing(storage: &dyn Storage, key: &str, frames: &[Frame]) -> Result<()> {
    let expected: BTreeMap<&str, u64> = frames
        .iter()
        .map(|frame| (frame.path.as_str(), frame.length))
        .collect();
    let listing = storage.list(&format!("{key}/objects"))?;
    let found: BTreeMap<String, u64> = listing
        .into_iter()
        .map(|(name, length)| (format!("objects/{name}"), length))
        .collect();
    for (path, length) in &expected {
        match found.get(*path) {
            Some(actual) if actual == length => {}
            Some(actual) => {
                return Err(damaged(format!(
                    "`{path}` has {actual} bytes, the manifest says {length}"
                )));
            }
            None => return Err(damaged(format!("`{path}` is missing"))),
        }
    }
    match found
        .keys()
        .find(|path| !expected.contains_key(path.as_str()))
    {
        Some(path) => Err(damaged(format!("`{path}` is not in the manifest"))),
        None => Ok(()),
    }
}

fn damaged(message: String) -> Error {
    Error::new(Kind::Difference, message)
}

/// Checks that the parts of the receipts are there, with their lengths.
pub(crate) fn check_parts(
    storage: &dyn Storage,
    key: &str,
    receipts: &[&Receipt],
    codec: Codec,
) -> Result<()> {
    let found: BTreeMap<String, u64> = storage
        .list(&format!("{key}/objects"))?
        .into_iter()
        .collect();
    for receipt in receipts.iter().filter(|receipt| receipt.count > 0) {
        let path = part_path(receipt.lane, receipt.seq, codec);
        let name = path.trim_start_matches("objects/");
        if found.get(name) != Some(&receipt.bytes) {
            return Err(Error::new(
                Kind::Mismatch,
                format!("`{name}` of the unfinished archive is not as the journal says"),
            )
            .with_hint("put the right file back, or begin anew with --restart"));
        }
    }
    Ok(())
}

/// Writes the end of a folder.
pub(crate) fn seal(
    draft: &Draft,
    receipts: &[&Receipt],
    ending: &Ending,
    has_digest: bool,
    header: &Header,
) -> Result<Sealed> {
    let (storage, key) = (&*draft.storage, draft.partial());
    check_parts(storage, &key, receipts, draft.codec)?;
    let mut frames = frames(receipts, draft.codec);
    if frames.is_empty() && header.contents == Contents::Full {
        frames.push(put_empty_part(storage, &key, draft.codec)?);
    }
    remove_strangers(storage, &key, &frames)?;
    let trailer = Trailer::new(receipts, frames, ending, has_digest);
    write_end(storage, &key, header, trailer)
}

/// Writes the sealed metadata, and the manifest last.
pub(crate) fn write_end(
    storage: &dyn Storage,
    key: &str,
    header: &Header,
    trailer: Trailer,
) -> Result<Sealed> {
    let metadata = metadata(header, true);
    storage.put(&format!("{key}/metadata.json"), metadata.as_bytes())?;
    let body = format!("{{\"version\":\"1.0\",{}", trailer.members()?);
    let pieces = [metadata.as_bytes(), header.definition.text().as_bytes()];
    let seal = trailer::seal(&pieces, &trailer.integrity.frames, body.as_bytes());
    let seal = blake3::Hash::from_bytes(seal).to_hex().to_string();
    let manifest = format!("{body},\"seal\":\"{seal}\"}}\n");
    storage.put(&format!("{key}/manifest.json"), manifest.as_bytes())?;
    let parts: u64 = trailer
        .integrity
        .frames
        .iter()
        .map(|frame| frame.length)
        .sum();
    let bytes = parts + (metadata.len() + header.definition.text().len() + manifest.len()) as u64;
    Ok(Sealed {
        seal,
        object_count: trailer.object_count,
        bytes,
    })
}

/// The parts by lane and sequence.
fn frames(receipts: &[&Receipt], codec: Codec) -> Vec<Frame> {
    let mut parts: Vec<&&Receipt> = receipts
        .iter()
        .filter(|receipt| receipt.count > 0)
        .collect();
    parts.sort_by_key(|receipt| (receipt.lane, receipt.seq));
    let frame =
        |receipt: &&&Receipt| Frame::of(receipt, part_path(receipt.lane, receipt.seq, codec));
    parts.iter().map(frame).collect()
}

fn put_empty_part(storage: &dyn Storage, key: &str, codec: Codec) -> Result<Frame> {
    let (path, bytes) = (part_path(0, 0, codec), codec.compress(b"")?);
    storage.put(&format!("{key}/{path}"), &bytes)?;
    Ok(Frame {
        path,
        offset: 0,
        length: bytes.len() as u64,
        count: 0,
        first: None,
        last: None,
        blake3: Hex(*blake3::hash(&bytes).as_bytes()),
    })
}

fn remove_strangers(storage: &dyn Storage, key: &str, frames: &[Frame]) -> Result<()> {
    for (name, _) in storage.list(&format!("{key}/objects"))? {
        let path = format!("objects/{name}");
        if !frames.iter().any(|frame| frame.path == path) {
            storage.remove(&format!("{key}/{path}"))?;
        }
    }
    storage.sync_folder(&format!("{key}/objects"))
}

/// The parts of a folder that is being written.
pub(crate) struct Parts {
    storage: Arc<dyn Storage>,
    key: String,
    codec: Codec,
    part_bytes: u64,
    unsynced: Mutex<Vec<Box<dyn Handle>>>,
}

/// A part under way; its file comes to be with the first bytes.
pub(crate) struct Part {
    lane: LaneId,
    seq: u64,
    file: Option<Box<dyn Handle>>,
    length: u64,
    hasher: blake3::Hasher,
}

impl Part {
    pub(crate) fn of(lane: &Lane) -> Self {
        Part {
            lane: lane.id,
            seq: lane.seq,
            file: None,
            length: 0,
            hasher: blake3::Hasher::new(),
        }
    }
}

impl Parts {
    pub(crate) fn open(draft: &Draft, part_bytes: u64) -> Self {
        Parts {
            storage: draft.storage.clone(),
            key: draft.partial(),
            codec: draft.codec,
            part_bytes,
            unsynced: Mutex::default(),
        }
    }

    /// Writes what has gathered, if it is much.
    pub(crate) fn drain(&self, part: &mut Part, ready: &mut Vec<u8>) -> Result<()> {
        match ready.len() >= DRAIN {
            true => self.write(part, ready),
            false => Ok(()),
        }
    }

    /// True if the part with what has gathered is as large as parts become.
    pub(crate) fn is_full(&self, part: &Part, ready: &[u8]) -> bool {
        part.length + ready.len() as u64 >= self.part_bytes
    }

    /// The bytes are given up only when they are written: a repetition writes them to the same place.
    fn write(&self, part: &mut Part, ready: &mut Vec<u8>) -> Result<()> {
        if ready.is_empty() {
            return Ok(());
        }
        check_space(&*self.storage, ready.len() as u64)?;
        let file = match &mut part.file {
            Some(file) => file,
            None => {
                let path = part_path(part.lane, part.seq, self.codec);
                let file = self.storage.edit(&format!("{}/{path}", self.key))?;
                // Left by an earlier try of the same batch, whose receipt is not committed.
                file.truncate(0)?;
                part.file.insert(file)
            }
        };
        file.write_at(ready, part.length)?;
        part.hasher.update(ready);
        part.length += ready.len() as u64;
        ready.clear();
        Ok(())
    }

    /// Completes the part of a batch.
    pub(crate) fn seal(&self, batch: &mut Batch) -> Result<Receipt> {
        self.write(&mut batch.part, &mut batch.desk.ready)?;
        let mut receipt = batch.receipt();
        if let Some(file) = batch.part.file.take() {
            receipt.bytes = batch.part.length;
            receipt.hash = *batch.part.hasher.finalize().as_bytes();
            self.unsynced
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(file);
        }
        Ok(receipt)
    }

    pub(crate) fn sync(&self) -> Result<()> {
        let files =
            std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner));
        if files.is_empty() {
            return Ok(());
        }
        files.iter().try_for_each(|file| file.sync())?;
        self.storage.sync_folder(&format!("{}/objects", self.key))
    }
}
