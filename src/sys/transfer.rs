//! Moving bytes: `recv`, `send`, `splice` and `sendfile`.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::fcntl::{SpliceFFlags, splice as nix_splice};
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, recv as nix_recv, send as nix_send};
use socket2::SockRef;

/// The most that one splice is asked to move. Lengths above `SSIZE_MAX` are `EINVAL`
/// (splice(2)); a GiB is more than any pipe holds.
pub const SPLICE_BYTES_MAX: usize = 1 << 30;

/// Calls again when a signal came between: signals are handled on another thread, but a debugger
/// stops every one.
pub(super) fn uninterrupted(mut call: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(nix::Error::EINTR) => {}
            outcome => return outcome.map_err(io::Error::from),
        }
    }
}

/// Moves up to `max` bytes between a socket and a pipe, in either direction, without copying
/// them through the process. 0 is the end of the stream, or urgent data with the end behind it.
///
/// `SPLICE_F_NONBLOCK` speaks of the pipe only; the socket must be non-blocking itself.
/// `SPLICE_F_MORE` is left out: it corks a message that turns out to be the last one for 200 ms.
///
/// # Errors
/// `EAGAIN`: the socket is empty or full, or the pipe is. `EINVAL`: the socket cannot be spliced.
/// `ENOSYS`, `EPERM`: no process may splice here. Anything else is the socket's error.
pub fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
    let max = max.min(SPLICE_BYTES_MAX);
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    uninterrupted(|| nix_splice(from, None, to, None, max, flags))
}

/// Moves up to `max` bytes of a file, from `offset` on, into a pipe: the pipe then refers to pages
/// of the page cache. 0 is the end of the file.
///
/// # Errors
/// `EAGAIN` when the pipe is full; `EINVAL` where the file cannot be spliced; anything else is the
/// file's error.
pub fn splice_file(
    file: BorrowedFd<'_>,
    offset: u64,
    pipe: BorrowedFd<'_>,
    max: usize,
) -> io::Result<usize> {
    let max = max.min(SPLICE_BYTES_MAX);
    let mut at = i64::try_from(offset).map_err(io::Error::other)?;
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    uninterrupted(|| nix_splice(file, Some(&mut at), pipe, None, max, flags))
}

/// Sends up to `max` bytes of a file, from `offset` on, to a socket: its queue then refers to pages
/// of the page cache. 0 is the end of the file.
///
/// # Errors
/// `EAGAIN` when the socket is full; `EINVAL` where the file cannot be sent so; the socket's, or the
/// file's (`EIO`).
pub fn send_file(
    file: BorrowedFd<'_>,
    offset: u64,
    socket: BorrowedFd<'_>,
    max: usize,
) -> io::Result<usize> {
    let max = max.min(SPLICE_BYTES_MAX);
    let mut at = i64::try_from(offset).map_err(io::Error::other)?;
    uninterrupted(|| sendfile64(socket, file, Some(&mut at), max))
}

/// Reads from a socket. 0 is the end of the stream.
///
/// # Errors
/// `EAGAIN` when the socket is empty; anything else is the socket's error.
pub fn recv(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    uninterrupted(|| nix_recv(socket.as_raw_fd(), buffer, MsgFlags::empty()))
}

/// Reads from a socket what [`recv`] would, and leaves it there (`MSG_PEEK`).
///
/// # Errors
/// As [`recv`].
pub fn peek(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    uninterrupted(|| nix_recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_PEEK))
}

/// Writes to a socket, as much as it takes.
///
/// # Errors
/// `EAGAIN` when the socket is full; anything else is the socket's error.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    uninterrupted(|| nix_send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL))
}

/// Writes parts to a socket, one after the other, as far as it takes them. With `more` TCP keeps
/// the last segment back until more is written, it is pushed, or 200 ms have passed (`MSG_MORE`,
/// send(2)).
///
/// # Errors
/// As [`send`].
pub fn send_vectored(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    more: bool,
) -> io::Result<usize> {
    let flags = if more { libc::MSG_NOSIGNAL | libc::MSG_MORE } else { libc::MSG_NOSIGNAL };
    loop {
        let sent = SockRef::from(&socket).send_vectored_with_flags(parts, flags);
        match sent {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
