//! What of files was found in memory a moment ago, so that a file that many ask for is not asked
//! after with each request.
//!
//! The kernel drops last what was used last. What it drops within [`AGE_MAX`] all the same a worker
//! waits for: one read of a disk, on a machine that has no memory left for anything.

use std::time::{Duration, Instant};

use crate::files::FileStatus;
use crate::http::range::ByteRange;

/// How long a window counts as being in memory after it was found there.
pub const AGE_MAX: Duration = Duration::from_millis(100);

/// Windows that a worker remembers; each has one place, from which it drives whichever was there.
pub const WINDOWS_MAX: usize = 1024;

/// A window of a file, and when it was in memory.
#[derive(Debug, Clone, Copy)]
struct Seen {
    file: FileStatus,
    range: ByteRange,
    at: Instant,
}

/// The windows that a worker remembers.
#[derive(Debug)]
pub struct HotWindows {
    seen: Box<[Option<Seen>]>,
}

impl Default for HotWindows {
    fn default() -> HotWindows {
        HotWindows { seen: vec![None; WINDOWS_MAX].into() }
    }
}

impl HotWindows {
    /// Whether a range of a file was in memory a moment ago.
    pub fn contains(&self, file: &FileStatus, range: ByteRange, now: Instant) -> bool {
        self.seen[place(file, range)].is_some_and(|seen| {
            now.saturating_duration_since(seen.at) < AGE_MAX
                && seen.range.start <= range.start
                && range.end <= seen.range.end
                && seen.file == *file
        })
    }

    /// A range of a file is in memory.
    pub fn insert(&mut self, file: &FileStatus, range: ByteRange, now: Instant) {
        self.seen[place(file, range)] = Some(Seen { file: *file, range, at: now });
    }
}

/// By where it ends: a window that was sent in part is asked for again by what is left of it.
fn place(file: &FileStatus, range: ByteRange) -> usize {
    /// 2^64 divided by the golden ratio: neighbours do not meet (Knuth, volume 3, section 6.4).
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = (file.inode ^ range.end.rotate_left(40)).wrapping_mul(SPREAD);
    (mixed >> (u64::BITS - WINDOWS_MAX.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: ByteRange = ByteRange { start: 100, end: 200 };

    #[test]
    fn what_was_seen_is_remembered_for_a_moment() {
        let (mut hot, now) = (HotWindows::default(), Instant::now());
        let file = FileStatus { size: 1000, inode: 7, ..FileStatus::default() };
        assert!(!hot.contains(&file, WINDOW, now));
        hot.insert(&file, WINDOW, now);
        let check =
            |file: &FileStatus, start, end, at| hot.contains(file, ByteRange { start, end }, at);
        assert!(check(&file, 100, 200, now) && check(&file, 150, 200, now));
        assert!(!check(&file, 99, 200, now) && !check(&file, 100, 201, now));
        assert!(!check(&file, 100, 200, now + AGE_MAX));
        assert!(!check(&FileStatus { inode: 8, ..file }, 100, 200, now));
        assert!(!check(&FileStatus { modified: 1, ..file }, 100, 200, now), "another version");
    }

    #[test]
    fn many_files_take_no_more_room_than_there_is() {
        let (mut hot, now) = (HotWindows::default(), Instant::now());
        let file = |inode| FileStatus { inode, ..FileStatus::default() };
        (0..10_000).for_each(|inode| hot.insert(&file(inode), WINDOW, now));
        let left = (0..10_000).filter(|inode| hot.contains(&file(*inode), WINDOW, now)).count();
        assert!((WINDOWS_MAX / 2..=WINDOWS_MAX).contains(&left), "{left}");
    }
}
