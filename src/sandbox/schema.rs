//! Routes of the schema: classes, properties, shards and the index of a named vector.

use serde_json::{Value, json};

use super::call::{Call, Shape};
use super::class::{Activity, Class};
use super::definition::{self, Purpose};
use super::json::Json;
use super::property;
use super::reply::{Answer, Reply};
use super::store::{Data, capitalised};

const CLASS: Shape = Shape {
    parameter: "objectClass",
    type_name: "models.Class",
    list: false,
};
const PROPERTY: Shape = Shape::object("models.Property");
const SHARD: Shape = Shape::object("models.ShardStatus");

pub(super) fn list(call: &Call<'_>) -> Answer {
    let data = call.store.read();
    let classes: Vec<&Value> = data
        .classes
        .values()
        .map(|class| &class.definition)
        .collect();
    Ok(Reply::ok(&json!({"classes": classes})))
}

pub(super) fn get(call: &Call<'_>, name: &str) -> Answer {
    let data = call.store.read();
    let class = data.class(name).ok_or_else(|| Reply::empty(404))?;
    Ok(Reply::ok(&class.definition))
}

fn class_body(call: &Call<'_>) -> Result<Value, Reply> {
    let body = call.json(&CLASS)?;
    for name in ["class", "description", "vectorizer", "vectorIndexType"] {
        CLASS.check_text(body.get(name), &format!("Class.{name}"))?;
    }
    CLASS.check(
        body.get("properties"),
        "Class.properties",
        "[]*models.Property",
        |value| value.array().is_some(),
    )?;
    Ok(body.to_value())
}

pub(super) fn create(call: &Call<'_>) -> Answer {
    let sent = class_body(call)?;
    let mut data = call.store.write();
    let definition = add_class(&mut data, call, &sent)?;
    Ok(Reply::ok(&definition))
}

/// Creates a class and returns its definition.
pub(super) fn add_class(data: &mut Data, call: &Call<'_>, sent: &Value) -> Result<Value, Reply> {
    let definition = definition::define(sent, data, call.settings, Purpose::Creation)?;
    let name = definition["class"].as_str().unwrap_or_default().to_owned();
    check_free(data, &name)?;
    if let Some(limit) = call
        .settings
        .usage_limits
        .collections
        .filter(|limit| data.classes.len() >= *limit)
    {
        return Err(Reply::usage_limit("collections", limit));
    }
    data.classes
        .insert(name.clone(), Class::new(&name, definition.clone()));
    Ok(definition)
}

fn check_free(data: &Data, name: &str) -> Result<(), Reply> {
    if data.classes.contains_key(name) {
        return Err(Reply::schema_error(format!(
            "class name {name} already exists"
        )));
    }
    if let Some(similar) = data
        .classes
        .keys()
        .find(|other| other.eq_ignore_ascii_case(name))
    {
        return Err(Reply::schema_error(format!(
            "class already exists: found similar class \"{similar}\""
        )));
    }
    match data.aliases.contains_key(name) {
        true => Err(Reply::schema_error(format!(
            "alias name {name} already exists"
        ))),
        false => Ok(()),
    }
}

pub(super) fn delete(call: &Call<'_>, name: &str) -> Answer {
    call.store.write().classes.remove(&capitalised(name));
    Ok(Reply::empty(200))
}

pub(super) fn update(call: &Call<'_>, name: &str) -> Answer {
    let sent = class_body(call)?;
    let mut data = call.store.write();
    let name = capitalised(name);
    let old = data
        .classes
        .get(&name)
        .map(|class| class.definition.clone())
        .ok_or_else(|| Reply::empty_json(404))?;
    let given = capitalised(sent["class"].as_str().unwrap_or_default());
    if given != name {
        let text =
            format!("class name is immutable: attempted change from \"{name}\" to \"{given}\"");
        return Err(Reply::schema_error(text));
    }
    let new = definition::define(&sent, &data, call.settings, Purpose::Update)?;
    check_update(&old, &new)?;
    let mut stored = new.clone();
    // An update may change the order of the properties on a real server, too; only its own reply keeps it.
    if let Some(list) = stored["properties"].as_array_mut() {
        list.sort_by_key(|property| property["name"].to_string());
    }
    if let Some(class) = data.classes.get_mut(&name) {
        class.define(stored);
    }
    Ok(Reply::ok(&new))
}

/// The rules for replacing one definition by another.
fn check_update(old: &Value, new: &Value) -> Result<(), Reply> {
    let tenancy = |definition: &Value| definition["multiTenancyConfig"]["enabled"] == true;
    if tenancy(old) != tenancy(new) {
        let word = if tenancy(new) {
            "enabling"
        } else {
            "disabling"
        };
        return Err(Reply::schema_error(format!(
            "{word} multi-tenancy for an existing class is not supported"
        )));
    }
    let refuse = |text: String| {
        Err(Reply::schema_error(format!(
            "updating schema: TYPE_UPDATE_CLASS: bad request :parse class update: {text}"
        )))
    };
    if frozen_properties(old) != frozen_properties(new) {
        return refuse("property fields other than description cannot be updated through updating the class. Use the add property feature (e.g. \"POST /v1/schema/{className}/properties\") to add additional properties".to_owned());
    }
    if let Some(text) = changed_index(old, new).or_else(|| changed_shards(old, new)) {
        return refuse(text);
    }
    let kept = old["vectorConfig"].as_object().into_iter().flatten();
    match kept
        .map(|(name, _)| name)
        .find(|name| new["vectorConfig"][name.as_str()].is_null())
    {
        Some(name) => refuse(format!("missing config for vector \"{name}\"")),
        None => Ok(()),
    }
}

fn changed_index(old: &Value, new: &Value) -> Option<String> {
    let [from, to] = [old, new].map(|definition| &definition["vectorIndexType"]);
    if !from.is_null() && from != to {
        return Some(immutable("vector index type", from, to));
    }
    let [from, to] = [old, new].map(|definition| &definition["vectorIndexConfig"]["distance"]);
    let text = || {
        format!(
            "validate vector index config: {}",
            immutable("distance", from, to)
        )
    };
    (!from.is_null() && from != to).then(text)
}

fn changed_shards(old: &Value, new: &Value) -> Option<String> {
    let [from, to] = [old, new].map(|definition| &definition["shardingConfig"]["desiredCount"]);
    let place = "validate sharding config: re-sharding not supported yet";
    (from != to).then(|| format!("{place}: {}", immutable("shard count", from, to)))
}

fn immutable(what: &str, from: &Value, to: &Value) -> String {
    let shown = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    format!(
        "{what} is immutable: attempted change from \"{}\" to \"{}\"",
        shown(from),
        shown(to)
    )
}

fn frozen_properties(definition: &Value) -> Vec<Value> {
    let mut list = definition["properties"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for property in &mut list {
        if let Some(members) = property.as_object_mut() {
            members.remove("description");
        }
    }
    list.sort_by_key(|property| property["name"].to_string());
    list
}

pub(super) fn add_property(call: &Call<'_>, name: &str) -> Answer {
    let sent = call.json(&PROPERTY)?.to_value();
    property::check_tokenization(&sent, "")?;
    let mut data = call.store.write();
    let name = capitalised(name);
    if !data.classes.contains_key(&name) {
        return Err(Reply::schema_error(format!("class \"{name}\": not found")));
    }
    Ok(Reply::ok(&insert_property(&mut data, &name, &sent)?))
}

/// Adds a property to a class that exists, and returns it with all defaults.
pub(super) fn insert_property(data: &mut Data, class: &str, sent: &Value) -> Result<Value, Reply> {
    let known = data
        .classes
        .get(class)
        .and_then(|class| class.definition["properties"].as_array().cloned());
    let known = known.unwrap_or_default();
    let property = property::define(sent, class, &known)?;
    if property::missing_target(&property, class, data) {
        let name = property["name"].as_str().unwrap_or_default();
        let types: Vec<&str> = property["dataType"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let text = format!(
            "invalid dataType: [{}]: reference property to nonexistent class",
            types.join(" ")
        );
        return Err(Reply::schema_error(format!("property '{name}': {text}")));
    }
    if let Some(class) = data.classes.get_mut(class) {
        let mut definition = class.definition.clone();
        definition["properties"] = known.into_iter().chain([property.clone()]).collect();
        class.define(definition);
    }
    Ok(property)
}

pub(super) fn shards(call: &Call<'_>, name: &str) -> Answer {
    let data = call.store.read();
    let Some(class) = data.class(name) else {
        let text = format!(
            "cannot get shards status for a non-existing index for {}: not found",
            capitalised(name)
        );
        return Err(Reply::error(404, text));
    };
    let listed: Vec<Value> = class
        .shards
        .iter()
        .map(|shard| {
            if call.settings.is_node_away {
                return json!({"name": shard.name, "per_node_status": {}, "vectorQueueSize": 0});
            }
            let status = if shard.read_only { "READONLY" } else { "READY" };
            match class.partitions.get(&shard.name).map(|partition| partition.activity) {
                Some(Activity::Cold | Activity::Frozen) => json!({"name": shard.name, "vectorQueueSize": 0}),
                _ => json!({
                    "name": shard.name, "per_node_status": {"node1": status}, "status": status, "vectorQueueSize": 0,
                }),
            }
        })
        .collect();
    Ok(Reply::ok(&Value::Array(listed)))
}

pub(super) fn update_shard(call: &Call<'_>, name: &str, shard: &str) -> Answer {
    let body = call.json(&SHARD)?;
    let status = body.text_of("status");
    if !matches!(status, "READY" | "READONLY") {
        let text =
            format!("updating db: TYPE_UPDATE_SHARD_STATUS: {status}: invalid storage status");
        return Err(Reply::error(500, text));
    }
    let mut data = call.store.write();
    let shards = data.class_mut(name).map(|class| &mut class.shards);
    for found in shards
        .into_iter()
        .flatten()
        .filter(|found| found.name == shard)
    {
        found.read_only = status == "READONLY";
    }
    Ok(Reply::ok(&json!({"status": status})))
}

pub(super) fn drop_vector_index(call: &Call<'_>, name: &str, vector: &str) -> Answer {
    if !call.settings.drop_vector_index {
        let text = "alter schema drop vector index endpoint is experimental and disabled by default, set the environment variable ENABLE_EXPERIMENTAL_ALTER_SCHEMA_DROP_VECTOR_INDEX_ENDPOINT=true to enable it";
        return Err(Reply::error(500, text));
    }
    let mut data = call.store.write();
    let class = data.class_mut(name).ok_or_else(|| Reply::empty(404))?;
    let mut definition = class.definition.clone();
    match definition["vectorConfig"].get_mut(vector) {
        Some(entry) => *entry = json!({"vectorIndexType": "none", "vectorizer": {"none": {}}}),
        None => {
            return Err(Reply::error(
                422,
                format!("vector index {vector} not found"),
            ));
        }
    }
    class.define(definition);
    Ok(Reply::empty(200))
}

/// Whether a body member is a text of the given words.
pub(super) fn is_word(value: Option<&Json<'_>>, words: &[&str]) -> bool {
    value
        .and_then(Json::text)
        .is_none_or(|text| text.is_empty() || words.contains(&text))
}
