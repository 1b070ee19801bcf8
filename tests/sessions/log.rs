//! What the access log tells of sessions, and of clients that get none.

use std::io::{Read, Write};

use serde_json::Value;

use crate::Site;
use crate::client::{ask, close, config, connect_with};
use crate::support::http::{Connection, HttpOrigin, get};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{Launch, Proxy, logged};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

fn listen(protocol: &str, more: &str, server: &impl std::fmt::Display) -> Proxy {
    Launch::configured(&format!(
        "[access_log]\npath = \"stdout\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\nupstream = \"app\"\n\
         {more}\n[listeners.web.timeouts]\ntls_handshake = \"500ms\"\n\
         [upstreams.app]\nservers = [\"{server}\"]\n"
    ))
    .start()
}

#[test]
fn a_request_tells_of_the_session_and_of_the_client() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let ca = site.path("ca.pem");
    let more = format!(", client_certificates = {{ mode = \"optional\", ca = \"{ca}\" }}");
    let tls = site.tls("ecdsa", &more);
    let back = listen("http", &format!("tls = {tls}"), origin.address());
    let front = Launch::configured(&format!(
        "[listeners.front]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"back\"\n\
         [upstreams.back]\nservers = [\"{}\"]\n[upstreams.back.tls]\nca = \"{ca}\"\n\
         server_name = \"a.example\"\nclient_certificate = {{ chain = \"{}\", key = \"{}\" }}\n",
        back.address(),
        site.path("ecdsa.pem"),
        site.path("ecdsa.key")
    ))
    .start();
    assert_eq!(Connection::open(&front.address()).exchange(get("/a")).status(), 200);
    let line = logged(&back, "path", "/a");
    assert_eq!(line["tls_version"], "TLSv1.3");
    assert!(line["tls_cipher"].as_str().unwrap().contains("AES"), "{line}");
    assert_eq!(
        (&line["tls_resumed"], &line["tls_server_name"]),
        (&false.into(), &"a.example".into())
    );
    assert_eq!(line["tls_client_subject"], "CN=test");
    let labels = [("version", "TLSv1.3"), ("resumed", "no")];
    front.await_metric("spliceway_upstream_tls_handshakes_total", &labels, |n| n == 1.0);
    let failures = front.metrics().sum("spliceway_upstream_tls_handshake_failures_total", &[]);
    assert_eq!(failures, 0.0);
}

#[test]
fn a_connection_tells_of_its_session() {
    let site = Site::new();
    let origin = Origin::start(origin::echo);
    let proxy = listen("tcp", &format!("tls = {}", site.tls("ecdsa", "")), origin.address());
    let config = config(&site, &[&rustls::version::TLS12]);
    for is_resumed in [false, true] {
        let mut stream = connect_with(config.clone(), &proxy.address(), "a.example");
        stream.write_all(b"x").unwrap();
        close(&mut stream);
        let mut echoed = Vec::new();
        stream.read_to_end(&mut echoed).unwrap();
        let line = logged(&proxy, "tls_resumed", is_resumed);
        assert_eq!((&line["tls_version"], &line["tls_failure"]), (&"TLSv1.2".into(), &Value::Null));
        assert_eq!(line["reason"], "completed");
    }
}

#[test]
fn whoever_is_refused_has_a_line_with_the_reason() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let tls = format!("tls = {}", site.tls("ecdsa", ", unknown_name = \"refuse\""));
    let proxy = "proxy_protocol = { accept = \"required\", trust = [\"127.0.0.1\"] }".to_owned();
    let check = |protocol: &str, more: &str, bytes: &[u8], reason: &str, failure: Value| {
        let proxy = listen(protocol, more, origin.address());
        let mut stream = proxy.connect();
        stream.write_all(bytes).unwrap();
        let line = logged(&proxy, "reason", reason);
        assert_eq!((&line["listener"], &line["tls_failure"]), (&"web".into(), &failure));
        assert_eq!((&line["upstream"], &line["server"]), (&Value::Null, &Value::Null));
        assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    };
    for protocol in ["tcp", "http"] {
        check(protocol, &tls, b"SSH-2.0\r\n", "tls_handshake", "not_tls".into());
        check(protocol, &tls, GET, "tls_handshake", "plain_http".into());
        check(protocol, &tls, b"", "tls_handshake", "timed_out".into());
        check(protocol, &proxy, GET, "proxy_header_missing", Value::Null);
    }
    let proxy = listen("http", &tls, origin.address());
    let any = config(&site, rustls::ALL_VERSIONS);
    ask(&mut connect_with(any, &proxy.address(), "b.example"), GET).unwrap_err();
    let line = logged(&proxy, "tls_server_name", "b.example");
    assert_eq!(line["tls_failure"], "no_certificate");
}

#[test]
fn names_are_told_of_sessions_that_end_elsewhere_or_nowhere() {
    let site = Site::new();
    let origin = Origin::start(origin::sink);
    let proxy = Launch::configured(&format!(
        "[access_log]\npath = \"stdout\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\n\
         [[listeners.web.sni]]\nnames = [\"a.example\"]\nupstream = \"app\"\n\
         [upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start();
    let config = config(&site, rustls::ALL_VERSIONS);
    let hello = |name: &str| {
        let mut stream = connect_with(config.clone(), &proxy.address(), name);
        let mut hello = Vec::new();
        stream.conn.write_tls(&mut hello).unwrap();
        stream.sock.write_all(&hello).unwrap();
        stream.sock.end_writing().unwrap();
        stream
    };
    let _passed = hello("a.example");
    let line = logged(&proxy, "tls_server_name", "a.example");
    assert_eq!((&line["tls_version"], &line["upstream"]), (&Value::Null, &"app".into()));
    let _refused = hello("b.example");
    let line = logged(&proxy, "tls_server_name", "b.example");
    assert_eq!((&line["reason"], &line["tls_failure"]), (&"unknown_name".into(), &Value::Null));
}
