//! Batches of objects: partial failure is inside the 200.

use std::collections::BTreeMap;

use serde_json::Value;

use super::call::{Call, Shape};
use super::class::Activity;
use super::faults::Doom;
use super::incoming::{self, Incoming, Prepared};
use super::json::Json;
use super::reply::{Answer, Reply};
use super::store::Data;
use super::{tenants, write};

const BODY: Shape = Shape::object("batch.BatchObjectsCreateBody");

pub(super) fn create(call: &Call<'_>) -> Answer {
    let body = call.json(&BODY)?;
    let field = "BatchObjectsCreateBody.objects";
    BODY.check(body.get("objects"), field, "[]*models.Object", |value| {
        value.array().is_some()
    })?;
    let objects = body
        .get("objects")
        .and_then(Json::array)
        .unwrap_or_default();
    for object in objects {
        incoming::check_types(&BODY, object, "Object.objects.")?;
    }
    for (at, object) in objects.iter().enumerate() {
        incoming::check_id(object, &format!("body.objects.{at}."))?;
    }
    call.check_consistency_level()?;
    if objects.is_empty() {
        let text =
            "invalid param 'objects': cannot be empty, need at least one object for batching";
        return Err(Reply::error(422, text));
    }
    if objects
        .iter()
        .any(|object| object.text_of("class").is_empty())
    {
        // The real handler panics; nothing is stored.
        return Ok(Reply::empty(200));
    }
    let mut data = call.store.write();
    check_limit(call, &data, objects.len())?;
    let sent = objects
        .iter()
        .map(|object| (object.text_of("class"), object.text_of("tenant")));
    create_tenants(call, &mut data, sent)?;
    Ok(Reply::text(200, apply(call, &mut data, objects)))
}

/// Refuses a batch that would go beyond the cap of the operator.
pub(super) fn check_limit(call: &Call<'_>, data: &Data, more: usize) -> Result<(), Reply> {
    match call
        .settings
        .usage_limits
        .objects
        .filter(|limit| data.count() + more > *limit)
    {
        Some(limit) => Err(Reply::usage_limit("objects", limit)),
        None => Ok(()),
    }
}

/// Creates the tenants of classes that let a batch do so; one object without a tenant then fails all.
pub(super) fn create_tenants<'s>(
    call: &Call<'_>,
    data: &mut Data,
    objects: impl Iterator<Item = (&'s str, &'s str)>,
) -> Result<(), Reply> {
    let mut wanted: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (class, tenant) in objects {
        let class = data.resolve(class);
        let creates = data
            .classes
            .get(&class)
            .is_some_and(|class| class.tenancy("autoTenantCreation"));
        if creates {
            wanted.entry(class).or_default().push(tenant);
        }
    }
    for (class, names) in wanted {
        let Some(class) = data.classes.get_mut(&class) else {
            continue;
        };
        for (at, name) in names.iter().enumerate() {
            let place = format!(
                "auto create tenants: auto-tenant: add tenants to collection \"{}\"",
                class.name
            );
            tenants::check_name(name, at)
                .map_err(|text| Reply::error(422, format!("{place}: {text}")))?;
        }
        tenants::check_limit(call, class, names.iter().copied())?;
        names
            .iter()
            .for_each(|name| class.add_tenant(name, Activity::Hot));
    }
    Ok(())
}

/// Checks all objects, then stores them: references to objects of the same batch are not found.
fn apply(call: &Call<'_>, data: &mut Data, objects: &[Json<'_>]) -> String {
    let mut checked: Vec<(Incoming<'_, '_>, Result<Prepared, String>)> =
        Vec::with_capacity(objects.len());
    for object in objects {
        let incoming = Incoming::read(object, data);
        let prepared = incoming.prepare(data, call);
        checked.push((incoming, prepared));
    }
    let panics = call
        .faults
        .panics(checked.iter().map(|(incoming, _)| incoming.id));
    let mut out = String::new();
    write::list(&mut out, checked, |out, (incoming, prepared)| {
        let shown = prepared
            .as_ref()
            .ok()
            .map(|prepared| (prepared.echo.as_str(), &prepared.vectors));
        incoming.echo(out, shown, &incoming.id_text);
        let outcome = match panics {
            true => Err(Doom::PANIC.to_owned()),
            false => prepared.and_then(|prepared| store(call, data, &incoming, prepared)),
        };
        finish(out, &incoming::result(&outcome));
    });
    out
}

/// Stores a prepared object, unless it is doomed.
pub(super) fn store(
    call: &Call<'_>,
    data: &mut Data,
    incoming: &Incoming<'_, '_>,
    prepared: Prepared,
) -> Result<(), String> {
    match call.faults.doom(incoming.id) {
        None => incoming.store(data, prepared, None),
        Some(Doom::Refused | Doom::Panics) => Err(Doom::TEXT.to_owned()),
        Some(Doom::Stored) => {
            incoming.store(data, prepared, None)?;
            Err(Doom::TEXT.to_owned())
        }
    }
}

fn finish(out: &mut String, result: &Value) {
    out.push_str(",\"deprecations\":null,\"result\":");
    write::value(out, result);
    out.push('}');
}
