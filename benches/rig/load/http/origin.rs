//! A static origin: one response, for as many requests as come.

use std::io;
use std::net::TcpListener;

use slab::Slab;

use super::endpoint::{Endpoint, Received, Scratch};
use super::message::Part;
use super::transport::Transport;
use super::wire::{Exchange, Units};
use crate::rig::load::events::{Event, Events};
use crate::rig::load::{Gauge, describe};

/// What all keys of an origin's events have set, so that clients may have the others.
const KEYS: usize = 1 << 63;
const LISTENER: usize = usize::MAX;

/// Whether an event with that key is an origin's.
pub fn is_key(key: usize) -> bool {
    key & KEYS != 0
}

/// The origin behind a proxy.
pub struct Origin<'a> {
    listener: TcpListener,
    exchange: &'a Exchange,
    gauge: &'a Gauge,
    scratch: Scratch,
    peers: Slab<Endpoint>,
}

/// What becomes of a connection.
enum Next {
    Stay,
    Leave,
}

impl<'a> Origin<'a> {
    /// Answers what comes to `listener`.
    pub fn new(listener: TcpListener, exchange: &'a Exchange, gauge: &'a Gauge) -> Origin<'a> {
        Origin { listener, exchange, gauge, scratch: Scratch::new(), peers: Slab::new() }
    }

    /// # Errors
    /// As epoll_ctl(2).
    pub fn listen(&self, events: &Events) -> io::Result<()> {
        self.listener.set_nonblocking(true)?;
        // The sockets that it accepts inherit it.
        socket2::SockRef::from(&self.listener).set_tcp_nodelay(true)?;
        events.add(&self.listener, LISTENER)
    }

    /// Does what the event allows. A connection that breaks is let go: whether that was right,
    /// the client at the other side of the proxy knows.
    ///
    /// # Errors
    /// When a request is not what the clients have sent.
    pub fn advance(&mut self, event: Event, events: &Events) -> io::Result<()> {
        if event.key == LISTENER {
            return self.accept_all(events);
        }
        let key = event.key & !KEYS;
        // An event later in the same batch may name a peer that is gone.
        let Some(peer) = self.peers.get_mut(key) else { return Ok(()) };
        match serve(peer, event, self.exchange, &mut self.scratch, self.gauge) {
            Ok(Next::Stay) => return Ok(()),
            Ok(Next::Leave) => {}
            Err(error) if error.raw_os_error().is_some() => {}
            Err(error) => return Err(error),
        }
        self.peers.remove(key);
        Ok(())
    }

    fn accept_all(&mut self, events: &Events) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(describe("the origin accepted", &error)),
            };
            socket.set_nonblocking(true)?;
            let entry = self.peers.vacant_entry();
            events.add(&socket, KEYS | entry.key())?;
            entry.insert(Endpoint::new(Transport::Plain(socket), Part::Request));
        }
    }
}

fn serve(
    peer: &mut Endpoint,
    event: Event,
    exchange: &Exchange,
    scratch: &mut Scratch,
    gauge: &Gauge,
) -> io::Result<Next> {
    if peer.is_sending() {
        if event.writable {
            peer.send(&exchange.response)?;
        }
    } else if event.readable {
        let body_before = peer.message.body();
        let received = peer.receive(scratch, event.ending)?;
        if exchange.units == Units::RequestBytes {
            gauge.add(peer.message.body() - body_before);
        }
        match received {
            Received::Part => return Ok(Next::Stay),
            Received::End => return Ok(Next::Leave),
            Received::Whole => {}
        }
        let (body, expected) = (peer.message.body(), exchange.request_body);
        if body != expected {
            let words = format!("a request of {body} bytes instead of {expected}");
            return Err(io::Error::other(words));
        }
        peer.start(&exchange.response)?;
    }
    if peer.is_sending() || !peer.message.is_complete() {
        return Ok(Next::Stay);
    }
    if peer.message.closes() {
        return Ok(Next::Leave);
    }
    peer.message.reset();
    Ok(Next::Stay)
}
