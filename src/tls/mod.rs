//! TLS (RFC 8446, RFC 5246) over rustls: what can be decided without a socket.
//!
//! - [`algorithms`]: versions, cipher suites and groups by name.
//! - [`client_hello`]: what a client asks for, read before anybody answers.

pub mod algorithms;
pub mod client_hello;
