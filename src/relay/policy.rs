//! Which way the body of a message takes: the one place where sizes decide between reading a body
//! and moving it unseen.
//!
//! What came with the head was read, and goes out with it. What is still to come is either read,
//! as the head was, or moved by a lane through a pipe. Reading brings up to a buffer's worth at
//! once, shows what stands behind the body, and costs two copies; moving costs a pipe and two
//! system calls however much it is.

use crate::config::RelayMode;

/// So much must be certain to come for a pipe to pay: from about 16 KiB on splicing is cheaper a
/// byte, and the last read behind a spliced body, which proves that the source is dry, has to be
/// earned too.
pub const MOVE_BYTES_MIN: u64 = 32 * 1024;

/// How much is read between two chunks of a body whose last chunk was moved unseen. A size line
/// fits; what comes with it of the next chunk is copied, and should be little.
pub const BETWEEN_CHUNKS_READ_BYTES: usize = 64;

/// A body of so many bytes is worth reading only a little with its head: with less, two system calls more cost as much as the copies that they save.
pub const LARGE_BODY_BYTES_MIN: u64 = 48 * 1024;

/// How much is read where a head is awaited and a large body is expected behind it. Most heads
/// fit; what comes with them of the body is copied.
pub const HEAD_READ_BYTES: usize = 4 * 1024;

/// What the bodies behind past heads tell of the next one. A counter of two bits, as the branch
/// predictors of processors have it: one body of another size among many alike changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expectation(u8);

impl Expectation {
    const MAX: u8 = 3;

    /// A body had so many bytes, or its largest chunk did.
    pub fn note(&mut self, largest_part: u64, of_chunk: bool) {
        let large = if of_chunk { MOVE_CHUNK_BYTES_MIN } else { LARGE_BODY_BYTES_MIN };
        self.0 = match largest_part >= large {
            true => (self.0 + 1).min(Expectation::MAX),
            false => self.0.saturating_sub(1),
        };
    }

    /// How much to read where a head is awaited.
    pub fn head_read_bytes(self, mode: RelayMode) -> usize {
        let expects_large = self.0 > Expectation::MAX / 2;
        if expects_large && mode != RelayMode::Copy { HEAD_READ_BYTES } else { usize::MAX }
    }
}

/// How much may be read at once of a body that is to be read: `left` bytes are known to come next.
/// Where parts of it `were_moved` unseen, the next one is not read for the sake of the line before
/// it.
pub fn body_read_bytes(were_moved: bool, left: u64) -> usize {
    match usize::try_from(left) {
        Ok(left) if were_moved => left.saturating_add(BETWEEN_CHUNKS_READ_BYTES),
        _ => usize::MAX,
    }
}

/// The same for what is left of a chunk. Each chunk that is moved ends at a line that must be read,
/// so that nothing larger than a chunk leaves at once: with chunks of 64 KiB the many small steps
/// cost a quarter more than the copies that they save.
pub const MOVE_CHUNK_BYTES_MIN: u64 = 96 * 1024;

/// Whether the next `left` bytes of a body, all of which are certain to come, are moved unseen.
/// They are all of the body, or `of_chunk`.
///
/// `splice` and `auto` agree here: a length that is known needs no watching of the flow.
pub fn moves_unseen(mode: RelayMode, left: u64, of_chunk: bool) -> bool {
    let enough = if of_chunk { MOVE_CHUNK_BYTES_MIN } else { MOVE_BYTES_MIN };
    mode != RelayMode::Copy && left >= enough
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_worth_a_pipe_is_moved() {
        let check = |mode, left, of_chunk, expected| {
            assert_eq!(moves_unseen(mode, left, of_chunk), expected, "{left}");
        };
        for mode in [RelayMode::Splice, RelayMode::Auto] {
            for (of_chunk, enough) in [(false, MOVE_BYTES_MIN), (true, MOVE_CHUNK_BYTES_MIN)] {
                check(mode, 0, of_chunk, false);
                check(mode, enough - 1, of_chunk, false);
                check(mode, enough, of_chunk, true);
                check(mode, u64::MAX, of_chunk, true);
            }
        }
        check(RelayMode::Copy, u64::MAX, false, false);
    }

    #[test]
    fn two_large_bodies_in_a_row_are_expected_to_be_followed_by_a_third() {
        let mut expectation = Expectation::default();
        let mut check = |part: u64, expected: usize| {
            expectation.note(part, false);
            assert_eq!(expectation.head_read_bytes(RelayMode::Auto), expected);
            assert_eq!(expectation.head_read_bytes(RelayMode::Copy), usize::MAX);
        };
        check(LARGE_BODY_BYTES_MIN, usize::MAX);
        check(u64::MAX, HEAD_READ_BYTES);
        for _ in 0..10 {
            check(LARGE_BODY_BYTES_MIN, HEAD_READ_BYTES);
        }
        check(LARGE_BODY_BYTES_MIN - 1, HEAD_READ_BYTES);
        check(LARGE_BODY_BYTES_MIN, HEAD_READ_BYTES);
        check(0, HEAD_READ_BYTES);
        check(0, usize::MAX);
        let mut expectation = Expectation::default();
        (0..9).for_each(|_| expectation.note(MOVE_CHUNK_BYTES_MIN - 1, true));
        assert_eq!(expectation.head_read_bytes(RelayMode::Auto), usize::MAX, "small chunks");
    }

    #[test]
    fn between_parts_that_are_moved_little_is_read() {
        assert_eq!(body_read_bytes(false, 0), usize::MAX);
        assert_eq!(body_read_bytes(true, 0), BETWEEN_CHUNKS_READ_BYTES);
        assert_eq!(body_read_bytes(true, 100), 100 + BETWEEN_CHUNKS_READ_BYTES);
    }
}
