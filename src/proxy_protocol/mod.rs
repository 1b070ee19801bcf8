//! The PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt): a header before
//! all other bytes in which a proxy says who the client is. What stands in the fields is read and
//! written by the crate `ppp`; here are the bounds, what is believed of it, and what is passed on.
//!
//! - [`header`]: a header, from the first bytes of a connection.
//! - [`mod@write`]: a header for a server.
//! - [`attributes`]: what version 2 tells besides addresses (TLVs).

pub mod attributes;
pub mod header;
pub mod write;

/// Which form of the header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text, with addresses alone.
    V1,
    /// Binary, with attributes.
    V2,
}

impl ProxyVersion {
    /// As written in the config.
    pub fn label(self) -> &'static str {
        match self {
            ProxyVersion::V1 => "v1",
            ProxyVersion::V2 => "v2",
        }
    }
}
