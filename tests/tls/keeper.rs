//! Files are replaced while sessions go on.

use std::fs;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use spliceway::id::ListenerId;
use spliceway::tls::keeper::{Keeper, Refreshed};

use crate::support::certificates::{Authority, Wanted};
use crate::{Case, ECDSA, client, der, meet};

const TWO: &str = "certificates = [{ chain = \"a.pem\", key = \"a.key\" }, \
                   { chain = \"b.pem\", key = \"b.key\" }]";

fn replaced() -> Refreshed {
    Refreshed { replaced: vec!["listeners.web.tls".to_owned()], broken: Vec::new() }
}

#[test]
fn a_pair_that_is_broken_or_half_written_keeps_the_old_one() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    let issue = |name: &str| root.issue(&Wanted::names(&[name]));
    issue("a.example").write(case.folder(), "a", "");
    let b = issue("b.example");
    b.write(case.folder(), "b", "");
    let mut keeper = Keeper::load(&case.config(TWO, "")).unwrap();
    let store = keeper.store();
    // A session that is resumed has the certificate that it began with.
    let mut anybody = client(&[&TLS13, &TLS12], &[ECDSA]);
    anybody.resumption = Resumption::disabled();
    let anybody = Arc::new(anybody);
    let shown = |name: &str| {
        let server = store.server(ListenerId(0)).unwrap();
        meet(&server, &anybody, name).unwrap().shown
    };
    assert_eq!(keeper.refresh(), Refreshed::default());

    // The chain is there and its key is not yet; the other pair is new and whole.
    let next = issue("b.example");
    fs::write(case.folder().join("b.pem"), &next.certificate).unwrap();
    let a = issue("a.example");
    a.write(case.folder(), "a", "");
    let Refreshed { replaced: tables, broken } = keeper.refresh();
    assert_eq!(tables, ["listeners.web.tls"]);
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].key, "listeners.web.tls.certificates[1].key");
    assert!(broken[0].words.contains("does not fit"), "{}", broken[0].words);
    assert_eq!(shown("a.example"), der(&a.certificate));
    assert_eq!(shown("b.example"), der(&b.certificate));

    // It is found broken again, and nothing else happens, until it is whole.
    assert_eq!(keeper.refresh().replaced, Vec::<String>::new());
    next.write(case.folder(), "b", "");
    assert_eq!(keeper.refresh(), replaced());
    assert_eq!(shown("b.example"), der(&next.certificate));
    assert_eq!(keeper.refresh(), Refreshed::default());

    fs::remove_file(case.folder().join("a.pem")).unwrap();
    assert!(keeper.refresh().broken[0].words.contains("cannot be read"));
    assert_eq!(shown("a.example"), der(&a.certificate));
    assert_eq!(keeper.folders().into_iter().collect::<Vec<_>>(), [case.folder().to_owned()]);
}

#[test]
fn tickets_outlive_certificates_but_not_the_judgement_of_clients() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    root.issue(&Wanted::names(&["a.example"])).write(case.folder(), "a", "");
    case.write("clients.pem", &Authority::root("Clients").pem());
    let listener = "certificates = [{ chain = \"a.pem\", key = \"a.key\" }]\n\
                    client_certificates = { mode = \"optional\", ca = \"clients.pem\" }";
    let mut keeper = Keeper::load(&case.config(listener, "")).unwrap();
    let store = keeper.store();
    let client = Arc::new(client(&[&TLS13], &[ECDSA]));
    let resumes = || {
        let server = store.server(ListenerId(0)).unwrap();
        meet(&server, &client, "a.example").unwrap().is_resumed
    };
    assert!(!resumes() && resumes());
    root.issue(&Wanted::names(&["a.example"])).write(case.folder(), "a", "");
    assert_eq!(keeper.refresh(), replaced());
    assert!(resumes());
    case.write("clients.pem", &Authority::root("Clients").pem());
    assert_eq!(keeper.refresh(), replaced());
    assert!(!resumes());
}

/// A reload of the configuration: what stays the same is not even read again, tickets outlive other
/// settings, and a file that cannot be used leaves everything as it was.
#[test]
fn a_keeper_follows_another_configuration() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    let first = root.issue(&Wanted::names(&["a.example"]));
    first.write(case.folder(), "a", "");
    let listener = "certificates = [{ chain = \"a.pem\", key = \"a.key\" }]";
    let config = case.config(listener, "");
    let mut keeper = Keeper::load(&config).unwrap();
    let client = Arc::new(client(&[&TLS13], &[ECDSA]));
    let meets = |keeper: &Keeper| {
        let server = keeper.store().server(ListenerId(0)).unwrap();
        meet(&server, &client, "a.example").unwrap()
    };
    assert!(!meets(&keeper).is_resumed && meets(&keeper).is_resumed);

    let next = root.issue(&Wanted::names(&["a.example"]));
    next.write(case.folder(), "a", "");
    let following = keeper.following(&config).unwrap();
    keeper.take_over(following);
    assert!(meets(&keeper).is_resumed, "nothing was read");

    let stricter = format!("{listener}\nmin_version = \"1.3\"");
    let following = keeper.following(&case.config(&stricter, "")).unwrap();
    keeper.take_over(following);
    assert!(meets(&keeper).is_resumed, "its tickets are good");
    assert_eq!(keeper.refresh(), Refreshed::default(), "all was read when it was made");

    case.write("a.key", "nothing of use");
    let findings = keeper.following(&config).unwrap_err();
    assert_eq!(findings[0].key, "listeners.web.tls.certificates[0].key");
    assert!(meets(&keeper).is_resumed);
}

#[test]
fn all_that_is_wrong_at_the_start_is_said_with_its_key() {
    let case = Case::new();
    let listener = format!(
        "{TWO}\nclient_certificates = {{ mode = \"required\", ca = \"none.pem\", \
         revocation_lists = [\"none.pem\"] }}"
    );
    let upstream = "[upstreams.app.tls]\nca = \"a.pem\"\n\
                    client_certificate = { chain = \"a.pem\", key = \"a.key\" }";
    case.write("a.pem", "nothing of use");
    case.write("a.key", "");
    let findings = Keeper::load(&case.config(&listener, upstream)).unwrap_err();
    let found: Vec<&str> = findings.iter().map(|finding| &*finding.key).collect();
    assert_eq!(
        found,
        [
            "listeners.web.tls.certificates[0].key",
            "listeners.web.tls.certificates[1].chain",
            "listeners.web.tls.client_certificates.ca",
            "upstreams.app.tls.client_certificate.key",
            "upstreams.app.tls.ca",
        ]
    );
}

/// A list that is no list must not stand in the way of a certificate that is new.
#[test]
fn a_broken_revocation_list_keeps_the_judgement_of_clients() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    let clients = Authority::root("Clients");
    root.issue(&Wanted::names(&["a.example"])).write(case.folder(), "a", "");
    case.write("clients.pem", &clients.pem());
    case.write("revoked.pem", &clients.revocation_list(&[1]));
    let listener = "certificates = [{ chain = \"a.pem\", key = \"a.key\" }]\n\
                    client_certificates = { mode = \"optional\", ca = \"clients.pem\", \
                    revocation_lists = [\"revoked.pem\"] }";
    let mut keeper = Keeper::load(&case.config(listener, "")).unwrap();
    case.write("revoked.pem", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
    let next = root.issue(&Wanted::names(&["a.example"]));
    next.write(case.folder(), "a", "");
    let Refreshed { replaced, broken } = keeper.refresh();
    assert_eq!(replaced, ["listeners.web.tls"]);
    assert_eq!(broken[0].key, "listeners.web.tls.client_certificates.revocation_lists[0]");
    let server = keeper.store().server(ListenerId(0)).unwrap();
    let anybody = Arc::new(client(&[&TLS13], &[ECDSA]));
    assert_eq!(meet(&server, &anybody, "a.example").unwrap().shown, der(&next.certificate));
}
