//! How long to wait before trying again, and when to stop: the one retry function.
//!
//! Delays double from 250 ms to 30 s with seeded full jitter; what counts against the patience is time without
//! progress anywhere in the run, so a slow success elsewhere keeps a job alive. Only transient errors are tried
//! again. The only user of `backoff`, as a plain sequence of delays: its own loop has no cap and cannot be seeded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backoff::backoff::Backoff as _;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Reaction, Result};

/// When the run last got anywhere, and how often it had to try again; shared by everything that retries.
#[derive(Clone)]
pub struct Progress {
    last: Arc<Mutex<Instant>>,
    retries: Arc<AtomicU64>,
}

impl Progress {
    /// The run got somewhere just now.
    pub fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How often something was tried again so far.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            last: Arc::new(Mutex::new(Instant::now())),
            retries: Arc::default(),
        }
    }
}

/// Something failed and will be tried again.
pub struct Waiting<'a> {
    /// What was being done.
    pub doing: &'a str,
    /// Why it failed.
    pub error: &'a Error,
    /// How often it was tried so far.
    pub tries: u32,
    /// How long until the next try.
    pub delay: Duration,
}

/// How patient a run is; plain data, cheap to clone.
#[derive(Clone)]
pub struct Policy {
    /// The first delay.
    pub first_delay: Duration,
    /// The longest delay.
    pub longest_delay: Duration,
    /// How long to go on without progress; `None` is for ever.
    pub patience: Option<Duration>,
    /// Makes the jitter repeatable.
    pub seed: u64,
    /// When the run last got anywhere.
    pub progress: Progress,
    /// Cancelled when the run is to stop: waiting ends at once.
    pub stop: CancellationToken,
    /// Is told of every wait.
    pub observer: Arc<dyn Fn(&Waiting<'_>) + Send + Sync>,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(30),
            patience: Some(Duration::from_secs(15 * 60)),
            seed: fastrand::u64(..),
            progress: Progress::default(),
            stop: CancellationToken::new(),
            observer: Arc::new(|_| ()),
        }
    }
}

impl Policy {
    /// Begins the tries of one thing, named as in "after 3 tries to `doing`".
    pub fn tries<'a>(&'a self, doing: &'a str) -> Tries<'a> {
        let delays = backoff::ExponentialBackoff {
            initial_interval: self.first_delay,
            current_interval: self.first_delay,
            max_interval: self.longest_delay,
            multiplier: 2.0,
            randomization_factor: 0.0,
            max_elapsed_time: None,
            ..Default::default()
        };
        Tries {
            policy: self,
            doing,
            delays,
            jitter: fastrand::Rng::with_seed(self.seed),
            count: 0,
            began: Instant::now(),
        }
    }

    /// Does `operation` until it succeeds, fails for good, or the patience ends.
    pub async fn run<T, F: Future<Output = Result<T>>>(
        &self,
        doing: &str,
        mut operation: impl FnMut() -> F,
    ) -> Result<T> {
        let mut tries = self.tries(doing);
        loop {
            match operation().await {
                Ok(value) => return Ok(value),
                Err(error) => tries.pause(error).await?,
            }
        }
    }
}

/// The tries of one thing, for a caller that reacts to some errors itself.
pub struct Tries<'a> {
    policy: &'a Policy,
    doing: &'a str,
    delays: backoff::ExponentialBackoff,
    jitter: fastrand::Rng,
    count: u32,
    began: Instant,
}

impl Tries<'_> {
    /// Waits before the next try, or gives the error back: permanent ones at once, transient ones as
    /// [`Kind::Exhausted`] when the patience ends, and [`Kind::Interrupted`] if the run is to stop.
    pub async fn pause(&mut self, error: Error) -> Result<()> {
        self.count += 1;
        let after = match error.reaction() {
            Reaction::Transient { after } => after,
            Reaction::Suspect => None,
            _ => return Err(error),
        };
        if self.policy.stop.is_cancelled() {
            return Err(interrupted(error));
        }
        let delay = self.delay(after);
        let stuck_since = self.policy.progress.last().max(self.began);
        if self
            .policy
            .patience
            .is_some_and(|patience| stuck_since.elapsed() + delay > patience)
        {
            return Err(exhausted(error, self.count, self.began.elapsed()));
        }
        self.policy.progress.retries.fetch_add(1, Ordering::Relaxed);
        (self.policy.observer)(&Waiting {
            doing: self.doing,
            error: &error,
            tries: self.count,
            delay,
        });
        tokio::select! {
            () = tokio::time::sleep(delay) => Ok(()),
            () = self.policy.stop.cancelled() => Err(interrupted(error)),
        }
    }

    fn delay(&mut self, server_asks: Option<Duration>) -> Duration {
        let ceiling = self
            .delays
            .next_backoff()
            .unwrap_or(self.policy.longest_delay);
        let jittered = ceiling.mul_f64(self.jitter.f64());
        // A server that names a delay knows better, but not for longer than an hour.
        server_asks.map_or(jittered, |asked| {
            asked.min(Duration::from_secs(3600)).max(jittered)
        })
    }
}

fn interrupted(error: Error) -> Error {
    Error::new(Kind::Interrupted, "stopped while waiting to try again").with_cause(error)
}

/// "cannot reach X: refused" becomes "cannot reach X after 9 tries in 2m 5s: refused".
fn exhausted(error: Error, tries: u32, elapsed: Duration) -> Error {
    let elapsed = humantime::format_duration(Duration::from_secs(elapsed.as_secs().max(1)));
    let tries = if tries == 1 {
        "1 try".to_owned()
    } else {
        format!("{tries} tries")
    };
    let message = match error.message().split_once(": ") {
        Some((what, why)) => format!("{what} after {tries} in {elapsed}: {why}"),
        None => format!("{} after {tries} in {elapsed}", error.message()),
    };
    let mut exhausted = Error::new(Kind::Exhausted, message);
    if let Some(hint) = error.hint() {
        exhausted = exhausted.with_hint(hint);
    }
    exhausted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fast() -> Policy {
        Policy {
            first_delay: Duration::from_micros(1),
            longest_delay: Duration::from_micros(10),
            seed: 1,
            ..Policy::default()
        }
    }

    #[tokio::test]
    async fn transient_errors_are_tried_again_and_each_wait_is_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = told.clone();
        let policy = Policy {
            observer: Arc::new(move |waiting| {
                listener
                    .lock()
                    .unwrap()
                    .push((waiting.tries, waiting.error.to_string()))
            }),
            ..fast()
        };
        let left = std::cell::Cell::new(3);
        let done = policy
            .run("try", async || {
                left.set(left.get() - 1);
                if left.get() == 0 {
                    Ok("done")
                } else {
                    Err(Error::transient("busy"))
                }
            })
            .await;
        assert_eq!(done.unwrap(), "done");
        assert_eq!(
            *told.lock().unwrap(),
            [(1, "busy".to_owned()), (2, "busy".to_owned())]
        );
    }

    #[tokio::test]
    async fn a_permanent_error_is_not_tried_again() {
        let tries = std::cell::Cell::new(0);
        let policy = fast();
        let failed: Result<()> = policy
            .run("try", async || {
                tries.set(tries.get() + 1);
                Err(Error::new(Kind::Unauthorised, "no"))
            })
            .await;
        assert_eq!(
            (failed.unwrap_err().kind(), tries.get()),
            (Kind::Unauthorised, 1)
        );
    }

    #[tokio::test]
    async fn patience_counts_time_without_progress_and_ends_as_exhausted() {
        let policy = Policy {
            patience: Some(Duration::ZERO),
            ..fast()
        };
        let failed: Result<()> = policy
            .run("try", async || {
                Err(Error::transient("cannot reach X: refused"))
            })
            .await;
        let error = failed.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::Exhausted, "cannot reach X after 1 try in 1s: refused")
        );
    }

    #[tokio::test]
    async fn a_stop_ends_the_waiting() {
        let policy = Policy {
            first_delay: Duration::from_secs(3600),
            longest_delay: Duration::from_secs(3600),
            patience: None,
            ..fast()
        };
        policy.stop.cancel();
        let failed: Result<()> = policy
            .run("try", async || Err(Error::transient("busy")))
            .await;
        assert_eq!(failed.unwrap_err().kind(), Kind::Interrupted);
    }

    #[test]
    fn delays_double_up_to_the_longest_and_repeat_with_the_seed() {
        let policy = Policy {
            seed: 7,
            ..Policy::default()
        };
        let delays = |count: usize| -> Vec<Duration> {
            let mut tries = policy.tries("x");
            (0..count).map(|_| tries.delay(None)).collect()
        };
        assert_eq!(delays(12), delays(12));
        for (index, delay) in delays(12).iter().enumerate() {
            assert!(
                *delay <= Duration::from_millis(250 << index).min(Duration::from_secs(30)),
                "{index}: {delay:?}"
            );
        }
        assert_eq!(
            policy.tries("x").delay(Some(Duration::from_secs(77))),
            Duration::from_secs(77)
        );
    }
}
