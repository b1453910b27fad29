//! How much to ask for at once, from the bytes seen so far; and how fast.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::job::Tuning;
use crate::pipe::{Budget, Page};

/// All pages in flight together.
const BYTES_IN_FLIGHT: usize = 48 << 20;
/// Larger ones are not read faster, and take the memory and the caches of both sides.
const PAGE_BYTES: usize = 4 << 20;
/// What a plan takes for a lane's size in pages.
const USUAL_FOOTPRINT: usize = 4;
/// Ids of one batch that fit one journal record.
const FIRST_PAGE: u32 = 1_000;
/// The first page of a source that knows no sizes shows how large objects are: a thousand might be a gigabyte.
const FIRST_LOOK: u32 = 32;
/// By so much pages grow at most, from one to the next; after one that was too large, they only double.
const GROWTH: u32 = 8;

/// What all pages in flight may hold together, in bytes.
pub(super) fn in_flight(tuning: &Tuning) -> usize {
    BYTES_IN_FLIGHT.min((tuning.max_memory / 4) as usize)
}

/// True if the memory that was allowed makes pages smaller.
pub(super) fn is_narrow(tuning: &Tuning) -> bool {
    in_flight(tuning) < BYTES_IN_FLIGHT
}

/// The size of one lane's next page.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// So many pages of a lane are read while others are written.
    pub ahead: usize,
    bytes: usize,
    /// Upper bound, however small the objects are.
    most: u32,
    least: u32,
    objects: u32,
    growth: u32,
    bytes_per_object: Option<usize>,
    /// True if the page after the next will be about as large.
    pub is_settled: bool,
}

impl Pace {
    /// For so many lanes at once, each as large as so many pages, over about `total` objects; at `most` so many objects in a
    /// page, if nothing else was chosen.
    pub fn new(
        tuning: &Tuning,
        (workers, footprint): (usize, usize),
        most: u32,
        total: Option<u64>,
    ) -> Self {
        // Reading and writing take about as long as each other, but not at every page: a lane alone evens that out with
        // pages of its own (one waits, one comes, one is asked for behind it), several lanes even each other out.
        let ahead = if workers <= 1 { 3 } else { 1 };
        let pages = workers.max(1) * (footprint + ahead - 1);
        let bytes = (in_flight(tuning) / pages).clamp(64 << 10, PAGE_BYTES);
        let least = match total {
            Some(total) if total < 1_000 => 100,
            Some(total) if total < 100_000 => 500,
            _ => 1_000,
        };
        let most = tuning.batch_size.unwrap_or(most.max(least)).max(1);
        Pace {
            ahead,
            bytes,
            most,
            least: least.min(most),
            objects: FIRST_PAGE.min(most),
            growth: GROWTH,
            bytes_per_object: None,
            is_settled: false,
        }
    }

    /// Begins with a look at a few objects, unless a size was chosen.
    pub fn with_first_look(mut self, tuning: &Tuning) -> Self {
        if tuning.batch_size.is_none() {
            self.objects = self.objects.min(FIRST_LOOK);
        }
        self
    }

    pub fn budget(&self) -> Budget {
        Budget::of(self.objects, self.bytes)
    }

    /// Adapts to what a page turned out to hold.
    pub fn saw(&mut self, page: &Page) {
        if page.keys.is_empty() {
            return;
        }
        self.saw_size(page.bytes / page.keys.len());
    }

    fn saw_size(&mut self, seen: usize) {
        // Smoothed, but growth counts at once: a page that is too large costs memory, one too small costs little.
        let average = self
            .bytes_per_object
            .map_or(seen, |old| seen.max((old * 3 + seen) / 4));
        self.bytes_per_object = Some(average);
        let fitting = (self.bytes / average.max(1)).clamp(1, self.most as usize) as u32;
        let floor = if self.least as usize * average <= 2 * self.bytes {
            self.least
        } else {
            1
        };
        // A page that shrank after an error grows back step by step.
        let wanted = fitting.max(floor).min(self.most);
        self.objects = wanted.min(self.objects.saturating_mul(self.growth));
        self.is_settled = self.objects == wanted;
    }

    /// The bytes that the next page may have; 0 before the first one was seen.
    pub fn expected_bytes(&self) -> usize {
        self.objects as usize * self.bytes_per_object.unwrap_or(0)
    }

    /// Half of it; false if it is one object already.
    pub fn halve(&mut self) -> bool {
        let was = self.objects;
        self.growth = 2;
        self.is_settled = false;
        self.objects = (self.objects / 2).max(1);
        was > 1
    }
}

/// About how many objects the pages of a run will hold, for who only plans one.
pub fn usual_page(tuning: &Tuning, most: u32, total: u64, bytes_per_object: u64) -> u64 {
    let workers = tuning.workers.unwrap_or(1) as usize;
    let mut pace = Pace::new(tuning, (workers, USUAL_FOOTPRINT), most, Some(total));
    // As often as it takes to grow from the first page to the largest.
    for _ in 0..2 {
        pace.saw_size(bytes_per_object as usize);
    }
    u64::from(pace.objects.max(1))
}

/// Keeps a run below its rates; shared by all lanes.
pub(super) struct Brake {
    objects_per_second: Option<f64>,
    bytes_per_second: Option<f64>,
    free_at: Mutex<Instant>,
}

impl Brake {
    pub fn new(tuning: &Tuning) -> Self {
        Brake {
            objects_per_second: tuning.objects_per_second,
            bytes_per_second: tuning.bytes_per_second,
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// True if no rate was chosen.
    pub fn is_off(&self) -> bool {
        self.objects_per_second.is_none() && self.bytes_per_second.is_none()
    }

    /// How long to wait before going on after a page, so that the rates hold on average.
    pub fn after(&self, page: &Page) -> Duration {
        let seconds = [
            self.objects_per_second
                .map(|rate| page.keys.len() as f64 / rate),
            self.bytes_per_second.map(|rate| page.bytes as f64 / rate),
        ]
        .into_iter()
        .flatten()
        .fold(0.0, f64::max);
        let cost = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let now = Instant::now();
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        *free_at = (*free_at).max(now) + cost;
        free_at.duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Cursor;
    use crate::model::{Key, ObjectId};
    use crate::pipe::Nothing;
    use std::sync::Arc;

    fn page(objects: usize, bytes: usize) -> Page {
        Page {
            keys: vec![Key::of(ObjectId::NIL); objects],
            objects: Arc::new(Nothing),
            unreadable: Vec::new(),
            end: Cursor::Start,
            bytes,
            is_last: false,
        }
    }

    #[test]
    fn pages_shrink_for_large_objects_and_a_given_size_is_the_upper_bound() {
        let mut pace = Pace::new(&Tuning::default(), (4, 4), 2_000, Some(1_000_000));
        pace.saw(&page(1_000, 1_000 * 1_000_000));
        assert!(pace.budget().objects <= 8, "{:?}", pace.budget());
        let mut given = Pace::new(
            &Tuning {
                batch_size: Some(7),
                ..Tuning::default()
            },
            (4, 4),
            2_000,
            None,
        );
        given.saw(&page(7, 70));
        assert_eq!(given.budget().objects, 7);
    }

    #[test]
    fn small_objects_come_in_pages_not_below_the_table() {
        for (total, least) in [(500, 100), (50_000, 500), (5_000_000, 1_000)] {
            let mut pace = Pace::new(&Tuning::default(), (4, 4), 2_000, Some(total));
            pace.saw(&page(1_000, 1_000 * 4_000));
            assert!(
                pace.budget().objects >= least,
                "{total}: {:?}",
                pace.budget()
            );
        }
    }

    #[test]
    fn a_first_page_that_was_too_large_is_not_what_lanes_are_counted_by() {
        let mut pace = Pace::new(&Tuning::default(), (4, 4), 2_000, Some(20_000));
        pace.saw(&page(1_000, 1_000 * 12_500));
        let best = pace.budget().bytes;
        assert!((best / 2..2 * best).contains(&pace.expected_bytes()));
    }

    #[test]
    fn a_first_look_is_small_and_what_follows_is_as_large_as_it_showed() {
        let tuning = Tuning::default();
        let look = || Pace::new(&tuning, (4, 4), 2_000, Some(200_000)).with_first_look(&tuning);
        let (mut small, mut huge) = (look(), look());
        assert!(small.budget().objects <= 64);
        for _ in 0..2 {
            small.saw(&page(32, 32 * 2_000));
            huge.saw(&page(32, 32 * 1_000_000));
        }
        assert!(small.budget().objects >= 1_000, "{:?}", small.budget());
        assert!(huge.budget().objects <= 4, "{:?}", huge.budget());
        let chosen = Tuning {
            batch_size: Some(500),
            ..tuning
        };
        let pace = Pace::new(&chosen, (4, 4), 2_000, None).with_first_look(&chosen);
        assert_eq!(pace.budget().objects, 500);
    }

    #[test]
    fn after_halving_pages_grow_back() {
        let mut pace = Pace::new(&Tuning::default(), (1, 4), 2_000, None);
        while pace.halve() {}
        assert_eq!(pace.budget().objects, 1);
        for _ in 0..12 {
            pace.saw(&page(1, 10));
        }
        assert!(pace.budget().objects >= 1_000);
    }

    #[test]
    fn a_rate_is_kept_on_average() {
        let brake = Brake::new(&Tuning {
            objects_per_second: Some(100.0),
            ..Tuning::default()
        });
        let waits: Vec<Duration> = (0..3).map(|_| brake.after(&page(50, 1))).collect();
        assert!(
            waits[2] > Duration::from_millis(1_400) && waits[2] <= Duration::from_millis(1_500),
            "{waits:?}"
        );
    }
}
