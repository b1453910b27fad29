//! The pages of lanes that follow each other, a few lanes read at the same time.
//!
//! Of short lanes, such as a few small tenants each, most of the time goes into waiting for the server. The lanes are
//! dealt out in turn to a few readers; their pages come in the order of the lanes all the same, and so does an error:
//! behind everything that comes before it. A reader holds one page, which it reads or which waits for its turn, so that
//! the memory does not depend on how many lanes there are or how long they are.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Pages;
use crate::error::{Error, Kind, Result};
use crate::job::Bounds;
use crate::pipe::{Budget, Page, Source};
use crate::retry::Policy;

/// As many as the lanes of a job; more only add latency.
const READERS: usize = 4;

/// Everything of several lanes of a source, in order.
pub(in crate::commands) struct Abreast {
    readers: Vec<Reader>,
    /// The reader whose turn it is.
    at: usize,
    /// So many lanes were not handed out to their ends.
    left: usize,
}

/// What reads every so-manieth lane.
struct Reader {
    pages: mpsc::Receiver<Result<Page>>,
    _task: AbortOnDropHandle<()>,
}

impl Abreast {
    /// The pages of these lanes, in this order; `doing` names what they are read for, and each page holds at `most` that.
    pub fn of<S: Source>(
        policy: &Policy,
        doing: &'static str,
        source: &Arc<S>,
        lanes: Vec<Bounds>,
        most: Budget,
    ) -> Self {
        let left = lanes.len();
        let mut shares = vec![Vec::new(); READERS.min(left)];
        let count = shares.len();
        for (at, bounds) in lanes.into_iter().enumerate() {
            shares[at % count].push(bounds);
        }
        let readers = (0..).zip(shares).map(|(number, share)| {
            let pages = Pages::of(policy, doing, source.clone(), share, most);
            Reader::begin(pages.one_of(count, number))
        });
        Abreast {
            readers: readers.collect(),
            at: 0,
            left,
        }
    }

    /// The next page, if there is one; it may be empty.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        if self.left == 0 {
            return Ok(None);
        }
        let page = self.readers[self.at].pages.recv().await;
        // One that fell silent has not read to the end: what it owes is not nothing.
        let silent = || Error::new(Kind::Failed, "a reader ended before its lanes did");
        let page = page.ok_or_else(silent)??;
        if page.is_last {
            self.left -= 1;
            self.at = (self.at + 1) % self.readers.len();
        }
        Ok(Some(page))
    }
}

impl Reader {
    fn begin<S: Source>(pages: Pages<Arc<S>>) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        Reader {
            pages: receiver,
            _task: AbortOnDropHandle::new(tokio::spawn(read(pages, sender))),
        }
    }
}

async fn read<S: Source>(mut pages: Pages<Arc<S>>, sender: mpsc::Sender<Result<Page>>) {
    // Room first, then a page: so that no second one is held.
    while let Ok(room) = sender.reserve().await {
        match pages.next().await {
            Ok(Some(page)) => room.send(Ok(page)),
            Ok(None) => return,
            Err(error) => return room.send(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests;
