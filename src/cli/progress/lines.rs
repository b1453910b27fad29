//! Plain lines in a pipe or a file: stages, what goes wrong, and now and then where the data stands.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::numbers;
use super::super::output::{Clock, Out};
use super::{Detail, Ending, Listener, Story, words};
use crate::error::Result;
use crate::event::{Event, Reporter};

/// At most one line about where the data stands in this time.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// A listener that writes plain lines.
pub struct Lines {
    out: Out,
    clock: Clock,
    detail: Detail,
    shows_progress: bool,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    story: Story,
    last_status: Duration,
}

impl Lines {
    /// Writes to `out`; without `shows_progress` (another listener tells it) only what goes wrong and the end.
    pub fn new(out: Out, clock: Clock, verbosity: u8, shows_progress: bool) -> Self {
        let detail = Detail {
            verbosity,
            paint: out.paint(),
        };
        Lines {
            out,
            clock,
            detail,
            shows_progress,
            told: Mutex::default(),
        }
    }

    fn progress(&self, event: &Event<'_>, told: &mut Told, now: Duration) -> Option<String> {
        let Told { story, last_status } = told;
        match event {
            Event::Started { .. } => {
                *last_status = now;
                (!story.is_resumed).then(|| started(story))
            }
            Event::Stage { .. } => Some(story.heading()),
            Event::Committed { .. } | Event::Compared { .. }
                if now.saturating_sub(*last_status) >= STATUS_EVERY =>
            {
                *last_status = now;
                Some(format!(
                    "{}: {}",
                    story.heading(),
                    words::standing(story, now)
                ))
            }
            _ => None,
        }
    }
}

fn started(story: &Story) -> String {
    let total = story
        .total
        .map(|total| format!(", {}", numbers::counted(total, "object")));
    format!("started: {}{}", story.heading(), total.unwrap_or_default())
}

impl Reporter for Lines {
    fn event(&self, event: &Event<'_>) {
        let now = self.clock.elapsed();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.story.hear(event, now);
        if self.shows_progress
            && let Some(line) = self.progress(event, &mut told, now)
        {
            self.out.line(&line);
        }
        for line in self.detail.tell(event, &told.story, now) {
            self.out.line(&line);
        }
    }
}

impl Listener for Lines {
    fn end(&self, ending: &Ending<'_>) -> Result<()> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for line in self.detail.last_words(ending, &told.story) {
            self.out.line(&line);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::output::testing::{Captured, Hands};
    use super::super::testing::*;
    use super::*;
    use crate::error::{Error, Kind};

    fn lines(verbosity: u8) -> (Lines, Captured, Hands) {
        let (captured, hands) = (Captured::default(), Hands::default());
        (
            Lines::new(captured.out(), hands.clock(), verbosity, true),
            captured,
            hands,
        )
    }

    #[test]
    fn a_run_in_a_pipe_reads_like_this() {
        let (lines, captured, hands) = lines(0);
        start(&lines, Some(120_000), 0);
        lines.event(&Event::Stage {
            doing: "read the definition",
        });
        for _ in 0..24 {
            hands.forward(Duration::from_secs(1));
            commit(&lines, hands.clock().elapsed().as_secs() * 5_000);
        }
        retry(&lines);
        lines.event(&Event::Warning(
            "gRPC is not reachable at localhost:50051; REST is used",
        ));
        lines.event(&Event::Note("2 objects were added meanwhile"));
        finish(&lines, 0, 120_000);
        lines
            .end(&Ending::with_code(crate::cli::exit::ExitCode::DONE, &[]))
            .unwrap();
        assert_eq!(
            captured.text(),
            "started: backup of `Article`, 120,000 objects\n\
             read the definition\n\
             backup of `Article`: 41%  50,000/120,000  5,000/s  about 14s left\n\
             backup of `Article`: 83%  100,000/120,000  5,000/s  about 4s left\n\
             retry: cannot reach Weaviate: connection refused; try 3 to read a page in 2s\n\
             warning: gRPC is not reachable at localhost:50051; REST is used\n\
             note: 2 objects were added meanwhile\n\
             done: backup of `Article`: 120,000 objects, 1.2 GB, 24s\n"
        );
    }

    #[test]
    fn a_resumed_run_says_where_it_goes_on_and_an_error_ends_it() {
        let (lines, captured, _) = lines(0);
        start(&lines, Some(120_000), 41_300);
        lines.event(&Event::Stopping);
        let error = Error::new(Kind::Interrupted, "stopped by SIGINT")
            .with_kept("41,300 of 120,000 objects of `Article` are in the archive")
            .with_hint("go on with `elysiactl jobs resume 7f3c9a1b`");
        lines.end(&Ending::of(&error)).unwrap();
        assert_eq!(
            captured.text(),
            "resumed: backup of `Article` goes on after 41,300 of 120,000 objects\n\
             stopping: no new work is taken, what is in flight is brought to an end\n\
             error: stopped by SIGINT\n  kept: 41,300 of 120,000 objects of `Article` are in the archive\n  \
             hint: go on with `elysiactl jobs resume 7f3c9a1b`\n"
        );
    }

    #[test]
    fn ten_rejects_are_shown_and_the_others_counted() {
        let (lines, captured, _) = lines(0);
        start(&lines, None, 0);
        reject(&lines, 1_000);
        finish(&lines, 3, 5_000);
        let text = captured.text();
        assert_eq!(text.matches("rejected: id-").count(), 10);
        assert!(text.contains(
            "rejected: id-9: vector lengths don't match\n… and 990 more in rejects.jsonl\n"
        ));
    }

    #[test]
    fn rejects_of_a_run_that_failed_are_counted_too() {
        let (lines, captured, _) = lines(0);
        start(&lines, None, 0);
        reject(&lines, 12);
        lines
            .end(&Ending::of(&Error::new(Kind::Failed, "x")))
            .unwrap();
        assert!(
            captured
                .text()
                .ends_with("… and 2 more in rejects.jsonl\nerror: x\n")
        );
    }

    #[test]
    fn batches_are_told_only_when_asked_for() {
        for (verbosity, expected) in [(0, 0), (1, 1), (2, 5)] {
            let (lines, captured, _) = lines(verbosity);
            lines.event(&Event::Split {
                parent: 0,
                child: 1,
            });
            lines.event(&Event::Fetched {
                lane: 1,
                objects: 100,
            });
            lines.event(&Event::Intended { lane: 1, seq: 0 });
            lines.event(&Event::Applied { lane: 1, seq: 0 });
            commit(&lines, 100);
            assert_eq!(
                captured
                    .text()
                    .lines()
                    .filter(|line| line.starts_with("lane"))
                    .count(),
                expected
            );
        }
    }

    #[test]
    fn without_progress_only_what_goes_wrong_is_told() {
        let captured = Captured::default();
        let lines = Lines::new(captured.out(), Hands::default().clock(), 0, false);
        start(&lines, Some(100), 0);
        lines.event(&Event::Stage {
            doing: "create the collection",
        });
        lines.event(&Event::Warning("careful"));
        assert_eq!(captured.text(), "warning: careful\n");
    }
}
