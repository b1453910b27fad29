//! The pages of a source one after another, outside of a job: no journal, the same patience.
//!
//! Pages keep to a size in bytes as far as the objects seen so far tell. A request that fails in itself is halved
//! down to the one object that is the reason, which is passed over and named in its page.

mod abreast;

use std::ops::Deref;

use crate::error::{Reaction, Result};
use crate::job::{Bounds, Lane, LaneId};
use crate::pipe::{Budget, Page, Source};
use crate::retry::Policy;

pub(super) use abreast::Abreast;

/// Nothing is known of the objects yet.
const FIRST_PAGE: u32 = 100;

/// Everything of a source, lane by lane.
pub(super) struct Pages<R> {
    policy: Policy,
    doing: &'static str,
    source: R,
    bounds: std::vec::IntoIter<Bounds>,
    lane: Option<Lane>,
    /// By which the source tells who reads.
    number: LaneId,
    /// The most that a page may hold.
    most: Budget,
    objects: u32,
    /// True if the page after the next will be about as large.
    is_settled: bool,
}

impl<S: Source, R: Deref<Target = S> + Send + Sync> Pages<R> {
    /// The pages of these lanes, in this order; `doing` names what they are read for.
    pub fn of(
        policy: &Policy,
        doing: &'static str,
        source: R,
        bounds: Vec<Bounds>,
        most: Budget,
    ) -> Self {
        Pages {
            policy: policy.clone(),
            doing,
            source,
            bounds: bounds.into_iter(),
            lane: None,
            number: 0,
            most,
            objects: FIRST_PAGE.min(most.objects),
            is_settled: false,
        }
    }

    /// As one of `count` that read the same source at the same time: what they begin with together is as large as a first
    /// page alone.
    fn one_of(mut self, count: usize, number: LaneId) -> Self {
        let share = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        self.objects = (self.objects / share).max(1);
        self.number = number;
        self
    }

    /// The next page, if there is one; it may be empty.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        let next = || {
            self.bounds.next().map(|bounds| Lane {
                id: self.number,
                ..Lane::alone(bounds)
            })
        };
        let Some(mut lane) = self.lane.take().or_else(next) else {
            return Ok(None);
        };
        let page = self.read(&lane).await?;
        self.policy.progress.touch();
        self.adapt(&page);
        if !page.is_last {
            lane.cursor = page.end.clone();
            self.lane = Some(lane);
        }
        Ok(Some(page))
    }

    async fn read(&self, lane: &Lane) -> Result<Page> {
        let mut tries = self.policy.tries(self.doing);
        let mut budget = Budget {
            objects: self.objects,
            goes_on: self.is_settled,
            ..self.most
        };
        loop {
            let error = match self.source.fetch(lane, &lane.cursor, budget).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            if matches!(error.reaction(), Reaction::Suspect | Reaction::TooLarge) {
                if budget.objects > 1 {
                    budget.objects /= 2;
                    continue;
                }
                let passed = self.source.pass_over(lane, &lane.cursor, error.message());
                if let Ok(Some(page)) = passed.await {
                    return Ok(page);
                }
            }
            tries.pause(error).await?;
        }
    }

    /// As many objects as fill a page, but never suddenly many more than before.
    fn adapt(&mut self, page: &Page) {
        if page.keys.is_empty() {
            return;
        }
        let each = (page.bytes / page.keys.len()).max(1);
        let fitting = u32::try_from(self.most.bytes / each).unwrap_or(u32::MAX);
        let wanted = fitting.clamp(1, self.most.objects.max(1));
        self.objects = wanted.min(self.objects.saturating_mul(4));
        self.is_settled = self.objects == wanted;
    }
}
