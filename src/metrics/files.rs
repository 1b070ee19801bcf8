//! The handles of what threads do that wait for disks.

use metrics::{Counter, Gauge, Histogram};

use super::{FILE_ERRAND_DURATION, FILE_ERRANDS, FILE_ERRANDS_UNDONE};

/// What is asked of the threads that wait for disks, and what becomes of it.
#[derive(Debug, Clone)]
pub struct FileErrandMetrics {
    /// [`FILE_ERRANDS`]
    pub waiting: Gauge,
    /// [`FILE_ERRAND_DURATION`] of files that are looked up.
    pub look_up: Histogram,
    /// [`FILE_ERRAND_DURATION`] of windows that are read into memory.
    pub read_ahead: Histogram,
    /// [`FILE_ERRANDS_UNDONE`], since too many waited already.
    pub refused: Counter,
    /// [`FILE_ERRANDS_UNDONE`], since whoever waited has gone.
    pub abandoned: Counter,
}

impl FileErrandMetrics {
    /// The handles. There is one set for the process.
    pub fn new() -> FileErrandMetrics {
        FileErrandMetrics {
            waiting: FILE_ERRANDS.gauge(&[]),
            look_up: FILE_ERRAND_DURATION.histogram(&["look_up"]),
            read_ahead: FILE_ERRAND_DURATION.histogram(&["read_ahead"]),
            refused: FILE_ERRANDS_UNDONE.counter(&["refused"]),
            abandoned: FILE_ERRANDS_UNDONE.counter(&["abandoned"]),
        }
    }
}

impl Default for FileErrandMetrics {
    fn default() -> FileErrandMetrics {
        FileErrandMetrics::new()
    }
}
