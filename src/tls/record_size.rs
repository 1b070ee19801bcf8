//! How much plaintext goes into one record.
//!
//! A record can be read only once all of it is there. At the start of a response, while the
//! sender may put only a few segments on the wire, a record of 16 KiB keeps its first byte back
//! for a whole round trip; one that fits a segment does not. Where bytes flow in bulk, full
//! records cost the least.

use std::time::{Duration, Instant};

/// What fits a segment of 1448 bytes together with the longest frame that a record has (29 bytes,
/// for AES-GCM in TLS 1.2), with room for options of TCP.
pub const SEGMENT_BYTES: usize = 1369;

/// About three segments.
pub const GROWING_BYTES: usize = 4096;

/// The most that a record may carry (RFC 8446, section 5.1).
pub const FULL_BYTES: usize = 16 * 1024;

/// So much goes out in records of a segment each.
const SEGMENTS_UNTIL: u64 = 4 * SEGMENT_BYTES as u64;

/// After so much in a run, records are full.
const GROWING_UNTIL: u64 = 64 * 1024;

/// After so long without a byte the sender begins slowly again, as TCP does (RFC 5681, section
/// 4.1).
pub const PAUSE: Duration = Duration::from_secs(1);

/// The size of the records of one direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordSize {
    /// Bytes since the last start.
    run: u64,
    last_at: Option<Instant>,
}

impl RecordSize {
    /// The peer has spoken: what follows is the start of an answer.
    pub fn on_dialogue(&mut self) {
        self.run = 0;
    }

    /// Bytes are about to be sent.
    pub fn on_send(&mut self, now: Instant) {
        let is_pause = |last| now.saturating_duration_since(last) >= PAUSE;
        if self.last_at.is_some_and(is_pause) {
            self.run = 0;
        }
        self.last_at = Some(now);
    }

    /// The most that the next record should carry, in bytes of plaintext.
    pub fn next(&self) -> usize {
        match self.run {
            run if run < SEGMENTS_UNTIL => SEGMENT_BYTES,
            run if run < GROWING_UNTIL => GROWING_BYTES,
            _ => FULL_BYTES,
        }
    }

    /// A record has gone out.
    pub fn on_record(&mut self, bytes: usize) {
        self.run = self.run.saturating_add(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(size: &mut RecordSize, bytes: usize) -> Vec<usize> {
        let mut left = bytes;
        let mut sizes = Vec::new();
        while left > 0 {
            let next = size.next().min(left);
            size.on_record(next);
            sizes.push(next);
            left -= next;
        }
        sizes
    }

    #[test]
    fn records_grow_and_begin_small_again() {
        let start = Instant::now();
        let mut size = RecordSize::default();
        size.on_send(start);
        let grown = sizes(&mut size, 256 * 1024);
        assert_eq!(grown[..4], [SEGMENT_BYTES; 4]);
        assert_eq!(grown[4], GROWING_BYTES);
        assert_eq!(grown[grown.len() - 2], FULL_BYTES);
        size.on_send(start + PAUSE / 2);
        assert_eq!(size.next(), FULL_BYTES);
        size.on_send(start + PAUSE * 2);
        assert_eq!(size.next(), SEGMENT_BYTES, "after a pause");
        sizes(&mut size, 256 * 1024);
        size.on_dialogue();
        assert_eq!(size.next(), SEGMENT_BYTES, "after the peer has spoken");
    }
}
