//! Connections that can be cut from outside: the listener and the streams under the HTTP server.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

/// A handle to cut one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Scissors(Arc<Thread>);

#[derive(Debug, Default)]
struct Thread {
    cut: AtomicBool,
    /// Requests that are being served: meanwhile the connection is not idle.
    busy: AtomicUsize,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Scissors {
    /// Cuts the connection: the client sees a reset, whatever was in flight.
    pub(super) fn cut(&self) {
        self.0.cut.store(true, Ordering::SeqCst);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    /// Keeps the connection from being idle until the guard is dropped.
    pub(super) fn busy(&self) -> Busy {
        self.0.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self.clone())
    }

    fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::SeqCst)
    }
}

/// A request is being served.
pub(super) struct Busy(Scissors);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, Door>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Scissors {
        stream.io().scissors.clone()
    }
}

/// A TCP stream with its scissors.
pub(super) struct Wire {
    stream: TcpStream,
    scissors: Scissors,
    idle: Option<Idle>,
}

/// The time that an idle connection has left.
struct Idle {
    limit: Duration,
    alarm: Pin<Box<Sleep>>,
}

impl Idle {
    fn new(limit: Duration) -> Idle {
        Idle {
            limit,
            alarm: Box::pin(tokio::time::sleep(limit)),
        }
    }

    fn restart(&mut self) {
        self.alarm.as_mut().reset(Instant::now() + self.limit);
    }
}

impl Wire {
    /// Whether nothing was read or written for the whole limit, and no request is being served.
    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        let busy = self.scissors.0.busy.load(Ordering::SeqCst) > 0;
        let Some(idle) = &mut self.idle else {
            return false;
        };
        while idle.alarm.as_mut().poll(context).is_ready() {
            if !busy {
                return true;
            }
            idle.restart();
        }
        false
    }

    fn touched(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.restart();
        }
    }

    /// The error of a cut connection; closing it then sends a reset instead of an orderly end.
    fn severed(&self) -> io::Error {
        let _best_effort = self.stream.set_zero_linger();
        io::ErrorKind::ConnectionReset.into()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.scissors.0.reader.register(context.waker());
        if this.scissors.is_cut() {
            return Poll::Ready(Err(this.severed()));
        }
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            // An orderly end, as the real server closes idle connections.
            Poll::Pending if this.is_overdue(context) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            ready => {
                this.touched();
                ready
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.scissors.0.writer.register(context.waker());
        if this.scissors.is_cut() {
            return Poll::Ready(Err(this.severed()));
        }
        this.touched();
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.scissors.is_cut() {
            return Poll::Ready(Err(this.severed()));
        }
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

/// What the listener and the tests share: all connections, and whether the door is closed.
#[derive(Debug, Default)]
pub(super) struct Hall {
    wires: Mutex<Vec<Weak<Thread>>>,
    closed_until: Mutex<Option<Instant>>,
    changed: Notify,
}

impl Hall {
    /// Cuts every connection.
    pub(super) fn cut_all(&self) {
        let wires = std::mem::take(&mut *self.wires.lock().unwrap_or_else(PoisonError::into_inner));
        wires
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|thread| Scissors(thread).cut());
    }

    /// Refuses connections for that long.
    pub(super) fn close_for(&self, duration: Duration) {
        *self
            .closed_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + duration);
        self.changed.notify_one();
    }

    fn closed_until(&self) -> Option<Instant> {
        let mut until = self
            .closed_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.take_if(|until| *until <= Instant::now());
        *until
    }

    fn remember(&self, scissors: &Scissors) {
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        wires.retain(|wire| wire.strong_count() > 0);
        wires.push(Arc::downgrade(&scissors.0));
    }
}

/// The listener: while it is closed its port refuses connections.
pub(super) struct Door {
    address: SocketAddr,
    listener: Option<TcpListener>,
    hall: Arc<Hall>,
    idle_timeout: Option<Duration>,
}

impl Door {
    pub(super) async fn open(
        port: u16,
        hall: Arc<Hall>,
        idle_timeout: Option<Duration>,
    ) -> io::Result<Door> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        Ok(Door {
            address: listener.local_addr()?,
            listener: Some(listener),
            hall,
            idle_timeout,
        })
    }

    /// A listener on the same port; another process may hold it for a moment.
    async fn bind_again(&self) -> TcpListener {
        loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }
}

impl Listener for Door {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let hall = Arc::clone(&self.hall);
        loop {
            if let Some(until) = hall.closed_until() {
                self.listener = None;
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    // It may be open sooner.
                    () = hall.changed.notified() => {}
                }
                continue;
            }
            let listener = match self.listener.take() {
                Some(listener) => listener,
                None => self.bind_again().await,
            };
            let accepted = tokio::select! {
                // First: whoever came since the port was closed is not served. Dropping the listener here closes it.
                biased;
                () = hall.changed.notified() => continue,
                accepted = listener.accept() => accepted,
            };
            self.listener = Some(listener);
            if let Ok((stream, peer)) = accepted {
                let _best_effort = stream.set_nodelay(true);
                let scissors = Scissors::default();
                hall.remember(&scissors);
                let idle = self.idle_timeout.map(Idle::new);
                return (
                    Wire {
                        stream,
                        scissors,
                        idle,
                    },
                    peer,
                );
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
