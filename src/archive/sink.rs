//! The end of a backup that writes: batches of pages become frames of a document or parts of a folder.
//!
//! Pages are encoded and compressed where they are appended, in the lane's own task; a batch never holds more
//! text than a chunk. `apply` has no point at which it could be cancelled: a batch is in the file with a receipt
//! or it is not. `barrier` makes durable what was applied; after one that failed nothing more is accepted, since
//! a system may forget what it could not write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::appender::Appender;
use super::draft::{Draft, Format};
use super::folder::{Part, Parts};
use crate::error::{Error, Kind, Result};
use crate::format::{
    Both, Codec, Digester, Encoder, Framing, LineWriter, SEPARATOR, Shape, Tallies, Vectors,
};
use crate::job::{Lane, LaneId, Receipt};
use crate::model::{Key, Times};
use crate::pipe::{Appetite, Applied, Page, Reject, Sink, Vector, Visit};

/// How a sink works; may change between runs, but for the digest.
#[derive(Clone)]
pub struct SinkOptions {
    /// Whether receipts get a digest per tenant. All runs of a job must agree.
    pub with_digest: bool,
    /// A part is sealed when it has so many bytes.
    pub part_bytes: u64,
}

impl Default for SinkOptions {
    fn default() -> Self {
        SinkOptions {
            with_digest: true,
            part_bytes: 4 << 20,
        }
    }
}

/// A frame takes pages until it has so much text: small pages share one, one of the usual size has its own.
const FRAME_TEXT: usize = 2 << 20;
/// Lines are compressed when there are so many bytes of them, while they are warm.
const CHUNK: usize = 256 << 10;

/// The archive as a sink. Made by [`Draft::create`] and [`Draft::reopen`].
pub struct ArchiveSink {
    class: String,
    codec: Codec,
    output: Output,
    shape: Option<Arc<Shape>>,
    /// Of batches that are written, for those to come: their memory is used again.
    idle: Mutex<Vec<Desk>>,
    is_poisoned: AtomicBool,
}

enum Output {
    Document(Appender),
    Folder(Parts),
}

/// What a batch is written with.
pub(crate) struct Desk {
    writer: LineWriter,
    encoder: Option<Encoder>,
    /// What is compressed and not in a file yet; for a document with a separator in front.
    pub(crate) ready: Vec<u8>,
}

/// A batch under way.
pub struct Batch {
    lane: LaneId,
    seq: u64,
    pub(crate) desk: Desk,
    digester: Option<Digester>,
    written_text: usize,
    is_broken: bool,
    is_finished: bool,
    pub(crate) part: Part,
    pub(crate) count: u32,
    pub(crate) span: Option<(Key, Key)>,
    pub(crate) tallies: Tallies,
    pub(crate) unreadable: Vec<Reject>,
    receipt: Option<Receipt>,
}

impl Batch {
    /// A receipt without place, length and hash.
    pub(crate) fn receipt(&self) -> Receipt {
        Receipt {
            lane: self.lane,
            seq: self.seq,
            place: None,
            count: self.count,
            bytes: 0,
            span: self.span.clone(),
            hash: *blake3::hash(&[]).as_bytes(),
            accepted: self.count,
            rejected: u32::try_from(self.unreadable.len()).unwrap_or(u32::MAX),
            rejects_length: 0,
            tenants: self.tallies.list().to_vec(),
        }
    }

    fn text_bytes(&self) -> usize {
        self.written_text + self.desk.writer.text().len()
    }

    fn count_page(&mut self, page: &Page) -> Result<()> {
        self.count = u32::try_from(page.keys.len())
            .ok()
            .and_then(|more| self.count.checked_add(more))
            .ok_or_else(|| Error::new(Kind::Failed, "a batch has too many objects"))?;
        if let (Some(first), Some(last)) = (page.keys.first(), page.keys.last()) {
            let first = self
                .span
                .take()
                .map_or_else(|| first.clone(), |span| span.0);
            self.span = Some((first, last.clone()));
        }
        match &mut self.digester {
            Some(digester) => self.tallies.merge(digester.take().list()),
            None => page
                .keys
                .iter()
                .for_each(|key| self.tallies.add(&key.tenant, 1, Default::default(), None)),
        }
        self.unreadable.extend_from_slice(&page.unreadable);
        Ok(())
    }

    /// Writes the objects of a page through to the encoder; says how many there were.
    fn encode(&mut self, page: &Page, codec: Codec, output: &Output) -> Result<u32> {
        let desk = &mut self.desk;
        let encoder = match &mut desk.encoder {
            Some(encoder) => encoder,
            None => desk.encoder.insert(Encoder::new(codec)?),
        };
        if desk.ready.is_empty() && self.written_text == 0 && matches!(output, Output::Document(_))
        {
            desk.ready.extend_from_slice(&codec.stored(SEPARATOR));
        }
        let mut chunks = Chunks {
            writer: &mut desk.writer,
            encoder,
            ready: &mut desk.ready,
            part: &mut self.part,
            output,
            count: 0,
            bytes: 0,
        };
        match &mut self.digester {
            Some(digester) => page.objects.walk(&mut Both(&mut chunks, digester))?,
            None => page.objects.walk(&mut chunks)?,
        }
        self.written_text += chunks.bytes;
        Ok(chunks.count)
    }
}

/// Compresses and stores lines as they come, so that neither a page nor a part is ever there in whole as text.
struct Chunks<'a> {
    writer: &'a mut LineWriter,
    encoder: &'a mut Encoder,
    ready: &'a mut Vec<u8>,
    part: &'a mut Part,
    output: &'a Output,
    count: u32,
    bytes: usize,
}

impl Chunks<'_> {
    fn flush(&mut self) -> Result<()> {
        self.encoder.write(self.writer.text(), self.ready)?;
        self.bytes += self.writer.text().len();
        self.writer.clear();
        if let Output::Folder(parts) = self.output {
            // What cannot be written now is kept; `apply` tries again and says why.
            let _ = parts.drain(self.part, self.ready);
        }
        Ok(())
    }
}

impl Visit for Chunks<'_> {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.writer.object(key, times)
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        self.writer.property(name, json)
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        self.writer.vector(name, vector)
    }

    fn end(&mut self) -> Result<()> {
        self.writer.end()?;
        self.count += 1;
        match self.writer.text().len() >= CHUNK {
            true => self.flush(),
            false => Ok(()),
        }
    }
}

impl ArchiveSink {
    pub(crate) fn new(draft: &Draft, options: SinkOptions, frames: u64) -> Result<Self> {
        let output = match draft.format {
            Format::Json => Output::Document(Appender::open(draft, frames)?),
            Format::Jsonl => Output::Folder(Parts::open(draft, options.part_bytes)),
        };
        Ok(ArchiveSink {
            class: draft.header.collection.as_str().to_owned(),
            codec: draft.codec,
            output,
            shape: options
                .with_digest
                .then(|| Shape::of(&draft.header.definition))
                .transpose()?,
            idle: Mutex::default(),
            is_poisoned: AtomicBool::new(false),
        })
    }

    fn is_full(&self, batch: &Batch) -> bool {
        match &self.output {
            Output::Document(_) => batch.text_bytes() >= FRAME_TEXT,
            Output::Folder(parts) => parts.is_full(&batch.part, &batch.desk.ready),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Desk>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_desk(&self) -> Desk {
        let (vectors, framing) = match self.output {
            Output::Document(_) => (Vectors::Decimal, Framing::Array),
            Output::Folder(_) => (Vectors::Base64, Framing::Lines),
        };
        Desk {
            writer: LineWriter::new(&self.class, vectors, framing),
            encoder: None,
            ready: Vec::new(),
        }
    }

    /// Leaves the batch without one.
    fn clear_desk(&self, batch: &mut Batch) {
        let mut desk = std::mem::replace(&mut batch.desk, self.new_desk());
        desk.writer.restart();
        desk.ready.clear();
        // A document of huge objects would keep all of them in memory.
        if desk.ready.capacity() <= 4 * FRAME_TEXT {
            self.idle().push(desk);
        }
    }

    /// Ends the frame; what is ready then is all that is to be written. A batch without objects has none.
    fn finish_frame(&self, batch: &mut Batch) -> Result<()> {
        let Desk {
            writer,
            encoder,
            ready,
        } = &mut batch.desk;
        if let (Some(encoder), false) = (encoder, batch.is_finished || batch.count == 0) {
            encoder.write(writer.text(), ready)?;
            writer.clear();
            encoder.finish(ready)?;
        }
        batch.is_finished = true;
        Ok(())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        if self.is_poisoned.load(Ordering::Acquire) {
            return Err(
                Error::new(Kind::Failed, "the archive could not be made durable before")
                    .with_hint("check the disk, then resume"),
            );
        }
        match batch.is_broken {
            true => Err(Error::new(
                Kind::Failed,
                "a batch goes on after an error in it",
            )),
            false => Ok(()),
        }
    }
}

impl Sink for ArchiveSink {
    type Batch = Batch;
    const INTENDS: bool = false;

    fn begin(&self, lane: &Lane) -> Batch {
        let desk = self.idle().pop();
        Batch {
            lane: lane.id,
            seq: lane.seq,
            desk: desk.unwrap_or_else(|| self.new_desk()),
            digester: self.shape.clone().map(Digester::new),
            written_text: 0,
            is_broken: false,
            is_finished: false,
            part: Part::of(lane),
            count: 0,
            span: None,
            tallies: Tallies::default(),
            unreadable: Vec::new(),
            receipt: None,
        }
    }

    fn append(&self, batch: &mut Batch, page: &Page) -> Result<Appetite> {
        self.check(batch)?;
        batch.is_broken = true;
        if !page.keys.is_empty() {
            let count = batch.encode(page, self.codec, &self.output)? as usize;
            let keys = page.keys.len();
            if count != keys {
                return Err(Error::new(
                    Kind::Failed,
                    format!("a page of {keys} keys showed {count} objects"),
                ));
            }
        }
        batch.count_page(page)?;
        batch.is_broken = false;
        Ok(if self.is_full(batch) {
            Appetite::Full
        } else {
            Appetite::More
        })
    }

    async fn apply(&self, batch: &mut Batch) -> Result<Applied> {
        self.check(batch)?;
        if batch.receipt.is_none() {
            self.finish_frame(batch)?;
            batch.receipt = Some(match &self.output {
                Output::Document(appender) => appender.append(batch)?,
                Output::Folder(parts) => parts.seal(batch)?,
            });
            self.clear_desk(batch);
        }
        let receipt = batch
            .receipt
            .clone()
            .ok_or_else(|| Error::new(Kind::Failed, "a batch has no receipt"))?;
        Ok(Applied {
            receipt,
            rejects: batch.unreadable.clone(),
        })
    }

    fn origin(&self) -> Option<u64> {
        match &self.output {
            Output::Document(appender) => Some(appender.end()),
            Output::Folder(_) => None,
        }
    }

    fn barrier(&self) -> Result<()> {
        let outcome = match &self.output {
            Output::Document(appender) => appender.sync(),
            Output::Folder(parts) => parts.sync(),
        };
        if outcome.is_err() {
            self.is_poisoned.store(true, Ordering::Release);
        }
        outcome
    }
}
