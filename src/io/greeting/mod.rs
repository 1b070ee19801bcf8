//! A client from accept until its connection begins: who it is, where it goes, and the TLS
//! handshake. What a listener does not ask for is passed over; with nothing to ask for, a
//! connection begins at once and is never here.
//!
//! ```text
//!   accepted ──▶ ProxyHeader ──▶ ClientHello ──┬──▶ passed through: Connection
//!                                              └──▶ Waiting ──▶ Handshaking ──┬──▶ Connection
//!   any of them ── closed, too late, refused ──▶ closed, with its reason      └──▶ HttpConnection
//! ```
//!
//! The PROXY header and the ClientHello are only looked at (`MSG_PEEK`). Of the header exactly its
//! own bytes are taken then; the ClientHello stays in the socket, for whoever ends the session:
//! the handshake here, or the server, to which it is spliced with all that follows.
//!
//! The connection that comes of it has the same place in the worker's slab and the same socket, so
//! the kernel goes on reporting its events under the same name.

mod look;
mod refuse;
mod run;

use std::time::Instant;

use crate::config::Listener;
use crate::id::UpstreamId;
use crate::io::connection::Accepted;
use crate::io::kernel::Kernel;
use crate::relay::Readiness;
use crate::tls::session::Session;

/// A client that is being greeted.
#[derive(Debug)]
pub struct Greeting<K: Kernel> {
    /// The client.
    pub accepted: Accepted<K::Socket>,
    /// How far it is.
    pub stage: Stage,
    /// When this stage must be over.
    pub until: Instant,
    /// Where its bytes go, once that depends on what it asks for.
    pub target: Option<UpstreamId>,
    /// What events have said of the socket, for the connection that follows.
    pub readiness: Readiness,
    /// The deadline that is armed in the worker's timers.
    pub armed: Option<Instant>,
    /// It stands in the run queue.
    pub queued: bool,
}

/// How far a greeting is; the diagram stands above.
#[derive(Debug)]
pub enum Stage {
    /// The PROXY header is to come.
    ProxyHeader {
        /// So many bytes there must be before another look is worth it.
        needed: usize,
    },
    /// What the client asks for is to come.
    ClientHello {
        /// As above.
        needed: usize,
    },
    /// Too many others shake hands.
    Waiting,
    /// So far the client has said what this session has seen.
    Handshaking(Box<Session>),
}

impl Stage {
    /// The first stage of a client that a listener has accepted; `None` if its connection can
    /// begin at once.
    pub fn first(listener: &Listener) -> Option<Stage> {
        match listener.proxy_protocol {
            Some(_) => Some(Stage::ProxyHeader { needed: 1 }),
            None => Stage::after_proxy_header(listener),
        }
    }

    /// The stage that comes next once it is known who the client is.
    pub fn after_proxy_header(listener: &Listener) -> Option<Stage> {
        listener.expects_tls().then_some(Stage::ClientHello { needed: 1 })
    }
}

impl<K: Kernel> Greeting<K> {
    /// The greeting of a client that was just accepted.
    pub fn new(accepted: Accepted<K::Socket>, stage: Stage, until: Instant) -> Greeting<K> {
        Greeting {
            accepted,
            stage,
            until,
            target: None,
            readiness: Readiness::default(),
            armed: None,
            queued: false,
        }
    }

    /// An event of the client's socket.
    pub fn on_ready(&mut self, readiness: Readiness) {
        let seen = &mut self.readiness;
        seen.readable |= readiness.readable;
        seen.behind |= readiness.behind;
        seen.urgent |= readiness.urgent;
        seen.broken |= readiness.broken;
    }
}
