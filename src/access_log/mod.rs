//! The access log: one line for each client connection, written when it ends.
//!
//! [`Record`] is the line, [`AccessLogSink`] takes it away without ever blocking the worker.

mod record;
mod sink;

pub use record::Record;
pub use sink::{AccessLogError, AccessLogSink, LINES_QUEUED_MAX};
