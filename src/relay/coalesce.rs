//! Receive coalescing: fewer, fuller wake-ups for a lane that carries bulk.
//!
//! A sender that is as fast as its receiver wakes it for every segment or two. With a low-water
//! mark on the source (`SO_RCVLOWAT`, socket(7)) the kernel wakes the lane only once so many
//! bytes are queued; the end of the stream and errors wake it at once all the same. One wake then
//! moves ten times as much for the same two splices.
//!
//! The danger is the tail of a burst, which would wait for bytes that never come. So:
//!
//! - only a lane that has moved more than [`PROOF_FACTOR`] times the mark without a byte in the other
//!   direction has a mark at all: whoever asks and waits for an answer, or for a window update,
//!   never meets it;
//! - a byte in the other direction ends it;
//! - [`PATIENCE`] after the last bytes the lane reads what there is. If that is little, the flow has
//!   paused: the mark drops back, and the lane must prove itself again. If it is much, the sender
//!   was only held up, and the mark stays.
//!
//! ```text
//!     more than PROOF_FACTOR marks in one direction
//!   Off ─────────────────────────────────────────────────────▶ On
//!    ▲      the other direction moved, or little came for PATIENCE│
//!    └─────────────────────────────────────────────────────────┘
//! ```
//!
//! Where the length of what comes is known, as for most HTTP bodies, no proof is needed: so much
//! will come for certain. Such a lane has a mark as long as more than that remains, and the kernel
//! is told anew after each read: it then looks at once whether so much is queued already (tcp(7)
//! has no such promise, but `tcp_set_rcvlowat` does it since Linux 4.18), so no event is missed.
//! When it will come is another matter: the sender may be slow, or wait for an answer to what it
//! has sent so far. So patience is needed as before, and a flow that has paused once must prove
//! itself like any other.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// More than so many times the mark a lane must have moved, with nothing in the other direction,
/// before it has one. With the default mark of 512 KiB that is 4 MiB, so a message of a dialogue of
/// up to that size never meets it.
pub const PROOF_FACTOR: u64 = 8;

/// A read after [`PATIENCE`] that brings at least this part of the mark shows that the flow goes
/// on: one in eight.
pub const TAIL_PART_MIN: u32 = 8;

/// How long a mark may keep bytes waiting.
pub const PATIENCE: Duration = Duration::from_millis(1);

/// The coalescing of one lane.
#[derive(Debug, Clone, Copy)]
pub struct Coalescing {
    /// The mark, in bytes; `None` for a lane that never has one.
    mark: Option<NonZeroU32>,
    /// Bytes moved since the other direction did, or since the last pause.
    run: u64,
    /// What remains of a message of known length.
    left: Option<u64>,
    /// Messages of known length have to prove themselves too: one has paused.
    has_paused: bool,
    is_on: bool,
    /// The next read tells whether the flow has paused.
    is_tail: bool,
    /// The kernel was told of the mark last, and not that there is none.
    is_told: bool,
    /// The kernel is to be told again, so that it looks at what is queued.
    is_due: bool,
}

impl Coalescing {
    /// Off, and nothing proved. Without a mark, or with one of 0, it stays off.
    pub fn new(mark: Option<u32>) -> Coalescing {
        Coalescing {
            mark: mark.and_then(NonZeroU32::new),
            run: 0,
            left: None,
            has_paused: false,
            is_on: false,
            is_tail: false,
            is_told: false,
            is_due: false,
        }
    }

    /// As [`Coalescing::new`], for a source that the kernel may still hold back.
    pub fn restart(&mut self, mark: Option<u32>) {
        *self = Coalescing { is_told: self.is_told, ..Coalescing::new(mark) };
    }

    /// So many bytes are to come, for certain.
    pub fn on_known_length(&mut self, left: u64) {
        self.left = Some(left);
        let is_enough = |mark: NonZeroU32| left >= u64::from(mark.get());
        self.is_on = self.mark.is_some_and(is_enough) && !self.has_paused;
        self.is_due = false;
    }

    /// Nobody knows how much is to come.
    pub fn on_unknown_length(&mut self) {
        self.left = None;
        self.on_pause();
    }

    /// This source has no low-water mark.
    pub fn disable(&mut self) {
        self.mark = None;
        self.is_on = false;
    }

    /// A splice brought so many bytes.
    pub fn on_bulk(&mut self, bytes: usize) {
        let Some(mark) = self.mark else { return };
        let is_tail = std::mem::take(&mut self.is_tail);
        if is_tail && bytes < (mark.get() / TAIL_PART_MIN) as usize {
            self.on_pause();
        } else {
            self.run = self.run.saturating_add(bytes as u64);
        }
        let has_proof = self.run / PROOF_FACTOR > u64::from(mark.get());
        match self.left {
            Some(left) => {
                self.has_paused &= !has_proof;
                self.on_more(left, bytes);
            }
            None => self.is_on |= has_proof,
        }
    }

    /// More of a message of known length has come.
    fn on_more(&mut self, left: u64, bytes: usize) {
        self.on_known_length(left.saturating_sub(bytes as u64));
        self.is_due = true;
    }

    /// A copying read brought so many bytes. What remains of a known length still comes.
    pub fn on_copied(&mut self, bytes: usize) {
        match self.left {
            Some(left) => self.on_more(left, bytes),
            None => self.on_pause(),
        }
    }

    /// The lane copied, or the other direction moved, or nothing came: this is no bulk.
    pub fn on_pause(&mut self) {
        self.run = 0;
        self.has_paused |= self.left.is_some();
        self.is_tail = false;
        self.is_on = false;
    }

    /// The other direction moved. Says whether that has ended the mark; a known length stays
    /// known.
    pub fn on_dialogue(&mut self) -> bool {
        let has_ended = self.is_on && self.left.is_none();
        if self.left.is_none() {
            self.on_pause();
        }
        has_ended
    }

    /// The source is another socket, of which the kernel was told nothing.
    pub fn on_other_source(&mut self) {
        self.is_told = false;
    }

    /// No byte came for [`PATIENCE`]; what there is will be read next.
    pub fn on_tail(&mut self) {
        self.is_tail = self.is_on;
    }

    /// Whether the next read is one after [`PATIENCE`].
    pub fn is_tail(&self) -> bool {
        self.is_tail
    }

    /// Whether the source has a mark, or is about to get one.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether the kernel has been told of the mark: less than that brings no event.
    pub fn is_in_force(&self) -> bool {
        self.is_on && self.is_told
    }

    /// The mark that the source should have from now on, in bytes, if the kernel has not been
    /// told yet.
    pub fn take_change(&mut self) -> Option<u32> {
        let is_due = std::mem::take(&mut self.is_due) && self.is_on;
        let is_news = std::mem::replace(&mut self.is_told, self.is_on) != self.is_on;
        let mark = self.mark.filter(|_| self.is_on).map_or(1, NonZeroU32::get);
        (is_news || is_due).then_some(mark)
    }
}

/// When to look after bytes that a mark keeps back.
#[derive(Debug, Clone, Copy, Default)]
pub struct TailWatch(Option<Instant>);

impl TailWatch {
    /// The lanes were run: whether one of them keeps bytes back now, and whether any byte moved.
    pub fn on_turn(&mut self, awaits_tail: bool, moved: bool, now: Instant) {
        self.0 = match self.0 {
            _ if !awaits_tail => None,
            Some(at) if !moved => Some(at),
            _ => Some(now + PATIENCE),
        };
    }

    /// When that is.
    pub fn deadline(self) -> Option<Instant> {
        self.0
    }

    /// Whether that time has come. It comes once.
    pub fn take_due(&mut self, now: Instant) -> bool {
        self.0.take_if(|at| now >= *at).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: u32 = 1 << 19;
    const CHUNK: usize = 1 << 20;
    const PROOF_CHUNKS: u64 = PROOF_FACTOR * MARK as u64 / CHUNK as u64 + 1;

    fn on_after(chunks: u64) -> Coalescing {
        let mut coalescing = Coalescing::new(Some(MARK));
        bring(&mut coalescing, chunks);
        coalescing
    }

    fn bring(coalescing: &mut Coalescing, chunks: u64) {
        (0..chunks).for_each(|_| coalescing.on_bulk(CHUNK));
    }

    #[test]
    fn proof_turns_it_on_once() {
        let mut coalescing = on_after(PROOF_CHUNKS - 1);
        assert_eq!((coalescing.is_on(), coalescing.take_change()), (false, None));
        coalescing.on_bulk(CHUNK);
        assert!(coalescing.is_on() && !coalescing.is_in_force());
        assert_eq!(coalescing.take_change(), Some(MARK));
        assert!(coalescing.is_in_force());
        coalescing.on_bulk(CHUNK);
        assert_eq!(coalescing.take_change(), None);
    }

    #[test]
    fn a_dialogue_never_turns_it_on() {
        let mut coalescing = Coalescing::new(Some(MARK));
        for _ in 0..1000 {
            coalescing.on_bulk(4 << 20);
            assert!(!coalescing.is_on());
            coalescing.on_pause();
        }
        assert_eq!(coalescing.take_change(), None, "the kernel never hears of it");
    }

    #[test]
    fn without_a_mark_nothing_turns_it_on() {
        for mark in [None, Some(0)] {
            let mut coalescing = Coalescing::new(mark);
            bring(&mut coalescing, 100 * PROOF_CHUNKS);
            assert!(!coalescing.is_on());
        }
        let mut coalescing = on_after(PROOF_CHUNKS);
        assert_eq!(coalescing.take_change(), Some(MARK));
        coalescing.disable();
        assert_eq!(coalescing.take_change(), Some(1));
    }

    #[test]
    fn a_tail_turns_it_off_where_little_comes() {
        let check = |tail: usize, stays_on: bool| {
            let mut coalescing = on_after(PROOF_CHUNKS);
            assert_eq!(coalescing.take_change(), Some(MARK));
            coalescing.on_tail();
            coalescing.on_bulk(tail);
            assert_eq!(coalescing.is_on(), stays_on, "{tail}");
            assert_eq!(coalescing.take_change(), (!stays_on).then_some(1), "{tail}");
        };
        check(1, false);
        check((MARK / TAIL_PART_MIN) as usize - 1, false);
        check((MARK / TAIL_PART_MIN) as usize, true);
        check(CHUNK, true);
    }

    #[test]
    fn after_a_pause_everything_is_to_be_proved_again() {
        let mut coalescing = on_after(PROOF_CHUNKS);
        coalescing.on_pause();
        bring(&mut coalescing, PROOF_CHUNKS - 1);
        assert!(!coalescing.is_on());
        bring(&mut coalescing, 1);
        assert!(coalescing.is_on());
    }

    #[test]
    fn only_a_lane_with_a_mark_has_a_tail() {
        let mut coalescing = on_after(PROOF_CHUNKS - 1);
        coalescing.on_tail();
        coalescing.on_bulk(1);
        bring(&mut coalescing, 1);
        assert!(coalescing.is_on(), "the small read took nothing back");
    }

    #[test]
    fn a_change_that_was_taken_back_is_none() {
        let mut coalescing = on_after(PROOF_CHUNKS);
        coalescing.on_pause();
        assert_eq!(coalescing.take_change(), None);
    }

    #[test]
    fn a_known_length_has_a_mark_at_once_and_until_less_than_that_is_left() {
        let mut coalescing = Coalescing::new(Some(MARK));
        coalescing.on_known_length(3 * u64::from(MARK));
        assert_eq!(coalescing.take_change(), Some(MARK));
        assert!(coalescing.is_in_force());
        assert!(!coalescing.on_dialogue());
        coalescing.on_bulk(2 * MARK as usize - 1);
        assert_eq!(coalescing.take_change(), Some(MARK), "so that the kernel looks again");
        assert_eq!(coalescing.take_change(), None);
        coalescing.on_bulk(2);
        assert_eq!(coalescing.take_change(), Some(1));
        coalescing.on_bulk(MARK as usize - 1);
        assert_eq!(coalescing.take_change(), None);
    }

    #[test]
    fn a_short_message_never_has_a_mark() {
        let mut coalescing = Coalescing::new(Some(MARK));
        coalescing.on_known_length(u64::from(MARK) - 1);
        coalescing.on_bulk(MARK as usize - 1);
        assert_eq!(coalescing.take_change(), None);
    }

    #[test]
    fn a_known_length_that_pauses_must_prove_itself() {
        let mut coalescing = Coalescing::new(Some(MARK));
        coalescing.on_known_length(1 << 40);
        assert_eq!(coalescing.take_change(), Some(MARK));
        coalescing.on_tail();
        coalescing.on_bulk(MARK as usize / 2);
        assert!(coalescing.is_in_force(), "much came: the sender was only held up");
        coalescing.on_tail();
        coalescing.on_bulk(1000);
        assert!(!coalescing.is_on() && coalescing.take_change() == Some(1));
        // Nor does the next part of the same body begin with a mark.
        coalescing.on_known_length(1 << 40);
        assert!(!coalescing.is_on());
        bring(&mut coalescing, PROOF_CHUNKS);
        assert!(coalescing.is_on());
        coalescing.on_tail();
        coalescing.on_pause();
        assert!(!coalescing.is_on(), "nothing came");
        coalescing.restart(Some(MARK));
        coalescing.on_known_length(1 << 40);
        assert!(coalescing.is_on(), "another exchange is another flow");
    }

    #[test]
    fn the_tail_is_looked_after_once_nothing_moves() {
        let start = Instant::now();
        let mut tail = TailWatch::default();
        tail.on_turn(false, true, start);
        assert_eq!(tail.deadline(), None);
        tail.on_turn(true, true, start);
        tail.on_turn(true, false, start + PATIENCE / 2);
        assert_eq!(tail.deadline(), Some(start + PATIENCE));
        assert!(!tail.take_due(start + PATIENCE / 2));
        assert!(tail.take_due(start + PATIENCE) && tail.deadline().is_none());
        tail.on_turn(true, true, start);
        tail.on_turn(true, true, start + PATIENCE / 2);
        assert_eq!(tail.deadline(), Some(start + PATIENCE * 3 / 2));
    }

    #[test]
    fn a_mark_that_is_left_behind_is_taken_back() {
        let mut coalescing = Coalescing::new(Some(MARK));
        coalescing.on_known_length(u64::from(MARK));
        assert_eq!(coalescing.take_change(), Some(MARK));
        coalescing.restart(None);
        assert_eq!(coalescing.take_change(), Some(1));
        assert_eq!(coalescing.take_change(), None);
    }
}
