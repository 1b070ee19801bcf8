use std::collections::BTreeSet;

use super::code::Code;
use super::*;
use crate::http::method::Method;
use crate::http::reject::RejectReason;
use crate::tls::failure::TlsFailure;

/// Every handle that exists, for one listener and one server.
fn rendered() -> String {
    let recorder = Recorder::new();
    let _kept = metrics::with_local_recorder(&recorder, || {
        ListenerMetrics::new("web");
        HttpMetrics::new("web");
        TlsMetrics::new("web");
        RequestMetrics::new("web", Some("app"))
            .requests(Method::Get, Code::of(Some(200)))
            .absolute(0);
        UpstreamMetrics::new("app");
        WaitingMetrics::new("app");
        NameMetrics::new("app", "app.test:80");
        CertificateMetrics::new("listener", "web", "web.pem");
        CertificateReloads::new();
        ConfigMetrics::new();
        FileErrandMetrics::new();
        ProcessMetrics::new("1.2.3");
        let server = "127.0.0.1:9001";
        (
            ServerMetrics::new("app", server),
            ServerStandingMetrics::new("app", server),
            HealthCheckMetrics::new("app", server),
            HandshakeMetrics::of_server("app", server),
        )
    });
    recorder.exposition().render()
}

#[test]
fn names_follow_the_rules_of_prometheus() {
    for family in FAMILIES {
        let name = family.name;
        assert!(name.starts_with("spliceway_"), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        let is_counter = matches!(family.kind, Kind::Counter);
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        if let Kind::Histogram(buckets) = family.kind {
            assert!(name.ends_with("_seconds"), "{name}");
            assert!(buckets.is_sorted_by(|a, b| a < b), "{name}");
        }
        for derived in ["_milliseconds", "_ms", "_kib", "_percent", "_count", "_sum"] {
            assert!(!name.ends_with(derived), "{name}");
        }
        assert!(family.help.ends_with('.'), "{name}: {}", family.help);
    }
    let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
}

#[test]
fn every_family_is_in_the_scrape_from_the_start() {
    let text = rendered();
    for family in FAMILIES {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        assert!(text.contains(&format!("# TYPE {} {kind}\n", family.name)), "{}", family.name);
        let help = format!("# HELP {} {}\n", family.name, family.help);
        assert!(text.contains(&help), "{help}");
    }
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for sample in samples {
        let (series, value) = sample.rsplit_once(' ').unwrap();
        let expected = if series.starts_with(BUILD_INFO.name) { "1" } else { "0" };
        assert_eq!(value, expected, "{series}");
    }
}

#[test]
fn every_value_of_every_label_has_its_series() {
    let text = rendered();
    let check = |family: &Family, expected: usize| {
        let start = format!("{}{{", family.name);
        let count = text.lines().filter(|line| line.starts_with(&start)).count();
        assert_eq!(count, expected, "{}", family.name);
    };
    check(&RELAY_BYTES, 2 * Path::ALL.len());
    check(&RELAY_FALLBACKS, FallbackReason::ALL.len());
    check(&CONNECTIONS_CLOSED, CloseReason::ALL.len());
    check(&ACCEPT_PAUSED, AcceptPause::ALL.len());
    check(&LIMIT_REFUSALS, LimitReason::ALL.len());
    check(&BANDWIDTH_PAUSES, 2);
    check(&LIMITED_CLIENT_MISSES, TableMiss::ALL.len());
    check(&UPSTREAM_ERRORS, FAULT_KINDS.len());
    check(&PIPES, 2);
    check(&UPSTREAM_REQUESTS, 2);
    check(&HTTP_REJECTED, 2 * RejectReason::ALL.len());
    for (handshakes, failures) in [
        (&TLS_HANDSHAKES, &TLS_HANDSHAKE_FAILURES),
        (&UPSTREAM_TLS_HANDSHAKES, &UPSTREAM_TLS_HANDSHAKE_FAILURES),
    ] {
        check(handshakes, 2 * TLS_VERSIONS.len());
        check(failures, TlsFailure::ALL.len());
    }
}

#[test]
fn faults_and_pauses_stand_where_their_index_says() {
    for (index, kind) in FAULT_KINDS.into_iter().enumerate() {
        assert_eq!(kind as usize, index, "{}", kind.label());
    }
    for (index, reason) in AcceptPause::ALL.into_iter().enumerate() {
        assert_eq!(reason.index(), index, "{}", reason.label());
    }
}
