//! Definitions of classes: the defaults a server fills in, and the rules a new class must keep.

use serde_json::{Map, Value, json};

use super::property;
use super::reply::Reply;
use super::settings::Settings;
use super::store::{Data, capitalised};

const DISTANCES: [&str; 5] = ["cosine", "dot", "l2-squared", "manhattan", "hamming"];

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
    check_vector_entries(sent)?;
    let name = class_name(sent["class"].as_str().unwrap_or_default())?;
    let mut out = Map::new();
    keep(&mut out, sent, &["description", "moduleConfig"]);
    vectors(&mut out, sent, settings, purpose)?;
    out.insert(
        "properties".into(),
        property::define_all(sent, &name, data, purpose)?,
    );
    out.insert("invertedIndexConfig".into(), inverted_index(sent));
    tenancy(&mut out, sent, purpose)?;
    out.insert(
        "replicationConfig".into(),
        replication(&sent["replicationConfig"])?,
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

fn check_vector_entries(sent: &Value) -> Result<(), Reply> {
    let entries = sent["vectorConfig"].as_object().into_iter().flatten();
    for (name, entry) in entries {
        if entry["vectorizer"].is_null() {
            return Err(Reply::framework(
                602,
                format!("vectorConfig.{name} in body is required"),
            ));
        }
    }
    Ok(())
}

fn vectors(
    out: &mut Map<String, Value>,
    sent: &Value,
    settings: &Settings,
    purpose: Purpose,
) -> Result<(), Reply> {
    let entries = sent["vectorConfig"]
        .as_object()
        .filter(|entries| !entries.is_empty());
    let has_own = ["vectorizer", "vectorIndexType", "vectorIndexConfig"]
        .iter()
        .any(|name| !sent[*name].is_null());
    if purpose == Purpose::Creation && entries.is_some() && has_own {
        let text =
            "creating a class with both a class level vector index and named vectors is forbidden";
        let dropped = entries
            .into_iter()
            .flatten()
            .find(|(_, entry)| entry["vectorIndexType"] == "none");
        return Err(dropped.map_or_else(
            || Reply::schema_error(text),
            |(name, _)| dropped_index(name),
        ));
    }
    if entries.is_none() || has_own {
        legacy_vector(out, sent, settings)?;
    }
    if let Some(entries) = entries {
        let named: Result<Map<String, Value>, Reply> = entries
            .iter()
            .map(|(name, entry)| Ok((name.clone(), named_vector(name, entry, settings, purpose)?)))
            .collect();
        out.insert("vectorConfig".into(), Value::Object(named?));
    }
    Ok(())
}

fn legacy_vector(
    out: &mut Map<String, Value>,
    sent: &Value,
    settings: &Settings,
) -> Result<(), Reply> {
    let vectorizer = sent["vectorizer"]
        .as_str()
        .filter(|name| !name.is_empty())
        .unwrap_or("none");
    if vectorizer != "none" {
        return Err(Reply::schema_error(no_module(vectorizer)));
    }
    let kind = index_type(sent, settings, "")?;
    if sent["vectorIndexConfig"]["multivector"]["enabled"] == true {
        let text = "class.VectorIndexConfig multi vector type index type is only configurable using named vectors";
        return Err(Reply::schema_error(text));
    }
    out.insert(
        "vectorIndexConfig".into(),
        index_config(&kind, &sent["vectorIndexConfig"])?,
    );
    out.insert("vectorIndexType".into(), kind.into());
    out.insert("vectorizer".into(), vectorizer.into());
    Ok(())
}

fn named_vector(
    name: &str,
    entry: &Value,
    settings: &Settings,
    purpose: Purpose,
) -> Result<Value, Reply> {
    if !property::is_graphql_name(name, 229) {
        let rule = "in Weaviate target vector names are restricted to valid GraphQL names, which must be \u{201c}/[_A-Za-z][_0-9A-Za-z]{0,229}/\u{201d}.";
        let text = format!("class.VectorConfig target vector name \"{name}\" is not valid, {rule}");
        return Err(Reply::schema_error(text));
    }
    if entry["vectorIndexType"] == "none" {
        return match purpose {
            Purpose::Creation => Err(dropped_index(name)),
            Purpose::Update => Ok(entry.clone()),
        };
    }
    let modules: Vec<&String> = entry["vectorizer"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .collect();
    match modules.as_slice() {
        [module] if *module == "none" => {}
        [module] => {
            return Err(Reply::schema_error(format!(
                "target vector \"{name}\": {}",
                no_module(module)
            )));
        }
        others => {
            let text = "class.VectorConfig.Vectorizer must consist only 1 configuration, got";
            return Err(Reply::schema_error(format!("{text}: {}", others.len())));
        }
    }
    let kind = index_type(entry, settings, OUTDATED_CLIENT)?;
    let config = index_config(&kind, &entry["vectorIndexConfig"])?;
    Ok(
        json!({"vectorIndexConfig": config, "vectorIndexType": kind, "vectorizer": entry["vectorizer"]}),
    )
}

fn no_module(name: &str) -> String {
    format!("vectorizer: no module with name \"{name}\" present")
}

fn dropped_index(name: &str) -> Reply {
    Reply::schema_error(format!(
        "vector \"{name}\": cannot create a new class with vectorIndexType \"none\"; this is an internal sentinel for dropped indexes"
    ))
}

const OUTDATED_CLIENT: &str = " If you have not explicitly set vectorIndexType=hnsw, your client version is out of date \u{2014} please update to the latest.";

fn index_type(sent: &Value, settings: &Settings, advice: &str) -> Result<String, Reply> {
    let allowed = &settings.allowed_vector_index_types;
    let default = allowed.first().map_or("hnsw", String::as_str);
    let kind = sent["vectorIndexType"]
        .as_str()
        .filter(|kind| !kind.is_empty())
        .unwrap_or(default);
    match kind {
        "hnsw" | "flat" | "hfresh" => {}
        "dynamic" => {
            let text = "the dynamic index can only be created when async indexing is enabled";
            return Err(Reply::schema_error(text));
        }
        other => {
            let text = format!("unrecognized or unsupported vectorIndexType \"{other}\"");
            return Err(Reply::schema_error(text));
        }
    }
    if allowed.is_empty() || allowed.iter().any(|name| name == kind) {
        return Ok(kind.to_owned());
    }
    let message = format!(
        "{kind} is not allowed for vector_index_type. Allowed values: {}.{advice}",
        allowed.join(", ")
    );
    let body = json!({
        "allowed": allowed, "error": null, "errorCode": "CONFIG_NOT_ALLOWED", "message": message,
        "restriction": "vector_index_type", "value": kind,
    });
    Err(Reply::json(422, &body))
}

fn index_config(kind: &str, sent: &Value) -> Result<Value, Reply> {
    let mut config = match kind {
        "flat" => flat(),
        "hfresh" => hfresh(),
        _ => hnsw(),
    };
    merge(&mut config, sent);
    let distance = config["distance"].as_str().unwrap_or_default();
    if !DISTANCES.contains(&distance) {
        let text = format!(
            "init vector index: unrecognized distance metric \"{distance}\",choose one of {DISTANCES:?}"
        );
        return Err(Reply::schema_error(text));
    }
    Ok(config)
}

/// Takes over the members that the defaults know.
fn merge(target: &mut Value, sent: &Value) {
    match target {
        Value::Object(members) => {
            for (name, member) in members {
                merge(member, &sent[name.as_str()]);
            }
        }
        other if !sent.is_null() => *other = sent.clone(),
        _ => {}
    }
}

fn hnsw() -> Value {
    json!({
        "skip": false, "cleanupIntervalSeconds": 300, "maxConnections": 32, "efConstruction": 128, "ef": -1,
        "dynamicEfMin": 100, "dynamicEfMax": 500, "dynamicEfFactor": 8, "vectorCacheMaxObjects": 1_000_000_000_000_i64,
        "flatSearchCutoff": 40_000, "distance": "cosine",
        "pq": {
            "enabled": false, "bitCompression": false, "segments": 0, "centroids": 256, "trainingLimit": 100_000,
            "encoder": {"type": "kmeans", "distribution": "log-normal"},
        },
        "bq": {"enabled": false},
        "sq": {"enabled": false, "trainingLimit": 100_000, "rescoreLimit": 20},
        "rq": {"enabled": false, "bits": 8, "rescoreLimit": 20},
        "filterStrategy": "acorn", "multivector": multivector("maxSim"),
        "skipDefaultQuantization": false, "trackDefaultQuantization": false,
    })
}

fn flat() -> Value {
    let quantizer = json!({"enabled": false, "cache": false, "rescoreLimit": -1});
    json!({
        "distance": "cosine", "vectorCacheMaxObjects": 1_000_000_000_000_i64,
        "pq": quantizer, "bq": quantizer, "sq": quantizer,
        "rq": {"enabled": false, "bits": 8, "cache": false, "rescoreLimit": -1},
        "skipDefaultQuantization": false, "trackDefaultQuantization": false,
    })
}

fn hfresh() -> Value {
    json!({
        "distance": "cosine", "maxPostingSizeKB": 48, "replicas": 4, "searchProbe": 256,
        "rq": {"enabled": true, "bits": 1, "rescoreLimit": 350}, "multivector": multivector(""),
    })
}

fn multivector(aggregation: &str) -> Value {
    json!({
        "enabled": false, "aggregation": aggregation,
        "muvera": {"enabled": false, "ksim": 4, "dprojections": 16, "repetitions": 10},
    })
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

fn replication(given: &Value) -> Result<Value, Reply> {
    let factor = given["factor"].as_i64().unwrap_or(1);
    if factor > 1 {
        let text = format!(
            "could not find enough weaviate nodes for replication: 1 available, {factor} requested"
        );
        return Err(Reply::schema_error(format!("init sharding state: {text}")));
    }
    let strategy = given["deletionStrategy"]
        .as_str()
        .unwrap_or("TimeBasedResolution");
    Ok(json!({"factor": 1, "asyncEnabled": false, "deletionStrategy": strategy}))
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
