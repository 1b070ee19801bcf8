use proptest::prelude::*;

use super::super::attributes::{TYPE_AUTHORITY, TYPE_CRC32C};
use super::*;

fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    [V2_START, &[command, family], &length, payload].concat()
}

const IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 1, 187];

fn client(source: &str, destination: &str) -> ProxiedClient {
    ProxiedClient::Ip { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// Looks at `bytes` as they grow byte by byte, and holds what [`Peeked`] promises.
fn grown(bytes: &[u8]) -> Peeked {
    for end in 0..=bytes.len() {
        match parse(&bytes[..end]) {
            Peeked::Partial { needed } => {
                assert!(needed > end && needed <= HEADER_BYTES_MAX, "{needed} at {end}");
            }
            Peeked::Complete(header) => {
                assert_eq!(header.length, end, "not one byte more than it has");
                assert_eq!(parse(bytes), Peeked::Complete(header.clone()));
                return Peeked::Complete(header);
            }
            refused => {
                assert_eq!(parse(bytes), refused);
                return refused;
            }
        }
    }
    parse(bytes)
}

fn check(bytes: &[u8], expected: ProxiedClient) {
    match grown(&[bytes, b"GET / HTTP/1.1"].concat()) {
        Peeked::Complete(header) => {
            assert_eq!((header.client, header.length), (expected, bytes.len()), "{bytes:?}");
        }
        other => panic!("{other:?}: {bytes:?}"),
    }
}

fn refused(bytes: &[u8], expected: HeaderProblem) {
    assert_eq!(grown(bytes), Peeked::Refused(expected), "{:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn lines_of_version_1() {
    let ipv4 = client("192.0.2.1:1", "198.51.100.2:65535");
    check(b"PROXY TCP4 192.0.2.1 198.51.100.2 1 65535\r\n", ipv4);
    let ipv6 = client("[2001:db8::1]:56324", "[::1]:443");
    check(b"PROXY TCP6 2001:db8::1 ::1 56324 443\r\n", ipv6);
    check(b"PROXY UNKNOWN\r\n", ProxiedClient::Unknown);
    check(b"PROXY UNKNOWN ffff:f::1 ffff:f::2 65535 65535\r\n", ProxiedClient::Unknown);
}

#[test]
fn lines_that_are_none() {
    refused(b"GET / HTTP/1.1\r\n", HeaderProblem::Missing);
    refused(b"PROXX", HeaderProblem::Missing);
    refused(b"\x16\x03\x01", HeaderProblem::Missing);
    refused(b"proxy tcp4", HeaderProblem::Missing);
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n",
        "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\rx\r\n",
        "PROXY \r\n",
        "PROXY  TCP4\r\n",
        "PROXY \u{fc}\r\n",
    ] {
        refused(line.as_bytes(), HeaderProblem::Malformed);
    }
    refused(&[V1_START, &[b'x'; 200]].concat(), HeaderProblem::TooLong);
}

#[test]
fn headers_of_version_2() {
    check(&v2(0x21, 0x11, &IPV4), client("192.0.2.1:4660", "198.51.100.2:443"));
    let ipv6 = [[0x20; 16], [0x30; 16]].concat();
    let addresses = client(
        "[2020:2020:2020:2020:2020:2020:2020:2020]:1",
        "[3030:3030:3030:3030:3030:3030:3030:3030]:2",
    );
    check(&v2(0x21, 0x21, &[&ipv6[..], &[0, 1, 0, 2]].concat()), addresses);
    check(&v2(0x21, 0x31, &[1; 216]), ProxiedClient::Unknown);
    check(&v2(0x21, 0x00, &[]), ProxiedClient::Unknown);
    check(&v2(0x21, 0x01, &[1, 2, 3]), ProxiedClient::Unknown);
    check(&v2(0x20, 0x00, &[]), ProxiedClient::Local);
    check(&v2(0x20, 0x11, &IPV4), ProxiedClient::Local);
    check(&v2(0x20, 0xff, &[1, 2, 3]), ProxiedClient::Local);
}

#[test]
fn attributes_are_kept() {
    let attributes = [&[TYPE_AUTHORITY, 0, 1, b'a'][..], &[TYPE_CRC32C, 0, 4, 0, 0, 0, 0]].concat();
    let bytes = v2(0x21, 0x11, &[&IPV4[..], &attributes].concat());
    let Peeked::Complete(header) = grown(&bytes) else { panic!() };
    assert_eq!(header.attributes.iter().count(), 1);
    assert_eq!(header.attributes.value(TYPE_AUTHORITY), Some(&b"a"[..]));
}

#[test]
fn binary_headers_that_are_none() {
    refused(&v2(0x11, 0x11, &IPV4), HeaderProblem::Malformed);
    refused(&v2(0x22, 0x11, &IPV4), HeaderProblem::Malformed);
    refused(&v2(0x21, 0x12, &IPV4), HeaderProblem::Malformed);
    refused(&v2(0x21, 0x10, &IPV4), HeaderProblem::Malformed);
    refused(&v2(0x21, 0x41, &IPV4), HeaderProblem::Malformed);
    refused(&v2(0x21, 0x11, &IPV4[..11]), HeaderProblem::Malformed);
    refused(&v2(0x21, 0x21, &IPV4), HeaderProblem::Malformed);
    refused(&v2(0x21, 0x11, &[&IPV4[..], &[1, 0, 1]].concat()), HeaderProblem::Malformed);
    refused(&v2(0x21, 0x11, &[0; HEADER_BYTES_MAX]), HeaderProblem::TooLong);
    refused(b"\r\n\r\n\0\r\nQUIT\r", HeaderProblem::Missing);
    refused(b"\r\n\r\nx", HeaderProblem::Missing);
}

proptest! {
    #[test]
    fn any_bytes_come_to_one_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        grown(&bytes);
        grown(&[V1_START, &bytes].concat());
        grown(&[V2_START, &bytes].concat());
        grown(&v2(0x21, 0x11, &bytes));
    }
}
