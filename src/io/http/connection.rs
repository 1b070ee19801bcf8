//! One client's connection that speaks HTTP, as a worker holds it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::config::{Http, RelayMode};
use crate::error::{Direction, Side};
use crate::exchange::Exchange;
use crate::exchange::phase::Phase;
use crate::http::context::{Scheme, TlsSession as TlsContext};
use crate::id::{Generation, ListenerId, UpstreamConnectionId};
use crate::io::conduit::{Conduit, Supplies};
use crate::io::connection::Accepted;
use crate::io::introduction::Introduction;
use crate::io::kernel::Kernel;
use crate::io::listener_settings::ListenerSettings;
use crate::io::run_queue::Weight;
use crate::limits::{Admission, Refusal};
use crate::relay::coalesce::TailWatch;
use crate::relay::lane::Totals;
use crate::relay::policy::Expectation;
use crate::relay::{Readiness, Relay};
use crate::tls::session::Session as TlsSession;

/// A connection in a worker's slab. Between exchanges it holds no memory but this.
#[derive(Debug)]
pub struct HttpConnection<K: Kernel> {
    /// Tells it apart from those that had its place before.
    pub generation: Generation,
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// What holds for its exchange, or will for its next one.
    pub settings: Arc<ListenerSettings>,
    /// The client's socket.
    pub client: K::Socket,
    /// The TLS session in front of it.
    pub client_tls: Option<Box<TlsSession>>,
    /// What was learnt of the client before.
    pub introduction: Option<Box<Introduction>>,
    /// The client's IP address, if it has one.
    pub client_address: Option<SocketAddr>,
    /// What it has of the limits.
    pub admission: Admission,
    /// It is only here to be told why it is sent away.
    pub refusal: Option<Refusal>,
    /// The client came over a unix socket.
    pub is_unix: bool,
    /// The client's socket has failed.
    pub is_broken: bool,
    /// When the client was accepted.
    pub accepted_at: Instant,
    /// Where it is.
    pub phase: Phase,
    /// Its exchange, from the first byte of the request on.
    pub exchange: Option<Box<Exchange>>,
    /// The connection to a server that serves the exchange.
    pub upstream: Option<UpstreamConnectionId>,
    /// What events said of that connection while it was being made.
    pub connect_events: Readiness,
    /// Both directions.
    pub relay: Relay,
    /// What each lane holds, by direction.
    pub conduits: [Conduit<K::Pipe>; 2],
    /// What was read of each direction and is not used yet.
    pub unread: [Unread; 2],
    /// How much memory of that the worker's supplies know of, in bytes.
    pub unread_counted: u64,
    /// What was counted of each lane's bytes.
    pub counted: [Totals; 2],
    /// When to look after bytes that a source keeps back.
    pub tail: TailWatch,
    /// What its requests so far tell of the size of the next.
    pub expectation: Expectation,
    /// The capacity of the pipes to ask for.
    pub pipe_size: u32,
    /// The deadline that is armed in the worker's timers.
    pub armed: Option<Instant>,
    /// What it was found to carry when it last ran.
    pub weight: Weight,
    /// It stands in the run queue.
    pub queued: bool,
}

impl<K: Kernel> HttpConnection<K> {
    /// A connection on which nothing has come yet.
    pub fn new(
        accepted: Accepted<K::Socket>,
        settings: Arc<ListenerSettings>,
        http: &Http,
        now: Instant,
    ) -> HttpConnection<K> {
        let Accepted {
            generation,
            listener,
            client,
            client_address,
            is_unix,
            accepted_at,
            admission,
            refusal,
            session,
            introduction,
        } = accepted;
        let mut relay = Relay::new(RelayMode::Copy, None);
        relay.restart(RelayMode::Copy, [None; 2]);
        if session.is_some() {
            relay.secure(Side::Client);
        }
        if is_unix {
            relay.lane_mut(Direction::Upstream).source_is_unix();
        }
        let until = now + http.timeouts.request_head;
        HttpConnection {
            generation,
            listener,
            settings,
            client,
            client_tls: session,
            introduction,
            client_address,
            admission,
            refusal,
            is_unix,
            is_broken: false,
            accepted_at,
            phase: Phase::Idle { until, is_first: true },
            exchange: None,
            upstream: None,
            connect_events: Readiness::default(),
            relay,
            conduits: [Conduit::Empty, Conduit::Empty],
            unread: Default::default(),
            unread_counted: 0,
            counted: Default::default(),
            tail: TailWatch::default(),
            expectation: Expectation::default(),
            pipe_size: 0,
            armed: None,
            weight: Weight::default(),
            queued: false,
        }
    }

    /// Has the worker know what memory the unread bytes take: it reads less at once where that
    /// is spent.
    pub fn count_unread(&mut self, supplies: &mut Supplies<K>) {
        let memory = self.unread.iter().map(Unread::memory).sum::<usize>() as u64;
        supplies.stuck_bytes = supplies.stuck_bytes + memory - self.unread_counted;
        self.unread_counted = memory;
    }

    /// How the client has reached this proxy.
    pub fn scheme(&self) -> Scheme {
        if self.client_tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// What heads may tell of the client's TLS session.
    pub fn tls_context(&self) -> Option<TlsContext<'_>> {
        let agreement = self.client_tls.as_deref()?.agreement();
        let introduction = self.introduction.as_deref();
        let identity = introduction.and_then(|it| it.identity.as_ref());
        Some(TlsContext {
            version: agreement.version,
            cipher: agreement.cipher_suite,
            server_name: introduction.and_then(|it| it.server_name.as_deref()).unwrap_or(""),
            client_subject: identity.map_or("", |it| &it.subject),
            client_fingerprint: identity.map_or("", |it| &it.fingerprint),
        })
    }

    /// An event of one of the sockets.
    pub fn on_ready(&mut self, side: Side, readiness: Readiness) {
        match side {
            Side::Client => self.is_broken |= readiness.broken,
            Side::Upstream => {
                self.connect_events.writable |= readiness.writable;
                self.connect_events.broken |= readiness.broken;
            }
        }
        self.relay.on_ready(side, readiness);
    }
}

/// Bytes that a read has brought and nobody has used yet. Without any, it holds no memory.
#[derive(Debug, Default)]
pub struct Unread {
    bytes: Vec<u8>,
    start: usize,
    /// Nobody has looked at the last of them.
    is_fresh: bool,
}

impl Unread {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Whether there are some that nobody has looked at.
    pub fn is_fresh(&self) -> bool {
        self.is_fresh && !self.is_empty()
    }

    /// More have come behind them.
    pub fn append(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
        self.is_fresh = true;
    }

    /// Some of them were used.
    pub fn consume(&mut self, used: Used) {
        self.start = (self.start + used.bytes).min(self.bytes.len());
        self.is_fresh = !used.wants_more;
        if self.is_empty() {
            *self = Unread::default();
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

/// What was used of bytes that somebody has looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// So many, from the first one on.
    pub bytes: usize,
    /// The others are of no use before more have come.
    pub wants_more: bool,
}

impl Used {
    /// The first `bytes`; the others can be looked at again at once.
    pub fn up_to(bytes: usize) -> Used {
        Used { bytes, wants_more: false }
    }

    /// None before more have come.
    pub const NONE_YET: Used = Used { bytes: 0, wants_more: true };
}
