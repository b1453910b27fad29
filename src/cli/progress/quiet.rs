//! Nothing, unless the run does not end with 0: then what a person would have needed to see.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::super::exit::ExitCode;
use super::super::numbers;
use super::super::output::{Clock, Out};
use super::{Detail, Ending, Listener, Story};
use crate::error::Result;
use crate::event::{Event, Reporter};

/// So many lines are kept, the latest ones; a server that flaps for hours must not fill the memory.
const KEPT_LINES: usize = 200;

/// A listener that keeps its lines back and drops them when all went well.
pub struct Quiet {
    out: Out,
    clock: Clock,
    detail: Detail,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    story: Story,
    lines: VecDeque<String>,
    dropped: u64,
}

impl Held {
    fn keep(&mut self, line: String) {
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
    }
}

impl Quiet {
    /// Writes to `out` at the end, if at all.
    pub fn new(out: Out, clock: Clock) -> Self {
        let detail = Detail {
            verbosity: 0,
            paint: out.paint(),
        };
        Quiet {
            out,
            clock,
            detail,
            held: Mutex::default(),
        }
    }
}

impl Reporter for Quiet {
    fn event(&self, event: &Event<'_>) {
        let now = self.clock.elapsed();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.story.hear(event, now);
        for line in self.detail.tell(event, &held.story, now) {
            held.keep(line);
        }
    }
}

impl Listener for Quiet {
    fn end(&self, ending: &Ending<'_>) -> Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut held.lines);
        if ending.code == ExitCode::DONE {
            return Ok(());
        }
        if held.dropped > 0 {
            self.out.line(&format!(
                "… {} before these",
                numbers::counted(held.dropped, "line")
            ));
        }
        for line in lines
            .into_iter()
            .chain(self.detail.last_words(ending, &held.story))
        {
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

    fn quiet() -> (Quiet, Captured) {
        let captured = Captured::default();
        (
            Quiet::new(captured.out(), Hands::default().clock()),
            captured,
        )
    }

    #[test]
    fn a_run_that_ends_with_0_says_nothing() {
        let (quiet, captured) = quiet();
        start(&quiet, Some(100), 0);
        quiet.event(&Event::Warning("careful"));
        retry(&quiet);
        finish(&quiet, 0, 100);
        quiet.end(&Ending::with_code(ExitCode::DONE, &[])).unwrap();
        assert_eq!(captured.text(), "");
    }

    #[test]
    fn any_other_code_brings_the_warnings_back() {
        let (quiet, captured) = quiet();
        start(&quiet, Some(100), 0);
        quiet.event(&Event::Warning("careful"));
        finish(&quiet, 3, 100);
        assert_eq!(captured.text(), "");
        quiet
            .end(&Ending::with_code(ExitCode::INCOMPLETE, &[]))
            .unwrap();
        assert_eq!(
            captured.text(),
            "warning: careful\ndone, but not complete: backup of `Article`: 100 objects, 1.0 MB, 0ms\n"
        );
    }

    #[test]
    fn a_flood_keeps_the_latest_lines() {
        let (quiet, captured) = quiet();
        for number in 0..1_250 {
            quiet.event(&Event::Warning(&format!("number {number}")));
        }
        quiet
            .end(&Ending::of(&Error::new(Kind::Exhausted, "gave up")))
            .unwrap();
        let text = captured.text();
        assert!(
            text.starts_with("… 1,050 lines before these\nwarning: number 1050\n"),
            "{text}"
        );
        assert!(text.ends_with("warning: number 1249\nerror: gave up\n"));
    }
}
