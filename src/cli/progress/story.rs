//! A run as it stands: the fold of its events, and how fast it goes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::Event;
use crate::job::{JobId, JobKind, Summary, Tally};

/// How far back the rate looks: long enough to be calm, short enough to follow an index that grows slower.
const WINDOW: Duration = Duration::from_secs(30);
/// Before this no rate is worth showing.
const SHORTEST: Duration = Duration::from_millis(500);
/// Samples closer together are one.
const SPACING: Duration = Duration::from_millis(250);

/// How fast something grows, over the last half minute.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    samples: VecDeque<(Duration, u64)>,
}

impl Pace {
    /// It stands at `value` at the time `now`.
    pub fn record(&mut self, now: Duration, value: u64) {
        let is_crowded = self.samples.len() > 1
            && self
                .samples
                .iter()
                .nth_back(1)
                .is_some_and(|(then, _)| now.saturating_sub(*then) < SPACING);
        if is_crowded {
            self.samples.pop_back();
        }
        self.samples.push_back((now, value));
        // One sample older than the window stays: it is where the window begins.
        while self
            .samples
            .get(1)
            .is_some_and(|(then, _)| now.saturating_sub(*then) >= WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// Growth per second up to `now`; a standstill makes it fall. `None` if too little is known.
    pub fn per_second(&self, now: Duration) -> Option<f64> {
        let ((began, first), (_, last)) = (self.samples.front()?, self.samples.back()?);
        let span = now.saturating_sub(*began);
        (self.samples.len() > 1 && span >= SHORTEST)
            .then(|| (last.saturating_sub(*first)) as f64 / span.as_secs_f64())
    }
}

/// What is known of the job at hand.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Its id, once it began.
    pub job: Option<JobId>,
    /// Its verb.
    pub kind: Option<JobKind>,
    /// What it is about.
    pub subject: String,
    /// Objects expected in all.
    pub total: Option<u64>,
    /// What earlier runs committed.
    pub kept: Tally,
    /// What is committed by now, earlier runs included.
    pub tally: Tally,
    /// True if an earlier run did part of it.
    pub is_resumed: bool,
    /// The small stage at work, if it is not the data.
    pub doing: Option<String>,
    /// True once no new work is taken.
    pub is_stopping: bool,
    /// Objects that were refused in this run.
    pub rejects: u64,
    /// How it ended.
    pub summary: Option<Summary>,
    began: Duration,
    pace: Pace,
}

impl Story {
    /// Takes in what happened at the time `now`.
    pub fn hear(&mut self, event: &Event<'_>, now: Duration) {
        match event {
            Event::Started {
                job,
                kind,
                subject,
                total,
                kept,
                is_resumed,
            } => {
                *self = Story {
                    job: Some((*job).clone()),
                    kind: Some(*kind),
                    subject: (*subject).to_owned(),
                    total: *total,
                    kept: *kept,
                    tally: *kept,
                    is_resumed: *is_resumed,
                    began: now,
                    ..Story::default()
                };
                self.pace.record(now, self.done());
            }
            Event::Stage { doing } => self.doing = Some((*doing).to_owned()),
            Event::Committed { tally, .. } => self.commit(*tally, now),
            // Beside a job its own count stands.
            Event::Compared { objects, total } if self.job.is_none() => {
                self.tally.accepted = self.tally.accepted.max(*objects);
                self.total = *total;
                self.pace.record(now, self.done());
            }
            Event::Reject { .. } => self.rejects += 1,
            Event::Stopping => self.is_stopping = true,
            Event::Finished { summary, .. } => {
                self.tally = summary.tally;
                self.doing = None;
                self.summary = Some((*summary).clone());
            }
            _ => {}
        }
    }

    // Events of several threads may overtake one another; committed counts never fall.
    fn commit(&mut self, tally: Tally, now: Duration) {
        if tally.batches > self.tally.batches {
            self.tally = tally;
            self.doing = None;
            self.pace.record(now, self.done());
        }
    }

    /// Objects that are settled: accepted or refused.
    pub fn done(&self) -> u64 {
        self.tally.accepted + self.tally.rejected
    }

    /// Whole percent, rounded down, so that 100 means all.
    pub fn percent(&self) -> Option<u64> {
        match self.total? {
            0 => None,
            total => Some((u128::from(self.done()) * 100 / u128::from(total)).min(100) as u64),
        }
    }

    /// Objects per second of late.
    pub fn rate(&self, now: Duration) -> Option<f64> {
        self.pace.per_second(now)
    }

    /// The time that the rest takes if the pace of late holds, which it need not. `None` if unknown or long.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        const A_YEAR: f64 = 365.0 * 86400.0;
        let rest = self
            .total?
            .checked_sub(self.done())
            .filter(|rest| *rest > 0)?;
        let seconds = rest as f64 / self.rate(now).filter(|rate| *rate > 0.0)?;
        (seconds < A_YEAR).then(|| Duration::from_secs(seconds.ceil() as u64))
    }

    /// How long this run of the job takes by now.
    pub fn took(&self, now: Duration) -> Duration {
        now.saturating_sub(self.began)
    }

    /// What is going on, in a few words: the stage, else "backup of `Article`".
    pub fn heading(&self) -> String {
        match (&self.doing, self.kind) {
            (Some(doing), _) => super::super::render::clean(doing),
            (None, Some(kind)) => format!("{kind} of `{}`", self.subject),
            (None, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn story(total: Option<u64>, kept: u64) -> Story {
        let mut story = Story::default();
        let event = Event::Started {
            job: &job(),
            kind: JobKind::Backup,
            subject: "Article",
            total,
            kept: tally(kept),
            is_resumed: kept > 0,
        };
        story.hear(&event, Duration::ZERO);
        story
    }

    fn commit_at(story: &mut Story, second: u64, accepted: u64) {
        let event = Event::Committed {
            lane: 0,
            seq: 0,
            tally: tally(accepted),
        };
        story.hear(&event, Duration::from_secs(second));
    }

    #[test]
    fn what_earlier_runs_did_counts_as_done_but_not_as_speed() {
        let mut story = story(Some(10_000), 5_000);
        assert_eq!((story.done(), story.percent()), (5_000, Some(50)));
        commit_at(&mut story, 1, 6_000);
        let now = Duration::from_secs(1);
        assert_eq!(story.rate(now), Some(1000.0));
        assert_eq!(story.left(now), Some(Duration::from_secs(4)));
    }

    #[test]
    fn only_commits_move_the_count_and_none_takes_it_back() {
        let mut story = story(Some(1_000), 0);
        for event in [
            Event::Fetched {
                lane: 0,
                objects: 500,
            },
            Event::Intended { lane: 0, seq: 0 },
            Event::Applied { lane: 0, seq: 0 },
        ] {
            story.hear(&event, Duration::from_secs(1));
        }
        assert_eq!(story.done(), 0);
        commit_at(&mut story, 2, 500);
        commit_at(&mut story, 2, 400);
        assert_eq!(story.done(), 500);
    }

    #[test]
    fn a_standstill_makes_the_rate_fall_and_the_old_pace_is_forgotten() {
        let mut story = story(Some(1_000_000), 0);
        for second in 1..=60 {
            commit_at(&mut story, second, second * 10_000);
        }
        assert_eq!(story.rate(Duration::from_secs(60)), Some(10_000.0));
        let stalled = story.rate(Duration::from_secs(90)).unwrap();
        assert!((4_900.0..5_100.0).contains(&stalled), "{stalled}");
        for second in 91..=130 {
            commit_at(&mut story, second, 600_000 + (second - 90) * 100);
        }
        assert_eq!(story.rate(Duration::from_secs(130)), Some(100.0));
    }

    #[test]
    fn more_objects_than_expected_are_no_more_than_all() {
        let mut story = story(Some(100), 0);
        commit_at(&mut story, 1, 200);
        assert_eq!(
            (story.percent(), story.left(Duration::from_secs(1))),
            (Some(100), None)
        );
        assert_eq!(self::story(Some(0), 0).percent(), None);
        assert_eq!(self::story(None, 0).percent(), None);
    }

    #[test]
    fn many_commits_keep_few_samples() {
        let mut pace = Pace::default();
        for milli in 0..100_000 {
            pace.record(Duration::from_millis(milli), milli);
        }
        assert!(pace.samples.len() < 200, "{}", pace.samples.len());
        let rate = pace.per_second(Duration::from_secs(100)).unwrap();
        assert!((990.0..1010.0).contains(&rate), "{rate}");
    }
}
