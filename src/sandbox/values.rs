//! Property values: each type is checked as the real server checks it and written as the server writes it back.
//!
//! A value has two forms. The echo of a write shows what was understood; a read also shows `href` beside each reference,
//! and narrows an object that looks like coordinates to f32.

use super::class::{Class, Kind, Property};
use super::json::Json;
use super::property::small;
use super::scalar::{blob, boolean, geo, id, instant, int, number, text};
use super::store::Data;
use super::{beacon, phone, sha256, write};

/// Checked properties in both forms.
pub(super) struct Checked {
    pub(super) echo: String,
    pub(super) stored: String,
    /// Why no page with the object can be read.
    pub(super) unreadable: Option<String>,
}

/// Checks all properties of an object; the error is the server's text.
pub(super) fn check(
    class: &Class,
    data: &Data,
    tenant: &str,
    sent: Option<&Json<'_>>,
) -> Result<Checked, String> {
    let mut checked = Checked {
        echo: "{".to_owned(),
        stored: "{".to_owned(),
        unreadable: None,
    };
    let members = match sent {
        None => Vec::new(),
        Some(Json::Object(members)) => sorted(members),
        Some(other) => {
            return Err(format!(
                "could not recognize object's properties: {}",
                shown(other)
            ));
        }
    };
    for (name, value) in members {
        if *value == Json::Null {
            continue;
        }
        let property = class
            .property(&name)
            .ok_or_else(|| unknown_property(&name, &class.name))?;
        let writer = Writer {
            class: &class.name,
            data,
            tenant,
        };
        let mut text = String::new();
        writer.value(&mut text, property, &name, value)?;
        add(&mut checked, property, &name, value, &text);
    }
    checked.echo.push('}');
    checked.stored.push('}');
    Ok(checked)
}

/// The members by name, first letters made small; the last of equal names counts.
pub(super) fn sorted<'v, 'a>(
    members: &'v [(std::borrow::Cow<'a, str>, Json<'a>)],
) -> Vec<(String, &'v Json<'a>)> {
    let all: std::collections::BTreeMap<String, &Json<'a>> = members
        .iter()
        .map(|(name, value)| (small(name), value))
        .collect();
    all.into_iter().collect()
}

pub(super) fn unknown_property(name: &str, class: &str) -> String {
    format!(
        "no such prop with name '{name}' found in class '{class}' in the schema. Check your schema files for which properties in this class are available"
    )
}

fn add(checked: &mut Checked, property: &Property, name: &str, value: &Json<'_>, text: &str) {
    write::member(&mut checked.echo, name);
    checked.echo.push_str(text);
    write::member(&mut checked.stored, name);
    match property.kind {
        Kind::Reference => beacon::with_links(&mut checked.stored, text),
        Kind::Object if looks_like_coordinates(value) => match coordinates(value) {
            Ok(narrowed) => checked.stored.push_str(&narrowed),
            Err(text) => {
                checked.stored.push_str("{}");
                let place = format!("enrich schema datatypes: property \"{name}\" of type map");
                checked.unreadable = Some(format!("{place}: {text}"));
            }
        },
        _ => checked.stored.push_str(text),
    }
}

fn looks_like_coordinates(value: &Json<'_>) -> bool {
    let Json::Object(members) = value else {
        return false;
    };
    members.len() == 2
        && ["latitude", "longitude"]
            .iter()
            .all(|name| members.iter().any(|(key, _)| key == name))
}

fn coordinates(value: &Json<'_>) -> Result<String, String> {
    let mut out = "{".to_owned();
    for (name, short) in [("latitude", "lat"), ("longitude", "lon")] {
        match value.get(name) {
            Some(Json::Number(text)) => {
                write::member(&mut out, name);
                write::float32(&mut out, text.parse().unwrap_or_default());
            }
            Some(Json::Float(number)) => {
                write::member(&mut out, name);
                write::float32(&mut out, *number as f32);
            }
            other => {
                let kind = other.map_or("<nil>", go_type);
                return Err(format!("explected {short} to be float64, but is {kind}"));
            }
        }
    }
    out.push('}');
    Ok(out)
}

/// What the server calls the type of a value.
pub(super) fn go_type(value: &Json<'_>) -> &'static str {
    match value {
        Json::Null => "<nil>",
        Json::Bool(_) => "bool",
        Json::Number(_) => "json.Number",
        Json::Float(_) => "float64",
        Json::Text(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    }
}

/// A value as the server prints it into its texts.
pub(super) fn shown(value: &Json<'_>) -> String {
    match value {
        Json::Null => "<nil>".to_owned(),
        Json::Bool(flag) => flag.to_string(),
        Json::Number(text) => (*text).to_owned(),
        Json::Float(number) => number.to_string(),
        Json::Text(text) => text.to_string(),
        Json::Array(items) => format!(
            "[{}]",
            items.iter().map(shown).collect::<Vec<_>>().join(" ")
        ),
        Json::Object(members) => {
            let mut parts: Vec<String> = members
                .iter()
                .map(|(name, item)| format!("{name}:{}", shown(item)))
                .collect();
            parts.sort();
            format!("map[{}]", parts.join(" "))
        }
    }
}

struct Writer<'a> {
    class: &'a str,
    data: &'a Data,
    tenant: &'a str,
}

impl Writer<'_> {
    /// Appends a value; `path` is the property with the objects around it.
    fn value(
        &self,
        out: &mut String,
        property: &Property,
        path: &str,
        value: &Json<'_>,
    ) -> Result<(), String> {
        let refuse = |kind: &str, text: String| {
            format!(
                "invalid {kind} property '{path}' on class '{}': {text}",
                self.class
            )
        };
        match property.kind {
            Kind::Text => text(out, value).map_err(|text| refuse("text", text)),
            Kind::Int => int(out, value).map_err(|text| refuse("integer", text)),
            Kind::Number => number(out, value).map_err(|text| refuse("number", text)),
            Kind::Boolean => boolean(out, value).map_err(|text| refuse("boolean", text)),
            Kind::Date => instant(out, value).map_err(|text| refuse("date", text)),
            Kind::Uuid => id(out, value).map_err(|text| refuse("uuid", text)),
            Kind::Texts => self.array(out, path, value, "text", text),
            Kind::Ints => self.array(out, path, value, "integer", int),
            Kind::Numbers => self.array(out, path, value, "number", number),
            Kind::Booleans => self.array(out, path, value, "boolean", boolean),
            Kind::Dates => self.array(out, path, value, "date", instant),
            Kind::Uuids => self.array(out, path, value, "uuid", id),
            Kind::Geo => geo(out, value).map_err(|text| refuse("geoCoordinates", text)),
            Kind::Phone => phone::write(out, value).map_err(|text| refuse("phoneNumber", text)),
            Kind::Blob => blob(value)
                .map(|text| write::string(out, text))
                .map_err(|text| refuse("blob", text)),
            Kind::BlobHash => {
                let source = blob(value).map_err(|text| refuse("blobHash", text))?;
                write::string(out, &sha256::hex(source.as_bytes()));
                Ok(())
            }
            Kind::Object => self
                .object(out, property, path, value)
                .map_err(|text| refuse("object", text)),
            Kind::Objects => self
                .objects(out, property, path, value)
                .map_err(|text| refuse("object[]", text)),
            Kind::Reference => {
                beacon::write_all(out, property, self.class, self.data, self.tenant, value)
            }
        }
    }

    fn array(
        &self,
        out: &mut String,
        path: &str,
        value: &Json<'_>,
        kind: &str,
        item: fn(&mut String, &Json<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let refuse = |text: String| {
            format!(
                "invalid {kind} array property '{path}' on class '{}': {text}",
                self.class
            )
        };
        let items = value
            .array()
            .ok_or_else(|| refuse(format!("not a {kind} array, but {}", go_type(value))))?;
        if let Some(at) = items.iter().position(|item| *item == Json::Null) {
            return Err(format!(
                "property '{path}' on class '{}': element [{at}]: unrecognized data type of value '<nil>' - one of 'text', 'number', 'int', 'boolean', 'date', 'uuid', 'object', 'cref' expected",
                self.class
            ));
        }
        out.push('[');
        for (at, value) in items.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            let fits = item(out, value);
            fits.map_err(|_| {
                refuse(format!(
                    "invalid {kind} array value: {}",
                    shown(&Json::Array(items.to_vec()))
                ))
            })?;
        }
        out.push(']');
        Ok(())
    }

    fn object(
        &self,
        out: &mut String,
        property: &Property,
        path: &str,
        value: &Json<'_>,
    ) -> Result<(), String> {
        let Json::Object(members) = value else {
            return Err(format!("object must be a map, but got: {}", go_type(value)));
        };
        out.push('{');
        for (name, value) in sorted(members) {
            let path = format!("{path}.{name}");
            let nested = property.nested.iter().find(|nested| nested.name == name);
            let nested = nested.ok_or_else(|| format!("unknown property '{path}'"))?;
            write::member(out, &name);
            match value {
                Json::Null => out.push_str("null"),
                _ => self
                    .value(out, nested, &path, value)
                    .map_err(|text| format!("property '{path}': {text}"))?,
            }
        }
        out.push('}');
        Ok(())
    }

    fn objects(
        &self,
        out: &mut String,
        property: &Property,
        path: &str,
        value: &Json<'_>,
    ) -> Result<(), String> {
        let items = value
            .array()
            .ok_or_else(|| format!("not an object array, but {}", go_type(value)))?;
        out.push('[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            self.object(out, property, path, item)?;
        }
        out.push(']');
        Ok(())
    }
}
