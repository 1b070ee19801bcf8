//! io_uring from a file: several reads and sends in a chain, in one system call.

use std::io;
use std::os::fd::BorrowedFd;

use super::{Remark, Source, Technique, at_least_one, at_most};
use crate::measure::load::PATIENCE;
use crate::sys::calls::Calls;
use crate::sys::ring::{Operation, Ring, Step};

/// Buffers of a chain, each read and sent once.
const CHAIN: usize = 8;

/// Buffers of the ring. A zero-copy send keeps its buffer until the peer has acknowledged it, so
/// more of them than a chain has are needed to go on meanwhile.
const BUFFERS: usize = 64;

const BUFFER_BYTES: usize = 64 << 10;

/// The outcome of what follows a step that moved less than its length.
const CANCELED: i32 = nix::Error::ECANCELED as i32;

/// Reads and sends in chains.
pub(super) struct RingFile<'a> {
    ring: Ring,
    sink: BorrowedFd<'a>,
    zero_copy: bool,
    /// The buffer that was used the longest ago.
    next: usize,
}

impl RingFile<'_> {
    /// With or without zero-copy sends.
    pub(super) fn open(sink: BorrowedFd<'_>, zero_copy: bool) -> io::Result<RingFile<'_>> {
        let ring = Ring::open(2 * CHAIN as u32, BUFFERS, BUFFER_BYTES, PATIENCE)?;
        if zero_copy && !ring.sends_zero_copy()? {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(RingFile { ring, sink, zero_copy, next: 0 })
    }

    /// One chain; says how much of it was sent.
    fn run(
        &mut self,
        (file, offset): (BorrowedFd<'_>, u64),
        bytes: usize,
        calls: &mut Calls,
    ) -> io::Result<usize> {
        let mut steps = Vec::with_capacity(2 * CHAIN);
        for start in (0..bytes).step_by(BUFFER_BYTES) {
            let buffer = self.next;
            self.next = (buffer + 1) % BUFFERS;
            let length = BUFFER_BYTES.min(bytes - start);
            let read = Operation::Read(file, offset + start as u64);
            let send = if self.zero_copy {
                Operation::SendZeroCopy(self.sink)
            } else {
                Operation::Send(self.sink)
            };
            steps.extend([read, send].map(|operation| Step {
                operation,
                buffer,
                start: 0,
                length,
            }));
        }
        let outcomes = self.ring.run(&steps, true, calls)?;
        let mut sent = 0;
        for (pair, steps) in outcomes.chunks(2).zip(steps.chunks(2)) {
            let failed = pair.iter().find(|it| **it < 0 && **it != -CANCELED);
            if let Some(failed) = failed {
                return Err(io::Error::from_raw_os_error(-failed));
            }
            let moved = usize::try_from(pair[1]).unwrap_or(0);
            sent += moved;
            if moved < steps[1].length {
                break;
            }
        }
        at_least_one(sent)
    }
}

impl Technique for RingFile<'_> {
    fn transfer(&mut self, source: Source<'_>, bytes: u64, calls: &mut Calls) -> io::Result<()> {
        let mut moved = 0;
        while moved < bytes {
            let wanted = at_most(bytes - moved, CHAIN * BUFFER_BYTES);
            moved += self.run(source.after(moved).file()?, wanted, calls)? as u64;
        }
        Ok(())
    }

    fn remark(&self) -> Option<Remark> {
        self.ring.has_copied().then(|| Remark {
            text: "the kernel said that it copied all the same, as it must on loopback; a network \
                   card may save that copy"
                .to_owned(),
            falls_short: false,
        })
    }
}
