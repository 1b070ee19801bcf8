//! A kernel pipe that knows how many bytes it holds.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::sys::transfer;

/// Both ends of a pipe, non-blocking and closed on exec.
///
/// `held` is kept by the functions that move bytes, since asking the kernel (`FIONREAD`) would
/// cost a system call for each answer.
#[derive(Debug)]
pub struct Pipe {
    read_end: OwnedFd,
    write_end: OwnedFd,
    held: usize,
    capacity: u32,
}

impl Pipe {
    /// Opens a pipe and asks the kernel for `capacity` bytes.
    ///
    /// A refusal to grow (`EPERM`: `fs.pipe-max-size` or `fs.pipe-user-pages-soft`, pipe(7)) is no
    /// error: [`Pipe::capacity`] tells what was given, which may be as little as one page.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` when no descriptor is left.
    pub fn open(capacity: u32) -> io::Result<Pipe> {
        let (read_end, write_end) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        let wanted = i32::try_from(capacity).unwrap_or(i32::MAX);
        let given = match fcntl(&write_end, FcntlArg::F_SETPIPE_SZ(wanted)) {
            Ok(given) => given,
            Err(_) => fcntl(&write_end, FcntlArg::F_GETPIPE_SZ)?,
        };
        let capacity = u32::try_from(given).unwrap_or(0);
        Ok(Pipe { read_end, write_end, held: 0, capacity })
    }

    /// Bytes in the pipe.
    pub fn held(&self) -> usize {
        self.held
    }

    /// What the kernel gave, in bytes: slots times page size. A slot may hold a single byte, or,
    /// filled by splice, more than a page; so this bounds neither from below nor from above what
    /// the pipe holds.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Moves up to `max` bytes from `socket` into the pipe. 0 is the end of the stream.
    ///
    /// # Errors
    /// As [`transfer::splice`].
    pub fn fill_from(&mut self, socket: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        let moved = transfer::splice(socket, self.write_end.as_fd(), max)?;
        self.held += moved;
        Ok(moved)
    }

    /// Moves up to `max` bytes of a file, from `offset` on, into the pipe. 0 is the end of the file.
    ///
    /// # Errors
    /// As [`transfer::splice_file`].
    pub fn fill_from_offset(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        max: usize,
    ) -> io::Result<usize> {
        let moved = transfer::splice_file(file, offset, self.write_end.as_fd(), max)?;
        self.held += moved;
        Ok(moved)
    }

    /// Moves what the pipe holds into `socket`, as far as it takes it.
    ///
    /// # Errors
    /// As [`transfer::splice`]. The pipe then still holds what it held.
    pub fn drain_to(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let moved = transfer::splice(self.read_end.as_fd(), socket, self.held)?;
        self.held -= moved;
        Ok(moved)
    }

    /// Reads bytes out of the pipe into userspace: the way out where the sink refuses splice.
    ///
    /// # Errors
    /// `EAGAIN` when the pipe is empty.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = nix::unistd::read(&self.read_end, buffer)?;
        self.held -= read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_pipe_counts_what_it_holds() {
        let (mut client, source) = UnixStream::pair().unwrap();
        let (sink, mut server) = UnixStream::pair().unwrap();
        source.set_nonblocking(true).unwrap();
        let mut pipe = Pipe::open(64 * 1024).unwrap();
        assert_eq!(pipe.capacity(), 64 * 1024);
        let empty = pipe.fill_from(source.as_fd(), 100).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);

        client.write_all(b"hello world").unwrap();
        assert_eq!(pipe.fill_from(source.as_fd(), usize::MAX).unwrap(), 11);
        assert_eq!(pipe.held(), 11);
        let mut first = [0; 6];
        assert_eq!(pipe.read(&mut first).unwrap(), 6);
        assert_eq!(&first, b"hello ");
        assert_eq!(pipe.drain_to(sink.as_fd()).unwrap(), 5);
        assert_eq!(pipe.held(), 0);
        let mut rest = [0; 5];
        server.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"world");

        drop(client);
        assert_eq!(pipe.fill_from(source.as_fd(), 100).unwrap(), 0, "the end of the stream");
    }
}
