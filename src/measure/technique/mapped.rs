//! `mmap` and `write`: the page cache itself is what is written, so one copy by the CPU remains.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;

use super::{Source, Technique, at_least_one};
use crate::sys::calls::Calls;
use crate::sys::mapping::Mapping;

/// The pages that offsets of mappings are multiples of. Larger ones, where the system has such, are
/// multiples of the largest that Linux knows.
const ALIGNMENT: u64 = 64 << 10;

/// Writes from a mapping of the part of the file that is sent.
pub(super) struct MapWrite<'a> {
    sink: BorrowedFd<'a>,
}

impl MapWrite<'_> {
    pub(super) fn new(sink: BorrowedFd<'_>) -> MapWrite<'_> {
        MapWrite { sink }
    }
}

impl Technique for MapWrite<'_> {
    fn transfer(&mut self, source: Source<'_>, bytes: u64, calls: &mut Calls) -> io::Result<()> {
        let (file, offset) = source.file()?;
        let before = offset % ALIGNMENT;
        let length = usize::try_from(before + bytes).map_err(io::Error::other)?;
        let Some(mapped) = NonZeroUsize::new(length) else { return Ok(()) };
        let mapping = calls.count(|| Mapping::of(file, offset - before, mapped))?;
        let mut start = before as usize;
        while start < length {
            start += at_least_one(calls.count(|| mapping.send(self.sink, start, length))?)?;
        }
        calls.count(|| drop(mapping));
        Ok(())
    }
}
