//! What the proxy is to reach, in one run with its peers.

use super::kind::{
    Kind, OVERLOAD_GOODPUT, OVERLOAD_MEMORY, OVERLOAD_P99, REQUEST_PERCENTILES, WORKERS_RATIO,
};
use crate::rig::kind::Sender;
use crate::rig::load::http::wire::Framing;
use crate::rig::names::{AUTO, COPY, HAPROXY_COPY, HAPROXY_SPLICE, NGINX, SPLICE};
use crate::rig::results::{Marks, Reference};
use crate::rig::targets::Bound::{AtLeast, AtMost};
use crate::rig::targets::{Target, ratio, value};

/// What the figures are held against.
pub fn marks() -> Marks<Kind> {
    Marks { references: &REFERENCES, targets: &TARGETS }
}

const REFERENCES: [Reference; 2] = [
    Reference { name: NGINX, key: "cpu_to_nginx", title: "to nginx" },
    Reference { name: HAPROXY_SPLICE, key: "cpu_to_haproxy_splice", title: "to haproxy splice" },
];

const CPU: usize = 0;
const P99: usize = REQUEST_PERCENTILES[1];
/// `auto` is to be as good as the better of them, as far as a run on a noisy machine can tell.
const OTHER_MODES: &[&str] = &[SPLICE, COPY];
const PEERS: &[&str] = &[NGINX, HAPROXY_COPY, HAPROXY_SPLICE];

const TARGETS: [Target<Kind>; 13] = [
    ratio("CPU to nginx", AUTO, &[NGINX], CPU, AtMost(0.85), is_1_kib),
    ratio("CPU to nginx", AUTO, &[NGINX], CPU, AtMost(0.75), is_16_kib),
    ratio("CPU to nginx", AUTO, &[NGINX], CPU, AtMost(0.65), is_64_kib),
    ratio("CPU to nginx", AUTO, &[NGINX], CPU, AtMost(0.45), is_256_kib),
    ratio("CPU to HAProxy's splice", AUTO, &[HAPROXY_SPLICE], CPU, AtMost(0.75), is_1_mib),
    ratio("CPU to the better of splice and copy", AUTO, OTHER_MODES, CPU, AtMost(1.1), is_body),
    ratio("p99 to the best of its peers", AUTO, PEERS, P99, AtMost(1.0), is_request),
    value("KiB resident", AUTO, 0, AtMost(1.0), is_idle),
    value(
        "requests per CPU second, two workers to one",
        AUTO,
        WORKERS_RATIO,
        AtLeast(0.95),
        is_workers,
    ),
    value("share of the busiest of two workers", AUTO, 0, AtMost(0.5), is_spread),
    value("goodput to its best", AUTO, OVERLOAD_GOODPUT, AtLeast(0.9), is_overload),
    value("p99 in ms of what is accepted", AUTO, OVERLOAD_P99, AtMost(500.0), is_overload),
    value("MiB more", AUTO, OVERLOAD_MEMORY, AtMost(16.0), is_overload),
];

/// Whether it is a response of so many bytes, with a `Content-Length`.
fn is_response_of(kind: Kind, bytes: usize) -> bool {
    kind == Kind::body(Sender::Origin, bytes)
}

fn is_1_kib(kind: Kind) -> bool {
    is_response_of(kind, 1 << 10)
}

fn is_16_kib(kind: Kind) -> bool {
    is_response_of(kind, 16 << 10)
}

fn is_64_kib(kind: Kind) -> bool {
    is_response_of(kind, 64 << 10)
}

fn is_256_kib(kind: Kind) -> bool {
    is_response_of(kind, 256 << 10)
}

fn is_1_mib(kind: Kind) -> bool {
    is_response_of(kind, 1 << 20)
}

fn is_body(kind: Kind) -> bool {
    matches!(kind, Kind::Body { .. })
}

fn is_request(kind: Kind) -> bool {
    matches!(kind, Kind::Body { framing: Framing::Length, .. } | Kind::Connections { .. })
}

fn is_idle(kind: Kind) -> bool {
    matches!(kind, Kind::Idle { .. })
}

fn is_workers(kind: Kind) -> bool {
    matches!(kind, Kind::Workers)
}

fn is_spread(kind: Kind) -> bool {
    matches!(kind, Kind::Spread { .. })
}

fn is_overload(kind: Kind) -> bool {
    matches!(kind, Kind::Overload)
}
