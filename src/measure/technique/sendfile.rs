//! `sendfile`: the socket refers to the pages of the page cache, and nothing is copied by the CPU.

use std::io;
use std::os::fd::BorrowedFd;

use nix::sys::sendfile::sendfile64;

use super::{Source, Technique, at_least_one, at_most};
use crate::sys::calls::Calls;

/// What one call moves at most (sendfile(2)).
const CALL_BYTES_MAX: usize = 0x7fff_f000;

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
        let mut at = i64::try_from(offset).map_err(io::Error::other)?;
        let mut left = bytes;
        while left > 0 {
            let wanted = at_most(left, CALL_BYTES_MAX);
            match calls.count(|| sendfile64(self.sink, file, Some(&mut at), wanted)) {
                // A stopped program that goes on (Ctrl-Z, fg) finds its calls interrupted.
                Err(nix::Error::EINTR) => {}
                sent => left -= at_least_one(sent?)? as u64,
            }
        }
        Ok(())
    }
}
