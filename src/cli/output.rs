//! Where text goes and how it is coloured: writers that can be replaced in tests, a clock that can be set.
//!
//! Human text is best effort: a terminal that went away must not end a job. Data is not: its writer learns of
//! every failure but a closed pipe, which only means that the reader has seen enough.

use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::error::{IoContext, Result};

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always, even into a file.
    Always,
    /// Never.
    Never,
}

/// Colours a word, or leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// False leaves every text as it is.
    pub is_on: bool,
}

impl Paint {
    /// No colours.
    pub const OFF: Paint = Paint { is_on: false };

    /// Decides by the flag, then by `NO_COLOR` (any value but the empty one) and the terminal.
    pub fn decide(choice: ColorChoice, no_color: bool, is_terminal: bool) -> Self {
        let is_on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !no_color,
        };
        Paint { is_on }
    }

    /// Something went wrong: red.
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// Something deserves a look: yellow.
    pub fn doubtful(self, text: &str) -> String {
        self.with("1;33", text)
    }

    /// Something is safe: green.
    pub fn good(self, text: &str) -> String {
        self.with("1;32", text)
    }

    /// Something helps: cyan.
    pub fn helpful(self, text: &str) -> String {
        self.with("1;36", text)
    }

    /// A name or a heading: bold.
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.is_on {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A place that text goes to; cheap to clone, whole lines only.
#[derive(Clone)]
pub struct Out {
    writer: Arc<Mutex<dyn Write + Send>>,
    paint: Paint,
}

impl Out {
    /// Writes to `writer`, which a test may keep a handle of.
    pub fn new(writer: Arc<Mutex<dyn Write + Send>>, paint: Paint) -> Self {
        Out { writer, paint }
    }

    /// The process's standard output.
    pub fn stdout(paint: Paint) -> Self {
        Out::new(Arc::new(Mutex::new(std::io::stdout())), paint)
    }

    /// The process's standard error.
    pub fn stderr(paint: Paint) -> Self {
        Out::new(Arc::new(Mutex::new(std::io::stderr())), paint)
    }

    /// How this place is coloured.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Writes human text and a line end; failures are of no interest to the job.
    pub fn line(&self, text: &str) {
        let _ = self.write(&format!("{text}\n"));
    }

    /// Writes human text as it is, such as a question.
    pub fn text(&self, text: &str) {
        let _ = self.write(text);
    }

    /// Writes a line of data. A reader that closed the pipe is not an error; a full disk is.
    pub fn data(&self, text: &str) -> Result<()> {
        match self.write(&format!("{text}\n")) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            done => done.doing(|| "cannot write to standard output".into()),
        }
    }

    // One call for a whole line: lines of several threads do not mix.
    fn write(&self, text: &str) -> std::io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(text.as_bytes())?;
        writer.flush()
    }
}

/// The time, as listeners see it.
#[derive(Clone)]
pub struct Clock {
    elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
    start: Timestamp,
}

impl Clock {
    /// A clock that begins now. Wall time is its beginning and what a monotonic clock adds.
    pub fn system() -> Self {
        let began = Instant::now();
        Clock::new(Timestamp::now(), move || began.elapsed())
    }

    /// A clock that began at `start` and is told by `elapsed` how long that is ago.
    pub fn new(start: Timestamp, elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Clock {
            elapsed: Arc::new(elapsed),
            start,
        }
    }

    /// How long the clock runs.
    pub fn elapsed(&self) -> Duration {
        (self.elapsed)()
    }

    /// The time of day, in UTC, to the millisecond.
    pub fn time(&self) -> Timestamp {
        let now = self.start.checked_add(self.elapsed()).unwrap_or(self.start);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Everything written to an [`Out`].
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn out(&self) -> Out {
            Out::new(self.0.clone(), Paint::OFF)
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Hands of a clock that stands still until moved; it began at 2026-02-01T10:30:00Z.
    #[derive(Clone, Default)]
    pub(crate) struct Hands(Arc<AtomicU64>);

    impl Hands {
        pub(crate) fn clock(&self) -> Clock {
            let millis = self.0.clone();
            Clock::new("2026-02-01T10:30:00Z".parse().unwrap(), move || {
                Duration::from_millis(millis.load(Ordering::SeqCst))
            })
        }

        pub(crate) fn forward(&self, by: Duration) {
            self.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
        }
    }

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A place that cannot be written to.
    pub(crate) fn failing(kind: ErrorKind) -> Out {
        Out::new(Arc::new(Mutex::new(Failing(kind))), Paint::OFF)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_not_an_error_but_a_full_disk_is() {
        assert!(failing(ErrorKind::BrokenPipe).data("x").is_ok());
        let full = failing(ErrorKind::StorageFull).data("x").unwrap_err();
        assert_eq!(
            full.message(),
            "cannot write to standard output: no storage space"
        );
        failing(ErrorKind::StorageFull).line("human text is best effort");
    }

    #[test]
    fn colours_follow_the_flag_then_no_color_then_the_terminal() {
        let decide = |choice, no_color, terminal| Paint::decide(choice, no_color, terminal).is_on;
        assert!(decide(ColorChoice::Always, true, false));
        assert!(!decide(ColorChoice::Never, false, true));
        assert!(decide(ColorChoice::Auto, false, true));
        assert!(!decide(ColorChoice::Auto, true, true));
        assert!(!decide(ColorChoice::Auto, false, false));
        assert_eq!(Paint { is_on: true }.bad("x"), "\u{1b}[1;31mx\u{1b}[0m");
    }

    #[test]
    fn time_of_day_moves_with_the_monotonic_clock() {
        let hands = Hands::default();
        hands.forward(Duration::from_millis(1500));
        assert_eq!(hands.clock().time().to_string(), "2026-02-01T10:30:01.5Z");
    }
}
