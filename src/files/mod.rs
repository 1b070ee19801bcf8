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

impl FileStatus {
    /// By what a client may know this version of the file again.
    pub fn tag(&self) -> EntityTag {
        EntityTag::of_file(self.modified, self.nanoseconds, self.size, self.inode)
    }
}
