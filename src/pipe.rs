//! What flows between two ends: pages of objects, walked by a visitor.
//!
//! A [`Source`] is asked what comes after a cursor and answers with a [`Page`]; a [`Sink`] makes batches of
//! pages durable. A page keeps the bytes it came in; [`Walk::walk`] drives a [`Visit`] over them, borrowed, so
//! that neither the reader of a wire format nor the writer of a file format knows the other, and no object is
//! built in between. Ends never retry and never touch the journal: the engine does both.

mod buffers;
mod vector;

pub(crate) use buffers::{Buffer, Buffers};
pub use vector::decode_vector;
pub(crate) use vector::{check_length, count_numbers};

use std::future::Future;
use std::sync::Arc;

use crate::error::Result;
use crate::job::{Bounds, Cursor, Intent, Lane, Receipt};
use crate::model::{Key, Times};

/// A vector as the page holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Vector<'a> {
    /// f32, little-endian, bit-exact.
    Single(&'a [u8]),
    /// Rows of `dimensions` f32 each, little-endian, one after another.
    Multi {
        /// Length of a row in numbers; at least 1.
        dimensions: usize,
        /// All rows.
        rows: &'a [u8],
    },
    /// JSON as the server or a document spells it: `[1,2]`, `[[1],[2]]` or `{"f32":"<base64>"}`.
    Json(&'a str),
}

/// Receives the objects of a page, one after another: `object`, its properties, its vectors, `end`.
///
/// Everything is borrowed for the time of the call. An error stops the walk and comes out of it.
pub trait Visit {
    /// A new object begins.
    fn object(&mut self, key: &Key, times: Times) -> Result<()>;
    /// A property with its value as JSON text, spelled as the server spells it. A property that is absent is not visited.
    fn property(&mut self, name: &str, json: &str) -> Result<()>;
    /// The vector without a name (`None`), or a named one.
    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()>;
    /// The object is complete.
    fn end(&mut self) -> Result<()>;

    /// False if only the length of vectors matters: they may be shown as the text that they are.
    fn needs_numbers(&self) -> bool {
        true
    }
}

/// Something that objects can be read from, any number of times.
pub trait Walk: Send + Sync {
    /// Visits every object in order.
    fn walk(&self, visit: &mut dyn Visit) -> Result<()>;
}

/// No objects.
pub struct Nothing;

impl Walk for Nothing {
    fn walk(&self, _: &mut dyn Visit) -> Result<()> {
        Ok(())
    }
}

/// An object that a server refused or could not give, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Where it lies.
    pub key: Key,
    /// The server's or the archive's words.
    pub reason: String,
}

/// What came of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What was done. `rejects_length` is filled in by the committer.
    pub receipt: Receipt,
    /// The objects that were not done; the committer records them together with the receipt.
    pub rejects: Vec<Reject>,
}

/// A run of objects in key order, with the cursor after it.
#[derive(Clone)]
pub struct Page {
    /// The keys of its objects, in the order of the walk.
    pub keys: Vec<Key>,
    /// The objects themselves.
    pub objects: Arc<dyn Walk>,
    /// What lies between the cursor asked for and `end` and cannot be read.
    pub unreadable: Vec<Reject>,
    /// Where to go on.
    pub end: Cursor,
    /// The memory it holds, in bytes.
    pub bytes: usize,
    /// True if nothing of the lane comes after it.
    pub is_last: bool,
}

/// How much a page may hold: the smaller bound decides, but one object always fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Objects.
    pub objects: u32,
    /// Bytes, as far as the source can tell beforehand.
    pub bytes: usize,
    /// True if the page behind it will be wanted next, as large, so that the source may ask for it beforehand.
    pub goes_on: bool,
}

impl Budget {
    /// For one page.
    pub const fn of(objects: u32, bytes: usize) -> Self {
        Budget {
            objects,
            bytes,
            goes_on: false,
        }
    }
}

/// Whether a batch takes another page before it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appetite {
    /// Another page fits.
    More,
    /// Apply it.
    Full,
}

/// The end that is read. Every call may be repeated.
pub trait Source: Send + Sync + 'static {
    /// True if a page can only be asked for by a number of objects, however large they turn out to be.
    const IS_BLIND: bool = false;

    /// What a new job walks, as one or more lanes that together hold everything exactly once.
    fn lanes(&self) -> Vec<Bounds>;

    /// The objects after `cursor` within the lane. An empty page that is not the last is possible.
    fn fetch(
        &self,
        lane: &Lane,
        cursor: &Cursor,
        budget: Budget,
    ) -> impl Future<Output = Result<Page>> + Send;

    /// Exactly the objects of an intended batch again. `keys` are the ids that the journal kept of it.
    fn again(
        &self,
        lane: &Lane,
        intent: &Intent,
        keys: &[Key],
    ) -> impl Future<Output = Result<Page>> + Send;

    /// A good place to cut the lane beyond `page`, which was just read, or `None` if less than about four
    /// such pages are left. The place need not be a key that exists.
    fn border(
        &self,
        lane: &Lane,
        page: &Page,
    ) -> impl Future<Output = Result<Option<Cursor>>> + Send;

    /// Passes over the one object after `cursor` that makes every fetch fail, and names it.
    /// `None` if nothing there is unreadable after all.
    fn pass_over(
        &self,
        lane: &Lane,
        cursor: &Cursor,
        reason: &str,
    ) -> impl Future<Output = Result<Option<Page>>> + Send;
}

/// The end that is written.
pub trait Sink: Send + Sync + 'static {
    /// A batch being gathered; holds at most about two pages' worth of memory.
    type Batch: Send;

    /// True if the effect of a batch could not be told from somebody else's, so that its intent must be durable first.
    const INTENDS: bool;

    /// So many lanes at once keep this end busy; more only add latency.
    const WORKERS: u32 = 4;

    /// More objects than this in one page bring nothing.
    const MOST: u32 = 2_000;

    /// The memory of a lane at work, as a multiple of a page: the page being written, the one read ahead, the batch, and the
    /// batch before, which is being made durable.
    const FOOTPRINT: usize = 4;

    /// Where the first batch begins, for a sink whose receipts have places: they are committed in the order of them.
    fn origin(&self) -> Option<u64> {
        None
    }

    /// An empty batch of a lane.
    fn begin(&self, lane: &Lane) -> Self::Batch;

    /// Adds a page. No effect outside of the batch.
    fn append(&self, batch: &mut Self::Batch, page: &Page) -> Result<Appetite>;

    /// Brings the batch about. May be called again after a transient error: a repetition changes nothing.
    /// The effect need not be durable before [`Sink::barrier`].
    fn apply(&self, batch: &mut Self::Batch) -> impl Future<Output = Result<Applied>> + Send;

    /// Makes everything applied before the call durable. Called from a plain thread.
    fn barrier(&self) -> Result<()>;
}
