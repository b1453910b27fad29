//! The command line: the only room that prints, prompts, or names clap and indicatif.
//!
//! What the engine tells is heard by the listeners of `progress`, which a `Screen` puts
//! together; plans, errors and tables become text in `render`; questions are asked in `confirm`.
//! Human text goes to stderr, data to stdout, and a reader that goes away is never a panic.

pub mod args;
pub mod config;
pub mod confirm;
pub mod exit;
pub mod numbers;
pub mod output;
pub mod progress;
pub mod protect;
pub mod render;
mod run;
pub mod screen;

pub use run::run;
