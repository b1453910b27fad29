//! The pages of one lane, in order, read while those before them are written.
//!
//! The next page is asked for as soon as one has come, whatever the rest of the lane is at, until a few of them
//! wait or are on their way. A lane is cut only here, beyond everything that was read of it; the new border is durable before
//! either half is read.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::lanes::Shared;
use super::pace::Pace;
use super::stop;
use crate::error::{Error, Kind, Reaction, Result};
use crate::event::Event;
use crate::job::{Cursor, Lane};
use crate::pipe::{Budget, Page, Sink, Source};

/// A request that fails alike this often, while others do not, holds the reason itself.
const ALIKE_TRIES: u32 = 3;

/// Reads a lane from its cursor to its end, or to the first error that lasts.
pub(super) struct Reader {
    pages: Receiver<Result<Page>>,
    halt: CancellationToken,
    /// Reading ends with whoever reads.
    _task: AbortOnDropHandle<()>,
}

impl Reader {
    pub fn start<S: Source, K: Sink>(shared: &Arc<Shared<S, K>>, lane: &Lane) -> Self {
        let (give, pages) = channel(shared.learned_pace().ahead);
        let (shared, lane, halt) = (shared.clone(), lane.clone(), shared.halt.clone());
        let task = tokio::spawn(async move { read_all(&shared, lane, &give).await });
        Reader {
            pages,
            halt,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The next page. After the last one, or an error, there is none.
    pub async fn next(&mut self) -> Result<Page> {
        tokio::select! {
            page = self.pages.recv() => page.unwrap_or_else(|| Err(reader_died())),
            () = self.halt.cancelled() => Err(stop::interrupted()),
        }
    }
}

async fn read_all<S: Source, K: Sink>(
    shared: &Shared<S, K>,
    mut lane: Lane,
    give: &Sender<Result<Page>>,
) {
    let (mut cursor, mut pace) = (lane.cursor.clone(), shared.learned_pace());
    // A place first, then the page: no more are held than there are places.
    while let Ok(place) = give.reserve().await {
        // The page behind this one may be on its way, too, if there is a place for it.
        let goes_on = give.capacity() > 0 && pace.is_settled && shared.brake.is_off();
        let read = read_and_cut(shared, &mut lane, &cursor, (&mut pace, goes_on)).await;
        let is_end = read.as_ref().map_or(true, |page| page.is_last);
        if let Ok(page) = &read {
            cursor = page.end.clone();
        }
        place.send(read);
        if is_end {
            return;
        }
    }
}

async fn read_and_cut<S: Source, K: Sink>(
    shared: &Shared<S, K>,
    lane: &mut Lane,
    cursor: &Cursor,
    pace: (&mut Pace, bool),
) -> Result<Page> {
    let page = read(shared, lane, cursor, pace).await?;
    if !page.is_last {
        give_away(shared, lane, &page).await?;
    }
    Ok(page)
}

/// Reads a page, with everything that can be done if that fails: try again, ask for less, pass over one object.
async fn read<S: Source, K: Sink>(
    shared: &Shared<S, K>,
    lane: &Lane,
    cursor: &Cursor,
    (pace, goes_on): (&mut Pace, bool),
) -> Result<Page> {
    let mut tries = shared.context.policy.tries("read a page");
    let mut alike = Alike::default();
    let page = loop {
        let budget = Budget {
            goes_on,
            ..pace.budget()
        };
        let error = match shared.source.fetch(lane, cursor, budget).await {
            Ok(page) => break page,
            Err(error) => error,
        };
        let is_suspicious = alike.is_suspicious(&error);
        if (error.reaction() == Reaction::TooLarge || is_suspicious) && pace.halve() {
            continue;
        }
        if is_suspicious {
            match shared.source.pass_over(lane, cursor, error.message()).await {
                Ok(Some(page)) => break page,
                Ok(None) => {}
                // The search takes many requests; one that fails is no reason to give up.
                Err(searching) => {
                    tries.pause(searching).await?;
                    continue;
                }
            }
        }
        tries.pause(error).await?;
    };
    shared.context.reporter.event(&Event::Fetched {
        lane: lane.id,
        objects: page.keys.len(),
    });
    if !page.is_last && page.keys.is_empty() && page.unreadable.is_empty() && page.end == *cursor {
        return Err(Error::new(
            Kind::Failed,
            format!(
                "lane {} was given an empty page that leads nowhere",
                lane.id
            ),
        ));
    }
    pace.saw(&page);
    shared.learn(pace);
    tokio::time::sleep(shared.brake.after(&page)).await;
    Ok(page)
}

/// Counts failures of one request that say the same.
#[derive(Default)]
struct Alike {
    message: String,
    count: u32,
}

impl Alike {
    fn is_suspicious(&mut self, error: &Error) -> bool {
        if error.reaction() != Reaction::Suspect {
            self.count = 0;
            return false;
        }
        self.count = if self.message == error.message() {
            self.count + 1
        } else {
            1
        };
        self.message = error.message().to_owned();
        self.count >= ALIKE_TRIES
    }
}

/// Cuts the lane if somebody has nothing to do and enough is left.
async fn give_away<S: Source, K: Sink>(
    shared: &Shared<S, K>,
    lane: &mut Lane,
    page: &Page,
) -> Result<()> {
    if !shared.is_hungry() || page.keys.is_empty() {
        return Ok(());
    }
    // Tried once: a lane that is not cut is read all the same, and the next page is another occasion.
    let end = match shared.source.border(lane, page).await {
        Ok(Some(end)) => end,
        Ok(None) => return Ok(()),
        Err(error) if error.is_transient() => return Ok(()),
        Err(error) => return Err(error),
    };
    let (parent, child) = shared.committer.split(lane.id, end).await?;
    lane.bounds = parent.bounds;
    shared.context.reporter.event(&Event::Split {
        parent: lane.id,
        child: child.id,
    });
    shared.add(child);
    Ok(())
}

fn reader_died() -> Error {
    Error::new(
        Kind::Failed,
        "reading ended by a defect of the program; the job can be resumed",
    )
}
