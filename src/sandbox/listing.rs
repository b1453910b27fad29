//! Listing objects: pages in the byte order of the ids, written straight into one buffer.

use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::call::Call;
use super::class::{Class, Objects};
use super::object::Object;
use super::reply::{Answer, Reply};
use super::store::Data;
use super::values::unknown_property;

/// Words that `include` may hold; all but `vector` change nothing here.
const INCLUDES: [&str; 4] = [
    "classification",
    "interpretation",
    "featureProjection",
    "vector",
];

struct Page {
    limit: usize,
    offset: usize,
    with_vectors: bool,
}

/// Whether `include` asks for vectors.
pub(super) fn includes_vectors(call: &Call<'_>) -> Result<bool, Reply> {
    let words: Vec<&str> = call
        .query("include")
        .unwrap_or_default()
        .split(',')
        .filter(|word| !word.is_empty())
        .collect();
    match words.iter().find(|word| !INCLUDES.contains(word)) {
        Some(word) => Err(Reply::error(
            400,
            format!("unrecognized property '{word}' in ?include list"),
        )),
        None => Ok(words.contains(&"vector")),
    }
}

pub(super) fn list(call: &Call<'_>) -> Answer {
    let limit = call.number("limit")?;
    let offset = call.number("offset")?.unwrap_or(0);
    let with_vectors = includes_vectors(call)?;
    let class = call.query("class").unwrap_or_default();
    if class.is_empty() && call.query("after").is_some() {
        let text = "list objects: after parameter not allowed, cursor must be specific to one class, set class query param";
        return Err(Reply::error(500, text));
    }
    match limit {
        Some(0) => {
            return Ok(Reply::text(
                200,
                "{\"deprecations\":[],\"objects\":[]}".to_owned(),
            ));
        }
        // The real handler panics.
        Some(limit) if limit < 0 => return Ok(Reply::empty(200)),
        _ => {}
    }
    if !class.is_empty() && call.store.read().class(class).is_none() {
        return Err(Reply::empty(404));
    }
    let after = cursor(call, limit, offset)?;
    let page = Page {
        limit: limit.map_or(call.settings.query_defaults_limit, |limit| limit as usize),
        offset: usize::try_from(offset).unwrap_or(0),
        with_vectors,
    };
    check_maximum(call, page.offset, page.limit)?;
    if class.is_empty() {
        all_classes(call, &page)
    } else {
        one_class(call, class, after, &page)
    }
}

/// The exclusive lower bound, in the server's order of complaints.
fn cursor(call: &Call<'_>, limit: Option<i64>, offset: i64) -> Result<Option<Uuid>, Reply> {
    let refuse = |text: String| {
        Err(Reply::error(
            422,
            format!("msg:cursor api: invalid 'after' parameter code:400 err:{text}"),
        ))
    };
    let Some(after) = call.query("after") else {
        return Ok(None);
    };
    if offset > 0 {
        return refuse("offset cannot be set with after and limit parameters".to_owned());
    }
    if call.query("sort").is_some_and(|sort| !sort.is_empty()) {
        return refuse("sort cannot be set with after and limit parameters".to_owned());
    }
    if limit.is_none() {
        return refuse("limit parameter must be set".to_owned());
    }
    if after.is_empty() {
        return Ok(None);
    }
    match Uuid::try_parse(after) {
        Ok(id) => Ok(Some(id)),
        Err(_) => {
            let why = match after.len() {
                32 | 36 | 38 | 45 => "invalid UUID format".to_owned(),
                length => format!("invalid UUID length: {length}"),
            };
            refuse(format!(
                "after parameter '{after}' is not a valid uuid: {why}"
            ))
        }
    }
}

fn check_maximum(call: &Call<'_>, offset: usize, limit: usize) -> Result<(), Reply> {
    let maximum = call.settings.query_maximum_results;
    if offset.saturating_add(limit) <= maximum {
        return Ok(());
    }
    Err(Reply::error(
        422,
        format!(
            "msg:offset or limit code:400 err:query maximum results exceeded: the total limit calculated from the provided offset '{offset}' and limit '{limit}' exceeds the configured value for QUERY_MAXIMUM_RESULTS '{maximum}'. If you've supplied a negative offset or limit, this may be an underflow error"
        ),
    ))
}

fn all_classes(call: &Call<'_>, page: &Page) -> Answer {
    let data = call.store.read();
    let classes = data.classes.values().filter(|class| !class.has_tenants());
    let objects = classes.flat_map(|class| {
        let all = class
            .partitions
            .values()
            .flat_map(|partition| partition.objects.iter());
        all.map(move |(id, object)| (class, *id, object))
    });
    let chosen: Vec<_> = objects.skip(page.offset).take(page.limit).collect();
    write_page(call, "null", &chosen, page.with_vectors)
}

fn one_class(call: &Call<'_>, name: &str, after: Option<Uuid>, page: &Page) -> Answer {
    let tenant = call.tenant();
    wake(call, name, tenant);
    let data = call.store.read();
    let class = data.class(name).ok_or_else(|| Reply::empty(404))?;
    let partition = class.partition(tenant).map_err(|text| {
        Reply::error(
            422,
            format!(
                "msg:search index {} code:422 err:{text}",
                class.name.to_ascii_lowercase()
            ),
        )
    })?;
    let limit = call
        .short_page
        .map_or(page.limit, |most| most.min(page.limit));
    let chosen: Vec<(&Class, Uuid, &Arc<Object>)> =
        match call.query("sort").filter(|sort| !sort.is_empty()) {
            Some(sort) => {
                let all = sorted(
                    class,
                    &partition.objects,
                    sort,
                    call.query("order").unwrap_or_default(),
                )?;
                all.into_iter()
                    .skip(page.offset)
                    .take(limit)
                    .map(|(id, object)| (class, id, object))
                    .collect()
            }
            None => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                let rest = partition
                    .objects
                    .range((from, Bound::Unbounded))
                    .skip(page.offset)
                    .take(limit);
                rest.map(|(id, object)| (class, *id, object)).collect()
            }
        };
    write_page(call, "[]", &chosen, page.with_vectors)
}

/// A read turns a cold tenant hot where the class says so.
pub(super) fn wake(call: &Call<'_>, class: &str, tenant: &str) {
    let sleeps = |data: &Data| {
        let class = data.class(class);
        class.is_some_and(|class| {
            class.tenancy("autoTenantActivation") && class.partition(tenant).is_err()
        })
    };
    if sleeps(&call.store.read())
        && let Some(class) = call.store.write().class_mut(class)
    {
        let _still_refused = class.awake(tenant);
    }
}

fn write_page(
    call: &Call<'_>,
    deprecations: &str,
    objects: &[(&Class, Uuid, &Arc<Object>)],
    vectors: bool,
) -> Answer {
    if let Some(at) = objects
        .iter()
        .position(|(_, id, object)| is_unreadable(call, *id, object))
    {
        let (class, _, object) = objects[at];
        return Err(unreadable_page(class, object, at));
    }
    if vectors && objects.iter().any(|(_, _, object)| object.is_unwritable()) {
        return Ok(Reply::empty_json(200));
    }
    let mut out = String::with_capacity(estimate(objects, vectors));
    out.push_str("{\"deprecations\":");
    out.push_str(deprecations);
    out.push_str(",\"objects\":[");
    for (at, (class, id, object)) in objects.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        object.write(&mut out, &class.name, *id, vectors, None);
    }
    out.push(']');
    if !objects.is_empty() {
        out.push_str(&format!(",\"totalResults\":{}", objects.len()));
    }
    out.push('}');
    Ok(Reply::text(200, out))
}

fn estimate(objects: &[(&Class, Uuid, &Arc<Object>)], vectors: bool) -> usize {
    let size = |object: &Object| {
        let floats = object.vector.as_ref().map_or(0, |vector| vector.len());
        object.properties.len() + 220 + if vectors { floats * 13 } else { 0 }
    };
    objects
        .iter()
        .map(|(_, _, object)| size(object))
        .sum::<usize>()
        + 80
}

/// Whether no reply can hold the object.
pub(super) fn is_unreadable(call: &Call<'_>, id: Uuid, object: &Object) -> bool {
    object.unreadable.is_some() || call.faults.is_unreadable(id)
}

/// Why an object cannot be read.
pub(super) fn unreadable_text(object: &Object) -> &str {
    let text = "enrich schema datatypes: property \"p\" of type map: explected lat to be float64, but is string";
    object.unreadable.as_deref().unwrap_or(text)
}

fn unreadable_page(class: &Class, object: &Object, at: usize) -> Reply {
    let index = class.name.to_ascii_lowercase();
    let shard = class
        .shards
        .first()
        .map(|shard| shard.name.as_str())
        .unwrap_or_default();
    let place =
        format!("msg:search index {index} code:500 err:local shard object search {index}_{shard}");
    Reply::error(
        500,
        format!("{place}: unmarshal item {at}: {}", unreadable_text(object)),
    )
}

fn sorted<'o>(
    class: &Class,
    objects: &'o Objects,
    sort: &str,
    order: &str,
) -> Result<Vec<(Uuid, &'o Arc<Object>)>, Reply> {
    for (at, name) in sort.split(',').enumerate() {
        if class.property(name).is_none() && !name.starts_with('_') {
            let text = unknown_property(name, &class.name);
            return Err(Reply::error(
                422,
                format!("msg:sorting code:400 err:sort parameter at position {at}: {text}"),
            ));
        }
    }
    let name = sort.split(',').next().unwrap_or_default();
    let mut keyed: Vec<(Value, Uuid, &Arc<Object>)> = objects
        .iter()
        .map(|(id, object)| {
            let properties: Value = serde_json::from_str(&object.properties).unwrap_or_default();
            (properties[name].clone(), *id, object)
        })
        .collect();
    keyed.sort_by(|(one, ..), (other, ..)| compare(one, other));
    if order.starts_with("desc") {
        keyed.reverse();
    }
    Ok(keyed
        .into_iter()
        .map(|(_, id, object)| (id, object))
        .collect())
}

/// Numbers by value, texts by their bytes, all else alike.
pub(super) fn compare(one: &Value, other: &Value) -> std::cmp::Ordering {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => one
            .as_str()
            .unwrap_or_default()
            .cmp(other.as_str().unwrap_or_default()),
    }
}
