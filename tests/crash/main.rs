//! What a crash leaves behind, and what a resume makes of it.
//!
//! `camera` takes a picture of everything durable at each event, before each change of the archive, and around each
//! commit of a clean run; `pictures` resumes every one of them, `clears` those of a clear. `stale` holds the ways in which other tools went on
//! from the wrong state, `damage` what happens to journals and files between two runs, `order` what copies of
//! files cannot show: that everything was synced before it was counted on.

mod camera;
mod clears;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod order;
mod pictures;
mod scene;
mod stale;
