//! The settings of a sandbox server: what an operator of the real one sets in its environment.

use std::time::Duration;

/// Which requests the operator lets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// All.
    #[default]
    ReadWrite,
    /// Writes are refused with 503.
    ReadOnly,
    /// Reads are refused with 503.
    WriteOnly,
}

/// Caps that are answered with 429 and `USAGE_LIMIT_EXCEEDED`; `None` is no cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageLimits {
    /// Classes on the server.
    pub collections: Option<usize>,
    /// Objects on the server.
    pub objects: Option<usize>,
    /// Tenants of one class.
    pub tenants: Option<usize>,
}

/// The settings of a sandbox server; the default is a fresh server without keys, limits or restrictions.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The port of gRPC on 127.0.0.1; 0 takes a free one.
    pub grpc_port: u16,
    /// The key that every request must carry; `None` allows anonymous access and refuses keys.
    pub api_key: Option<String>,
    /// The only tenants that the key may read; `None` is all of them. Lists leave the others out, without a word.
    pub readable_tenants: Option<&'static [&'static str]>,
    /// Whether the key may not read aliases: lists leave them out, without a word.
    pub hides_aliases: bool,
    /// Whether the node that holds the shards is away, as another node tells it.
    pub is_node_away: bool,
    /// Other nodes of the cluster, all of them away; each holds a replica of what is replicated so far.
    pub lost_nodes: usize,
    /// Whether writes create missing classes and properties.
    pub auto_schema: bool,
    /// The largest page, and the most objects that one batch delete removes.
    pub query_maximum_results: usize,
    /// The page size of a listing without `limit`.
    pub query_defaults_limit: usize,
    /// Caps on classes, objects and tenants.
    pub usage_limits: UsageLimits,
    /// The only vector index types allowed; empty allows all. The first one is then the default.
    pub allowed_vector_index_types: Vec<String>,
    /// How vectors are quantized where a definition does not say it: `rq`, `pq`, `bq` or `sq`; `None` is not at all.
    pub default_quantization: Option<&'static str>,
    /// Read-only and write-only modes.
    pub mode: Mode,
    /// Vectorizers that classes may name; they compute nothing.
    pub modules: Vec<String>,
    /// Whether the index of a named vector can be dropped.
    pub drop_vector_index: bool,
    /// Whether classes may have a time to live.
    pub ttl_schedule: bool,
    /// Whether GraphQL is answered, or refused as by `DISABLE_GRAPHQL`.
    pub graphql: bool,
    /// The version that `/v1/meta` and `/v1/nodes` answer.
    pub version: String,
    /// The largest gRPC message in bytes, in both directions, as `/v1/meta` tells it.
    pub grpc_max_message_size: u64,
    /// How long an idle connection of REST is kept; the real server closes it after 10 s, and those of gRPC never.
    pub idle_timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            port: 0,
            grpc_port: 0,
            api_key: None,
            readable_tenants: None,
            hides_aliases: false,
            is_node_away: false,
            lost_nodes: 0,
            auto_schema: true,
            query_maximum_results: 10_000,
            query_defaults_limit: 10,
            usage_limits: UsageLimits::default(),
            allowed_vector_index_types: Vec::new(),
            default_quantization: None,
            mode: Mode::ReadWrite,
            modules: Vec::new(),
            drop_vector_index: false,
            ttl_schedule: false,
            graphql: true,
            version: "1.40.0".to_owned(),
            grpc_max_message_size: 104_858_000,
            idle_timeout: Some(Duration::from_secs(10)),
        }
    }
}
