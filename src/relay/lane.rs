//! One direction of a relay, without any I/O: it says what to do next, is told what happened, and
//! alone decides what a "would block" means.
//!
//! ```text
//!            next()                                     told
//!   ┌─▶ Fill ────────────▶ recv / splice into a conduit ──▶ filled()  ─┐
//!   │   Drain ───────────▶ send / splice out of it ───────▶ drained() ─┤
//!   │   ShutdownWrite ───▶ shutdown(sink, SHUT_WR) ───────▶ shut_down()┤
//!   │   Wait ────────────▶ nothing until on_readable() or on_writable()│
//!   │   Pause ───────────▶ nothing until resume(), when its time has come
//!   │   Boundary ────────▶ the owner's turn: begin(), inject(), peeked()
//!   │   Done                                                           │
//!   └──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A lane that relays TCP runs to the end of its source. One that carries the body of a message
//! has an [`Extent`]: it never reads a byte beyond, and at its end stops at a boundary, where the
//! owner of the stream decides what follows. There the owner may read from the source itself, and
//! put bytes of its own into the lane.
//!
//! DESIGN speaks of one `apply()`; three functions with an argument of their own each make it
//! impossible to report the end of a stream for a write.
//!
//! Two decisions carry the kernel's quirks:
//!
//! - A conduit is filled only when it is empty. So "would block" from the source can only mean
//!   that the source is dry, never that the pipe is full by slots; a FIN behind a burst is found
//!   by the read after the drain; and what was read first goes out first whichever way it
//!   travels. Should an interpreter report "would block" for a conduit that does hold bytes, the
//!   source stays marked readable.
//! - Readiness is edge-triggered, so a mark is cleared only on proof: on "would block", and on a
//!   copying read or write that moved less than it was asked to (epoll(7)). After a splice the
//!   length proves nothing: on the way in slots fill, not bytes, and on the way out a signal, a
//!   debugger or a frozen control group ends it early without a word.

mod step;

use std::time::Instant;

use crate::config::RelayMode;
use crate::error::{FallbackReason, FaultKind, Path};
use crate::relay::choice::{Choice, Fallbacks};
use crate::relay::coalesce::Coalescing;

use step::WAIT_FOR_SINK;
pub use step::{Drained, Filled, Step};

/// So many wake-ups in a row that moved nothing demote a flow from splice to copying.
pub const BARREN_WAKES_MAX: u8 = 64;

/// How far a lane reads from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// To the end of the stream, which is passed on to the sink.
    Stream,
    /// So many bytes more, and not one beyond them.
    Message {
        /// How many.
        left: u64,
    },
    /// To the end of the stream, which is the owner's to judge.
    UntilEnd,
}

impl Extent {
    /// Nothing is to be read: the stream is in its owner's hands.
    pub const NONE: Extent = Extent::Message { left: 0 };
}

/// ```text
/// Open ──end of stream──▶ Ended
///   └────failure───────▶ Failed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Open {
        /// A read might bring something.
        readable: bool,
    },
    Ended,
    Failed(FaultKind),
}

/// ```text
/// Open ──SHUT_WR──▶ ShutDown
///   └────failure──▶ Failed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    Open {
        /// A write might be taken.
        writable: bool,
    },
    ShutDown,
    Failed(FaultKind),
}

/// Bytes that a lane has accounted for.
///
/// `read == delivered + held + discarded`, at every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Taken from the source.
    pub read: u64,
    /// Taken by the sink, by [`Path::index`].
    pub delivered: [u64; 2],
    /// Lost because the sink broke while they were held.
    pub discarded: u64,
}

/// One direction of a relay.
#[derive(Debug, Clone)]
pub struct Lane {
    source: Source,
    sink: Sink,
    extent: Extent,
    /// Bytes in the conduit.
    held: usize,
    /// The kind of conduit that holds them.
    held_by: Path,
    choice: Choice,
    coalescing: Coalescing,
    /// A short read proves nothing for this source: something stands behind what was read (a
    /// FIN, an urgent mark, a passed descriptor) for which no further edge may come.
    read_until_would_block: bool,
    /// Urgent data was announced. A lane that copies has nothing to fear from it, before its mode
    /// changes.
    has_urgent: bool,
    /// The source broke in a way that only a write to it has seen. What it still has is read, but
    /// its end is not an orderly one.
    doomed: Option<FaultKind>,
    /// The sink must be told of the end in words, before it is closed.
    announces_end: bool,
    barren_wakes: u8,
    /// The source spoke while the lane waited for its sink: such an event wakes the worker for
    /// nothing.
    heard_in_vain: bool,
    /// The source's events are held back.
    is_deaf: bool,
    /// Nothing may be read before.
    paused_until: Option<Instant>,
    totals: Totals,
}

impl Lane {
    /// A lane between two open sockets, the source of which is not known to be readable, while
    /// the sink is taken to be writable, as a new socket is.
    ///
    /// `low_water` is the mark that the source gets once the lane has proved to carry bulk.
    pub fn new(mode: RelayMode, low_water: Option<u32>) -> Lane {
        Lane {
            source: Source::Open { readable: false },
            sink: Sink::Open { writable: true },
            extent: Extent::Stream,
            held: 0,
            held_by: Path::Copy,
            choice: Choice::new(mode),
            coalescing: Coalescing::new(low_water),
            read_until_would_block: false,
            has_urgent: false,
            doomed: None,
            announces_end: false,
            barren_wakes: 0,
            heard_in_vain: false,
            is_deaf: false,
            paused_until: None,
            totals: Totals::default(),
        }
    }

    /// What to do next.
    pub fn next(&self) -> Step {
        match (self.held, self.source, self.sink) {
            (_, _, Sink::Failed(_) | Sink::ShutDown) => Step::Done,
            (1.., _, Sink::Open { writable: true }) => Step::Drain,
            (1.., _, Sink::Open { writable: false }) => WAIT_FOR_SINK,
            (0, _, _) if self.extent == Extent::NONE => Step::Boundary,
            (0, Source::Failed(_), _) => Step::Done,
            (0, Source::Open { readable: true }, _) => match self.paused_until {
                Some(until) => Step::Pause { until },
                None => Step::Fill { path: self.choice.path(), max: self.read_bytes_max() },
            },
            (0, Source::Open { readable: false }, _) => {
                Step::Wait { readable: true, writable: false }
            }
            (0, Source::Ended, Sink::Open { writable }) if self.extent == Extent::Stream => {
                // A TLS sink is told in a record, for which there may be no room.
                if writable { Step::ShutdownWrite } else { WAIT_FOR_SINK }
            }
            (0, Source::Ended, _) => Step::Boundary,
        }
    }

    fn read_bytes_max(&self) -> usize {
        match self.extent {
            Extent::Message { left } => usize::try_from(left).unwrap_or(usize::MAX),
            Extent::Stream | Extent::UntilEnd => usize::MAX,
        }
    }

    /// Counts anew for another exchange between the same sockets, the readiness of which stays
    /// known. Nothing may be held. The stream is in its owner's hands.
    ///
    /// `low_water` as for [`Lane::new`].
    pub fn restart(&mut self, mode: RelayMode, low_water: Option<u32>) {
        debug_assert!(self.held == 0, "bytes of one exchange would be counted in the next");
        self.extent = Extent::NONE;
        self.choice = Choice::new(mode);
        self.coalescing.restart(low_water);
        self.barren_wakes = 0;
        self.totals = Totals::default();
    }

    /// What the lane is to read from now on, and in which way.
    pub fn begin(&mut self, extent: Extent, mode: RelayMode) {
        self.extent = extent;
        self.choice.renew(mode);
        match extent {
            Extent::Message { left } => self.coalescing.on_known_length(left),
            Extent::Stream | Extent::UntilEnd => self.coalescing.on_unknown_length(),
        }
    }

    /// Another mode holds from the next read on, unless a reason to copy was met that lasts.
    pub fn change_mode(&mut self, mode: RelayMode) {
        self.choice.renew(mode);
        if self.has_urgent && self.choice.may_splice() {
            self.fall_back(FallbackReason::Urgent);
        }
    }

    /// How far the lane reads.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The owner has put bytes of its own into the conduit, which was empty or held others of that
    /// kind. They count as read.
    pub fn inject(&mut self, bytes: usize) {
        debug_assert!(self.held == 0 || self.held_by == Path::Copy, "what is held goes out first");
        self.held += bytes;
        self.held_by = Path::Copy;
        self.totals.read += bytes as u64;
    }

    /// The owner has read from the source itself, into memory of its own.
    pub fn peeked(&mut self, outcome: Filled) {
        match outcome {
            Filled::Moved { short, .. } => self.note_dryness(short),
            Filled::WouldBlock => self.source = Source::Open { readable: false },
            Filled::Eof | Filled::Failed(_) => self.end_source(outcome),
        }
    }

    /// The source may have become readable. `behind` says that an end of stream or an urgent mark
    /// stands behind the bytes, for which no further edge will come.
    pub fn on_readable(&mut self, behind: bool) {
        self.read_until_would_block |= behind;
        self.heard_in_vain = matches!(self.next(), WAIT_FOR_SINK | Step::Pause { .. });
        if let Source::Open { readable } = &mut self.source {
            *readable = true;
        }
    }

    /// Whether the source's events should be heard from now on, where that changes. To be asked
    /// before the lane waits.
    ///
    /// A fast sender behind a slow receiver reports every segment, although nothing can be done
    /// before the sink takes more: with both on one machine that was three wake-ups of four. So
    /// the first such event makes the lane deaf to its source until it waits for it again, for
    /// two system calls in all; and while the sink is what holds it up, it never does. The same
    /// holds for a lane that pauses.
    pub fn take_hearing_change(&mut self) -> Option<bool> {
        let hears = match self.next() {
            WAIT_FOR_SINK | Step::Pause { .. } if self.heard_in_vain && !self.is_deaf => false,
            Step::Wait { readable: true, .. } | Step::Boundary if self.is_deaf => true,
            _ => return None,
        };
        self.heard_in_vain = false;
        self.is_deaf = !hears;
        Some(hears)
    }

    /// Nothing may be read before `until`. To be told instead of what came of a [`Step::Fill`].
    pub fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    /// Until when nothing may be read.
    pub fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Ends a pause whose time has come. Says whether it has.
    pub fn resume(&mut self, now: Instant) -> bool {
        self.paused_until.take_if(|until| *until <= now).is_some()
    }

    /// The sink may have become writable.
    pub fn on_writable(&mut self) {
        if let Sink::Open { writable } = &mut self.sink {
            *writable = true;
        }
    }

    /// The source is a unix socket: a read ends where a descriptor was passed, so short reads
    /// prove nothing, and it has no low-water mark.
    pub fn source_is_unix(&mut self) {
        self.read_until_would_block = true;
        self.coalescing.disable();
    }

    /// The sink takes records of TLS: bytes end up there encrypted, and so does the end.
    pub fn sink_is_tls(&mut self) {
        self.announces_end = true;
    }

    /// Whether closing the sink would not say as much as [`Step::ShutdownWrite`] does.
    pub fn announces_end(&self) -> bool {
        self.announces_end
    }

    /// Urgent data is among the bytes of the source. Splice stops before it for good, and reports
    /// the end of the stream there once a FIN is queued behind it; `recv` with `SO_OOBINLINE`
    /// brings it in its place.
    pub fn on_urgent(&mut self) {
        self.on_readable(true);
        self.has_urgent = true;
        if self.choice.may_splice() {
            self.fall_back(FallbackReason::Urgent);
        }
    }

    /// The source is another socket now, and may be readable already.
    pub fn attach_source(&mut self, readable: bool) {
        self.read_until_would_block = false;
        self.has_urgent = false;
        self.doomed = None;
        self.coalescing.on_other_source();
        (self.is_deaf, self.heard_in_vain) = (false, false);
        self.paused_until = None;
        self.source = Source::Open { readable };
    }

    /// The sink is another socket now, and may be writable already.
    pub fn attach_sink(&mut self, writable: bool) {
        self.announces_end = false;
        self.sink = Sink::Open { writable };
    }

    /// Bytes moved in the other direction: whoever speaks there may wait for an answer, which
    /// must not wait here for its tail.
    pub fn on_dialogue(&mut self) {
        if self.coalescing.on_dialogue() {
            self.on_readable(false);
        }
    }

    /// Whether the source keeps bytes back until there are many, so that somebody must look after
    /// them once [`coalesce::PATIENCE`](crate::relay::coalesce::PATIENCE) has passed.
    pub fn awaits_tail(&self) -> bool {
        self.coalescing.is_in_force()
            && self.held == 0
            && self.paused_until.is_none()
            && matches!(self.source, Source::Open { .. })
            && matches!(self.sink, Sink::Open { .. })
    }

    /// Nothing came for so long: what there is is read, however little.
    pub fn on_tail(&mut self) {
        if self.awaits_tail() {
            self.coalescing.on_tail();
            self.on_readable(false);
        }
    }

    /// Whether the lane has proved to carry bulk: larger pipes pay.
    pub fn is_bulk(&self) -> bool {
        self.coalescing.is_on()
    }

    /// The low-water mark that the source should have from now on, in bytes, where that changes.
    /// To be set before the lane waits for its source.
    pub fn take_low_water_change(&mut self) -> Option<u32> {
        self.coalescing.take_change()
    }

    /// What came of a [`Step::Fill`]. Returns the reason if the flow was demoted by it.
    pub fn filled(&mut self, outcome: Filled) -> Option<FallbackReason> {
        match outcome {
            Filled::Moved { bytes, path, short } => {
                debug_assert!(bytes > 0 && self.held == 0);
                self.barren_wakes = 0;
                self.held = bytes;
                self.held_by = path;
                self.totals.read += bytes as u64;
                self.choice.observe(bytes);
                if let Extent::Message { left } = &mut self.extent {
                    debug_assert!(bytes as u64 <= *left, "no byte beyond the extent");
                    *left = left.saturating_sub(bytes as u64);
                }
                // With a mark in force, what is left comes with the next edge or with the tail;
                // another read now would only bring a little of it. Past the end of the extent
                // nothing is held back.
                let holds_back = self.coalescing.is_in_force() && self.extent != Extent::NONE;
                self.note_dryness(short && (path == Path::Copy || holds_back));
                match path {
                    Path::Splice => self.coalescing.on_bulk(bytes),
                    Path::Copy => self.coalescing.on_copied(bytes),
                }
                None
            }
            Filled::WouldBlock if self.held > 0 => None,
            Filled::WouldBlock => {
                self.source = Source::Open { readable: false };
                if self.coalescing.is_tail() {
                    self.coalescing.on_pause();
                    return None;
                }
                self.count_barren_wake()
            }
            Filled::Eof | Filled::Failed(_) => {
                self.end_source(outcome);
                None
            }
        }
    }

    /// A read has emptied the source, if `is_dry`, unless something stands behind.
    fn note_dryness(&mut self, is_dry: bool) {
        if is_dry && !self.read_until_would_block && self.doomed.is_none() {
            self.source = Source::Open { readable: false };
        }
    }

    fn end_source(&mut self, outcome: Filled) {
        self.source = match (outcome, self.doomed) {
            (Filled::Failed(kind), _) | (_, Some(kind)) => Source::Failed(kind),
            (_, None) => Source::Ended,
        };
    }

    fn count_barren_wake(&mut self) -> Option<FallbackReason> {
        self.barren_wakes = self.barren_wakes.saturating_add(1);
        let demoted = self.barren_wakes >= BARREN_WAKES_MAX && self.choice.path() == Path::Splice;
        (demoted && self.fall_back(FallbackReason::NoProgress))
            .then_some(FallbackReason::NoProgress)
    }

    /// What came of a [`Step::Drain`].
    pub fn drained(&mut self, outcome: Drained) {
        match outcome {
            Drained::Moved(bytes) => {
                debug_assert!(bytes <= self.held);
                self.held -= bytes;
                self.totals.delivered[self.held_by.index()] += bytes as u64;
                // `send` goes on until the socket refuses more, so a short one proves that it is
                // full, and the kernel has noted that somebody waits for room.
                if self.held > 0 && self.held_by == Path::Copy {
                    self.sink = Sink::Open { writable: false };
                }
            }
            Drained::WouldBlock => self.sink = Sink::Open { writable: false },
            Drained::Failed(kind) => self.fail_sink(kind),
        }
    }

    /// What came of a [`Step::ShutdownWrite`]. A sink that cannot be told is gone, which the lane
    /// in the other direction finds out; nothing was left to deliver to it.
    pub fn shut_down(&mut self) {
        debug_assert!(self.held == 0 && self.source == Source::Ended);
        self.sink = Sink::ShutDown;
    }

    /// The bytes held in a pipe were moved into a buffer, because the sink cannot be spliced to.
    pub fn rescued(&mut self) {
        self.held_by = Path::Copy;
    }

    /// Splice could not be had. Says whether this lane meets the reason for the first time.
    pub fn fall_back(&mut self, reason: FallbackReason) -> bool {
        self.choice.fall_back(reason)
    }

    /// The sink is broken; what is held for it is lost.
    pub fn fail_sink(&mut self, kind: FaultKind) {
        if matches!(self.sink, Sink::Open { .. }) {
            self.totals.discarded += self.held as u64;
            self.held = 0;
            self.sink = Sink::Failed(kind);
        }
    }

    /// A write to the socket that is this lane's source has failed. The kernel reports such an
    /// error once, to whoever asks first, and ends reads with 0 afterwards; so the end of this
    /// source is a failure from now on. What it has queued is still to be read.
    pub fn doom_source(&mut self, kind: FaultKind) {
        if let Source::Open { readable } = &mut self.source {
            *readable = true;
            self.doomed = Some(kind);
        }
    }

    /// Whether nothing will ever move on this lane again.
    pub fn is_done(&self) -> bool {
        self.next() == Step::Done
    }

    /// Whether a read might bring something.
    pub fn source_is_readable(&self) -> bool {
        self.source == Source::Open { readable: true }
    }

    /// Whether one may be tried now: the same, but for a pause.
    pub fn may_read(&self) -> bool {
        self.source_is_readable() && self.paused_until.is_none()
    }

    /// Whether a write might be taken.
    pub fn sink_is_writable(&self) -> bool {
        self.sink == Sink::Open { writable: true }
    }

    /// Whether the source said, in order, that nothing more comes.
    pub fn source_has_ended(&self) -> bool {
        self.source == Source::Ended
    }

    /// How the source failed, if it did.
    pub fn source_fault(&self) -> Option<FaultKind> {
        match self.source {
            Source::Failed(kind) => Some(kind),
            Source::Open { .. } | Source::Ended => None,
        }
    }

    /// How the sink failed, if it did.
    pub fn sink_fault(&self) -> Option<FaultKind> {
        match self.sink {
            Sink::Failed(kind) => Some(kind),
            Sink::Open { .. } | Sink::ShutDown => None,
        }
    }

    /// Bytes in the conduit.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Bytes accounted for so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Bytes that the sink has taken, whichever way they came.
    pub fn delivered(&self) -> u64 {
        self.totals.delivered.iter().sum()
    }

    /// Why this lane copied although splice was chosen.
    pub fn fallbacks(&self) -> Fallbacks {
        self.choice.fallbacks()
    }
}

#[cfg(test)]
mod tests;
