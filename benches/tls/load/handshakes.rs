//! Clients that establish one session after the other, and ask for nothing.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;

use crate::rig::load::events::{Event, Events};
use crate::rig::load::http::tls_session::{Stream, TlsSession};
use crate::rig::load::{Gauge, Latencies, Load, begin_to_connect, describe};
use crate::rig::tls::{Tickets, client_config, client_connection};

/// More than a server sends in a handshake.
const FLIGHT_BYTES: usize = 16 << 10;

/// `clients` clients of `proxy`; its origin, which nobody asks for anything, only has to be there.
/// The load's units are handshakes, and latencies reach from the begin of a connection to its first
/// ticket, with which the server too is done.
///
/// # Errors
/// When there is no certificate to trust.
pub fn start(
    origin: TcpListener,
    proxy: SocketAddr,
    clients: usize,
    tickets: Tickets,
) -> io::Result<Load> {
    let config = client_config(tickets)?;
    let mut load = Load::new();
    load.spawn(move |gauge| {
        let _origin = origin;
        drive(&Visitors { proxy, config, tickets }, clients, gauge)
    });
    Ok(load)
}

/// Those who come.
struct Visitors {
    proxy: SocketAddr,
    config: Arc<ClientConfig>,
    tickets: Tickets,
}

/// A client's session under way.
struct Visit {
    session: TlsSession,
    came_at: Instant,
    /// Whether the client has been there before.
    returns: bool,
}

fn drive(visitors: &Visitors, clients: usize, gauge: &Gauge) -> io::Result<Latencies> {
    let mut buffer = vec![0; FLIGHT_BYTES];
    let mut latencies = Latencies::new();
    let mut events = Events::new()?;
    let first = (0..clients).map(|key| visitors.open(key, &events, false));
    let mut visits = first.collect::<io::Result<Vec<Visit>>>()?;
    while !gauge.is_stopping() {
        for index in 0..events.wait_busy()? {
            let event = events.get(index);
            let visit = &mut visits[event.key];
            visit.advance(event, &mut buffer).map_err(|error| describe("a handshake", &error))?;
            if !visit.session.is_established() {
                continue;
            }
            gauge.add(1);
            if gauge.is_window_open() {
                latencies.push(visit.came_at.elapsed().as_nanos() as u64);
            }
            visitors.see_off(visit)?;
            // The old socket is closed with its visit, and leaves the epoll.
            *visit = visitors.open(event.key, &events, true)?;
        }
    }
    Ok(latencies)
}

impl Visitors {
    fn open(&self, key: usize, events: &Events, returns: bool) -> io::Result<Visit> {
        let came_at = Instant::now();
        let socket =
            begin_to_connect(self.proxy).map_err(|error| describe("a client connected", &error))?;
        events.add(&socket, key)?;
        let mut session = TlsSession::new(socket, client_connection(&self.config)?);
        session.flush()?;
        Ok(Visit { session, came_at, returns })
    }

    /// Ends the session as it should be.
    fn see_off(&self, visit: &mut Visit) -> io::Result<()> {
        let resumed = visit.session.is_resumed();
        let expected = visit.returns && self.tickets == Tickets::Kept;
        if resumed != expected {
            let words = if resumed { "resumed" } else { "not resumed" };
            return Err(io::Error::other(format!("a session was {words}")));
        }
        visit.session.close()
    }
}

impl Visit {
    fn advance(&mut self, event: Event, buffer: &mut [u8]) -> io::Result<()> {
        if event.writable {
            self.session.flush()?;
        }
        if !event.readable {
            return Ok(());
        }
        let refuse = |_: &[u8]| Err(io::Error::other("data that nobody has asked for"));
        match self.session.receive(buffer, event.ending, refuse)? {
            Stream::Ended if !self.session.is_established() => {
                Err(io::Error::other("the proxy ended the stream"))
            }
            Stream::Open | Stream::Ended => Ok(()),
        }
    }
}
