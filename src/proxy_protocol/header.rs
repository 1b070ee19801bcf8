//! A header from the first bytes of a connection. They may come in any pieces: who reads them
//! looks from the start each time, takes exactly [`Header::length`] of them off, and never asks
//! for more than belong to the header.
//!
//! Nothing is guessed: bytes that do not begin as a header must are refused, and whether a peer's
//! header is believed at all is decided before any of it is read.

use std::net::SocketAddr;

use ppp::{v1, v2};

use super::attributes::Attributes;

/// The longest header that is read, in bytes. The fixed parts of version 2 have 232 at most; the
/// rest is room for attributes. Version 1 ends after [`V1_BYTES_MAX`].
pub const HEADER_BYTES_MAX: usize = 4096;

/// The longest line of version 1 with its end (section 2.1 of the specification).
pub const V1_BYTES_MAX: usize = 107;

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Of version 2: the start, version and command, family and protocol, length.
const V2_FIXED: usize = 16;
/// Of version 2: the version, and the command `LOCAL`.
const V2_LOCAL: u8 = 0x20;

/// A header that is whole and right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How many bytes it takes; the client's own follow.
    pub length: usize,
    /// Who the client is.
    pub client: ProxiedClient,
    /// What else is told of it; none in version 1.
    pub attributes: Attributes,
}

/// Who is at the far end, as the proxy before this one says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxiedClient {
    /// The proxy itself, which looks whether anybody is there (`LOCAL`): the addresses of the
    /// connection hold.
    Local,
    /// Somebody whose address is not told (`UNKNOWN`), or has no meaning here (unix sockets).
    Unknown,
    /// A client over IP.
    Ip {
        /// The client.
        source: SocketAddr,
        /// The address that it connected to.
        destination: SocketAddr,
    },
}

/// What the first bytes of a connection have come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peeked {
    /// All is well, but something is still to come.
    Partial {
        /// How many bytes there must be, from the first one on, before all can be there.
        needed: usize,
    },
    /// All of it is there.
    Complete(Header),
    /// Whatever it is, it will never be a header.
    Refused(HeaderProblem),
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeaderProblem {
    /// They do not begin like one.
    Missing,
    /// It is longer than is allowed ([`HEADER_BYTES_MAX`], [`V1_BYTES_MAX`]).
    TooLong,
    /// It breaks the rules of the protocol, or is for something else than a stream.
    Malformed,
    /// The stream ended or failed before it was whole.
    Cut,
    /// It was not whole in time.
    TimedOut,
    /// Whoever sends it is not to be believed.
    Untrusted,
}

/// Reads the header at the start of `bytes`.
pub fn parse(bytes: &[u8]) -> Peeked {
    match bytes {
        [] => Peeked::Partial { needed: 1 },
        _ if bytes.starts_with(V1_START) => parse_v1(bytes),
        _ if bytes.starts_with(V2_START) => parse_v2(bytes),
        _ if V1_START.starts_with(bytes) => Peeked::Partial { needed: V1_START.len() },
        _ if V2_START.starts_with(bytes) => Peeked::Partial { needed: V2_FIXED },
        _ => Peeked::Refused(HeaderProblem::Missing),
    }
}

fn parse_v1(bytes: &[u8]) -> Peeked {
    let line = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', line) else {
        return match line.len() < V1_BYTES_MAX {
            true => Peeked::Partial { needed: line.len() + 1 },
            false => Peeked::Refused(HeaderProblem::TooLong),
        };
    };
    let line = &line[..=end];
    // The crate looks for the first CR, behind which must be the end; and it takes a sign before
    // a port, where there must be digits alone.
    let is_line = memchr::memchr(b'\r', line) == Some(end - 1) && !line.contains(&b'+');
    let header = if is_line { v1::Header::try_from(line).ok() } else { None };
    let client = match header.map(|header| header.addresses) {
        None => return Peeked::Refused(HeaderProblem::Malformed),
        Some(v1::Addresses::Unknown) => ProxiedClient::Unknown,
        Some(v1::Addresses::Tcp4(it)) => ProxiedClient::Ip {
            source: (it.source_address, it.source_port).into(),
            destination: (it.destination_address, it.destination_port).into(),
        },
        Some(v1::Addresses::Tcp6(it)) => ProxiedClient::Ip {
            source: (it.source_address, it.source_port).into(),
            destination: (it.destination_address, it.destination_port).into(),
        },
    };
    Peeked::Complete(Header { length: end + 1, client, attributes: Attributes::default() })
}

fn parse_v2(bytes: &[u8]) -> Peeked {
    let Some(fixed) = bytes.first_chunk::<V2_FIXED>() else {
        return Peeked::Partial { needed: V2_FIXED };
    };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > HEADER_BYTES_MAX {
        return Peeked::Refused(HeaderProblem::TooLong);
    }
    let Some(whole) = bytes.get(..length) else {
        return Peeked::Partial { needed: length };
    };
    match read_v2(whole) {
        Some((client, attributes)) => Peeked::Complete(Header { length, client, attributes }),
        None => Peeked::Refused(HeaderProblem::Malformed),
    }
}

fn read_v2(whole: &[u8]) -> Option<(ProxiedClient, Attributes)> {
    // What a proxy asks for itself need not make sense beyond its length.
    if whole[V2_START.len()] == V2_LOCAL {
        return Some((ProxiedClient::Local, Attributes::default()));
    }
    let header = v2::Header::try_from(whole).ok()?;
    let client = match header.addresses {
        v2::Addresses::Unspecified => ProxiedClient::Unknown,
        _ if header.protocol != v2::Protocol::Stream => return None,
        v2::Addresses::Unix(_) => ProxiedClient::Unknown,
        v2::Addresses::IPv4(it) => ProxiedClient::Ip {
            source: (it.source_address, it.source_port).into(),
            destination: (it.destination_address, it.destination_port).into(),
        },
        v2::Addresses::IPv6(it) => ProxiedClient::Ip {
            source: (it.source_address, it.source_port).into(),
            destination: (it.destination_address, it.destination_port).into(),
        },
    };
    // Without addresses, what follows cannot be told from addresses of an unknown kind.
    let attributes = match header.addresses {
        v2::Addresses::Unspecified => Attributes::default(),
        _ => Attributes::parse(header.tlv_bytes())?,
    };
    Some((client, attributes))
}

#[cfg(test)]
mod tests;
