//! The TLS benchmark: its kinds, its certificate, its records, its report, its targets, its picture.

use std::fs;

use rustls::ServerConnection;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::rig::kind::{Figures, Kind as _};
use crate::rig::machine::Machine;
use crate::rig::markdown;
use crate::rig::names::{AUTO, HAPROXY, NGINX, PASSTHROUGH, RELAY};
use crate::rig::results::{Named, Results};
use crate::rig::tls::{Tickets, client_config, client_connection, server_config, write_files};
use crate::tls::contestant::Program;
use crate::tls::kind::{Kind, RESPONSE_BYTES};
use crate::tls::load::passthrough::records;
use crate::tls::{picture, tables, targets};

const FULL: Kind = Kind::handshakes(Tickets::Ignored);
const RESUMED: Kind = Kind::handshakes(Tickets::Kept);
const IDLE: Kind = Kind::Idle { connections: 2000 };
const BULK: Kind = Kind::Passthrough { connections: 4 };

/// Two rounds of a made-up run: `auto` takes 0.8 of the CPU of nginx, whatever it does; HAProxy is
/// not there.
fn made_up() -> Results<Kind> {
    let machine = Machine { kernel: "6.1".into(), cpu: "Made-up CPU".into(), cpus: 2 };
    let named = |name| {
        let version = (name != HAPROXY).then(|| "program 1".to_owned());
        Named { name, version }
    };
    let all = [AUTO, NGINX, HAPROXY, PASSTHROUGH, RELAY].map(named);
    let mut results = Results::new(machine, all.into(), targets::marks());
    for spread in [0.9, 1.1] {
        let mut add = |kind: Kind, name, values: Vec<f64>| {
            results.add(kind, name, Figures::new(kind, values));
        };
        for (name, cpu) in [(AUTO, 20.0 * spread), (NGINX, 25.0 * spread)] {
            for bytes in RESPONSE_BYTES {
                let values = vec![cpu, 1e5, 20.0, 40.0, f64::NAN];
                add(Kind::Responses { bytes }, name, values);
            }
            for kind in [FULL, RESUMED] {
                add(kind, name, vec![cpu, 1e6 / cpu, 1e4, 20.0, 40.0]);
            }
            add(IDLE, name, vec![cpu]);
        }
        for (name, cpu) in [(PASSTHROUGH, 0.11), (RELAY, 0.10)] {
            add(BULK, name, vec![cpu, 5.0]);
        }
    }
    results
}

#[test]
fn no_two_kinds_have_the_same_name() {
    let names: Vec<String> = Kind::all().iter().map(Kind::to_string).collect();
    let unique: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "{names:?}");
    let quick = Kind::quick().into_iter().filter(|kind| !matches!(kind, Kind::Idle { .. }));
    let unknown: Vec<Kind> = quick.filter(|kind| !Kind::all().contains(kind)).collect();
    assert!(unknown.is_empty(), "the quick run measures what the full one does not: {unknown:?}");
    assert_eq!(FULL.title(), "Full handshakes, 16 clients");
    assert_eq!(RESUMED.title(), "Resumed handshakes, 16 clients");
}

#[test]
fn only_those_that_end_sessions_are_asked_to() {
    for kind in Kind::all() {
        let is_bulk = kind == BULK;
        for (program, expected) in [
            (Program::Spliceway, !is_bulk),
            (Program::Nginx, !is_bulk),
            (Program::Passthrough, is_bulk),
            (Program::Relay, is_bulk),
        ] {
            assert_eq!(program.takes_part_in(kind), expected, "{program:?}, {kind}");
        }
    }
}

#[test]
fn the_files_hold_one_certificate_and_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let files = write_files(directory.path()).unwrap();
    let chain = CertificateDer::from_pem_file(&files.chain).unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    assert_eq!(CertificateDer::from_pem_file(&files.both).unwrap(), chain);
    assert_eq!(PrivateKeyDer::from_pem_file(&files.both).unwrap(), key);
    // Every proxy of a run shows the same.
    let again = tempfile::tempdir().unwrap();
    let again = write_files(again.path()).map(|files| fs::read(files.both).unwrap()).unwrap();
    assert_eq!(again, fs::read(&files.both).unwrap());
}

/// Both ends agree, with no socket between them, and the origin sends nothing behind its handshake.
#[test]
fn clients_trust_the_certificate() {
    let mut client = client_connection(&client_config(Tickets::Kept).unwrap()).unwrap();
    let mut server = ServerConnection::new(server_config().unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        server.read_tls(&mut flight.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        flight.clear();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        client.read_tls(&mut flight.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    assert!(!server.wants_write());
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let group = client.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), rustls::NamedGroup::X25519);
}

/// RFC 8446, section 5.2: no record is longer than 2^14 + 256 bytes behind its head.
#[test]
fn records_are_whole_and_as_long_as_allowed() {
    let bytes = records();
    let mut rest = bytes.as_slice();
    let mut count = 0;
    while let [23, 3, 3, high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        assert_eq!(length, (1 << 14) + 17);
        rest = &behind[length..];
        count += 1;
    }
    assert!(rest.is_empty() && count > 1, "{count} records and {} bytes", rest.len());
}

#[test]
fn the_tables_say_what_was_measured() {
    let results = made_up();
    let text = markdown::write(&results, &tables::write(&results));
    for expected in [
        "TLS 1.3, AES-256-GCM, X25519, a certificate with ECDSA P-256.",
        "**Responses: CPU us for each, by the size of the body**",
        "| | 1 KiB | 4 KiB | 16 KiB | 64 KiB | 256 KiB | 1 MiB |",
        "| spliceway auto | 20.0 ±10% |",
        "**Responses: CPU, to nginx**",
        "| spliceway auto | 0.80 |",
        "**Full handshakes, 16 clients**",
        "**Memory, 2000 connections idle between requests**",
        "**Bulk from end to end, 4 connections**",
        "| spliceway passthrough | 0.110 | 5.00 |",
        "| CPU to nginx | at most 0.75 | down-1048576: 0.80 | **not reached** |",
        "- haproxy: not installed, not measured",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
}

#[test]
fn targets_are_reached_or_not() {
    let verdicts = made_up().verdicts();
    let check = |kind: Kind, what: &str, expected: bool| {
        let mut found = verdicts.iter().filter(|it| it.what == what);
        let found = found.find(|it| it.measured.iter().any(|(it, _)| *it == kind));
        let found = found.unwrap_or_else(|| panic!("no target {what:?} for {kind}"));
        assert_eq!(found.is_reached(), expected, "{what}: {:?}", found.measured);
    };
    check(Kind::Responses { bytes: 1 << 10 }, "CPU to nginx", true);
    check(Kind::Responses { bytes: 1 << 20 }, "CPU to nginx", false);
    check(FULL, "full handshakes per CPU second, to nginx", true);
    check(BULK, "CPU to a relay of TCP", false);
    // HAProxy was not there: nothing is said of the better of the two.
    assert!(verdicts.iter().all(|verdict| !verdict.what.contains("HAProxy")));
}

#[test]
fn the_picture_has_curves_bars_and_labels() {
    let svg = picture::draw(&made_up()).unwrap();
    for expected in [
        "As a multiple of nginx's, by the size of the body",
        "Handshakes, CPU us",
        ">256 KiB</text>",
        ">spliceway auto</text>",
        ">25</text>",
    ] {
        assert!(svg.contains(expected), "no {expected:?} in\n{svg}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    // A curve and its line in the legend for each of the two.
    assert_eq!(svg.matches("<polyline").count(), 4);
    assert_eq!(svg.matches('<').count(), svg.matches('>').count());
}
