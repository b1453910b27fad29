//! Vector settings of a class: one index of its own, or named ones, with the defaults of each index type.

use serde_json::{Map, Value, json};

use super::definition::Purpose;
use super::property;
use super::reply::Reply;
use super::settings::Settings;

const DISTANCES: [&str; 5] = ["cosine", "dot", "l2-squared", "manhattan", "hamming"];

/// The framework's check of named vectors.
pub(super) fn check_entries(sent: &Value) -> Result<(), Reply> {
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

/// Puts the vector settings of a class into its definition.
pub(super) fn define(
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
    if !is_present(vectorizer, settings) {
        return Err(Reply::schema_error(no_module(vectorizer)));
    }
    let kind = index_type(sent, settings, "")?;
    if sent["vectorIndexConfig"]["multivector"]["enabled"] == true {
        let text = "class.VectorIndexConfig multi vector type index type is only configurable using named vectors";
        return Err(Reply::schema_error(text));
    }
    out.insert(
        "vectorIndexConfig".into(),
        index_config(&kind, &sent["vectorIndexConfig"], settings)?,
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
        [module] if is_present(module, settings) => {}
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
    let config = index_config(&kind, &entry["vectorIndexConfig"], settings)?;
    Ok(
        json!({"vectorIndexConfig": config, "vectorIndexType": kind, "vectorizer": entry["vectorizer"]}),
    )
}

fn is_present(module: &str, settings: &Settings) -> bool {
    module == "none" || settings.modules.iter().any(|known| known == module)
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

fn index_config(kind: &str, sent: &Value, settings: &Settings) -> Result<Value, Reply> {
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
    quantize(&mut config, settings);
    Ok(config)
}

/// The operator's default, unless the definition names a quantization or declines any.
fn quantize(config: &mut Value, settings: &Settings) {
    let is_set = |name: &str| config[name]["enabled"] == true;
    let is_declined = config["skipDefaultQuantization"] != false;
    if is_declined || ["pq", "bq", "sq", "rq"].into_iter().any(is_set) {
        return;
    }
    if let Some(quantizer) = settings.default_quantization {
        config[quantizer]["enabled"] = true.into();
        config["trackDefaultQuantization"] = true.into();
    }
}

/// Takes over the members that the defaults know.
pub(super) fn merge(target: &mut Value, sent: &Value) {
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
