//! The real program, killed (SIGKILL) or signalled while the sandbox serves a request, then resumed: the end is that of
//! a run that nobody touched.

#[path = "../program/mod.rs"]
mod program;

mod moments;
mod signals;
mod verify;
