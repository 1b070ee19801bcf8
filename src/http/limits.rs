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

    /// These limits, or the sentence that says which of them cannot be.
    ///
    /// # Errors
    /// When one is out of its range, or a target that is allowed would not fit into a head that
    /// is.
    pub fn checked(self) -> Result<HeadLimits, String> {
        within("the size of a head", self.head_size, &Self::HEAD_SIZE)?;
        within("the number of fields", self.fields_max, &Self::FIELDS)?;
        within("the size of a request-target", self.target_size, &Self::TARGET_SIZE)?;
        if self.target_size > self.head_size {
            return Err("a request-target cannot be longer than the head that it is in".to_owned());
        }
        Ok(self)
    }
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

    /// These limits, or the sentence that says which of them cannot be.
    ///
    /// # Errors
    /// When one is out of its range.
    pub fn checked(self) -> Result<ChunkLimits, String> {
        within("the size of a chunk's extensions", self.extension_size, &Self::EXTENSION_SIZE)?;
        within("the size of all extensions", self.extensions_size, &Self::EXTENSION_SIZE)?;
        within("the size of a trailer section", self.trailer_size, &Self::TRAILER_SIZE)?;
        within("the number of trailer fields", self.trailer_fields_max, &HeadLimits::FIELDS)?;
        Ok(self)
    }
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

fn within(what: &str, found: usize, range: &RangeInclusive<usize>) -> Result<(), String> {
    match range.contains(&found) {
        true => Ok(()),
        false => Err(format!("{what} is {found}; expected {} to {}", range.start(), range.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_bounds() {
        assert!(HeadLimits::default().checked().is_ok());
        assert!(ChunkLimits::default().checked().is_ok());
    }

    #[test]
    fn what_cannot_be_is_said() {
        let check = |limits: HeadLimits, expected: &str| {
            let error = limits.checked().unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        let default = HeadLimits::default();
        check(HeadLimits { head_size: 10, ..default }, "a head is 10; expected 1024 to");
        check(HeadLimits { fields_max: 0, ..default }, "the number of fields is 0");
        check(HeadLimits { target_size: 40 << 10, ..default }, "longer than the head");
        let limits = ChunkLimits { trailer_size: 1, ..ChunkLimits::default() };
        assert!(limits.checked().unwrap_err().contains("trailer section is 1"));
    }
}
