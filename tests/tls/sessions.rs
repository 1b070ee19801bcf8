//! What clients get: which certificate, which version, and whether at all.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion, ServerConfig};
use spliceway::address::Address;
use spliceway::id::{ListenerId, UpstreamId};
use spliceway::tls::keeper::Keeper;

use crate::support::certificates::{Authority, Issued, KeyKind, Wanted};
use crate::{Case, ECDSA, Met, RSA, client, der, meet};

fn server(case: &Case, listener: &str) -> Arc<ServerConfig> {
    let keeper = Keeper::load(&case.config(listener, "")).unwrap();
    keeper.store().server(ListenerId(0)).unwrap()
}

fn anybody() -> Arc<ClientConfig> {
    Arc::new(client(&[&TLS13, &TLS12], &[ECDSA, RSA]))
}

#[test]
fn a_client_is_shown_what_it_asks_for_and_can_verify() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    let wanted = |names| Wanted::names(names);
    let rsa = root.issue(&Wanted { kind: KeyKind::Rsa, ..wanted(&["a.example"]) });
    let ecdsa = root.issue(&wanted(&["a.example"]));
    let wildcard = root.issue(&wanted(&["*.b.example"]));
    let exact = root.issue(&wanted(&["x.b.example"]));
    let mut files = Vec::new();
    for (name, issued) in [("rsa", &rsa), ("ecdsa", &ecdsa), ("wild", &wildcard), ("x", &exact)] {
        issued.write(case.folder(), name, "");
        files.push(format!("{{ chain = \"{name}.pem\", key = \"{name}.key\" }}"));
    }
    let certificates = format!("certificates = [{}]", files.join(", "));
    let default = server(&case, &certificates);
    let refusing = server(&case, &format!("{certificates}\nunknown_name = \"refuse\""));
    let check = |name: &str, schemes: &[_], expected: Option<&Issued>| {
        for versions in [&[&TLS13][..], &[&TLS12]] {
            let client = Arc::new(client(versions, schemes));
            for server in [&default, &refusing] {
                let shown = meet(server, &client, name).ok().map(|met| met.shown);
                assert_eq!(shown, expected.map(|issued| der(&issued.certificate)), "{name}");
            }
        }
    };
    check("a.example", &[ECDSA, RSA], Some(&ecdsa));
    check("A.EXAMPLE", &[RSA, ECDSA], Some(&ecdsa));
    check("a.example.", &[ECDSA], Some(&ecdsa));
    check("a.example", &[RSA], Some(&rsa));
    check("x.b.example", &[ECDSA], Some(&exact));
    check("y.b.example", &[ECDSA], Some(&wildcard));
    check("x.b.example", &[RSA], None);
    for name in ["b.example", "y.x.b.example", "c.example", "192.0.2.1"] {
        let shown = meet(&default, &anybody(), name).unwrap().shown;
        assert_eq!(shown, der(&ecdsa.certificate), "{name}");
        assert!(meet(&refusing, &anybody(), name).is_err(), "{name}");
    }
}

#[test]
fn versions_protocols_ciphers_and_tickets_are_as_configured() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    root.issue(&Wanted::names(&["a.example"])).write(case.folder(), "a", "");
    let files = "certificates = [{ chain = \"a.pem\", key = \"a.key\" }]";
    let both = server(&case, &format!("{files}\nalpn = [\"h2\", \"http/1.1\"]"));
    let met = |server, client: ClientConfig| meet(server, &Arc::new(client), "a.example");
    let tls12 = met(&both, client(&[&TLS12], &[ECDSA])).unwrap();
    assert_eq!((tls12.version, tls12.alpn), (ProtocolVersion::TLSv1_2, None));
    let mut speaker = client(&[&TLS13], &[ECDSA]);
    speaker.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    assert_eq!(met(&both, speaker.clone()).unwrap().alpn, Some(b"h2".to_vec()));
    speaker.alpn_protocols = vec![b"smtp".to_vec()];
    assert!(met(&both, speaker).is_err());

    let latest = server(&case, &format!("{files}\nmin_version = \"1.3\""));
    assert!(met(&latest, client(&[&TLS12], &[ECDSA])).is_err());
    let narrow = "ciphers = [\"TLS13_CHACHA20_POLY1305_SHA256\"]\ngroups = [\"X25519\"]";
    let narrow = server(&case, &format!("{files}\n{narrow}"));
    assert_eq!(narrow.crypto_provider().cipher_suites.len(), 1);
    assert!(met(&narrow, client(&[&TLS13], &[ECDSA])).is_ok());

    for versions in [&[&TLS13][..], &[&TLS12]] {
        for (tickets, expected) in [(true, true), (false, false)] {
            let server = server(&case, &format!("{files}\ntickets = {tickets}"));
            assert_eq!(server.max_early_data_size, 0);
            let client = Arc::new(client(versions, &[ECDSA]));
            assert!(!meet(&server, &client, "a.example").unwrap().is_resumed);
            let again = meet(&server, &client, "a.example").unwrap();
            assert_eq!(again.is_resumed, expected, "{versions:?}");
        }
    }
}

fn with_certificate(issued: &Issued) -> Arc<ClientConfig> {
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let resolver = client(&[&TLS13], &[ECDSA]);
    let mut config = resolver.clone();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = rustls::sign::CertifiedKey::from_der(vec![der(&issued.certificate)], key, &provider);
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(key.unwrap()));
    Arc::new(config)
}

#[test]
fn clients_show_who_they_are() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    let clients = Authority::root("Clients");
    root.issue(&Wanted::names(&["a.example"])).write(case.folder(), "a", "");
    case.write("clients.pem", &clients.pem());
    case.write("revoked.pem", &clients.revocation_list(&[66]));
    let alice = clients.issue(&Wanted { serial: 5, ..Wanted::names(&[]) });
    let mallory = clients.issue(&Wanted { serial: 66, ..Wanted::names(&[]) });
    let stranger = root.issue(&Wanted { serial: 5, ..Wanted::names(&[]) });
    let old = clients.issue(&Wanted { years: (2020, 2021), ..Wanted::names(&[]) });
    let server = |mode: &str, lists: &str| {
        server(
            &case,
            &format!(
                "certificates = [{{ chain = \"a.pem\", key = \"a.key\" }}]\n\
                 client_certificates = {{ mode = \"{mode}\", ca = \"clients.pem\"{lists} }}"
            ),
        )
    };
    let lists = ", revocation_lists = [\"revoked.pem\"]";
    let shown = |met: Result<Met, _>| met.ok().map(|met| met.client);
    let check = |server: &Arc<ServerConfig>, who: Option<&Issued>, expected: bool| {
        let client = who.map_or_else(anybody, with_certificate);
        let expected = expected.then(|| who.map(|it| der(&it.certificate)));
        assert_eq!(shown(meet(server, &client, "a.example")), expected);
    };
    for (mode, allows_none) in [("required", false), ("optional", true)] {
        let (plain, listed) = (server(mode, ""), server(mode, lists));
        check(&plain, Some(&alice), true);
        check(&plain, Some(&mallory), true);
        check(&plain, None, allows_none);
        check(&listed, Some(&alice), true);
        check(&listed, Some(&mallory), false);
        check(&listed, Some(&stranger), false);
        check(&listed, Some(&old), false);
        check(&listed, None, allows_none);
    }
}

#[test]
fn servers_prove_who_they_are() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    let other = Authority::root("Other");
    case.write("root.pem", &root.pem());
    case.write("other.pem", &other.pem());
    root.issue(&Wanted::names(&["app.internal", "127.0.0.1"])).write(case.folder(), "a", "");
    let files = "certificates = [{ chain = \"a.pem\", key = \"a.key\" }]";
    let app: Address = "127.0.0.1:9001".parse().unwrap();
    let outcome = |upstream: &str| {
        let upstream = format!("[upstreams.app.tls]\n{upstream}");
        let store = Keeper::load(&case.config(files, &upstream)).unwrap().store();
        let (client, name) = store.client(UpstreamId(0), &app).unwrap();
        meet(&store.server(ListenerId(0)).unwrap(), &client, &name.to_str()).map(|_| ())
    };
    let check = |upstream: &str, expected: bool| {
        let outcome = outcome(upstream);
        assert_eq!(outcome.is_ok(), expected, "{upstream}: {outcome:?}");
    };
    check("ca = \"root.pem\"", true);
    check("ca = \"root.pem\"\nserver_name = \"app.internal\"", true);
    check("ca = \"root.pem\"\nserver_name = \"db.internal\"", false);
    check("ca = \"other.pem\"", false);
    check("danger_skip_verification = true", true);
    check("danger_skip_verification = true\nserver_name = \"db.internal\"", true);
}

#[test]
fn the_proxy_shows_servers_who_it_is() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    case.write("root.pem", &root.pem());
    root.issue(&Wanted::names(&["127.0.0.1"])).write(case.folder(), "a", "");
    let own = root.issue(&Wanted::names(&["proxy.example"]));
    own.write(case.folder(), "own", "");
    let listener = "certificates = [{ chain = \"a.pem\", key = \"a.key\" }]\n\
                    client_certificates = { mode = \"required\", ca = \"root.pem\" }";
    let upstream = "[upstreams.app.tls]\nca = \"root.pem\"\n\
                    client_certificate = { chain = \"own.pem\", key = \"own.key\" }";
    let store = Keeper::load(&case.config(listener, upstream)).unwrap().store();
    let app: Address = "127.0.0.1:9001".parse().unwrap();
    let (client, name) = store.client(UpstreamId(0), &app).unwrap();
    let server = store.server(ListenerId(0)).unwrap();
    let met = meet(&server, &client, &name.to_str()).unwrap();
    assert_eq!(met.client, Some(der(&own.certificate)));
    assert!(meet(&server, &client, &name.to_str()).unwrap().is_resumed);
}
