//! `openssl s_client` in front: every version, kind of key and signature, new and resumed, with a
//! certificate and without; and the renegotiation that nobody should want.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::Site;
use crate::client::{ask, connect};
use crate::support::certificates::{KeyKind, Wanted};
use crate::support::http::HttpOrigin;
use crate::support::proxy::{Launch, Proxy};
use crate::support::tools::have;

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

/// A listener with certificates of both kinds, and one that wants certificates of clients.
fn start(site: &Site, origin: &HttpOrigin) -> Proxy {
    let pair = |kind: &str| {
        let (chain, key) = (format!("{kind}.pem"), format!("{kind}.key"));
        format!("{{ chain = \"{}\", key = \"{}\" }}", site.path(&chain), site.path(&key))
    };
    let certificates = format!("certificates = [{}, {}]", pair("ecdsa"), pair("rsa"));
    let ca = site.path("ca.pem");
    Launch::configured(&format!(
        "[listeners.open]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         tls = {{ {certificates} }}\n\
         [listeners.closed]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         tls = {{ {certificates}, client_certificates = {{ mode = \"required\", ca = \"{ca}\" }} }}\n\
         [upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start()
}

/// What `s_client` prints: of the session, and what it was answered.
fn s_client(site: &Site, proxy: &Proxy, listener: &str, arguments: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-ign_eof", "-verify_return_error", "-servername", "a.example"])
        .args(["-CAfile", &site.path("ca.pem")])
        .args(["-connect", &proxy.address_of(listener).to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that was refused may be gone.
    let _written = child.stdin.as_mut().unwrap().write_all(GET).is_ok();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn openssl_gets_what_it_asks_for_in_every_way() {
    if !have("openssl", "version") {
        return;
    }
    let site = Site::new();
    for (name, kind) in [("client-ECDSA", KeyKind::Ecdsa), ("client-RSA-PSS", KeyKind::Rsa)] {
        let wanted = Wanted { kind, ..Wanted::names(&["client.example"]) };
        site.authority.issue(&wanted).write(site.folder(), name, "");
    }
    let origin = HttpOrigin::echo();
    let proxy = start(&site, &origin);
    for version in ["1.2", "1.3"] {
        let flag = format!("-tls{}", version.replace('.', "_"));
        for (signatures, kind) in [("ECDSA+SHA256", "ECDSA"), ("RSA-PSS+SHA256", "RSA-PSS")] {
            let chain = site.path(&format!("client-{kind}.pem"));
            let key = site.path(&format!("client-{kind}.key"));
            let shown = ["-cert", &chain, "-key", &key];
            for (listener, certificate) in [("open", &[][..]), ("closed", &shown)] {
                let kept = site.path("session");
                for (what, with) in [("New", "-sess_out"), ("Reused", "-sess_in")] {
                    let arguments = [&[&*flag, "-sigalgs", signatures, with, &kept], certificate];
                    let printed = s_client(&site, &proxy, listener, &arguments.concat());
                    let case = format!("{version} {kind} {listener} {what}: {printed}");
                    assert!(printed.contains("Verify return code: 0"), "{case}");
                    assert!(printed.contains("GET /x "), "{case}");
                    assert!(printed.contains(&format!("{what}, TLSv{version}")), "{case}");
                    if what == "New" {
                        let signed = format!("Peer signature type: {kind}");
                        assert!(printed.contains(&signed), "{case}");
                    }
                }
            }
        }
        let refused = s_client(&site, &proxy, "closed", &[&flag]);
        assert!(!refused.contains("GET /x "), "{refused}");
    }
    let labels = [("listener", "closed"), ("reason", "peer_certificate")];
    proxy.await_metric("spliceway_tls_handshake_failures_total", &labels, |count| count == 2.0);
}

#[test]
fn nobody_renegotiates() {
    if !have("openssl", "version") {
        return;
    }
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let proxy = start(&site, &origin);
    let mut child = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-servername", "a.example"])
        .args(["-connect", &proxy.address_of("open").to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    proxy.await_metric("spliceway_tls_handshakes_total", &[], |count| count == 1.0);
    // The letter on a line of its own asks for it.
    stdin.write_all(b"R\n").unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success(), "openssl was refused: {status}");
    proxy.await_metric("spliceway_connections", &[], |open| open == 0.0);
    assert!(origin.requests().is_empty());
    ask(&mut connect(&site, &proxy.address_of("open")), GET).unwrap();
    // The one handshake, and that of the next client.
    proxy.await_metric("spliceway_tls_handshakes_total", &[], |count| count == 2.0);
}
