//! Routes about the server itself: links, version, nodes, and services that are switched off.

use serde_json::{Value, json};

use super::call::Call;
use super::class::Class;
use super::reply::{Answer, Reply};
use super::settings::Mode;
use super::store::capitalised;

/// The links under `/v1`.
pub(super) fn links() -> Answer {
    let manual = "https://docs.weaviate.io/weaviate/api/rest#tag";
    let link = |href: &str, name: &str, tag: &str| json!({"documentationHref": format!("{manual}/{tag}"), "href": href, "name": name});
    Ok(Reply::ok(&json!({"links": [
        {"href": "/v1/meta", "name": "Meta information about this instance/cluster"},
        link("/v1/schema", "view complete schema", "schema"),
        link("/v1/schema{/:className}", "CRUD schema", "schema"),
        link("/v1/objects{/:id}", "CRUD objects", "objects"),
        link("/v1/classifications{/:id}", "trigger and view status of classifications", "classifications"),
        link("/v1/.well-known/live", "check if Weaviate is live (returns 200 on GET when live)", "well-known"),
        link("/v1/.well-known/ready", "check if Weaviate is ready (returns 200 on GET when ready)", "well-known"),
        link("/v1/.well-known/openid-configuration", "view link to openid configuration (returns 404 on GET if no openid is configured)", "well-known"),
    ]})))
}

/// The redirect from `/`.
pub(super) fn redirect() -> Reply {
    let body = "{\"links\":{\"href\":\"/v1\",\"name\":\"api v1\",\"documentationHref\":\"https://docs.weaviate.io/weaviate\"}}";
    Reply {
        status: 301,
        content_type: Some("text/plain; charset=utf-8"),
        header: Some(("location", "/v1".to_owned())),
        body: body.to_owned(),
    }
}

pub(super) fn meta(call: &Call<'_>, host: &str) -> Answer {
    Ok(Reply::ok(&json!({
        "grpcMaxMessageSize": call.settings.grpc_max_message_size, "hostname": format!("http://{host}"),
        "modules": {}, "version": call.settings.version,
    })))
}

/// What the key may do, as far as the sandbox tells one from another; nothing without a key.
pub(super) fn own_info(call: &Call<'_>) -> Answer {
    if call.settings.api_key.is_none() && !call.settings.hides_aliases {
        return Err(Reply::empty(401));
    }
    let every =
        |action: &str| json!({"action": action, "aliases": {"alias": "*", "collection": "*"}});
    let actions = match call.settings.hides_aliases {
        true => vec![every("create_aliases")],
        false => vec![every("create_aliases"), every("read_aliases")],
    };
    let role = json!({"name": "sandbox", "permissions": actions});
    Ok(Reply::ok(
        &json!({"groups": null, "roles": [role], "username": "sandbox"}),
    ))
}

/// The nodes, with the shards of all classes or of one.
pub(super) fn nodes(call: &Call<'_>, class: Option<&str>) -> Answer {
    let verbose = match call.query("output").unwrap_or_default() {
        "" | "minimal" => false,
        "verbose" => true,
        other => {
            let known = "possible values are: \"minimal\", \"verbose\"";
            return Err(Reply::error(
                422,
                format!("invalid output: \"{other}\", {known}"),
            ));
        }
    };
    let data = call.store.read();
    let classes: Vec<&Class> = match class {
        None => data.classes.values().collect(),
        Some(name) => match data.class(name) {
            Some(class) => vec![class],
            None => {
                return Err(Reply::error(
                    404,
                    format!("class \"{}\" not found", capitalised(name)),
                ));
            }
        },
    };
    let mode = match call.settings.mode {
        Mode::ReadWrite => "ReadWrite",
        Mode::ReadOnly => "ReadOnly",
        Mode::WriteOnly => "WriteOnly",
    };
    let mut node = json!({
        "batchStats": {"queueLength": 0, "ratePerSecond": 0}, "name": "node1", "operationalMode": mode,
        "shards": null, "status": "HEALTHY", "version": call.settings.version,
    });
    if verbose {
        let shards: Vec<Value> = classes.into_iter().flat_map(shards).collect();
        // The counts of a real server lag behind; fresh objects are not in them.
        node["stats"] = json!({"objectCount": 0, "shardCount": shards.len()});
        node["shards"] = if shards.is_empty() {
            Value::Null
        } else {
            Value::Array(shards)
        };
    }
    Ok(Reply::ok(&json!({"nodes": [node]})))
}

fn shards(class: &Class) -> Vec<Value> {
    let shown = |name: &String| {
        json!({
            "asyncReplicationStatus": [], "class": class.name, "compressed": false, "loaded": true, "name": name,
            "numberOfReplicas": 1, "objectCount": 0, "replicationFactor": 1, "vectorIndexingStatus": "READY",
            "vectorQueueLength": 0,
        })
    };
    class
        .shards
        .iter()
        .map(|shard| shown(&shard.name))
        .collect()
}

/// A node that is away is not listed; the others still know that it is a member.
pub(super) fn statistics(call: &Call<'_>) -> Answer {
    let members = (1..=1 + call.settings.lost_nodes).map(|number| format!("node{number}"));
    let known: Vec<Value> = members.map(|id| json!({"id": id, "suffrage": 0})).collect();
    let node = json!({
        "name": "node1", "status": "HEALTHY", "ready": true, "raft": {"latestConfiguration": known},
    });
    Ok(Reply::ok(
        &json!({"statistics": [node], "synchronized": true}),
    ))
}

/// A backup service that no module offers.
pub(super) fn no_backups(what: &str, name: &str) -> Answer {
    let why = format!("backup: {name} not found, did you enable the right module?");
    Err(Reply::error(
        422,
        format!("no backup {what} \"{name}\": {why}"),
    ))
}

pub(super) fn no_export() -> Answer {
    let text = "export API is disabled; enable it via EXPORT_ENABLED=true or the runtime config";
    Err(Reply::error(422, text))
}
