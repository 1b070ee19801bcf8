//! What a lane and its owner say to one another: what is to be done, and what came of it.

use std::time::Instant;

use crate::error::{FaultKind, Path};

/// What a lane wants to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read from the source into the empty conduit.
    Fill {
        /// If possible by this path.
        path: Path,
        /// At most so many bytes.
        max: usize,
    },
    /// Write what the conduit holds to the sink.
    Drain,
    /// Tell the sink that nothing more will come.
    ShutdownWrite,
    /// Nothing, until the source is readable or the sink writable.
    Wait {
        /// An edge of the source would help.
        readable: bool,
        /// An edge of the sink would help.
        writable: bool,
    },
    /// Nothing before that time, although the source may be readable: there is no bandwidth left.
    Pause {
        /// When [`super::Lane::resume`] ends it.
        until: Instant,
    },
    /// Nothing: the extent is used up, or the source has ended, and nothing is held. What follows
    /// is the owner's to say.
    Boundary,
    /// Nothing ever again.
    Done,
}

/// Bytes are held, and the sink is full.
pub(super) const WAIT_FOR_SINK: Step = Step::Wait { readable: false, writable: true };

/// What came of [`Step::Fill`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// So many bytes (at least one) are in the conduit now.
    Moved {
        /// How many.
        bytes: usize,
        /// Which kind of conduit took them.
        path: Path,
        /// Less came than there was room for. Of a copy that proves that the source is dry.
        short: bool,
    },
    /// The source has nothing at the moment.
    WouldBlock,
    /// The source will never have anything again.
    Eof,
    /// The source is broken.
    Failed(FaultKind),
}

impl Filled {
    /// How many bytes moved.
    pub fn bytes(self) -> usize {
        match self {
            Filled::Moved { bytes, .. } => bytes,
            Filled::WouldBlock | Filled::Eof | Filled::Failed(_) => 0,
        }
    }
}

/// What came of [`Step::Drain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// So many bytes were taken by the sink.
    Moved(usize),
    /// The sink takes nothing at the moment.
    WouldBlock,
    /// The sink is broken.
    Failed(FaultKind),
}
