//! A client from accept until its connection begins: who it is, where it goes, and the TLS
//! handshake. What a listener does not ask for is passed over; with nothing to ask for, a
//! connection begins at once and is never here.
//!
//! ```text
//!   accepted ──▶ Waiting ──a place is free──▶ Handshaking ──▶ Connection, or HttpConnection
//!                   │                              │
//!                   └── closed, too late ──────────┴── failed ──▶ closed, with its reason
//! ```
//!
//! The connection that follows has the same place in the worker's slab and the same socket, so the
//! kernel goes on reporting its events under the same name.

mod run;

use std::time::Instant;

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
    /// When it must be over.
    pub until: Instant,
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
    /// Too many others shake hands.
    Waiting,
    /// So far the client has said what this session has seen.
    Handshaking(Box<Session>),
}

impl<K: Kernel> Greeting<K> {
    /// The greeting of a client that may take its place at once, or must wait for one.
    pub fn new(accepted: Accepted<K::Socket>, stage: Stage, until: Instant) -> Greeting<K> {
        Greeting {
            accepted,
            stage,
            until,
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
