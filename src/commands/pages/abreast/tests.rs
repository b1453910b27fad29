use std::sync::Mutex;

use super::*;
use crate::job::{Cursor, Intent, Lane};
use crate::model::{Key, ObjectId};
use crate::pipe::Nothing;

/// Lanes of two pages with one object each; what is asked for is written down.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<u64>>,
    /// The first page of the first lane comes when all that can be read meanwhile was.
    is_first_slow: bool,
    refuses: Option<u64>,
    panics: Option<u64>,
}

/// Lets everything else go on as far as it can.
async fn others() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

impl Fake {
    fn number(lane: &Lane, cursor: &Cursor) -> u64 {
        let Bounds::Frames { from, .. } = lane.bounds else {
            panic!("{lane:?}");
        };
        2 * from + u64::from(*cursor != Cursor::Start)
    }

    fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap().clone()
    }
}

impl Source for Fake {
    fn lanes(&self) -> Vec<Bounds> {
        Vec::new()
    }

    async fn fetch(&self, lane: &Lane, cursor: &Cursor, _: Budget) -> Result<Page> {
        let number = Fake::number(lane, cursor);
        self.asked.lock().unwrap().push(number);
        assert_ne!(self.panics, Some(number));
        if self.refuses == Some(number) {
            return Err(Error::new(Kind::SourceRefused, "no"));
        }
        if self.is_first_slow && number == 0 {
            others().await;
        }
        Ok(Page {
            keys: vec![Key::of(ObjectId::from_u128(number.into()))],
            objects: Arc::new(Nothing),
            unreadable: Vec::new(),
            end: Cursor::At {
                frame: number,
                ordinal: 1,
            },
            bytes: 1,
            is_last: number % 2 == 1,
        })
    }

    async fn again(&self, _: &Lane, _: &Intent, _: &[Key]) -> Result<Page> {
        Err(Error::new(Kind::Failed, "not asked for"))
    }

    async fn border(&self, _: &Lane, _: &Page) -> Result<Option<Cursor>> {
        Ok(None)
    }

    async fn pass_over(&self, _: &Lane, _: &Cursor, _: &str) -> Result<Option<Page>> {
        Ok(None)
    }
}

fn abreast(source: &Arc<Fake>, lanes: u64) -> Abreast {
    let bounds = (0..lanes).map(|from| Bounds::Frames { from, to: from + 1 });
    let most = Budget::of(10, 10);
    Abreast::of(&Policy::default(), "read", source, bounds.collect(), most)
}

/// The numbers of the pages that came, and what came then instead of a page.
async fn taken(mut pages: Abreast) -> (Vec<u64>, Option<Kind>) {
    let mut numbers = Vec::new();
    loop {
        match pages.next().await {
            Ok(Some(page)) => numbers.push(page.keys[0].id.to_u128() as u64),
            Ok(None) => return (numbers, None),
            Err(error) => return (numbers, Some(error.kind())),
        }
    }
}

#[tokio::test]
async fn pages_come_in_the_order_of_lanes_whatever_came_first() {
    for lanes in [0, 1, 3, 4, 9] {
        let source = Arc::new(Fake {
            is_first_slow: true,
            ..Fake::default()
        });
        let all = (0..2 * lanes).collect();
        assert_eq!(taken(abreast(&source, lanes)).await, (all, None));
    }
}

#[tokio::test]
async fn four_lanes_are_read_at_once_one_page_each() {
    let source = Arc::new(Fake::default());
    let mut pages = abreast(&source, 9);
    others().await;
    // The first pages of the first four.
    assert_eq!(source.asked(), [0, 2, 4, 6]);
    // What is taken makes room for the page behind it, and for no other one.
    pages.next().await.unwrap();
    others().await;
    assert_eq!(source.asked(), [0, 2, 4, 6, 1]);
}

#[tokio::test]
async fn an_error_comes_behind_everything_that_lies_before_it() {
    let source = Arc::new(Fake {
        is_first_slow: true,
        refuses: Some(3),
        ..Fake::default()
    });
    let came = taken(abreast(&source, 9)).await;
    assert_eq!(came, (vec![0, 1, 2], Some(Kind::SourceRefused)));
}

#[tokio::test]
async fn a_reader_that_falls_silent_is_no_end() {
    let source = Arc::new(Fake {
        panics: Some(17),
        ..Fake::default()
    });
    let came = taken(abreast(&source, 9)).await;
    assert_eq!(came, ((0..17).collect(), Some(Kind::Failed)));
}
