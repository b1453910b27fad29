//! One end being read in the order of its keys: the page after the one that is compared is read and hashed meanwhile.
//!
//! At most two pages of an end are held: the one that is compared, and the one that is being read or waits. Where
//! several tenants are read at a time, there is one more for each, of half the size.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::super::pages::{Abreast, Pages};
use super::super::waking::Waking;
use super::end::Scope;
use super::sort::Sorted;
use crate::archive::ArchiveSource;
use crate::error::{Error, Kind, Result};
use crate::format::{Digester, Shape, Tallies};
use crate::model::{Key, Times};
use crate::pipe::{Page, Vector, Visit, Walk};
use crate::weaviate::CollectionSource;

/// Where pages come from.
pub(super) enum Feed {
    Live(Pages<Arc<CollectionSource>>),
    /// Several tenants at a time.
    Tenants(Abreast),
    Woken(Pages<Arc<Waking>>),
    Archived(Pages<Arc<ArchiveSource>>),
    Sorted(Sorted),
    #[cfg(test)]
    Scripted(Box<dyn FnMut() -> Option<Page> + Send>),
}

impl Feed {
    async fn next(&mut self) -> Result<Option<Page>> {
        match self {
            Feed::Live(pages) => pages.next().await,
            Feed::Tenants(pages) => pages.next().await,
            Feed::Woken(pages) => pages.next().await,
            Feed::Archived(pages) => pages.next().await,
            Feed::Sorted(sorted) => sorted.next(),
            #[cfg(test)]
            Feed::Scripted(next) => Ok(next()),
        }
    }

    /// What it means that a key does not come after the one before.
    fn out_of_order(&self, key: &Key) -> Stop {
        match self {
            Feed::Archived(_) => Stop::Disorder,
            _ => Stop::Failed(Error::new(
                Kind::SourceRefused,
                format!("object {key} comes out of order"),
            )),
        }
    }

    /// An order that was made shows every key as often as there are objects of it.
    fn may_repeat(&self) -> bool {
        matches!(self, Feed::Sorted(_))
    }
}

/// Why reading came to an end too early.
pub(super) enum Stop {
    /// The archive is not in the order that its table of contents promises: it was edited. It has to be sorted.
    Disorder,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

/// One object, as far as it is compared at first.
pub(super) struct Entry {
    pub key: Key,
    /// The hash of its canonical form; `None` if it cannot be read.
    pub hash: Option<[u8; 32]>,
    pub times: Times,
}

/// A page with the hashes of its objects.
pub(super) struct Leaf {
    pub entries: Vec<Entry>,
    pub objects: Arc<dyn Walk>,
    pub tallies: Tallies,
}

/// An end that is being read.
pub(super) struct Reading {
    leaves: mpsc::Receiver<Result<Leaf, Stop>>,
    _task: AbortOnDropHandle<()>,
}

impl Reading {
    pub fn begin(feed: Feed, shape: Arc<Shape>, scope: &Scope) -> Self {
        let (sender, leaves) = mpsc::channel(1);
        let reader = Reader {
            feed,
            hashing: Hashing::new(shape, scope.clone()),
            last: None,
        };
        Reading {
            leaves,
            _task: AbortOnDropHandle::new(tokio::spawn(reader.run(sender))),
        }
    }

    /// The next page that has objects, or none.
    pub async fn next(&mut self) -> Result<Option<Leaf>, Stop> {
        loop {
            match self.leaves.recv().await {
                Some(Ok(leaf)) if leaf.entries.is_empty() => continue,
                Some(leaf) => return leaf.map(Some),
                None => return Ok(None),
            }
        }
    }
}

struct Reader {
    feed: Feed,
    hashing: Hashing,
    last: Option<Key>,
}

impl Reader {
    async fn run(mut self, leaves: mpsc::Sender<Result<Leaf, Stop>>) {
        // Room first, then a page: so that no third one is held.
        while let Ok(room) = leaves.reserve().await {
            match self.next().await {
                Ok(Some(leaf)) => room.send(Ok(leaf)),
                Ok(None) => return,
                Err(stop) => return room.send(Err(stop)),
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Leaf>, Stop> {
        let Some(page) = self.feed.next().await? else {
            return Ok(None);
        };
        page.objects.walk(&mut self.hashing)?;
        let mut entries = std::mem::take(&mut self.hashing.entries);
        let unreadable = page.unreadable.into_iter().map(|reject| Entry {
            key: reject.key,
            hash: None,
            times: Times::default(),
        });
        let read = entries.len();
        entries.extend(unreadable);
        if entries.len() > read {
            entries.sort_by(|one, two| one.key.cmp(&two.key));
        }
        self.check_order(&entries)?;
        Ok(Some(Leaf {
            entries,
            objects: page.objects,
            tallies: self.hashing.digester.take(),
        }))
    }

    fn check_order(&mut self, entries: &[Entry]) -> Result<(), Stop> {
        let may_repeat = self.feed.may_repeat();
        for entry in entries {
            let is_ordered = match &self.last {
                Some(last) => entry.key > *last || (may_repeat && entry.key == *last),
                None => true,
            };
            if !is_ordered {
                return Err(self.feed.out_of_order(&entry.key));
            }
            self.last = Some(entry.key.clone());
        }
        Ok(())
    }
}

/// Hashes what is in the scope.
struct Hashing {
    digester: Digester,
    scope: Scope,
    at: Option<(Key, Times)>,
    entries: Vec<Entry>,
}

impl Hashing {
    fn new(shape: Arc<Shape>, scope: Scope) -> Self {
        Hashing {
            digester: Digester::new(shape),
            scope,
            at: None,
            entries: Vec::new(),
        }
    }
}

impl Visit for Hashing {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.at = self.scope.has(&key.tenant).then(|| (key.clone(), times));
        match self.at {
            Some(_) => self.digester.object(key, times),
            None => Ok(()),
        }
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        match self.at {
            Some(_) => self.digester.property(name, json),
            None => Ok(()),
        }
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        match self.at {
            Some(_) if self.scope.vectors => self.digester.vector(name, vector),
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<()> {
        let Some((key, times)) = self.at.take() else {
            return Ok(());
        };
        self.digester.end()?;
        let hash = Some(self.digester.last());
        self.entries.push(Entry { key, hash, times });
        Ok(())
    }
}
