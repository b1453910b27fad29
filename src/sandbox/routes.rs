//! From a request to its handler, in the order of the real server's framework: path, method, token, content types, mode.

use super::call::Call;
use super::faults::Faults;
use super::references::{self, Verb};
use super::reply::{Answer, Reply};
use super::settings::{Mode, Settings};
use super::store::Store;
use super::{aliases, batch, batch_delete, graphql, listing, meta, schema, single, tenants};

/// A request as it came off the wire.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) authorization: Option<String>,
    pub(super) accept: Option<String>,
    pub(super) content_type: Option<String>,
    /// The header `consistency`.
    pub(super) consistency: Option<String>,
    pub(super) body: bytes::Bytes,
}

/// What answers requests.
pub(super) struct Service {
    pub(super) store: Store,
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    pub(super) host: String,
}

impl Service {
    /// Executes a request.
    pub(super) fn respond(&self, request: &Request, short_page: Option<usize>) -> Reply {
        let mut reply = self
            .dispatch(request, short_page)
            .unwrap_or_else(|refusal| refusal);
        if request.method == "HEAD" {
            reply.body.clear();
        }
        reply
    }

    fn dispatch(&self, request: &Request, short_page: Option<usize>) -> Answer {
        let Some(parts) = segments(&request.path) else {
            return Ok(meta::redirect());
        };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        let allowed = methods(&parts).ok_or_else(|| not_found(&request.path))?;
        if method == "OPTIONS" {
            return Ok(Reply::empty(200));
        }
        let probe = matches!(parts[..], [".well-known", "live" | "ready"]);
        if probe && request.query.is_empty() && matches!(method, "GET" | "HEAD") {
            return Ok(Reply::empty(200));
        }
        if !allowed.contains(&method) {
            return Err(wrong_method(method, allowed));
        }
        let query = parse_query(&request.query);
        self.check_token(request, &query, is_public(&parts))?;
        check_content(request)?;
        check_mode(self.settings.mode, method, &parts)?;
        let body = self.body_text(request);
        let call = Call {
            store: &self.store,
            settings: &self.settings,
            faults: &self.faults,
            query: &query,
            body: &body,
            local: request.consistency.as_deref() == Some("false"),
            short_page,
        };
        self.handle(&call, method, &parts)
    }

    fn handle(&self, call: &Call<'_>, method: &str, parts: &[&str]) -> Answer {
        match (method, parts) {
            ("GET", []) => meta::links(),
            ("GET", ["meta"]) => meta::meta(call, &self.host),
            (_, [".well-known", "openid-configuration"]) => Err(Reply::empty(404)),
            (_, [".well-known", probe]) => Err(unimplemented(probe)),
            (_, ["schema", rest @ ..]) => schema_route(call, method, rest),
            (_, ["objects", rest @ ..]) => object_route(call, method, rest),
            ("GET", ["users", "own-info"]) => meta::own_info(call),
            ("GET", ["aliases"]) => aliases::list(call),
            (_, ["aliases"]) => aliases::create(call),
            ("GET", ["aliases", alias]) => aliases::get(call, alias),
            ("PUT", ["aliases", alias]) => aliases::update(call, alias),
            (_, ["aliases", alias]) => aliases::delete(call, alias),
            ("POST", ["batch", "objects"]) => batch::create(call),
            (_, ["batch", "objects"]) => batch_delete::delete(call),
            (_, ["batch", _]) => references::batch(call),
            (_, ["graphql"]) => graphql::one(call),
            (_, ["graphql", _]) => graphql::batch(call),
            (_, ["nodes"]) => meta::nodes(call, None),
            (_, ["nodes", class]) => meta::nodes(call, Some(class)),
            (_, ["cluster", _]) => meta::statistics(call),
            (_, ["backups", name]) => meta::no_backups("backend", name),
            (_, ["backups", name, _]) => meta::no_backups("provider", name),
            (_, ["export", _]) => meta::no_export(),
            (_, ["users", _] | ["authz", _]) => Ok(Reply::text(200, "[]".to_owned())),
            (_, ["tasks"]) => Ok(Reply::text(200, "{}".to_owned())),
            _ => Err(Reply::empty_json(501)),
        }
    }

    /// The token of a request against the key of the server.
    fn check_token(
        &self,
        request: &Request,
        query: &[(String, String)],
        public: bool,
    ) -> Result<(), Reply> {
        let bearer = request
            .authorization
            .as_deref()
            .and_then(|header| header.strip_prefix("Bearer "));
        let named = query
            .iter()
            .find(|(name, _)| name == "access_token")
            .map(|(_, token)| token.as_str());
        let token = bearer
            .filter(|token| !token.is_empty())
            .or(named)
            .filter(|token| !token.is_empty());
        match (&self.settings.api_key, token) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Reply::framework(
                401,
                "no authentication scheme is configured (API Key or OIDC), but an 'Authorization' header was provided. Please configure an auth scheme or remove the header for anonymous access",
            )),
            (Some(_), None) if public => Ok(()),
            (Some(_), None) => {
                let text = "anonymous access not enabled. Please authenticate through one of the available methods: [API-keys]";
                Err(Reply {
                    content_type: Some("text/plain; charset=utf-8"),
                    ..Reply::framework(401, text)
                })
            }
            (Some(key), Some(token)) if key == token => Ok(()),
            (Some(_), Some(_)) => Err(Reply::framework(401, "unauthorized: invalid api key")),
        }
    }

    fn body_text(&self, request: &Request) -> String {
        let text = match String::from_utf8_lossy(&request.body) {
            std::borrow::Cow::Borrowed(text) => text.to_owned(),
            std::borrow::Cow::Owned(text) => text,
        };
        match request.content_type.as_deref() {
            Some("application/yaml") => flat_yaml(&text),
            _ => text,
        }
    }
}

fn schema_route(call: &Call<'_>, method: &str, parts: &[&str]) -> Answer {
    match (method, parts) {
        ("GET", []) => schema::list(call),
        (_, []) => schema::create(call),
        ("GET", [class]) => schema::get(call, class),
        ("PUT", [class]) => schema::update(call, class),
        (_, [class]) => schema::delete(call, class),
        (_, [class, "properties"]) => schema::add_property(call, class),
        (_, [class, "shards"]) => schema::shards(call, class),
        (_, [class, "shards", shard]) => schema::update_shard(call, class, shard),
        ("GET", [class, "tenants"]) => tenants::list(call, class),
        ("POST", [class, "tenants"]) => tenants::create(call, class),
        ("PUT", [class, "tenants"]) => tenants::update(call, class),
        (_, [class, "tenants"]) => tenants::delete(call, class),
        ("HEAD", [class, "tenants", tenant]) => tenants::head(call, class, tenant),
        (_, [class, "tenants", tenant]) => tenants::get(call, class, tenant),
        (_, [class, "vectors", vector, _]) => schema::drop_vector_index(call, class, vector),
        _ => Err(Reply::empty(404)),
    }
}

fn object_route(call: &Call<'_>, method: &str, parts: &[&str]) -> Answer {
    let (class, id) = match parts {
        [] if method == "GET" => return listing::list(call),
        [] => return single::create(call),
        ["validate"] => return single::validate(call),
        [class, id, "references", name] => {
            let verb = match method {
                "PUT" => Verb::Replace,
                "DELETE" => Verb::Remove,
                _ => Verb::Append,
            };
            return references::write_single(call, verb, class, id, name);
        }
        [class, id] => (Some(*class), id),
        [id, ..] => (None, id),
    };
    match method {
        "GET" => single::get(call, class, id),
        "HEAD" => single::head(call, class, id),
        "PUT" => single::replace(call, class, id),
        "PATCH" => single::patch(call, class, id),
        _ => single::delete(call, class, id),
    }
}

/// The methods of a path below `/v1`, or `None` if there is no such path.
fn methods(parts: &[&str]) -> Option<&'static [&'static str]> {
    Some(match parts {
        [] | ["meta" | "nodes" | "tasks"] | ["nodes", _] => &["GET"],
        [".well-known", "live" | "ready" | "openid-configuration"] => &["GET"],
        ["users", "own-info"] => &["GET"],
        ["schema"] | ["aliases"] | ["objects"] => &["GET", "POST"],
        ["schema", _] | ["aliases", _] => &["GET", "PUT", "DELETE"],
        ["schema", _, "properties"] => &["POST"],
        ["schema", _, "shards"] => &["GET"],
        ["schema", _, "shards", _] => &["PUT"],
        ["schema", _, "tenants"] => &["GET", "POST", "PUT", "DELETE"],
        ["schema", _, "tenants", _] => &["GET", "HEAD"],
        ["schema", _, "vectors", _, "index"] => &["DELETE"],
        ["objects", "validate"] | ["batch", "references"] | ["graphql"] | ["graphql", "batch"] => {
            &["POST"]
        }
        ["objects", _] | ["objects", _, _] => &["GET", "HEAD", "PUT", "PATCH", "DELETE"],
        ["objects", _, _, "references", _] => &["POST", "PUT", "DELETE"],
        ["batch", "objects"] => &["POST", "DELETE"],
        ["backups", _] | ["export", _] => &["POST"],
        ["backups", _, _] | ["cluster", "statistics"] | ["users", "db"] | ["authz", "roles"] => {
            &["GET"]
        }
        ["replication", "replicate", "list"] => &["GET"],
        _ => return None,
    })
}

/// Paths that answer without a token, though not with a wrong one.
fn is_public(parts: &[&str]) -> bool {
    matches!(parts, [] | [".well-known", "openid-configuration"])
}

/// Whether a request changes the store if it succeeds.
pub(super) fn is_write(method: &str, path: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS") && !path.contains("/graphql")
}

fn check_mode(mode: Mode, method: &str, parts: &[&str]) -> Result<(), Reply> {
    let reads = matches!(method, "GET" | "HEAD");
    let counts = parts.first() == Some(&"graphql");
    let data = matches!(parts.first(), Some(&("schema" | "objects" | "aliases")));
    match mode {
        Mode::ReadOnly if !reads && !counts => Err(Reply::error(
            503,
            "read-only mode is enabled temporally at the config level: write operations are not allowed during this time",
        )),
        Mode::WriteOnly if reads && data => Err(Reply::error(
            503,
            "write-only mode is enabled temporally at the config level: read operations are not allowed during this time",
        )),
        _ => Ok(()),
    }
}

fn check_content(request: &Request) -> Result<(), Reply> {
    let accept = request.accept.as_deref().unwrap_or("*/*");
    if !["application/json", "application/*", "*/*"]
        .iter()
        .any(|wanted| accept.contains(wanted))
    {
        let text = "unsupported media type requested, only [application/json] are available";
        return Err(Reply::framework(406, text));
    }
    let sent = request
        .content_type
        .as_deref()
        .filter(|sent| !sent.is_empty())
        .unwrap_or("application/octet-stream");
    let kind = sent.split(';').next().unwrap_or_default().trim();
    if request.body.is_empty() || matches!(kind, "application/json" | "application/yaml") {
        return Ok(());
    }
    let known = "only [application/json application/yaml] are allowed";
    Err(Reply::framework(
        415,
        format!("unsupported media type \"{kind}\", {known}"),
    ))
}

fn not_found(path: &str) -> Reply {
    Reply::framework(404, format!("path {path} was not found"))
}

fn wrong_method(method: &str, allowed: &[&str]) -> Reply {
    let allowed = allowed.join(",");
    let reply = Reply::framework(
        405,
        format!("method {method} is not allowed, but [{allowed}] are"),
    );
    Reply {
        header: Some(("allow", allowed)),
        ..reply
    }
}

fn unimplemented(probe: &str) -> Reply {
    let name = if probe == "live" {
        "Liveness"
    } else {
        "Readiness"
    };
    Reply::text(
        501,
        format!("\"operation WeaviateWellknown{name} has not yet been implemented\""),
    )
}

/// The parts of a path below `/v1`; `None` for the bare root. Double and trailing slashes are tolerated.
fn segments(path: &str) -> Option<Vec<String>> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match parts.next() {
        None => None,
        Some("v1") => Some(parts.map(decode).collect()),
        Some(other) => Some(vec![String::new(), other.to_owned()]),
    }
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decode(&name.replace('+', " ")),
                decode(&value.replace('+', " ")),
            )
        })
        .collect()
}

/// Undoes percent encoding; a broken escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// YAML without nesting, which is all that is needed to show that the content type is accepted.
fn flat_yaml(text: &str) -> String {
    let members = text.lines().filter_map(|line| line.split_once(": "));
    let members: serde_json::Map<String, serde_json::Value> = members
        .map(|(name, value)| (name.trim().to_owned(), value.trim().into()))
        .collect();
    serde_json::Value::Object(members).to_string()
}
