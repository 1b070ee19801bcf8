//! A certificate with its key from PEM.

use std::process::{Command, Stdio};

use spliceway::tls::certificate::{Certificate, Chain, Part, PeerIdentity};

use crate::der;
use crate::support::certificates::{Authority, Issued, KeyKind, Wanted};
use crate::support::tools::have;

fn parse(chain: &str, key: &str) -> Result<Certificate, (Part, String)> {
    Certificate::from_pem(chain.as_bytes(), key.as_bytes())
}

#[test]
fn a_certificate_says_what_it_is_for() {
    let root = Authority::root("Root");
    let names = ["WWW.a.example", "*.b.example", "192.0.2.1", "2001:db8::1"];
    let Issued { certificate, key, .. } = root.issue(&Wanted::names(&names));
    let read = parse(&certificate, &key).unwrap();
    let description = read.description();
    let names: Vec<&str> = description.names.iter().map(|name| &**name).collect();
    assert_eq!(names, ["www.a.example", "*.b.example", "192.0.2.1", "2001:db8::1"]);
    assert_eq!((description.algorithm, &*description.issuer), ("ECDSA", "CN=Root"));
    assert_eq!(description.not_before, 1_577_836_800);
    let check =
        |name: &str, expected: bool| assert_eq!(description.covers(name), expected, "{name}");
    check("www.a.example", true);
    check("a.example", false);
    check("x.b.example", true);
    check("b.example", false);
    check("x.y.b.example", false);
    check("192.0.2.1", true);
    check("192.0.2.2", false);
}

#[test]
fn a_chain_leads_somewhere() {
    let root = Authority::root("Root");
    let middle = root.intermediate("Middle");
    let Issued { certificate, key, .. } = middle.issue(&Wanted::names(&["a.example"]));
    let chain = |behind: &[String]| {
        let text = format!("{certificate}{}", behind.concat());
        parse(&text, &key).unwrap().description().chain.clone()
    };
    let check = |behind: &[String], expected: &str| match chain(behind) {
        Chain::IssuedBy { name, .. } => assert_eq!(name, expected),
        other => panic!("{other:?}"),
    };
    check(&[], "CN=Middle");
    check(&[middle.pem()], "CN=Root");
    assert_eq!(chain(&[middle.pem(), root.pem()]), Chain::SelfIssued);
    assert_eq!(chain(&[root.pem()]), Chain::Broken(1));
    assert_eq!(chain(&[middle.pem(), middle.pem()]), Chain::Broken(2));
}

#[test]
fn what_cannot_be_used_says_why_and_never_what() {
    let root = Authority::root("Root");
    let own = root.issue(&Wanted::names(&["a.example"]));
    let other = root.issue(&Wanted::names(&["a.example"]));
    let check = |chain: &str, key: &str, part: Part, expected: &str| {
        let (found, words) = parse(chain, key).unwrap_err();
        assert!(words.contains(expected), "{words}");
        assert_eq!(found, part, "{words}");
        let secret = own.key.lines().nth(1).unwrap();
        assert!(!words.contains(secret), "{words}");
    };
    let half = |text: &str| text[..text.len() / 2].to_owned();
    check("", &own.key, Part::Chain, "holds no certificate");
    check(&own.key, &own.key, Part::Chain, "holds no certificate");
    check(&half(&own.certificate), &own.key, Part::Chain, "it ends in the middle");
    check(&own.certificate, &other.key, Part::Key, "does not fit the certificate");
    check(&own.certificate, &own.certificate, Part::Key, "holds no private key");
    check(&own.certificate, &half(&own.key), Part::Key, "it ends in the middle");
    let encrypted = own.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    check(&own.certificate, &encrypted, Part::Key, "encrypted");
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(nonsense, &own.key, Part::Chain, "does not hold a certificate");
    let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    check(&own.certificate, nonsense, Part::Key, "a kind that is not supported");
    check(&own.certificate.repeat(17), &own.key, Part::Chain, "a chain has 16 at most");
}

/// PKCS#8 is what rcgen writes; SEC1 and PKCS#1 are what old tools wrote.
#[test]
fn keys_of_every_form_are_read() {
    if !have("openssl", "version") {
        return;
    }
    let root = Authority::root("Root");
    for (kind, form) in [(KeyKind::Ecdsa, "BEGIN EC PRIVATE"), (KeyKind::Rsa, "BEGIN RSA PRIVATE")]
    {
        let own = root.issue(&Wanted { kind, ..Wanted::names(&["a.example"]) });
        assert!(parse(&own.certificate, &own.key).is_ok());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, &own.key).unwrap();
        let converted = Command::new("openssl")
            .args(["pkey", "-traditional", "-in", path.to_str().unwrap()])
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let key = String::from_utf8(converted.stdout).unwrap();
        assert!(key.contains(form), "{key}");
        assert!(parse(&own.certificate, &key).is_ok());
    }
}

#[test]
fn a_peer_has_a_name_that_cannot_be_taken_for_another() {
    let root = Authority::root("Root");
    let wanted = Wanted { common_name: "eve,CN=admin\r\n", ..Wanted::names(&[]) };
    let identity = PeerIdentity::of(&der(&root.issue(&wanted).certificate)).unwrap();
    assert_eq!(identity.subject, "CN=eve\\,CN=admin\\0d\\0a");
    assert_eq!(identity.common_name, "eve\\,CN=admin\\0d\\0a");
    assert_eq!(identity.fingerprint.len(), 64);
}
