// A failed `unwrap` is how a test fails.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::*;

const RECORDS: usize = 80 * 1024;

fn settings(
    versions: &[&'static SupportedProtocolVersion],
) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let issued = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = issued.cert.der().clone();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

fn name() -> ServerName<'static> {
    ServerName::try_from("a.example").unwrap()
}

/// Hands what `from` has to say to `to`, so many bytes at a time. Returns the plaintext.
fn carry(from: &mut Session, to: &mut Session, piece: usize, room: usize) -> Vec<u8> {
    let outgoing = from.outgoing().to_vec();
    from.sent(outgoing.len());
    receive(to, &outgoing, piece, room).unwrap()
}

fn receive(
    to: &mut Session,
    records: &[u8],
    piece: usize,
    room: usize,
) -> Result<Vec<u8>, TlsFailure> {
    let mut buffer = vec![0; RECORDS];
    let mut plaintext = vec![0; room];
    let mut got = Vec::new();
    let mut pieces = records.chunks(piece.max(1)).peekable();
    loop {
        let taken = to.take_unread(&mut plaintext);
        got.extend_from_slice(&plaintext[..taken]);
        if taken > 0 {
            continue;
        }
        // What waits for room comes first.
        let has_more = to.has_more();
        let mut length = to.pending().len();
        buffer[..length].copy_from_slice(to.pending());
        if !has_more && let Some(piece) = pieces.next() {
            buffer[length..length + piece.len()].copy_from_slice(piece);
            length += piece.len();
        }
        let opened = to.open(&mut buffer[..length], &mut plaintext)?;
        got.extend_from_slice(&plaintext[..opened]);
        if pieces.peek().is_none() && opened == 0 && !to.has_more() {
            return Ok(got);
        }
    }
}

fn shake_hands(client: &mut Session, server: &mut Session, piece: usize) {
    for _ in 0..8 {
        carry(client, server, piece, 0);
        carry(server, client, piece, 0);
    }
    assert_eq!(client.progress(), Progress::Established);
    assert_eq!(server.progress(), Progress::Established);
}

fn pair(versions: &[&'static SupportedProtocolVersion], piece: usize) -> (Session, Session) {
    let (server, client) = settings(versions);
    let mut server = Session::server(server).unwrap();
    let mut client = Session::client(client, name()).unwrap();
    shake_hands(&mut client, &mut server, piece);
    (client, server)
}

fn seal(session: &mut Session, plaintext: &[u8]) -> Vec<u8> {
    let mut records = vec![0; RECORDS];
    let now = Instant::now();
    let mut all = Vec::new();
    let mut taken = 0;
    while taken < plaintext.len() {
        let sealed = session.seal(&plaintext[taken..], &mut records, now).unwrap();
        assert!(sealed.taken > 0);
        taken += sealed.taken;
        all.extend_from_slice(&records[..sealed.length]);
    }
    all
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn hands_are_shaken_whatever_the_split() {
    for version in VERSIONS {
        for piece in [1, 2, 3, 5, 7, 64, 100, 517, RECORDS] {
            let (client, server) = pair(&[version], piece);
            let expected = match version.version {
                ProtocolVersion::TLSv1_3 => "TLSv1.3",
                _ => "TLSv1.2",
            };
            assert_eq!(client.agreement().version, expected);
            assert_eq!(server.agreement().version, expected);
            assert!(client.agreement().cipher_suite.starts_with("TLS"));
            assert!(client.agreement().peer_certificate.is_some());
        }
    }
}

#[test]
fn every_split_of_two_records_gives_the_same_bytes() {
    for version in VERSIONS {
        let (mut client, mut server) = pair(&[version], RECORDS);
        let message = pattern(300);
        for split in 0..420 {
            let records = [seal(&mut client, &message[..200]), seal(&mut client, &message[200..])];
            let records = records.concat();
            let split = split.min(records.len());
            let mut got = receive(&mut server, &records[..split], RECORDS, 64).unwrap();
            got.extend(receive(&mut server, &records[split..], RECORDS, 64).unwrap());
            assert_eq!(got, message, "{split}");
        }
    }
}

#[test]
fn bulk_passes_whatever_room_there_is() {
    for version in VERSIONS {
        let (mut client, mut server) = pair(&[version], RECORDS);
        let message = pattern(300 * 1024);
        for room in [1000, 16 * 1024, 64 * 1024] {
            for piece in [1448, 16 * 1024, 64 * 1024] {
                let records = seal(&mut server, &message);
                assert!(receive(&mut client, &records, piece, room).unwrap() == message);
            }
        }
    }
}

#[test]
fn a_session_at_rest_owns_no_buffer() {
    let (mut client, mut server) = pair(&[&rustls::version::TLS13], RECORDS);
    let records = seal(&mut client, &pattern(5000));
    receive(&mut server, &records, 700, 64 * 1024).unwrap();
    for session in [&client, &server] {
        let held = [&session.pending, &session.unread, &session.outgoing].map(Vec::capacity);
        assert_eq!(held, [0; 3]);
    }
}

#[test]
fn a_close_is_told_from_a_cut() {
    for version in VERSIONS {
        let (mut client, mut server) = pair(&[version], RECORDS);
        client.close();
        client.close();
        assert!(!client.outgoing().is_empty());
        carry(&mut client, &mut server, 1, 64);
        assert_eq!(server.progress(), Progress::PeerClosed);
        // The other direction goes on by itself.
        let records = seal(&mut server, b"still here");
        assert_eq!(receive(&mut client, &records, RECORDS, 64).unwrap(), b"still here");
        server.close();
        carry(&mut server, &mut client, RECORDS, 64);
        assert_eq!(client.progress(), Progress::PeerClosed);
    }
}

#[test]
fn new_keys_are_announced_before_they_are_used() {
    let (mut client, mut server) = pair(&[&rustls::version::TLS13], RECORDS);
    let Connection::Client(connection) = &mut client.connection else { unreachable!() };
    let ConnectionState::WriteTraffic(traffic) =
        connection.process_tls_records(&mut []).state.unwrap()
    else {
        unreachable!()
    };
    traffic.refresh_traffic_keys().unwrap();
    client.open(&mut [], &mut []).unwrap();
    carry(&mut client, &mut server, RECORDS, 64);
    // The server answers with new keys of its own, and at first there is room for neither.
    let sealed = server.seal(b"hello", &mut [0; 20], Instant::now()).unwrap();
    assert_eq!(sealed, Sealed::default());
    let records = seal(&mut server, b"hello");
    assert_eq!(receive(&mut client, &records, RECORDS, 64).unwrap(), b"hello");
}

#[test]
fn a_record_that_was_tampered_with_ends_the_session() {
    for version in VERSIONS {
        let (mut client, mut server) = pair(&[version], RECORDS);
        let mut records = seal(&mut client, b"hello");
        let last = records.len() - 1;
        records[last] ^= 1;
        let failure = receive(&mut server, &records, RECORDS, 64).unwrap_err();
        assert_eq!(failure, TlsFailure::Protocol);
        assert_eq!(server.progress(), Progress::Failed(failure));
        assert!(!server.outgoing().is_empty(), "an alert says so");
        let alert = server.outgoing().to_vec();
        assert_eq!(receive(&mut client, &alert, RECORDS, 64), Err(TlsFailure::Alert));
    }
}

#[test]
fn failures_have_their_names() {
    let (server12, _) = settings(&[&rustls::version::TLS12]);
    let (server, client13) = settings(&[&rustls::version::TLS13]);
    let check = |server: Arc<ServerConfig>, client: Arc<ClientConfig>, expected| {
        let mut server = Session::server(server).unwrap();
        let mut client = Session::client(client, name()).unwrap();
        let hello = client.outgoing().to_vec();
        client.sent(hello.len());
        let of_server = receive(&mut server, &hello, RECORDS, 0).err();
        let answer = server.outgoing().to_vec();
        let of_client = receive(&mut client, &answer, RECORDS, 0).err();
        assert_eq!((of_server, of_client), expected);
    };
    check(server12, Arc::clone(&client13), (Some(TlsFailure::Version), Some(TlsFailure::Alert)));
    // Of another authority.
    check(server, client13.clone(), (None, None));
    let (stranger, _) = settings(&[&rustls::version::TLS13]);
    check(stranger, client13, (None, Some(TlsFailure::PeerCertificate)));
}

#[test]
fn a_handshake_that_never_ends_is_given_up() {
    let (server, _) = settings(&[&rustls::version::TLS13]);
    let mut server = Session::server(server).unwrap();
    // A ClientHello of 60,000 bytes, in records of 1,000.
    let mut records = Vec::new();
    for index in 0..60 {
        records.extend([22, 3, 1, (1000u16 >> 8) as u8, (1000 & 0xff) as u8]);
        let mut body = vec![0; 1000];
        if index == 0 {
            body[..4].copy_from_slice(&[1, 0, 0xea, 0x60]);
        }
        records.extend(body);
    }
    assert_eq!(receive(&mut server, &records, 1000, 0), Err(TlsFailure::Protocol));
}

#[test]
fn the_first_records_are_small_and_later_ones_full() {
    let (mut client, mut server) = pair(&[&rustls::version::TLS13], RECORDS);
    let records = seal(&mut server, &pattern(200 * 1024));
    let lengths = record_lengths(&records);
    assert!(lengths[0] < 1448 && *lengths.iter().max().unwrap() > 16 * 1024);
    let request = seal(&mut client, b"another");
    receive(&mut server, &request, RECORDS, 64).unwrap();
    let records = seal(&mut server, &pattern(64 * 1024));
    assert!(record_lengths(&records)[0] < 1448, "the start of another answer");
}

fn record_lengths(mut records: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = records {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(5 + length);
        records = &rest[length..];
    }
    lengths
}

#[test]
fn a_close_goes_out_although_nobody_reads() {
    let (mut client, mut server) = pair(&[&rustls::version::TLS13], RECORDS);
    let mut records = seal(&mut client, b"unread");
    assert_eq!(server.open(&mut records, &mut []), Ok(0));
    assert!(server.has_more());
    server.close();
    carry(&mut server, &mut client, RECORDS, 64);
    assert_eq!(client.progress(), Progress::PeerClosed);
}
