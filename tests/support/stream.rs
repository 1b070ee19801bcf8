//! A stream socket of either family, so that each test runs over TCP and over unix sockets.

// One ioctl has no safe wrapper.
#![allow(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use spliceway::address::Address;

use super::{PATIENCE, eventually};

/// A connected socket. Reads and writes give up after [`PATIENCE`], so that a stall fails a test
/// instead of hanging it.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Stream {
    /// Connects; TCP with `TCP_NODELAY`, so that each write is a segment.
    ///
    /// # Errors
    /// As connect(2).
    pub fn connect(to: &Address) -> io::Result<Stream> {
        match to {
            Address::Ip(address) => TcpStream::connect(address).and_then(Stream::from_tcp),
            Address::Unix(path) => UnixStream::connect(path).and_then(Stream::from_unix),
            Address::Abstract(_) => Err(io::Error::other("no test uses the abstract namespace")),
        }
    }

    fn from_tcp(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Stream::Tcp(stream))
    }

    fn from_unix(stream: UnixStream) -> io::Result<Stream> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Stream::Unix(stream))
    }

    /// Another handle of the same socket, for a thread that goes the other way.
    ///
    /// # Errors
    /// As dup(2).
    pub fn try_clone(&self) -> io::Result<Stream> {
        match self {
            Stream::Tcp(stream) => stream.try_clone().map(Stream::Tcp),
            Stream::Unix(stream) => stream.try_clone().map(Stream::Unix),
        }
    }

    /// Says that nothing more will be written.
    ///
    /// # Errors
    /// As shutdown(2).
    pub fn end_writing(&self) -> io::Result<()> {
        SockRef::from(self).shutdown(Shutdown::Write)
    }

    /// Ends both directions, under the feet of whoever has another handle.
    ///
    /// # Errors
    /// As shutdown(2).
    pub fn end_both(&self) -> io::Result<()> {
        SockRef::from(self).shutdown(Shutdown::Both)
    }

    /// Closes with a reset (`SO_LINGER` 0), whatever is still on its way.
    pub fn reset(self) {
        self.reset_at_close();
    }

    /// The same once the last handle is closed.
    pub fn reset_at_close(&self) {
        let lingering = SockRef::from(self).set_linger(Some(Duration::ZERO));
        lingering.expect("a socket takes SO_LINGER");
    }

    /// Waits until the peer's kernel has acknowledged every byte that was written (`SIOCOUTQ` is 0,
    /// tcp(7)): a reset that follows can take none of them back.
    pub fn await_delivered(&self) {
        eventually("what was written is acknowledged", || {
            let mut unacknowledged: libc::c_int = 0;
            let number = self.as_fd().as_raw_fd();
            // SAFETY: the descriptor is open, and the kernel writes one int to the pointer.
            let result = unsafe { libc::ioctl(number, libc::TIOCOUTQ, &raw mut unacknowledged) };
            (result == 0 && unacknowledged == 0).then_some(())
        });
    }

    /// Sends one byte as urgent data (`MSG_OOB`): the receiver's kernel puts a mark behind it.
    ///
    /// # Errors
    /// As send(2).
    pub fn write_urgent(&mut self, byte: u8) -> io::Result<()> {
        let sent = SockRef::from(&*self).send_out_of_band(&[byte])?;
        if sent == 1 { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Receives little ahead of its reader: what the reader has not asked for stays with whoever
    /// sends.
    pub fn receive_little_ahead(&self) {
        let shrunk = SockRef::from(self).set_recv_buffer_size(32 << 10);
        shrunk.expect("a socket takes a buffer size");
    }

    /// Whether a read would find something, be it the end.
    pub fn has_input(&self) -> bool {
        let mut polled = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// How long a write waits.
    pub fn set_write_timeout(&self, timeout: Duration) {
        let set = SockRef::from(self).set_write_timeout(Some(timeout));
        set.expect("a socket takes a timeout");
    }

    /// How long a read waits.
    pub fn set_read_timeout(&self, timeout: Duration) {
        let set = SockRef::from(self).set_read_timeout(Some(timeout));
        set.expect("a socket takes a timeout");
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Listener {
    /// Listens; port 0 takes any free port.
    ///
    /// # Errors
    /// As bind(2).
    pub fn bind(to: &Address) -> io::Result<Listener> {
        match to {
            Address::Ip(address) => TcpListener::bind(address).map(Listener::Tcp),
            Address::Unix(path) => UnixListener::bind(path).map(Listener::Unix),
            Address::Abstract(_) => Err(io::Error::other("no test uses the abstract namespace")),
        }
    }

    /// Where it listens, as Spliceway writes it.
    pub fn address(&self) -> Address {
        match self {
            Listener::Tcp(listener) => {
                Address::Ip(listener.local_addr().expect("a bound socket has an address"))
            }
            Listener::Unix(listener) => {
                let address = listener.local_addr().expect("a bound socket has an address");
                Address::Unix(address.as_pathname().expect("bound to a path").to_owned())
            }
        }
    }

    /// The next connection.
    ///
    /// # Errors
    /// As accept(2).
    pub fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(listener) => listener.accept().and_then(|(it, _)| Stream::from_tcp(it)),
            Listener::Unix(listener) => listener.accept().and_then(|(it, _)| Stream::from_unix(it)),
        }
    }
}

/// Any free port of 127.0.0.1.
pub fn loopback() -> Address {
    Address::Ip(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// A port of 127.0.0.1 where nothing listens: connecting is refused.
pub fn refusing() -> Address {
    Listener::bind(&loopback()).expect("loopback has a free port").address()
}
