//! The bytes of a document: `H F0 (C F1)… T S`, one valid JSON text when decompressed by plain tools.
//!
//! H, C and S are stored without compression, so that their lengths are known beforehand; each F is one frame or
//! member with a run of lines. T closes the array and holds the table of contents, S the place of T and the
//! seal. Here is what each piece looks like and how it is found again; files are for others.

use std::io::{BufRead, BufReader};

use super::header::{self, Header};
use super::trailer::{Trailer, seal};
use crate::error::{Error, Kind, Result};
use crate::format::{Codec, Decoder, Scanner, decode_exact};
use crate::model::Definition;
use crate::storage::{Handle, Storage, Stream};

/// A table of contents larger than this is not believed.
const MAX_CONTENTS: usize = 1 << 30;

const OBJECTS: &str = r#","objects":["#;
const END_OF_OBJECTS: &str = "\n],\n";

/// The stored bytes of H.
pub(crate) fn head(codec: Codec, header: &Header, is_sealed: bool) -> Vec<u8> {
    codec.stored((header.text(is_sealed) + OBJECTS).as_bytes())
}

/// The stored bytes of T and S for a document whose frames end at `end`, and the seal.
pub(crate) fn tail(
    codec: Codec,
    head: &[u8],
    trailer: &Trailer,
    end: u64,
) -> Result<(Vec<u8>, [u8; 32])> {
    let contents = codec.compress((END_OF_OBJECTS.to_owned() + &trailer.members()?).as_bytes())?;
    let seal = seal(&[head], &trailer.integrity.frames, &contents);
    let mut tail = contents;
    tail.extend_from_slice(&codec.stored(seal_text(end, &seal).as_bytes()));
    Ok((tail, seal))
}

fn seal_text(offset: u64, seal: &[u8; 32]) -> String {
    let seal = blake3::Hash::from_bytes(*seal).to_hex();
    format!(",\"seal\":{{\"contents\":{offset:<20},\"blake3\":\"{seal}\"}}}}\n")
}

/// A document's head, as found.
pub(crate) struct Opening {
    pub(crate) codec: Codec,
    pub(crate) header: Header,
    pub(crate) is_sealed: bool,
    pub(crate) stored: Vec<u8>,
}

/// Reads H if the file begins as our documents do; `None` if it does not, for whatever reason.
pub(crate) fn read_opening(storage: &dyn Storage, key: &str) -> Result<Option<Opening>> {
    let codec = recognise(storage, key)?;
    let input = BufReader::with_capacity(64 << 10, Stream::new(storage.read(key)?));
    let Some((metadata, schema)) = read_head(codec, input) else {
        return Ok(None);
    };
    let Some(is_sealed) = mark(&metadata) else {
        return Ok(None);
    };
    let definition =
        Definition::parse(schema).map_err(|error| error.with_kind(Kind::Difference))?;
    let header = Header::parse(&metadata, definition)?;
    let stored = head(codec, &header, is_sealed);
    let mut found = vec![0; stored.len()];
    storage.read(key)?.read_exact_at(&mut found, 0)?;
    if found != stored {
        return Err(Error::new(
            Kind::Difference,
            "the header is damaged or was edited",
        ));
    }
    Ok(Some(Opening {
        codec,
        header,
        is_sealed,
        stored,
    }))
}

/// A head is found within so many bytes, if it was torn.
const MAX_TORN: usize = 16 << 20;

/// Reads the header of a document under way as it was in the beginning, even if a power cut tore the write
/// that patched it: what is patched is set back before it is looked at. The caller knows the header's hash.
pub(crate) fn recover_header(storage: &dyn Storage, key: &str) -> Result<Option<Header>> {
    let codec = recognise(storage, key)?;
    let handle = storage.read(key)?;
    let mut start = vec![0; handle.length()?.min(MAX_TORN as u64) as usize];
    handle.read_exact_at(&mut start, 0)?;
    header::unpatch(&mut start);
    let Some((metadata, schema)) = read_head(codec, start.as_slice()) else {
        return Ok(None);
    };
    let definition =
        Definition::parse(schema).map_err(|error| error.with_kind(Kind::Difference))?;
    mark(&metadata)
        .map(|_| Header::parse(&metadata, definition))
        .transpose()
}

/// The mark that only our headers have.
pub(crate) fn mark(metadata: &str) -> Option<bool> {
    let metadata: serde_json::Value = serde_json::from_str(metadata).ok()?;
    metadata
        .get("sealed")
        .map(|sealed| sealed.as_bool() == Some(true))
}

/// The codec of a file by its first bytes.
pub(crate) fn recognise(storage: &dyn Storage, key: &str) -> Result<Codec> {
    let mut start = [0; 4];
    let handle = storage.read(key)?;
    let count = handle.read_at(&mut start, 0).map_err(|cause| {
        Error::new(
            Kind::Failed,
            format!("cannot read `{}`", storage.path(key).display()),
        )
        .with_cause(cause)
    })?;
    Ok(Codec::recognise(&start[..count]))
}

fn read_head(codec: Codec, input: impl BufRead) -> Option<(String, String)> {
    let mut scanner = Scanner::new(Decoder::new(codec, input).ok()?);
    let mut member = |before: u8, name: &str| -> Option<String> {
        scanner.byte(before).ok()?;
        // The name first: what follows another name may be endless.
        (scanner.peek().ok()?? == b'"' && scanner.text().ok()? == name).then_some(())?;
        scanner.byte(b':').ok()?;
        matches!(scanner.peek().ok()??, b'{').then(|| scanner.text().ok())?
    };
    let metadata = member(b'{', "\"metadata\"")?;
    let schema = member(b',', "\"schema\"")?;
    Some((metadata, schema))
}

/// T and S, as found and checked.
pub(crate) struct Closing {
    pub(crate) trailer: Trailer,
    pub(crate) seal: [u8; 32],
}

/// Reads S from the end of the file, then T; checks the seal and that the frames tile what lies between.
pub(crate) fn read_closing(handle: &dyn Handle, opening: &Opening) -> Result<Closing> {
    let codec = opening.codec;
    let seal_length = codec.stored_length(seal_text(0, &[0; 32]).len()) as u64;
    let length = handle.length()?;
    let seal_at = length.checked_sub(seal_length).ok_or_else(unsealed)?;
    let stored = read(handle, seal_at, seal_length)?;
    let (offset, seal) = parse_seal(codec, &stored).ok_or_else(unsealed)?;
    let contents_length = seal_at
        .checked_sub(offset)
        .filter(|length| *length <= MAX_CONTENTS as u64);
    let contents = read(handle, offset, contents_length.ok_or_else(unsealed)?)?;
    let trailer = parse_contents(codec, &contents)?;
    if super::trailer::seal(&[&opening.stored], &trailer.integrity.frames, &contents) != seal {
        return Err(broken_seal());
    }
    check_tiles(&trailer, opening.stored.len() as u64, offset)?;
    Ok(Closing { trailer, seal })
}

fn read(handle: &dyn Handle, offset: u64, length: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    handle.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// S must be exactly what we would write.
fn parse_seal(codec: Codec, stored: &[u8]) -> Option<(u64, [u8; 32])> {
    let text = String::from_utf8(decode_exact(codec, stored, 1024).ok()?).ok()?;
    let inner = text.strip_prefix(",\"seal\":")?.strip_suffix("}\n")?;
    let found: serde_json::Value = serde_json::from_str(inner).ok()?;
    let offset = found.get("contents")?.as_u64()?;
    let seal = *blake3::Hash::from_hex(found.get("blake3")?.as_str()?)
        .ok()?
        .as_bytes();
    (codec.stored(seal_text(offset, &seal).as_bytes()) == stored).then_some((offset, seal))
}

fn parse_contents(codec: Codec, stored: &[u8]) -> Result<Trailer> {
    let text = decode_exact(codec, stored, MAX_CONTENTS)?;
    let members = String::from_utf8(text).ok();
    let members = members
        .as_deref()
        .and_then(|text| text.strip_prefix(END_OF_OBJECTS));
    Trailer::parse(&format!("{{{}}}", members.ok_or_else(broken_seal)?))
}

/// Frames lie one after another from the end of H to the start of T.
fn check_tiles(trailer: &Trailer, start: u64, end: u64) -> Result<()> {
    let mut at = start;
    for frame in &trailer.integrity.frames {
        if frame.offset != at || frame.length == 0 {
            return Err(broken_seal());
        }
        at = at.checked_add(frame.length).ok_or_else(broken_seal)?;
    }
    match at == end && trailer.frame_count() == trailer.object_count {
        true => Ok(()),
        false => Err(broken_seal()),
    }
}

fn unsealed() -> Error {
    Error::new(
        Kind::Difference,
        "the archive has no seal: it is unfinished, cut off or was edited",
    )
    .with_hint("if you edited it on purpose, `elysiactl col verify --reseal` seals it anew")
}

pub(crate) fn broken_seal() -> Error {
    Error::new(Kind::Difference, "the seal does not fit: the archive is damaged or was edited")
        .with_hint("put back a good copy; if you edited it on purpose, `elysiactl col verify --reseal` seals it anew")
}
