//! Routes of references: of a single object, and in batches.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::beacon::{self, Target};
use super::call::{Call, Shape, path_id, strict_id};
use super::class::Class;
use super::incoming;
use super::json::Json;
use super::object::Object;
use super::reply::{Answer, Reply};
use super::store::{Data, now};
use super::write;

const ONE: Shape = Shape::object("models.SingleRef");
const MANY: Shape = Shape::list("models.MultipleRef");
const BATCH: Shape = Shape::list("[]*models.BatchReference");

/// What a single write does with a list of references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Append,
    Replace,
    Remove,
}

/// Writes references of one object.
pub(super) fn write_single(
    call: &Call<'_>,
    verb: Verb,
    class: &str,
    id: &str,
    name: &str,
) -> Answer {
    let id = path_id(id)?;
    let body = call.json(if verb == Verb::Replace { &MANY } else { &ONE })?;
    call.check_consistency_level()?;
    let sent = body.array().unwrap_or(std::slice::from_ref(&body));
    let mut data = call.store.write();
    let beacons = check_targets(call, &data, verb, class, name, sent)?;
    let class = data.class_mut(class).ok_or_else(|| Reply::empty(404))?;
    let tenant = call.tenant();
    class
        .awake(tenant)
        .map_err(|text| Reply::error(422, text))?;
    let stored = class
        .partitions
        .get(tenant)
        .is_some_and(|partition| partition.objects.contains_key(&id));
    if !stored {
        return Err(Reply::empty(404));
    }
    edit(class, tenant, id, name, |list| match verb {
        Verb::Append => list.extend(beacons),
        Verb::Replace => *list = beacons,
        Verb::Remove => list.retain(|beacon| !beacons.contains(beacon)),
    })
    .map_err(|text| Reply::error(500, text))?;
    Ok(Reply::empty(if verb == Verb::Remove { 204 } else { 200 }))
}

fn check_targets(
    call: &Call<'_>,
    data: &Data,
    verb: Verb,
    class: &str,
    name: &str,
    sent: &[Json<'_>],
) -> Result<Vec<String>, Reply> {
    let class = data.class(class).ok_or_else(|| Reply::empty(404))?;
    let property = class
        .property(name)
        .filter(|property| !property.targets.is_empty())
        .ok_or_else(|| {
            Reply::error(
                422,
                format!("could not find the property {name} in class {}", class.name),
            )
        })?;
    let mut beacons = Vec::new();
    for item in sent {
        let target =
            Target::parse(item.text_of("beacon")).map_err(|text| Reply::error(422, text))?;
        let target = target.completed(Some(property));
        if verb != Verb::Remove && !beacon::exists(data, property, &target, call.tenant()) {
            let text = format!("validate reference: no object with id {} found", target.id);
            return Err(Reply::error(
                422,
                format!("msg:validate existence code:400 err:{text}"),
            ));
        }
        beacons.push(target.beacon());
    }
    Ok(beacons)
}

/// Changes the list under `name` in a stored object, whatever was there before.
fn edit(
    class: &mut Class,
    tenant: &str,
    id: Uuid,
    name: &str,
    change: impl FnOnce(&mut Vec<String>),
) -> Result<(), String> {
    if class.is_read_only(tenant, id) {
        return Err("store is read-only due to: manually set by user".to_owned());
    }
    let partition = class.awake(tenant)?;
    let object = partition
        .objects
        .get_mut(&id)
        .ok_or_else(|| format!("ref batch: object with id {id} not found"))?;
    let mut members: serde_json::Map<String, Value> =
        serde_json::from_str(&object.properties).unwrap_or_default();
    let mut list: Vec<String> = members
        .get(name)
        .map(|old| beacon::beacons(&old.to_string()))
        .unwrap_or_default();
    change(&mut list);
    let mut text = String::new();
    beacon::write_links(&mut text, &list);
    members.insert(
        name.to_owned(),
        serde_json::from_str(&text).unwrap_or_default(),
    );
    let object = Arc::make_mut(object);
    object.properties = properties_text(members);
    object.updated = now();
    Ok(())
}

fn properties_text(members: serde_json::Map<String, Value>) -> Box<str> {
    let mut text = String::new();
    write::value(&mut text, &Value::Object(members));
    text.into()
}

/// One reference of a batch, as far as it could be read.
struct Link {
    class: String,
    id: Uuid,
    property: String,
}

impl Link {
    fn parse(from: &str) -> Result<Link, String> {
        let path = beacon::path_of(from);
        let long =
            "must use long-form: path must be of format '/<className>/<uuid>/<propertyName>'";
        let [class, id, property] = path.split('/').collect::<Vec<_>>()[..] else {
            return Err(format!("invalid cref URI: {long}, but got '/{path}'"));
        };
        if !class.starts_with(|letter: char| letter.is_ascii_uppercase()) {
            return Err(format!(
                "className must start with an uppercase letter, but got {class}"
            ));
        }
        // The real server shows the segment behind the wrong one.
        let refuse =
            || format!("invalid cref URI: 2nd path segment must be uuid, but got '{property}'");
        let id = strict_id(id).ok_or_else(refuse)?;
        Ok(Link {
            class: class.to_owned(),
            id,
            property: property.to_owned(),
        })
    }

    fn shown(&self) -> String {
        format!(
            "weaviate://localhost/{}/{}/{}",
            self.class, self.id, self.property
        )
    }
}

pub(super) fn batch(call: &Call<'_>) -> Answer {
    let body = call.json(&BATCH)?;
    let items = body.array().unwrap_or_default();
    for item in items {
        for name in ["from", "to"] {
            BATCH.check_text(item.get(name), &format!("BatchReference.{name}"))?;
            let text = item.text_of(name);
            if !beacon::is_uri(text) {
                return Err(Reply::framework(
                    601,
                    format!("{name} in body must be of type uri: \"{text}\""),
                ));
            }
        }
    }
    call.check_consistency_level()?;
    if items.is_empty() {
        let text = "invalid params: length cannot be 0, need at least one reference for batching";
        return Err(Reply::error(422, text));
    }
    let mut data = call.store.write();
    let replies: Vec<Value> = items
        .iter()
        .map(|item| one_of_batch(&mut data, item))
        .collect();
    Ok(Reply::ok(&Value::Array(replies)))
}

/// Appends one reference between two beacons; the error is the server's text.
pub(super) fn append(data: &mut Data, from: &str, to: &str, tenant: &str) -> Result<(), String> {
    let link = Link::parse(from)?;
    let property = data
        .class(&link.class)
        .and_then(|class| class.property(&link.property))
        .cloned();
    let target = Target::parse(to)?.completed(property.as_ref());
    apply(data, &link, &target, tenant)
}

fn one_of_batch(data: &mut Data, item: &Json<'_>) -> Value {
    let link = Link::parse(item.text_of("from"));
    let property = link
        .as_ref()
        .ok()
        .and_then(|link| data.class(&link.class)?.property(&link.property))
        .cloned();
    let target =
        Target::parse(item.text_of("to")).map(|target| target.completed(property.as_ref()));
    let mut reply = json!({});
    if let Ok(link) = &link {
        reply["from"] = link.shown().into();
    }
    if let Ok(target) = &target {
        reply["to"] = target.beacon().into();
    }
    let outcome = link.and_then(|link| apply(data, &link, &target?, item.text_of("tenant")));
    reply["result"] = incoming::result(&outcome);
    reply
}

/// Appends one reference. A wrong property is reported and written all the same, as the real server does.
fn apply(data: &mut Data, link: &Link, target: &Target, tenant: &str) -> Result<(), String> {
    check_batch_target(data, link, target, tenant)?;
    let class = data
        .class_mut(&link.class)
        .ok_or_else(|| no_class("source", &link.class))?;
    let property = class.property(&link.property).cloned();
    let stored = class
        .partitions
        .get(tenant)
        .and_then(|partition| partition.objects.get(&link.id));
    let plain = stored.and_then(|object| plain_value(object, &link.property));
    let beacon = target.beacon();
    let unique = property.as_ref().is_some_and(|property| property.unique);
    edit(class, tenant, link.id, &link.property, |list| {
        if !(unique && list.contains(&beacon)) {
            list.push(beacon);
        }
    })?;
    match (property, plain) {
        (None, _) => Err(format!(
            "ref batch: property '{}' not found in schema",
            link.property
        )),
        (Some(_), Some(kind)) => Err(format!(
            "ref batch: prop {} is present, but not a ref, got: {kind}",
            link.property
        )),
        _ => Ok(()),
    }
}

fn no_class(side: &str, class: &str) -> String {
    format!("{side} class \"{class}\" not found in schema")
}

/// The kind of a stored value that is no list of references.
fn plain_value(object: &Object, name: &str) -> Option<&'static str> {
    let properties: Value = serde_json::from_str(&object.properties).unwrap_or_default();
    match &properties[name] {
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("float64"),
        Value::Bool(_) => Some("bool"),
        Value::Object(_) => Some("map[string]interface {}"),
        _ => None,
    }
}

fn check_batch_target(
    data: &mut Data,
    link: &Link,
    target: &Target,
    tenant: &str,
) -> Result<(), String> {
    let known = target
        .class
        .as_ref()
        .is_none_or(|class| data.class(class).is_some());
    let class = data
        .class_mut(&link.class)
        .ok_or_else(|| no_class("source", &link.class))?;
    if !known {
        // The real server names the source class here.
        return Err(no_class("target", &link.class));
    }
    let with_tenants = class.has_tenants();
    class
        .awake(tenant)
        .map(drop)
        .map_err(|text| match with_tenants {
            true => format!(
                "source: get object {}/{}: determine shard: {text}",
                link.class, link.id
            ),
            false => text,
        })?;
    let Some(class) = target.class.as_ref().filter(|_| with_tenants) else {
        return Ok(());
    };
    let tenant = if data.class(class).is_some_and(Class::has_tenants) {
        tenant
    } else {
        ""
    };
    match data.holds(class, tenant, target.id) {
        true => Ok(()),
        false => Err(format!(
            "target: object {class}/{} not found for tenant \"{tenant}\"",
            target.id
        )),
    }
}
