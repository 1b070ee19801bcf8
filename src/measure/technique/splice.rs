//! `splice` into a pipe and out of it: what `sendfile` does, between any two descriptors, at the
//! price of a second call.

use std::io;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Ends, Source, Technique, at_least_one, at_most};
use crate::config::units::show_size;
use crate::sys::calls::Calls;
use crate::sys::pipe::Pipe;
use crate::sys::socket::set_low_water;

/// Moves page references through a pipe.
pub(super) struct Splice<'a> {
    ends: Ends<'a>,
    pipe: Pipe,
    pipe_wanted: u32,
    /// Whether the source wakes its reader only when much is queued. Like the proxy, the loop
    /// then asks before it reads.
    coalesces: bool,
}

impl Splice<'_> {
    /// With a pipe of so many bytes, and a low-water mark if there is to be one.
    pub(super) fn open(
        ends: Ends<'_>,
        pipe_bytes: u32,
        low_water: Option<u32>,
    ) -> io::Result<Splice<'_>> {
        if let (Source::Socket(socket), Some(bytes)) = (ends.source, low_water) {
            set_low_water(socket, bytes)?;
        }
        let pipe = Pipe::open(pipe_bytes)?;
        Ok(Splice { ends, pipe, pipe_wanted: pipe_bytes, coalesces: low_water.is_some() })
    }

    fn fill(&mut self, offset: u64, bytes: u64, calls: &mut Calls) -> io::Result<usize> {
        let wanted = at_most(bytes, self.pipe_wanted as usize);
        let Splice { ends, pipe, coalesces, .. } = self;
        match ends.source {
            Source::File(file) => calls.count(|| pipe.fill_from_offset(file, offset, wanted)),
            Source::Socket(socket) => {
                if *coalesces {
                    let mut sources = [PollFd::new(socket, PollFlags::POLLIN)];
                    calls.count(|| poll(&mut sources, PollTimeout::NONE))?;
                }
                calls.count(|| pipe.fill_from(socket, wanted))
            }
        }
    }
}

impl Technique for Splice<'_> {
    fn transfer(&mut self, offset: u64, bytes: u64, calls: &mut Calls) -> io::Result<()> {
        let mut moved = 0;
        while moved < bytes {
            moved += at_least_one(self.fill(offset + moved, bytes - moved, calls)?)? as u64;
            while self.pipe.held() > 0 {
                at_least_one(calls.count(|| self.pipe.drain_to(self.ends.sink))?)?;
            }
        }
        Ok(())
    }

    fn remark(&self) -> Option<String> {
        let (given, wanted) = (self.pipe.capacity(), self.pipe_wanted);
        let show = |bytes| show_size(u64::from(bytes));
        (given < wanted).then(|| {
            format!(
                "the kernel gave a pipe of {} instead of {} (fs.pipe-max-size, \
                 fs.pipe-user-pages-soft)",
                show(given),
                show(wanted)
            )
        })
    }
}
