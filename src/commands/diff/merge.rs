//! Two ends merged by (tenant, id): every object of both is looked at once, in the memory of two pages each.
//!
//! Objects are compared by the hashes of their canonical forms. Only those that differ and are to be shown are taken
//! apart, a page of them at a time.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::found::{Change, Counts, Difference, MOST_PARTS};
use super::reading::{Entry, Leaf, Reading, Stop};
use crate::error::Result;
use crate::event::{Event, Reporter};
use crate::format::{Portrait, Portrayer, Shape, Tallies};
use crate::model::{Key, Times};

/// What is made of an object that is not alike at both ends.
pub(super) enum Judgement {
    Differs,
    /// It differs for a known reason, and is counted by it.
    Explained(&'static str),
    /// It is no matter here.
    Ignored,
}

/// Decides about objects that are not alike.
pub(super) trait Judge: Sync {
    /// `times` are those of the object at the second end, if it is there.
    fn judge(&self, change: Change, key: &Key, times: Option<Times>) -> Judgement;
}

/// One end of the merge.
pub(super) struct Side {
    reading: Reading,
    shape: Arc<Shape>,
    leaf: Option<Leaf>,
    at: usize,
    last: Option<Key>,
    pub tallies: Tallies,
}

impl Side {
    pub fn new(reading: Reading, shape: Arc<Shape>) -> Self {
        Side {
            reading,
            shape,
            leaf: None,
            at: 0,
            last: None,
            tallies: Tallies::default(),
        }
    }

    fn entry(&self) -> Option<&Entry> {
        self.leaf.as_ref()?.entries.get(self.at)
    }

    /// True if a page was read and nothing of it is left.
    fn is_page_over(&self) -> bool {
        self.leaf.is_some() && self.entry().is_none()
    }

    fn is_repeated(&self) -> bool {
        self.entry()
            .is_some_and(|entry| Some(&entry.key) == self.last.as_ref())
    }

    fn pass(&mut self) {
        self.last = self.entry().map(|entry| entry.key.clone());
        self.at += 1;
    }

    async fn turn_page(&mut self) -> Result<(), Stop> {
        self.leaf = self.reading.next().await?;
        self.at = 0;
        if let Some(leaf) = &self.leaf {
            self.tallies.merge(leaf.tallies.list());
        }
        Ok(())
    }

    /// The wanted objects of this page taken apart. Of a repeated key the first one is meant.
    fn portraits(&self, wanted: &BTreeSet<Key>) -> Result<BTreeMap<Key, Portrait>> {
        let Some(leaf) = &self.leaf else {
            return Ok(BTreeMap::new());
        };
        let mut portrayer = Portrayer::new(self.shape.clone(), |key: &Key| wanted.contains(key));
        leaf.objects.walk(&mut portrayer)?;
        let mut portraits = BTreeMap::new();
        for (key, portrait) in portrayer.finish() {
            portraits.entry(key).or_insert(portrait);
        }
        Ok(portraits)
    }
}

/// A merge at work.
pub(super) struct Merge<'a> {
    pub one: Side,
    pub two: Side,
    pub judge: &'a dyn Judge,
    pub reporter: &'a dyn Reporter,
    /// Objects expected at the end that has more, if known.
    pub total: Option<u64>,
    /// At most so many differences are shown.
    pub limit: usize,
    pub with_vectors: bool,
    pub counts: Counts,
    pub shown: Vec<Difference>,
    /// Shown objects of the pages at hand that are to be taken apart, by their place among the shown.
    pending: BTreeMap<Key, usize>,
}

impl<'a> Merge<'a> {
    pub fn new(one: Side, two: Side, judge: &'a dyn Judge, reporter: &'a dyn Reporter) -> Self {
        Merge {
            one,
            two,
            judge,
            reporter,
            total: None,
            limit: 0,
            with_vectors: true,
            counts: Counts::default(),
            shown: Vec::new(),
            pending: BTreeMap::new(),
        }
    }

    /// Reads both ends to their last object.
    pub async fn run(&mut self) -> Result<(), Stop> {
        // Both at once: neither end waits for the other.
        let (one, two) = tokio::join!(self.one.turn_page(), self.two.turn_page());
        one.and(two)?;
        loop {
            self.turn_pages().await?;
            match (self.one.entry(), self.two.entry()) {
                (None, None) => return Ok(()),
                (one, two) => match order(one, two) {
                    Ordering::Less => self.only_one(),
                    Ordering::Greater => self.only_two(),
                    Ordering::Equal => self.in_both(),
                },
            }
        }
    }

    /// What is to be taken apart is, before a page that holds it goes.
    async fn turn_pages(&mut self) -> Result<(), Stop> {
        if !(self.one.is_page_over() || self.two.is_page_over()) {
            return Ok(());
        }
        self.explain()?;
        if self.one.is_page_over() {
            self.one.turn_page().await?;
        }
        if self.two.is_page_over() {
            self.two.turn_page().await?;
        }
        let objects = self.one.tallies.count().max(self.two.tallies.count());
        self.reporter.event(&Event::Compared {
            objects,
            total: self.total,
        });
        Ok(())
    }

    fn only_one(&mut self) {
        let change = match self.one.is_repeated() {
            true => Change::RepeatedInOne,
            false => Change::Missing,
        };
        if let Some(key) = self.one.entry().map(|entry| entry.key.clone()) {
            self.note(change, key, None);
        }
        self.one.pass();
    }

    fn only_two(&mut self) {
        let change = match self.two.is_repeated() {
            true => Change::RepeatedInTwo,
            false => Change::Extra,
        };
        if let Some((key, times)) = self
            .two
            .entry()
            .map(|entry| (entry.key.clone(), entry.times))
        {
            self.note(change, key, Some(times));
        }
        self.two.pass();
    }

    fn in_both(&mut self) {
        if let (Some(one), Some(two)) = (self.one.entry(), self.two.entry()) {
            match (one.hash, two.hash) {
                (None, _) | (_, None) => self.counts.unreadable += 1,
                (Some(ours), Some(theirs)) if ours == theirs => {}
                _ => {
                    let (key, times) = (two.key.clone(), two.times);
                    self.note(Change::Different, key, Some(times));
                }
            }
        }
        self.one.pass();
        self.two.pass();
    }

    fn note(&mut self, change: Change, key: Key, times: Option<Times>) {
        match self.judge.judge(change, &key, times) {
            Judgement::Ignored => {}
            Judgement::Explained(why) => *self.counts.explained.entry(why).or_default() += 1,
            Judgement::Differs => {
                self.counts.count(change);
                self.show(change, key);
            }
        }
    }

    fn show(&mut self, change: Change, key: Key) {
        if self.shown.len() >= self.limit {
            return;
        }
        if change == Change::Different {
            self.pending.insert(key.clone(), self.shown.len());
        }
        self.shown.push(Difference::Object {
            key,
            change,
            parts: Vec::new(),
            part_count: 0,
        });
    }

    /// Says in what the pending objects differ. They lie in the pages at hand.
    fn explain(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let wanted: BTreeSet<Key> = self.pending.keys().cloned().collect();
        let (ones, mut twos) = (self.one.portraits(&wanted)?, self.two.portraits(&wanted)?);
        for (key, one) in ones {
            let two = twos.remove(&key).unwrap_or_default();
            let mut differing = one.parts_that_differ(&two);
            if !self.with_vectors {
                differing.retain(|part| matches!(part, crate::format::Part::Property { .. }));
            }
            let place = self.pending.get(&key).copied().unwrap_or(usize::MAX);
            if let Some(Difference::Object {
                parts, part_count, ..
            }) = self.shown.get_mut(place)
            {
                *part_count = differing.len();
                differing.truncate(MOST_PARTS);
                *parts = differing;
            }
        }
        self.pending.clear();
        Ok(())
    }
}

/// Which of two heads comes first; a head that is missing comes last.
fn order(one: Option<&Entry>, two: Option<&Entry>) -> Ordering {
    match (one, two) {
        (Some(one), Some(two)) => one.key.cmp(&two.key),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::Everything;
    use super::super::end::Scope;
    use super::super::reading::Feed;
    use super::*;
    use crate::event::Silent;
    use crate::job::Cursor;
    use crate::model::{Definition, ObjectId};
    use crate::pipe::{Page, Visit, Walk};

    const PAGES: u64 = 300;
    const OBJECTS: u64 = 10;

    /// How many pages there are now, and how many there were at most.
    #[derive(Default)]
    struct Held(Mutex<(i32, i32)>);

    struct Counted {
        keys: Vec<Key>,
        held: Arc<Held>,
    }

    impl Counted {
        fn of(keys: Vec<Key>, held: &Arc<Held>) -> Self {
            let mut counts = held.0.lock().unwrap();
            counts.0 += 1;
            counts.1 = counts.1.max(counts.0);
            drop(counts);
            let held = held.clone();
            Counted { keys, held }
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.held.0.lock().unwrap().0 -= 1;
        }
    }

    impl Walk for Counted {
        fn walk(&self, visit: &mut dyn Visit) -> Result<()> {
            self.keys.iter().try_for_each(|key| {
                visit.object(key, Times::default())?;
                visit.end()
            })
        }
    }

    /// Pages of ids that count up by `step`.
    fn side(step: u64, held: &Arc<Held>) -> Side {
        let definition = Definition::parse(r#"{"class":"A"}"#.to_owned()).unwrap();
        let shape = Shape::of(&definition).unwrap();
        let (mut page, held) = (0, held.clone());
        let next = move || {
            let from = page * OBJECTS;
            page += 1;
            let id = |at: u64| Key::of(ObjectId::from_u128(u128::from(at * step)));
            let keys: Vec<Key> = (from..from + OBJECTS).map(id).collect();
            (page <= PAGES).then(|| Page {
                keys: keys.clone(),
                objects: Arc::new(Counted::of(keys, &held)),
                unreadable: Vec::new(),
                end: Cursor::Start,
                bytes: 0,
                is_last: false,
            })
        };
        let scope = Scope::default();
        let reading = Reading::begin(Feed::Scripted(Box::new(next)), shape.clone(), &scope);
        Side::new(reading, shape)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_pages_of_each_end_are_held_however_many_there_are() {
        let held = Arc::new(Held::default());
        let (one, two) = (side(1, &held), side(3, &held));
        let mut merge = Merge::new(one, two, &Everything, &Silent);
        merge.limit = 5;
        assert!(merge.run().await.is_ok());
        // Every third one of the first is in the second, up to where the first ends.
        let (all, both) = (PAGES * OBJECTS, PAGES * OBJECTS / 3);
        let counts = (merge.counts.missing, merge.counts.extra);
        assert_eq!(counts, (all - both, all - both));
        assert_eq!(merge.shown.len(), 5);
        let most = held.0.lock().unwrap().1;
        // While a page is read, one waits for it and one is compared; at the turn the old one goes first.
        assert!(most <= 4, "{most} pages were held");
    }
}
