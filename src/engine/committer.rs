//! The only owner of the journal: makes groups of steps durable, in an order in which every prefix is sound.
//!
//! Lanes hand in their steps and wait. Whatever has gathered while the last group was written becomes the next one:
//! one barrier at the sink, then the rejects, then one commit of the journal; only then is anybody told. Batches
//! that lie in a document are committed in the order of their places, whoever finishes first: committed receipts
//! tile the file, so cutting it behind the last one loses nothing and keeps nothing of a batch that is repeated.

mod work;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Sender, channel};

use tokio::sync::oneshot;

use crate::error::{Error, IoContext, Kind, Result};
use crate::event::Reporter;
use crate::job::{Cursor, Job, Lane, LaneId};
use crate::journal::{Entry, JobFolder, Store};
use crate::pipe::{Reject, Sink};
use crate::retry::Progress;
use work::Work;

type Barrier = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// A handle to the committer's thread; cheap to clone.
#[derive(Clone)]
pub struct Committer {
    inbox: Sender<Message>,
}

enum Message {
    Commit(Request),
    Serve {
        barrier: Barrier,
        origin: Option<u64>,
    },
    Abandon,
    Show(oneshot::Sender<Job>),
    Close {
        stopped: Option<(Kind, String)>,
        done: oneshot::Sender<()>,
    },
}

struct Request {
    ask: Ask,
    rejects: Vec<Reject>,
    reply: oneshot::Sender<Result<()>>,
}

enum Ask {
    Entry(Entry),
    /// The number of the child is known only when its turn comes.
    Split {
        parent: LaneId,
        end: Cursor,
        reply: oneshot::Sender<(Lane, Lane)>,
    },
}

/// A step on its way into the journal.
#[must_use = "a step is not durable before it is waited for"]
pub struct Submitted(oneshot::Receiver<Result<()>>);

impl Submitted {
    /// Waits until the step is durable. After an error nobody knows whether it is.
    pub async fn durable(self) -> Result<()> {
        self.0.await.map_err(|_| gone())?
    }
}

impl Committer {
    /// Takes over the journal on a thread of its own.
    pub fn start(
        store: Box<dyn Store>,
        job: Job,
        folder: Arc<JobFolder>,
        reporter: Arc<dyn Reporter>,
        progress: Progress,
        repeats: Arc<AtomicU64>,
    ) -> Result<Self> {
        let work = Work::new(store, job, folder, reporter, (progress, repeats))?;
        let (inbox, messages) = channel();
        std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || work.run(&messages))
            .doing(|| "cannot start the committer".to_owned())?;
        Ok(Committer { inbox })
    }

    /// The state of the job as of the last commit.
    pub async fn job(&self) -> Result<Job> {
        let (reply, job) = oneshot::channel();
        self.inbox.send(Message::Show(reply)).map_err(|_| gone())?;
        job.await.map_err(|_| gone())
    }

    /// Makes a step durable. On an error nobody knows whether it is.
    pub async fn commit(&self, entry: Entry) -> Result<()> {
        self.submit(entry, Vec::new())?.durable().await
    }

    /// Hands in a batch and the objects refused in it, to be made durable after everything applied before.
    pub fn submit(&self, entry: Entry, rejects: Vec<Reject>) -> Result<Submitted> {
        self.send(Ask::Entry(entry), rejects)
    }

    /// Cuts a lane and returns both halves; durable on return.
    pub async fn split(&self, parent: LaneId, end: Cursor) -> Result<(Lane, Lane)> {
        let (reply, halves) = oneshot::channel();
        let ask = Ask::Split { parent, end, reply };
        self.send(ask, Vec::new())?.durable().await?;
        halves.await.map_err(|_| gone())
    }

    fn send(&self, ask: Ask, rejects: Vec<Reject>) -> Result<Submitted> {
        let (reply, answer) = oneshot::channel();
        self.inbox
            .send(Message::Commit(Request {
                ask,
                rejects,
                reply,
            }))
            .map_err(|_| gone())?;
        Ok(Submitted(answer))
    }

    /// Names the sink whose effects are to be durable before a commit.
    pub(super) fn serve<K: Sink>(&self, sink: &Arc<K>) {
        let (origin, sink) = (sink.origin(), sink.clone());
        // A committer that is gone answers the next request with an error.
        let _ = self.inbox.send(Message::Serve {
            barrier: Arc::new(move || sink.barrier()),
            origin,
        });
    }

    /// A lane failed: what waits for its place in the document will not be committed in this run.
    pub(super) fn abandon(&self) {
        let _ = self.inbox.send(Message::Abandon);
    }

    /// Notes why the run ended and gives the journal back; returns when its files are closed.
    pub(super) async fn close(self, error: Option<&Error>) {
        let (done, closed) = oneshot::channel();
        let stopped = error.map(|error| (error.kind(), error.message().to_owned()));
        if self.inbox.send(Message::Close { stopped, done }).is_ok() {
            let _ = closed.await;
        }
    }
}

fn gone() -> Error {
    Error::new(
        Kind::Failed,
        "the journal is closed after an error; resume to go on",
    )
}
