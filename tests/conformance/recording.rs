//! The recordings: one exchange per line, and the settings of the server that each session was recorded with.

use std::collections::BTreeMap;

use elysiactl::sandbox::{Mode, Settings};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub struct Exchange {
    pub seq: u64,
    pub note: String,
    pub protocol: String,
    request: Box<RawValue>,
    response: Box<RawValue>,
    #[serde(default)]
    pub events: Vec<Event>,
    #[serde(default)]
    pub volatile: Vec<String>,
    #[serde(default)]
    pub unordered: Vec<String>,
}

impl Exchange {
    pub fn rest(&self) -> (Request, Response) {
        (read(&self.request), read(&self.response))
    }

    pub fn call(&self) -> (CallRequest, Value) {
        (read(&self.request), read(&self.response))
    }
}

fn read<T: serde::de::DeserializeOwned>(source: &RawValue) -> T {
    serde_json::from_str(source.get()).expect("a request or a response")
}

/// A gRPC call; the bytes of its message are what counts.
#[derive(Deserialize)]
pub struct CallRequest {
    pub method: String,
    pub base64: Option<String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// Something that happened on a stream.
#[derive(Deserialize)]
pub struct Event {
    pub dir: String,
    pub base64: Option<String>,
    #[serde(default)]
    pub message: Value,
}

#[derive(Deserialize)]
pub struct Request {
    pub method: String,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "present")]
    pub body: Option<Box<RawValue>>,
    pub body_text: Option<String>,
}

#[derive(Deserialize)]
pub struct Response {
    #[serde(default)]
    pub status: u16,
    pub content_type: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "present")]
    pub body: Option<Box<RawValue>>,
    pub body_text: Option<String>,
}

/// A body that is there, even if it is null.
fn present<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Deserialize::deserialize(source).map(Some)
}

/// The settings that a server with this environment has; an unknown variable fails the test.
pub fn settings(environments: &[&Value]) -> Settings {
    let mut settings = Settings {
        version: "1.40.0-dev".to_owned(),
        ..Settings::default()
    };
    let lines = environments
        .iter()
        .flat_map(|list| list.as_array().expect("a list of variables"));
    for line in lines.map(|line| line.as_str().expect("a variable")) {
        let (name, value) = line.split_once('=').expect("NAME=value");
        let number = || value.parse::<usize>().expect("a number");
        match name {
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS" => settings.api_key = Some(value.to_owned()),
            "AUTOSCHEMA_ENABLED" => settings.auto_schema = value == "true",
            "QUERY_MAXIMUM_RESULTS" => settings.query_maximum_results = number(),
            "QUERY_DEFAULTS_LIMIT" => settings.query_defaults_limit = number(),
            "GRPC_MAX_MESSAGE_SIZE" => settings.grpc_max_message_size = number() as u64,
            "ENABLE_EXPERIMENTAL_ALTER_SCHEMA_DROP_VECTOR_INDEX_ENDPOINT" => {
                settings.drop_vector_index = true
            }
            "DISABLE_GRAPHQL" => settings.graphql = value != "true",
            "OBJECTS_TTL_DELETE_SCHEDULE" => settings.ttl_schedule = true,
            "ALLOWED_VECTOR_INDEX_TYPES" => {
                settings.allowed_vector_index_types = value.split(',').map(str::to_owned).collect();
            }
            "OPERATIONAL_MODE" if value == "ReadOnly" => settings.mode = Mode::ReadOnly,
            "OPERATIONAL_MODE" => settings.mode = Mode::WriteOnly,
            "MAXIMUM_ALLOWED_COLLECTIONS_COUNT" => {
                settings.usage_limits.collections = Some(number())
            }
            "MAXIMUM_ALLOWED_OBJECTS_COUNT" => settings.usage_limits.objects = Some(number()),
            "MAXIMUM_ALLOWED_TENANTS_PER_COLLECTION" => {
                settings.usage_limits.tenants = Some(number())
            }
            // The defaults of the sandbox, and what the settings above imply.
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED"
            | "AUTHENTICATION_APIKEY_ENABLED"
            | "AUTHENTICATION_APIKEY_USERS"
            | "DEFAULT_VECTORIZER_MODULE"
            | "ENABLE_MODULES"
            | "API_BASED_MODULES_DISABLED"
            | "DEFAULT_VECTOR_INDEX"
            | "REPLICATION_MAXIMUM_FACTOR" => {}
            other => panic!("the sandbox has no setting for {other}"),
        }
    }
    settings
}
