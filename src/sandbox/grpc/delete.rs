//! BatchDelete.

use super::super::batch_delete;
use super::super::call::Call;
use super::filters;
use super::messages::{BatchDeleteReply, BatchDeleteRequest, DeletedObject};
use super::search::class;

/// Deletes what the filter covers; the error is the server's text.
pub(super) fn delete(
    call: &Call<'_>,
    request: &BatchDeleteRequest,
) -> Result<BatchDeleteReply, String> {
    let mut data = call.store.write();
    let parse = |text: String| format!("batch delete params: {text}");
    let class = class(&data, &request.collection).map_err(parse)?;
    let filter = request
        .filters
        .as_ref()
        .ok_or_else(|| parse("no filters in batch delete request".to_owned()))?;
    let filter = filters::read(filter, class).map_err(parse)?;
    let name = class.name.clone();
    let tenant = request.tenant.as_deref().unwrap_or_default();
    let deletion = batch_delete::apply(call, &mut data, &name, tenant, &filter, request.dry_run)
        .map_err(|text| format!("batch delete: {text}"))?;
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    if let Some(text) = deletion.refused {
        return Ok(BatchDeleteReply {
            failed: 1,
            matches: count(deletion.matches),
            objects: vec![DeletedObject {
                uuid: Vec::new(),
                successful: false,
                error: Some(text.to_owned()),
            }],
            ..BatchDeleteReply::default()
        });
    }
    let listed = deletion.chosen.iter().filter(|_| request.verbose);
    Ok(BatchDeleteReply {
        matches: count(deletion.matches),
        successful: count(deletion.chosen.len()),
        objects: listed
            .map(|id| DeletedObject {
                uuid: id.into_bytes().to_vec(),
                successful: true,
                error: Some(String::new()),
            })
            .collect(),
        ..BatchDeleteReply::default()
    })
}
