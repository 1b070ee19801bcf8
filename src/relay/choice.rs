//! Which path the next bytes of a lane take: splice or copy.
//!
//! `splice` and `copy` are constant but for fallbacks. `auto` watches how much each read brings:
//!
//! ```text
//!          BULK_READS_MIN reads in a row of BULK_READ_BYTES_MIN or more,
//!          or one of DECISIVE_READ_BYTES_MIN
//!   copy ───────────────────────────────────────────────────────────────▶ splice
//!        ◀───────────────────────────────────────────────────────────────
//!          SMALL_READS_MAX reads in a row of less than SMALL_READ_BYTES_MAX
//! ```
//!
//! The gap between the two thresholds is where neither path wins by much; a flow that lives there
//! keeps the path that it has.

use crate::config::RelayMode;
use crate::error::{FallbackReason, Path};

/// A read of this size or more speaks for splice: from about 16 KiB on, moving page references
/// through a pooled pipe costs less than copying the bytes twice.
pub const BULK_READ_BYTES_MIN: usize = 16 * 1024;

/// So many bulk reads in a row turn a flow to splice. One alone may be a single large answer.
pub const BULK_READS_MIN: u8 = 2;

/// One read of this size turns a flow to splice by itself. A message of 64 KiB comes in two reads
/// as often as not, and the first may be a small part of it.
pub const DECISIVE_READ_BYTES_MIN: usize = 48 * 1024;

/// A read of less than this speaks for copying: the second system call of a splice costs more
/// than copying a page.
pub const SMALL_READ_BYTES_MAX: usize = 4 * 1024;

/// So many small reads in a row turn a flow back to copying. The tail of a burst is one.
pub const SMALL_READS_MAX: u8 = 4;

/// Which reasons a flow has met; one bit for each [`FallbackReason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fallbacks(u16);

const _: () = assert!(FallbackReason::ALL.len() <= u16::BITS as usize, "a bit for each");

impl Fallbacks {
    /// Adds a reason; says whether it is new.
    pub fn insert(&mut self, reason: FallbackReason) -> bool {
        let bit = 1 << reason.index();
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new
    }

    /// Whether a reason was met.
    pub fn contains(self, reason: FallbackReason) -> bool {
        self.0 & (1 << reason.index()) != 0
    }

    /// The reasons met, in the order of [`FallbackReason::ALL`].
    pub fn iter(self) -> impl Iterator<Item = FallbackReason> {
        FallbackReason::ALL.into_iter().filter(move |reason| self.contains(*reason))
    }

    /// The reasons of this set that are not in `other`.
    #[must_use]
    pub fn without(self, other: Fallbacks) -> Fallbacks {
        Fallbacks(self.0 & !other.0)
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Fallbacks) -> Fallbacks {
        Fallbacks(self.0 | other.0)
    }
}

/// The choice of one lane.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    rule: Rule,
    path: Path,
    fallbacks: Fallbacks,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    /// The path does not change.
    Fixed,
    /// `auto`; how many reads in a row spoke for the other path.
    Adaptive { streak: u8 },
}

impl Choice {
    /// The choice that a new lane starts with.
    pub fn new(mode: RelayMode) -> Choice {
        let (rule, path) = match mode {
            RelayMode::Splice => (Rule::Fixed, Path::Splice),
            RelayMode::Copy => (Rule::Fixed, Path::Copy),
            RelayMode::Auto => (Rule::Adaptive { streak: 0 }, Path::Copy),
        };
        Choice { rule, path, fallbacks: Fallbacks::default() }
    }

    /// Another part of the same flow: begins as a new choice does, unless a reason was met that
    /// lasts.
    pub fn renew(&mut self, mode: RelayMode) {
        let mode = if self.fallbacks.iter().any(is_lasting) { RelayMode::Copy } else { mode };
        *self = Choice { fallbacks: self.fallbacks, ..Choice::new(mode) };
    }

    /// The path that the next read should take.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Whether a read of this lane could ever be a splice.
    pub fn may_splice(&self) -> bool {
        self.path == Path::Splice || matches!(self.rule, Rule::Adaptive { .. })
    }

    /// The reasons for which this lane copied although splice was chosen.
    pub fn fallbacks(&self) -> Fallbacks {
        self.fallbacks
    }

    /// Learns what a read brought.
    pub fn observe(&mut self, bytes: usize) {
        let Rule::Adaptive { streak } = &mut self.rule else { return };
        let (speaks_for_other, enough, other) = match self.path {
            Path::Copy | Path::Sendfile => {
                (bytes >= BULK_READ_BYTES_MIN, BULK_READS_MIN, Path::Splice)
            }
            Path::Splice => (bytes < SMALL_READ_BYTES_MAX, SMALL_READS_MAX, Path::Copy),
        };
        *streak = if speaks_for_other { *streak + 1 } else { 0 };
        let is_decisive = self.path == Path::Copy && bytes >= DECISIVE_READ_BYTES_MIN;
        if *streak >= enough || is_decisive {
            *streak = 0;
            self.path = other;
        }
    }

    /// Notes that splice could not be had. Where the reason lies in the flow or in the process,
    /// the flow copies from now on; where something ran short, it asks again at the next read.
    /// Says whether this flow meets the reason for the first time.
    pub fn fall_back(&mut self, reason: FallbackReason) -> bool {
        if is_lasting(reason) {
            self.rule = Rule::Fixed;
            self.path = Path::Copy;
        }
        self.fallbacks.insert(reason)
    }
}

/// Whether a reason lies in the flow or in the process, and not in what happens to run short.
fn is_lasting(reason: FallbackReason) -> bool {
    match reason {
        FallbackReason::Unavailable
        | FallbackReason::Refused
        | FallbackReason::NoProgress
        | FallbackReason::Urgent
        | FallbackReason::Tls => true,
        FallbackReason::PipeMemory | FallbackReason::Descriptors | FallbackReason::PipeTooSmall => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_after(mode: RelayMode, reads: &[usize]) -> Path {
        let mut choice = Choice::new(mode);
        for bytes in reads {
            choice.observe(*bytes);
        }
        choice.path()
    }

    #[test]
    fn fixed_modes_never_change() {
        for reads in [&[1usize; 100], &[1 << 20; 100]] {
            assert_eq!(path_after(RelayMode::Splice, reads), Path::Splice);
            assert_eq!(path_after(RelayMode::Copy, reads), Path::Copy);
        }
    }

    #[test]
    fn auto_follows_the_flow() {
        let check = |reads: &[usize], expected| {
            assert_eq!(path_after(RelayMode::Auto, reads), expected, "{reads:?}");
        };
        let bulk = BULK_READ_BYTES_MIN;
        let small = SMALL_READ_BYTES_MAX - 1;
        check(&[], Path::Copy);
        check(&[small; 50], Path::Copy);
        check(&[bulk], Path::Copy);
        check(&[bulk, bulk], Path::Splice);
        check(&[bulk, small, bulk], Path::Copy);
        check(&[small, DECISIVE_READ_BYTES_MIN], Path::Splice);
        check(&[small, DECISIVE_READ_BYTES_MIN, small, small, small, small], Path::Copy);
        check(&[bulk, bulk, small, small, small], Path::Splice);
        check(&[bulk, bulk, small, small, small, small], Path::Copy);
        check(&[bulk, bulk, small, small, small, bulk, small], Path::Splice);
    }

    #[test]
    fn between_the_thresholds_a_flow_keeps_its_path() {
        let between = (SMALL_READ_BYTES_MAX + BULK_READ_BYTES_MIN) / 2;
        assert_eq!(path_after(RelayMode::Auto, &[between; 50]), Path::Copy);
        let mut reads = vec![BULK_READ_BYTES_MIN; 2];
        reads.extend([between; 50]);
        assert_eq!(path_after(RelayMode::Auto, &reads), Path::Splice);
    }

    #[test]
    fn a_lasting_reason_ends_splicing_and_a_passing_one_does_not() {
        for reason in FallbackReason::ALL {
            let mut choice = Choice::new(RelayMode::Splice);
            assert!(choice.fall_back(reason));
            assert!(!choice.fall_back(reason), "the second time is not new");
            let passing = matches!(
                reason,
                FallbackReason::PipeMemory
                    | FallbackReason::Descriptors
                    | FallbackReason::PipeTooSmall
            );
            assert_eq!(choice.path() == Path::Splice, passing, "{}", reason.label());
            assert_eq!(choice.fallbacks().iter().collect::<Vec<_>>(), [reason]);
        }
    }
}
