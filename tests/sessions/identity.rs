//! Who a client is: its certificate, asked for by the proxy, shown by a client of Python's, and
//! told to the server in headers that no client can forge.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use sha2::{Digest, Sha256};
use spliceway::address::Address;

use crate::Site;
use crate::support::certificates::{Authority, Issued, Wanted};
use crate::support::http::{HttpOrigin, Message};
use crate::support::proxy::{Launch, Proxy};
use crate::support::python::python_with;

const CLIENT: &str = include_str!("ssl_client.py");

/// A listener that asks for certificates as `mode` says, and tells the server of them.
fn start(site: &Site, kind: &str, mode: &str, origin: &HttpOrigin) -> Proxy {
    let tls = match mode {
        "off" => site.tls(kind, ""),
        mode => {
            let ca = site.path("clients.pem");
            let more = format!(", client_certificates = {{ mode = \"{mode}\", ca = \"{ca}\" }}");
            site.tls(kind, &more)
        }
    };
    Launch::configured(&format!(
        "[access_log]\npath = \"stdout\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         tls = {tls}\n\
         [listeners.web.request_headers]\n\
         set.X-Subject = \"{{tls_client_subject}}\"\n\
         set.X-Fingerprint = \"{{tls_client_fingerprint}}\"\n\
         set.X-Version = \"{{tls_version}}\"\n\
         [upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start()
}

/// What came of both connections of Python's client; see its file.
fn ask_twice(
    python: &str,
    site: &Site,
    to: &Address,
    version: &str,
    who: Option<&str>,
) -> [Value; 2] {
    let mut command = Command::new(python);
    command.args(["-c", CLIENT, &to.to_string(), &site.path("ca.pem"), version, "/x"]);
    if let Some(who) = who {
        command.args([site.path(&format!("{who}.pem")), site.path(&format!("{who}.key"))]);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    [lines.next().unwrap(), lines.next().unwrap()]
}

fn fingerprint(issued: &Issued) -> String {
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    Sha256::digest(&certificate).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// What the server was told, without separators and in small letters.
fn told(request: &Message, name: &str) -> String {
    let value = request.field(name).unwrap_or_default().to_lowercase();
    if name == "x-fingerprint" { value.replace(':', "") } else { value }
}

#[test]
fn clients_are_who_their_certificate_says_and_nobody_else() {
    let Some(python) = python_with("ssl") else { return };
    let site = Site::new();
    let clients = Authority::root("Clients");
    std::fs::write(site.folder().join("clients.pem"), clients.pem()).unwrap();
    let alice = clients.issue(&Wanted { common_name: "alice", ..Wanted::names(&[]) });
    alice.write(site.folder(), "alice", "");
    Authority::root("Others").issue(&Wanted::names(&[])).write(site.folder(), "stranger", "");
    for kind in ["ecdsa", "rsa"] {
        for mode in ["off", "optional", "required"] {
            let origin = HttpOrigin::echo();
            let proxy = start(&site, kind, mode, &origin);
            for version in ["1.2", "1.3"] {
                for who in [None, Some("alice"), Some("stranger")] {
                    let case = format!("{kind} {mode} {version} {who:?}");
                    let before = origin.requests().len();
                    let outcomes = ask_twice(python, &site, &proxy.address(), version, who);
                    let is_let_in = match (mode, who) {
                        ("off", _) | (_, Some("alice")) => true,
                        (mode, None) => mode == "optional",
                        (_, Some(_)) => false,
                    };
                    let requests = origin.requests().split_off(before);
                    assert_eq!(requests.len(), if is_let_in { 2 } else { 0 }, "{case}");
                    for (round, outcome) in outcomes.iter().enumerate() {
                        if !is_let_in {
                            assert!(outcome["error"].is_string(), "{case}: {outcome}");
                            continue;
                        }
                        assert_eq!(outcome["version"], format!("TLSv{version}"), "{case}");
                        assert_eq!(outcome["resumed"], round == 1, "{case}");
                        let answer = outcome["answer"].as_str().unwrap();
                        assert!(answer.ends_with("GET /x "), "{case}: {answer}");
                        let request = &requests[round];
                        let is_known = mode != "off" && who == Some("alice");
                        let subject = if is_known { "cn=alice" } else { "" };
                        let print = if is_known { fingerprint(&alice) } else { String::new() };
                        assert_eq!(told(request, "x-subject"), subject, "{case} {round}");
                        assert_eq!(told(request, "x-fingerprint"), print, "{case} {round}");
                        assert_eq!(told(request, "x-version"), format!("tlsv{version}"), "{case}");
                    }
                }
            }
            if mode != "off" {
                let labels = [("reason", "peer_certificate")];
                let name = "spliceway_tls_handshake_failures_total";
                proxy.await_metric(name, &labels, |failures| failures >= 4.0);
            }
        }
    }
}
