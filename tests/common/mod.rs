//! What the tests share: a sandbox with data, and a session that waits for nothing.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use elysiactl::archive::Format;
use elysiactl::commands::{
    BackupRequest, ClearMethod, ClearRequest, Inactive, Reshape, RestoreRequest, Session,
    Unfinished,
};
use elysiactl::engine::Stop;
use elysiactl::event::{Reporter, Silent};
use elysiactl::format::Codec;
use elysiactl::job::Tuning;
use elysiactl::journal::{StateDir, StoreKind};
use elysiactl::model::CollectionName;
use elysiactl::retry::Policy;
use elysiactl::sandbox::{Sandbox, Settings};
use elysiactl::weaviate::{Connection, Transport};

/// A sandbox with one collection of sample data.
pub async fn sandbox_with(collection: &str, objects: usize) -> Sandbox {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    sandbox.store().fill(collection, objects, 8, 1);
    sandbox
}

/// How to reach a sandbox over REST alone.
pub fn rest(sandbox: &Sandbox) -> Connection {
    Connection {
        transport: Transport::Rest,
        ..sandbox.connection()
    }
}

/// Retries at once.
pub fn impatient() -> Policy {
    Policy {
        first_delay: Duration::from_micros(1),
        longest_delay: Duration::from_micros(100),
        patience: Some(Duration::from_secs(20)),
        seed: 1,
        ..Policy::default()
    }
}

/// A folder, and a session whose jobs are kept in it.
pub fn desk() -> (tempfile::TempDir, Session) {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder.path().join("state"));
    (folder, session)
}

pub fn session(state: &Path) -> Session {
    session_told(state, Arc::new(Silent))
}

pub fn session_told(state: &Path, reporter: Arc<dyn Reporter>) -> Session {
    Session {
        state: StateDir::open(state).unwrap(),
        store: StoreKind::Sled,
        unfinished: Unfinished::Resume,
        resume_within: Duration::from_secs(24 * 3600),
        silence: Duration::from_secs(300),
        is_dry_run: false,
        reporter,
        policy: impatient(),
        stop: Stop::new(Duration::from_secs(5)),
        tuning: Tuning {
            batch_size: Some(100),
            workers: Some(4),
            ..Tuning::default()
        },
    }
}

/// A real server, at the address in a variable. gRPC is where another one says, or else on port 50051 of the same host.
pub fn real(url: &str, grpc: &str) -> Connection {
    let url = std::env::var(url).unwrap_or_else(|_| panic!("{url} names the server"));
    let authority = url.trim_start_matches("http://");
    let host = authority.split([':', '/']).next().unwrap_or(authority);
    let grpc = std::env::var(grpc);
    Connection {
        grpc_url: Some(grpc.unwrap_or_else(|_| format!("http://{host}:50051"))),
        ..Connection::to(&url)
    }
}

/// A real server may take a moment.
pub fn patient(state: &Path) -> Session {
    let mut session = session(state);
    session.policy = Policy {
        patience: Some(Duration::from_secs(300)),
        ..Policy::default()
    };
    session.tuning.batch_size = None;
    session
}

pub fn backup_request(
    connection: &Connection,
    collection: &str,
    destination: &Path,
) -> BackupRequest {
    BackupRequest {
        connection: connection.clone(),
        collection: CollectionName::parse(collection).unwrap(),
        group: Vec::new(),
        destination: destination.to_owned(),
        format: Format::Json,
        codec: Codec::None,
        with_data: true,
        verify: false,
        with_vectors: true,
        tenants: Vec::new(),
        inactive: Inactive::Refuse,
    }
}

pub fn restore_request(
    connection: &Connection,
    archive: &Path,
    name: Option<&str>,
) -> RestoreRequest {
    RestoreRequest {
        connection: connection.clone(),
        archive: archive.to_owned(),
        name: name.map(|name| CollectionName::parse(name).unwrap()),
        skip_data: false,
        verify: false,
        skip_vectors: false,
        revectorize: false,
        tenants: Vec::new(),
        merge: false,
        force_schema: false,
        reshape: Reshape::default(),
    }
}

pub fn clear_request(connection: &Connection, collection: &str) -> ClearRequest {
    ClearRequest {
        connection: connection.clone(),
        collection: CollectionName::parse(collection).unwrap(),
        delete_schema: false,
        method: ClearMethod::Auto,
        tenants: Vec::new(),
        backup_to: None,
    }
}

/// Posts JSON as a stranger would and returns the whole reply.
pub fn post(address: std::net::SocketAddr, path: &str, body: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

/// The server is there and cannot do anything now.
pub fn unavailable() -> elysiactl::sandbox::Fault {
    elysiactl::sandbox::Fault::Status {
        status: 503,
        retry_after: None,
        body: String::new(),
    }
}

/// A folder for tests that write much and are not about durability: in memory, where the system has such a place.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}
