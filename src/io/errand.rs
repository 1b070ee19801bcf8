//! What a worker has done by a thread that may wait for a disk, and how it hears of it.

use std::io;
use std::sync::{Arc, Weak};

use crate::config::files::Files;
use crate::files::lookup::{Found, Wanted};
use crate::http::range::ByteRange;
use crate::id::ConnectionId;

/// What is to be done for a connection, and may take its time.
#[derive(Debug)]
pub enum Errand<F> {
    /// Find a file.
    LookUp(Wanted),
    /// Read some of a file into memory.
    ReadAhead {
        /// The file. It comes back.
        file: F,
        /// Which bytes.
        range: ByteRange,
        /// The route that it belongs to.
        files: Arc<Files>,
    },
}

impl<F> Errand<F> {
    /// The route that it is done for.
    pub fn files(&self) -> &Files {
        match self {
            Errand::LookUp(wanted) => &wanted.files,
            Errand::ReadAhead { files, .. } => files,
        }
    }
}

/// Held by whoever waits for an errand. Once it is dropped, the errand need not be done any more.
#[derive(Debug, Default)]
pub struct Claim(Arc<()>);

/// Tells whether there is a claim still.
#[derive(Debug)]
pub struct Witness(Weak<()>);

impl Claim {
    /// For whoever does the errand.
    pub fn witness(&self) -> Witness {
        Witness(Arc::downgrade(&self.0))
    }
}

impl Witness {
    /// Whether anybody waits for the errand.
    pub fn is_claimed(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome<F> {
    /// What was found.
    LookedUp(io::Result<Found<F>>),
    /// Whether the bytes are in memory now.
    ReadAhead {
        /// The file.
        file: F,
        /// The disk may have failed.
        result: io::Result<()>,
    },
}

/// For whom it is done. A connection that has given up waiting knows by the number that the
/// outcome is none of its business any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The connection.
    pub connection: ConnectionId,
    /// Counts the connection's errands.
    pub number: u32,
}

/// An errand that is done.
#[derive(Debug)]
pub struct Finished<F> {
    /// For whom.
    pub ticket: Ticket,
    /// What came of it.
    pub outcome: Outcome<F>,
}
