//! `col diff`: two ends, each a collection or an archive, compared in every object; and the same for what was just
//! backed up or restored.
//!
//! Both ends are read to their last object in the order of (tenant, id) and merged; nothing is written, no tenant is
//! woken, and there is no journal: a comparison that was stopped begins anew. The memory is that of two pages of
//! each end, of a few smaller ones where tenants are read several at a time, and of the differences that are shown.

mod definition;
mod end;
mod found;
mod live;
mod merge;
mod reading;
mod sort;
mod words;

use std::collections::BTreeSet;

use super::session::{Session, grouped};
use crate::archive::Archive;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Plan};
use crate::format::Shape;
use crate::model::{Key, Times};
use crate::weaviate::Role;

pub use end::End;
pub use found::{Change, Comparison, Counts, Difference, EndTally, MOST_PARTS};
pub use live::verify_live;
pub(super) use live::{DELETED_SINCE, SinceBackup, another_life, verify_backup, verify_restore};

use end::{Scope, Seen};
use merge::{Judge, Judgement, Merge, Side};
use reading::{Reading, Stop};

/// What `col diff` was asked for.
#[derive(Clone, Debug)]
pub struct DiffRequest {
    /// The first end.
    pub one: End,
    /// The second end.
    pub two: End,
    /// At most so many differences are shown; all are counted.
    pub limit: usize,
    /// Leave inactive tenants out instead of refusing.
    pub skip_inactive: bool,
}

/// Compares two ends. Every object of both was read when this returns; that they differ is no error.
pub async fn diff(session: &Session, request: &DiffRequest) -> Result<Comparison> {
    let one = Seen::look(session, &request.one, Role::Source).await?;
    let two = Seen::look(session, &request.two, Role::Source).await?;
    let wanted = Wanted {
        limit: request.limit,
        skip_inactive: request.skip_inactive,
        is_archive_the_measure: false,
        is_definition_compared: true,
        is_change_told: true,
    };
    compare(session, one, two, &wanted, &Everything).await
}

/// How two ends are compared.
struct Wanted {
    limit: usize,
    skip_inactive: bool,
    /// What an archive was not made to hold is no matter.
    is_archive_the_measure: bool,
    /// Definition, tenants and aliases too, not objects alone.
    is_definition_compared: bool,
    /// Live ends are counted again at the end.
    is_change_told: bool,
}

/// Whatever is not alike differs.
struct Everything;

impl Judge for Everything {
    fn judge(&self, _: Change, _: &Key, _: Option<Times>) -> Judgement {
        Judgement::Differs
    }
}

async fn compare(
    session: &Session,
    one: Seen,
    two: Seen,
    wanted: &Wanted,
    judge: &dyn Judge,
) -> Result<Comparison> {
    let scope = Scope::of(&one, &two, wanted.skip_inactive)?;
    session.show_plan(&plan(&one, &two, &scope));
    let mut found = Comparison {
        one: EndTally::named(&one.title),
        two: EndTally::named(&two.title),
        left_out: scope.inactive.clone(),
        ..Comparison::default()
    };
    for seen in [&one, &two] {
        let doubt = seen.archive().and_then(Archive::doubt);
        found
            .left_out
            .extend(doubt.map(|doubt| format!("{}: {doubt}", seen.title)));
    }
    match wanted.is_archive_the_measure {
        true => {
            let said = |what: &String| format!("not compared: {what}");
            found.notes.extend(scope.narrowed.iter().map(said));
        }
        false => found.left_out.extend(scope.narrowed.iter().cloned()),
    }
    if wanted.is_definition_compared {
        definition::compare(&one, &two, wanted.limit, &mut found)?;
    }
    let doing = "compare objects";
    session.reporter.event(&Event::Stage { doing });
    let ends = Ends { one, two, scope };
    ends.objects(session, wanted.limit, judge, &mut found)
        .await?;
    ends.one.check_same_life(session).await?;
    ends.two.check_same_life(session).await?;
    check_digests(&found)?;
    let replicas = [&ends.one, &ends.two]
        .into_iter()
        .filter_map(Seen::degraded);
    let replicas = replicas.map(|why| format!("every replica: {why}"));
    // Both ends may be one collection.
    found
        .left_out
        .extend(replicas.collect::<BTreeSet<String>>());
    if wanted.is_change_told && found.counts.unreadable == 0 {
        for (seen, read) in [(&ends.one, &found.one), (&ends.two, &found.two)] {
            found.notes.extend(seen.changes(session, read).await?);
        }
    }
    Ok(found)
}

fn plan(one: &Seen, two: &Seen, scope: &Scope) -> Plan {
    let mut plan = Plan::new("compare two ends");
    for (name, seen) in [("one", one), ("other", two)] {
        plan.field(name, &seen.title);
        if let Some(total) = seen.total {
            plan.field(format!("objects of {name}"), grouped(total));
        }
    }
    for what in scope.narrowed.iter().chain(&scope.inactive) {
        plan.field("left out", what);
    }
    plan
}

struct Ends {
    one: Seen,
    two: Seen,
    scope: Scope,
}

impl Ends {
    /// An archive that turns out not to be in order is sorted, and everything is compared again.
    async fn objects(
        &self,
        session: &Session,
        limit: usize,
        judge: &dyn Judge,
        found: &mut Comparison,
    ) -> Result<()> {
        if !self.scope.objects {
            return Ok(());
        }
        let outcome = match self.merge(session, limit, judge, found, false).await {
            Err(Stop::Disorder) => self.merge(session, limit, judge, found, true).await,
            outcome => outcome,
        };
        outcome.map_err(|stop| match stop {
            Stop::Failed(error) => error,
            Stop::Disorder => Error::new(Kind::Failed, "sorted objects came out of order"),
        })
    }

    async fn merge(
        &self,
        session: &Session,
        limit: usize,
        judge: &dyn Judge,
        found: &mut Comparison,
        unsorted: bool,
    ) -> Result<(), Stop> {
        let one = self.side(session, &self.one, unsorted).await?;
        let two = self.side(session, &self.two, unsorted).await?;
        let mut merge = Merge::new(one, two, judge, &*session.reporter);
        merge.total = self.one.total.max(self.two.total);
        merge.limit = limit.saturating_sub(found.shown.len());
        merge.with_vectors = self.scope.vectors;
        merge.run().await?;
        found.one = EndTally::of(self.one.title.clone(), &merge.one.tallies);
        found.two = EndTally::of(self.two.title.clone(), &merge.two.tallies);
        found.counts.add_objects(merge.counts);
        found.shown.extend(merge.shown);
        Ok(())
    }

    async fn side(&self, session: &Session, seen: &Seen, unsorted: bool) -> Result<Side> {
        let shape = Shape::of(&seen.definition)?;
        let feed = seen.feed(session, &self.scope, unsorted).await?;
        let reading = Reading::begin(feed, shape.clone(), &self.scope);
        Ok(Side::new(reading, shape))
    }
}

/// Two ways to the same answer: ends whose objects are pairwise equal have one digest.
fn check_digests(found: &Comparison) -> Result<()> {
    let counts = &found.counts;
    let is_equal = counts.objects() == 0 && counts.unreadable == 0 && counts.explained.is_empty();
    let (one, two) = (&found.one, &found.two);
    // What else is in the collection that was merged into may be no matter.
    let is_whole = one.objects == two.objects;
    match is_equal && is_whole && one.digest != two.digest {
        true => Err(Error::new(
            Kind::Difference,
            "the objects compare equal one by one, but their digests differ",
        )),
        false => Ok(()),
    }
}
