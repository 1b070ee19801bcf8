//! `sendfile`: the socket refers to the pages of the page cache, and nothing is copied by the CPU.

use std::io;
use std::os::fd::BorrowedFd;

use super::{Source, Technique, at_least_one, at_most};
use crate::sys::calls::Calls;
use crate::sys::transfer::{self, SPLICE_BYTES_MAX};

/// Has the kernel send from the file itself.
pub(super) struct Sendfile<'a> {
    sink: BorrowedFd<'a>,
}

impl Sendfile<'_> {
    pub(super) fn new(sink: BorrowedFd<'_>) -> Sendfile<'_> {
        Sendfile { sink }
    }
}

impl Technique for Sendfile<'_> {
    fn transfer(&mut self, source: Source<'_>, bytes: u64, calls: &mut Calls) -> io::Result<()> {
        let (file, offset) = source.file()?;
        let mut left = bytes;
        while left > 0 {
            let (at, wanted) = (offset + bytes - left, at_most(left, SPLICE_BYTES_MAX));
            let sent = calls.count(|| transfer::send_file(file, at, self.sink, wanted))?;
            left -= at_least_one(sent)? as u64;
        }
        Ok(())
    }
}
