//! Objects on their way in: the framework's checks, the echo, and the two steps of a write, preparing and storing.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::call::{Call, Shape, strict_id};
use super::json::Json;
use super::object::{self, Object};
use super::property::small;
use super::reply::Reply;
use super::store::{Data, capitalised, now};
use super::vectors::Vectors;
use super::{autoschema, values, write};

/// An object as it was sent.
pub(super) struct Incoming<'v, 'a> {
    pub(super) source: &'v Json<'a>,
    /// The class by its own name: capitalised, an alias resolved.
    pub(super) class: String,
    pub(super) tenant: Cow<'v, str>,
    pub(super) id: Uuid,
    /// The id as it was sent, or the one that was picked.
    pub(super) id_text: String,
    pub(super) vectors: Vectors,
    pub(super) time: i64,
}

/// An object that passed all checks but those of the shard.
pub(super) struct Prepared {
    pub(super) echo: String,
    stored: String,
    unreadable: Option<String>,
    pub(super) vectors: Vectors,
}

impl Prepared {
    /// Lays what was sent over an older object; a null takes a property away.
    pub(super) fn merge(&mut self, old: &Object, sent: Option<&Json<'_>>) {
        let read = |text: &str| {
            serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap_or_default()
        };
        let mut merged = read(&old.properties);
        merged.append(&mut read(&self.stored));
        if let Some(Json::Object(members)) = sent {
            for (name, _) in members.iter().filter(|(_, value)| *value == Json::Null) {
                merged.remove(&small(name));
            }
        }
        self.stored.clear();
        write::value(&mut self.stored, &Value::Object(merged));
        self.unreadable = self
            .unreadable
            .take()
            .or_else(|| old.unreadable.as_deref().map(str::to_owned));
        self.vectors.legacy = self.vectors.legacy.take().or_else(|| old.vector.clone());
        for (name, vector) in &old.vectors {
            if !self.vectors.named.iter().any(|(other, _)| other == name) {
                self.vectors.named.push((name.clone(), vector.clone()));
            }
        }
        self.vectors
            .named
            .sort_by(|(one, _), (other, _)| one.cmp(other));
    }
}

/// The types of all members of an object; `prefix` is where the object stands for the server's decoder.
pub(super) fn check_types(shape: &Shape, object: &Json<'_>, prefix: &str) -> Result<(), Reply> {
    for name in ["class", "id", "tenant"] {
        shape.check_text(object.get(name), &format!("{prefix}{name}"))?;
    }
    for name in ["creationTimeUnix", "lastUpdateTimeUnix"] {
        let field = format!("{prefix}{name}");
        shape.check(object.get(name), &field, "int64", |value| {
            matches!(value, Json::Number(_))
        })?;
    }
    let field = format!("{prefix}vector");
    shape.check(object.get("vector"), &field, "models.C11yVector", |value| {
        value.array().is_some()
    })?;
    check_floats(shape, object.get("vector"), &field)?;
    if let Some(Json::Object(members)) = object.get("vectors") {
        members.iter().try_for_each(|(_, value)| {
            check_floats(shape, Some(value), &format!("{prefix}vectors"))
        })?;
    }
    Ok(())
}

fn check_floats(shape: &Shape, value: Option<&Json<'_>>, field: &str) -> Result<(), Reply> {
    for item in value.and_then(Json::array).unwrap_or_default() {
        match item {
            Json::Array(_) => check_floats(shape, Some(item), field)?,
            item => shape.check_float(item, field)?,
        }
    }
    Ok(())
}

/// The framework's check of an id in a body.
pub(super) fn check_id(object: &Json<'_>, place: &str) -> Result<(), Reply> {
    match object.text_of("id") {
        text if text.is_empty() || strict_id(text).is_some() => Ok(()),
        text => Err(Reply::framework(
            601,
            format!("{place}id in body must be of type uuid: \"{text}\""),
        )),
    }
}

impl<'v, 'a> Incoming<'v, 'a> {
    /// Reads an object that the framework let through; a missing id becomes a random one.
    pub(super) fn read(source: &'v Json<'a>, data: &Data) -> Incoming<'v, 'a> {
        let sent = source.text_of("id");
        let (id, id_text) = match strict_id(sent) {
            Some(id) => (id, sent.to_owned()),
            None => {
                let id = Uuid::new_v4();
                (id, id.to_string())
            }
        };
        Incoming {
            class: data.resolve(source.text_of("class")),
            tenant: Cow::Borrowed(source.text_of("tenant")),
            id,
            id_text,
            vectors: Vectors::read(source),
            time: now(),
            source,
        }
    }

    /// Checks the object against its class, which auto-schema may create or widen; the error is the server's text.
    pub(super) fn prepare(&self, data: &mut Data, call: &Call<'_>) -> Result<Prepared, String> {
        let properties = self.source.get("properties");
        autoschema::ensure(data, call, &self.class, properties)?;
        let class = data
            .classes
            .get_mut(&self.class)
            .ok_or_else(|| missing(&self.class))?;
        class.awake(&self.tenant)?;
        let class = data
            .classes
            .get(&self.class)
            .ok_or_else(|| missing(&self.class))?;
        let checked = values::check(class, data, &self.tenant, properties)?;
        let vectors = self.vectors.clone().placed(class)?;
        Ok(Prepared {
            echo: checked.echo,
            stored: checked.stored,
            unreadable: checked.unreadable,
            vectors,
        })
    }

    /// Stores the object, replacing what had its id; `created` keeps an older creation time.
    pub(super) fn store(
        &self,
        data: &mut Data,
        prepared: Prepared,
        created: Option<i64>,
    ) -> Result<(), String> {
        let class = data
            .classes
            .get_mut(&self.class)
            .ok_or_else(|| missing(&self.class))?;
        if class.is_read_only(&self.tenant, self.id) {
            return Err("store is read-only due to: manually set by user".to_owned());
        }
        let skipped = class.skipped_indexes();
        let partition = class.awake(&self.tenant)?;
        prepared
            .vectors
            .check_dimensions(self.id, &partition.dimensions)?;
        prepared.vectors.fix_dimensions(&mut partition.dimensions);
        partition
            .dimensions
            .retain(|name, _| !skipped.contains(name));
        let known = partition
            .objects
            .get(&self.id)
            .map(|old| old.indexed.clone());
        let canonical = self.id.to_string() == self.id_text;
        let object = Object {
            created: created.unwrap_or(self.time),
            updated: self.time,
            properties: prepared.stored.into(),
            vector: prepared.vectors.legacy,
            vectors: prepared.vectors.named,
            indexed: known.unwrap_or_else(|| (!canonical).then(|| self.id_text.as_str().into())),
            unreadable: prepared.unreadable.map(Into::into),
        };
        partition.objects.insert(self.id, Arc::new(object));
        Ok(())
    }

    /// Appends the object as a write echoes it, without its closing brace; `prepared` is `None` if it was refused.
    pub(super) fn echo(&self, out: &mut String, prepared: Option<(&str, &Vectors)>, id_text: &str) {
        out.push('{');
        self.extra(out, "additional");
        write::member(out, "class");
        write::string(out, &self.class);
        out.push_str(&format!(",\"creationTimeUnix\":{}", self.time));
        write::member(out, "id");
        write::string(out, id_text);
        out.push_str(&format!(
            ",\"lastUpdateTimeUnix\":{},\"properties\":",
            self.time
        ));
        match (prepared, self.source.get("properties")) {
            (Some((echo, _)), _) => out.push_str(echo),
            (None, Some(properties)) => write::raw(out, properties),
            (None, None) => out.push_str("{}"),
        }
        if !self.tenant.is_empty() {
            write::member(out, "tenant");
            write::string(out, &self.tenant);
        }
        let vectors = prepared.map_or(&self.vectors, |(_, vectors)| vectors);
        if let Some(vector) = &vectors.legacy {
            write::member(out, "vector");
            object::row(out, vector);
        }
        self.extra(out, "vectorWeights");
        if !vectors.named.is_empty() {
            write::member(out, "vectors");
            object::named(out, &vectors.named);
        }
    }

    fn extra(&self, out: &mut String, name: &str) {
        if let Some(value) = self.source.get(name) {
            write::member(out, name);
            write::raw(out, value);
        }
    }
}

fn missing(class: &str) -> String {
    format!("class '{}' not present in schema", capitalised(class))
}

/// The result of one object or reference in a batch.
pub(super) fn result(outcome: &Result<(), String>) -> Value {
    match outcome {
        Ok(()) => json!({"status": "SUCCESS"}),
        Err(text) => json!({"errors": {"error": [{"message": text}]}, "status": "FAILED"}),
    }
}
