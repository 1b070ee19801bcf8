//! Batches of reads and sends through io_uring (io_uring(7)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::squeue::{Entry, Flags};
use io_uring::types::Fd;
use io_uring::{IoUring, Probe, cqueue, opcode};

use crate::sys::calls::Calls;

/// `IORING_SEND_ZC_REPORT_USAGE` of `include/uapi/linux/io_uring.h`: the notification tells
/// whether the kernel has copied all the same.
const REPORT_USAGE: u16 = 1 << 3;

/// `IORING_NOTIF_USAGE_ZC_COPIED` of the same, in a notification's result.
const USAGE_COPIED: u32 = 1 << 31;

/// The kernel goes on by itself until all is sent.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;

/// What a step does.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// Reads a file from an offset on.
    Read(BorrowedFd<'a>, u64),
    /// Receives from a socket, as much as there is.
    Receive(BorrowedFd<'a>),
    /// Sends all of it to a socket, by way of the socket's own memory.
    Send(BorrowedFd<'a>),
    /// Sends all of it to a socket; the network card reads the buffer itself, where it can.
    SendZeroCopy(BorrowedFd<'a>),
}

/// A step of a batch: what is done with which bytes of which buffer.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// What is done.
    pub operation: Operation<'a>,
    /// The buffer.
    pub buffer: usize,
    /// The first byte of it.
    pub start: usize,
    /// How many bytes of it.
    pub length: usize,
}

/// A ring with buffers of its own. Nobody but the kernel touches what is in them.
pub struct Ring {
    ring: IoUring,
    memory: *mut [u8],
    buffer_bytes: usize,
    /// Of the last batch, in its order: bytes, or a negative error number.
    results: Vec<i32>,
    /// Of the last batch: whether the kernel has promised to tell when the buffer is free again.
    notices: Vec<bool>,
    /// Completions that are still to come: while there are any the kernel uses the buffers.
    in_flight: usize,
    /// The number of the last batch, which is in all of its completions.
    batch: u32,
    has_copied: bool,
}

impl Ring {
    /// A ring for batches of up to `steps` steps over `buffers` buffers.
    ///
    /// # Errors
    /// `ENOSYS` and `EPERM` where io_uring is not there or not allowed (`kernel.io_uring_disabled`,
    /// a seccomp filter); `ENOMEM` at the limit on locked memory of older kernels.
    pub fn open(steps: u32, buffers: usize, buffer_bytes: usize) -> io::Result<Ring> {
        // One thread uses it, which asks for its completions: the kernel then need not interrupt
        // that thread (Linux 6.1). Older kernels refuse what they do not know.
        let modern = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(steps);
        let ring = match modern {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::new(steps)?,
            outcome => outcome?,
        };
        let memory = Box::into_raw(vec![0_u8; buffers * buffer_bytes].into_boxed_slice());
        let (results, notices) = (Vec::with_capacity(steps as usize), Vec::new());
        let (in_flight, batch, has_copied) = (0, 0, false);
        Ok(Ring { ring, memory, buffer_bytes, results, notices, in_flight, batch, has_copied })
    }

    /// Whether this kernel knows zero-copy sends (Linux 6.0).
    ///
    /// # Errors
    /// As io_uring_register(2).
    pub fn sends_zero_copy(&self) -> io::Result<bool> {
        let mut probe = Probe::new();
        self.ring.submitter().register_probe(&mut probe)?;
        Ok(probe.is_supported(opcode::SendZc::CODE))
    }

    /// Whether a zero-copy send of this ring has copied all the same, as loopback does.
    pub fn has_copied(&self) -> bool {
        self.has_copied
    }

    /// Carries out all steps and returns when the kernel is done with the last of them. The
    /// outcome of each is its number of bytes, or a negative error number. With `linked` each
    /// step begins after the one before it; what follows one that moved less than its length is
    /// `-ECANCELED`.
    ///
    /// # Errors
    /// As io_uring_enter(2). The ring is of no use then.
    ///
    /// # Panics
    /// When a step lies outside of its buffer, or there are more steps than the ring has room for.
    pub fn run(
        &mut self,
        steps: &[Step<'_>],
        linked: bool,
        calls: &mut Calls,
    ) -> io::Result<&[i32]> {
        assert_eq!(self.in_flight, 0, "the batch before has ended");
        self.results.clear();
        self.results.resize(steps.len(), -libc::ECANCELED);
        self.notices.clear();
        self.notices.resize(steps.len(), false);
        self.batch = self.batch.wrapping_add(1);
        for (index, step) in steps.iter().enumerate() {
            let is_last = index + 1 == steps.len();
            let link = if linked && !is_last { Flags::IO_LINK } else { Flags::empty() };
            let entry = self.entry(step).flags(link).user_data(self.name(index));
            // SAFETY: the buffers live until the kernel is done with them: `run` returns in good
            // order only when nothing is in flight, and `drop` leaks them otherwise. The
            // descriptors are borrowed for as long as `run` takes, and the kernel holds the files
            // behind them.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            assert!(pushed.is_ok(), "no more steps than the ring has room for");
            self.in_flight += 1;
        }
        while self.in_flight > 0 {
            let wanted = self.in_flight;
            match calls.count(|| self.ring.submitter().submit_and_wait(wanted)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.reap(),
            }
        }
        Ok(&self.results)
    }

    fn entry(&self, step: &Step<'_>) -> Entry {
        let Step { operation, buffer, start, length } = *step;
        assert!(start + length <= self.buffer_bytes, "within the buffer");
        let first = buffer * self.buffer_bytes + start;
        assert!(first + length <= self.memory.len(), "one of the buffers");
        let pointer = self.memory.cast::<u8>().wrapping_add(first);
        let bytes = u32::try_from(length).unwrap_or(u32::MAX);
        let descriptor = |it: BorrowedFd<'_>| Fd(it.as_raw_fd());
        match operation {
            Operation::Read(file, offset) => {
                opcode::Read::new(descriptor(file), pointer, bytes).offset(offset).build()
            }
            Operation::Receive(socket) => {
                opcode::Recv::new(descriptor(socket), pointer, bytes).build()
            }
            Operation::Send(socket) => {
                opcode::Send::new(descriptor(socket), pointer, bytes).flags(SEND_FLAGS).build()
            }
            Operation::SendZeroCopy(socket) => {
                let send = opcode::SendZc::new(descriptor(socket), pointer, bytes);
                send.flags(SEND_FLAGS).zc_flags(REPORT_USAGE).build()
            }
        }
    }

    /// What the completions of a step bear.
    fn name(&self, index: usize) -> u64 {
        u64::from(self.batch) << 32 | index as u64
    }

    /// Takes in what has completed. A zero-copy send completes twice: once when all is queued,
    /// which promises a notification, and with that once the buffer is free again. A send that was
    /// cancelled before it began notifies without a promise, maybe after its batch: that says
    /// nothing.
    fn reap(&mut self) {
        let first = self.name(0);
        for completion in self.ring.completion() {
            let (result, flags) = (completion.result(), completion.flags());
            let index = completion.user_data().wrapping_sub(first) as usize;
            let (Some(slot), Some(notice)) =
                (self.results.get_mut(index), self.notices.get_mut(index))
            else {
                continue;
            };
            if cqueue::notif(flags) {
                self.in_flight -= usize::from(std::mem::take(notice));
                self.has_copied |= result.cast_unsigned() & USAGE_COPIED != 0;
            } else {
                *slot = result;
                *notice = cqueue::more(flags);
                self.in_flight -= usize::from(!*notice);
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Closing the ring cancels what is in flight, but not at once. Then the buffers stay.
        if self.in_flight == 0 {
            // SAFETY: it came from `Box::into_raw`, is freed only here, and the kernel no longer
            // uses it.
            drop(unsafe { Box::from_raw(self.memory) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn tcp_pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (sender, listener.accept().unwrap().0)
    }

    #[test]
    fn a_linked_batch_runs_in_order_in_one_call() {
        let Ok(mut ring) = Ring::open(4, 2, 4096) else { return };
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello world").unwrap();
        let (sender, mut receiver) = UnixStream::pair().unwrap();
        let (file, socket) = (file.as_fd(), sender.as_fd());
        let step = |operation, buffer, length| Step { operation, buffer, start: 0, length };
        let steps = [
            step(Operation::Read(file, 0), 0, 6),
            step(Operation::Send(socket), 0, 6),
            step(Operation::Read(file, 6), 1, 5),
            step(Operation::Send(socket), 1, 5),
        ];
        let mut calls = Calls::default();
        assert_eq!(ring.run(&steps, true, &mut calls).unwrap(), [6, 6, 5, 5]);
        assert_eq!(calls.made(), 1);
        let mut received = [0; 11];
        receiver.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"hello world");

        let short = [step(Operation::Read(file, 6), 0, 100), step(Operation::Send(socket), 0, 100)];
        let outcome = ring.run(&short, true, &mut calls).unwrap();
        assert_eq!(outcome, [5, -libc::ECANCELED], "a short read ends the chain");
        if !ring.sends_zero_copy().unwrap() {
            return;
        }
        let (sender, receiver) = tcp_pair();
        let socket = sender.as_fd();
        let send = step(Operation::SendZeroCopy(socket), 0, 6);
        for _ in 0..3 {
            let cancelled = [step(Operation::Read(file, 6), 0, 100), Step { length: 100, ..send }];
            let outcome = ring.run(&cancelled, true, &mut calls).unwrap();
            assert_eq!(outcome, [5, -libc::ECANCELED]);
            let whole = [step(Operation::Read(file, 0), 0, 6), send];
            assert_eq!(ring.run(&whole, true, &mut calls).unwrap(), [6, 6]);
            (&receiver).read_exact(&mut received[..6]).unwrap();
            assert_eq!(&received[..6], b"hello ");
        }
    }
}
