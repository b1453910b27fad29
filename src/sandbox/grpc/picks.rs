//! Which properties a search asks for.

use super::super::class::{Class, Kind, Property};
use super::super::property::small;
use super::super::store::Data;
use super::super::values::unknown_property;
use super::messages::{
    MetadataRequest, ObjectPropertiesRequest, PropertiesRequest, RefPropertiesRequest,
};

/// A property to be returned, with the members to be returned of an object.
#[derive(Debug, Clone)]
pub(super) struct Pick {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) nested: Vec<Pick>,
}

/// A reference to be followed.
#[derive(Debug, Clone)]
pub(super) struct Follow {
    pub(super) name: String,
    /// The class whose name all targets are labelled with.
    pub(super) label: String,
    pub(super) picks: Picks,
    pub(super) metadata: MetadataRequest,
}

/// All that is asked for of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Picks {
    pub(super) plain: Vec<Pick>,
    pub(super) references: Vec<Follow>,
}

const PLACE: &str = "extract properties request";

impl Picks {
    /// Reads a request against a class; the error is the server's text.
    pub(super) fn read(
        request: Option<&PropertiesRequest>,
        class: &Class,
        data: &Data,
    ) -> Result<Picks, String> {
        let Some(request) = request else {
            return Ok(Picks {
                plain: all(&class.properties),
                references: Vec::new(),
            });
        };
        let mut plain = all(&class.properties);
        if !request.return_all_nonref_properties {
            let names = request.non_ref_properties.iter();
            let named = names.map(|name| named(&class.properties, &class.name, name));
            plain = named.collect::<Result<_, _>>()?;
        }
        for asked in &request.object_properties {
            add(&mut plain, members(&class.properties, &class.name, asked)?);
        }
        let references = request
            .ref_properties
            .iter()
            .map(|asked| follow(asked, class, data));
        Ok(Picks {
            plain,
            references: references.collect::<Result<_, _>>()?,
        })
    }
}

/// A later request for a property replaces an earlier one.
fn add(picks: &mut Vec<Pick>, pick: Pick) {
    picks.retain(|other| other.name != pick.name);
    picks.push(pick);
}

/// All properties but references and blobs, at every depth.
fn all(properties: &[Property]) -> Vec<Pick> {
    let hidden = [Kind::Reference, Kind::Blob, Kind::BlobHash];
    properties
        .iter()
        .filter(|property| !hidden.contains(&property.kind))
        .map(whole)
        .collect()
}

fn whole(property: &Property) -> Pick {
    Pick {
        name: property.name.clone(),
        kind: property.kind,
        nested: all(&property.nested),
    }
}

fn find<'p>(properties: &'p [Property], class: &str, name: &str) -> Result<&'p Property, String> {
    let name = small(name);
    let found = properties.iter().find(|property| property.name == name);
    found.ok_or_else(|| {
        let why = unknown_property(&name, class);
        format!("{PLACE}: get property by name {name} for class {class}: {why}")
    })
}

fn named(properties: &[Property], class: &str, name: &str) -> Result<Pick, String> {
    find(properties, class, name).map(whole)
}

fn members(
    properties: &[Property],
    class: &str,
    asked: &ObjectPropertiesRequest,
) -> Result<Pick, String> {
    let property = find(properties, class, &asked.prop_name)?;
    let mut nested = Vec::new();
    for name in &asked.primitive_properties {
        nested.push(named(&property.nested, class, name)?);
    }
    for deeper in &asked.object_properties {
        add(&mut nested, members(&property.nested, class, deeper)?);
    }
    Ok(Pick {
        name: property.name.clone(),
        kind: property.kind,
        nested,
    })
}

fn follow(asked: &RefPropertiesRequest, class: &Class, data: &Data) -> Result<Follow, String> {
    let property = find(&class.properties, &class.name, &asked.reference_property)?;
    let label = match property.targets.as_slice() {
        [only] => only.clone(),
        [first, ..] if !asked.target_collection.is_empty() => first.clone(),
        many => {
            return Err(format!(
                "{PLACE}: multi target references from collection {} and property {} with need an explicitlinked collection. Available linked collections are [{}]",
                class.name,
                property.name,
                many.join(" ")
            ));
        }
    };
    let wanted = match asked.target_collection.as_str() {
        "" => &label,
        name => name,
    };
    let target = data
        .class(wanted)
        .ok_or_else(|| format!("could not find class {wanted} in schema"))?;
    Ok(Follow {
        name: property.name.clone(),
        label,
        picks: Picks::read(asked.properties.as_ref(), target, data)?,
        metadata: asked.metadata.clone().unwrap_or_default(),
    })
}
