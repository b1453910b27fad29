//! What a dry run says of size and requests: a small sample, measured and multiplied. Estimates, and called so.
//!
//! A sample that cannot be read makes the estimate unknown, never the dry run a failure: nothing depends on it.

use super::session::{Session, grouped};
use crate::archive::{Archive, Format};
use crate::engine;
use crate::error::Result;
use crate::event::Plan;
use crate::format::{Codec, Framing, LineWriter, Vectors};
use crate::job::Lane;
use crate::model::{Key, Times};
use crate::pipe::{Budget, Sink, Source, Vector, Visit};
use crate::weaviate::CollectionSink;

const SAMPLE: Budget = Budget::of(100, 4 << 20);

/// More would cost requests of their own, and show little more.
pub(super) const SAMPLED_TENANTS: usize = 3;

/// Looks, counts and stages around the data: few, and about as many in every job.
const AROUND: u64 = 10;

/// How an archive spells its objects.
#[derive(Clone, Copy)]
pub(super) struct Spelling {
    pub format: Format,
    pub codec: Codec,
}

/// As they go over the wire.
pub(super) const JSON: Spelling = Spelling {
    format: Format::Json,
    codec: Codec::None,
};

/// Some objects as they would be stored.
struct Sample {
    objects: u64,
    /// Of the text.
    bytes: u64,
    /// Of what is stored of it.
    stored: u64,
}

/// The requests that one object, and one tenant, cost.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    /// For each page of objects.
    pub per_page: u64,
    /// The most objects in a page.
    pub most_in_page: u32,
    /// For each tenant, at least one.
    pub per_tenant: u64,
}

/// Adds size and requests to the plan of a job that moves so many objects of so many tenants.
pub(super) async fn describe<S: Source>(
    session: &Session,
    plan: &mut Plan,
    (source, spelling): (&S, Spelling),
    (objects, tenants): (u64, u64),
    cost: Cost,
) {
    let sample = match objects {
        0 => Some(Sample::NONE),
        _ => Sample::take(source, spelling).await.ok(),
    };
    let Some(sample) = sample.filter(|sample| sample.objects > 0 || objects == 0) else {
        plan.field("size estimate", "unknown: a sample could not be read");
        return;
    };
    let size = match objects {
        0 => "the definition alone".to_owned(),
        _ => sample.size_of(objects),
    };
    plan.field("size estimate", size);
    let page = engine::usual_page(
        &session.tuning,
        cost.most_in_page,
        objects,
        sample.bytes_per_object(),
    );
    let pages = objects.div_ceil(page) * cost.per_page;
    let requests = pages + tenants.max(1) * cost.per_tenant + AROUND;
    plan.field("requests", format!("about {}", grouped(requests)));
}

/// Adds size and requests to the plan of a restore.
pub(super) async fn describe_restore(
    session: &Session,
    plan: &mut Plan,
    archive: &Archive,
    with_data: bool,
) {
    let objects = match with_data {
        true => archive.object_count(),
        false => 0,
    };
    let cost = Cost {
        per_page: 1,
        most_in_page: CollectionSink::MOST,
        per_tenant: 1,
    };
    let tenants = archive.tenants().len() as u64;
    let source = archive.source();
    describe(session, plan, (&source, JSON), (objects, tenants), cost).await;
}

impl Sample {
    const NONE: Sample = Sample {
        objects: 0,
        bytes: 0,
        stored: 0,
    };

    /// From the beginning of the first lane: ids are random in most collections.
    async fn take<S: Source>(source: &S, spelling: Spelling) -> Result<Sample> {
        let Some(bounds) = source.lanes().into_iter().next() else {
            return Ok(Sample::NONE);
        };
        let lane = Lane::alone(bounds);
        let page = source.fetch(&lane, &lane.cursor, SAMPLE).await?;
        let mut lines = spelling.lines();
        page.objects.walk(&mut lines)?;
        let text = lines.0.text();
        Ok(Sample {
            objects: page.keys.len() as u64,
            bytes: text.len() as u64,
            stored: spelling.codec.compress(text)?.len() as u64,
        })
    }

    fn bytes_per_object(&self) -> u64 {
        self.bytes / self.objects.max(1)
    }

    fn size_of(&self, objects: u64) -> String {
        if objects <= self.objects {
            return about(self.stored);
        }
        let bytes = u128::from(self.stored) * u128::from(objects) / u128::from(self.objects.max(1));
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        format!(
            "{}, from a sample of {}",
            about(bytes),
            grouped(self.objects)
        )
    }
}

impl Spelling {
    fn lines(self) -> Lines {
        let (vectors, framing) = match self.format {
            Format::Json => (Vectors::Decimal, Framing::Array),
            Format::Jsonl => (Vectors::Base64, Framing::Lines),
        };
        Lines(LineWriter::new("Collection", vectors, framing))
    }
}

/// Lines as an archive writes them.
struct Lines(LineWriter);

impl Visit for Lines {
    fn object(&mut self, key: &Key, times: Times) -> Result<()> {
        self.0.object(key, times)
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        self.0.property(name, json)
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<()> {
        self.0.vector(name, vector)
    }

    fn end(&mut self) -> Result<()> {
        self.0.end()
    }
}

/// Two digits, in powers of ten: more would not be true.
fn about(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 995.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = usize::from(value < 9.95 && unit > 0);
    let rounded = match value >= 100.0 {
        true => (value / 10.0).round() * 10.0,
        false => value,
    };
    format!("about {rounded:.decimals$} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_digits() {
        let cases = [
            (0, "about 0 B"),
            (7, "about 7 B"),
            (994, "about 990 B"),
            (999, "about 1.0 kB"),
            (9_949, "about 9.9 kB"),
            (9_951, "about 10 kB"),
            (123_456_789, "about 120 MB"),
            (u64::MAX, "about 18450 PB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(about(bytes), text);
        }
    }

    #[test]
    fn a_sample_stands_for_all_and_a_whole_one_for_itself() {
        let sample = Sample {
            objects: 100,
            bytes: 10_000,
            stored: 4_000,
        };
        assert_eq!(sample.size_of(100), "about 4.0 kB");
        assert_eq!(
            sample.size_of(1_000_000),
            "about 40 MB, from a sample of 100"
        );
        assert_eq!(sample.bytes_per_object(), 100);
    }
}
