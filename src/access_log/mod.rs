//! The access log: one line for each TCP connection and for each HTTP request, written when it
//! ends; and one for each client that is refused before either began.
//!
//! [`ConnectionRecord`] and [`RequestRecord`] are the lines, [`AccessLogSink`] takes them away
//! without ever blocking the worker.
//!
//! No field can break a line. What a client sent is cut at [`TEXT_BYTES_MAX`]; JSON strings are
//! escaped by RFC 8259; in the combined format every byte but printable ASCII, and every quote and
//! backslash, is written as `\xHH`, and so is a blank wherever it would part fields.

mod connection;
mod request;
mod sink;
mod text;
mod tls;
mod traffic;

pub use connection::ConnectionRecord;
pub use request::{RequestRecord, Timings};
pub use sink::{AccessLogError, AccessLogSink, LINES_QUEUED_MAX, QUEUED_BYTES_MAX};
pub use text::TEXT_BYTES_MAX;
pub use tls::ClientTls;
pub use traffic::Traffic;
