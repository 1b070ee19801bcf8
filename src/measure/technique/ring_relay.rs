//! io_uring from a socket to a socket: what came last is sent while the next is received, both in
//! one system call.

use std::io;
use std::os::fd::BorrowedFd;

use super::{Source, Technique, at_least_one, at_most};
use crate::measure::load::PATIENCE;
use crate::sys::calls::Calls;
use crate::sys::ring::{Operation, Ring, Step};

const BUFFER_BYTES: usize = 64 << 10;

/// Receives and sends through two buffers in turn.
pub(super) struct RingRelay<'a> {
    ring: Ring,
    sink: BorrowedFd<'a>,
}

impl RingRelay<'_> {
    pub(super) fn open(sink: BorrowedFd<'_>) -> io::Result<RingRelay<'_>> {
        Ok(RingRelay { ring: Ring::open(2, 2, BUFFER_BYTES, PATIENCE)?, sink })
    }

    /// Carries out the steps, of which each moves something.
    fn run(&mut self, steps: &[Step<'_>], calls: &mut Calls) -> io::Result<Vec<usize>> {
        let outcomes = self.ring.run(steps, false, calls)?;
        let moved = outcomes.iter().map(|outcome| {
            let moved = usize::try_from(*outcome);
            at_least_one(moved.map_err(|_| io::Error::from_raw_os_error(-outcome))?)
        });
        moved.collect()
    }
}

impl Technique for RingRelay<'_> {
    fn transfer(&mut self, source: Source<'_>, bytes: u64, calls: &mut Calls) -> io::Result<()> {
        let source = source.socket()?;
        let (mut to_receive, mut buffer) = (bytes, 0);
        // What was received and is not sent yet: within the other buffer.
        let mut received: Option<Step<'_>> = None;
        while to_receive > 0 || received.is_some() {
            let receive = Step {
                operation: Operation::Receive(source),
                buffer,
                start: 0,
                length: at_most(to_receive, BUFFER_BYTES),
            };
            let wants_more = to_receive > 0;
            let steps: Vec<Step<'_>> =
                received.into_iter().chain(wants_more.then_some(receive)).collect();
            let moved = self.run(&steps, calls)?;
            if let (Some(send), Some(sent)) = (received, moved.first()) {
                self.send_rest(send, *sent, calls)?;
            }
            received = None;
            if let (true, Some(length)) = (wants_more, moved.last()) {
                to_receive -= *length as u64;
                let operation = Operation::Send(self.sink);
                received = Some(Step { operation, length: *length, ..receive });
                buffer = 1 - buffer;
            }
        }
        Ok(())
    }
}

impl RingRelay<'_> {
    /// Sends what a send has left over.
    fn send_rest(
        &mut self,
        mut send: Step<'_>,
        mut sent: usize,
        calls: &mut Calls,
    ) -> io::Result<()> {
        while sent < send.length {
            send.start += sent;
            send.length -= sent;
            sent = self.run(&[send], calls)?.first().copied().unwrap_or(0);
        }
        Ok(())
    }
}
