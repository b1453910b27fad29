//! Definitions of classes: the defaults a server fills in, and the rules a new class must keep.

use serde_json::{Map, Value, json};

use super::property;
use super::reply::Reply;
use super::settings::Settings;
use super::store::{Data, capitalised};
use super::vector_config::{self, merge};

/// Whether a definition is posted or put in place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Creation,
    Update,
}

/// The definition that the server makes of `sent`, or its refusal.
pub(super) fn define(
    sent: &Value,
    data: &Data,
    settings: &Settings,
    purpose: Purpose,
) -> Result<Value, Reply> {
    property::check_framework(sent)?;
    vector_config::check_entries(sent)?;
    let name = class_name(sent["class"].as_str().unwrap_or_default())?;
    let mut out = Map::new();
    keep(&mut out, sent, &["description", "moduleConfig"]);
    vector_config::define(&mut out, sent, settings, purpose)?;
    out.insert(
        "properties".into(),
        property::define_all(sent, &name, data, purpose)?,
    );
    out.insert("invertedIndexConfig".into(), inverted_index(sent));
    tenancy(&mut out, sent, purpose)?;
    out.insert(
        "replicationConfig".into(),
        replication(&sent["replicationConfig"], settings)?,
    );
    time_to_live(&mut out, sent, settings)?;
    out.insert("class".into(), name.into());
    Ok(Value::Object(out))
}

fn keep(out: &mut Map<String, Value>, sent: &Value, names: &[&str]) {
    for name in names {
        match &sent[*name] {
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            value => {
                out.insert((*name).to_owned(), value.clone());
            }
        }
    }
}

/// The capitalised name of a class, if the server accepts it.
pub(super) fn class_name(name: &str) -> Result<String, Reply> {
    if name == "raft" {
        return Err(Reply::schema_error(
            "parse class name: class name `raft` is reserved",
        ));
    }
    let name = capitalised(name);
    if name.len() > 255 {
        let limit = "Name should not be longer than 255 characters";
        return Err(Reply::schema_error(format!(
            "'{name}' is not a valid class name. {limit}"
        )));
    }
    match is_class_name(&name) {
        true => Ok(name),
        false => Err(Reply::schema_error(format!(
            "'{name}' is not a valid class name"
        ))),
    }
}

/// Whether a capitalised name can be that of a class or an alias.
pub(super) fn is_class_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_uppercase())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

fn inverted_index(sent: &Value) -> Value {
    let given = &sent["invertedIndexConfig"];
    let mut config = json!({
        "bm25": {"b": 0.75, "k1": 1.2}, "cleanupIntervalSeconds": 60, "usingBlockMaxWAND": null,
        "stopwords": {"additions": null, "preset": "en", "removals": null},
    });
    merge(&mut config, given);
    config["usingBlockMaxWAND"] = true.into();
    for flag in ["indexNullState", "indexPropertyLength", "indexTimestamps"] {
        if given[flag] == true {
            config[flag] = true.into();
        }
    }
    if given["stopwordPresets"].is_object() {
        config["stopwordPresets"] = given["stopwordPresets"].clone();
    }
    config
}

fn tenancy(out: &mut Map<String, Value>, sent: &Value, purpose: Purpose) -> Result<(), Reply> {
    let given = &sent["multiTenancyConfig"];
    let enabled = given["enabled"] == true;
    for flag in ["autoTenantCreation", "autoTenantActivation"] {
        if !enabled && given[flag] == true {
            return Err(Reply::schema_error(format!(
                "can't enable {flag} on a non-multi-tenant class"
            )));
        }
    }
    let mut config =
        json!({"enabled": false, "autoTenantCreation": false, "autoTenantActivation": false});
    merge(&mut config, given);
    out.insert("multiTenancyConfig".into(), config);
    if enabled && purpose == Purpose::Creation && !sent["shardingConfig"].is_null() {
        return Err(Reply::schema_error(
            "cannot have both shardingConfig and multiTenancyConfig",
        ));
    }
    out.insert(
        "shardingConfig".into(),
        if enabled {
            no_sharding()
        } else {
            sharding(&sent["shardingConfig"])
        },
    );
    Ok(())
}

fn no_sharding() -> Value {
    json!({
        "virtualPerPhysical": 0, "desiredCount": 0, "actualCount": 0, "desiredVirtualCount": 0, "actualVirtualCount": 0,
        "key": "", "strategy": "", "function": "",
    })
}

fn sharding(given: &Value) -> Value {
    let count = given["desiredCount"]
        .as_u64()
        .filter(|count| *count > 0)
        .unwrap_or(1)
        .min(64);
    let each = given["virtualPerPhysical"]
        .as_u64()
        .filter(|each| *each > 0)
        .unwrap_or(128)
        .min(1 << 20);
    json!({
        "virtualPerPhysical": each, "desiredCount": count, "actualCount": count, "desiredVirtualCount": count * each,
        "actualVirtualCount": count * each, "key": "_id", "strategy": "hash", "function": "murmur3",
    })
}

fn replication(given: &Value, settings: &Settings) -> Result<Value, Reply> {
    let factor = given["factor"].as_i64().unwrap_or(1).max(1);
    let nodes = 1 + settings.lost_nodes;
    if factor > nodes as i64 {
        let text = format!(
            "could not find enough weaviate nodes for replication: {nodes} available, {factor} requested"
        );
        return Err(Reply::schema_error(format!("init sharding state: {text}")));
    }
    let strategy = given["deletionStrategy"]
        .as_str()
        .unwrap_or("TimeBasedResolution");
    Ok(json!({"factor": factor, "asyncEnabled": false, "deletionStrategy": strategy}))
}

fn time_to_live(
    out: &mut Map<String, Value>,
    sent: &Value,
    settings: &Settings,
) -> Result<(), Reply> {
    let given = &sent["objectTtlConfig"];
    if given["enabled"] != true {
        return Ok(());
    }
    let refuse = |text: String| Err(Reply::schema_error(format!("ObjectTTLConfig: {text}")));
    if !settings.ttl_schedule {
        let text = "enabling objectTTL requires a running background scheduler. Set OBJECTS_TTL_DELETE_SCHEDULE to activate it";
        return refuse(text.to_owned());
    }
    let on = given["deleteOn"].as_str().unwrap_or_default();
    let seconds = given["defaultTtl"].as_i64().unwrap_or(0);
    if matches!(on, "_creationTimeUnix" | "_lastUpdateTimeUnix") {
        if seconds < 60 {
            let text = format!(
                "defaultTtl value too small for \"deleteOn\"=\"{on}\". Required minimum \"60\" seconds, given \"{seconds}\" seconds"
            );
            return refuse(text);
        }
        out["invertedIndexConfig"]["indexTimestamps"] = true.into();
    } else if !property::has(&out["properties"], on) {
        return refuse(format!(
            "property \"{on}\" set as \"deleteOn\" not found among collection properties"
        ));
    }
    let config = json!({
        "enabled": true, "deleteOn": on, "defaultTtl": seconds, "filterExpiredObjects": given["filterExpiredObjects"] == true,
    });
    out.insert("objectTtlConfig".into(), config);
    Ok(())
}
