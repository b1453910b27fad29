//! Aggregate: exact counts.

use super::super::call::Call;
use super::super::listing::wake;
use super::filters;
use super::messages::{AggregateReply, AggregateRequest, AggregateSingle};
use super::search::class;

/// Counts objects; the error is the server's text.
pub(super) fn aggregate(
    call: &Call<'_>,
    request: &AggregateRequest,
) -> Result<AggregateReply, String> {
    wake(call, &request.collection, &request.tenant);
    let data = call.store.read();
    let parse = |text: String| format!("parse params: {text}");
    let class = class(&data, &request.collection).map_err(parse)?;
    let filter = request.filters.as_ref();
    let filter = filter
        .map(|filter| filters::read(filter, class))
        .transpose()
        .map_err(parse)?;
    let partition = class
        .partition(&request.tenant)
        .map_err(|text| format!("aggregate: {text}"))?;
    let count = match filter {
        _ if !request.objects_count => 0,
        None => partition.objects.len(),
        Some(filter) => filter.matches(&partition.objects).len(),
    };
    Ok(AggregateReply {
        took: 0.0,
        single_result: Some(AggregateSingle {
            objects_count: Some(i64::try_from(count).unwrap_or(i64::MAX)),
        }),
    })
}
