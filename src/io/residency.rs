//! What a worker was told a moment ago of files in memory.
//!
//! A file that many ask for is not asked after with each request: what was in memory is believed to
//! be there for [`BELIEVED_FOR`]. The kernel drops last what was used last; what it drops so soon all
//! the same a worker waits for, one read of a disk on a machine that has no memory left for anything.
//!
//! Where the kernel does not count pages for this process, it must read them to know that they are
//! there ([`crate::sys::residence`]). That pays only if the answer holds for longer,
//! [`BELIEVED_IF_READ_FOR`].

use std::time::{Duration, Instant};

use crate::http::range::ByteRange;
use crate::sys::file::{File, Identity};
use crate::sys::residence::Residence;

/// How long an answer is believed.
pub const BELIEVED_FOR: Duration = Duration::from_millis(100);

/// How long one is believed that was dear to get.
pub const BELIEVED_IF_READ_FOR: Duration = Duration::from_secs(1);

/// Blocks of files of which something is remembered; each is 1 MiB long.
pub const BLOCKS_MAX: usize = 1024;

/// Bytes in a block.
const BLOCK_BYTES: u64 = 1 << 20;

/// What a worker knows of files in memory.
#[derive(Debug, Default)]
pub struct Residency {
    /// By the block's number and file; empty until something is to be remembered.
    blocks: Vec<Option<Block>>,
    /// A file system without a disk.
    diskless: Option<Diskless>,
}

/// What was found in memory of a block of a file.
#[derive(Debug, Clone, Copy)]
struct Block {
    file: Identity,
    number: u64,
    range: ByteRange,
    until: Instant,
}

#[derive(Debug)]
struct Diskless {
    device: u64,
    until: Instant,
}

impl Residency {
    /// Whether these bytes are in memory, or were so a moment ago.
    pub fn is_cached(&mut self, file: &File, range: ByteRange, now: Instant) -> bool {
        let identity = file.identity();
        let is_diskless =
            |it: &Diskless| identity.is_some_and(|file| file.device == it.device) && now < it.until;
        if self.diskless.as_ref().is_some_and(is_diskless) {
            return true;
        }
        let start = identity.map_or(range.start, |file| self.known_until(file, range, now));
        let asked = ByteRange { start, end: range.end };
        match (file.residence(asked), identity) {
            (Residence::Missing, _) => return false,
            (Residence::Cached, Some(file)) => self.remember(file, asked, now, BELIEVED_FOR),
            (Residence::Read, Some(file)) => {
                self.remember(file, asked, now, BELIEVED_IF_READ_FOR);
            }
            (Residence::Diskless, Some(Identity { device, .. })) => {
                self.diskless = Some(Diskless { device, until: now + BELIEVED_IF_READ_FOR });
            }
            (Residence::Cached | Residence::Read | Residence::Diskless, None) => {}
        }
        true
    }

    /// Up to where the beginning of a range is known to be in memory.
    fn known_until(&self, file: Identity, range: ByteRange, now: Instant) -> u64 {
        let known = |part: &ByteRange| {
            let known = self.block(file, part.start / BLOCK_BYTES, now)?;
            let begins = known.range.start <= part.start && part.start < known.range.end;
            begins.then_some(known.range.end)
        };
        let mut start = range.start;
        for part in in_blocks(range) {
            match known(&part) {
                Some(end) if end >= part.end => start = part.end,
                Some(end) => return end,
                None => break,
            }
        }
        start
    }

    fn remember(&mut self, file: Identity, range: ByteRange, now: Instant, time: Duration) {
        self.blocks.resize(BLOCKS_MAX, None);
        for part in in_blocks(range) {
            let number = part.start / BLOCK_BYTES;
            let block = match self.block(file, number, now) {
                // What was found before comes to its end before.
                Some(known) if known.range.end == part.start => {
                    Block { range: ByteRange { end: part.end, ..known.range }, ..*known }
                }
                _ => Block { file, number, range: part, until: now + time },
            };
            self.blocks[place(file, number)] = Some(block);
        }
    }

    fn block(&self, file: Identity, number: u64, now: Instant) -> Option<&Block> {
        let block = self.blocks.get(place(file, number))?.as_ref()?;
        (block.file == file && block.number == number && now < block.until).then_some(block)
    }
}

/// Where a block stands: those of one file beside each other.
fn place(file: Identity, number: u64) -> usize {
    /// Spreads inodes that follow each other (Knuth, volume 3, section 6.4).
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let spread = (file.inode ^ file.device.rotate_left(32)).wrapping_mul(SPREAD) >> 32;
    (spread.wrapping_add(number) % BLOCKS_MAX as u64) as usize
}

/// A range, cut where blocks begin.
fn in_blocks(range: ByteRange) -> impl Iterator<Item = ByteRange> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let end = (start / BLOCK_BYTES + 1).saturating_mul(BLOCK_BYTES).min(range.end);
        let part = ByteRange { start, end };
        start = end;
        (part.start < part.end).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Identity = Identity { device: 1, inode: 2 };
    const MIB: u64 = BLOCK_BYTES;

    #[test]
    fn what_was_found_is_believed_for_a_moment() {
        let now = Instant::now();
        let mut residency = Residency::default();
        let range = |start, end| ByteRange { start, end };
        let known = |residency: &Residency, start, end, now| {
            residency.known_until(FILE, range(start, end), now)
        };
        assert_eq!(known(&residency, 5, 10, now), 5);
        residency.remember(FILE, range(10, 2 * MIB + 10), now, BELIEVED_FOR);
        assert_eq!(known(&residency, 5, 10, now), 5);
        assert_eq!(known(&residency, 10, 20, now), 20);
        assert_eq!(known(&residency, 500, 3 * MIB, now), 2 * MIB + 10);
        // A reader that gets on asks for what is new, and no more.
        let later = now + BELIEVED_FOR / 2;
        residency.remember(FILE, range(2 * MIB + 10, 2 * MIB + 30), later, BELIEVED_FOR);
        assert_eq!(known(&residency, 2 * MIB, 3 * MIB, later), 2 * MIB + 30);
        assert_eq!(known(&residency, 0, 3 * MIB, now + BELIEVED_FOR), 0);
        let other = Identity { inode: 3, ..FILE };
        assert_eq!(residency.known_until(other, range(10, 20), now), 10);
        // Others take its place, and no more memory.
        for inode in 0..5000 {
            residency.remember(Identity { device: 1, inode }, range(0, 1), now, BELIEVED_FOR);
        }
        assert_eq!(residency.blocks.len(), BLOCKS_MAX);
    }

    #[test]
    fn a_range_is_cut_where_blocks_begin() {
        let cut = |start, end| -> Vec<(u64, u64)> {
            in_blocks(ByteRange { start, end }).map(|part| (part.start, part.end)).collect()
        };
        assert_eq!(cut(3, 3), []);
        assert_eq!(cut(3, MIB), [(3, MIB)]);
        assert_eq!(cut(3, 2 * MIB + 1), [(3, MIB), (MIB, 2 * MIB), (2 * MIB, 2 * MIB + 1)]);
        assert_eq!(cut(u64::MAX - 1, u64::MAX), [(u64::MAX - 1, u64::MAX)]);
    }
}
