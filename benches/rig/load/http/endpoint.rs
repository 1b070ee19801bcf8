//! One end of a connection: sends what was made before, receives messages.

use std::io;

use super::message::{Message, Part};
use super::transport::Transport;

/// What one read can take that need not be seen. Over plain HTTP the memory behind it is never
/// touched: `MSG_TRUNC` on a TCP socket discards what it counts (tcp(7)).
const UNSEEN_BYTES: usize = 1 << 20;

/// One end.
pub struct Endpoint {
    transport: Transport,
    /// Bytes of what it sends that are not taken yet.
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
    pub bytes: Box<[u8]>,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch { bytes: vec![0; UNSEEN_BYTES].into_boxed_slice() }
    }
}

impl Endpoint {
    /// Receives messages of that sort.
    pub fn new(transport: Transport, receives: Part) -> Endpoint {
        Endpoint { transport, unsent: 0, message: Message::new(receives) }
    }

    /// Whether something waits to be sent.
    pub fn is_sending(&self) -> bool {
        self.unsent > 0 || self.transport.is_sending()
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
        while self.is_sending() {
            let rest = &bytes[bytes.len() - self.unsent..];
            match self.transport.send(rest)? {
                0 => break,
                count => self.unsent -= count,
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
        self.transport.receive(&mut self.message, scratch, ending)
    }
}
