//! Where the process comes from, and what it can hand on.

use std::os::unix::net::UnixStream;

use crate::listen::HeldSocket;
use crate::sys::successor::Program;

/// What an upgrade needs, from either side. By default nothing: a process that cannot be upgraded.
#[derive(Debug, Default)]
pub struct Lineage {
    /// How to start the next process; `None` where that is not known.
    pub program: Option<Program>,
    /// What clients connect to, once more. Closed when the process drains, or clients would go on
    /// to connect to what nobody accepts from.
    pub sockets: Vec<HeldSocket>,
    /// The connection to the process before this one, where this one is to take its place.
    pub predecessor: Option<UnixStream>,
}

/// How the process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, and has drained.
    Drained,
    /// A successor serves in its place, with its sockets and their files.
    HandedOver,
}
