//! The ways for bytes to travel, one a file, behind one trait.
//!
//! Each is the bare loop: blocking descriptors, and no call but those that the way needs. What a
//! program makes once and keeps (a buffer, a pipe, a ring) is made in `open`, what it needs for
//! each transfer (a mapping, the list of what a ring is asked for) in `transfer`.

mod copy;
mod direct;
mod mapped;
mod missing;
mod ring_file;
mod ring_relay;
mod sendfile;
mod splice;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::sys::uio::pread;

use crate::measure::way::Method;
use crate::sys::calls::Calls;
use crate::sys::transfer;

/// Moves bytes from where they are to a socket.
pub trait Technique {
    /// Moves `bytes` bytes from `source`, which is of the kind that it was opened for.
    ///
    /// # Errors
    /// Those of the calls; `UnexpectedEof` where there are fewer bytes, `WouldBlock` where nothing
    /// moves for long.
    fn transfer(&mut self, source: Source<'_>, bytes: u64, calls: &mut Calls) -> io::Result<()>;

    /// What a reader of its figures has to know; asked for afterwards.
    fn remark(&self) -> Option<Remark> {
        None
    }
}

/// What a reader of figures has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// In words for people.
    pub text: String,
    /// The kernel gave less than was asked for, such as a smaller pipe.
    pub falls_short: bool,
}

/// Where bytes come from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A regular file, from an offset on, opened by [`open_file`].
    File(BorrowedFd<'a>, u64),
    /// A stream socket. It blocks for as long as somebody has patience; only splice takes one that
    /// does not.
    Socket(BorrowedFd<'a>),
}

/// Both ends of a transfer.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a> {
    /// Where bytes come from.
    pub source: Source<'a>,
    /// The blocking stream socket that they go to.
    pub sink: BorrowedFd<'a>,
}

/// Makes ready what `method` needs.
///
/// # Errors
/// What is missing here, in words for people.
pub fn open<'a>(method: Method, ends: Ends<'a>) -> Result<Box<dyn Technique + 'a>, String> {
    let technique: io::Result<Box<dyn Technique + 'a>> = match (method, ends.source) {
        (Method::ReadWrite { buffer }, _) => Ok(Box::new(copy::ReadWrite::new(ends.sink, buffer))),
        (Method::MapWrite, Source::File(..)) => Ok(Box::new(mapped::MapWrite::new(ends.sink))),
        (Method::Sendfile, Source::File(..)) => Ok(Box::new(sendfile::Sendfile::new(ends.sink))),
        (Method::Splice { pipe }, _) => boxed(splice::Splice::open(ends, pipe, None)),
        (Method::CoalescedSplice { pipe, low_water }, _) => {
            boxed(splice::Splice::open(ends, pipe, Some(low_water)))
        }
        (Method::DirectRead, Source::File(..)) => Ok(Box::new(direct::DirectRead::new(ends.sink))),
        (Method::Ring, Source::File(..)) => boxed(ring_file::RingFile::open(ends.sink, false)),
        (Method::RingZeroCopy, Source::File(..)) => {
            boxed(ring_file::RingFile::open(ends.sink, true))
        }
        (Method::Ring, Source::Socket(_)) => boxed(ring_relay::RingRelay::open(ends.sink)),
        (
            Method::MapWrite | Method::Sendfile | Method::DirectRead | Method::RingZeroCopy,
            Source::Socket(_),
        ) => return Err("only from a file".to_owned()),
    };
    technique.map_err(|error| missing::reason(method, &error))
}

/// Opens a file anew, as `method` needs it. What the kernel remembers of how it was read, to read
/// ahead, belongs to whoever opened it: no way finds what another has left.
///
/// # Errors
/// As open(2); `EINVAL` where the file system has no direct I/O. Without /proc there is no way.
pub fn open_file(method: Method, file: BorrowedFd<'_>) -> io::Result<File> {
    let flags = if method == Method::DirectRead { OFlag::O_DIRECT } else { OFlag::empty() };
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// Why a transfer failed, in words for people.
pub fn reason(method: Method, error: &io::Error) -> String {
    missing::reason(method, error)
}

fn boxed<'a, T: Technique + 'a>(opened: io::Result<T>) -> io::Result<Box<dyn Technique + 'a>> {
    Ok(Box::new(opened?))
}

impl<'a> Source<'a> {
    /// Reads up to as many bytes as the buffer holds, with one call.
    fn read(self, buffer: &mut [u8], calls: &mut Calls) -> io::Result<usize> {
        let read = match self {
            Source::File(file, offset) => {
                let offset = i64::try_from(offset).map_err(io::Error::other)?;
                calls.count(|| pread(file, buffer, offset))?
            }
            Source::Socket(socket) => calls.count(|| transfer::recv(socket, buffer))?,
        };
        at_least_one(read)
    }

    /// So many bytes further on. A socket is there by itself.
    fn after(self, bytes: u64) -> Self {
        match self {
            Source::File(file, offset) => Source::File(file, offset + bytes),
            Source::Socket(socket) => Source::Socket(socket),
        }
    }

    /// The file, and where in it.
    fn file(self) -> io::Result<(BorrowedFd<'a>, u64)> {
        match self {
            Source::File(file, offset) => Ok((file, offset)),
            Source::Socket(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The socket.
    fn socket(self) -> io::Result<BorrowedFd<'a>> {
        match self {
            Source::Socket(socket) => Ok(socket),
            Source::File(..) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// What was moved, if anything was.
fn at_least_one(moved: usize) -> io::Result<usize> {
    if moved == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(moved) }
}

/// Sends all bytes.
fn send_all(sink: BorrowedFd<'_>, mut bytes: &[u8], calls: &mut Calls) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = calls.count(|| transfer::send(sink, bytes))?;
        bytes = &bytes[at_least_one(sent)?..];
    }
    Ok(())
}

/// So many bytes, if they fit into `max`.
fn at_most(bytes: u64, max: usize) -> usize {
    usize::try_from(bytes).map_or(max, |bytes| bytes.min(max))
}

#[cfg(test)]
mod tests;
