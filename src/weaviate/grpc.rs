//! gRPC to the server, over reqwest's connections as for REST, so that certificates, proxies, headers and time-outs hold
//! alike. Messages go in and come out as bytes; those that come lie in memory that is used again.
//!
//! Nothing is tried again here, except once after a refused key if the key file has changed.

use bytes::Bytes;
use tonic::{Code, Status};

use super::client::{Client, Patience};
use super::connection::Connection;
use super::protobuf::Fields;
use crate::error::{Error, Kind, Result};
use crate::pipe::Buffers;

mod exchange;
mod line;
mod meaning;
mod network;
mod pending;

use exchange::Call;
use line::Line;
use meaning::is_unauthorised;
use network::Network;
pub(super) use pending::{Next, Pending};

/// The server's default, for those that do not tell theirs.
const MESSAGE_LIMIT: u64 = 104_858_000;

/// A connection to the server's gRPC port; made when its health was seen.
pub(super) struct Grpc {
    address: String,
    reads: Line,
    writes: Line,
    limit: usize,
    buffers: Buffers,
    network: Network,
}

/// What can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `grpc.health.v1.Health/Check`
    Health,
    /// Reads a page of objects.
    Search,
    /// Counts objects; 1.27 has none.
    Aggregate,
    /// Tells the states of tenants.
    TenantsGet,
    /// Stores a batch of objects.
    BatchObjects,
    /// Deletes what a filter matches; the program itself deletes over REST.
    BatchDelete,
}

impl Method {
    const fn path(self) -> &'static str {
        match self {
            Method::Health => "/grpc.health.v1.Health/Check",
            Method::Search => "/weaviate.v1.Weaviate/Search",
            Method::Aggregate => "/weaviate.v1.Weaviate/Aggregate",
            Method::TenantsGet => "/weaviate.v1.Weaviate/TenantsGet",
            Method::BatchObjects => "/weaviate.v1.Weaviate/BatchObjects",
            Method::BatchDelete => "/weaviate.v1.Weaviate/BatchDelete",
        }
    }

    const fn patience(self) -> Patience {
        match self {
            Method::Health | Method::Search | Method::Aggregate | Method::TenantsGet => {
                Patience::Read
            }
            Method::BatchObjects | Method::BatchDelete => Patience::Write,
        }
    }
}

impl Grpc {
    /// Nothing is sent yet. `limit` is the longest message that the server sends or takes.
    pub fn new(connection: &Connection, address: &str, limit: Option<u64>) -> Result<Self> {
        let unusable = |cause: String| {
            Error::new(
                Kind::Usage,
                format!("`{address}` is not an address of gRPC: {cause}"),
            )
            .with_hint(
                "an address looks like http://localhost:50051 or https://grpc.example.com:443",
            )
        };
        let origin: http::Uri = address
            .trim_end_matches('/')
            .parse()
            .map_err(|cause: http::uri::InvalidUri| unusable(cause.to_string()))?;
        if origin.scheme().is_none() || origin.authority().is_none() {
            return Err(unusable(
                "it needs http:// or https:// and a host".to_owned(),
            ));
        }
        let limit = limit.unwrap_or(MESSAGE_LIMIT);
        Ok(Grpc {
            address: address.trim_end_matches('/').to_owned(),
            reads: Line::new(connection, address, connection.read_timeout)?,
            writes: Line::new(connection, address, connection.write_timeout)?,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            buffers: Buffers::default(),
            network: Network::start()?,
        })
    }

    /// The address, for people.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn begin(&self, method: Method, message: Bytes, key: Option<String>) -> Pending {
        let (http, line) = self.line(method).take();
        let call = Call {
            http,
            line,
            url: format!("{}{}", self.address, method.path()),
            key,
            limit: self.limit,
            buffers: self.buffers.clone(),
        };
        Pending::start(self.network.thread(), call, message)
    }

    async fn finish(
        &self,
        method: Method,
        pending: Pending,
        next: Option<Next>,
    ) -> Result<(Bytes, Option<Pending>), Status> {
        let line = pending.call().line;
        let answer = pending.reply(self.network.thread(), next).await;
        answer.inspect_err(|status| {
            if status.code() == Code::DeadlineExceeded {
                self.line(method).replace(line);
            }
        })
    }

    fn line(&self, method: Method) -> &Line {
        match method.patience() {
            Patience::Read => &self.reads,
            Patience::Write => &self.writes,
        }
    }
}

impl Client {
    /// Calls a method and returns its reply's bytes.
    pub(super) async fn call(&self, grpc: &Grpc, method: Method, message: Bytes) -> Result<Bytes> {
        match self.call_with_key(grpc, method, message).await {
            Ok(reply) => Ok(reply),
            Err(status) => Err(self.believe(self.refusal(grpc, &status)).await),
        }
    }

    /// As [`Client::call`]; `None` if the server, or what stands before it, has no such method.
    pub(super) async fn call_if_known(
        &self,
        grpc: &Grpc,
        method: Method,
        message: Bytes,
    ) -> Result<Option<Bytes>> {
        match self.call_with_key(grpc, method, message).await {
            Ok(reply) => Ok(Some(reply)),
            Err(status) if status.code() == Code::Unimplemented => Ok(None),
            Err(status) => Err(self.believe(self.refusal(grpc, &status)).await),
        }
    }

    /// A page that may have been asked for before, and the one behind it, if `next` has one.
    pub(super) async fn call_in_turn(
        &self,
        grpc: &Grpc,
        message: Bytes,
        (before, next): (Option<Pending>, Option<Next>),
    ) -> Result<(Bytes, Option<Pending>)> {
        let method = Method::Search;
        let begin = || grpc.begin(method, message.clone(), self.key());
        let pending = before.unwrap_or_else(begin);
        match self.finish(grpc, method, (pending, message), next).await {
            Ok(replies) => Ok(replies),
            Err(status) => Err(self.believe(self.refusal(grpc, &status)).await),
        }
    }

    async fn call_with_key(
        &self,
        grpc: &Grpc,
        method: Method,
        message: Bytes,
    ) -> Result<Bytes, Status> {
        let pending = grpc.begin(method, message.clone(), self.key());
        let replies = self.finish(grpc, method, (pending, message), None).await;
        replies.map(|(reply, _)| reply)
    }

    /// Waits for the reply. A key that is refused is tried again once if there is another by now.
    async fn finish(
        &self,
        grpc: &Grpc,
        method: Method,
        (pending, message): (Pending, Bytes),
        next: Option<Next>,
    ) -> Result<(Bytes, Option<Pending>), Status> {
        let key = pending.call().key.clone();
        let answer = grpc.finish(method, pending, next).await;
        if answer.as_ref().is_err_and(is_unauthorised) && self.has_other_key(key.as_deref()) {
            let again = grpc.begin(method, message, self.key());
            return grpc.finish(method, again, None).await;
        }
        answer
    }

    /// Asks for the health of gRPC: whether it can be worked with, and if not, why.
    pub(super) async fn check_grpc(&self, grpc: &Grpc) -> Result<()> {
        const SERVING: u64 = 1;
        let reply = self.call(grpc, Method::Health, Bytes::new()).await?;
        let mut status = 0;
        for field in Fields::of(&reply) {
            if let (1, value) = field? {
                status = value.number();
            }
        }
        match status {
            SERVING => Ok(()),
            _ => Err(Error::transient(format!(
                "gRPC at {} is not serving",
                grpc.address
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weaviate::Role;

    #[tokio::test]
    async fn calls_that_are_refused_together_all_go_on_with_the_new_key() {
        use crate::sandbox::{Sandbox, Settings};
        use futures_util::future::join_all;
        let settings = Settings {
            api_key: Some("new".to_owned()),
            ..Settings::default()
        };
        let sandbox = Sandbox::start(settings).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "new\n").unwrap();
        let connection = Connection {
            api_key: Some("old".to_owned().into()),
            key_file: Some(path.clone()),
            ..sandbox.connection()
        };
        let client = Client::new(&connection, Role::Source).unwrap();
        let grpc = Grpc::new(&connection, &sandbox.grpc_url(), None).unwrap();
        let calls = join_all((0..8).map(|_| client.check_grpc(&grpc))).await;
        assert!(calls.iter().all(Result::is_ok), "{calls:?}");
        let client = Client::new(&connection, Role::Source).unwrap();
        let calls = join_all((0..8).map(|_| client.get("meta"))).await;
        assert!(calls.iter().all(Result::is_ok));
        std::fs::write(&path, "").unwrap();
        assert!(client.has_other_key(Some("old")));
        assert_eq!(client.key().as_deref(), Some("new"));
        assert!(!client.has_other_key(Some("new")));
    }

    #[tokio::test]
    async fn a_refused_key_is_read_again_from_its_file_once_and_used_if_it_is_another() {
        use crate::sandbox::{Sandbox, Settings};
        let settings = Settings {
            api_key: Some("new".to_owned()),
            ..Settings::default()
        };
        let sandbox = Sandbox::start(settings).await.unwrap();
        sandbox.store().fill("Article", 3, 2, 1);
        let folder = tempfile::tempdir().unwrap();
        for (in_file, calls, is_accepted) in
            [("new\n", 2, true), ("worse", 2, false), ("old", 1, false)]
        {
            let connection = Connection {
                api_key: Some("old".to_owned().into()),
                key_file: Some(folder.path().join("key")),
                ..sandbox.connection()
            };
            std::fs::write(folder.path().join("key"), in_file).unwrap();
            let client = Client::new(&connection, Role::Source).unwrap();
            let grpc = Grpc::new(&connection, &sandbox.grpc_url(), None).unwrap();
            let mut message = Vec::new();
            super::super::protobuf::Add::add_bytes(&mut message, 1, b"Article");
            let before = sandbox.count_calls("Search");
            let found = client.call(&grpc, Method::Search, message.into()).await;
            assert_eq!(sandbox.count_calls("Search") - before, calls, "{in_file}");
            match found {
                Ok(_) => assert!(is_accepted),
                Err(error) => assert_eq!((error.kind(), is_accepted), (Kind::Unauthorised, false)),
            }
        }
    }
}
