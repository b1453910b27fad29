//! One request, one reply: sending, and reading within a bound.
//!
//! Nothing is tried again here, except once after a 401 if the key file has changed. A reply is read up to a
//! bound, so that an endless one cannot exhaust memory. Redirects are refused: they could carry the key away.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::{Bytes, BytesMut};
use reqwest::{Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};

mod reply;
mod tls;

use super::connection::{Connection, Transport};
use super::count::Ways;
use super::grpc::{Grpc, Method as GrpcMethod};
use super::one_server::Shown;
use super::replicas::Replicas;
use crate::error::{Error, Kind, Reaction, Result};
use crate::model::{CollectionName, Tenant};
use reply::{parse_http_date, parse_retry_after};

pub(super) use reply::{Reply, clean, innermost};
pub(super) use tls::Trouble;

/// Which end of a job the server is; decides what a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is read.
    Source,
    /// It is written.
    Target,
}

impl Role {
    /// What a permanent refusal of this end means.
    pub const fn refused(self) -> Kind {
        match self {
            Role::Source => Kind::SourceRefused,
            Role::Target => Kind::TargetRefused,
        }
    }
}

/// The longest reply that is read, where one object may be as large as objects are, or a list as long as tenants are
/// many. Longer ones are refused as too large.
const LONGEST_REPLY: usize = 256 << 20;
/// Of a page of several objects: half as many are asked for then.
const LONGEST_PAGE: usize = 64 << 20;
/// Of everything else: definitions, counts, names.
const LONGEST_WORD: usize = 32 << 20;
/// Of a refusal only the words count, and they come first.
const REFUSAL_LIMIT: usize = 64 << 10;

/// Replies up to this size are read as they come.
const SMALL_REPLY: usize = 64 << 10;

/// A client of one server, cheap to share.
pub struct Client {
    base: reqwest::Url,
    role: Role,
    connection: Connection,
    reads: reqwest::Client,
    writes: reqwest::Client,
    key: Mutex<Option<SecretString>>,
    grpc: OnceLock<Grpc>,
    /// It was reached for, whatever came of it.
    is_grpc_tried: AtomicBool,
    is_confirmed: AtomicBool,
    /// True once a call went well: there is a Weaviate at this address.
    is_met: AtomicBool,
    pub(super) ways: Ways,
    pub(super) replicas: Replicas,
    /// False at first, and after each failure that may pass.
    pub(super) is_known_ready: AtomicBool,
    /// A little more than the last reply, in bytes.
    usual_reply: AtomicUsize,
    /// Of those that were listed last over REST, in bytes; 0 if none were.
    usual_object: AtomicUsize,
}

/// By what was asked for.
fn longest_reply(path: &str) -> usize {
    let is_of_several = path.starts_with("objects?") && !path.contains("&limit=1&");
    let is_of_any_size = ["objects", "batch/objects"]
        .iter()
        .any(|of| path.starts_with(of));
    match (is_of_several, is_of_any_size || path.ends_with("/tenants")) {
        (true, _) => LONGEST_PAGE,
        (false, true) => LONGEST_REPLY,
        (false, false) => LONGEST_WORD,
    }
}

/// How long a silent server is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    Read,
    Write,
}

impl Client {
    /// A client for this connection; nothing is sent yet.
    pub fn new(connection: &Connection, role: Role) -> Result<Self> {
        Ok(Client {
            base: connection.base()?,
            role,
            reads: connection.http(connection.read_timeout)?,
            writes: connection.http(connection.write_timeout)?,
            key: Mutex::new(connection.api_key.clone()),
            grpc: OnceLock::new(),
            is_grpc_tried: AtomicBool::new(false),
            ways: Ways::default(),
            replicas: Replicas::default(),
            is_confirmed: AtomicBool::new(false),
            is_met: AtomicBool::new(false),
            is_known_ready: AtomicBool::new(false),
            usual_reply: AtomicUsize::new(0),
            usual_object: AtomicUsize::new(0),
            connection: connection.clone(),
        })
    }

    /// The address, for people.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// True if it goes on though replicas are away.
    pub(super) fn allows_degraded(&self) -> bool {
        self.connection.allow_degraded
    }

    /// Which end of the job this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Connects to gRPC, if the connection names it and allows it, and asks for its health. `limit` is the longest message as
    /// the server tells it. An error says why it cannot be used. Nothing goes over it before [`Client::confirm_grpc`].
    pub async fn reach_grpc(&self, limit: Option<u64>) -> Result<()> {
        self.is_grpc_tried.store(true, Ordering::Relaxed);
        let address = match (&self.connection.grpc_url, self.connection.transport) {
            (Some(address), Transport::Auto | Transport::Grpc) if self.grpc.get().is_none() => {
                address
            }
            _ => return Ok(()),
        };
        let grpc = Grpc::new(&self.connection, address, limit)?;
        self.check_grpc(&grpc).await?;
        // Whoever was faster has the same.
        let _ = self.grpc.set(grpc);
        Ok(())
    }

    /// Makes sure that gRPC leads to the same server as REST: an address that is a default, or a port-forward, may lead to
    /// another one, which would be read, written or cleared in its place. Both must show the same first objects.
    pub async fn confirm_grpc(&self, name: &CollectionName, tenant: &Tenant) -> Result<()> {
        let Some(grpc) = self.grpc.get() else {
            return Ok(());
        };
        if !self.is_confirmed.load(Ordering::Relaxed) {
            self.compare_first(grpc, name, tenant).await?;
            self.is_confirmed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn saw_objects(&self, count: usize, bytes: usize) {
        if let Some(each) = bytes.checked_div(count) {
            self.usual_object.store(each, Ordering::Relaxed);
        }
    }

    /// About the size of an object as REST lists it; 0 as long as none was seen.
    pub(super) fn usual_object(&self) -> usize {
        self.usual_object.load(Ordering::Relaxed)
    }

    /// As [`Client::confirm_grpc`], by more objects; two empty collections prove nothing. True if gRPC is confirmed now.
    pub(super) async fn confirm_grpc_by_objects(
        &self,
        name: &CollectionName,
        tenant: &Tenant,
    ) -> Result<bool> {
        let Some(grpc) = self.grpc.get() else {
            return Ok(false);
        };
        if !self.is_confirmed.load(Ordering::Relaxed)
            && self.compare_all_over(grpc, name, tenant).await? == Shown::Objects
        {
            self.is_confirmed.store(true, Ordering::Relaxed);
        }
        Ok(self.is_confirmed.load(Ordering::Relaxed))
    }

    /// True if nobody has reached for gRPC yet.
    pub(super) fn is_grpc_untried(&self) -> bool {
        !self.is_grpc_tried.load(Ordering::Relaxed)
    }

    /// Sends an encoded gRPC message and returns the reply's bytes, whatever they say: what benchmarks measure against.
    pub async fn call_raw(&self, method: GrpcMethod, message: Bytes) -> Result<Bytes> {
        match self.grpc.get() {
            Some(grpc) => self.call(grpc, method, message).await,
            None => Err(Error::new(Kind::Usage, "gRPC was not reached")),
        }
    }

    /// Which protocols may be used.
    pub fn transport(&self) -> Transport {
        self.connection.transport
    }

    /// True if gRPC was reached, confirmed or not.
    pub fn reaches_grpc(&self) -> bool {
        self.grpc.get().is_some()
    }

    /// True if objects go over gRPC where it is exact.
    pub fn has_grpc(&self) -> bool {
        self.grpc().is_some()
    }

    /// gRPC, once it was reached and confirmed.
    pub(super) fn grpc(&self) -> Option<&Grpc> {
        self.grpc
            .get()
            .filter(|_| self.is_confirmed.load(Ordering::Relaxed))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Reply> {
        self.send(Method::GET, path, None, Patience::Read).await
    }

    /// Sends a request and reads the whole reply. Errors are those without a reply, and 401, 403, 3xx, 413, 429 and 5xx;
    /// every other status is the caller's to judge, and comes from a server that is ready.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        patience: Patience,
    ) -> Result<Reply> {
        self.expect_schema(path).await?;
        match self.send_at_once(method, path, body, patience).await {
            Ok(reply) if reply.status.is_client_error() => {
                self.expect_ready().await.map(|()| reply)
            }
            Ok(reply) => Ok(reply),
            Err(error) => Err(self.believe(error).await),
        }
    }

    async fn send_at_once(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        patience: Patience,
    ) -> Result<Reply> {
        let key = self.key();
        let reply = self.exchange(&method, path, body.clone(), patience).await?;
        if reply.status == StatusCode::UNAUTHORIZED && self.has_other_key(key.as_deref()) {
            return self.judge(self.exchange(&method, path, body, patience).await?);
        }
        self.judge(reply)
    }

    pub(super) async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
        patience: Patience,
    ) -> Result<Reply> {
        let http = if patience == Patience::Read {
            &self.reads
        } else {
            &self.writes
        };
        let url = format!("{}/v1/{path}", self.address());
        let mut request = http.request(method.clone(), url);
        if let Some(key) = self
            .key
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            request = request.bearer_auth(key.expose_secret());
        }
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let response = request.send().await.map_err(|cause| self.no_reply(cause))?;
        self.read(response, longest_reply(path)).await
    }

    async fn read(&self, mut response: reqwest::Response, longest: usize) -> Result<Reply> {
        let text = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value: &header::HeaderValue| value.to_str().ok())
        };
        let retry_after = text(header::RETRY_AFTER).and_then(parse_retry_after);
        let server_time = text(header::DATE).and_then(parse_http_date);
        let status = response.status();
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|cause| self.no_reply(cause))?
        {
            if !status.is_success() && body.len() >= REFUSAL_LIMIT {
                break;
            }
            if body.len() + chunk.len() > longest {
                let mebibytes = longest >> 20;
                return Err(Error::new(
                    self.role.refused(),
                    format!(
                        "the reply of {} is larger than {mebibytes} MiB",
                        self.address()
                    ),
                )
                .with_reaction(Reaction::TooLarge));
            }
            if body.len() <= SMALL_REPLY && body.len() + chunk.len() > SMALL_REPLY {
                // Grown to the size of the last one at once: doubling would hold twice of it.
                body.reserve(self.usual_reply.load(Ordering::Relaxed));
            }
            body.extend_from_slice(&chunk);
        }
        if body.len() > SMALL_REPLY {
            let usual = (body.len() + body.len() / 8).min(16 << 20);
            self.usual_reply.store(usual, Ordering::Relaxed);
        }
        Ok(Reply {
            status,
            body: body.freeze(),
            server_time,
            retry_after,
        })
    }

    pub(super) fn key(&self) -> Option<String> {
        let key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        key.as_ref().map(|key| key.expose_secret().to_owned())
    }

    /// Reads the key file again; true if the key is another one now than the one that was refused. Of several calls that are
    /// refused at once, the first may have read it for all.
    pub(super) fn has_other_key(&self, refused: Option<&str>) -> bool {
        let Some(path) = &self.connection.key_file else {
            return false;
        };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        // Empty while it is being written.
        if !text.trim().is_empty() {
            *key = Some(text.trim().to_owned().into());
        }
        key.as_ref().map(|key| key.expose_secret()) != refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_may_be_as_long_as_what_was_asked_for() {
        let limits = [
            ("objects?class=A&limit=1&after=", LONGEST_REPLY),
            (
                "objects/A/00000000-0000-0000-0000-000000000000?include=vector",
                LONGEST_REPLY,
            ),
            ("batch/objects", LONGEST_REPLY),
            ("schema/A/tenants", LONGEST_REPLY),
            ("objects?class=A&limit=100&after=", LONGEST_PAGE),
            ("schema", LONGEST_WORD),
            ("schema/A/shards", LONGEST_WORD),
            ("graphql", LONGEST_WORD),
        ];
        for (path, limit) in limits {
            assert_eq!(longest_reply(path), limit, "{path}");
        }
    }
}
