//! The server behind the admin endpoint: HTTP/1.1 with a bound on everything that a client could
//! make grow.
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
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
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

/// Serves `router` on `listener` until it is dropped.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let mut connections = Connections::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _peer)) => connections.admit(socket, router.clone()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!("admin endpoint: cannot accept: {error}; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(()) = connections.ended() => {}
        }
    }
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
    fn admit(&mut self, socket: TcpStream, router: Router) {
        if self.by_age.len() >= CONNECTIONS_MAX
            && let Some(oldest) = self.by_age.pop_front()
        {
            oldest.abort();
        }
        self.by_age.push_back(self.tasks.spawn(serve_connection(socket, router)));
    }

    /// Waits for the end of one; `None` if there are none.
    async fn ended(&mut self) -> Option<()> {
        let ended = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!("admin endpoint: a connection's task panicked: {error}");
                }
                error.id()
            }
        };
        self.by_age.retain(|connection| connection.id() != ended);
        Some(())
    }
}

async fn serve_connection(socket: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_TIMEOUT)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    // Errors of a client are its own; there is nobody to tell.
    if timeout(KEEP_ALIVE_MAX, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _cut_or_closed = timeout(CONNECTION_LIFE_MAX - KEEP_ALIVE_MAX, connection).await;
    }
}
