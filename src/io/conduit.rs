//! Where a lane's bytes are between its source and its sink.
//!
//! ```text
//!   Empty ──Fill(Splice)──▶ Pipe ───drained, end of turn──▶ back to the pool, Empty
//!     └─────Fill(Copy)────▶ Scratch ──drained──▶ Empty
//!                              ├──sink full──▶ Stuck ──drained──▶ Empty
//!                              └──encrypted, sink full──▶ Sealed ──drained──▶ Empty
//! ```
//!
//! Bytes for a TLS session are encrypted when its socket may take them, never before; what it then
//! does not take stays encrypted, since a record can be sealed only once.
//!
//! The scratch buffer belongs to the worker and serves all connections in turn; only what the
//! sink did not take is moved into memory of the connection's own.

use std::io::IoSlice;

use crate::capacity::PIPE_BYTES_UNPROVEN_MAX;
use crate::error::FallbackReason;
use crate::io::kernel::{Kernel, PipeState};
use crate::io::pipe_pool::PipePool;
use crate::io::record_buffers::RecordBuffers;

/// Bytes of the buffer through which a worker copies. Larger ones gain nothing on loopback and
/// fall out of the CPU's second-level cache.
pub const SCRATCH_BYTES: usize = 64 * 1024;

/// Reads shrink to this while `relay.buffer_memory` is spent.
pub const READ_BYTES_WHEN_SPENT: usize = 4 * 1024;

/// What holds the bytes of one lane.
#[derive(Debug)]
pub enum Conduit<P> {
    /// Nothing is held.
    Empty,
    /// A pipe, taken from the pool as one of this size.
    Pipe {
        /// The pipe.
        pipe: P,
        /// The size that it was asked for with.
        size: u32,
    },
    /// The worker's scratch buffer, from `start` to `end`. Only while its lane runs.
    Scratch {
        /// The first byte that is not delivered yet.
        start: usize,
        /// Past the last byte.
        end: usize,
    },
    /// Memory of the connection's own, of which `sent` bytes are delivered.
    Stuck {
        /// What was read.
        bytes: Box<[u8]>,
        /// How much of it the sink has taken.
        sent: usize,
    },
    /// The same for a sink that is a TLS session: bytes that are encrypted already.
    Sealed(SealedBytes),
}

/// Records that a socket has not taken, or not all of them.
#[derive(Debug, Default)]
pub struct SealedBytes {
    records: Vec<u8>,
    sent: usize,
    plaintext: usize,
    delivered: usize,
}

impl SealedBytes {
    /// More records, in which there are so many bytes of plaintext.
    pub fn append(&mut self, records: &[u8], plaintext: usize) {
        self.records.extend_from_slice(records);
        self.plaintext += plaintext;
    }

    /// What is to be sent next.
    pub fn unsent(&self) -> &[u8] {
        &self.records[self.sent..]
    }

    /// The socket has taken so much of it. Returns how many bytes of plaintext that delivers: as
    /// large a part of it, and with the last byte all that is left.
    pub fn took(&mut self, bytes: usize) -> usize {
        self.sent += bytes;
        let part = self.plaintext as u128 * self.sent as u128 / self.records.len().max(1) as u128;
        // Records that came behind others may carry less, which makes the part smaller than it was.
        let delivered = usize::try_from(part).unwrap_or(self.plaintext).max(self.delivered);
        delivered - std::mem::replace(&mut self.delivered, delivered)
    }

    /// Bytes of plaintext that are not delivered.
    pub fn held(&self) -> usize {
        self.plaintext - self.delivered
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.records.len()
    }
}

impl<P: PipeState> Conduit<P> {
    /// Bytes held.
    pub fn held(&self) -> usize {
        match self {
            Conduit::Empty => 0,
            Conduit::Pipe { pipe, .. } => pipe.held(),
            Conduit::Scratch { start, end } => end - start,
            Conduit::Stuck { bytes, sent } => bytes.len() - sent,
            Conduit::Sealed(sealed) => sealed.held(),
        }
    }

    /// Whether the sink may be in the middle of a record, so that nothing else must be sent.
    pub fn is_sealed(&self) -> bool {
        matches!(self, Conduit::Sealed(_))
    }
}

/// What the connections of a worker draw on to move bytes.
#[derive(Debug)]
pub struct Supplies<K: Kernel> {
    /// Pipes.
    pub pipes: PipePool<K>,
    /// The buffer through which bytes are copied.
    pub scratch: Box<[u8]>,
    /// Memory held by [`Conduit::Stuck`], and by what HTTP has read ahead, in bytes.
    pub stuck_bytes: u64,
    /// Past so much of it reads shrink.
    pub stuck_bytes_max: u64,
    /// Bytes in pipes between turns.
    pub piped_bytes: u64,
    /// The process was refused splice: nobody tries again.
    pub splice_unavailable: bool,
    /// Where records of TLS are opened and sealed.
    pub records: RecordBuffers,
}

impl<K: Kernel> Supplies<K> {
    /// Supplies within bounds, in bytes.
    pub fn new(pipe_memory_max: u64, stuck_bytes_max: u64) -> Supplies<K> {
        Supplies {
            pipes: PipePool::new(pipe_memory_max),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            stuck_bytes: 0,
            stuck_bytes_max,
            piped_bytes: 0,
            splice_unavailable: false,
            records: RecordBuffers::default(),
        }
    }

    /// A pipe of `size` bytes, or of less where there is no room for that.
    ///
    /// # Errors
    /// Why no pipe can be had.
    pub fn pipe_conduit(
        &mut self,
        kernel: &mut K,
        size: u32,
    ) -> Result<Conduit<K::Pipe>, FallbackReason> {
        if self.splice_unavailable {
            return Err(FallbackReason::Unavailable);
        }
        let smaller = size.min(PIPE_BYTES_UNPROVEN_MAX);
        let (pipe, size) = match self.pipes.take(kernel, size) {
            Ok(pipe) => (pipe, size),
            // A smaller pipe is better than none.
            Err(FallbackReason::PipeMemory) if smaller < size => {
                (self.pipes.take(kernel, smaller)?, smaller)
            }
            Err(reason) => return Err(reason),
        };
        Ok(Conduit::Pipe { pipe, size })
    }

    /// How much a copying read may bring.
    pub fn read_bytes_max(&self) -> usize {
        if self.stuck_bytes < self.stuck_bytes_max { SCRATCH_BYTES } else { READ_BYTES_WHEN_SPENT }
    }

    /// Ends the run of a lane: what is empty goes back, what is left in the scratch buffer gets memory of
    /// its own, and what stays held is accounted for.
    pub fn park(&mut self, conduit: &mut Conduit<K::Pipe>) {
        *conduit = match std::mem::replace(conduit, Conduit::Empty) {
            Conduit::Pipe { pipe, size } if pipe.held() == 0 => {
                self.pipes.put_back(size, pipe);
                Conduit::Empty
            }
            Conduit::Scratch { start, end } if start < end => {
                Conduit::Stuck { bytes: self.scratch[start..end].into(), sent: 0 }
            }
            Conduit::Stuck { bytes, sent } if sent < bytes.len() => Conduit::Stuck { bytes, sent },
            Conduit::Sealed(sealed) if !sealed.unsent().is_empty() => Conduit::Sealed(sealed),
            Conduit::Pipe { pipe, size } => Conduit::Pipe { pipe, size },
            Conduit::Empty
            | Conduit::Scratch { .. }
            | Conduit::Stuck { .. }
            | Conduit::Sealed(_) => Conduit::Empty,
        };
        self.count(conduit, u64::wrapping_add);
    }

    /// Puts what of `parts` follows their first `sent` bytes behind what a parked conduit holds in
    /// memory.
    pub fn stick(&mut self, conduit: &mut Conduit<K::Pipe>, parts: &[IoSlice<'_>], sent: usize) {
        self.unpark(conduit);
        let mut bytes = match std::mem::replace(conduit, Conduit::Empty) {
            Conduit::Stuck { bytes, sent } => bytes[sent..].to_vec(),
            Conduit::Empty
            | Conduit::Pipe { .. }
            | Conduit::Scratch { .. }
            | Conduit::Sealed(_) => Vec::new(),
        };
        let mut skip = sent;
        for part in parts {
            let skipped = skip.min(part.len());
            bytes.extend_from_slice(&part[skipped..]);
            skip -= skipped;
        }
        *conduit = Conduit::Stuck { bytes: bytes.into(), sent: 0 };
        self.park(conduit);
    }

    /// Begins the run of a lane: the opposite of [`Supplies::park`].
    pub fn unpark(&mut self, conduit: &Conduit<K::Pipe>) {
        self.count(conduit, u64::wrapping_sub);
    }

    fn count(&mut self, conduit: &Conduit<K::Pipe>, change: fn(u64, u64) -> u64) {
        match conduit {
            Conduit::Pipe { pipe, .. } => {
                self.piped_bytes = change(self.piped_bytes, pipe.held() as u64);
            }
            // The memory stays until the last byte is out.
            Conduit::Stuck { bytes, .. } => {
                self.stuck_bytes = change(self.stuck_bytes, bytes.len() as u64);
            }
            Conduit::Sealed(sealed) => {
                self.stuck_bytes = change(self.stuck_bytes, sealed.memory() as u64);
            }
            Conduit::Empty | Conduit::Scratch { .. } => {}
        }
    }

    /// Takes back what a connection that has ended still holds. A pipe with bytes in it is
    /// closed.
    pub fn release(&mut self, conduit: Conduit<K::Pipe>) {
        self.unpark(&conduit);
        if let Conduit::Pipe { pipe, size } = conduit {
            self.pipes.put_back(size, pipe);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_stays_so_when_small_records_follow() {
        let mut sealed = SealedBytes::default();
        sealed.append(&[0; 1022], 1000);
        let mut delivered = sealed.took(1000);
        // Records of a byte each are overhead for the most part.
        for _ in 0..10 {
            sealed.append(&[0; 23], 1);
            delivered += sealed.took(1);
            assert_eq!(sealed.held(), sealed.plaintext - delivered);
            assert!(sealed.held() > 0, "something is left to be sent");
        }
        delivered += sealed.took(sealed.unsent().len());
        assert_eq!((delivered, sealed.held()), (1010, 0));
    }
}
