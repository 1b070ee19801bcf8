//! What servers are told of a client by PROXY headers, read by a server that shares nothing with
//! the proxy; and clients that say nonsense of themselves.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::Site;
use crate::client::{close, connect_with};
use crate::receiver::{Receiver, Told};
use crate::support::certificates::{Issued, Wanted};
use crate::support::http::{Connection, HttpOrigin, get};
use crate::support::proxy::{Launch, Proxy};
use crate::support::stream::Stream;

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const VERSION: u8 = 0x21;
const COMMON_NAME: u8 = 0x22;

/// Of a client at 203.0.113.9:5000 that went to 198.51.100.1:443.
fn header_in(version: &str, attributes: &[u8]) -> Vec<u8> {
    if version == "v1" {
        return b"PROXY TCP4 203.0.113.9 198.51.100.1 5000 443\r\n".to_vec();
    }
    let addresses = [203, 0, 113, 9, 198, 51, 100, 1, 0x13, 0x88, 0x01, 0xbb];
    let length = (addresses.len() + attributes.len()) as u16;
    let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11";
    [start, &length.to_be_bytes()[..], &addresses, attributes].concat()
}

/// Clients of a site that show `who`.
fn client(
    site: &Site,
    version: &'static SupportedProtocolVersion,
    who: Option<&Issued>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(site.authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match who {
        Some(who) => {
            let chain = vec![CertificateDer::from_pem_slice(who.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(who.key.as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn proxy(site: &Site, incoming: &str, outgoing: &str, more: &str, to: &Receiver) -> Proxy {
    let incoming = match incoming {
        "off" => "",
        _ => "proxy_protocol = { accept = \"required\", trust = [\"127.0.0.0/8\"] }",
    };
    let trusted = format!(
        ", client_certificates = {{ mode = \"optional\", ca = \"{}\" }}, alpn = [\"http/1.1\"]",
        site.path("ca.pem")
    );
    let tls = site.tls("ecdsa", &trusted);
    let tls = more.replace("TLS", &tls);
    Launch::configured(&format!(
        "[listeners.a]\nbind = \"127.0.0.1:0\"\n{incoming}\n{tls}\n\
         [upstreams.b]\nservers = [\"{}\"]\nproxy_protocol = \"{outgoing}\"\n",
        to.address()
    ))
    .start()
}

/// A client's address, and the one that it connected to.
fn addresses(socket: &Stream) -> [SocketAddr; 2] {
    let Stream::Tcp(socket) = socket else { panic!("{socket:?}") };
    [socket.local_addr().unwrap(), socket.peer_addr().unwrap()]
}

/// The addresses that must arrive are those of the header, or else a client's own.
fn check_addresses(told: &Told, incoming: &str, own: [SocketAddr; 2], case: &str) {
    let expected = match incoming {
        "off" => own,
        _ => ["203.0.113.9:5000", "198.51.100.1:443"].map(|address| address.parse().unwrap()),
    };
    assert_eq!([told.source, told.destination], expected.map(Some), "{case}");
}

#[test]
fn sessions_that_end_here_are_told_of() {
    let site = Site::new();
    let alice = site.authority.issue(&Wanted { common_name: "alice", ..Wanted::names(&[]) });
    // A name that the session belies, and something that nobody here knows.
    let received = [&[AUTHORITY, 0, 1, b'x'][..], &[0xe5, 0, 2, 7, 8]].concat();
    for incoming in ["off", "v1", "v2"] {
        for outgoing in ["v1", "v2"] {
            let receiver = Receiver::start(|mut stream| {
                let mut bytes = [0; 5];
                stream.read_exact(&mut bytes).unwrap();
                stream.write_all(&bytes).unwrap();
            });
            let proxy = proxy(&site, incoming, outgoing, "upstream = \"b\"\ntls = TLS", &receiver);
            let mut count = 0;
            for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
                for who in [None, Some(&alice)] {
                    let config = client(&site, version, who);
                    // The second session resumes the first one.
                    for is_resumed in [false, true] {
                        let case = format!("{incoming} {outgoing} {version:?} {}", who.is_some());
                        let mut stream =
                            connect_with(config.clone(), &proxy.address(), "a.example");
                        let own = addresses(&stream.sock);
                        if incoming != "off" {
                            stream.sock.write_all(&header_in(incoming, &received)).unwrap();
                        }
                        stream.write_all(b"hello").unwrap();
                        let mut answer = [0; 5];
                        stream.read_exact(&mut answer).unwrap();
                        assert_eq!(&answer, b"hello", "{case}");
                        let kind = stream.conn.handshake_kind().unwrap();
                        assert_eq!(kind == rustls::HandshakeKind::Resumed, is_resumed, "{case}");
                        count += 1;
                        let told = receiver.told(count);
                        check_addresses(&told, incoming, own, &case);
                        close(&mut stream);
                        if outgoing == "v1" {
                            continue;
                        }
                        assert_eq!(told.text(AUTHORITY), Some("a.example"), "{case}");
                        assert_eq!(told.text(ALPN), Some("http/1.1"), "{case}");
                        let unknown = told.attributes.get(&0xe5).map(Vec::as_slice);
                        assert_eq!(unknown, (incoming == "v2").then_some(&[7, 8][..]), "{case}");
                        let (flags, verified, inner) = told.session().unwrap();
                        let is_12 = version.version == rustls::ProtocolVersion::TLSv1_2;
                        let name: &[u8] = if is_12 { b"TLSv1.2" } else { b"TLSv1.3" };
                        assert_eq!(inner.get(&VERSION).map(Vec::as_slice), Some(name), "{case}");
                        let common_name = inner.get(&COMMON_NAME).map(Vec::as_slice);
                        assert_eq!(common_name, who.map(|_| &b"alice"[..]), "{case}");
                        assert_eq!(verified == 0, who.is_some(), "{case}");
                        assert_eq!(flags & 1, 1, "{case}");
                        assert_eq!(flags & 4 != 0, who.is_some(), "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn sessions_that_pass_through_are_told_of_before_their_first_byte() {
    let site = Site::new();
    let more = "[[listeners.a.sni]]\nnames = [\"a.example\"]\nupstream = \"b\"";
    for incoming in ["off", "v1", "v2"] {
        for outgoing in ["v1", "v2"] {
            let (sender, hellos) = std::sync::mpsc::channel();
            let receiver = Receiver::start(move |mut stream| {
                let mut start = [0; 3];
                stream.read_exact(&mut start).unwrap();
                // The test waits for it.
                sender.send(start).unwrap();
            });
            let proxy = proxy(&site, incoming, outgoing, more, &receiver);
            let config = client(&site, &rustls::version::TLS13, None);
            let mut stream = connect_with(config, &proxy.address(), "a.example");
            let own = addresses(&stream.sock);
            if incoming != "off" {
                stream.sock.write_all(&header_in(incoming, &[])).unwrap();
            }
            stream.conn.write_tls(&mut stream.sock).unwrap();
            let case = format!("{incoming} {outgoing}");
            assert_eq!(hellos.recv().unwrap(), [22, 3, 1], "{case}");
            let told = receiver.told(1);
            check_addresses(&told, incoming, own, &case);
            let expected = (outgoing == "v2").then_some("a.example");
            assert_eq!(told.text(AUTHORITY), expected, "{case}");
            assert_eq!(told.text(ALPN), expected.map(|_| "http/1.1"), "{case}");
            assert_eq!(told.session(), None, "{case}");
        }
    }
}

/// A client's own address, over two proxies: the first one passes its session through and tells of
/// it by a PROXY header, the second one ends the session.
#[test]
fn an_address_outlives_passing_through() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let tls = site.tls("ecdsa", "");
    let inner = Launch::configured(&format!(
        "[listeners.b]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\ntls = {tls}\n\
         proxy_protocol = {{ accept = \"required\", trust = [\"127.0.0.1\"] }}\n\
         [upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start();
    let outer = Launch::configured(&format!(
        "[listeners.a]\nbind = \"127.0.0.1:0\"\n\
         [[listeners.a.sni]]\nnames = [\"a.example\"]\nupstream = \"inner\"\n\
         [upstreams.inner]\nservers = [\"{}\"]\nproxy_protocol = \"v2\"\n",
        inner.address()
    ))
    .start();
    let spliceway::address::Address::Ip(to) = outer.address() else {
        panic!("{}", outer.address())
    };
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // All of 127/8 is this machine: a client that cannot be taken for the proxy.
    socket.bind(&SocketAddr::from(([127, 0, 0, 77], 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let config = client(&site, &rustls::version::TLS13, None);
    let name = "a.example".try_into().unwrap();
    let session = rustls::ClientConnection::new(config, name).unwrap();
    let mut stream = rustls::StreamOwned::new(session, Stream::Tcp(socket.into()));
    stream
        .write_all(get("/x").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(b"GET /x "), "{}", String::from_utf8_lossy(&answer));
    let requests = origin.requests();
    assert_eq!(requests[0].field("x-forwarded-for"), Some("127.0.0.77"));
    assert_eq!(requests[0].field("x-forwarded-proto"), Some("https"));
}

/// Each is sent away for a reason that says what is wrong, and the next client is served.
#[test]
fn headers_that_are_wrong_harm_nobody() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::configured(&format!(
        "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         proxy_protocol = {{ accept = \"required\", trust = [\"127.0.0.1\"] }}\n\
         [listeners.web.timeouts]\nproxy_header = \"500ms\"\n\
         [upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start();
    let whole = header_in("v2", &[]);
    let too_long = [&whole[..14], &[0xff, 0xff], &[0; 60_000]].concat();
    let datagram = [&whole[..13], &[0x12], &whole[14..]].concat();
    let cut_attribute = header_in("v2", &[AUTHORITY, 0, 9, b'x']);
    let mut refused = BTreeMap::new();
    for (header, reason) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], "missing"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "missing"),
        (&whole[..15], "timeout"),
        (&whole[..whole.len() - 1], "timeout"),
        (&too_long, "too_long"),
        (&datagram, "malformed"),
        (&cut_attribute, "malformed"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "malformed"),
        (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "malformed"),
    ] {
        for ends in [false, true] {
            let reason = if ends && reason == "timeout" { "cut" } else { reason };
            let mut stream = proxy.connect();
            // The proxy may be gone before it has all.
            let _written = stream.write_all(header).is_ok();
            if ends {
                let _gone = stream.end_writing().is_ok();
            }
            let mut answer = Vec::new();
            // A reset in place of an end says the same.
            let _ending = stream.read_to_end(&mut answer).is_err();
            assert!(answer.is_empty(), "{header:?}: {answer:?}");
            let count = refused.entry(reason).or_insert(0.0);
            *count += 1.0;
            proxy.await_closed(&format!("proxy_header_{reason}"), *count);
            let mut next = Connection::open(&proxy.address());
            next.send(header_in("v2", &[]));
            assert_eq!(next.exchange(get("/next")).text(), "GET /next ");
        }
    }
    let requests = origin.requests();
    assert!(requests.iter().all(|it| it.field("x-forwarded-for") == Some("203.0.113.9")));
}
