//! Faults that a test can script while the server runs: rules that match requests, and objects that are cursed.
//!
//! A rule counts the requests that match its method and path, and strikes those that its `When` chooses. The first rule
//! that strikes decides. Everything is seeded: the same requests in the same order meet the same faults.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

/// Which of the matching requests are struck; they are counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// All of them.
    Always,
    /// Those in the range; `1..=1` is the first one alone.
    Nth(RangeInclusive<u64>),
    /// Every k-th.
    Every(u64),
    /// Each with this probability, drawn from a generator with this seed.
    Chance(f64, u64),
}

/// What happens to a request that is struck.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The connection is cut before the request takes effect.
    ResetBefore,
    /// The request takes effect, and the connection is cut instead of a reply.
    ResetAfter,
    /// The reply promises its full length and ends after this many bytes of its body, or of its message over gRPC.
    Truncate(usize),
    /// Nothing happens for that long, or until `Faults::release` if `None`; then the request is served.
    Stall(Option<Duration>),
    /// A refusal before the effect; over gRPC it has the code that stands for the status, 503 being `UNAVAILABLE`.
    Status {
        /// The HTTP status.
        status: u16,
        /// The header `Retry-After`, in seconds.
        retry_after: Option<u64>,
        /// The body, sent as JSON; over gRPC the text of the status.
        body: String,
    },
    /// A page of HTML with this status before the effect: a proxy answers in place of the server.
    Proxy {
        /// The HTTP status, over gRPC too.
        status: u16,
        /// The page.
        body: String,
    },
    /// A 200 without body, and without effect: what a panicked handler answers. Over gRPC it has no status either.
    EmptyBefore,
    /// The request takes effect and is answered by a 200 without body. Over gRPC it has no status either.
    EmptyAfter,
    /// A page holds at most so many objects, though more exist.
    ShortPage(usize),
    /// The reply waits for the latency, then trickles at so many bytes per second if given.
    Slow {
        /// Before the first byte.
        latency: Duration,
        /// Of the body.
        bytes_per_second: Option<usize>,
    },
    /// All connections are cut before the effect, and none is accepted for that long; the data stay.
    Restart(Duration),
}

/// One scripted fault.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The method to match; `None` matches all.
    pub method: Option<String>,
    /// How the path must begin; the query string counts as part of it.
    pub path: String,
    /// Which of the matching requests are struck.
    pub when: When,
    /// What happens to them.
    pub fault: Fault,
}

impl Rule {
    /// A rule for one method and paths that begin so.
    pub fn new(method: &str, path: &str, when: When, fault: Fault) -> Rule {
        Rule {
            method: Some(method.to_owned()),
            path: path.to_owned(),
            when,
            fault,
        }
    }

    /// A rule for the gRPC calls of one method, such as `Search`.
    pub fn grpc(method: &str, when: When, fault: Fault) -> Rule {
        let path = format!("/weaviate.v1.Weaviate/{method}");
        Rule::new("POST", &path, when, fault)
    }

    /// A rule for all requests, over REST and gRPC.
    pub fn any(when: When, fault: Fault) -> Rule {
        Rule {
            method: None,
            path: String::new(),
            when,
            fault,
        }
    }
}

/// How a batch reports an object whose id was doomed: always FAILED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doom {
    /// It is not stored.
    Refused,
    /// It is stored all the same.
    Stored,
    /// A module panics over it: every object of its batch is reported with [`Doom::PANIC`], and none is stored.
    Panics,
}

impl Doom {
    /// The text of the failure.
    pub const TEXT: &'static str =
        "put object: shard is not ready: this object was doomed by the sandbox";
    /// The text of every failure of a batch that a module panics over.
    pub const PANIC: &'static str =
        "panic occurred: runtime error: invalid memory address or nil pointer dereference";
}

#[derive(Debug)]
struct Scripted {
    rule: Rule,
    matched: u64,
    struck: u64,
    chance: fastrand::Rng,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Scripted>,
    doomed: BTreeMap<Uuid, Doom>,
    unreadable: BTreeSet<Uuid>,
    /// How often stalled requests were released.
    releases: u64,
}

/// The faults of a server; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    released: Arc<Notify>,
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule behind those that exist and returns its number for `struck`.
    pub fn add(&self, rule: Rule) -> usize {
        let seed = if let When::Chance(_, seed) = rule.when {
            seed
        } else {
            0
        };
        let mut state = self.state();
        state.rules.push(Scripted {
            rule,
            matched: 0,
            struck: 0,
            chance: fastrand::Rng::with_seed(seed),
        });
        state.rules.len() - 1
    }

    /// Removes all rules and lifts all curses; stalled requests go on.
    pub fn clear(&self) {
        let mut state = self.state();
        *state = State {
            releases: state.releases,
            ..State::default()
        };
        drop(state);
        self.release();
    }

    /// How many requests a rule has struck.
    pub fn struck(&self, rule: usize) -> u64 {
        self.state()
            .rules
            .get(rule)
            .map_or(0, |scripted| scripted.struck)
    }

    /// Lets all requests go on that are stalled now.
    pub fn release(&self) {
        self.state().releases += 1;
        self.released.notify_waiters();
    }

    /// Makes a batch report this object as FAILED.
    pub fn doom_object(&self, id: Uuid, doom: Doom) {
        self.state().doomed.insert(id, doom);
    }

    /// Makes every page and single read that holds this object a 500, as an object mistaken for coordinates does.
    pub fn make_unreadable(&self, id: Uuid) {
        self.state().unreadable.insert(id);
    }

    /// Lifts the curses of one object.
    pub fn spare(&self, id: Uuid) {
        let mut state = self.state();
        state.doomed.remove(&id);
        state.unreadable.remove(&id);
    }

    /// True if a module panics over one of these objects.
    pub(super) fn panics(&self, mut ids: impl Iterator<Item = Uuid>) -> bool {
        let state = self.state();
        ids.any(|id| state.doomed.get(&id) == Some(&Doom::Panics))
    }

    pub(super) fn doom(&self, id: Uuid) -> Option<Doom> {
        self.state().doomed.get(&id).copied()
    }

    pub(super) fn is_unreadable(&self, id: Uuid) -> bool {
        self.state().unreadable.contains(&id)
    }

    /// The fault that strikes this request, if any, and the release that a stall waits for.
    /// Every matching rule counts the request.
    pub(super) fn strike(&self, method: &str, path: &str) -> Option<(Fault, u64)> {
        let mut state = self.state();
        let mut found = None;
        for scripted in state
            .rules
            .iter_mut()
            .filter(|scripted| scripted.rule.matches(method, path))
        {
            if scripted.counts() && found.is_none() {
                scripted.struck += 1;
                found = Some(scripted.rule.fault.clone());
            }
        }
        let next = state.releases + 1;
        found.map(|fault| (fault, next))
    }

    /// Waits for the duration if there is one, or for the release of that number.
    pub(super) async fn stall(&self, duration: Option<Duration>, release: u64) {
        let waiting = async {
            loop {
                let released = self.released.notified();
                if self.state().releases >= release {
                    break;
                }
                released.await;
            }
        };
        match duration {
            None => waiting.await,
            Some(duration) => {
                let _either = tokio::time::timeout(duration, waiting).await;
            }
        }
    }
}

impl Rule {
    fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method) && path.starts_with(&self.path)
    }
}

impl Scripted {
    /// Counts a matching request and says whether it is one to strike.
    fn counts(&mut self) -> bool {
        self.matched += 1;
        match &self.rule.when {
            When::Always => true,
            When::Nth(range) => range.contains(&self.matched),
            When::Every(step) => *step > 0 && self.matched.is_multiple_of(*step),
            When::Chance(probability, _) => self.chance.f64() < *probability,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(when: When) -> Vec<u64> {
        let faults = Faults::default();
        faults.add(Rule::new("GET", "/v1/objects", when, Fault::ResetBefore));
        (1..=12)
            .filter(|_| faults.strike("GET", "/v1/objects?class=A").is_some())
            .collect()
    }

    #[test]
    fn a_rule_strikes_the_requests_it_names() {
        assert_eq!(struck(When::Nth(2..=3)), [2, 3]);
        assert_eq!(struck(When::Every(5)), [5, 10]);
        assert_eq!(struck(When::Always).len(), 12);
        assert_eq!(struck(When::Chance(0.5, 7)), struck(When::Chance(0.5, 7)));
    }

    #[test]
    fn other_methods_and_paths_are_spared_and_not_counted() {
        let faults = Faults::default();
        let rule = faults.add(Rule::new(
            "POST",
            "/v1/batch",
            When::Nth(1..=1),
            Fault::EmptyAfter,
        ));
        assert_eq!(faults.strike("GET", "/v1/batch/objects"), None);
        assert_eq!(faults.strike("POST", "/v1/schema"), None);
        assert_eq!(
            faults.strike("POST", "/v1/batch/objects"),
            Some((Fault::EmptyAfter, 1))
        );
        assert_eq!(faults.struck(rule), 1);
    }

    #[test]
    fn the_first_rule_that_strikes_decides() {
        let faults = Faults::default();
        faults.add(Rule::any(When::Nth(2..=2), Fault::ResetBefore));
        faults.add(Rule::any(When::Always, Fault::EmptyBefore));
        assert_eq!(faults.strike("GET", "/"), Some((Fault::EmptyBefore, 1)));
        assert_eq!(faults.strike("GET", "/"), Some((Fault::ResetBefore, 1)));
    }
}
