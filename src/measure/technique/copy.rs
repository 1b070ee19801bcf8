//! `read` into a buffer, `write` out of it: two copies by the CPU.

use std::io;
use std::os::fd::BorrowedFd;

use super::{Source, Technique, at_most, send_all};
use crate::sys::calls::Calls;

/// Reads and writes through a buffer.
pub(super) struct ReadWrite<'a> {
    sink: BorrowedFd<'a>,
    buffer: Vec<u8>,
}

impl ReadWrite<'_> {
    /// With a buffer of so many bytes.
    pub(super) fn new(sink: BorrowedFd<'_>, buffer_bytes: usize) -> ReadWrite<'_> {
        ReadWrite { sink, buffer: vec![0; buffer_bytes] }
    }
}

impl Technique for ReadWrite<'_> {
    fn transfer(&mut self, source: Source<'_>, bytes: u64, calls: &mut Calls) -> io::Result<()> {
        let mut moved = 0;
        while moved < bytes {
            let wanted = at_most(bytes - moved, self.buffer.len());
            let read = source.after(moved).read(&mut self.buffer[..wanted], calls)?;
            send_all(self.sink, &self.buffer[..read], calls)?;
            moved += read as u64;
        }
        Ok(())
    }
}
