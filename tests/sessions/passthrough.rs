//! Routes by what a ClientHello asks for: sessions that are passed through, and those that end
//! here, at one listener.

use std::io::Write;

use crate::Site;
use crate::client::{ask, close, config, connect_with, shown};
use crate::support::http::{HttpOrigin, ok};
use crate::support::proxy::{Launch, Proxy};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
const BODY_BYTES: usize = 16 << 20;

/// An edge that ends sessions for `a.example` with an RSA certificate, and passes `127.0.0.1` —
/// whoever asks for no name — through to a server with an ECDSA one.
fn edge(site: &Site, origin: &HttpOrigin) -> [Proxy; 2] {
    let inner = site.tls("ecdsa", "");
    let server = Launch::configured(&format!(
        "[listeners.server]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         tls = {inner}\n[upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start();
    let outer = site.tls("rsa", "");
    let edge = Launch::configured(&format!(
        "[listeners.edge]\nbind = \"127.0.0.1:0\"\ntls = {outer}\n\
         [listeners.edge.timeouts]\ntls_handshake = \"2s\"\n\
         [[listeners.edge.sni]]\nnames = [\"a.example\"]\nterminate = true\nupstream = \"app\"\n\
         [[listeners.edge.sni]]\nnames = [\"*.pass.example\"]\nupstream = \"server\"\n\
         [upstreams.app]\nservers = [\"{}\"]\n[upstreams.server]\nservers = [\"{}\"]\n",
        origin.address(),
        server.address()
    ))
    .start();
    [edge, server]
}

#[test]
fn some_are_passed_through_and_some_end_here() {
    let site = Site::new();
    let wanted = crate::support::certificates::Wanted::names(&["x.pass.example"]);
    site.authority.issue(&wanted).write(site.folder(), "ecdsa", "");
    let origin = HttpOrigin::start(|_, connection| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
        connection.send(head);
        connection.send(vec![b'x'; BODY_BYTES]);
        false
    });
    let [edge, server] = edge(&site, &origin);
    let config = config(&site, rustls::ALL_VERSIONS);
    let mut ended = connect_with(config.clone(), &edge.address(), "a.example");
    assert!(ask(&mut ended, GET).unwrap().len() > BODY_BYTES);
    let copied_by = |proxy: &Proxy| {
        proxy.metrics().sum("spliceway_relay_bytes_total", &[("path", "copy")]) as usize
    };
    close(&mut ended);
    ended.sock.end_writing().unwrap();
    edge.await_closed("completed", 1.0);
    let before = copied_by(&edge);
    assert!(before > BODY_BYTES);

    let mut passed = connect_with(config.clone(), &edge.address(), "x.pass.example");
    assert!(ask(&mut passed, GET).unwrap().len() > BODY_BYTES);
    assert_ne!(shown(&ended), shown(&passed));
    passed.sock.end_writing().unwrap();
    edge.await_closed("completed", 2.0);
    assert!(copied_by(&edge) - before < 64 * 1024, "nothing of it is copied");
    edge.await_metric("spliceway_relay_bytes_total", &[("path", "splice")], |n| {
        n as usize > BODY_BYTES
    });
    server.await_metric("spliceway_tls_handshakes_total", &[], |n| n == 1.0);

    let mut nobody = connect_with(config, &edge.address(), "b.example");
    ask(&mut nobody, GET).unwrap_err();
    edge.await_closed("unknown_name", 1.0);
}

#[test]
fn a_hello_in_pieces_is_put_together() {
    let site = Site::new();
    let wanted = crate::support::certificates::Wanted::names(&["x.pass.example"]);
    site.authority.issue(&wanted).write(site.folder(), "ecdsa", "");
    let origin = HttpOrigin::start(|_, connection| {
        connection.send(ok("GET /x "));
        false
    });
    let [edge, _server] = edge(&site, &origin);
    for name in ["a.example", "x.pass.example"] {
        let config = config(&site, rustls::ALL_VERSIONS);
        let mut stream = connect_with(config, &edge.address(), name);
        let mut hello = Vec::new();
        stream.conn.write_tls(&mut hello).unwrap();
        let pieces: Vec<&[u8]> = hello.chunks(7).collect();
        for piece in pieces {
            stream.sock.write_all(piece).unwrap();
            stream.sock.await_delivered();
        }
        assert!(ask(&mut stream, GET).unwrap().ends_with(b"GET /x "), "{name}");
    }
}
