//! TLS, routes by SNI, and the PROXY protocol, as they are written.

use std::net::IpAddr;
use std::path::Path;

use spliceway::config::Protocol;
use spliceway::config::tls::{ClientCertificates, SniRoute, UnknownName, Verification};
use spliceway::proxy_protocol::ProxyVersion;
use spliceway::tls::algorithms::TlsVersion;

use super::{Case, HTTP, VALID};

/// The errors of `valid` with `more` behind it.
fn errors(valid: &str, more: &str) -> Vec<String> {
    let errors = Case::file("a.toml", &format!("{valid}\n{more}")).errors();
    errors.into_iter().map(|error| error.to_string()).collect()
}

fn check(valid: &str, more: &str, expected: &str) {
    let errors = errors(valid, more);
    assert!(errors.iter().any(|error| error.contains(expected)), "{more}: {errors:#?}");
}

const FILES: &str = "certificates = [{ chain = \"a.pem\", key = \"/keys/a.key\" }]";

#[test]
fn all_that_can_be_said_is_read() {
    let text = format!(
        r#"
        [process]
        handshakes_max = 7
        [timeouts]
        tls_handshake = "3s"
        proxy_header = "2s"
        [listeners.web]
        bind = "127.0.0.1:80"
        upstream = "app"
        timeouts.tls_handshake = "4s"
        proxy_protocol = {{ accept = "required", trust = ["10.0.0.0/8"] }}
        [listeners.web.tls]
        {FILES}
        unknown_name = "refuse"
        min_version = "1.3"
        alpn = ["h2"]
        ciphers = ["TLS13_AES_128_GCM_SHA256"]
        groups = ["X25519"]
        tickets = false
        client_certificates = {{ mode = "optional", ca = "ca.pem", revocation_lists = "l.pem" }}
        [upstreams.app]
        servers = ["127.0.0.1:9001"]
        proxy_protocol = "v2"
        [upstreams.app.tls]
        ca = "ca.pem"
        server_name = "app.internal"
        client_certificate = {{ chain = "b.pem", key = "b.key" }}
        min_version = "1.3"
        alpn = ["h2"]
        "#
    );
    let case = Case::file("a.toml", &text);
    let folder = case.directory.path().to_owned();
    let config = case.loaded().config;
    assert_eq!(config.process.handshakes_max.get(), 7);
    let listener = &config.listeners[0];
    assert_eq!(listener.timeouts.tls_handshake.as_secs(), 4);
    assert_eq!(listener.timeouts.proxy_header.as_secs(), 2);
    let trust = listener.proxy_protocol.as_ref().unwrap();
    let is_trusted = |ip: [u8; 4]| trust.contains(Some(IpAddr::from(ip)));
    assert!(is_trusted([10, 1, 2, 3]) && !is_trusted([11, 1, 2, 3]));
    let tls = listener.tls.as_ref().unwrap();
    assert_eq!(tls.certificates[0].chain, folder.join("a.pem"));
    assert_eq!(tls.certificates[0].key, Path::new("/keys/a.key"));
    assert_eq!((tls.unknown_name, tls.min_version), (UnknownName::Refuse, TlsVersion::Tls13));
    assert_eq!((tls.alpn.len(), tls.ciphers.len(), tls.groups.len()), (1, 1, 1));
    assert!(!tls.tickets);
    let ClientCertificates::Optional(authority) = &tls.client_certificates else { panic!() };
    assert_eq!(authority.revocation_lists, [folder.join("l.pem")]);
    let upstream = &config.upstreams[0];
    assert_eq!((upstream.proxy_protocol, upstream.pool.idle_max), (Some(ProxyVersion::V2), 0));
    let tls = upstream.tls.as_ref().unwrap();
    assert_eq!(tls.verification, Verification::Ca(folder.join("ca.pem")));
    assert_eq!(tls.server_name.as_ref().unwrap().to_str(), "app.internal");
    assert_eq!(tls.client_certificate.as_ref().unwrap().key, folder.join("b.key"));
}

#[test]
fn defaults_are_safe() {
    let tcp = Case::file("a.toml", &format!("{VALID}\n[listeners.web.tls]\n{FILES}"));
    let config = tcp.loaded().config;
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert_eq!((tls.unknown_name, tls.min_version), (UnknownName::Default, TlsVersion::Tls12));
    assert_eq!(tls.client_certificates, ClientCertificates::Off);
    assert!(tls.tickets && tls.alpn.is_empty() && tls.ciphers.is_empty());
    assert_eq!(config.process.handshakes_max.get(), 512);
    let http = Case::file("a.toml", &format!("{HTTP}\n[listeners.web.tls]\n{FILES}"));
    let config = http.loaded().config;
    assert_eq!(config.listeners[0].tls.as_ref().unwrap().alpn, ["http/1.1".into()]);
    let upstream = Case::file("a.toml", &format!("{VALID}\n[upstreams.app.tls]"));
    let config = upstream.loaded().config;
    assert_eq!(config.upstreams[0].tls.as_ref().unwrap().verification, Verification::System);
}

#[test]
fn what_a_listener_cannot_do_is_said() {
    let tls = |more: &str| format!("[listeners.web.tls]\n{more}");
    let with_files = |more: &str| tls(&format!("{FILES}\n{more}"));
    check(VALID, &tls(""), "listeners.web.tls.certificates: missing");
    check(VALID, &tls("certificates = []"), "certificates: missing");
    check(VALID, &tls("certificates = [{ chain = \"a\" }]"), "certificates[0].key: missing");
    check(VALID, &tls("certificates = [{ chain = \"\", key = \"k\" }]"), "the path of a file");
    check(VALID, &with_files("min_version = \"1.1\""), "expected \"1.2\" or \"1.3\"");
    check(VALID, &with_files("unknown_name = \"deny\""), "\"default\" or \"refuse\"");
    let misspelt = "ciphers = [\"TLS13_AES_128_GCM_SHA255\"]";
    check(VALID, &with_files(misspelt), "did you mean \"TLS13_AES_128_GCM_SHA256\"");
    check(VALID, &with_files("groups = [\"x25519\"]"), "did you mean \"X25519\"");
    let old = "min_version = \"1.3\"\nciphers = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]";
    check(VALID, &with_files(old), "none of them is of TLS 1.3");
    check(VALID, &with_files("alpn = [\"\"]"), "a protocol such as");
    check(HTTP, &with_files("alpn = [\"h2\"]"), "agrees on nothing that it does not speak");
    let clients = |table: &str| with_files(&format!("client_certificates = {table}"));
    check(VALID, &clients("{ ca = \"a\" }"), "certificates of clients are not asked for");
    check(VALID, &clients("{ mode = \"required\" }"), "client_certificates.ca: missing");
    check(VALID, &clients("{ mode = \"maybe\" }"), "\"off\", \"optional\" or \"required\"");
}

#[test]
fn what_an_upstream_cannot_do_is_said() {
    let tls = |more: &str| format!("[upstreams.app.tls]\n{more}");
    check(VALID, &tls("verify = false"), "danger_skip_verification = true");
    let both = "ca = \"a\"\ndanger_skip_verification = true";
    check(VALID, &tls(both), "nothing is verified by it");
    check(VALID, &tls("server_name = \"*.a.example\""), "it is one name that is asked for");
    check(VALID, &tls("server_name = \"a b\""), "no host has such a name");
    let unix = VALID.replace("127.0.0.1:9001", "unix:/run/app.sock");
    check(&unix, &tls(""), "a certificate cannot be for unix:/run/app.sock");
    assert_eq!(errors(&unix, &tls("server_name = \"app\"")), Vec::<String>::new());
    let pooled = "pool.idle_max = 4\nproxy_protocol = \"v1\"";
    check(VALID, pooled, "each connection belongs to one client");
    check(VALID, "proxy_protocol = \"v3\"", "\"off\", \"v1\" or \"v2\"");
}

#[test]
fn headers_are_believed_of_somebody() {
    let listener = |more: &str| format!("[listeners.web.proxy_protocol]\n{more}");
    check(VALID, &listener("accept = \"required\""), "proxy_protocol.trust: missing");
    check(VALID, &listener("accept = \"required\"\ntrust = []"), "nobody could connect");
    check(VALID, &listener("trust = [\"10.0.0.0/8\"]"), "no header is expected");
    check(VALID, &listener("accept = \"auto\""), "\"off\" or \"required\"");
    check(VALID, &listener("accept = \"required\"\ntrust = [\"a\"]"), "not a network");
}

const SNI: &str = r#"
[listeners.edge]
bind = "127.0.0.1:443"
[upstreams.app]
servers = ["127.0.0.1:9001"]
"#;

fn sni(routes: &[&str]) -> String {
    routes.iter().map(|route| format!("[[listeners.edge.sni]]\n{route}\n")).collect()
}

#[test]
fn routes_by_name_lead_through_or_end_here() {
    let routes = sni(&[
        "names = [\"a.example\", \"*.b.example\"]\nupstream = \"app\"",
        "alpn = [\"h2\"]\nterminate = true",
        "default = true\nterminate = true\nupstream = \"app\"",
    ]);
    let text = SNI.replace("443\"", "443\"\nupstream = \"app\"");
    let text = format!("{text}\n{routes}\n[listeners.edge.tls]\n{FILES}");
    let config = Case::file("a.toml", &text).loaded().config;
    let Protocol::Sni(sni) = &config.listeners[0].protocol else { panic!() };
    let app = sni.routes[0].upstream();
    let terminate = SniRoute::Terminate(app);
    assert_eq!(sni.routes, [SniRoute::PassThrough(app), terminate, terminate]);
    let found = sni.router.find(Some("x.b.example"), &[]).unwrap();
    assert_eq!(sni.routes[found.index()], SniRoute::PassThrough(app));
}

#[test]
fn routes_by_name_that_make_no_sense_are_said() {
    let check = |routes: &[&str], expected: &str| check(SNI, &sni(routes), expected);
    check(&["upstream = \"app\""], "it does not say for whom");
    check(&["names = [\"a\"]\ndefault = true\nupstream = \"app\""], "not the one for all others");
    check(&["names = [\"a\"]"], "listeners.edge.sni[0].upstream: missing");
    check(&["names = [\"a\"]\nupstream = \"app\"\nterminate = true"], "nothing to end a session");
    let twice = "names = [\"a\"]\nupstream = \"app\"";
    check(&[twice, twice], "no client comes here");
    let default = "default = true\nupstream = \"app\"";
    check(&[default, default], "no client comes here");
    check(&["names = [\"a:1\"]\nupstream = \"app\""], "a port has no place in it");
    check(&["names = [\"a\"]\nupstream = \"apq\""], "there is no upstream named \"apq\"");
    let unused = format!("{}\n[listeners.edge.tls]\n{FILES}", sni(&[default]));
    super::tls::check(SNI, &unused, "no session ends here");
    let text = SNI.replace("443\"", "443\"\nupstream = \"app\"");
    super::tls::check(&text, &sni(&[default]), "nothing goes there");
    super::tls::check(HTTP, "[[listeners.web.sni]]\ndefault = true", "a key of TCP");
}
