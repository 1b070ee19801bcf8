//! A header for a server, to go out before any other byte of a connection.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};

use super::ProxyVersion;
use super::attributes::{
    Attributes, SUBTYPE_SSL_CIPHER, SUBTYPE_SSL_COMMON_NAME, SUBTYPE_SSL_VERSION, TYPE_ALPN,
    TYPE_AUTHORITY, TYPE_SSL,
};

/// Of [`TYPE_SSL`]: the client came over TLS.
const CLIENT_SSL: u8 = 0x01;
/// Of [`TYPE_SSL`]: the client has shown a certificate in this connection, and in this session.
const CLIENT_CERTIFICATE: u8 = 0x02 | 0x04;

/// What a server is told.
#[derive(Debug, Clone, Copy)]
pub struct Announcement<'a> {
    /// The client, and the address that it connected to; `None` where there are none, as for a
    /// client over a unix socket.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// The name that the client asked for: SNI.
    pub server_name: Option<&'a str>,
    /// The protocol that was agreed on with the client, or the one that it prefers where its
    /// session does not end here (RFC 7301).
    pub alpn: Option<&'a [u8]>,
    /// The client's session, where it ends here.
    pub session: Option<AnnouncedSession<'a>>,
    /// What another proxy has told of the client. Where a session ends here, or a name was asked
    /// for here, that holds.
    pub received: Option<&'a Attributes>,
}

/// A client's TLS session.
#[derive(Debug, Clone, Copy)]
pub struct AnnouncedSession<'a> {
    /// The version: `TLSv1.3`.
    pub version: &'a str,
    /// The cipher suite.
    pub cipher: &'a str,
    /// The common name of the client's certificate, which was found to be good; an empty one
    /// where the certificate has none, and `None` where the client has no certificate.
    pub client_common_name: Option<&'a str>,
}

/// Appends the header to `out`.
///
/// # Errors
/// The attributes are longer than the header can say (64 KiB).
pub fn header(
    version: ProxyVersion,
    announcement: &Announcement<'_>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let addresses = announcement.addresses.map(of_one_family);
    match version {
        ProxyVersion::V1 => {
            out.extend_from_slice(line(addresses).as_bytes());
            Ok(())
        }
        ProxyVersion::V2 => {
            out.extend_from_slice(&binary(addresses, announcement)?);
            Ok(())
        }
    }
}

/// Appends the header of a connection that stands for no client but for the proxy itself, as for
/// health checks: `UNKNOWN` or `LOCAL` (sections 2.1 and 2.2 of the protocol).
pub fn local(version: ProxyVersion, out: &mut Vec<u8>) {
    match version {
        ProxyVersion::V1 => out.extend_from_slice(b"PROXY UNKNOWN\r\n"),
        ProxyVersion::V2 => {
            out.extend_from_slice(v2::PROTOCOL_PREFIX);
            out.extend_from_slice(&[v2::Version::Two | v2::Command::Local, 0, 0, 0]);
        }
    }
}

/// Both in IPv4's form where both have one; otherwise both in IPv6's, since a header has one
/// family.
fn of_one_family((source, destination): (SocketAddr, SocketAddr)) -> (SocketAddr, SocketAddr) {
    let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
    let wide = |ip: IpAddr| match ip {
        IpAddr::V4(ip) if from.is_ipv4() != to.is_ipv4() => IpAddr::V6(ip.to_ipv6_mapped()),
        ip => ip,
    };
    ((wide(from), source.port()).into(), (wide(to), destination.port()).into())
}

fn line(addresses: Option<(SocketAddr, SocketAddr)>) -> String {
    let addresses = match addresses {
        Some((SocketAddr::V4(from), SocketAddr::V4(to))) => {
            v1::Addresses::new_tcp4(*from.ip(), *to.ip(), from.port(), to.port())
        }
        Some((SocketAddr::V6(from), SocketAddr::V6(to))) => {
            v1::Addresses::new_tcp6(*from.ip(), *to.ip(), from.port(), to.port())
        }
        _ => v1::Addresses::Unknown,
    };
    let mut line = String::new();
    write!(line, "{addresses}").expect("writing to a String never fails");
    line
}

fn binary(
    addresses: Option<(SocketAddr, SocketAddr)>,
    announcement: &Announcement<'_>,
) -> io::Result<Vec<u8>> {
    let command = v2::Version::Two | v2::Command::Proxy;
    let mut header = match addresses {
        // The crate turns a pair of addresses into its own.
        Some(pair) => v2::Builder::with_addresses(command, v2::Protocol::Stream, pair),
        None => v2::Builder::new(command, v2::AddressFamily::Unspecified | v2::Protocol::Stream),
    };
    // Behind no addresses, nobody reads attributes.
    if addresses.is_none() {
        return header.build();
    }
    let own = [
        (TYPE_ALPN, announcement.alpn.map(<[u8]>::to_vec)),
        (TYPE_AUTHORITY, announcement.server_name.map(|name| name.as_bytes().to_vec())),
        (TYPE_SSL, announcement.session.map(|session| session_value(&session)).transpose()?),
    ];
    for (kind, value) in &own {
        if let Some(value) = value {
            header = header.write_tlv(*kind, value)?;
        }
    }
    let is_own = |kind: u8| own.iter().any(|(own, value)| *own == kind && value.is_some());
    for attribute in announcement.received.into_iter().flat_map(Attributes::iter) {
        if !is_own(attribute.kind) {
            header = header.write_tlv(attribute.kind, attribute.value)?;
        }
    }
    header.build()
}

/// Section 2.2.7 of the specification, PP2_TYPE_SSL: flags, whether the certificate is good (0
/// if so), and attributes of its own.
fn session_value(session: &AnnouncedSession<'_>) -> io::Result<Vec<u8>> {
    use v2::WriteToHeader as _;
    let has_certificate = session.client_common_name.is_some();
    let flags = if has_certificate { CLIENT_SSL | CLIENT_CERTIFICATE } else { CLIENT_SSL };
    let unverified = u32::from(!has_certificate);
    let mut writer = v2::Writer::default();
    flags.write_to(&mut writer)?;
    unverified.write_to(&mut writer)?;
    (SUBTYPE_SSL_VERSION, session.version.as_bytes()).write_to(&mut writer)?;
    (SUBTYPE_SSL_CIPHER, session.cipher.as_bytes()).write_to(&mut writer)?;
    if let Some(name) = session.client_common_name.filter(|name| !name.is_empty()) {
        (SUBTYPE_SSL_COMMON_NAME, name.as_bytes()).write_to(&mut writer)?;
    }
    Ok(writer.finish())
}

#[cfg(test)]
mod tests {
    use super::super::header::{Header, Peeked, ProxiedClient, parse};
    use super::*;

    const NOTHING: Announcement<'_> = Announcement {
        addresses: None,
        server_name: None,
        alpn: None,
        session: None,
        received: None,
    };

    fn written(version: ProxyVersion, announcement: &Announcement<'_>) -> Header {
        let mut bytes = Vec::new();
        header(version, announcement, &mut bytes).unwrap();
        match parse(&bytes) {
            Peeked::Complete(header) if header.length == bytes.len() => header,
            other => panic!("{other:?}: {bytes:?}"),
        }
    }

    #[test]
    fn addresses_arrive_in_one_family() {
        let check = |source: &str, destination: &str, expected: (&str, &str)| {
            let addresses = Some((source.parse().unwrap(), destination.parse().unwrap()));
            let expected = ProxiedClient::Ip {
                source: expected.0.parse().unwrap(),
                destination: expected.1.parse().unwrap(),
            };
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let header = written(version, &Announcement { addresses, ..NOTHING });
                assert_eq!(header.client, expected, "{version:?}");
                assert!(header.attributes.is_empty());
            }
        };
        check("192.0.2.1:1", "198.51.100.2:65535", ("192.0.2.1:1", "198.51.100.2:65535"));
        check("[::ffff:192.0.2.1]:1", "198.51.100.2:2", ("192.0.2.1:1", "198.51.100.2:2"));
        check("[2001:db8::1]:1", "[2001:db8::2]:2", ("[2001:db8::1]:1", "[2001:db8::2]:2"));
        check("[2001:db8::1]:1", "192.0.2.1:2", ("[2001:db8::1]:1", "[::ffff:192.0.2.1]:2"));
    }

    #[test]
    fn without_addresses_nothing_is_claimed() {
        let announcement = Announcement { server_name: Some("a.example"), ..NOTHING };
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let header = written(version, &announcement);
            assert_eq!(header.client, ProxiedClient::Unknown);
            assert!(header.attributes.is_empty());
        }
    }

    #[test]
    fn a_session_is_told_and_what_was_received_is_passed_on() {
        let addresses = Some(("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap()));
        let first = Announcement { addresses, server_name: Some("old.example"), ..NOTHING };
        let mut received = Vec::new();
        header(ProxyVersion::V2, &first, &mut received).unwrap();
        received.extend_from_slice(&[0xea, 0, 2, b'i', b'd']);
        received[15] += 5;
        let Peeked::Complete(received) = parse(&received) else { panic!() };

        let passed_on = Announcement { addresses, received: Some(&received.attributes), ..NOTHING };
        let attributes = written(ProxyVersion::V2, &passed_on).attributes;
        assert_eq!(attributes, received.attributes);

        let session = AnnouncedSession {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256",
            client_common_name: Some("alice"),
        };
        let own = Announcement {
            server_name: Some("new.example"),
            alpn: Some(b"h2"),
            session: Some(session),
            ..passed_on
        };
        let attributes = written(ProxyVersion::V2, &own).attributes;
        assert_eq!(attributes.value(TYPE_AUTHORITY), Some(&b"new.example"[..]));
        assert_eq!(attributes.value(TYPE_ALPN), Some(&b"h2"[..]));
        assert_eq!(attributes.value(0xea), Some(&b"id"[..]));
        assert_eq!(attributes.iter().count(), 4);
        let ssl = attributes.value(TYPE_SSL).unwrap();
        assert_eq!(ssl[..5], [7, 0, 0, 0, 0]);
        let inner = Attributes::parse(&ssl[5..]).unwrap();
        assert_eq!(inner.value(SUBTYPE_SSL_VERSION), Some(&b"TLSv1.3"[..]));
        assert_eq!(inner.value(SUBTYPE_SSL_COMMON_NAME), Some(&b"alice"[..]));

        let nobody = AnnouncedSession { client_common_name: None, ..session };
        let own = Announcement { session: Some(nobody), ..own };
        let attributes = written(ProxyVersion::V2, &own).attributes;
        assert_eq!(attributes.value(TYPE_SSL).unwrap()[..5], [1, 0, 0, 0, 1]);
    }
}
