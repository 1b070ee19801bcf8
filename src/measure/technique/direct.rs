//! `O_DIRECT`: the disk writes into the buffer of the process, past the page cache; one copy by
//! the CPU remains, into the socket.

use std::io;
use std::os::fd::BorrowedFd;

use super::{Source, Technique, at_most, send_all};
use crate::sys::calls::Calls;

/// What offset, length and address must be multiples of: the block of any disk in use.
const BLOCK: usize = 4096;

/// Bytes of a read at most: fewer cost more trips to the disk.
const BUFFER_BYTES: usize = 1 << 20;

/// Reads past the page cache.
pub(super) struct DirectRead<'a> {
    sink: BorrowedFd<'a>,
    memory: Vec<u8>,
    /// Where in `memory` the first block begins.
    first: usize,
}

impl DirectRead<'_> {
    pub(super) fn new(sink: BorrowedFd<'_>) -> DirectRead<'_> {
        let memory = vec![0; BUFFER_BYTES + BLOCK];
        let first = memory.as_ptr().align_offset(BLOCK);
        DirectRead { sink, memory, first }
    }
}

impl Technique for DirectRead<'_> {
    fn transfer(&mut self, source: Source<'_>, bytes: u64, calls: &mut Calls) -> io::Result<()> {
        let (file, offset) = source.file()?;
        let mut moved = 0;
        while moved < bytes {
            // From the block before to the block behind.
            let before = ((offset + moved) % BLOCK as u64) as usize;
            let wanted = at_most(before as u64 + bytes - moved, BUFFER_BYTES);
            let blocks = &mut self.memory[self.first..][..wanted.next_multiple_of(BLOCK)];
            let source = Source::File(file, offset + moved - before as u64);
            let read = source.read(blocks, calls)?;
            let Some(part) = blocks.get(before..read.min(wanted)).filter(|it| !it.is_empty())
            else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            send_all(self.sink, part, calls)?;
            moved += part.len() as u64;
        }
        Ok(())
    }
}
