//! Connections that have carried a request, and wait for the next.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::StreamOwned;

use super::ends::{self, Elsewhere};
use super::message::{Message, Part};
use super::origin::Origin;
use super::transport::Proxy;
use super::wire::Exchange;
use crate::rig::load::{Load, connect, describe};
use crate::rig::tls::client_connection;

/// Clients that keep their connections, one request at a time among all of them. The origin is a
/// load of its own.
pub struct Resting {
    proxy: Proxy,
    exchange: Arc<Exchange>,
    origin: Load,
    clients: Vec<Box<dyn Stream>>,
}

/// A connection that blocks, with or without TLS.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Resting {
    /// No connection yet.
    pub fn new(origin: TcpListener, proxy: Proxy, exchange: Exchange) -> Resting {
        let exchange = Arc::new(exchange);
        let mut load = Load::new();
        let of_origin = Arc::clone(&exchange);
        load.spawn(move |gauge| {
            ends::drive(Origin::new(origin, &of_origin, gauge), Elsewhere, gauge)
        });
        Resting { proxy, exchange, origin: load, clients: Vec::new() }
    }

    /// Opens `connections` more, each with one exchange.
    ///
    /// # Errors
    /// When a connection or its exchange does not come through.
    pub fn open(&mut self, connections: usize) -> io::Result<()> {
        for _ in 0..connections {
            self.clients.push(self.connect()?);
            self.ask(self.clients.len() - 1)?;
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let socket = connect(self.proxy.address)?;
        Ok(match &self.proxy.tls {
            None => Box::new(socket),
            Some(config) => Box::new(StreamOwned::new(client_connection(config)?, socket)),
        })
    }

    /// One exchange over the connection of that number.
    ///
    /// # Errors
    /// When the response does not come, or is not what it should be.
    pub fn ask(&mut self, client: usize) -> io::Result<()> {
        let message = receive(self.clients[client].as_mut(), &self.exchange.request)
            .map_err(|error| describe("the exchange of an idle connection", &error))?;
        if message.body() != self.exchange.response_body {
            return Err(io::Error::other("a response without all of its body"));
        }
        Ok(())
    }

    /// Closes all of them.
    ///
    /// # Errors
    /// What the origin has met.
    pub fn stop(self) -> io::Result<()> {
        self.origin.stop().map(drop)
    }
}

/// Sends the request, and reads all of its response.
fn receive(client: &mut dyn Stream, request: &[u8]) -> io::Result<Message> {
    client.write_all(request)?;
    let mut message = Message::new(Part::Response);
    let mut buffer = [0; 8 << 10];
    while !message.is_complete() {
        match client.read(&mut buffer)? {
            0 => return Err(io::Error::other("the proxy ended the stream")),
            count => message.read(&buffer[..count])?,
        }
    }
    Ok(message)
}
