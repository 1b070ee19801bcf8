//! The ways for bytes to travel, one a file, behind one trait.
//!
//! Each is the bare loop: blocking descriptors, and no call but those that the way needs. What a
//! program makes once and keeps (a buffer, a pipe, a ring) is made in `open`, what it needs for
//! each transfer (a mapping) in `transfer`.

mod copy;
mod direct;
mod mapped;
mod missing;
mod ring_file;
mod ring_relay;
mod sendfile;
mod splice;

use std::io;
use std::os::fd::BorrowedFd;

use nix::sys::uio::pread;

use crate::measure::way::Method;
use crate::sys::calls::Calls;
use crate::sys::transfer;

/// Moves bytes from where they are to a socket.
pub trait Technique {
    /// Moves `bytes` bytes: those of a file from `offset` on, or the next ones of a socket.
    ///
    /// # Errors
    /// Those of the calls; `UnexpectedEof` where there are fewer bytes.
    fn transfer(&mut self, offset: u64, bytes: u64, calls: &mut Calls) -> io::Result<()>;

    /// What a reader of its figures has to know; asked for afterwards.
    fn remark(&self) -> Option<String> {
        None
    }
}

/// Where bytes come from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A regular file.
    File(BorrowedFd<'a>),
    /// A blocking stream socket.
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
        (Method::ReadWrite { buffer }, _) => Ok(Box::new(copy::ReadWrite::new(ends, buffer))),
        (Method::MapWrite, Source::File(file)) => {
            Ok(Box::new(mapped::MapWrite::new(file, ends.sink)))
        }
        (Method::Sendfile, Source::File(file)) => {
            Ok(Box::new(sendfile::Sendfile::new(file, ends.sink)))
        }
        (Method::Splice { pipe }, _) => boxed(splice::Splice::open(ends, pipe, None)),
        (Method::CoalescedSplice { pipe, low_water }, _) => {
            boxed(splice::Splice::open(ends, pipe, Some(low_water)))
        }
        (Method::DirectRead, Source::File(file)) => {
            boxed(direct::DirectRead::open(file, ends.sink))
        }
        (Method::Ring, Source::File(file)) => {
            boxed(ring_file::RingFile::open(file, ends.sink, false))
        }
        (Method::RingZeroCopy, Source::File(file)) => {
            boxed(ring_file::RingFile::open(file, ends.sink, true))
        }
        (Method::Ring, Source::Socket(socket)) => {
            boxed(ring_relay::RingRelay::open(socket, ends.sink))
        }
        (
            Method::MapWrite | Method::Sendfile | Method::DirectRead | Method::RingZeroCopy,
            Source::Socket(_),
        ) => return Err("only from a file".to_owned()),
    };
    technique.map_err(|error| missing::reason(method, &error))
}

/// Why a transfer failed, in words for people.
pub fn reason(method: Method, error: &io::Error) -> String {
    missing::reason(method, error)
}

fn boxed<'a, T: Technique + 'a>(opened: io::Result<T>) -> io::Result<Box<dyn Technique + 'a>> {
    Ok(Box::new(opened?))
}

impl Source<'_> {
    /// Reads up to as many bytes as the buffer holds, with one call.
    fn read(self, buffer: &mut [u8], offset: u64, calls: &mut Calls) -> io::Result<usize> {
        let read = match self {
            Source::File(file) => {
                let offset = i64::try_from(offset).map_err(io::Error::other)?;
                calls.count(|| pread(file, buffer, offset))?
            }
            Source::Socket(socket) => calls.count(|| transfer::recv(socket, buffer))?,
        };
        at_least_one(read)
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
