//! References: beacons in requests, beacons with links in replies.

use uuid::Uuid;

use super::call::strict_id;
use super::class::Property;
use super::json::Json;
use super::store::Data;
use super::values::shown;
use super::write;

const SCHEME: &str = "weaviate://localhost/";

/// What a beacon points to; old ones name no class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) class: Option<String>,
    pub(super) id: Uuid,
}

impl Target {
    /// Reads `weaviate://localhost/[Class/]id`; the error is the server's text.
    pub(super) fn parse(beacon: &str) -> Result<Target, String> {
        let path = path_of(beacon);
        let read = |text: &str, place: &str| {
            strict_id(text).ok_or_else(|| {
                format!("invalid cref URI: {place} path segment must be uuid, but got '{text}'")
            })
        };
        match path.split('/').collect::<Vec<_>>().as_slice() {
            [id] => Ok(Target {
                class: None,
                id: read(id, "1st")?,
            }),
            [class, id] => Ok(Target {
                class: Some((*class).to_owned()),
                id: read(id, "2nd")?,
            }),
            _ => Err(format!(
                "invalid cref URI: path must be of format '[/<className>]/<uuid>', but got '/{path}'"
            )),
        }
    }

    /// The beacon in its long form where the class is known.
    pub(super) fn beacon(&self) -> String {
        match &self.class {
            Some(class) => format!("{SCHEME}{class}/{}", self.id),
            None => format!("{SCHEME}{}", self.id),
        }
    }

    /// A target without class takes the class of a property that has only one.
    pub(super) fn completed(self, property: Option<&Property>) -> Target {
        let only = property
            .filter(|property| property.targets.len() == 1)
            .map(|property| property.targets[0].clone());
        Target {
            class: self.class.or(only),
            ..self
        }
    }
}

/// What stands behind scheme and host.
pub(super) fn path_of(uri: &str) -> &str {
    let behind = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    behind.split_once('/').map_or("", |(_, path)| path)
}

/// Whether the framework takes the text for a URI.
pub(super) fn is_uri(text: &str) -> bool {
    text.contains("://") || text.starts_with('/')
}

/// Appends a list of references; every target must exist.
pub(super) fn write_all(
    out: &mut String,
    property: &Property,
    class: &str,
    data: &Data,
    tenant: &str,
    value: &Json<'_>,
) -> Result<(), String> {
    let items = value
        .array()
        .ok_or_else(|| format!("reference property is not a slice {}", shown(value)))?;
    let mut beacons = Vec::new();
    for item in items {
        let target = Target::parse(item.text_of("beacon"))?.completed(Some(property));
        if !exists(data, property, &target, tenant) {
            let place = format!("invalid cref: 'cref' {class}:{}", property.name);
            return Err(format!("{place}: no object with id {} found", target.id));
        }
        beacons.push(target.beacon());
    }
    write_beacons(out, &beacons);
    Ok(())
}

/// Appends a list of beacons without links.
pub(super) fn write_beacons(out: &mut String, beacons: &[String]) {
    write::list(out, beacons, |out, beacon| {
        out.push_str("{\"beacon\":");
        write::string(out, beacon);
        out.push('}');
    });
}

/// Whether the target is stored, in its tenant or in a class without tenants.
pub(super) fn exists(data: &Data, property: &Property, target: &Target, tenant: &str) -> bool {
    let classes = match &target.class {
        Some(class) => std::slice::from_ref(class),
        None => &property.targets,
    };
    let allowed = classes
        .iter()
        .filter(|class| property.targets.contains(class));
    allowed
        .into_iter()
        .any(|class| data.holds(class, tenant, target.id) || data.holds(class, "", target.id))
}

/// Appends a written list of beacons with the link that a read shows beside each.
pub(super) fn with_links(out: &mut String, written: &str) {
    write_links(out, &beacons(written));
}

/// The beacons of a written list; anything else has none.
pub(super) fn beacons(written: &str) -> Vec<String> {
    let parsed = Json::parse(written).unwrap_or(Json::Null);
    let items = parsed.array().unwrap_or_default();
    items
        .iter()
        .map(|item| item.text_of("beacon").to_owned())
        .collect()
}

/// Appends a list of beacons with links.
pub(super) fn write_links(out: &mut String, beacons: &[String]) {
    write::list(out, beacons, |out, beacon| {
        out.push_str("{\"beacon\":");
        write::string(out, beacon);
        out.push_str(",\"href\":");
        write::string(out, &format!("/v1/objects/{}", path_of(beacon)));
        out.push('}');
    });
}
