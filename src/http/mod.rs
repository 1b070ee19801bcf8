//! HTTP/1.1 without I/O: bytes into heads, heads into bytes, and where bodies end (RFC 9110,
//! RFC 9112).
//!
//! ```text
//!   bytes ─▶ request ─ target ─ path ─ host      parsed and checked; or a Rejection
//!               │    └ framing ─ connection ─ client
//!               ▼
//!            rewrite ─▶ bytes                    with edits, prefix, host, forwarded
//!            answer  ─▶ bytes                    or without a server
//!
//!   bytes ─▶ chunk ─▶ trailer                    the body, where it comes in chunks
//!   bytes ─▶ response ─▶ rewrite ─▶ bytes        and the way back
//! ```
//!
//! Three things hold throughout:
//!
//! - However the bytes are split on their way, the result is the same. No byte is searched twice for
//!   the end of a head, and a head is parsed once, when it is whole.
//! - What two recipients could understand in different ways is refused; framing, host and options
//!   of the connection are written from what was understood, not copied.
//! - A head is used again for the next one. In the steady state nothing is allocated.

pub mod answer;
pub mod chunk;
pub mod client;
mod connection;
pub mod context;
pub mod cookie;
pub mod date;
pub mod edits;
pub mod field;
pub mod forwarded;
pub mod framing;
pub mod head;
pub mod host;
pub mod limits;
pub mod method;
pub mod path;
pub mod prefix;
pub mod reject;
pub mod request;
pub mod request_id;
pub mod response;
pub mod rewrite;
pub mod status;
mod target;
pub mod template;
mod trailer;

#[cfg(test)]
mod samples;
