//! Batch delete.

use serde_json::{Value, json};
use uuid::Uuid;

use super::call::{Call, Shape};
use super::filter::{Filter, OPERATORS};
use super::json::Json;
use super::reply::{Answer, Reply};
use super::store::{Data, capitalised};

const BODY: Shape = Shape::object("models.BatchDelete");
/// The year 1, which is what a time that was never set reads as.
const NO_TIME: i64 = -62_135_596_800_000;
const READ_ONLY: &str = "store is read-only due to: manually set by user";

pub(super) fn delete(call: &Call<'_>) -> Answer {
    let body = call.json(&BODY)?;
    BODY.check(
        body.get("match"),
        "BatchDelete.match",
        "models.BatchDeleteMatch",
        |value| matches!(value, Json::Object(_)),
    )?;
    let matched = body.get("match");
    let condition = matched.and_then(|matched| matched.get("where"));
    if let Some(condition) = condition {
        check_types(condition)?;
    }
    call.check_consistency_level()?;
    let invalid = |text: &str| Reply::error(422, format!("validate: {text}"));
    let matched = matched.ok_or_else(|| invalid("empty match clause"))?;
    if matched.text_of("class").is_empty() {
        return Err(invalid("empty match.class clause"));
    }
    let condition = condition
        .ok_or_else(|| invalid("empty match.where clause"))?
        .to_value();
    let mut data = call.store.write();
    let name = data.resolve(matched.text_of("class"));
    let class = data
        .classes
        .get(&name)
        .ok_or_else(|| invalid(&format!("failed to get class: {name}")))?;
    let filter = Filter::read(&condition, class).map_err(|text| invalid(&text))?;
    let verbose = is_verbose(body.text_of("output"))?;
    let dry_run = body.get("dryRun").and_then(Json::bool).unwrap_or(false);
    let deletion = apply(call, &mut data, &name, call.tenant(), &filter, dry_run)
        .map_err(|text| Reply::error(422, format!("batch delete objects: {text}")))?;
    let results = results(call, &deletion, verbose, dry_run);
    let time = body
        .get("deletionTimeUnixMilli")
        .map_or(json!(NO_TIME), Json::to_value);
    Ok(Reply::ok(&json!({
        "deletionTimeUnixMilli": time, "dryRun": dry_run, "output": if verbose { "verbose" } else { "minimal" },
        "match": {"class": name, "where": echo(&condition)}, "results": results,
    })))
}

fn is_verbose(word: &str) -> Result<bool, Reply> {
    match word {
        "" | "minimal" => Ok(false),
        "verbose" => Ok(true),
        other => {
            let known = "possible values are: \"minimal\", \"verbose\"";
            Err(Reply::error(
                500,
                format!("validate: invalid output: \"{other}\", {known}"),
            ))
        }
    }
}

fn check_types(condition: &Json<'_>) -> Result<(), Reply> {
    let prefix = "WhereFilter.match.where";
    for name in ["operator", "valueText", "valueString", "valueDate"] {
        BODY.check_text(condition.get(name), &format!("{prefix}.{name}"))?;
    }
    let operator = condition.text_of("operator");
    if !OPERATORS.contains(&operator) {
        let known = OPERATORS.join(" ");
        return Err(Reply::framework(
            606,
            format!("match.match.where.operator in body should be one of [{known}]"),
        ));
    }
    let operands = condition
        .get("operands")
        .and_then(Json::array)
        .unwrap_or_default();
    operands.iter().try_for_each(check_types)
}

/// The filter as the reply repeats it.
fn echo(condition: &Value) -> Value {
    let operands = condition["operands"]
        .as_array()
        .map(|list| list.iter().map(echo).collect::<Value>());
    let mut out = json!({
        "operands": operands, "operator": condition["operator"], "path": condition["path"],
    });
    for (name, value) in condition.as_object().into_iter().flatten() {
        if name.starts_with("value") && !value.is_null() {
            out[name.as_str()] = value.clone();
        }
    }
    out
}

/// What a batch delete found and did.
pub(super) struct Deletion {
    /// How many objects the filter covers.
    pub(super) matches: usize,
    /// Those that one call may take, ascending.
    pub(super) chosen: Vec<Uuid>,
    /// Why none of them was deleted: one failure without id stands for all objects of a read-only shard.
    pub(super) refused: Option<&'static str>,
}

/// Deletes what the filter covers, at most as many as one call may, or only looks; the error is the server's text.
pub(super) fn apply(
    call: &Call<'_>,
    data: &mut Data,
    name: &str,
    tenant: &str,
    filter: &Filter,
    dry_run: bool,
) -> Result<Deletion, String> {
    let class = data
        .classes
        .get_mut(&capitalised(name))
        .ok_or_else(|| "class not found".to_owned())?;
    let partition = class
        .awake(tenant)
        .map_err(|text| format!("cannot find objects: {text}"))?;
    let mut chosen = filter.matches(&partition.objects);
    let matches = chosen.len();
    chosen.truncate(call.settings.query_maximum_results);
    let is_refused = !dry_run && chosen.iter().any(|id| class.is_read_only(tenant, *id));
    if !dry_run
        && !is_refused
        && let Some(partition) = class.partitions.get_mut(tenant)
    {
        for id in &chosen {
            partition.objects.remove(id);
        }
    }
    Ok(Deletion {
        matches,
        chosen,
        refused: is_refused.then_some(READ_ONLY),
    })
}

/// The results as the reply lists them.
fn results(call: &Call<'_>, deletion: &Deletion, verbose: bool, dry_run: bool) -> Value {
    let limit = call.settings.query_maximum_results;
    let matches = deletion.matches;
    if let Some(text) = deletion.refused {
        let report = json!({"errors": {"error": [{"message": text}]}, "status": "FAILED"});
        return json!({
            "failed": 1, "limit": limit, "matches": matches, "objects": [report], "successful": 0,
        });
    }
    let status = if dry_run { "DRYRUN" } else { "SUCCESS" };
    let listed = deletion.chosen.iter();
    let listed: Vec<Value> = listed
        .map(|id| json!({"id": id.to_string(), "status": status}))
        .collect();
    let objects = if verbose && !listed.is_empty() {
        Value::Array(listed)
    } else {
        Value::Null
    };
    let successful = if dry_run { 0 } else { deletion.chosen.len() };
    json!({
        "failed": 0, "limit": limit, "matches": matches, "objects": objects, "successful": successful,
    })
}
