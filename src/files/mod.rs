//! Files as bodies, without I/O: which file a request means, what its answer is, and what of it is
//! still to be sent.
//!
//! ```text
//!   path of the request ─▶ relative_path ─▶ lookup ── asks a Tree ──▶ Found
//!                                                                      │
//!        listing ◀── a directory ──────────────────────────────────────┤
//!        answer  ◀── a file: conditions, ranges ───────────────────────┘
//!           └──▶ body: the pieces, one after the other
//! ```
//!
//! A tree is asked twice at most: once by the worker, for what the kernel has in memory, and if it
//! would have to wait, by a thread that may ([`crate::io::file_threads`]). The two are the same
//! function over different trees, so they cannot come to different answers.

pub mod answer;
pub mod body;
pub mod error_pages;
pub mod listing;
pub mod lookup;
pub mod media_type;
pub mod relative_path;

use crate::http::conditional::Validators;
use crate::http::entity_tag::EntityTag;

/// What is known of a file that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileStatus {
    /// Bytes in it.
    pub size: u64,
    /// When it was modified: seconds since the beginning of 1970; 0 for before.
    pub modified: u64,
    /// The nanoseconds behind that.
    pub nanoseconds: u32,
    /// Its inode.
    pub inode: u64,
}

/// How long after its modification, in seconds, a file can be told by its time from what it was
/// before and may yet become: that second is over, and so is the tick of the kernel's clock, which
/// is some milliseconds.
const SETTLED_AFTER: u64 = 2;

impl FileStatus {
    /// By what a client may know this version of the file again. One that was modified just now, or
    /// in the future, may be modified again without its time showing it.
    pub fn validators(&self, now: u64) -> Validators {
        let tag = EntityTag::of_file(self.modified, self.nanoseconds, self.size, self.inode);
        let is_settled = self.modified.saturating_add(SETTLED_AFTER) <= now;
        let tag = if is_settled { tag } else { tag.weak() };
        Validators { tag, modified: self.modified.min(now), is_settled, now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_settles() {
        let status = FileStatus { size: 1, modified: 100, nanoseconds: 0, inode: 2 };
        let check = |now: u64, modified: u64, is_settled: bool| {
            let found = status.validators(now);
            assert_eq!((found.modified, found.is_settled), (modified, is_settled), "{now}");
            assert_eq!(found.tag.as_bytes().starts_with(b"W/"), !is_settled, "{now}");
        };
        check(50, 50, false);
        check(100, 100, false);
        check(101, 100, false);
        check(102, 100, true);
        let never = FileStatus { modified: u64::MAX, ..status };
        assert!(!never.validators(u64::MAX - 1).is_settled);
    }
}
