//! HTTP/1.1 without I/O: bytes into heads, heads into bytes, and where bodies end (RFC 9110,
//! RFC 9112).

pub mod answer;
pub mod chunk;
mod connection;
pub mod context;
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
