//! The memory of a worker through which records of TLS pass: opened in one buffer, sealed into the
//! other. A worker that never meets TLS has neither.

use std::time::Instant;

use crate::tls::session::RECORD_OVERHEAD_MAX;

/// The most that a record may take on the wire (RFC 8446, section 5.2; RFC 5246, section 6.2.3).
pub const RECORD_BYTES_MAX: usize = 5 + 16 * 1024 + 2048;

/// Bytes of the buffer that records are read into: room for what a read brings, behind the
/// beginning of a record that came before.
pub const INCOMING_BYTES: usize = 64 * 1024 + RECORD_BYTES_MAX;

/// Bytes of the buffer that records are sealed into: what one read has brought, in records of a
/// segment each.
pub const OUTGOING_BYTES: usize = 80 * 1024;

const _: () = assert!(OUTGOING_BYTES > 64 * 1024 + RECORD_OVERHEAD_MAX * 128);

/// Both buffers, and the time of the turn.
#[derive(Debug)]
pub struct RecordBuffers {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    joined: Vec<u8>,
    now: Instant,
}

impl Default for RecordBuffers {
    fn default() -> RecordBuffers {
        RecordBuffers {
            incoming: Vec::new(),
            outgoing: Vec::new(),
            joined: Vec::new(),
            now: Instant::now(),
        }
    }
}

/// The buffers, to be used.
#[derive(Debug)]
pub struct Lent<'a> {
    /// Where records are read into.
    pub incoming: &'a mut [u8],
    /// Where records are sealed into.
    pub outgoing: &'a mut [u8],
    /// Where parts of plaintext are joined.
    pub joined: &'a mut Vec<u8>,
    /// The time of the turn.
    pub now: Instant,
}

impl RecordBuffers {
    /// A turn begins.
    pub fn begin_turn(&mut self, now: Instant) {
        self.now = now;
    }

    /// Both buffers.
    pub fn lend(&mut self) -> Lent<'_> {
        self.incoming.resize(INCOMING_BYTES, 0);
        self.outgoing.resize(OUTGOING_BYTES, 0);
        self.joined.clear();
        let Self { incoming, outgoing, joined, now } = self;
        Lent { incoming, outgoing, joined, now: *now }
    }
}
