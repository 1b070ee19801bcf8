//! What lines of both kinds say of the bytes that moved.

use std::io::{self, Write};

use crate::error::{BytesByPath, Direction, FallbackReason, Path};

/// Bytes and the ways that they took.
#[derive(Debug, Clone, Copy)]
pub struct Traffic<'a> {
    /// Bytes delivered, indexed by [`Direction::index`], then by [`Path::index`].
    pub bytes: [BytesByPath; 2],
    /// Why bytes were copied although splice was asked for, each reason once.
    pub fallbacks: &'a [FallbackReason],
}

/// Bytes of one direction.
pub(super) struct Bytes {
    pub(super) sum: u64,
    spliced: u64,
    copied: u64,
    sent_from_files: u64,
}

impl Traffic<'_> {
    pub(super) fn bytes(&self, direction: Direction) -> Bytes {
        let by_path = self.bytes[direction.index()];
        let of = |path: Path| by_path[path.index()];
        Bytes {
            sum: by_path.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes)),
            spliced: of(Path::Splice),
            copied: of(Path::Copy),
            sent_from_files: of(Path::Sendfile),
        }
    }

    /// The keys of both directions and `fallbacks`.
    pub(super) fn write_json(&self, line: &mut Vec<u8>) -> io::Result<()> {
        for direction in Direction::ALL {
            let (label, bytes) = (direction.label(), self.bytes(direction));
            write!(line, ",\"{label}_bytes\":{}", bytes.sum)?;
            write!(line, ",\"{label}_bytes_spliced\":{}", bytes.spliced)?;
            write!(line, ",\"{label}_bytes_copied\":{}", bytes.copied)?;
            // Nothing of a client is ever a file.
            if direction == Direction::Downstream {
                write!(line, ",\"{label}_bytes_sendfile\":{}", bytes.sent_from_files)?;
            }
        }
        line.extend_from_slice(b",\"fallbacks\":[");
        for (index, reason) in self.fallbacks.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(line, "{comma}\"{}\"", reason.label())?;
        }
        line.push(b']');
        Ok(())
    }

    /// From ` up=` to `fallbacks=A,B`.
    pub(super) fn write_combined(&self, line: &mut Vec<u8>) -> io::Result<()> {
        for (name, direction) in [("up", Direction::Upstream), ("down", Direction::Downstream)] {
            let Bytes { sum, spliced, copied, sent_from_files } = self.bytes(direction);
            write!(line, " {name}={sum} {name}_spliced={spliced} {name}_copied={copied}")?;
            if direction == Direction::Downstream {
                write!(line, " {name}_sendfile={sent_from_files}")?;
            }
        }
        line.extend_from_slice(b" fallbacks=");
        for (index, reason) in self.fallbacks.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(line, "{comma}{}", reason.label())?;
        }
        if self.fallbacks.is_empty() {
            line.push(b'-');
        }
        Ok(())
    }
}
