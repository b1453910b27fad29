//! A call under way, and the one behind it.
//!
//! The next page of a cursor cannot be asked for before this one is there, and while it is being handed from thread to
//! thread and parsed, the server has nothing to do. So whoever waits may leave word of how to go on, and the next call
//! leaves the network's thread as soon as the reply has come.

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::exchange::Call;
use super::network::Thread;

/// What to ask after a reply, if anything.
pub(in crate::weaviate) type Next = Box<dyn FnOnce(&[u8]) -> Option<Bytes> + Send>;

/// A call whose reply nobody has taken yet. It ends with this.
pub(in crate::weaviate) struct Pending {
    call: Call,
    answer: AbortOnDropHandle<Answer>,
    next: oneshot::Sender<Next>,
}

/// A reply, and what was asked behind it.
type Answer = Result<(Bytes, Option<Pending>), Status>;

impl Pending {
    /// Sends a message from the thread of `network`.
    pub(super) fn start(network: &Thread, call: Call, message: Bytes) -> Self {
        let (next, mut word) = oneshot::channel::<Next>();
        let calling = {
            let (network, call) = (network.clone(), call.clone());
            async move {
                let reply = call.make(message).await?;
                // From here on word that is sent comes back to its sender.
                word.close();
                let behind = word.try_recv().ok();
                let behind = behind.and_then(|next| follow(&network, &call, &reply, next));
                Ok((reply, behind))
            }
        };
        Pending {
            answer: network.run(calling),
            call,
            next,
        }
    }

    /// The call as it goes out; the message is not part of it.
    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    /// The reply, and the call behind it if `next` has one.
    pub(super) async fn reply(self, network: &Thread, next: Option<Next>) -> Answer {
        let too_late = next.and_then(|next| self.next.send(next).err());
        let answered = self
            .answer
            .await
            .unwrap_or_else(|_| Err(Status::internal("a call ended by a defect of the program")));
        let (reply, behind) = answered?;
        let behind = behind.or_else(|| follow(network, &self.call, &reply, too_late?));
        Ok((reply, behind))
    }
}

fn follow(network: &Thread, call: &Call, reply: &[u8], next: Next) -> Option<Pending> {
    let message = next(reply)?;
    Some(Pending::start(network, call.clone(), message))
}

#[cfg(test)]
mod tests {
    use super::super::{Grpc, Method};
    use super::*;
    use crate::sandbox::{Fault, Rule, Sandbox, Settings, When};
    use crate::weaviate::protobuf::Add;

    /// Asks once more, the same.
    fn once_more() -> Option<Next> {
        Some(Box::new(|reply| (!reply.is_empty()).then(message)))
    }

    fn message() -> Bytes {
        let mut message = Vec::new();
        message.add_bytes(1, b"Article");
        message.into()
    }

    async fn begin(sandbox: &Sandbox) -> (Grpc, Pending) {
        let grpc = Grpc::new(&sandbox.connection(), &sandbox.grpc_url(), None).unwrap();
        let pending = grpc.begin(Method::Search, message(), None);
        (grpc, pending)
    }

    /// Fails after a while.
    async fn until(is_so: impl Fn() -> bool) {
        let waited = async {
            while !is_so() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), waited);
        waited.await.expect("it never came");
    }

    #[tokio::test]
    async fn word_of_how_to_go_on_counts_before_the_reply_and_after_it() {
        let sandbox = Sandbox::start(Settings::default()).await.unwrap();
        sandbox.store().fill("Article", 3, 2, 1);
        let (grpc, late) = begin(&sandbox).await;
        until(|| late.answer.is_finished()).await;
        let (_, behind) = late
            .reply(grpc.network.thread(), once_more())
            .await
            .unwrap();
        let second = behind.unwrap().reply(grpc.network.thread(), None);
        let second = second.await.map(|_| ());
        assert!(second.is_ok(), "{second:?}");

        let stall = Rule::grpc("Search", When::Nth(1..=1), Fault::Stall(None));
        let stall = sandbox.faults().add(stall);
        let (grpc, early) = begin(&sandbox).await;
        let release = async {
            until(|| sandbox.faults().struck(stall) == 1).await;
            sandbox.faults().release();
        };
        // The word is left first: these are polled in turn.
        let reply = early.reply(grpc.network.thread(), once_more());
        let (reply, ()) = tokio::join!(biased; reply, release);
        let (_, behind) = reply.unwrap();
        let (_, last) = behind
            .unwrap()
            .reply(grpc.network.thread(), None)
            .await
            .unwrap();
        assert!(last.is_none(), "nobody wants one");
    }
}
