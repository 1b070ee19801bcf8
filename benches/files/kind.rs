//! The sizes of files, and what is measured of each.

use std::fmt;

use crate::rig::kind::{self, Column, column, show_bytes, show_connections};

/// A file of so many bytes, which every client asks for again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    pub bytes: usize,
}

/// Sizes of files.
pub const FILE_BYTES: [usize; 4] = [1 << 10, 64 << 10, 1 << 20, 1 << 30];

impl Kind {
    /// Every size.
    pub fn all() -> Vec<Kind> {
        FILE_BYTES.map(|bytes| Kind { bytes }).into()
    }

    /// Over how many connections at once.
    pub fn connections(self) -> usize {
        match self.bytes {
            ..1_048_576 => 64,
            1_048_576 => 16,
            _ => 4,
        }
    }
}

/// Index of the CPU time for each GiB.
pub const CPU_PER_GIB: usize = 1;

const COLUMNS: [Column; 5] = [
    column("cpu_microseconds_per_request", "CPU us/request", 1),
    column("cpu_seconds_per_gib", "CPU s/GiB", 3),
    column("gib_per_second", "GiB/s", 2),
    column("p50_microseconds", "p50 us", 0),
    column("p99_microseconds", "p99 us", 0),
];

impl kind::Kind for Kind {
    fn title(self) -> String {
        let over = show_connections(self.connections());
        format!("Files of {}, {over}", show_bytes(self.bytes))
    }

    fn columns(self) -> &'static [Column] {
        &COLUMNS
    }

    fn compares_cpu(self) -> bool {
        true
    }

    fn explanation(self) -> Option<&'static str> {
        None
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("file-{}", self.bytes))
    }
}
