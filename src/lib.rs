//! elysiactl: backup, restore, clear, copy and verify of Weaviate collections that survive any interruption.
//!
//! Backup, restore, clear and copy are one engine moving batches from a source to a sink. A job is a set of
//! lanes; a lane is strictly sequential, and all concurrency is between lanes. Position lives only in the
//! journal: ends are asked "what comes after this cursor?", so retry and resume are the same call. An intent is
//! durable before an effect that could not be told from somebody else's, a receipt after every effect. One
//! committer owns the journal. The engine tells its story as events; whoever wants to know listens.
//!
//! Imports go down the floors, never up:
//!
//! | floor | rooms |
//! |---|---|
//! | 6 | `cli` |
//! | 5 | `commands`, `sandbox` |
//! | 4 | `engine`, `archive`, `catalog` |
//! | 3 | `journal`, `weaviate`, `storage`, `format` (none knows another) |
//! | 2 | `pipe`, `event` |
//! | 1 | `job`, `retry` |
//! | 0 | `model`, `error` |

pub mod archive;
pub mod cli;
pub mod commands;
pub mod engine;
pub mod error;
pub mod event;
pub mod format;
pub mod job;
pub mod journal;
pub mod model;
pub mod pipe;
pub mod retry;
pub mod sandbox;
pub mod storage;
pub mod weaviate;
