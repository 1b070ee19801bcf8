//! One end of a connection: sends what was made before, receives messages.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::message::{Message, Part};

/// The first read of a message: a head, and all of a small body.
const HEAD_BYTES: usize = 8 << 10;

/// What one read can take that need not be seen. The memory behind it is never touched:
/// `MSG_TRUNC` on a TCP socket discards what it counts (tcp(7)).
const UNSEEN_BYTES: usize = 1 << 20;

/// One end.
pub struct Endpoint {
    pub socket: TcpStream,
    /// Bytes of what it sends that are not sent yet.
    unsent: usize,
    /// What it receives.
    pub message: Message,
}

/// How far the incoming message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// More has to come, and an event will tell.
    Part,
    Whole,
    /// The other side has ended the stream.
    End,
}

/// Where all endpoints of a thread receive.
pub struct Scratch {
    bytes: Box<[u8]>,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch { bytes: vec![0; UNSEEN_BYTES].into_boxed_slice() }
    }
}

impl Endpoint {
    /// Receives messages of that sort; `socket` does not block.
    pub fn new(socket: TcpStream, receives: Part) -> Endpoint {
        Endpoint { socket, unsent: 0, message: Message::new(receives) }
    }

    /// Whether something waits to be sent.
    pub fn is_sending(&self) -> bool {
        self.unsent > 0
    }

    /// Begins to send `bytes`.
    ///
    /// # Errors
    /// As send(2).
    pub fn start(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent = bytes.len();
        self.send(bytes)
    }

    /// Sends more of the `bytes` that it has begun with, until the socket takes no more.
    ///
    /// # Errors
    /// As send(2).
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        while self.unsent > 0 {
            let rest = &bytes[bytes.len() - self.unsent..];
            match send(self.socket.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
                Ok(sent) => self.unsent -= sent,
                // A socket that is still connecting says the same.
                Err(Errno::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Receives until the message is whole or the socket empty. `ending` says that the other side
    /// has announced the end of its stream, which only a read to the end will meet.
    ///
    /// # Errors
    /// As recv(2), and when what comes is no such message.
    pub fn receive(&mut self, scratch: &mut Scratch, ending: bool) -> io::Result<Received> {
        loop {
            let unseen = usize::try_from(self.message.unseen()).unwrap_or(usize::MAX);
            let (length, flags) = match unseen {
                0 => (HEAD_BYTES, MsgFlags::empty()),
                _ => (unseen.min(UNSEEN_BYTES), MsgFlags::MSG_TRUNC),
            };
            let count = match recv(self.socket.as_raw_fd(), &mut scratch.bytes[..length], flags) {
                Ok(0) => return Ok(Received::End),
                Ok(count) => count,
                Err(Errno::EAGAIN) => return Ok(Received::Part),
                Err(error) => return Err(error.into()),
            };
            match unseen {
                0 => self.message.read(&scratch.bytes[..count])?,
                _ => self.message.skip(count as u64),
            }
            if self.message.is_complete() {
                return Ok(Received::Whole);
            }
            // A short read has emptied the socket; what comes later makes a new edge (epoll(7)).
            if count < length && !ending {
                return Ok(Received::Part);
            }
        }
    }
}
