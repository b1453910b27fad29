//! Is it still the collection that the job began with?

use super::*;
use crate::commands::census;

/// By id, another life of the collection is not ours to empty: other shards, or, where shards say nothing, objects
/// that are all younger than the job. By creation, this is looked at right before the deletion.
pub(super) async fn check_same_life(
    session: &Session,
    state: &State,
    plan: &ClearPlan,
    request: &ClearRequest,
) -> Result<()> {
    if plan.method != ClearMethod::ById {
        return Ok(());
    }
    let then = Incarnation {
        shards: state.incarnation.clone().unwrap_or_default(),
    };
    let is_same = match then.shards.is_empty() || plan.incarnation.shards.is_empty() {
        false => then == plan.incarnation,
        true => {
            let source = CollectionSource::new(
                plan.client.clone(),
                request.collection.clone(),
                chosen(request, &plan.found, &plan.tenants)?,
                plan.read_plan,
            );
            let first = census::first(&session.context().policy, &source, 16).await?;
            let began = began(state)?;
            let is_old = |created: i64| census::is_older(created, began);
            first.is_empty() || first.iter().any(|(_, times)| is_old(times.created))
        }
    };
    match is_same {
        true => Ok(()),
        false => Err(another_life(request, state)),
    }
}

pub(super) fn another_life(request: &ClearRequest, state: &State) -> Error {
    Error::new(
        Kind::Mismatch,
        format!(
            "collection `{}` was deleted and created again since job {} began",
            request.collection, state.job
        ),
    )
    .with_hint("pass --restart to clear the new one")
}
