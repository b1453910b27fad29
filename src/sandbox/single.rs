//! Routes of single objects.

use uuid::Uuid;

use super::call::{Call, Shape, path_id};
use super::class::Class;
use super::incoming::{self, Incoming};
use super::json::Json;
use super::listing::{includes_vectors, is_unreadable, unreadable_text, wake};
use super::reply::{Answer, Reply};
use super::store::{Data, capitalised};
use super::values;

const OBJECT: Shape = Shape::object("models.Object");

fn body<'a>(call: &Call<'a>) -> Result<Json<'a>, Reply> {
    let body = call.json(&OBJECT)?;
    incoming::check_types(&OBJECT, &body, "Object.")?;
    incoming::check_id(&body, "")?;
    call.check_consistency_level()?;
    Ok(body)
}

pub(super) fn create(call: &Call<'_>) -> Answer {
    let body = body(call)?;
    let mut data = call.store.write();
    let incoming = readable(&body, &data)?;
    let prepared = incoming
        .prepare(&mut data, call)
        .map_err(|text| invalid(&text))?;
    if data.holds(&incoming.class, &incoming.tenant, incoming.id) {
        return Err(Reply::error(
            422,
            format!("id '{}' already exists", incoming.id),
        ));
    }
    let echo = echo(&incoming, &prepared);
    incoming
        .store(&mut data, prepared, None)
        .map_err(|text| put_error(&incoming.class, &text))?;
    Ok(Reply::text(200, echo))
}

fn readable<'v, 'a>(body: &'v Json<'a>, data: &Data) -> Result<Incoming<'v, 'a>, Reply> {
    match body.text_of("class") {
        "" => Err(Reply::error(
            422,
            "invalid object: the given class is empty",
        )),
        _ => Ok(Incoming::read(body, data)),
    }
}

fn invalid(text: &str) -> Reply {
    let missing = text
        .strip_prefix("class '")
        .and_then(|rest| rest.strip_suffix("' not present in schema"));
    match missing {
        Some(class) => Reply::error(
            422,
            format!("invalid object: class \"{class}\" not found in schema"),
        ),
        None => Reply::error(422, format!("invalid object: {text}")),
    }
}

fn put_error(class: &str, text: &str) -> Reply {
    let place = format!(
        "put object: import into index {}: put local object",
        class.to_ascii_lowercase()
    );
    Reply::error(500, format!("{place}: {text}"))
}

/// Single writes echo the canonical id.
fn echo(incoming: &Incoming<'_, '_>, prepared: &incoming::Prepared) -> String {
    let mut out = String::new();
    incoming.echo(
        &mut out,
        Some((&prepared.echo, &prepared.vectors)),
        &incoming.id.to_string(),
    );
    out.push('}');
    out
}

pub(super) fn validate(call: &Call<'_>) -> Answer {
    let body = body(call)?;
    let data = call.store.read();
    let incoming = readable(&body, &data)?;
    let class = data.classes.get(&incoming.class);
    let class = class
        .ok_or_else(|| invalid(&format!("class '{}' not present in schema", incoming.class)))?;
    let checked = values::check(class, &data, &incoming.tenant, body.get("properties"));
    checked.map_err(|text| invalid(&text))?;
    Ok(Reply::empty(200))
}

/// Reads one object; without a class all classes without tenants are searched.
pub(super) fn get(call: &Call<'_>, class: Option<&str>, id: &str) -> Answer {
    let id = path_id(id)?;
    call.check_consistency_level()?;
    let with_vectors = includes_vectors(call)?;
    let tenant = call.tenant();
    if let Some(class) = class {
        wake(call, class, tenant);
    }
    let data = call.store.read();
    let class = class_of(&data, class, id)?;
    let partition = class
        .partition(tenant)
        .map_err(|text| search_error(422, class, &format!("determine shard: {text}")))?;
    let object = partition
        .objects
        .get(&id)
        .ok_or_else(|| Reply::empty(404))?;
    if is_unreadable(call, id, object) {
        let shard = class
            .shards
            .first()
            .map(|shard| shard.name.as_str())
            .unwrap_or_default();
        let text = format!(
            "get local object: shard={shard}: unmarshal object: {}",
            unreadable_text(object)
        );
        return Err(search_error(500, class, &text));
    }
    if with_vectors && object.is_unwritable() {
        return Ok(Reply::empty_json(200));
    }
    let mut out = String::new();
    object.write(
        &mut out,
        &class.name,
        id,
        with_vectors,
        Some(tenant).filter(|tenant| !tenant.is_empty()),
    );
    Ok(Reply::text(200, out))
}

fn class_of<'d>(data: &'d Data, class: Option<&str>, id: Uuid) -> Result<&'d Class, Reply> {
    let found = match class {
        Some(name) => data.class(name),
        None => data
            .classes
            .values()
            .find(|class| data.holds(&class.name, "", id)),
    };
    found.ok_or_else(|| Reply::empty(404))
}

fn search_error(status: u16, class: &Class, text: &str) -> Reply {
    let index = class.name.to_ascii_lowercase();
    Reply::error(
        status,
        format!("repo: object by id: search index {index}: {text}"),
    )
}

pub(super) fn head(call: &Call<'_>, class: Option<&str>, id: &str) -> Answer {
    let id = path_id(id)?;
    call.check_consistency_level()?;
    let data = call.store.read();
    let class = class_of(&data, class, id)?;
    let partition = class
        .partition(call.tenant())
        .map_err(|text| Reply::error(422, text))?;
    Ok(Reply::empty(if partition.objects.contains_key(&id) {
        204
    } else {
        404
    }))
}

pub(super) fn delete(call: &Call<'_>, class: Option<&str>, id: &str) -> Answer {
    let id = path_id(id)?;
    call.check_consistency_level()?;
    let mut data = call.store.write();
    let name = match class {
        Some(name) => data.resolve(name),
        None => class_of(&data, None, id)?.name.clone(),
    };
    let place = "could not delete object from vector repo";
    let Some(class) = data.classes.get_mut(&name) else {
        let text = format!(
            "{place}: delete from non-existing index for {}",
            capitalised(&name)
        );
        return Err(Reply::error(500, text));
    };
    if class.is_read_only(call.tenant(), id) {
        return Err(Reply::error(
            500,
            format!("{place}: store is read-only due to: manually set by user"),
        ));
    }
    let partition = class
        .awake(call.tenant())
        .map_err(|text| Reply::error(422, format!("{place}: {text}")))?;
    partition.objects.remove(&id);
    Ok(Reply::empty(204))
}

/// The stored creation time of the object that a write replaces or changes.
fn created(data: &Data, incoming: &Incoming<'_, '_>) -> Result<i64, Reply> {
    let class = data
        .classes
        .get(&incoming.class)
        .ok_or_else(|| Reply::empty(404))?;
    let partition = class
        .partition(&incoming.tenant)
        .map_err(|text| Reply::error(422, text))?;
    partition
        .objects
        .get(&incoming.id)
        .map(|object| object.created)
        .ok_or_else(|| Reply::empty(404))
}

/// The body of a write to a path; class and id of the path count.
fn addressed<'v, 'a>(
    data: &Data,
    body: &'v Json<'a>,
    class: Option<&str>,
    id: Uuid,
) -> Result<Incoming<'v, 'a>, Reply> {
    let mut incoming = Incoming::read(body, data);
    if body.get("id").is_some() && incoming.id != id {
        return Err(Reply::error(422, "invalid update: field 'id' is immutable"));
    }
    incoming.id = id;
    incoming.id_text = id.to_string();
    if let Some(class) = class {
        incoming.class = data.resolve(class);
    }
    Ok(incoming)
}

pub(super) fn replace(call: &Call<'_>, class: Option<&str>, id: &str) -> Answer {
    let id = path_id(id)?;
    let body = body(call)?;
    let mut data = call.store.write();
    let incoming = addressed(&data, &body, class, id)?;
    let created = created(&data, &incoming)?;
    let prepared = incoming
        .prepare(&mut data, call)
        .map_err(|text| invalid(&text))?;
    let echo = echo(&incoming, &prepared);
    incoming
        .store(&mut data, prepared, Some(created))
        .map_err(|text| put_error(&incoming.class, &text))?;
    Ok(Reply::text(200, echo))
}

/// Merges properties and vectors into an object; a null takes a property away.
pub(super) fn patch(call: &Call<'_>, class: Option<&str>, id: &str) -> Answer {
    let id = path_id(id)?;
    let body = body(call)?;
    let mut data = call.store.write();
    let incoming = addressed(&data, &body, class, id)?;
    let created = created(&data, &incoming)?;
    let mut prepared = incoming
        .prepare(&mut data, call)
        .map_err(|text| invalid(&text))?;
    let partition = data
        .classes
        .get(&incoming.class)
        .and_then(|class| class.partitions.get(&*incoming.tenant));
    if let Some(old) = partition.and_then(|partition| partition.objects.get(&id)) {
        prepared.merge(old, body.get("properties"));
    }
    incoming
        .store(&mut data, prepared, Some(created))
        .map_err(|text| put_error(&incoming.class, &text))?;
    Ok(Reply::empty(204))
}
