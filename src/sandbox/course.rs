//! The course that a request takes under a fault, the same for REST and gRPC.

use std::time::Duration;

use super::delivery::Delivery;
use super::faults::Fault;

/// What answers in place of the handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instead {
    /// A 200 with nothing in it.
    Nothing,
    /// A refusal of the server.
    Refusal {
        status: u16,
        retry_after: Option<u64>,
        body: String,
    },
    /// A page of something in front of the server.
    Proxy { status: u16, body: String },
}

/// What becomes of one request; without a fault it takes effect and is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Course {
    /// How long the server is away first, all its connections cut.
    pub(super) restart: Option<Duration>,
    /// How long it waits first; the inner `None` waits for the release.
    pub(super) stall: Option<Option<Duration>>,
    pub(super) takes_effect: bool,
    pub(super) short_page: Option<usize>,
    pub(super) instead: Option<Instead>,
    latency: Duration,
    pub(super) delivery: Delivery,
}

impl Default for Course {
    fn default() -> Course {
        Course {
            restart: None,
            stall: None,
            takes_effect: true,
            short_page: None,
            instead: None,
            latency: Duration::ZERO,
            delivery: Delivery::Whole,
        }
    }
}

impl Course {
    /// Waits as long as the reply is held back.
    pub(super) async fn linger(&self) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
    }

    fn delivered(delivery: Delivery) -> Course {
        Course {
            delivery,
            ..Course::default()
        }
    }

    /// Without an effect.
    fn without_effect(self) -> Course {
        Course {
            takes_effect: false,
            ..self
        }
    }

    fn answered(instead: Instead) -> Course {
        Course {
            instead: Some(instead),
            ..Course::default()
        }
    }
}

impl From<Fault> for Course {
    fn from(fault: Fault) -> Course {
        match fault {
            Fault::ResetBefore => Course::delivered(Delivery::Cut).without_effect(),
            Fault::ResetAfter => Course::delivered(Delivery::Cut),
            Fault::Truncate(length) => Course::delivered(Delivery::Truncated(length)),
            Fault::Stall(duration) => Course {
                stall: Some(duration),
                ..Course::default()
            },
            Fault::Status {
                status,
                retry_after,
                body,
            } => Course::answered(Instead::Refusal {
                status,
                retry_after,
                body,
            })
            .without_effect(),
            Fault::Proxy { status, body } => {
                Course::answered(Instead::Proxy { status, body }).without_effect()
            }
            Fault::EmptyBefore => Course::answered(Instead::Nothing).without_effect(),
            Fault::EmptyAfter => Course::answered(Instead::Nothing),
            Fault::ShortPage(most) => Course {
                short_page: Some(most),
                ..Course::default()
            },
            Fault::Slow {
                latency,
                bytes_per_second,
            } => Course {
                latency,
                delivery: bytes_per_second.map_or(Delivery::Whole, Delivery::Trickling),
                ..Course::default()
            },
            Fault::Restart(duration) => Course {
                restart: Some(duration),
                ..Course::delivered(Delivery::Cut).without_effect()
            },
        }
    }
}
