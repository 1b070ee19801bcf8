//! How much of a message that is not its body may there be: every growth has a bound.

use std::ops::RangeInclusive;

const KIB: usize = 1 << 10;

/// Bounds of a head, of a request or of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of a whole head, with its start line and the empty line at its end.
    pub head_size: usize,
    /// Field lines of a head.
    pub fields_max: usize,
    /// Bytes of a request-target.
    pub target_size: usize,
}

impl HeadLimits {
    /// What [`HeadLimits::head_size`] may be, in bytes. A head is read into one buffer.
    pub const HEAD_SIZE: RangeInclusive<usize> = KIB..=1024 * KIB;

    /// What [`HeadLimits::fields_max`] may be: the parser's places for fields are on the stack.
    pub const FIELDS: RangeInclusive<usize> = 1..=512;

    /// What [`HeadLimits::target_size`] may be, in bytes.
    pub const TARGET_SIZE: RangeInclusive<usize> = 256..=1024 * KIB;
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits { head_size: 32 * KIB, fields_max: 100, target_size: 8 * KIB }
    }
}

/// Bounds of what a chunked body carries besides its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Bytes of the extensions of one chunk.
    pub extension_size: usize,
    /// Bytes of the extensions of all chunks of one message.
    pub extensions_size: usize,
    /// Bytes of a trailer section, with the empty line at its end.
    pub trailer_size: usize,
    /// Field lines of a trailer section.
    pub trailer_fields_max: usize,
}

impl ChunkLimits {
    /// What [`ChunkLimits::extension_size`] and [`ChunkLimits::extensions_size`] may be, in bytes.
    pub const EXTENSION_SIZE: RangeInclusive<usize> = 0..=1024 * KIB;

    /// What [`ChunkLimits::trailer_size`] may be, in bytes: at least an empty line.
    pub const TRAILER_SIZE: RangeInclusive<usize> = 2..=1024 * KIB;
}

impl Default for ChunkLimits {
    fn default() -> ChunkLimits {
        ChunkLimits {
            extension_size: KIB,
            extensions_size: 16 * KIB,
            trailer_size: 8 * KIB,
            trailer_fields_max: HeadLimits::default().fields_max,
        }
    }
}
