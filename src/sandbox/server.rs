//! The sandbox server: REST and gRPC over the store, each on its port, with faults, hooks and a log.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Response};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::course::{Course, Instead};
use super::delivery;
use super::faults::Faults;
use super::grpc;
use super::reply::Reply;
use super::routes::{Request, Service, is_write};
use super::settings::Settings;
use super::store::Store;
use super::wire::{Door, Hall, Scissors};
use crate::weaviate::Connection;

/// A request as hooks and the log see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestInfo {
    /// The number of the request, from 1, in the order of arrival.
    pub seq: u64,
    /// The method.
    pub method: String,
    /// Path and query string.
    pub path: String,
    /// The status of the reply; `None` before the request took effect. A reply that a fault destroys has one, too.
    /// A gRPC call that succeeds has 200, and one that fails its code, from 1 to 16.
    pub status: Option<u16>,
}

type Hook = Arc<dyn Fn(&RequestInfo) + Send + Sync>;

/// What every request handler shares.
pub(super) struct Shared {
    pub(super) service: Service,
    /// Of REST and of gRPC.
    halls: [Arc<Hall>; 2],
    pub(super) gate: Arc<tokio::sync::RwLock<()>>,
    hooks: RwLock<Vec<Hook>>,
    log: Mutex<Vec<RequestInfo>>,
    arrivals: AtomicU64,
    /// Held by every request that is being served.
    under_way: Arc<()>,
}

/// A running server on 127.0.0.1; it stops when it is dropped.
///
/// ```no_run
/// use elysiactl::sandbox::{Fault, Rule, Sandbox, Settings, When};
///
/// # async fn example() -> std::io::Result<()> {
/// let sandbox = Sandbox::start(Settings::default()).await?;
/// sandbox.store().fill("Article", 1000, 8, 1);
/// let third = When::Nth(3..=3);
/// sandbox.faults().add(Rule::new("GET", "/v1/objects", third, Fault::ResetAfter));
/// sandbox.stop().await;
/// # Ok(())
/// # }
/// ```
pub struct Sandbox {
    address: SocketAddr,
    grpc_address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a server with an empty store; must be called within a tokio runtime, which then runs it.
    pub async fn start(settings: Settings) -> io::Result<Sandbox> {
        Sandbox::start_with(settings, Store::new()).await
    }

    /// Starts a server over a store that may already hold something.
    pub async fn start_with(settings: Settings, store: Store) -> io::Result<Sandbox> {
        let halls: [Arc<Hall>; 2] = Default::default();
        let rest = Door::open(settings.port, Arc::clone(&halls[0]), settings.idle_timeout).await?;
        let calls = Door::open(settings.grpc_port, Arc::clone(&halls[1]), None).await?;
        let address = axum::serve::Listener::local_addr(&rest)?;
        let grpc_address = axum::serve::Listener::local_addr(&calls)?;
        let service = Service {
            store,
            settings,
            faults: Faults::default(),
            host: address.to_string(),
        };
        let shared = Arc::new(Shared {
            service,
            halls,
            gate: Arc::default(),
            hooks: RwLock::default(),
            log: Mutex::default(),
            arrivals: AtomicU64::new(0),
            under_way: Arc::default(),
        });
        let stop = CancellationToken::new();
        let routes = Router::new().fallback(handle);
        let methods = Router::new().fallback(grpc::handle);
        let tasks = vec![
            serve(rest, routes.with_state(Arc::clone(&shared)), &stop),
            serve(calls, methods.with_state(Arc::clone(&shared)), &stop),
        ];
        Ok(Sandbox {
            address,
            grpc_address,
            shared,
            stop,
            tasks,
        })
    }

    /// What it takes to reach this server over both protocols.
    pub fn connection(&self) -> Connection {
        Connection {
            grpc_url: Some(self.grpc_url()),
            api_key: self.shared.service.settings.api_key.clone().map(Into::into),
            ..Connection::to(self.url())
        }
    }

    /// The address of the server, `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of gRPC, `http://127.0.0.1:<port>`.
    pub fn grpc_url(&self) -> String {
        format!("http://{}", self.grpc_address)
    }

    /// The socket address of gRPC.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_address
    }

    /// The socket address.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The store behind the server.
    pub fn store(&self) -> &Store {
        &self.shared.service.store
    }

    /// The faults of this server.
    pub fn faults(&self) -> &Faults {
        &self.shared.service.faults
    }

    /// Every write holds this lock shared from before its effect until after; who holds it alone sees no half-done write.
    pub fn gate(&self) -> Arc<tokio::sync::RwLock<()>> {
        Arc::clone(&self.shared.gate)
    }

    /// Calls `hook` twice per request: when all of it was received, before any fault or effect, and after it was served.
    pub fn on_request(&self, hook: impl Fn(&RequestInfo) + Send + Sync + 'static) {
        self.shared
            .hooks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::new(hook));
    }

    /// All requests that were served, in the order in which they ended.
    pub fn requests(&self) -> Vec<RequestInfo> {
        self.shared
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// True if no request that was received is being served any more.
    pub fn is_idle(&self) -> bool {
        Arc::strong_count(&self.shared.under_way) == 1
    }

    /// How many requests of that method whose path begins so were served.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let log = self
            .shared
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        log.iter()
            .filter(|request| request.method == method && request.path.starts_with(path))
            .count()
    }

    /// How many gRPC calls of that method were served.
    pub fn count_calls(&self, method: &str) -> usize {
        self.count("POST", &format!("/weaviate.v1.Weaviate/{method}"))
    }

    /// Refuses new connections for that long, over REST and gRPC; those that exist live on.
    pub fn refuse_connections(&self, duration: Duration) {
        self.shared.close_for(duration);
    }

    /// Cuts all connections and refuses new ones for that long; the data and the ports stay.
    pub fn restart(&self, duration: Duration) {
        self.shared.close_for(duration);
        self.shared.cut_all();
    }

    /// Stops the server and waits until nothing of it runs.
    pub async fn stop(mut self) {
        self.halt();
        for mut task in std::mem::take(&mut self.tasks) {
            // A connection accepted a moment ago may have missed the scissors.
            while tokio::time::timeout(Duration::from_millis(20), &mut task)
                .await
                .is_err()
            {
                self.halt();
            }
        }
    }

    fn halt(&self) {
        self.stop.cancel();
        self.shared.service.faults.release();
        self.shared.cut_all();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.halt();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Serves connections of one port until it is stopped.
fn serve(door: Door, router: Router, stop: &CancellationToken) -> JoinHandle<()> {
    let stopped = stop.clone().cancelled_owned();
    let serving = axum::serve(
        door,
        router.into_make_service_with_connect_info::<Scissors>(),
    );
    tokio::spawn(async move {
        let _ended = serving.with_graceful_shutdown(stopped).await;
    })
}

/// Serves one request: log, fault, effect, reply.
async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: axum::extract::Request,
) -> Response<Body> {
    let _busy = (scissors.busy(), shared.begin());
    let (parts, body) = request.into_parts();
    let path = parts
        .uri
        .path_and_query()
        .map_or_else(|| "/".to_owned(), ToString::to_string);
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return delivery::respond(Reply::empty(400));
    };
    let mut info = shared.arrived(parts.method.as_str(), &path);
    let request = read(&info.method, &parts.uri, &parts.headers, body);
    let course = shared.meet(&info).await;
    let reply = match course.takes_effect {
        true => shared.effect(&request, course.short_page).await,
        false => Reply::empty(503),
    };
    let reply = match course.instead.clone() {
        Some(instead) => Reply::from(instead),
        None => reply,
    };
    course.linger().await;
    info.status = Some(reply.status);
    shared.served(info);
    course.delivery.deliver(reply, &scissors)
}

impl From<Instead> for Reply {
    fn from(instead: Instead) -> Reply {
        match instead {
            Instead::Nothing => Reply::empty(200),
            Instead::Refusal {
                status,
                retry_after,
                body,
            } => Reply {
                header: retry_after.map(|seconds| ("retry-after", seconds.to_string())),
                ..Reply::text(status, body)
            },
            Instead::Proxy { status, body } => Reply::page(status, body),
        }
    }
}

impl Shared {
    /// A request is under way as long as this is held.
    pub(super) fn begin(&self) -> Arc<()> {
        self.under_way.clone()
    }

    /// Numbers a request that was received whole, and tells the hooks.
    pub(super) fn arrived(&self, method: &str, path: &str) -> RequestInfo {
        let seq = self.arrivals.fetch_add(1, Ordering::Relaxed) + 1;
        let info = RequestInfo {
            seq,
            method: method.to_owned(),
            path: path.to_owned(),
            status: None,
        };
        self.tell(&info);
        info
    }

    /// Logs a request that was served, and tells the hooks.
    pub(super) fn served(&self, info: RequestInfo) {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(info.clone());
        self.tell(&info);
    }

    fn tell(&self, info: &RequestInfo) {
        let hooks = self
            .hooks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        hooks.iter().for_each(|hook| hook(info));
    }

    /// The course of a request; restarts and stalls are over when this returns.
    pub(super) async fn meet(&self, info: &RequestInfo) -> Course {
        let faults = &self.service.faults;
        let Some((fault, release)) = faults.strike(&info.method, &info.path) else {
            return Course::default();
        };
        let course = Course::from(fault);
        if let Some(duration) = course.restart {
            self.close_for(duration);
            self.cut_all();
        }
        if let Some(duration) = course.stall {
            faults.stall(duration, release).await;
        }
        course
    }

    fn close_for(&self, duration: Duration) {
        self.halls.iter().for_each(|hall| hall.close_for(duration));
    }

    fn cut_all(&self) {
        self.halls.iter().for_each(|hall| hall.cut_all());
    }

    async fn effect(&self, request: &Request, short_page: Option<usize>) -> Reply {
        if !is_write(&request.method, &request.path) {
            return self.service.respond(request, short_page);
        }
        let _held = self.gate.read().await;
        self.service.respond(request, short_page)
    }
}

fn read(method: &str, uri: &axum::http::Uri, headers: &HeaderMap, body: Bytes) -> Request {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    Request {
        method: method.to_owned(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        authorization: header("authorization"),
        accept: header("accept"),
        content_type: header("content-type"),
        consistency: header("consistency"),
        body,
    }
}
