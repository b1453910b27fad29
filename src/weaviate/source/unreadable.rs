//! The one object that makes every page with it fail: it is found by counting, named and passed over.

use std::sync::Arc;

use super::{CollectionSource, collect, range};
use crate::error::{Reaction, Result};
use crate::job::{Cursor, Lane};
use crate::model::{Key, ObjectId, Tenant};
use crate::pipe::{Nothing, Page, Reject};

/// What a page of one object shows.
enum Next {
    /// There is no object any more.
    None,
    Readable,
    Unreadable,
}

impl CollectionSource {
    /// A page that names the unreadable object after `cursor` and goes on behind it; `None` if it can be read by now.
    pub(super) async fn unreadable_after(
        &self,
        lane: &Lane,
        cursor: &Cursor,
        reason: &str,
    ) -> Result<Option<Page>> {
        let (from, until) = range(lane, cursor)?;
        for tenant in self.tenants_from(from, until) {
            let after = from.filter(|key| key.tenant == *tenant).map(|key| key.id);
            match self.look_at_next(tenant, after).await? {
                Next::None => continue,
                // It can be read by now: nothing may be passed over.
                Next::Readable => return Ok(None),
                Next::Unreadable => {}
            }
            // The object is to blame only if a page can be had elsewhere: behind the last id there is an empty one.
            self.list(tenant, Some(ObjectId::MAX), 1, self.plan).await?;
            let Some(id) = self.first_id(tenant, after).await? else {
                continue;
            };
            let key = Key {
                tenant: tenant.clone(),
                id,
            };
            if until.is_some_and(|until| key > *until) {
                // It belongs to the next lane; this one has nothing before it.
                return Ok(Some(collect(Vec::new(), until.cloned(), 0, true)));
            }
            return Ok(Some(Page {
                keys: Vec::new(),
                objects: Arc::new(Nothing),
                unreadable: vec![Reject {
                    key: key.clone(),
                    reason: reason.to_owned(),
                }],
                end: Cursor::After(key),
                bytes: 0,
                is_last: false,
            }));
        }
        Ok(None)
    }

    /// What can be seen of the object after `after`.
    async fn look_at_next(&self, tenant: &Tenant, after: Option<ObjectId>) -> Result<Next> {
        match self.list(tenant, after, 1, self.plan).await {
            Ok(page) if page.len() == 0 => Ok(Next::None),
            Ok(_) => Ok(Next::Readable),
            Err(error) if error.reaction() == Reaction::Suspect => Ok(Next::Unreadable),
            Err(error) => Err(error),
        }
    }

    /// The id of the first object after `after`, found without reading it: the smallest bound up to which one is
    /// counted. About 128 calls. Reading by bisection would not do: of two such objects it may find the second.
    async fn first_id(&self, tenant: &Tenant, after: Option<ObjectId>) -> Result<Option<ObjectId>> {
        let exists = async |until: u128| {
            let until = ObjectId::from_u128(until);
            self.client
                .count_ids(&self.name, tenant, after, until)
                .await
                .map(|count| count > 0)
        };
        let (mut low, mut high) = (after.map_or(0, ObjectId::to_u128), u128::MAX);
        if !exists(high).await? {
            return Ok(None);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match exists(middle).await? {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        Ok(Some(ObjectId::from_u128(low)))
    }
}
