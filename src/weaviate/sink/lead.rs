//! Whether gRPC leads to the server that REST leads to, shown by an effect: one object goes alone before any batch.

use super::super::grpc::Grpc;
use super::super::outcomes::Outcome;
use super::{Batch, CollectionSink};
use crate::error::{Reaction, Result};

/// So many objects of a batch are tried until one shows where gRPC leads.
const PROBES: usize = 4;

/// Where gRPC leads, by the effect of what was sent over it.
#[derive(Debug, PartialEq)]
pub(super) enum Lead {
    Unknown,
    /// To the server that REST leads to.
    Here,
    /// To another one; how that was seen.
    Elsewhere(String),
}

impl CollectionSink {
    /// Before gRPC takes whole batches, it takes an object alone, and REST must show it: two servers with the same empty
    /// collection look alike until then, and so does a copy. The other lanes wait.
    pub(super) async fn prove_grpc(&self, batch: &mut Batch) -> Result<()> {
        let Some(grpc) = self.client.grpc() else {
            return Ok(());
        };
        let mut lead = self.grpc_leads.lock().await;
        for index in batch.unsettled().into_iter().rev().flatten().take(PROBES) {
            if *lead != Lead::Unknown {
                break;
            }
            *lead = self.follow_grpc(grpc, batch, index).await?;
        }
        match &*lead {
            Lead::Elsewhere(seen) => Err(self.client.leads_elsewhere(grpc, seen)),
            Lead::Unknown | Lead::Here => Ok(()),
        }
    }

    /// Stores an object over gRPC and looks for it over REST. That says nothing if it is refused, or was there before
    /// just as it is: the server then leaves it alone.
    async fn follow_grpc(&self, grpc: &Grpc, batch: &mut Batch, index: usize) -> Result<Lead> {
        let key = batch.request.key(index).clone();
        let Some(before) = unless_to_blame(self.client.times(&self.name, &key).await)? else {
            return Ok(Lead::Unknown);
        };
        let sent = self.send(batch, index..index + 1).await;
        if unless_to_blame(sent)?.is_none() || batch.settled[index] != Some(Outcome::Accepted) {
            return Ok(Lead::Unknown);
        }
        let after = self.client.times(&self.name, &key).await?;
        if after.is_none() {
            let seen = format!("it took object {key}, which is not there over REST");
            return Ok(Lead::Elsewhere(seen));
        }
        if after != before {
            return Ok(Lead::Here);
        }
        let shown = self.client.times_over_grpc(grpc, &self.name, &key).await?;
        Ok(match shown.is_none() || shown == after {
            true => Lead::Unknown,
            false => Lead::Elsewhere(format!("it shows object {key} with other times")),
        })
    }
}

/// Nothing if the object itself may be to blame for the failure: it is judged with its batch.
fn unless_to_blame<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Err(error) => match error.reaction() {
            Reaction::Suspect | Reaction::Split | Reaction::TooLarge => Ok(None),
            _ => Err(error),
        },
        Ok(done) => Ok(Some(done)),
    }
}
