//! What a worker asks of the kernel. The real one is [`crate::io::linux::Linux`]; the simulation
//! has a fake one that lies in wait.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::address::Address;
use crate::config::Keepalive;
use crate::files::lookup::{Found, Wanted};
use crate::http::range::ByteRange;
use crate::id::Token;
use crate::io::errand::{Claim, Errand, Finished, Ticket};

/// A socket that a connect has begun on.
#[derive(Debug)]
pub struct Connecting<S> {
    /// The socket.
    pub socket: S,
    /// The connection stands already; otherwise the socket becomes writable when it does.
    pub established: bool,
}

/// A pipe, as far as the pool and the drive loop look at it.
pub trait PipeState {
    /// Bytes in the pipe.
    fn held(&self) -> usize;

    /// What the kernel gave, in bytes.
    fn capacity(&self) -> u32;
}

/// The calls of a worker. All sockets are non-blocking; every error is the kernel's own, `EAGAIN`
/// where a call would block. Events are edge-triggered: one comes when something changes, and no
/// second one until it changes again.
pub trait Kernel {
    /// An open stream socket. Dropping it closes it.
    type Socket: Debug;
    /// A listening socket. Dropping it closes it.
    type Listener: Debug;
    /// A pipe. Dropping it closes it.
    type Pipe: PipeState + Debug;
    /// A regular file that is open for reading. Dropping it closes it.
    type File: Debug;

    /// Has events of a listener reported under `token`.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`: the kernel watches too many descriptors.
    fn watch_listener(&mut self, listener: &Self::Listener, token: Token) -> io::Result<()>;

    /// Ends [`Kernel::watch_listener`].
    ///
    /// # Errors
    /// The listener is not watched.
    fn unwatch_listener(&mut self, listener: &Self::Listener) -> io::Result<()>;

    /// Has events of a socket reported under `token`, from its present state on.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`: the kernel watches too many descriptors.
    fn watch(&mut self, socket: &Self::Socket, token: Token) -> io::Result<()>;

    /// Has events of a socket that is watched already reported under `token`, from its present
    /// state on. Without `hears_reads`, bytes to read, urgent ones and the end of the stream are
    /// not among them.
    ///
    /// # Errors
    /// The socket is not watched.
    fn rewatch(&mut self, socket: &Self::Socket, token: Token, hears_reads: bool)
    -> io::Result<()>;

    /// Takes the next connection of a backlog, with the client's IP address if it has one.
    ///
    /// # Errors
    /// See [`crate::sys::socket::accept`].
    fn accept(
        &mut self,
        listener: &Self::Listener,
    ) -> io::Result<(Self::Socket, Option<SocketAddr>)>;

    /// Begins to connect, from the local address `source` if there is one.
    ///
    /// # Errors
    /// See [`crate::sys::socket::connect`].
    fn connect(
        &mut self,
        address: &Address,
        source: Option<IpAddr>,
    ) -> io::Result<Connecting<Self::Socket>>;

    /// The IP address of this machine that a socket is connected to, if it has one.
    fn local_address(&mut self, socket: &Self::Socket) -> Option<SocketAddr>;

    /// Has the kernel ask a silent peer whether it is still there.
    ///
    /// # Errors
    /// The socket is gone.
    fn keep_alive(&mut self, socket: &Self::Socket, keepalive: Keepalive) -> io::Result<()>;

    /// Has events of a socket held back until so many bytes are queued, or the stream has ended.
    ///
    /// # Errors
    /// The socket is gone, or is of a family that has no such mark.
    fn set_low_water(&mut self, socket: &Self::Socket, bytes: u32) -> io::Result<()>;

    /// The error that a socket holds, which is thereby cleared.
    fn take_error(&mut self, socket: &Self::Socket) -> Option<io::Error>;

    /// Reads into `buffer`. 0 is the end of the stream.
    ///
    /// # Errors
    /// `EAGAIN`, or the socket's error.
    fn recv(&mut self, socket: &Self::Socket, buffer: &mut [u8]) -> io::Result<usize>;

    /// Reads into `buffer` what [`Kernel::recv`] would, and leaves it where it is.
    ///
    /// # Errors
    /// As [`Kernel::recv`].
    fn peek(&mut self, socket: &Self::Socket, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as much of `bytes` as the socket takes.
    ///
    /// # Errors
    /// `EAGAIN`, or the socket's error.
    fn send(&mut self, socket: &Self::Socket, bytes: &[u8]) -> io::Result<usize>;

    /// Writes as much of `parts`, one after the other, as the socket takes: a head and what of
    /// its body is there leave in one segment. With `more` the end of them may be kept back until
    /// more is written or [`Kernel::push`] is called.
    ///
    /// # Errors
    /// `EAGAIN`, or the socket's error.
    fn send_vectored(
        &mut self,
        socket: &Self::Socket,
        parts: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize>;

    /// Has what was kept back for more leave at once.
    ///
    /// # Errors
    /// The socket is gone, or is of a family that keeps nothing back.
    fn push(&mut self, socket: &Self::Socket) -> io::Result<()>;

    /// Opens a pipe of `capacity` bytes, or of less if the kernel gives less.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    fn open_pipe(&mut self, capacity: u32) -> io::Result<Self::Pipe>;

    /// Splices from a socket into a pipe, as much as there is and fits, and no more than `max`
    /// and the pipe's capacity. 0 is the end of the stream, or urgent data with the end behind it.
    ///
    /// # Errors
    /// See [`crate::sys::transfer::splice`].
    fn fill_pipe(
        &mut self,
        socket: &Self::Socket,
        pipe: &mut Self::Pipe,
        max: usize,
    ) -> io::Result<usize>;

    /// Splices what a pipe holds into a socket, as much as it takes.
    ///
    /// # Errors
    /// See [`crate::sys::transfer::splice`].
    fn drain_pipe(&mut self, pipe: &mut Self::Pipe, socket: &Self::Socket) -> io::Result<usize>;

    /// Reads bytes out of a pipe into userspace.
    ///
    /// # Errors
    /// `EAGAIN` when the pipe is empty.
    fn read_pipe(&mut self, pipe: &mut Self::Pipe, buffer: &mut [u8]) -> io::Result<usize>;

    /// Finds a file, as far as that takes no waiting.
    ///
    /// # Errors
    /// See [`crate::files::lookup::look_up`]; `EAGAIN` where something is not in memory, so that
    /// it is an errand.
    fn look_up(&mut self, wanted: &Wanted, now: Instant) -> io::Result<Found<Self::File>>;

    /// Has something done that may take its time. [`Kernel::finished`] tells when it is. Once the
    /// claim is dropped it need not be done any more.
    ///
    /// # Errors
    /// There is too much to do already to look for a file.
    fn begin(&mut self, ticket: Ticket, errand: Errand<Self::File>) -> io::Result<Claim>;

    /// The next errand that is done.
    fn finished(&mut self) -> Option<Finished<Self::File>>;

    /// Whether a file is still what it was when it was opened: nobody has written to it, but perhaps
    /// at its end.
    fn is_unchanged(&mut self, file: &Self::File) -> bool;

    /// Whether bytes of a file are in memory, or were a moment ago, so that moving them does not
    /// wait.
    fn is_cached(&mut self, file: &Self::File, range: ByteRange, now: Instant) -> bool;

    /// Sends bytes of a file to a socket, as many as it takes. 0 is the end of the file: it is
    /// shorter than it was.
    ///
    /// # Errors
    /// See [`crate::sys::file::File::send`].
    fn send_file(
        &mut self,
        file: &Self::File,
        range: ByteRange,
        socket: &Self::Socket,
    ) -> io::Result<usize>;

    /// The same from where the file is mapped.
    ///
    /// # Errors
    /// See [`crate::sys::file::File::send_mapped`].
    fn send_mapped(
        &mut self,
        file: &mut Self::File,
        range: ByteRange,
        socket: &Self::Socket,
    ) -> io::Result<usize>;

    /// Moves bytes of a file into a pipe, as many as fit. 0 is the end of the file.
    ///
    /// # Errors
    /// See [`crate::sys::transfer::splice_file`].
    fn fill_pipe_from_file(
        &mut self,
        file: &Self::File,
        range: ByteRange,
        pipe: &mut Self::Pipe,
    ) -> io::Result<usize>;

    /// Reads bytes of a file into `buffer`. 0 is the end of the file.
    ///
    /// # Errors
    /// The disk's.
    fn read_file(&mut self, file: &Self::File, offset: u64, buffer: &mut [u8])
    -> io::Result<usize>;

    /// Sends a FIN.
    ///
    /// # Errors
    /// `ENOTCONN` when the connection is gone already.
    fn shutdown_write(&mut self, socket: &Self::Socket) -> io::Result<()>;

    /// Bytes written to a socket that have not reached the peer.
    ///
    /// # Errors
    /// The socket is gone.
    fn unsent(&mut self, socket: &Self::Socket) -> io::Result<usize>;

    /// Closes a socket with a reset, throwing away what is queued.
    fn reset(&mut self, socket: Self::Socket);
}
