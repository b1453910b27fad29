//! What the flags say about output, and where it goes.

use std::io::IsTerminal;
use std::path::PathBuf;

use indicatif::ProgressDrawTarget;

use crate::cli::output::{Clock, ColorChoice, Out, Paint};
use crate::cli::progress::LogFormat;

/// What the flags say about output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `--json`: JSON lines on stdout.
    pub json: bool,
    /// `--quiet`: nothing on stderr or stdout if the run ends with 0 (JSON lines excepted).
    pub quiet: bool,
    /// The number of `-v`.
    pub verbosity: u8,
    /// `--color`.
    pub color: ColorChoice,
    /// `--log-file`.
    pub log_file: Option<PathBuf>,
    /// `--log-format`.
    pub log_format: LogFormat,
    /// `--dry-run`: the plan is the data of this run.
    pub prints_plan: bool,
}

/// Where a run writes.
pub struct Streams {
    /// Data.
    pub stdout: Out,
    /// Human text.
    pub stderr: Out,
    /// Where to draw, if stderr is a terminal that can.
    pub terminal: Option<ProgressDrawTarget>,
    /// The time.
    pub clock: Clock,
}

impl Streams {
    /// The process's own streams, coloured as `color`, `NO_COLOR` and the terminals say.
    pub fn of_process(color: ColorChoice) -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let paint = |is_terminal| Paint::decide(color, is_set("NO_COLOR"), is_terminal && !is_dumb);
        let draws = std::io::stderr().is_terminal() && !is_dumb;
        Streams {
            stdout: Out::stdout(paint(std::io::stdout().is_terminal())),
            stderr: Out::stderr(paint(std::io::stderr().is_terminal())),
            terminal: draws.then(ProgressDrawTarget::stderr),
            clock: Clock::system(),
        }
    }
}
