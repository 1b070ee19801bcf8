//! The body of an answer with a file, on its way to the client.
//!
//! ```text
//!   next window in memory? ── no ──▶ errand: read ahead ─▶ (a thread) ─▶ came_back
//!          │ yes
//!          ▼
//!   sendfile: file ─▶ socket          splice: file ─▶ pipe (the lane's conduit) ─▶ socket
//!   mmap:     mapped file ─▶ socket   copy:   file ─▶ scratch buffer ─▶ socket, or TLS session
//! ```
//!
//! A file that has become shorter ends too early, whichever way it is sent: the head has promised
//! more, so the connection is cut. It is cut as well when somebody has written to the file since it
//! was opened, which is looked for in each turn: the tag in the head stands for what was there
//! before, and must not stand over a mixture. One that is replaced or
//! deleted is sent to its end as it was, for it is open.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use crate::config::files::{Files, Transfer};
use crate::error::{CloseReason, Direction, FallbackReason, FaultKind, Path};
use crate::exchange::Exchange;
use crate::files::body::{FileBody, Piece};
use crate::http::range::ByteRange;
use crate::io::conduit::Conduit;
use crate::io::drive::{TURN_BYTES_MAX, splice_refusal};
use crate::io::errand::{Claim, Errand};
use crate::io::http::run::Turn;
use crate::io::kernel::Kernel;
use crate::relay::lane::{Drained, Step};

/// How much of a file is asked after, read ahead and sent at a time, in bytes: what a turn may
/// move.
const WINDOW_BYTES: u64 = TURN_BYTES_MAX as u64;

const DOWN: Direction = Direction::Downstream;

/// What is left of a window goes out with the rest when it is no more than this beyond the budget
/// of a turn, in bytes: a system call for so little would cost more than it moves.
const REMNANT_BYTES_MAX: u64 = 64 * 1024;

/// A body that is being sent.
#[derive(Debug)]
pub(super) struct Sending<F> {
    /// `None` while a thread reads ahead in it.
    file: Option<F>,
    /// What that thread is told by that nobody waits any more.
    claim: Option<Claim>,
    body: FileBody,
    transfer: Transfer,
    /// Up to here it was in memory, or has been read just now. 0: nothing is known.
    cached_until: u64,
    /// The turn in which it was last seen that nobody has written to the file.
    seen_at: Instant,
    /// The disk has failed.
    is_broken: bool,
}

impl<F> Sending<F> {
    /// A body of which nothing was sent, of a file that has just been found.
    pub(super) fn new(file: F, body: FileBody, transfer: Transfer, now: Instant) -> Sending<F> {
        Sending {
            file: Some(file),
            claim: None,
            body,
            transfer,
            cached_until: 0,
            seen_at: now,
            is_broken: false,
        }
    }

    /// Whether a thread has the file.
    pub(super) fn is_away(&self) -> bool {
        self.claim.is_some()
    }

    /// A thread has read ahead, or its disk has failed.
    pub(super) fn came_back(&mut self, file: F, is_broken: bool) {
        self.file = Some(file);
        self.claim = None;
        self.is_broken = is_broken;
    }
}

/// What came of an attempt to send bytes of a file.
enum Sent {
    /// So many are with the kernel, or in the lane.
    Bytes(usize),
    /// Something else must come first: room, bytes from a disk, another turn.
    Waits,
    /// The same again in another way: the first cannot be had.
    OtherWay,
    /// The file is shorter than it was, or cannot be read.
    FileFailed,
}

impl<K: Kernel> Turn<'_, K> {
    /// Sends what can be sent now.
    pub(super) fn pump_file(
        &mut self,
        exchange: &mut Exchange,
        files: &Arc<Files>,
        sending: &mut Sending<K::File>,
    ) {
        while exchange.progress.is_moving(DOWN)
            && self.connection.relay.lane(DOWN).next() == Step::Boundary
        {
            let mut text = std::mem::take(&mut self.desk.tail);
            text.clear();
            let piece = sending.body.next(&mut text);
            match piece {
                Piece::Text => {
                    exchange.bodies[DOWN.index()].moved(text.len() as u64);
                    self.put_own(&text, sending.body.is_in_file());
                    // The part that follows may be anywhere in the file.
                    sending.cached_until = 0;
                }
                Piece::File(_) | Piece::End => {}
            }
            self.desk.tail = text;
            let left = match piece {
                Piece::Text => continue,
                Piece::End => return self.on_body_complete(exchange, DOWN),
                Piece::File(left) => left,
            };
            match self.send_part(files, sending, left) {
                Sent::Bytes(bytes) => {
                    sending.body.moved(bytes as u64);
                    exchange.bodies[DOWN.index()].moved(bytes as u64);
                    self.budget = self.budget.saturating_sub(bytes);
                }
                Sent::OtherWay => {}
                Sent::Waits => return,
                Sent::FileFailed => return self.fail(exchange, 500, CloseReason::FileFailed),
            }
        }
    }

    /// Sends some of what is `left` of a part, as far as it is in memory.
    fn send_part(
        &mut self,
        files: &Arc<Files>,
        sending: &mut Sending<K::File>,
        left: ByteRange,
    ) -> Sent {
        if sending.is_broken {
            return Sent::FileFailed;
        }
        let lane = self.connection.relay.lane(DOWN);
        if self.budget == 0 || !lane.sink_is_writable() || lane.paused_until().is_some() {
            return Sent::Waits;
        }
        let Some(file) = &sending.file else { return Sent::Waits };
        if sending.seen_at != self.now {
            if !self.kernel.is_unchanged(file) {
                return Sent::FileFailed;
            }
            sending.seen_at = self.now;
        }
        // The same windows whoever asks, so that what is known of one serves all.
        let window = (left.start / WINDOW_BYTES + 1).saturating_mul(WINDOW_BYTES).min(left.end);
        if left.start >= sending.cached_until {
            let window = ByteRange { start: left.start, end: window };
            if !self.kernel.is_cached(file, window, self.now) {
                return self.read_ahead(files, sending, window);
            }
            sending.cached_until = window.end;
        }
        let until = sending.cached_until.min(left.end);
        let most = left.start.saturating_add(self.budget as u64);
        let most = if until <= most.saturating_add(REMNANT_BYTES_MAX) { until } else { most };
        let sent = self.send_allowed(sending, ByteRange { start: left.start, end: most });
        if let Sent::Waits = sent {
            // Until there is room again, it may be in memory no more.
            sending.cached_until = 0;
        }
        sent
    }

    /// Sends some of a range that is in memory, as far as there is bandwidth for it.
    fn send_allowed(&mut self, sending: &mut Sending<K::File>, range: ByteRange) -> Sent {
        let throttle = self.throttle();
        let most = usize::try_from(range.length()).unwrap_or(usize::MAX);
        let allowance = match throttle.reserve(DOWN, most) {
            Ok(allowance) => allowance,
            Err(until) => {
                self.pause(DOWN, until);
                return Sent::Waits;
            }
        };
        let range = ByteRange { start: range.start, end: range.start + allowance.bytes as u64 };
        let has_refused = self.connection.relay.lane(DOWN).fallbacks();
        if sending.transfer == Transfer::Splice && has_refused.contains(FallbackReason::Refused) {
            // A socket that takes nothing from pipes: each would have to be read out again.
            sending.transfer = Transfer::Copy;
        }
        let sent = match sending.transfer {
            Transfer::Sendfile => self.send_unseen(sending, range, Path::Sendfile),
            Transfer::Mmap => self.send_unseen(sending, range, Path::Copy),
            Transfer::Splice => self.send_spliced(sending, range),
            Transfer::Copy => self.send_copied(sending, range),
        };
        let used = if let Sent::Bytes(bytes) = sent { bytes } else { 0 };
        throttle.settle(DOWN, allowance, used);
        sent
    }

    /// Has a thread bring a window into memory. It is sent afterwards without another question, so
    /// that it gets on even where memory is so short that it does not stay.
    fn read_ahead(
        &mut self,
        files: &Arc<Files>,
        sending: &mut Sending<K::File>,
        window: ByteRange,
    ) -> Sent {
        let Some(file) = sending.file.take() else { return Sent::Waits };
        sending.cached_until = window.end;
        let errand = Errand::ReadAhead { file, range: window, files: Arc::clone(files) };
        match self.begin_errand(errand) {
            Ok(claim) => {
                sending.claim = Some(claim);
                Sent::Waits
            }
            // There are no threads: the process ends.
            Err(_) => Sent::FileFailed,
        }
    }

    /// From the file to the socket, by one call.
    fn send_unseen(
        &mut self,
        sending: &mut Sending<K::File>,
        range: ByteRange,
        path: Path,
    ) -> Sent {
        let Some(file) = &mut sending.file else { return Sent::Waits };
        let client = &self.connection.client;
        let sent = match sending.transfer {
            Transfer::Mmap => self.kernel.send_mapped(file, range, client),
            _ => self.kernel.send_file(file, range, client),
        };
        match sent {
            Ok(0) => Sent::FileFailed,
            Ok(bytes) => {
                self.connection.relay.lane_mut(DOWN).pass(bytes, path);
                self.keeps_back[DOWN.index()] = false;
                Sent::Bytes(bytes)
            }
            Err(error) => self.on_send_error(sending, &error),
        }
    }

    /// By way of a pipe, which the lane drains.
    fn send_spliced(&mut self, sending: &mut Sending<K::File>, range: ByteRange) -> Sent {
        let Some(file) = &sending.file else { return Sent::Waits };
        let size = self.plan.listeners[self.connection.listener.index()].relay.pipe_size;
        let mut conduit = match self.supplies.pipe_conduit(self.kernel, size) {
            Ok(conduit) => conduit,
            Err(reason) => {
                sending.transfer = Transfer::Copy;
                self.copy_file_because(reason);
                return Sent::OtherWay;
            }
        };
        let filled = match &mut conduit {
            Conduit::Pipe { pipe, .. } => self.kernel.fill_pipe_from_file(file, range, pipe),
            _ => Ok(0),
        };
        self.supplies.park(&mut conduit);
        match filled {
            Ok(0) => Sent::FileFailed,
            Ok(bytes) => {
                self.connection.conduits[DOWN.index()] = conduit;
                self.connection.relay.lane_mut(DOWN).load(bytes, Path::Splice);
                Sent::Bytes(bytes)
            }
            Err(error) => self.on_fill_error(sending, &error),
        }
    }

    /// By way of the scratch buffer.
    fn send_copied(&mut self, sending: &mut Sending<K::File>, range: ByteRange) -> Sent {
        let Some(file) = &sending.file else { return Sent::Waits };
        let most = usize::try_from(range.length()).unwrap_or(usize::MAX);
        let most = most.min(self.supplies.read_bytes_max());
        // Nothing else needs the buffer before this is done: lanes run afterwards.
        let mut scratch = std::mem::take(&mut self.supplies.scratch);
        let read = self.kernel.read_file(file, range.start, &mut scratch[..most]);
        if let Ok(bytes @ 1..) = read {
            self.put(DOWN, &[IoSlice::new(&scratch[..bytes])]);
        }
        self.supplies.scratch = scratch;
        match read {
            Ok(0) | Err(_) => Sent::FileFailed,
            Ok(bytes) => Sent::Bytes(bytes),
        }
    }

    /// Tells the errors of the socket from those of the file, and both from a refusal.
    fn on_send_error(&mut self, sending: &mut Sending<K::File>, error: &io::Error) -> Sent {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.connection.relay.drained(DOWN, Drained::WouldBlock);
            return Sent::Waits;
        }
        if let Some(reason) = refusal(error) {
            return self.copy_from_here(sending, reason);
        }
        if !self.is_of_client(error) {
            return Sent::FileFailed;
        }
        let kind = FaultKind::of(error);
        self.connection.relay.drained(DOWN, Drained::Failed(kind));
        Sent::Waits
    }

    /// The pipe is empty, and no socket is asked: whatever it is, the file is why. A file that
    /// cannot be spliced without waiting for something (`EAGAIN`) can be read.
    fn on_fill_error(&mut self, sending: &mut Sending<K::File>, error: &io::Error) -> Sent {
        match refusal(error) {
            Some(reason) => self.copy_from_here(sending, reason),
            None if error.kind() == io::ErrorKind::WouldBlock => {
                self.copy_from_here(sending, FallbackReason::Refused)
            }
            None => Sent::FileFailed,
        }
    }

    fn copy_from_here(&mut self, sending: &mut Sending<K::File>, reason: FallbackReason) -> Sent {
        sending.transfer = Transfer::Copy;
        self.copy_file_because(reason);
        Sent::OtherWay
    }

    /// Whether an error of a call that has to do with both a file and the client's socket is the
    /// latter's. No disk has a broken pipe; file systems on the network have all the others that
    /// sockets have, so the socket is asked whether it would still take something.
    fn is_of_client(&mut self, error: &io::Error) -> bool {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::BrokenPipe | Kind::ConnectionReset => true,
            _ => match self.kernel.send(&self.connection.client, &[]) {
                Ok(_) => false,
                Err(error) => error.kind() != Kind::WouldBlock,
            },
        }
    }
}

/// Whether an error means that a file must be read instead: it cannot be sent, spliced or mapped.
fn refusal(error: &io::Error) -> Option<FallbackReason> {
    const ENOMEM: i32 = 12;
    const ENODEV: i32 = 19;
    const EOPNOTSUPP: i32 = 95;
    match error.raw_os_error()? {
        ENOMEM | ENODEV | EOPNOTSUPP => Some(FallbackReason::Refused),
        _ => splice_refusal(error),
    }
}
