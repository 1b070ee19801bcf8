//! What must hold for the first bytes of any connection. Each function is a fuzz target
//! (`fuzz/fuzz_targets`), and is run on seeded input by `cargo test --test tls`.

// A panic is how a target says that it has found something.
#![allow(clippy::panic, clippy::unwrap_used)]

use rustls::server::{Accepted, Acceptor};
use spliceway::proxy_protocol::ProxyVersion;
use spliceway::proxy_protocol::header::{self, HEADER_BYTES_MAX, ProxiedClient};
use spliceway::proxy_protocol::write::{self, Announcement};
use spliceway::tls::client_hello::{self, ClientHello, HELLO_BYTES_MAX, HelloProblem, Peeked};

/// A ClientHello: any split into segments gives the same, and so does any into records; and what
/// is read is what rustls reads, which ends the session of whoever is not passed through.
pub fn client_hello(bytes: &[u8]) {
    let whole = client_hello::parse(bytes);
    for end in 0..bytes.len() {
        match client_hello::parse(&bytes[..end]) {
            Peeked::Partial { needed } => assert!(needed > end && needed <= HELLO_BYTES_MAX),
            settled => assert_eq!(settled, whole, "at {end}"),
        }
    }
    let accepted = accept(bytes);
    match &whole {
        Peeked::Complete(hello) => {
            if let Some(accepted) = accepted {
                same(hello, &accepted);
            }
            if let Some(message) = only_record(bytes) {
                assert_eq!(client_hello::parse(&in_records(message)), whole);
            }
        }
        // What no TLS is to one is none to the other. As to the rules, rustls is more patient: of
        // a list of names, it leaves unread what follows one of an unknown kind.
        Peeked::Refused(HelloProblem::NotTls | HelloProblem::PlainHttp) => {
            assert!(accepted.is_none());
        }
        Peeked::Refused(HelloProblem::TooLong | HelloProblem::Malformed) => {}
        Peeked::Partial { .. } => assert!(accepted.is_none()),
    }
}

fn accept(mut bytes: &[u8]) -> Option<Accepted> {
    let mut acceptor = Acceptor::default();
    while !bytes.is_empty() {
        acceptor.read_tls(&mut bytes).ok()?;
        match acceptor.accept() {
            Ok(None) => {}
            Ok(accepted) => return accepted,
            Err(_) => return None,
        }
    }
    None
}

fn same(hello: &ClientHello, accepted: &Accepted) {
    let theirs = accepted.client_hello();
    // With a final dot or without one, it is the same name (RFC 1034, section 3.1).
    let name = theirs.server_name().map(|name| name.strip_suffix('.').unwrap_or(name));
    assert_eq!(hello.server_name, name.map(|name| name.to_ascii_lowercase().into()));
    let alpn: Vec<&[u8]> = theirs.alpn().into_iter().flatten().collect();
    let ours: Vec<&[u8]> = hello.alpn.iter().map(|name| &**name).collect();
    assert_eq!(ours, alpn);
}

/// The content of a record that is all there is.
fn only_record(bytes: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes([*bytes.get(3)?, *bytes.get(4)?]);
    let content = bytes.get(5..)?;
    (content.len() == usize::from(length)).then_some(content)
}

fn in_records(message: &[u8]) -> Vec<u8> {
    let size = message.len().div_ceil(7).max(1);
    let header = |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes()].concat();
    message.chunks(size).flat_map(|part| [&header(part), part].concat()).collect()
}

/// A PROXY header: any split gives the same, it takes no byte more than it has, and what is read
/// can be written and read again.
pub fn proxy_header(bytes: &[u8]) {
    let whole = header::parse(bytes);
    for end in 0..bytes.len() {
        match header::parse(&bytes[..end]) {
            header::Peeked::Partial { needed } => {
                assert!(needed > end && needed <= HEADER_BYTES_MAX);
            }
            settled => assert_eq!(settled, whole, "at {end}"),
        }
    }
    let header::Peeked::Complete(header) = whole else { return };
    assert!(header.length <= bytes.len() && header.length <= HEADER_BYTES_MAX);
    let partial = header::parse(&bytes[..header.length - 1]);
    assert!(matches!(partial, header::Peeked::Partial { .. }), "{partial:?}");
    let addresses = match header.client {
        ProxiedClient::Ip { source, destination } => Some((source, destination)),
        ProxiedClient::Local | ProxiedClient::Unknown => None,
    };
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let announcement = Announcement {
            addresses,
            server_name: None,
            alpn: None,
            session: None,
            received: Some(&header.attributes),
        };
        let mut written = Vec::new();
        write::header(version, &announcement, &mut written).unwrap();
        let header::Peeked::Complete(again) = header::parse(&written) else {
            panic!("{written:?}");
        };
        assert_eq!(again.length, written.len());
        if let (ProxiedClient::Ip { source, destination }, ProxyVersion::V2) =
            (again.client, version)
        {
            let canonical = |it: std::net::SocketAddr| (it.ip().to_canonical(), it.port());
            assert_eq!(
                addresses.map(|(from, to)| (canonical(from), canonical(to))),
                Some((canonical(source), canonical(destination)))
            );
            assert_eq!(again.attributes, header.attributes);
        }
    }
}
