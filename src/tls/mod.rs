//! TLS (RFC 8446, RFC 5246) over rustls: what can be decided without a socket.
//!
//! - [`endpoints`]: with which settings sessions begin, on either side.
//! - [`session`]: one session, plaintext on one side and records on the other.
//! - [`record_size`]: how much goes into a record.
//! - [`failure`]: why a session came to nothing.

pub mod endpoints;
pub mod failure;
pub mod record_size;
pub mod session;
