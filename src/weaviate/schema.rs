//! The rules by which a definition that was read becomes one that can be created, and the comparison afterwards.

use serde_json::{Map, Value};

use super::quantization::forget_declining;
use crate::error::{Error, Kind, Result};
use crate::model::{CollectionName, Definition};

/// Members that the server adds on reading and that are refused or without meaning on creation.
const DERIVED: [&str; 3] = [
    "bucketGeneration",
    "searchableBlockmax",
    "trackDefaultQuantization",
];

/// The body that creates a collection like this one, and what has to be done after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Creatable {
    /// For POST /schema.
    pub create: Value,
    /// For PUT /schema/{name} afterwards: a class with both a legacy and named vectors cannot be created in one go.
    pub then_update: Option<Value>,
    /// What had to be left out, one sentence each.
    pub left_out: Vec<String>,
}

/// Turns a definition as read into one that can be posted.
pub fn creatable(definition: &Definition) -> Result<Creatable> {
    let mut value = definition.value()?;
    let mut left_out = Vec::new();
    remove_derived(&mut value);
    let Some(class) = value.as_object_mut() else {
        return Err(Error::new(
            Kind::Incompatible,
            "the definition is not a JSON object",
        ));
    };
    if class
        .get("multiTenancyConfig")
        .and_then(|config| config.get("enabled"))
        == Some(&Value::Bool(true))
    {
        // It reads as zeros and is refused: "cannot have both shardingConfig and multiTenancyConfig".
        class.remove("shardingConfig");
        pin_automation(class);
    }
    if let Some(replication) = class
        .get_mut("replicationConfig")
        .and_then(Value::as_object_mut)
    {
        replication.remove("asyncEnabled");
    }
    drop_dropped_vectors(class, &mut left_out);
    let then_update = split_vectors(class);
    Ok(Creatable {
        create: value,
        then_update,
        left_out,
    })
}

/// A typo must not create tenants while data is loaded; the flags are set back at the end.
fn pin_automation(class: &mut Map<String, Value>) {
    if let Some(config) = class
        .get_mut("multiTenancyConfig")
        .and_then(Value::as_object_mut)
    {
        for flag in AUTOMATION {
            if config.contains_key(flag) {
                config.insert(flag.to_owned(), Value::Bool(false));
            }
        }
    }
}

fn remove_derived(value: &mut Value) {
    match value {
        Value::Object(map) => {
            DERIVED.iter().for_each(|name| {
                map.remove(*name);
            });
            map.values_mut().for_each(remove_derived);
        }
        Value::Array(list) => list.iter_mut().for_each(remove_derived),
        _ => {}
    }
}

/// A named vector whose index was dropped reads as type `none`, which a creation refuses.
fn drop_dropped_vectors(class: &mut Map<String, Value>, left_out: &mut Vec<String>) {
    let Some(named) = class.get_mut("vectorConfig").and_then(Value::as_object_mut) else {
        return;
    };
    named.retain(|name, vector| {
        let is_dropped = is_dropped(vector);
        if is_dropped {
            left_out.push(format!("the index of vector `{name}` was dropped at the source; its vectors are not restored"));
        }
        !is_dropped
    });
    // An empty member is refused; without it the class gets the one vector without a name, which nothing uses.
    if named.is_empty() {
        class.remove("vectorConfig");
    }
}

fn is_dropped(vector: &Value) -> bool {
    vector.get("vectorIndexType").and_then(Value::as_str) == Some("none")
}

/// The named vectors whose index was dropped: their objects' vectors can be read and not be written.
pub fn dropped_vectors(definition: &Definition) -> Result<Vec<String>> {
    let value = definition.value()?;
    let named = value.get("vectorConfig").and_then(Value::as_object);
    let dropped = named
        .into_iter()
        .flatten()
        .filter(|(_, vector)| is_dropped(vector));
    Ok(dropped.map(|(name, _)| name.clone()).collect())
}

/// The vectors, by name, empty for the one without, whose index is skipped: the server takes them in any length.
pub fn unindexed_vectors(definition: &Definition) -> Result<Vec<String>> {
    let value = definition.value()?;
    let named = value.get("vectorConfig").and_then(Value::as_object);
    let named = named.into_iter().flatten();
    let all = named.map(|(name, vector)| (name.as_str(), vector));
    let unindexed = all
        .chain([("", &value)])
        .filter(|(_, vector)| is_skipped(vector));
    Ok(unindexed.map(|(name, _)| name.to_owned()).collect())
}

fn is_skipped(vector: &Value) -> bool {
    let kind = vector.get("vectorIndexType").and_then(Value::as_str);
    let skip = vector.pointer("/vectorIndexConfig/skip");
    kind.is_none_or(|kind| kind == "hnsw") && skip == Some(&Value::Bool(true))
}

/// The automation flags of a collection's tenants.
const AUTOMATION: [&str; 2] = ["autoTenantCreation", "autoTenantActivation"];

/// Those automation flags of a definition that are on.
pub fn automation(definition: &Definition) -> Result<Vec<String>> {
    let value = definition.value()?;
    let is_on = |flag: &&str| value["multiTenancyConfig"][*flag] == Value::Bool(true);
    let on = AUTOMATION.into_iter().filter(is_on);
    Ok(on.map(str::to_owned).collect())
}

/// The body for PUT /schema/{name} that changes automation flags alone of a definition that was just read. The server
/// takes back what it showed, zeros of sharding and dropped vectors included.
pub fn with_automation(read: &Definition, flags: &[(String, bool)]) -> Result<Value> {
    let mut value = read.value()?;
    for (flag, is_on) in flags {
        value["multiTenancyConfig"][flag] = Value::Bool(*is_on);
    }
    Ok(value)
}

fn split_vectors(class: &mut Map<String, Value>) -> Option<Value> {
    let has_legacy = class
        .get("vectorIndexType")
        .and_then(Value::as_str)
        .is_some_and(|kind| !kind.is_empty());
    let has_named = class
        .get("vectorConfig")
        .and_then(Value::as_object)
        .is_some_and(|named| !named.is_empty());
    if !(has_legacy && has_named) {
        return None;
    }
    let whole = Value::Object(class.clone());
    class.remove("vectorConfig");
    Some(whole)
}

/// The definition under another name. References to itself follow.
pub fn with_name(definition: &Definition, name: &CollectionName) -> Result<Definition> {
    let old = definition.name()?;
    if old == *name {
        return Ok(definition.clone());
    }
    let mut value = definition.value()?;
    value["class"] = Value::String(name.to_string());
    rename_targets(&mut value, old.as_str(), name.as_str());
    Definition::parse(value.to_string())
}

fn rename_targets(class: &mut Value, old: &str, new: &str) {
    for property in class
        .get_mut("properties")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        for target in property
            .get_mut("dataType")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if target.as_str() == Some(old) {
                *target = Value::String(new.to_owned());
            }
        }
    }
}

/// The settings in which two definitions differ, as JSON pointers with both values; members that the server derives,
/// the order of members and the automation flags of tenants are not compared. Empty means that they match.
pub fn definitions_match(one: &Definition, two: &Definition) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    compare(
        "",
        &comparable(one)?,
        &comparable(two)?,
        false,
        &mut differences,
    );
    Ok(differences)
}

/// As [`definitions_match`], but what `asked` does not name may be whatever the server made of it: documents of other
/// hands leave out defaults, and an older server knew fewer settings.
pub fn definition_holds(asked: &Definition, made: &Definition) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    compare(
        "",
        &comparable(asked)?,
        &comparable(made)?,
        true,
        &mut differences,
    );
    Ok(differences)
}

fn comparable(definition: &Definition) -> Result<Value> {
    let creatable = creatable(definition)?;
    let mut value = creatable.then_update.unwrap_or(creatable.create);
    forget_declining(&mut value);
    sort_by_name(value.get_mut("properties"));
    Ok(value)
}

/// The order of properties may change after an update.
fn sort_by_name(properties: Option<&mut Value>) {
    if let Some(list) = properties.and_then(Value::as_array_mut) {
        list.sort_by_key(|property| {
            property
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        });
        list.iter_mut()
            .for_each(|property| sort_by_name(property.get_mut("nestedProperties")));
    }
}

fn compare(
    path: &str,
    one: &Value,
    two: &Value,
    may_be_silent: bool,
    differences: &mut Vec<String>,
) {
    match (one, two) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names: std::collections::BTreeSet<&String> =
                ours.keys().chain(theirs.keys()).collect();
            for name in names {
                if may_be_silent && !ours.contains_key(name) {
                    continue;
                }
                let (one, two) = (
                    ours.get(name).unwrap_or(&Value::Null),
                    theirs.get(name).unwrap_or(&Value::Null),
                );
                compare(
                    &format!("{path}/{name}"),
                    one,
                    two,
                    may_be_silent,
                    differences,
                );
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (index, (one, two)) in ours.iter().zip(theirs).enumerate() {
                compare(
                    &format!("{path}/{index}"),
                    one,
                    two,
                    may_be_silent,
                    differences,
                );
            }
        }
        _ if one == two || (is_void(one) && is_void(two)) => {}
        _ => differences.push(format!("{path}: {one} against {two}")),
    }
}

/// Absent, null and empty mean the same in a definition.
fn is_void(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(text: &str) -> Definition {
        Definition::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_multi_tenant_class_loses_its_sharding_and_has_its_automation_pinned() {
        let read = definition(
            r#"{"class":"A","shardingConfig":{"desiredCount":0},"multiTenancyConfig":{"enabled":true,"autoTenantCreation":true},"replicationConfig":{"factor":1,"asyncEnabled":false}}"#,
        );
        let made = creatable(&read).unwrap().create;
        assert!(made.get("shardingConfig").is_none());
        assert_eq!(made["multiTenancyConfig"]["autoTenantCreation"], false);
        assert_eq!(made["replicationConfig"], serde_json::json!({"factor": 1}));
    }

    #[test]
    fn legacy_and_named_vectors_take_two_steps_and_a_dropped_index_is_named() {
        let read = definition(
            r#"{"class":"A","vectorIndexType":"hnsw","vectorConfig":{"a":{"vectorIndexType":"hnsw"},"b":{"vectorIndexType":"none"}}}"#,
        );
        let made = creatable(&read).unwrap();
        assert!(made.create.get("vectorConfig").is_none());
        assert!(made.then_update.unwrap()["vectorConfig"].get("b").is_none());
        assert_eq!(made.left_out.len(), 1);
    }

    #[test]
    fn vectors_whose_index_is_skipped_are_known() {
        let read = definition(
            r#"{"class":"A","vectorIndexConfig":{"skip":true},"vectorConfig":{"a":{"vectorIndexType":"hnsw","vectorIndexConfig":{"skip":true}},"b":{"vectorIndexType":"flat","vectorIndexConfig":{"skip":true}},"c":{"vectorIndexConfig":{"skip":false}}}}"#,
        );
        assert_eq!(unindexed_vectors(&read).unwrap(), ["a", ""]);
    }

    #[test]
    fn a_renamed_class_refers_to_itself_by_its_new_name() {
        let read = definition(r#"{"class":"A","properties":[{"name":"r","dataType":["A","B"]}]}"#);
        let renamed = with_name(&read, &CollectionName::parse("N").unwrap()).unwrap();
        assert_eq!(
            renamed.value().unwrap()["properties"][0]["dataType"],
            serde_json::json!(["N", "B"])
        );
        assert_eq!(renamed.name().unwrap().as_str(), "N");
    }

    #[test]
    fn definitions_are_compared_by_meaning() {
        let one = definition(
            r#"{"class":"A","properties":[{"name":"a"},{"name":"b","description":""}],"x":{"bucketGeneration":2,"k":1}}"#,
        );
        let two =
            definition(r#"{"x":{"k":1},"class":"A","properties":[{"name":"b"},{"name":"a"}]}"#);
        assert!(definitions_match(&one, &two).unwrap().is_empty());
        let three =
            definition(r#"{"x":{"k":2},"class":"A","properties":[{"name":"b"},{"name":"a"}]}"#);
        assert_eq!(
            definitions_match(&one, &three).unwrap(),
            ["/x/k: 1 against 2"]
        );
    }
}
