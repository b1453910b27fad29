//! On a terminal: one live line with a spinner, a bar and where the data stands; everything else above it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::super::output::{Clock, Out};
use super::{Detail, Ending, Listener, Story, words};
use crate::error::Result;
use crate::event::{Event, Reporter};

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// A listener that draws.
pub struct Terminal {
    screen: MultiProgress,
    out: Out,
    bar: Mutex<Option<ProgressBar>>,
    // Read while drawing: never held while the bar is told anything.
    story: Arc<Mutex<Story>>,
    clock: Clock,
    detail: Detail,
    turns: bool,
}

impl Terminal {
    /// Draws on `target`, and writes to `out`, the same terminal, while there is no bar. `turns` makes the spinner
    /// move by itself, which a test does not want.
    pub fn new(
        target: ProgressDrawTarget,
        out: Out,
        clock: Clock,
        verbosity: u8,
        turns: bool,
    ) -> Self {
        let detail = Detail {
            verbosity,
            paint: out.paint(),
        };
        Terminal {
            screen: MultiProgress::with_draw_target(target),
            out,
            bar: Mutex::default(),
            story: Arc::default(),
            clock,
            detail,
            turns,
        }
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bar(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Without a bar below it, indicatif would leave the cursor at the end of the line, for a prompt to overwrite.
    fn print(&self, lines: &[String]) {
        let has_bar = self.bar().is_some();
        for line in lines {
            match has_bar {
                true => _ = self.screen.println(line),
                false => self.out.line(line),
            }
        }
    }

    fn begin(&self, total: Option<u64>) {
        self.clear();
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let bar = self.screen.add(bar.with_style(self.style(total.is_some())));
        if self.turns {
            bar.enable_steady_tick(TICK);
        }
        bar.tick();
        *self.bar() = Some(bar);
    }

    fn begin_once(&self, total: Option<u64>) {
        let is_drawn = self.bar().is_some();
        if !is_drawn {
            self.begin(total);
        }
    }

    fn clear(&self) {
        if let Some(bar) = self.bar().take() {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }

    fn style(&self, has_total: bool) -> ProgressStyle {
        let template = match has_total {
            true => "{spinner} {heading} [{wide_bar}] {standing}",
            false => "{spinner} {heading}  {standing}",
        };
        let (headed, stood, clock) = (self.story.clone(), self.story.clone(), self.clock.clone());
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ")
            .tick_chars("|/-\\ ")
            .with_key(
                "heading",
                move |_: &ProgressState, text: &mut dyn std::fmt::Write| {
                    let _ = text.write_str(&read(&headed).heading());
                },
            )
            .with_key(
                "standing",
                move |_: &ProgressState, text: &mut dyn std::fmt::Write| {
                    let _ = write!(text, "{}", words::standing(&read(&stood), clock.elapsed()));
                },
            )
    }
}

fn read(story: &Mutex<Story>) -> MutexGuard<'_, Story> {
    story.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reporter for Terminal {
    fn event(&self, event: &Event<'_>) {
        let now = self.clock.elapsed();
        let (lines, done) = {
            let mut story = self.story();
            story.hear(event, now);
            (self.detail.tell(event, &story, now), story.done())
        };
        match event {
            Event::Started { total, .. } => self.begin(*total),
            // Without a job there is no start.
            Event::Compared { total, .. } if self.story().job.is_none() => self.begin_once(*total),
            Event::Finished { .. } => self.clear(),
            _ => {}
        }
        self.print(&lines);
        if let Some(bar) = &*self.bar() {
            bar.set_position(done);
        }
    }
}

impl Listener for Terminal {
    fn end(&self, ending: &Ending<'_>) -> Result<()> {
        self.clear();
        let last_words = self.detail.last_words(ending, &self.story());
        self.print(&last_words);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use indicatif::{InMemoryTerm, TermLike};

    use super::super::super::exit::ExitCode;
    use super::super::super::output::{Paint, testing::Hands};
    use super::super::testing::*;
    use super::*;
    use crate::error::{Error, Kind};

    /// The terminal as a place for plain lines.
    struct Plain(InMemoryTerm);

    impl std::io::Write for Plain {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0
                .write_str(&String::from_utf8_lossy(bytes).replace('\n', "\r\n"))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            self.0.flush()
        }
    }

    fn terminal(width: u16) -> (Terminal, InMemoryTerm, Hands) {
        let (screen, hands) = (InMemoryTerm::new(20, width), Hands::default());
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let out = Out::new(Arc::new(Mutex::new(Plain(screen.clone()))), Paint::OFF);
        (
            Terminal::new(target, out, hands.clock(), 0, false),
            screen,
            hands,
        )
    }

    fn drawn(terminal: &Terminal, screen: &InMemoryTerm) -> String {
        if let Some(bar) = &*terminal.bar() {
            bar.force_draw();
        }
        screen.contents()
    }

    #[test]
    fn the_live_line_shows_what_is_committed() {
        let (terminal, screen, hands) = terminal(100);
        start(&terminal, Some(120_000), 0);
        terminal.event(&Event::Fetched {
            lane: 0,
            objects: 1_000,
        });
        let line = drawn(&terminal, &screen);
        let expected = format!(" backup of `Article` [{}] 0%  0/120,000", " ".repeat(62));
        assert_eq!(line.trim_start_matches(['|', '/', '-', '\\']), expected);
        hands.forward(Duration::from_secs(10));
        commit(&terminal, 60_000);
        let line = drawn(&terminal, &screen);
        assert!(
            line.contains("backup of `Article` [===============>"),
            "{line}"
        );
        assert!(
            line.ends_with("] 50%  60,000/120,000  6,000/s  about 10s left"),
            "{line}"
        );
        assert_eq!(line.chars().count(), 100);
    }

    #[test]
    fn retries_and_warnings_are_lines_above_the_bar() {
        let (terminal, screen, _) = terminal(100);
        terminal.event(&Event::Warning("before the job"));
        start(&terminal, Some(100), 0);
        retry(&terminal);
        let text = drawn(&terminal, &screen);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..2],
            [
                "warning: before the job",
                "retry: cannot reach Weaviate: connection refused; try 3 to read a page in 2s"
            ]
        );
        assert!(
            lines[2][1..].starts_with(" backup of `Article` ["),
            "{text}"
        );
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn without_a_total_there_is_no_bar_and_a_stage_takes_the_heading() {
        let (terminal, screen, hands) = terminal(80);
        start(&terminal, None, 0);
        hands.forward(Duration::from_secs(2));
        commit(&terminal, 5_000);
        assert!(drawn(&terminal, &screen).ends_with("backup of `Article`  5,000 objects  2,500/s"));
        terminal.event(&Event::Stage {
            doing: "seal the archive",
        });
        assert!(drawn(&terminal, &screen).contains("seal the archive  5,000 objects"));
    }

    #[test]
    fn the_bar_is_gone_at_the_end_and_the_next_job_has_its_own() {
        let (terminal, screen, hands) = terminal(80);
        start(&terminal, Some(100), 0);
        hands.forward(Duration::from_secs(3));
        finish(&terminal, 0, 100);
        start(&terminal, Some(200), 0);
        commit(&terminal, 100);
        let error =
            Error::new(Kind::Exhausted, "cannot reach Weaviate").with_hint("start the server");
        terminal
            .end(&Ending {
                code: ExitCode::EXHAUSTED,
                error: Some(&error),
                archives: &[],
            })
            .unwrap();
        assert_eq!(
            screen.contents(),
            "done: backup of `Article`: 100 objects, 1.0 MB, 3s\n\
             error: cannot reach Weaviate\n  hint: start the server"
        );
    }

    #[test]
    fn a_narrow_terminal_is_no_trouble() {
        let (terminal, screen, _) = terminal(20);
        start(&terminal, Some(120_000), 0);
        commit(&terminal, 60_000);
        assert!(drawn(&terminal, &screen).contains("backup of"));
    }
}
