//! Clients that send the next request when they have the response to the last.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use super::endpoint::{Endpoint, Received, Scratch};
use super::ends::{self, Clients};
use super::message::Part;
use super::origin::Origin;
use super::transport::{Proxy, Transport};
use super::wire::{Exchange, Reuse, Units};
use crate::rig::load::events::{Event, Events};
use crate::rig::load::{Gauge, Latencies, Load, begin_to_connect, describe};

/// `connections` clients of `proxy`, and the origin behind it, spread over so many threads.
///
/// # Errors
/// When there is no descriptor for another listening socket.
pub fn start(
    origin: &TcpListener,
    proxy: &Proxy,
    exchange: &Arc<Exchange>,
    connections: usize,
    threads: usize,
) -> io::Result<Load> {
    let mut load = Load::new();
    for _ in 0..threads {
        let (origin, exchange) = (origin.try_clone()?, Arc::clone(exchange));
        let proxy = proxy.clone();
        load.spawn(move |gauge| {
            let origin = Origin::new(origin, &exchange, gauge);
            let clients = Patient::new(proxy, connections / threads, &exchange, gauge);
            ends::drive(origin, clients, gauge)
        });
    }
    Ok(load)
}

/// A new connection, which may still be under way, with its first request on it.
///
/// # Errors
/// As connect(2) and send(2).
pub fn open(
    proxy: &Proxy,
    exchange: &Exchange,
    events: &Events,
    key: usize,
) -> io::Result<Endpoint> {
    let socket = begin_to_connect(proxy.address)?;
    events.add(&socket, key)?;
    let mut endpoint = Endpoint::new(Transport::of_client(socket, proxy)?, Part::Response);
    endpoint.start(&exchange.request)?;
    Ok(endpoint)
}

/// Clients that wait for their responses, however long that takes.
struct Patient<'a> {
    proxy: Proxy,
    connections: usize,
    exchange: &'a Exchange,
    gauge: &'a Gauge,
    scratch: Scratch,
    clients: Vec<Client>,
    latencies: Latencies,
}

struct Client {
    endpoint: Endpoint,
    sent_at: Instant,
}

/// What becomes of a client.
enum Next {
    Stay,
    /// Its connection has ended as it should.
    Reopen,
}

impl<'a> Patient<'a> {
    fn new(
        proxy: Proxy,
        connections: usize,
        exchange: &'a Exchange,
        gauge: &'a Gauge,
    ) -> Patient<'a> {
        let (scratch, clients, latencies) = (Scratch::new(), Vec::new(), Latencies::new());
        Patient { proxy, connections, exchange, gauge, scratch, clients, latencies }
    }

    fn open(&self, key: usize, events: &Events) -> io::Result<Client> {
        let sent_at = Instant::now();
        let endpoint = open(&self.proxy, self.exchange, events, key);
        let endpoint = endpoint.map_err(|error| describe("a client connected", &error))?;
        Ok(Client { endpoint, sent_at })
    }
}

impl Clients for Patient<'_> {
    fn wait(&mut self, events: &mut Events) -> io::Result<usize> {
        while self.clients.len() < self.connections {
            self.clients.push(self.open(self.clients.len(), events)?);
        }
        events.wait_busy()
    }

    fn advance(&mut self, event: Event, events: &Events) -> io::Result<()> {
        let Patient { exchange, gauge, scratch, latencies, .. } = self;
        let client = &mut self.clients[event.key];
        let next = client.advance(event, exchange, scratch, gauge, latencies);
        if let Next::Reopen = next.map_err(|error| describe("an exchange", &error))? {
            // The old socket is closed with its client, and leaves the epoll.
            self.clients[event.key] = self.open(event.key, events)?;
        }
        Ok(())
    }

    fn into_latencies(self) -> Latencies {
        self.latencies
    }
}

impl Client {
    fn advance(
        &mut self,
        event: Event,
        exchange: &Exchange,
        scratch: &mut Scratch,
        gauge: &Gauge,
        latencies: &mut Latencies,
    ) -> io::Result<Next> {
        if self.endpoint.is_sending() && event.writable {
            self.endpoint.send(&exchange.request)?;
        }
        if !event.readable {
            return Ok(Next::Stay);
        }
        let was_complete = self.endpoint.message.is_complete();
        let body_before = self.endpoint.message.body();
        let received = self.endpoint.receive(scratch, event.ending)?;
        if exchange.units == Units::ResponseBytes {
            gauge.add(self.endpoint.message.body() - body_before);
        }
        match received {
            Received::Part => return Ok(Next::Stay),
            Received::End if was_complete && exchange.reuse == Reuse::Never => {
                return Ok(Next::Reopen);
            }
            Received::End => return Err(io::Error::other("the proxy ended the stream")),
            Received::Whole => {}
        }
        self.check(exchange)?;
        if exchange.units == Units::Exchanges {
            gauge.add(1);
        }
        let now = Instant::now();
        if gauge.is_window_open() {
            latencies.push(now.duration_since(self.sent_at).as_nanos() as u64);
        }
        if exchange.reuse == Reuse::Never {
            // The end of the stream may have come together with the response.
            return match self.endpoint.receive(scratch, true)? {
                Received::End => Ok(Next::Reopen),
                Received::Part | Received::Whole => Ok(Next::Stay),
            };
        }
        self.sent_at = now;
        self.endpoint.message.reset();
        self.endpoint.start(&exchange.request)?;
        Ok(Next::Stay)
    }

    fn check(&self, exchange: &Exchange) -> io::Result<()> {
        let (body, expected) = (self.endpoint.message.body(), exchange.response_body);
        if body != expected {
            return Err(io::Error::other(format!("{body} bytes came instead of {expected}")));
        }
        if self.endpoint.is_sending() {
            return Err(io::Error::other("a response came before its request was sent"));
        }
        Ok(())
    }
}
