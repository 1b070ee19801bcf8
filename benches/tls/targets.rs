//! What the proxy is to reach, in one run with its peers.

use super::kind::{HANDSHAKES_PER_CPU_SECOND, Kind};
use crate::rig::names::{AUTO, HAPROXY, NGINX, PASSTHROUGH, RELAY};
use crate::rig::results::{Marks, Reference};
use crate::rig::targets::Bound::{AtLeast, AtMost};
use crate::rig::targets::{Target, ratio};
use crate::rig::tls::Tickets;

/// What the figures are held against.
pub fn marks() -> Marks<Kind> {
    Marks { references: &REFERENCES, targets: &TARGETS }
}

const REFERENCES: [Reference; 2] = [
    Reference { name: NGINX, key: "cpu_to_nginx", title: "to nginx" },
    Reference { name: HAPROXY, key: "cpu_to_haproxy", title: "to haproxy" },
];

const CPU: usize = 0;
const MEMORY: usize = 0;
/// Less than that of the best of them, to the last digit that is printed.
const LESS: f64 = 0.99;

const TARGETS: [Target<Kind>; 5] = [
    ratio("CPU to nginx", AUTO, &[NGINX], CPU, AtMost(0.9), is_1_kib),
    ratio("CPU to nginx", AUTO, &[NGINX], CPU, AtMost(0.75), is_1_mib),
    ratio(
        "full handshakes per CPU second, to nginx",
        AUTO,
        &[NGINX],
        HANDSHAKES_PER_CPU_SECOND,
        AtLeast(1.1),
        is_full_handshake,
    ),
    ratio(
        "memory to the better of nginx and HAProxy",
        AUTO,
        &[NGINX, HAPROXY],
        MEMORY,
        AtMost(LESS),
        is_idle,
    ),
    ratio("CPU to a relay of TCP", PASSTHROUGH, &[RELAY], CPU, AtMost(1.05), is_passthrough),
];

fn is_1_kib(kind: Kind) -> bool {
    kind == Kind::Responses { bytes: 1 << 10 }
}

fn is_1_mib(kind: Kind) -> bool {
    kind == Kind::Responses { bytes: 1 << 20 }
}

fn is_full_handshake(kind: Kind) -> bool {
    matches!(kind, Kind::Handshakes { tickets: Tickets::Ignored, .. })
}

fn is_idle(kind: Kind) -> bool {
    matches!(kind, Kind::Idle { .. })
}

fn is_passthrough(kind: Kind) -> bool {
    matches!(kind, Kind::Passthrough { .. })
}
