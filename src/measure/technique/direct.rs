//! `O_DIRECT`: the disk writes into the buffer of the process, past the page cache; one copy by
//! the CPU remains, into the socket.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

use super::{Source, Technique, at_most, send_all};
use crate::sys::calls::Calls;

/// What offset, length and address must be multiples of: the block of any disk in use.
const BLOCK: usize = 4096;

/// Bytes of a read at most: fewer cost more trips to the disk.
const BUFFER_BYTES: usize = 1 << 20;

/// Reads past the page cache.
pub(super) struct DirectRead<'a> {
    file: File,
    sink: BorrowedFd<'a>,
    memory: Vec<u8>,
    /// Where in `memory` the first block begins.
    first: usize,
}

impl DirectRead<'_> {
    /// Opens the file anew, since the flag belongs to all who share an open file.
    pub(super) fn open<'a>(
        file: BorrowedFd<'_>,
        sink: BorrowedFd<'a>,
    ) -> io::Result<DirectRead<'a>> {
        // Newer kernels take the flag there, and copy from the page cache all the same.
        if fstatfs(file)?.filesystem_type() == TMPFS_MAGIC {
            return Err(nix::Error::EINVAL.into());
        }
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECT.bits()).open(path)?;
        let memory = vec![0; BUFFER_BYTES + BLOCK];
        let first = memory.as_ptr().align_offset(BLOCK);
        Ok(DirectRead { file, sink, memory, first })
    }
}

impl Technique for DirectRead<'_> {
    fn transfer(&mut self, offset: u64, bytes: u64, calls: &mut Calls) -> io::Result<()> {
        let mut moved = 0;
        while moved < bytes {
            // From the block before to the block behind.
            let before = ((offset + moved) % BLOCK as u64) as usize;
            let wanted = at_most(before as u64 + bytes - moved, BUFFER_BYTES);
            let blocks = &mut self.memory[self.first..][..wanted.next_multiple_of(BLOCK)];
            let source = Source::File(self.file.as_fd());
            let read = source.read(blocks, offset + moved - before as u64, calls)?;
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
