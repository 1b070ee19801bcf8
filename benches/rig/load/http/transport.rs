//! What carries messages: a connection as it is, or TLS over one.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use rustls::ClientConfig;

use super::endpoint::{Received, Scratch};
use super::message::Message;
use super::tls_session::{Stream, TlsSession};
use crate::rig::tls::client_connection;

/// The first read of a message: a head, and all of a small body.
const HEAD_BYTES: usize = 8 << 10;

/// Where clients connect to, and how they speak there.
#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    /// `None` for plain HTTP.
    pub tls: Option<Arc<ClientConfig>>,
}

impl From<SocketAddr> for Proxy {
    fn from(address: SocketAddr) -> Proxy {
        Proxy { address, tls: None }
    }
}

/// What carries the messages of an endpoint; its socket does not block.
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsSession>),
}

impl Transport {
    /// What a client of `proxy` speaks over `socket`.
    ///
    /// # Errors
    /// When no session of TLS can be made.
    pub fn of_client(socket: TcpStream, proxy: &Proxy) -> io::Result<Transport> {
        let Some(config) = &proxy.tls else { return Ok(Transport::Plain(socket)) };
        let session = TlsSession::new(socket, client_connection(config)?);
        Ok(Transport::Tls(Box::new(session)))
    }

    /// Whether something that was taken to be sent is not with the socket yet.
    pub fn is_sending(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(session) => session.is_writing(),
        }
    }

    /// How many of `bytes` it takes now, none of them where that has to wait; what it has taken
    /// before goes first.
    ///
    /// # Errors
    /// As send(2).
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => {
                match send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
                    // A socket that is still connecting says the same.
                    Err(Errno::EAGAIN) => Ok(0),
                    outcome => Ok(outcome?),
                }
            }
            Transport::Tls(session) => session.write(bytes),
        }
    }

    /// As [`Endpoint::receive`](super::endpoint::Endpoint::receive).
    ///
    /// # Errors
    /// As there.
    pub fn receive(
        &mut self,
        message: &mut Message,
        scratch: &mut Scratch,
        ending: bool,
    ) -> io::Result<Received> {
        match self {
            Transport::Plain(socket) => receive_plain(socket, message, scratch, ending),
            Transport::Tls(session) => {
                let was_complete = message.is_complete();
                let take = |data: &[u8]| message.read(data);
                match session.receive(&mut scratch.bytes, ending, take)? {
                    _ if message.is_complete() && !was_complete => Ok(Received::Whole),
                    Stream::Open => Ok(Received::Part),
                    Stream::Ended => Ok(Received::End),
                }
            }
        }
    }
}

fn receive_plain(
    socket: &TcpStream,
    message: &mut Message,
    scratch: &mut Scratch,
    ending: bool,
) -> io::Result<Received> {
    loop {
        let unseen = usize::try_from(message.unseen()).unwrap_or(usize::MAX);
        let (length, flags) = match unseen {
            0 => (HEAD_BYTES, MsgFlags::empty()),
            _ => (unseen.min(scratch.bytes.len()), MsgFlags::MSG_TRUNC),
        };
        let count = match recv(socket.as_raw_fd(), &mut scratch.bytes[..length], flags) {
            Ok(0) => return Ok(Received::End),
            Ok(count) => count,
            Err(Errno::EAGAIN) => return Ok(Received::Part),
            Err(error) => return Err(error.into()),
        };
        match unseen {
            0 => message.read(&scratch.bytes[..count])?,
            _ => message.skip(count as u64),
        }
        if message.is_complete() {
            return Ok(Received::Whole);
        }
        // A short read has emptied the socket; what comes later makes a new edge (epoll(7)).
        if count < length && !ending {
            return Ok(Received::Part);
        }
    }
}
