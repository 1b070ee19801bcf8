//! The server behind the admin endpoint and the control socket: HTTP/1.1 with a bound on everything
//! that a client could make grow.
//!
//! At the limit of connections the oldest one gives way to the newcomer. The other policy, to
//! refuse the newcomer, would let anybody who holds idle connections shut out the health check,
//! and an orchestrator would then restart a proxy that is well. A scraper that was cut comes
//! again.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::timeout;

/// Connections at once.
pub const CONNECTIONS_MAX: usize = 64;

/// From the first to the last byte of a request head, and the idle time between two requests.
pub const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Request line and headers; the connection's buffers are bounded by the same. A longer head gets
/// a 431.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header fields of a request.
pub const HEADERS_MAX: usize = 64;

/// After that long a connection is closed as soon as it has no request at hand.
pub const KEEP_ALIVE_MAX: Duration = Duration::from_secs(50);

/// After that long a connection is cut, whatever it does.
pub const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(60);

/// How long to wait after the system refused a connection, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// After that long a connection of the control socket is cut: a command may take as long as
/// `process.upgrade_timeout` allows, and those who may give it are trusted with that.
const COMMAND_LIFE_MAX: Duration = Duration::from_secs(15 * 60);

/// How long requests at hand may take when the process ends.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// What is served to whom, and for how long.
#[derive(Debug, Clone)]
pub(super) struct Service {
    name: &'static str,
    router: Router,
    keep_alive_max: Duration,
    life_max: Duration,
}

impl Service {
    /// The admin endpoint.
    pub(super) fn admin(router: Router) -> Service {
        let (keep_alive_max, life_max) = (KEEP_ALIVE_MAX, CONNECTION_LIFE_MAX);
        Service { name: "admin endpoint", router, keep_alive_max, life_max }
    }

    /// The control socket.
    pub(super) fn control(router: Router) -> Service {
        let (keep_alive_max, life_max) = (COMMAND_LIFE_MAX, COMMAND_LIFE_MAX);
        Service { name: "control socket", router, keep_alive_max, life_max }
    }
}

/// Where connections to a [`Service`] come from.
pub(super) trait Accept: Send + 'static {
    /// One of them.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        TcpListener::accept(self).await.map(|(stream, _)| stream)
    }
}

impl Accept for UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        UnixListener::accept(self).await.map(|(stream, _)| stream)
    }
}

/// A service that runs.
#[derive(Debug)]
pub(super) struct Endpoint {
    is_ending: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Endpoint {
    /// Serves on `listener` until told otherwise. Must be called within the runtime.
    pub(super) fn start(listener: impl Accept, service: Service) -> Endpoint {
        let (is_ending, ending) = watch::channel(false);
        let task = tokio::spawn(serve(listener, service, ending));
        Endpoint { is_ending, task }
    }

    /// Accepts nobody any more; requests at hand are answered.
    pub(super) fn close(&self) {
        self.is_ending.send_replace(true);
    }

    /// Closes it and gives what is at hand a moment to be answered.
    pub(super) async fn finish(self) {
        self.close();
        let _cut = timeout(FAREWELL_MAX, self.task).await;
    }
}

async fn serve(listener: impl Accept, service: Service, mut ending: watch::Receiver<bool>) {
    let mut connections = Connections::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(socket) => connections.admit(socket, service.clone(), ending.clone()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!("{}: cannot accept: {error}; trying again", service.name);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(()) = connections.ended(service.name) => {}
            _ = ending.changed() => break,
        }
    }
    drop(listener);
    while connections.ended(service.name).await.is_some() {}
}

/// Errors of the connection that was to be accepted and not of the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused
    )
}

/// The connections that are served now.
#[derive(Debug, Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// The oldest first.
    by_age: VecDeque<AbortHandle>,
}

impl Connections {
    fn admit<S>(&mut self, socket: S, service: Service, ending: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.by_age.len() >= CONNECTIONS_MAX
            && let Some(oldest) = self.by_age.pop_front()
        {
            oldest.abort();
        }
        self.by_age.push_back(self.tasks.spawn(serve_connection(socket, service, ending)));
    }

    /// Waits for the end of one; `None` if there are none.
    async fn ended(&mut self, service: &str) -> Option<()> {
        let ended = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!("{service}: a connection's task panicked: {error}");
                }
                error.id()
            }
        };
        self.by_age.retain(|connection| connection.id() != ended);
        Some(())
    }
}

async fn serve_connection<S>(socket: S, service: Service, mut ending: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Service { router, keep_alive_max, life_max, .. } = service;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_TIMEOUT)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    // Errors of a client are its own; there is nobody to tell.
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = tokio::time::sleep(keep_alive_max) => {}
        _ = ending.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let rest = life_max.saturating_sub(keep_alive_max).max(FAREWELL_MAX);
    let _cut_or_closed = timeout(rest, connection).await;
}
