//! The sandbox server: HTTP over the store, with faults, hooks and a log.

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

use super::delivery::{self, Delivery};
use super::faults::{Fault, Faults};
use super::reply::Reply;
use super::routes::{Request, Service, is_write};
use super::settings::Settings;
use super::store::Store;
use super::wire::{Door, Hall, Scissors};

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
    pub status: Option<u16>,
}

type Hook = Arc<dyn Fn(&RequestInfo) + Send + Sync>;

/// What every request handler shares.
struct Shared {
    service: Service,
    hall: Arc<Hall>,
    gate: Arc<tokio::sync::RwLock<()>>,
    hooks: RwLock<Vec<Hook>>,
    log: Mutex<Vec<RequestInfo>>,
    arrivals: AtomicU64,
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
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a server with an empty store; must be called within a tokio runtime, which then runs it.
    pub async fn start(settings: Settings) -> io::Result<Sandbox> {
        Sandbox::start_with(settings, Store::new()).await
    }

    /// Starts a server over a store that may already hold something.
    pub async fn start_with(settings: Settings, store: Store) -> io::Result<Sandbox> {
        let hall = Arc::new(Hall::default());
        let door = Door::open(settings.port, Arc::clone(&hall), settings.idle_timeout).await?;
        let address = axum::serve::Listener::local_addr(&door)?;
        let service = Service {
            store,
            settings,
            faults: Faults::default(),
            host: address.to_string(),
        };
        let shared = Arc::new(Shared {
            service,
            hall,
            gate: Arc::default(),
            hooks: RwLock::default(),
            log: Mutex::default(),
            arrivals: AtomicU64::new(0),
        });
        let router = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&shared));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = axum::serve(
            door,
            router.into_make_service_with_connect_info::<Scissors>(),
        );
        let task = tokio::spawn(async move {
            let _ended = serving.with_graceful_shutdown(stopped).await;
        });
        Ok(Sandbox {
            address,
            shared,
            stop,
            task: Some(task),
        })
    }

    /// The address of the server, `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
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

    /// Refuses new connections for that long; those that exist live on.
    pub fn refuse_connections(&self, duration: Duration) {
        self.shared.hall.close_for(duration);
    }

    /// Cuts all connections and refuses new ones for that long; the data stay.
    pub fn restart(&self, duration: Duration) {
        self.shared.hall.close_for(duration);
        self.shared.hall.cut_all();
    }

    /// Stops the server and waits until nothing of it runs.
    pub async fn stop(mut self) {
        self.halt();
        let Some(mut task) = self.task.take() else {
            return;
        };
        // A connection accepted a moment ago may have missed the scissors.
        while tokio::time::timeout(Duration::from_millis(20), &mut task)
            .await
            .is_err()
        {
            self.halt();
        }
    }

    fn halt(&self) {
        self.stop.cancel();
        self.shared.service.faults.release();
        self.shared.hall.cut_all();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.halt();
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// Serves one request: log, fault, effect, reply.
async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: axum::extract::Request,
) -> Response<Body> {
    let _busy = scissors.busy();
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
    let fault = shared.service.faults.strike(&info.method, &path);
    let (reply, delivery) = shared.serve(&request, fault).await;
    info.status = Some(reply.status);
    shared.served(info);
    delivery.deliver(reply, &scissors)
}

impl Shared {
    fn arrived(&self, method: &str, path: &str) -> RequestInfo {
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

    fn served(&self, info: RequestInfo) {
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

    async fn serve(&self, request: &Request, fault: Option<(Fault, u64)>) -> (Reply, Delivery) {
        let Some((fault, release)) = fault else {
            return (self.effect(request, None).await, Delivery::Whole);
        };
        match fault {
            Fault::ResetBefore => (Reply::empty(503), Delivery::Cut),
            Fault::ResetAfter => (self.effect(request, None).await, Delivery::Cut),
            Fault::Truncate(length) => (
                self.effect(request, None).await,
                Delivery::Truncated(length),
            ),
            Fault::Stall(duration) => {
                self.service.faults.stall(duration, release).await;
                (self.effect(request, None).await, Delivery::Whole)
            }
            Fault::Status {
                status,
                retry_after,
                body,
            } => {
                let header = retry_after.map(|seconds| ("retry-after", seconds.to_string()));
                (
                    Reply {
                        header,
                        ..Reply::text(status, body)
                    },
                    Delivery::Whole,
                )
            }
            Fault::EmptyBefore => (Reply::empty(200), Delivery::Whole),
            Fault::EmptyAfter => {
                self.effect(request, None).await;
                (Reply::empty(200), Delivery::Whole)
            }
            Fault::ShortPage(most) => (self.effect(request, Some(most)).await, Delivery::Whole),
            Fault::Slow {
                latency,
                bytes_per_second,
            } => {
                let reply = self.effect(request, None).await;
                tokio::time::sleep(latency).await;
                (
                    reply,
                    bytes_per_second.map_or(Delivery::Whole, Delivery::Trickling),
                )
            }
            Fault::Restart(duration) => {
                self.hall.close_for(duration);
                self.hall.cut_all();
                (Reply::empty(503), Delivery::Cut)
            }
        }
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
