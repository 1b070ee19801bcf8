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

/// Whether the next `left` bytes of a body, all of which are certain to come, are moved unseen.
///
/// `splice` and `auto` agree here: a length that is known needs no watching of the flow.
pub fn moves_unseen(mode: RelayMode, left: u64) -> bool {
    mode != RelayMode::Copy && left >= MOVE_BYTES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_worth_a_pipe_is_moved() {
        let check = |mode, left, expected| assert_eq!(moves_unseen(mode, left), expected, "{left}");
        for mode in [RelayMode::Splice, RelayMode::Auto] {
            check(mode, 0, false);
            check(mode, MOVE_BYTES_MIN - 1, false);
            check(mode, MOVE_BYTES_MIN, true);
            check(mode, u64::MAX, true);
        }
        check(RelayMode::Copy, u64::MAX, false);
    }
}
