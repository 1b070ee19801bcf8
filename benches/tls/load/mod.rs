//! The loads of this benchmark, beside those that all share.

pub mod handshakes;
pub mod passthrough;
