//! Where the process comes from, and how it can go on.

use std::os::unix::net::UnixStream;

use crate::sys::successor::Program;

/// What an upgrade needs, from either side. By default nothing: a process that cannot be upgraded.
#[derive(Debug, Default)]
pub struct Lineage {
    /// How to start the next process; `None` where that is not known.
    pub program: Option<Program>,
    /// The connection to the process before this one, where this one is to take its place.
    pub predecessor: Option<UnixStream>,
}
