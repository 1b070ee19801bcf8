//! `splice` into a pipe and out of it: what `sendfile` does, between any two descriptors, at the
//! price of a second call.

use std::io;
use std::os::fd::BorrowedFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Ends, Remark, Source, Technique, at_least_one, at_most};
use crate::config::units::show_size;
use crate::measure::load::PATIENCE;
use crate::sys::calls::Calls;
use crate::sys::pipe::Pipe;
use crate::sys::socket::{low_water, set_low_water};

/// Moves page references through a pipe.
pub(super) struct Splice<'a> {
    sink: BorrowedFd<'a>,
    pipe: Pipe,
    pipe_wanted: u32,
    /// The low-water mark of the source: what it has, and what it was to have.
    mark: Option<[u32; 2]>,
    /// The source may have nothing that is worth a read: it is waited for before the next one.
    is_dry: bool,
}

impl Splice<'_> {
    /// With a pipe of so many bytes, and a low-water mark if there is to be one.
    pub(super) fn open(
        ends: Ends<'_>,
        pipe_bytes: u32,
        mark: Option<u32>,
    ) -> io::Result<Splice<'_>> {
        let mark = match (ends.source, mark) {
            (Source::Socket(socket), Some(bytes)) => {
                set_low_water(socket, bytes)?;
                Some([low_water(socket)?, bytes])
            }
            _ => None,
        };
        let pipe = Pipe::open(pipe_bytes)?;
        let (sink, is_dry) = (ends.sink, mark.is_some());
        Ok(Splice { sink, pipe, pipe_wanted: pipe_bytes, mark, is_dry })
    }

    fn fill(&mut self, source: Source<'_>, bytes: u64, calls: &mut Calls) -> io::Result<usize> {
        let wanted = at_most(bytes, self.pipe_wanted as usize);
        match source {
            Source::File(file, offset) => {
                calls.count(|| self.pipe.fill_from_offset(file, offset, wanted))
            }
            Source::Socket(socket) => self.fill_from(socket, wanted, calls),
        }
    }

    /// Like the proxy: a source without a mark is read until it has nothing, and then waited for;
    /// with a mark a short read is reason enough to wait.
    fn fill_from(
        &mut self,
        socket: BorrowedFd<'_>,
        wanted: usize,
        calls: &mut Calls,
    ) -> io::Result<usize> {
        loop {
            if self.is_dry {
                wait_for(socket, calls)?;
            }
            match calls.count(|| self.pipe.fill_from(socket, wanted)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_dry = true,
                Ok(moved) => {
                    self.is_dry = self.mark.is_some() && moved < wanted;
                    return Ok(moved);
                }
                outcome => return outcome,
            }
        }
    }
}

/// Returns when there is something to read, as much as the low-water mark says.
fn wait_for(socket: BorrowedFd<'_>, calls: &mut Calls) -> io::Result<()> {
    let patience = PollTimeout::try_from(PATIENCE).map_err(io::Error::other)?;
    let mut sources = [PollFd::new(socket, PollFlags::POLLIN)];
    match calls.count(|| poll(&mut sources, patience)) {
        Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
        // Whoever was interrupted looks again.
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Technique for Splice<'_> {
    fn transfer(&mut self, source: Source<'_>, bytes: u64, calls: &mut Calls) -> io::Result<()> {
        let mut moved = 0;
        while moved < bytes {
            moved += at_least_one(self.fill(source.after(moved), bytes - moved, calls)?)? as u64;
            while self.pipe.held() > 0 {
                at_least_one(calls.count(|| self.pipe.drain_to(self.sink))?)?;
            }
        }
        Ok(())
    }

    fn remark(&self) -> Option<Remark> {
        let show = |bytes: u32| show_size(u64::from(bytes));
        let (given, wanted) = (self.pipe.capacity(), self.pipe_wanted);
        let text = match self.mark {
            _ if given < wanted => format!(
                "the kernel gave a pipe of {} instead of {} (raise fs.pipe-max-size, \
                 fs.pipe-user-pages-soft)",
                show(given),
                show(wanted)
            ),
            Some([given, wanted]) if given < wanted => format!(
                "the kernel gave a low-water mark of {} instead of {} (raise the last value of \
                 net.ipv4.tcp_rmem)",
                show(given),
                show(wanted)
            ),
            _ => return None,
        };
        Some(Remark { text, falls_short: true })
    }
}
