//! The definition that a restore makes: the archived one, or what the user makes of it.

use serde_json::Value;

use crate::archive::Archive;
use crate::error::{Error, Kind, Result};
use crate::model::{CollectionName, Definition};
use crate::weaviate::{definitions_match, with_name};

/// What of the archived definition is asked to be otherwise.
#[derive(Clone, Debug, Default)]
pub struct Reshape {
    /// This definition in its place.
    pub schema: Option<Definition>,
    /// A JSON merge patch (RFC 7396) on it.
    pub patch: Option<Value>,
    /// Replicas.
    pub replication_factor: Option<u32>,
    /// Shards.
    pub shards: Option<u32>,
}

/// The definition to be made.
pub(super) struct Wanted {
    /// Under the name that it gets.
    pub definition: Definition,
    /// The settings in which it differs from the archived one; empty if nothing was asked.
    pub changes: Vec<String>,
}

impl Reshape {
    /// True if nothing is to be otherwise.
    pub fn is_empty(&self) -> bool {
        self.schema.is_none()
            && self.patch.is_none()
            && self.replication_factor.is_none()
            && self.shards.is_none()
    }

    /// The definition that becomes of the archived one under `name`.
    pub(super) fn apply(&self, archive: &Archive, name: &CollectionName) -> Result<Wanted> {
        let archived = with_name(archived(archive), name)?;
        if self.is_empty() {
            return Ok(Wanted {
                definition: archived,
                changes: Vec::new(),
            });
        }
        let base = match &self.schema {
            Some(schema) => with_name(schema, name)?,
            None => archived.clone(),
        };
        let definition = self.change(base)?;
        if definition.name()? != *name {
            return Err(
                Error::new(Kind::Usage, "the patch changes the name of the collection")
                    .with_hint("pass --name <NEW>"),
            );
        }
        let changes = definitions_match(&archived, &definition)?;
        Ok(Wanted {
            definition,
            changes,
        })
    }

    fn change(&self, base: Definition) -> Result<Definition> {
        if self.patch.is_none() && self.replication_factor.is_none() && self.shards.is_none() {
            return Ok(base);
        }
        let mut value = base.value()?;
        if let Some(patch) = &self.patch {
            merge(&mut value, patch);
        }
        if let Some(factor) = self.replication_factor {
            value["replicationConfig"]["factor"] = factor.into();
        }
        if let Some(shards) = self.shards {
            set_shards(&mut value, shards)?;
        }
        Definition::parse(value.to_string())
    }
}

/// A property that was added while the backup ran may be in its objects.
fn archived(archive: &Archive) -> &Definition {
    let at_end = archive
        .trailer()
        .and_then(|trailer| trailer.definition_at_end.as_ref());
    at_end.unwrap_or_else(|| archive.definition())
}

/// RFC 7396: members replace members, null removes one, anything else replaces the whole.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(into) = target else { return };
    for (name, value) in members {
        match value {
            Value::Null => drop(into.remove(name)),
            value => merge(into.entry(name).or_insert(Value::Null), value),
        }
    }
}

/// The other numbers of the sharding follow from this one.
fn set_shards(class: &mut Value, shards: u32) -> Result<()> {
    if class["multiTenancyConfig"]["enabled"] == Value::Bool(true) {
        return Err(Error::new(
            Kind::Usage,
            "a collection with tenants has a shard for each; --shards cannot set another number",
        ));
    }
    if let Some(sharding) = class
        .get_mut("shardingConfig")
        .and_then(Value::as_object_mut)
    {
        for derived in ["actualCount", "desiredVirtualCount", "actualVirtualCount"] {
            sharding.remove(derived);
        }
    }
    class["shardingConfig"]["desiredCount"] = shards.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_does_what_its_rfc_says() {
        // The examples of RFC 7396, appendix A.
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (
                json!({"a":"b","b":"c"}),
                json!({"a":null}),
                json!({"b":"c"}),
            ),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (
                json!({}),
                json!({"a":{"bb":{"ccc":null}}}),
                json!({"a":{"bb":{}}}),
            ),
        ] {
            let mut changed = target.clone();
            merge(&mut changed, &patch);
            assert_eq!(changed, result, "{target} with {patch}");
        }
    }

    #[test]
    fn shards_replace_what_follows_from_them_and_tenants_have_none() {
        let reshape = Reshape {
            shards: Some(3),
            ..Reshape::default()
        };
        let base = |text: &str| Definition::parse(text.to_owned()).unwrap();
        let made = reshape.change(base(
            r#"{"class":"A","shardingConfig":{"actualCount":1,"desiredCount":1,"key":"_id"}}"#,
        ));
        let sharding = &made.unwrap().value().unwrap()["shardingConfig"];
        assert_eq!(*sharding, json!({"desiredCount": 3, "key": "_id"}));
        let tenants = base(r#"{"class":"A","multiTenancyConfig":{"enabled":true}}"#);
        assert_eq!(reshape.change(tenants).unwrap_err().kind(), Kind::Usage);
    }
}
