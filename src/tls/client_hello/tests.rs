use proptest::prelude::*;

use super::*;

/// A vector with its length in `width` bytes.
fn vector(width: usize, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&length[4 - width..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(2, content)].concat()
}

fn server_name(name: &str) -> Vec<u8> {
    let entry = [&[NAME_TYPE_HOST][..], &vector(2, name.as_bytes())].concat();
    extension(EXTENSION_SERVER_NAME, &vector(2, &entry))
}

fn alpn(names: &[&str]) -> Vec<u8> {
    let names: Vec<u8> = names.iter().flat_map(|name| vector(1, name.as_bytes())).collect();
    extension(EXTENSION_ALPN, &vector(2, &names))
}

/// A whole message with these extensions.
fn message_with(extensions: &[u8]) -> Vec<u8> {
    let body = [
        &[3, 3][..],
        &[7; 32],
        &vector(1, &[9; 32]),
        &vector(2, &[0x13, 0x01, 0x13, 0x02]),
        &vector(1, &[0]),
        &vector(2, extensions),
    ]
    .concat();
    [&[TYPE_CLIENT_HELLO][..], &vector(3, &body)].concat()
}

/// The message in records of at most `size` bytes each.
fn in_records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[TYPE_HANDSHAKE, 3, 1][..], &vector(2, part)].concat();
    message.chunks(size).flat_map(record).collect()
}

fn hello_with(extensions: &[u8]) -> Vec<u8> {
    in_records(&message_with(extensions), RECORD_BYTES_MAX)
}

fn complete(name: Option<&str>, alpn: &[&str], versions: &[u16]) -> Peeked {
    Peeked::Complete(ClientHello {
        server_name: name.map(Into::into),
        alpn: alpn.iter().map(|name| name.as_bytes().into()).collect(),
        versions: versions.to_vec(),
    })
}

/// Looks at `bytes` as they grow byte by byte, and holds what [`Peeked`] promises.
fn grown(bytes: &[u8]) -> Peeked {
    let mut wanted = 0;
    for end in 0..=bytes.len() {
        let peeked = parse(&bytes[..end]);
        match &peeked {
            Peeked::Partial { needed } => {
                assert!(*needed > end && *needed <= HELLO_BYTES_MAX, "{needed} at {end}");
                assert!(*needed >= wanted, "{needed} at {end}, {wanted} before");
                wanted = *needed;
            }
            _ => {
                let is_early = matches!(peeked, Peeked::Complete(_)) && end < wanted;
                assert!(!is_early, "done at {end}, {wanted} were needed");
                assert_eq!(parse(bytes), peeked);
                return peeked;
            }
        }
    }
    parse(bytes)
}

#[test]
fn what_a_client_asks_for_is_found() {
    let check = |extensions: &[Vec<u8>], expected: Peeked| {
        assert_eq!(grown(&hello_with(&extensions.concat())), expected, "{extensions:?}");
    };
    check(&[], complete(None, &[], &[0x0303]));
    check(&[server_name("a.Example.")], complete(Some("a.example"), &[], &[0x0303]));
    check(&[server_name("192.0.2.1")], complete(None, &[], &[0x0303]));
    check(&[server_name("_x.a-b.example")], complete(Some("_x.a-b.example"), &[], &[0x0303]));
    let versions = extension(EXTENSION_SUPPORTED_VERSIONS, &[4, 3, 4, 3, 3]);
    let grease = extension(0x0a0a, &[]);
    check(
        &[grease.clone(), versions, alpn(&["h2", "http/1.1"]), server_name("a"), grease],
        complete(Some("a"), &["h2", "http/1.1"], &[0x0304, 0x0303]),
    );
    let other_type = extension(EXTENSION_SERVER_NAME, &vector(2, &[1, 0, 1, b'x']));
    check(&[other_type], complete(None, &[], &[0x0303]));
}

#[test]
fn a_hello_without_extensions_is_one() {
    let mut message = message_with(&[]);
    message.truncate(message.len() - 2);
    message[3] -= 2;
    assert_eq!(grown(&in_records(&message, 1000)), complete(None, &[], &[0x0303]));
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let check = |extensions: &[u8]| {
        let bytes = hello_with(extensions);
        assert_eq!(grown(&bytes), Peeked::Refused(HelloProblem::Malformed), "{extensions:?}");
    };
    check(&server_name(""));
    check(&server_name("a b"));
    check(&server_name("a..b"));
    check(&server_name("\u{fc}.example"));
    check(&server_name(&"a".repeat(254)));
    check(&[server_name("a"), server_name("a")].concat());
    check(&[alpn(&["h2"]), alpn(&["h2"])].concat());
    check(&extension(EXTENSION_SERVER_NAME, &[]));
    check(&extension(EXTENSION_SERVER_NAME, &[0, 0]));
    check(&extension(EXTENSION_SERVER_NAME, &[0, 4, 0, 0, 2, b'a']));
    let twice = vector(2, &[0, 0, 1, b'a', 0, 0, 1, b'b']);
    check(&extension(EXTENSION_SERVER_NAME, &twice));
    check(&alpn(&[]));
    check(&alpn(&[""]));
    check(&extension(EXTENSION_SUPPORTED_VERSIONS, &[1, 3]));
    check(&extension(EXTENSION_SUPPORTED_VERSIONS, &[2, 3, 4, 0]));
    check(&[0, 0, 0]);
    check(&[0, 0, 0, 9, 1]);
}

#[test]
fn what_is_no_tls_is_told_apart() {
    let check = |bytes: &[u8], expected: HelloProblem| {
        assert_eq!(grown(bytes), Peeked::Refused(expected), "{bytes:?}");
    };
    check(b"GET / HTTP/1.1\r\n", HelloProblem::PlainHttp);
    check(b"PRI * HTTP/2.0\r\n", HelloProblem::PlainHttp);
    check(b"OPTIONS * HTTP/1.1", HelloProblem::PlainHttp);
    check(b"GETX", HelloProblem::NotTls);
    check(b"SSH-2.0-OpenSSH", HelloProblem::NotTls);
    check(b"\x80\x2e\x01\x00\x02", HelloProblem::NotTls);
    check(b"\x15\x03\x01\x00\x02\x02\x28", HelloProblem::NotTls);
    check(b"\x16\x02\x00", HelloProblem::NotTls);
    check(b"\x16\x03\x01\x00\x00", HelloProblem::Malformed);
    check(b"\x16\x03\x01\x40\x01", HelloProblem::Malformed);
    check(b"\x16\x03\x01\x00\x04\x02", HelloProblem::Malformed);
    let mixed = [&b"\x16\x03\x01\x00\x01\x01"[..], b"\x17\x03\x01\x00\x01\x00"].concat();
    check(&mixed, HelloProblem::Malformed);
}

#[test]
fn what_is_too_long_is_refused_early() {
    let mut huge = vec![TYPE_HANDSHAKE, 3, 1, 0x40, 0, TYPE_CLIENT_HELLO, 0, 0xff, 0xff];
    assert_eq!(grown(&huge), Peeked::Refused(HelloProblem::TooLong));
    huge[6] = 1;
    assert_eq!(grown(&huge), Peeked::Refused(HelloProblem::TooLong));
    let message = message_with(&extension(0xffff, &[0; 400]));
    let crumbs = in_records(&message, 4);
    assert_eq!(grown(&crumbs), Peeked::Refused(HelloProblem::TooLong));
    let longest = message_with(&extension(0xffff, &vec![0; HELLO_BYTES_MAX - 200]));
    assert_eq!(parse(&in_records(&longest, RECORD_BYTES_MAX)), complete(None, &[], &[0x0303]));
}

proptest! {
    #[test]
    fn records_and_segments_make_no_difference(size in 12usize..400, behind in 0usize..40) {
        let extensions = [server_name("www.a.example"), alpn(&["h2"])].concat();
        let message = message_with(&extensions);
        let mut bytes = in_records(&message, size);
        bytes.resize(bytes.len() + behind, 0x17);
        prop_assert_eq!(grown(&bytes), complete(Some("www.a.example"), &["h2"], &[0x0303]));
    }

    #[test]
    fn any_bytes_come_to_one_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        grown(&bytes);
        let record = [&[TYPE_HANDSHAKE, 3, 1][..], &vector(2, &bytes)].concat();
        grown(&record);
        let message = [&[TYPE_CLIENT_HELLO][..], &vector(3, &bytes)].concat();
        grown(&in_records(&message, 100));
    }
}
