//! Batches of reads and sends through io_uring (io_uring(7)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode};

use crate::sys::calls::Calls;

/// `IORING_SEND_ZC_REPORT_USAGE` of `include/uapi/linux/io_uring.h`: the notification tells
/// whether the kernel has copied all the same.
const REPORT_USAGE: u16 = 1 << 3;

/// `IORING_NOTIF_USAGE_ZC_COPIED` of the same, in a notification's result.
const USAGE_COPIED: u32 = 1 << 31;

/// The kernel goes on by itself until all is sent.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;

/// How long a ring that is no longer needed waits for its zero-copy sends. A peer may take 40 ms to
/// acknowledge a segment.
const SETTLE_PATIENCE: Duration = Duration::from_secs(1);

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
    steps_max: usize,
    patience: Duration,
    /// Of the last batch, in its order: bytes, or a negative error number.
    results: Vec<i32>,
    /// Of each buffer: the batch that sends it without a copy, until the kernel tells that it is
    /// done with it.
    lent: Vec<Option<u32>>,
    /// Steps of the last batch that have not completed yet.
    in_flight: usize,
    /// The number of the last batch, which is in all of its completions.
    batch: u32,
    has_copied: bool,
}

impl Ring {
    /// A ring for batches of up to `steps` steps over `buffers` buffers. A batch of which nothing
    /// completes for as long as `patience` is an error.
    ///
    /// # Errors
    /// `ENOSYS` and `EPERM` where io_uring is not there or not allowed (`kernel.io_uring_disabled`,
    /// a seccomp filter); `ENOMEM` at the limit on locked memory of older kernels.
    pub fn open(
        steps: u32,
        buffers: usize,
        buffer_bytes: usize,
        patience: Duration,
    ) -> io::Result<Ring> {
        // One thread uses it, which asks for its completions: the kernel then need not interrupt
        // that thread (Linux 6.1). Older kernels refuse what they do not know.
        let modern = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(steps);
        let ring = match modern {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::new(steps)?,
            outcome => outcome?,
        };
        let memory = Box::into_raw(vec![0_u8; buffers * buffer_bytes].into_boxed_slice());
        let (results, lent) = (Vec::with_capacity(steps as usize), vec![None; buffers]);
        let (in_flight, batch, has_copied) = (0, 0, false);
        let steps_max = ring.params().sq_entries() as usize;
        Ok(Ring {
            ring,
            memory,
            buffer_bytes,
            steps_max,
            patience,
            results,
            lent,
            in_flight,
            batch,
            has_copied,
        })
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

    /// Carries out all steps and returns when all of them have completed. What was sent without a
    /// copy may still be under way then; a step that wants its buffer waits for it. The outcome of
    /// each is its number of bytes, or a negative error number. With `linked` each step begins after
    /// the one before it; what follows one that moved less than its length is `-ECANCELED`.
    ///
    /// # Errors
    /// As io_uring_enter(2), and `WouldBlock` when patience has run out. The ring is of no use then.
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
        // Before any is pushed: half a batch would stay behind.
        assert!(steps.len() <= self.steps_max, "no more steps than the ring has room for");
        while steps.iter().any(|step| self.lent[step.buffer].is_some()) {
            self.wait(1, calls)?;
        }
        self.results.clear();
        self.results.resize(steps.len(), -libc::ECANCELED);
        self.batch = self.batch.wrapping_add(1);
        for (index, step) in steps.iter().enumerate() {
            let is_last = index + 1 == steps.len();
            let link = if linked && !is_last { Flags::IO_LINK } else { Flags::empty() };
            let entry = self
                .entry(step)
                .flags(link)
                .user_data(Name { batch: self.batch, buffer: step.buffer, index }.into());
            // SAFETY: the buffers live until the kernel is done with them, for `drop` leaks them
            // where that is not certain. Nobody here reads or writes them. The
            // descriptors are borrowed for as long as `run` takes, and the kernel holds the files
            // behind them.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            assert!(pushed.is_ok(), "the ring was empty, and has room for them");
            self.in_flight += 1;
        }
        while self.in_flight > 0 {
            self.wait(self.in_flight, calls)?;
        }
        Ok(&self.results)
    }

    /// Hands over what was pushed, waits for so many completions, and takes in what there is.
    fn wait(&mut self, completions: usize, calls: &mut Calls) -> io::Result<()> {
        // What a socket may wait for is no matter of the ring (SO_RCVTIMEO), so the ring has a limit
        // of its own; before Linux 5.11 there is none.
        let has_timeout = self.ring.params().is_feature_ext_arg();
        let patience = Timespec::from(self.patience);
        let arguments = SubmitArgs::new().timespec(&patience);
        let submitter = self.ring.submitter();
        let waited = calls.count(|| {
            if has_timeout {
                submitter.submit_with_args(completions, &arguments)
            } else {
                submitter.submit_and_wait(completions)
            }
        });
        match waited {
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => {
                self.reap();
                Ok(())
            }
        }
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

    /// Takes in what has completed. A zero-copy send completes twice: once when all is queued,
    /// which promises a notification, and with that once the buffer is free again. A send that was
    /// cancelled before it began notifies without a promise: that says nothing.
    fn reap(&mut self) {
        for completion in self.ring.completion() {
            let (result, flags) = (completion.result(), completion.flags());
            let Name { batch, buffer, index } = completion.user_data().into();
            let Some(lent) = self.lent.get_mut(buffer) else { continue };
            if cqueue::notif(flags) {
                if *lent == Some(batch) {
                    *lent = None;
                    self.has_copied |= result.cast_unsigned() & USAGE_COPIED != 0;
                }
            } else if batch == self.batch
                && let Some(slot) = self.results.get_mut(index)
            {
                *slot = result;
                self.in_flight -= 1;
                if cqueue::more(flags) {
                    *lent = Some(batch);
                }
            }
        }
    }

    /// Whether the kernel may still use one of the buffers.
    fn is_in_use(&self) -> bool {
        self.in_flight > 0 || self.lent.iter().any(Option::is_some)
    }

    /// Waits for what was sent without a copy, as long as a peer that is there may take to
    /// acknowledge it.
    fn settle(&mut self) {
        if !self.ring.submission().is_empty() {
            // What the kernel has not taken yet names descriptors that may have been closed since, and
            // their numbers given to others. It is never handed over.
            return;
        }
        let patience = Timespec::from(SETTLE_PATIENCE);
        let deadline = Instant::now() + SETTLE_PATIENCE;
        while self.is_in_use() && Instant::now() < deadline {
            let arguments = SubmitArgs::new().timespec(&patience);
            let waited = self.ring.submitter().submit_with_args(1, &arguments);
            self.reap();
            match waited {
                // Late or interrupted: what has come until then counts.
                Err(error) if error.raw_os_error() == Some(libc::ETIME) => return,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
                _ => {}
            }
        }
    }
}

/// What the completions of a step bear.
#[derive(Debug, Clone, Copy)]
struct Name {
    batch: u32,
    buffer: usize,
    index: usize,
}

impl From<Name> for u64 {
    fn from(name: Name) -> u64 {
        u64::from(name.batch) << 32
            | (name.buffer as u64 & 0xffff) << 16
            | name.index as u64 & 0xffff
    }
}

impl From<u64> for Name {
    fn from(bits: u64) -> Name {
        let part = |shift: u32| (bits >> shift & 0xffff) as usize;
        Name { batch: (bits >> 32) as u32, buffer: part(16), index: part(0) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.settle();
        // Closing the ring cancels what is in flight, but not at once. Then the buffers stay.
        if !self.is_in_use() {
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

    const PATIENCE: Duration = Duration::from_secs(10);

    fn tcp_pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (sender, listener.accept().unwrap().0)
    }

    #[test]
    fn a_linked_batch_runs_in_order_in_one_call() {
        let Ok(mut ring) = Ring::open(4, 2, 4096, PATIENCE) else { return };
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

    /// A receive that nobody answers is an error in the end, and the ring goes away with it.
    #[test]
    fn patience_runs_out() {
        let Ok(mut ring) = Ring::open(2, 1, 4096, Duration::from_millis(10)) else { return };
        if !ring.ring.params().is_feature_ext_arg() {
            return;
        }
        let (socket, _silent) = UnixStream::pair().unwrap();
        let operation = Operation::Receive(socket.as_fd());
        let step = Step { operation, buffer: 0, start: 0, length: 10 };
        let error = ring.run(&[step], false, &mut Calls::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    /// Steps that were pushed when the kernel refused to be asked are not handed over later, when
    /// their descriptors may belong to others.
    #[test]
    fn what_was_not_taken_is_never_handed_over() {
        let Ok(mut ring) = Ring::open(2, 1, 4096, PATIENCE) else { return };
        let (sender, mut receiver) = UnixStream::pair().unwrap();
        let operation = Operation::Send(sender.as_fd());
        let step = Step { operation, buffer: 0, start: 0, length: 10 };
        let entry = ring.entry(&step);
        // SAFETY: as in `run`; and it is not to be taken at all.
        unsafe { ring.ring.submission().push(&entry) }.unwrap();
        ring.in_flight = 1;
        drop(ring);
        drop(sender);
        assert_eq!(receiver.read(&mut [0; 10]).unwrap(), 0, "nothing was sent");
    }

    #[test]
    #[should_panic(expected = "no more steps than the ring has room for")]
    fn a_batch_that_is_too_long_is_not_begun() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let Ok(mut ring) = Ring::open(2, 1, 4096, PATIENCE) else {
            panic!("no more steps than the ring has room for");
        };
        let operation = Operation::Send(socket.as_fd());
        let steps = [Step { operation, buffer: 0, start: 0, length: 10 }; 100];
        let _refused = ring.run(&steps, false, &mut Calls::default());
    }
}
