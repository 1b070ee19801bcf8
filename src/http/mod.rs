//! HTTP/1.1 without I/O: bytes into heads, heads into bytes, and where bodies end (RFC 9110,
//! RFC 9112).

mod connection;
pub mod context;
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
mod target;
pub mod template;
