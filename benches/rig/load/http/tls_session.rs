//! TLS at the client's end of a connection, over a socket that does not block.

use std::io::{self, BufRead, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use rustls::{ClientConnection, HandshakeKind};

/// A client's session.
pub struct TlsSession {
    socket: TcpStream,
    connection: ClientConnection,
}

/// What has become of the stream when all that came was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Open,
    /// The other side has ended it.
    Ended,
}

impl TlsSession {
    /// Its handshake begins with the first [`flush`](TlsSession::flush).
    pub fn new(socket: TcpStream, connection: ClientConnection) -> TlsSession {
        TlsSession { socket, connection }
    }

    /// Whether the server has done all of its handshake: what it sends last are tickets.
    pub fn is_established(&self) -> bool {
        !self.connection.is_handshaking() && self.connection.tls13_tickets_received() > 0
    }

    /// Whether the session goes on from an earlier one.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether records wait to be sent.
    pub fn is_writing(&self) -> bool {
        self.connection.wants_write()
    }

    /// Takes some of `bytes`, and sends what the socket takes. During the handshake they wait for
    /// its end.
    ///
    /// # Errors
    /// As send(2).
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.connection.writer().write(bytes)?;
        self.flush()?;
        Ok(count)
    }

    /// Sends records until the socket takes no more.
    ///
    /// # Errors
    /// As send(2).
    pub fn flush(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.socket) {
                Ok(_) => {}
                // A socket that is still connecting says the same.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that nothing follows.
    ///
    /// # Errors
    /// As send(2).
    pub fn close(&mut self) -> io::Result<()> {
        self.connection.send_close_notify();
        self.flush()
    }

    /// Receives until the socket is empty, and answers what the handshake asks. All data go to
    /// `take`. `ending` as with [`Endpoint::receive`](super::endpoint::Endpoint::receive).
    ///
    /// # Errors
    /// As recv(2), when what comes is not TLS, and those of `take`.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        ending: bool,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Stream> {
        loop {
            let count = match recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty()) {
                Ok(0) => return Ok(Stream::Ended),
                Ok(count) => count,
                Err(Errno::EAGAIN) => return Ok(Stream::Open),
                Err(error) => return Err(error.into()),
            };
            let mut records = &buffer[..count];
            while !records.is_empty() {
                self.connection.read_tls(&mut records)?;
                self.connection.process_new_packets().map_err(io::Error::other)?;
                self.hand_over(&mut take)?;
            }
            self.flush()?;
            // As where no TLS is: a short read has emptied the socket.
            if count < buffer.len() && !ending {
                return Ok(Stream::Open);
            }
        }
    }

    fn hand_over(&mut self, take: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut reader = self.connection.reader();
        loop {
            let data = match reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(data) => data,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            take(data)?;
            let count = data.len();
            reader.consume(count);
        }
    }
}
