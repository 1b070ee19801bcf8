//! Client connections as a worker holds them; and one of TCP: a session, its sockets and what its
//! lanes hold.

use std::net::SocketAddr;
use std::time::Instant;

use crate::error::Side;
use crate::exchange::Exchange;
use crate::id::{Generation, ListenerId, UpstreamId};
use crate::io::conduit::Conduit;
use crate::io::greeting::{Greeting, Stage};
use crate::io::http::connection::HttpConnection;
use crate::io::introduction::Introduction;
use crate::io::kernel::Kernel;
use crate::io::run_queue::Weight;
use crate::limits::{Admission, Refusal};
use crate::relay::Readiness;
use crate::session::Session;
use crate::tls::session::Session as TlsSession;

/// A place in a worker's slab.
#[derive(Debug)]
pub enum Slot<K: Kernel> {
    /// A client whose connection has not begun.
    Greeting(Box<Greeting<K>>),
    /// A connection whose bytes are relayed, whatever they mean.
    Tcp(Connection<K>),
    /// A connection that speaks HTTP.
    Http(HttpConnection<K>),
    /// Neither, for as long as a function makes one of the other.
    Changing,
}

impl<K: Kernel> Slot<K> {
    /// The connection, if it is one of TCP.
    pub fn tcp(&self) -> Option<&Connection<K>> {
        match self {
            Slot::Tcp(connection) => Some(connection),
            Slot::Greeting(_) | Slot::Http(_) | Slot::Changing => None,
        }
    }

    /// The same, to be changed.
    pub fn tcp_mut(&mut self) -> Option<&mut Connection<K>> {
        match self {
            Slot::Tcp(connection) => Some(connection),
            Slot::Greeting(_) | Slot::Http(_) | Slot::Changing => None,
        }
    }

    /// The connection, if it is one of HTTP.
    pub fn http(&self) -> Option<&HttpConnection<K>> {
        match self {
            Slot::Http(connection) => Some(connection),
            Slot::Greeting(_) | Slot::Tcp(_) | Slot::Changing => None,
        }
    }

    /// The same, to be changed.
    pub fn http_mut(&mut self) -> Option<&mut HttpConnection<K>> {
        match self {
            Slot::Http(connection) => Some(connection),
            Slot::Greeting(_) | Slot::Tcp(_) | Slot::Changing => None,
        }
    }

    /// The greeting, if it is one.
    pub fn greeting(&self) -> Option<&Greeting<K>> {
        match self {
            Slot::Greeting(greeting) => Some(greeting),
            Slot::Tcp(_) | Slot::Http(_) | Slot::Changing => None,
        }
    }

    /// The same, to be changed.
    pub fn greeting_mut(&mut self) -> Option<&mut Greeting<K>> {
        match self {
            Slot::Greeting(greeting) => Some(greeting),
            Slot::Tcp(_) | Slot::Http(_) | Slot::Changing => None,
        }
    }

    /// The client's IP address, if it has one, and what it has of the limits. `None` while it is
    /// not known who the client is, and where it is only here to be told why it is sent away.
    pub fn admission_mut(&mut self) -> Option<(Option<SocketAddr>, &mut Admission)> {
        match self {
            Slot::Greeting(greeting) => {
                let is_known = !matches!(greeting.stage, Stage::ProxyHeader { .. });
                let accepted = &mut greeting.accepted;
                let has_begun = is_known && accepted.refusal.is_none();
                has_begun.then_some((accepted.client_address, &mut accepted.admission))
            }
            Slot::Tcp(connection) => Some((connection.client_address, &mut connection.admission)),
            Slot::Http(connection) => {
                let has_begun = connection.refusal.is_none();
                has_begun.then_some((connection.client_address, &mut connection.admission))
            }
            Slot::Changing => None,
        }
    }

    /// Which of the connections that had this place it is.
    pub fn generation(&self) -> Option<Generation> {
        match self {
            Slot::Greeting(greeting) => Some(greeting.accepted.generation),
            Slot::Tcp(connection) => Some(connection.generation),
            Slot::Http(connection) => Some(connection.generation),
            Slot::Changing => None,
        }
    }

    /// An event of one of the sockets.
    pub fn on_ready(&mut self, side: Side, readiness: Readiness) {
        match self {
            Slot::Greeting(greeting) => greeting.on_ready(readiness),
            Slot::Tcp(connection) => connection.on_ready(side, readiness),
            Slot::Http(connection) => connection.on_ready(side, readiness),
            Slot::Changing => {}
        }
    }

    /// Notes that the connection stands in the run queue. Says whether it did before.
    pub fn queue(&mut self) -> bool {
        match self {
            Slot::Greeting(greeting) => std::mem::replace(&mut greeting.queued, true),
            Slot::Tcp(connection) => std::mem::replace(&mut connection.queued, true),
            Slot::Http(connection) => std::mem::replace(&mut connection.queued, true),
            Slot::Changing => true,
        }
    }

    /// Whether this is the connection of that generation, and waits for a server to have room.
    pub fn waits_as(&self, generation: Generation) -> bool {
        let is_queued = match self {
            Slot::Tcp(connection) => connection.session.attempts().is_queued(),
            Slot::Http(connection) => {
                let exchange = connection.exchange.as_ref();
                exchange.is_some_and(|exchange| exchange.progress.is_queued())
            }
            Slot::Greeting(_) | Slot::Changing => false,
        };
        is_queued && self.generation() == Some(generation)
    }

    /// What the connection was found to carry when it last ran.
    pub fn weight(&self) -> Weight {
        match self {
            Slot::Greeting(_) => Weight::Greeting,
            Slot::Tcp(connection) => connection.weight,
            Slot::Http(connection) => connection.weight,
            Slot::Changing => Weight::default(),
        }
    }
}

/// A client that was just accepted.
#[derive(Debug)]
pub struct Accepted<S> {
    /// Tells the connection apart from those that will have its place after it, or had before.
    pub generation: Generation,
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// Its socket.
    pub client: S,
    /// Its IP address, if it has one.
    pub client_address: Option<SocketAddr>,
    /// It came over a unix socket.
    pub is_unix: bool,
    /// When.
    pub accepted_at: Instant,
    /// What it has of the limits.
    pub admission: Admission,
    /// It is only let in to be told why it is sent away.
    pub refusal: Option<Refusal>,
    /// Its TLS session, if one ends here. The handshake is over.
    pub session: Option<Box<TlsSession>>,
    /// What else was learnt of it.
    pub introduction: Option<Box<Introduction>>,
}

/// A connection of TCP.
#[derive(Debug)]
pub struct Connection<K: Kernel> {
    /// Tells it apart from those that had its place before.
    pub generation: Generation,
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// The upstream whose servers it is connected to.
    pub target: UpstreamId,
    /// Its phase, its lanes, its deadlines.
    pub session: Session,
    /// The client's socket.
    pub client: K::Socket,
    /// The client's IP address, if it has one.
    pub client_address: Option<SocketAddr>,
    /// What it has of the limits.
    pub admission: Admission,
    /// The TLS session in front of the client's socket.
    pub client_tls: Option<Box<TlsSession>>,
    /// What was learnt of the client before.
    pub introduction: Option<Box<Introduction>>,
    /// The server's socket, once a connect has begun.
    pub upstream: Option<K::Socket>,
    /// The TLS session in front of the server's socket.
    pub upstream_tls: Option<Box<TlsSession>>,
    /// What events said of the server's socket since the last turn, during the connect.
    pub connect_events: Readiness,
    /// The server has been told who the client is, where it is to be told.
    pub is_announced: bool,
    /// Keepalive is on for the server's socket.
    pub keeps_alive: bool,
    /// What each lane holds, by direction.
    pub conduits: [Conduit<K::Pipe>; 2],
    /// The exchange that has upgraded it from HTTP.
    pub upgraded_by: Option<Box<Exchange>>,
    /// The deadline that is armed in the worker's timers.
    pub armed: Option<Instant>,
    /// What it was found to carry when it last ran.
    pub weight: Weight,
    /// It stands in the run queue.
    pub queued: bool,
}

impl<K: Kernel> Connection<K> {
    /// The connection of a client that is about to be connected to a server of `target`.
    pub fn new(
        accepted: Accepted<K::Socket>,
        target: UpstreamId,
        session: Session,
    ) -> Connection<K> {
        let Accepted {
            generation, listener, client, client_address, admission, introduction, ..
        } = accepted;
        let client_tls = accepted.session;
        Connection {
            generation,
            listener,
            target,
            session,
            client,
            client_address,
            admission,
            client_tls,
            introduction,
            upstream: None,
            upstream_tls: None,
            connect_events: Readiness::default(),
            is_announced: false,
            keeps_alive: false,
            conduits: [Conduit::Empty, Conduit::Empty],
            upgraded_by: None,
            armed: None,
            weight: Weight::default(),
            queued: false,
        }
    }

    /// An event of one of the sockets.
    pub fn on_ready(&mut self, side: Side, readiness: Readiness) {
        if side == Side::Upstream {
            let events = &mut self.connect_events;
            events.writable |= readiness.writable;
            events.broken |= readiness.broken;
        }
        self.session.on_ready(side, readiness);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::linux::Linux;

    /// What an idle connection costs, besides its deadline: between requests it holds nothing
    /// else.
    #[test]
    fn a_place_takes_less_than_a_kibibyte() {
        assert!(size_of::<Slot<Linux>>() <= 1024, "{}", size_of::<Slot<Linux>>());
    }
}
