//! Where a lane can be cut: in the middle of what is left of it.
//!
//! That is found by galloping from the spacing of the page just read, because ids are often clustered and "the middle of what
//! remains" then lies in empty space.

use super::{CollectionSource, range};
use crate::error::Result;
use crate::job::{Cursor, Lane};
use crate::model::{Key, ObjectId, Tenant};
use crate::pipe::Page;
use crate::weaviate::reading::ReadPlan;

/// A lane is not cut for less than this many pages.
const PAGES_WORTH_A_SPLIT: u128 = 4;

impl CollectionSource {
    /// A place to cut the lane beyond `page`.
    pub(super) async fn border_beyond(&self, lane: &Lane, page: &Page) -> Result<Option<Cursor>> {
        let (Some(first), Some(last)) = (page.keys.first(), page.keys.last()) else {
            return Ok(None);
        };
        let (_, until) = range(lane, &page.end)?;
        let rest: Vec<&Tenant> = self.tenants_from(Some(last), until).skip(1).collect();
        if rest.len() >= 2 {
            // Tenants are of one size as far as anybody knows: give away the second half of them.
            let tenant = rest[rest.len() / 2 - 1].clone();
            return Ok(Some(Cursor::After(Key {
                tenant,
                id: ObjectId::MAX,
            })));
        }
        let until = until
            .filter(|until| until.tenant == last.tenant)
            .map_or(ObjectId::MAX, |until| until.id);
        let same_tenant = page
            .keys
            .iter()
            .filter(|key| key.tenant == last.tenant)
            .count();
        let first = if first.tenant == last.tenant {
            first.id
        } else {
            ObjectId::NIL
        };
        let border = self
            .border_by_galloping(&last.tenant, first, last.id, same_tenant, until)
            .await?;
        Ok(border.map(|id| {
            Cursor::After(Key {
                tenant: last.tenant.clone(),
                id,
            })
        }))
    }

    /// The first object after `id`, if any.
    async fn probe(&self, tenant: &Tenant, id: ObjectId) -> Result<Option<ObjectId>> {
        let page = self
            .list(tenant, Some(id), 1, ReadPlan::PropertiesOverRest)
            .await?;
        Ok(page.keys().next().map(|key| key.id))
    }

    /// Finds where the data of a tenant end beyond `last`, to within a quarter of the way there, and halves it.
    async fn border_by_galloping(
        &self,
        tenant: &Tenant,
        first: ObjectId,
        last: ObjectId,
        count: usize,
        until: ObjectId,
    ) -> Result<Option<ObjectId>> {
        let (first, last, until) = (first.to_u128(), last.to_u128(), until.to_u128());
        let page_span = ((last - first) / (count as u128).max(1)).saturating_mul(count as u128 + 1);
        let mut stride = page_span.max(1).saturating_mul(PAGES_WORTH_A_SPLIT);
        let mut inside = None;
        // Each probe goes four times as far as the one before: about six for a large collection, 64 at the most.
        let mut outside = loop {
            let Some(place) = last.checked_add(stride).filter(|place| *place < until) else {
                break until;
            };
            match self
                .probe(tenant, ObjectId::from_u128(place))
                .await?
                .filter(|id| id.to_u128() <= until)
            {
                Some(found) => inside = Some(found.to_u128()),
                None => break place,
            }
            // What was found may lie far beyond an empty stretch.
            stride = stride.saturating_mul(4).max(inside.unwrap_or(last) - last);
        };
        let Some(mut inside) = inside else {
            return Ok(None);
        };
        for _ in 0..3 {
            let middle = inside + (outside - inside) / 2;
            match self
                .probe(tenant, ObjectId::from_u128(middle))
                .await?
                .filter(|id| id.to_u128() <= until)
            {
                Some(found) => inside = found.to_u128().max(middle),
                None => outside = middle,
            }
        }
        let middle = last + (inside - last) / 2;
        // The border is put where data are, not into a gap before them.
        let border = self
            .probe(tenant, ObjectId::from_u128(middle))
            .await?
            .map_or(middle, |id| id.to_u128());
        Ok((border > last.saturating_add(page_span) && border < until)
            .then(|| ObjectId::from_u128(border)))
    }
}
