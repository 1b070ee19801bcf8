//! `read` into a buffer, `write` out of it: two copies by the CPU.

use std::io;

use super::{Ends, Technique, at_most, send_all};
use crate::sys::calls::Calls;

/// Reads and writes through a buffer.
pub(super) struct ReadWrite<'a> {
    ends: Ends<'a>,
    buffer: Vec<u8>,
}

impl ReadWrite<'_> {
    /// With a buffer of so many bytes.
    pub(super) fn new(ends: Ends<'_>, buffer_bytes: usize) -> ReadWrite<'_> {
        ReadWrite { ends, buffer: vec![0; buffer_bytes] }
    }
}

impl Technique for ReadWrite<'_> {
    fn transfer(&mut self, offset: u64, bytes: u64, calls: &mut Calls) -> io::Result<()> {
        let mut moved = 0;
        while moved < bytes {
            let wanted = at_most(bytes - moved, self.buffer.len());
            let read = self.ends.source.read(&mut self.buffer[..wanted], offset + moved, calls)?;
            send_all(self.ends.sink, &self.buffer[..read], calls)?;
            moved += read as u64;
        }
        Ok(())
    }
}
