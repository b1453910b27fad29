//! The thread on which gRPC's connections live.
//!
//! A page comes in hundreds of frames. Where the connection and whoever gathers them are tasks of a runtime with several
//! threads, almost every frame wakes a thread for a moment; here both run on the same one, and a lane is woken once, when
//! its page is there. Encoding, on the other threads, delays no frame.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{IoContext, Result};

/// Ends with its owner, and every call with it.
pub(super) struct Network {
    thread: Thread,
    _alive: oneshot::Sender<()>,
}

/// The thread, for whoever has something to run on it.
#[derive(Clone)]
pub(super) struct Thread(Handle);

impl Thread {
    /// Runs a call there; it ends with whoever holds it.
    pub fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> AbortOnDropHandle<T> {
        AbortOnDropHandle::new(self.0.spawn(call))
    }
}

impl Network {
    pub fn start() -> Result<Self> {
        let doing = || "cannot start a thread for the network".to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .doing(doing)?;
        let thread = Thread(runtime.handle().clone());
        let (alive, is_over) = oneshot::channel();
        std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || {
                // Nothing is ever sent: it ends when the sender is gone.
                let _ = runtime.block_on(is_over);
                runtime.shutdown_background();
            })
            .doing(doing)?;
        Ok(Network {
            thread,
            _alive: alive,
        })
    }

    pub fn thread(&self) -> &Thread {
        &self.thread
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn calls_run_on_its_thread() {
        let network = Network::start().unwrap();
        let name = network
            .thread()
            .run(async { std::thread::current().name().map(str::to_owned) })
            .await;
        assert_eq!(name.unwrap().as_deref(), Some("network"));
    }

    #[tokio::test]
    async fn a_call_ends_with_whoever_holds_it_and_all_end_with_the_network() {
        let network = Network::start().unwrap();
        let (mut dropped, held) = oneshot::channel::<()>();
        let mut call = Box::pin(network.thread().run(async move {
            let _held = held;
            std::future::pending::<()>().await;
        }));
        let waited = tokio::time::timeout(Duration::from_millis(1), &mut call).await;
        assert!(waited.is_err());
        drop(call);
        ended(&mut dropped).await;

        let (mut dropped, held) = oneshot::channel::<()>();
        let _call = network.thread().run(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(network);
        ended(&mut dropped).await;
    }

    /// What would go on for ever is a failure after a while.
    async fn ended(call: &mut oneshot::Sender<()>) {
        let ended = tokio::time::timeout(Duration::from_secs(60), call.closed());
        ended.await.expect("the call goes on");
    }
}
