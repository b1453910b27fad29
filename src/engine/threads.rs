//! The threads that lanes are walked and encoded on.

use tokio::runtime::{Builder, Runtime};

use crate::error::{IoContext, Result};

/// By so much these threads give way to all others of the machine, as `nice` does: where a server lives on it, too, its next
/// page is worth more than the encoding of the last one.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// A runtime with a thread for each core; one more keeps requests going meanwhile. Each of them keeps some memory of the pages
/// that it freed.
pub fn threads() -> Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(cores + 1)
        .on_thread_start(give_way)
        .enable_all()
        .build()
        .doing(|| "cannot start the threads of the program".to_owned())
}

/// Elsewhere a priority belongs to the whole process.
#[cfg(target_os = "linux")]
fn give_way() {
    let this = Some(rustix::thread::gettid());
    let is_nicer = rustix::process::getpriority_process(this).is_ok_and(|nice| nice >= NICE);
    if !is_nicer {
        // Where that is forbidden, it goes on as it is.
        let _ = rustix::process::setpriority_process(this, NICE);
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn lanes_give_way_and_the_thread_that_waits_for_them_does_not() {
        let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = nice();
        let threads = threads().unwrap();
        let of_a_lane = threads.block_on(async { tokio::spawn(async move { nice() }).await });
        assert_eq!(of_a_lane.unwrap(), before.max(NICE));
        assert_eq!(nice(), before);
    }
}
