//! What a user types and sees: plans, questions, exit codes, exact words, and nothing touched where nothing was asked for.

#[path = "../program/mod.rs"]
mod program;

mod archives;
mod commands;
mod conflicts;
mod demo;
mod diff;
mod exits;
mod output;
mod owner;
mod plans;
mod questions;
mod refusals;
mod terminal;
