//! The end of a restore that reads: lanes are runs of frames or parts, a cursor is (frame, ordinal).
//!
//! A frame is read whole in its stored form and its hash is checked before anything of it is handed out; then it
//! is decoded only as far as the budget asks, and kept for the lane's next page.

use std::collections::HashMap;
use std::io::Cursor as Bytes;
use std::sync::{Arc, Mutex, PoisonError};

use super::foreign::Objects;
use super::open::{Archive, Layout, Opened};
use super::selection::Selection;
use super::trailer::Frame;
use crate::error::{Error, Kind, Result};
use crate::format::{Decoder, Lines, SEPARATOR, Takeout};
use crate::job::{Bounds, Cursor, Intent, Lane, LaneId};
use crate::model::Key;
use crate::pipe::{Budget, Buffer, Page, Source, Visit, Walk};

/// Lanes that a job begins with, if there are frames enough.
const LANES: u64 = 4;

/// The objects of an archive as a source.
pub struct ArchiveSource {
    archive: Arc<Opened>,
    open: Mutex<HashMap<LaneId, Reader>>,
    has_objects: bool,
    selection: Arc<Selection>,
}

impl Archive {
    /// The archive as a source. Its lanes begin anew with each call.
    pub fn source(&self) -> ArchiveSource {
        ArchiveSource {
            archive: self.0.clone(),
            open: Mutex::default(),
            has_objects: true,
            selection: Arc::default(),
        }
    }
}

impl ArchiveSource {
    /// The same archive as if it held its definition alone.
    pub fn without_objects(self) -> Self {
        ArchiveSource {
            has_objects: false,
            ..self
        }
    }

    /// A part of what it holds. The cursors stay those of the whole.
    pub fn only(self, selection: Selection) -> Self {
        ArchiveSource {
            selection: Arc::new(selection),
            ..self
        }
    }
}

/// A position in the archive with what is decoded there.
enum Reader {
    Unit(Box<Unit>),
    Foreign(Box<Objects>),
}

impl Reader {
    fn position(&self) -> (u64, u64) {
        match self {
            Reader::Unit(unit) => (unit.index, unit.ordinal),
            Reader::Foreign(objects) => (0, objects.ordinal),
        }
    }
}

/// A frame or part that is being taken out.
pub(crate) struct Unit {
    index: u64,
    ordinal: u64,
    frame: Frame,
    lines: Takeout<Decoder<Bytes<Buffer>>>,
}

impl Unit {
    /// Reads the frame `index` and checks its hash.
    pub(crate) fn open(archive: &Opened, index: u64) -> Result<Self> {
        let frame = archive.frames().get(index as usize).ok_or_else(|| {
            Error::new(
                Kind::JournalDamaged,
                format!("the archive has no frame {index}"),
            )
        })?;
        let mut bytes = Bytes::new(archive.sound(frame)?);
        if index > 0 && matches!(archive.layout, Layout::Document(_)) {
            skip_separator(&mut bytes, &archive.codec.stored(SEPARATOR))?;
        }
        Ok(Unit {
            index,
            ordinal: 0,
            frame: frame.clone(),
            lines: Takeout::new(Decoder::new(archive.codec, bytes)?),
        })
    }

    fn next(&mut self) -> Result<&str> {
        self.ordinal += 1;
        let count = self.frame.count;
        self.lines.next_line()?.ok_or_else(|| {
            Error::new(
                Kind::Difference,
                format!("it holds fewer objects than the {count} of its entry"),
            )
        })
    }

    /// Takes objects within the budget; at the end of the frame, checks that it is its end.
    pub(crate) fn take(&mut self, budget: Budget, lines: &mut Lines) -> Result<()> {
        while self.ordinal < self.frame.count
            && (lines.is_empty()
                || lines.len() < budget.objects as usize && lines.bytes() < budget.bytes)
        {
            let line = self.next()?;
            lines.push(line)?;
        }
        match self.is_over() && self.lines.next_line()?.is_some() {
            true => Err(Error::new(
                Kind::Difference,
                "it holds more objects than its entry says",
            )),
            false => Ok(()),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.ordinal >= self.frame.count
    }
}

fn wrong_hash(hash: &blake3::Hash, frame: &Frame) -> Error {
    let said = blake3::Hash::from_bytes(frame.blake3.0).to_hex();
    Error::new(
        Kind::Difference,
        format!(
            "blake3 is {}.., the table of contents says {}..",
            &hash.to_hex()[..6],
            &said[..6]
        ),
    )
}

fn skip_separator(bytes: &mut Bytes<Buffer>, separator: &[u8]) -> Result<()> {
    if !bytes.get_ref().starts_with(separator) {
        return Err(Error::new(Kind::Difference, "it has no separator in front"));
    }
    bytes.set_position(separator.len() as u64);
    Ok(())
}

impl Opened {
    pub(crate) fn frames(&self) -> &[Frame] {
        match &self.layout {
            Layout::Document(trailer) | Layout::Folder(trailer) => &trailer.integrity.frames,
            Layout::Foreign => &[],
        }
    }

    fn is_empty_foreign(&self) -> bool {
        matches!(self.layout, Layout::Foreign) && self.object_count == 0
    }

    /// The stored bytes of a frame, whose hash is as its entry says.
    pub(super) fn sound(&self, frame: &Frame) -> Result<Buffer> {
        let stored = self.stored(frame)?;
        let hash = blake3::hash(stored.as_slice());
        match *hash.as_bytes() == frame.blake3.0 {
            true => Ok(stored),
            false => Err(wrong_hash(&hash, frame)),
        }
    }

    fn stored(&self, frame: &Frame) -> Result<Buffer> {
        let (key, offset) = match frame.path.as_str() {
            "" => (self.key.clone(), frame.offset),
            path => (format!("{}/{path}", self.key), 0),
        };
        let handle = self.storage.read(&key)?;
        if offset.saturating_add(frame.length) > handle.length()? {
            return Err(Error::new(Kind::Difference, "the file is cut off"));
        }
        let mut bytes = self.buffers.take_filled(frame.length as usize);
        handle.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Names the place of a failure and what to do about it.
    pub(crate) fn blame(&self, error: Error, index: u64) -> Error {
        if matches!(self.layout, Layout::Foreign) || error.kind() != Kind::Difference {
            return error;
        }
        let sort = if matches!(self.layout, Layout::Folder(_)) {
            "part"
        } else {
            "frame"
        };
        let path = self.storage.path(&self.key);
        error
            .within(format_args!(
                "{sort} {index} of `{}` is damaged",
                path.display()
            ))
            .with_hint("put back a good copy of the file and resume")
    }
}

impl ArchiveSource {
    /// The number of frames, or 1 for a foreign document.
    fn end(&self) -> u64 {
        match self.archive.layout {
            Layout::Foreign => 1,
            _ => self.archive.frames().len() as u64,
        }
    }

    fn reader(&self, lane: LaneId, (frame, ordinal): (u64, u64)) -> Result<Reader> {
        let kept = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&lane);
        if let Some(kept) = kept.filter(|kept| kept.position() == (frame, ordinal)) {
            return Ok(kept);
        }
        let archive = &self.archive;
        if matches!(archive.layout, Layout::Foreign) {
            let objects = Objects::at(&*archive.storage, &archive.key, archive.codec, ordinal)?;
            let objects = match archive.has_strangers {
                true => objects.of(archive.collection().clone()),
                false => objects,
            };
            return Ok(Reader::Foreign(Box::new(objects)));
        }
        let mut unit = Unit::open(archive, frame)?;
        while unit.ordinal < ordinal && !unit.is_over() {
            unit.next()?;
        }
        Ok(Reader::Unit(Box::new(unit)))
    }

    fn read(&self, lane: &Lane, cursor: &Cursor, budget: Budget) -> Result<Page> {
        let Bounds::Frames { from, to } = lane.bounds else {
            return Err(Error::new(
                Kind::JournalDamaged,
                "a lane of an archive has no frames",
            ));
        };
        let at = match cursor {
            Cursor::At { frame, ordinal } => (*frame, *ordinal),
            _ => (from, 0),
        };
        if at.0 >= to || self.archive.is_empty_foreign() {
            let at = (at.0.max(to), 0);
            return Ok(page(Lines::default(), at, true));
        }
        let is_passed_by = at.1 == 0 && self.frame_is_passed_by(at.0);
        if is_passed_by {
            return Ok(page(Lines::default(), (at.0 + 1, 0), at.0 + 1 >= to));
        }
        let mut reader = self.reader(lane.id, at)?;
        let mut lines = Lines::with_room(budget.bytes, &self.archive.buffers);
        let mut strangers = Vec::new();
        let end = match &mut reader {
            Reader::Unit(unit) => {
                unit.take(budget, &mut lines)?;
                if unit.is_over() {
                    (at.0 + 1, 0)
                } else {
                    unit_position(unit)
                }
            }
            Reader::Foreign(objects) => {
                strangers = objects.take(budget, self.archive.object_count, &mut lines)?;
                if objects.ordinal >= self.archive.object_count {
                    (1, 0)
                } else {
                    (0, objects.ordinal)
                }
            }
        };
        if end.0 == at.0 {
            self.open
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(lane.id, reader);
        }
        self.selection.of(Page {
            unreadable: strangers,
            ..page(lines, end, end.0 >= to)
        })
    }

    /// True if nothing of the frame is wanted: it is not even read.
    fn frame_is_passed_by(&self, index: u64) -> bool {
        let frame = self.archive.frames().get(index as usize);
        frame.is_some_and(|frame| !self.selection.touches(frame))
    }

    fn read_or_blame(&self, lane: &Lane, cursor: &Cursor, budget: Budget) -> Result<Page> {
        self.read(lane, cursor, budget)
            .map_err(|error| match cursor {
                Cursor::At { frame, .. } => self.archive.blame(error, *frame),
                _ => match lane.bounds {
                    Bounds::Frames { from, .. } => self.archive.blame(error, from),
                    _ => error,
                },
            })
    }
}

fn unit_position(unit: &Unit) -> (u64, u64) {
    (unit.index, unit.ordinal)
}

fn page(lines: Lines, (frame, ordinal): (u64, u64), is_last: bool) -> Page {
    Page {
        keys: lines.keys(),
        bytes: lines.bytes(),
        objects: Arc::new(lines),
        unreadable: Vec::new(),
        end: Cursor::At { frame, ordinal },
        is_last,
    }
}

/// Several pages as one.
struct Joined(Vec<Arc<dyn Walk>>);

impl Walk for Joined {
    fn walk(&self, visit: &mut dyn Visit) -> Result<()> {
        self.0.iter().try_for_each(|page| page.walk(visit))
    }
}

impl Source for ArchiveSource {
    fn lanes(&self) -> Vec<Bounds> {
        if !self.has_objects {
            return Vec::new();
        }
        let end = self.end();
        let count = (end / 4).clamp(1, LANES);
        let border = |lane: u64| end * lane / count;
        (0..count)
            .map(|lane| Bounds::Frames {
                from: border(lane),
                to: border(lane + 1),
            })
            .collect()
    }

    async fn fetch(&self, lane: &Lane, cursor: &Cursor, budget: Budget) -> Result<Page> {
        self.read_or_blame(lane, cursor, budget)
    }

    async fn again(&self, lane: &Lane, intent: &Intent, keys: &[Key]) -> Result<Page> {
        let (mut cursor, mut all, mut parts, mut bytes) =
            (lane.cursor.clone(), Vec::new(), Vec::new(), 0);
        let (mut is_last, mut unreadable) = (false, Vec::new());
        while cursor != intent.end && !is_last {
            let found = all.len() + unreadable.len();
            // Never more than the batch had: what is not selected comes on top, one by one.
            let missing = (intent.count as usize).saturating_sub(found).max(1);
            let budget = Budget::of(missing as u32, usize::MAX);
            let page = self.read_or_blame(lane, &cursor, budget)?;
            all.extend(page.keys);
            unreadable.extend(page.unreadable);
            parts.push(page.objects);
            bytes += page.bytes;
            (cursor, is_last) = (page.end, page.is_last);
        }
        let (read, passed) = keys.split_at(keys.len().min(all.len()));
        let is_same = all == read && passed.iter().eq(unreadable.iter().map(|one| &one.key));
        if cursor != intent.end
            || all.len() + unreadable.len() != intent.count as usize
            || !(keys.is_empty() || is_same)
        {
            return Err(Error::new(
                Kind::Mismatch,
                "the archive does not hold the batch that was under way",
            )
            .with_hint("put the archive back as it was when the job began"));
        }
        Ok(Page {
            keys: all,
            objects: Arc::new(Joined(parts)),
            unreadable,
            end: cursor,
            bytes,
            is_last,
        })
    }

    async fn border(&self, lane: &Lane, page: &Page) -> Result<Option<Cursor>> {
        let (Bounds::Frames { to, .. }, Cursor::At { frame, ordinal }) = (&lane.bounds, &page.end)
        else {
            return Ok(None);
        };
        let first = frame + u64::from(*ordinal > 0);
        let left = to.saturating_sub(first);
        Ok((left >= 4).then(|| Cursor::At {
            frame: first + left / 2,
            ordinal: 0,
        }))
    }

    async fn pass_over(&self, _: &Lane, _: &Cursor, _: &str) -> Result<Option<Page>> {
        // A frame is whole or it is damaged: there is no single object to pass over.
        Ok(None)
    }
}
