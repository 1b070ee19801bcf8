//! The handles of what the control plane says of servers.

use metrics::{Counter, Gauge};

use super::{
    NAME_RESOLUTIONS, NAME_SERVERS, UPSTREAM_ACTIVE, UPSTREAM_EJECTIONS, UPSTREAM_HEALTH_CHECKS,
    UPSTREAM_QUEUED, UPSTREAM_UP,
};

/// Whether a server gets traffic.
#[derive(Debug, Clone)]
pub struct ServerStandingMetrics {
    /// [`UPSTREAM_UP`]
    pub up: Gauge,
    /// [`UPSTREAM_ACTIVE`]
    pub active: Gauge,
    /// [`UPSTREAM_EJECTIONS`]
    pub ejections: Counter,
}

impl ServerStandingMetrics {
    /// The handles for `server`, by its name in the config, of `upstream`.
    pub fn new(upstream: &str, server: &str) -> ServerStandingMetrics {
        ServerStandingMetrics {
            up: UPSTREAM_UP.gauge(&[upstream, server]),
            active: UPSTREAM_ACTIVE.gauge(&[upstream, server]),
            ejections: UPSTREAM_EJECTIONS.counter(&[upstream, server]),
        }
    }
}

/// Who waits for an upstream.
#[derive(Debug, Clone)]
pub struct WaitingMetrics {
    /// [`UPSTREAM_QUEUED`]
    pub queued: Gauge,
}

impl WaitingMetrics {
    /// The handle for the upstream called `upstream` in the config.
    pub fn new(upstream: &str) -> WaitingMetrics {
        WaitingMetrics { queued: UPSTREAM_QUEUED.gauge(&[upstream]) }
    }
}

/// The probes of a server.
#[derive(Debug, Clone)]
pub struct HealthCheckMetrics {
    failed: Counter,
    passed: Counter,
}

impl HealthCheckMetrics {
    /// The handles for `server`, by its name in the config, of `upstream`.
    pub fn new(upstream: &str, server: &str) -> HealthCheckMetrics {
        let of = |result| UPSTREAM_HEALTH_CHECKS.counter(&[upstream, server, result]);
        HealthCheckMetrics { failed: of("fail"), passed: of("pass") }
    }

    /// A probe is over.
    pub fn count(&self, has_passed: bool) {
        if has_passed { &self.passed } else { &self.failed }.increment(1);
    }
}

/// What became of asking for the addresses of a name.
#[derive(Debug, Clone)]
pub struct NameMetrics {
    /// [`NAME_SERVERS`]
    pub servers: Gauge,
    failed: Counter,
    resolved: Counter,
}

impl NameMetrics {
    /// The handles for a name among the servers of `upstream`.
    pub fn new(upstream: &str, name: &str) -> NameMetrics {
        let of = |result| NAME_RESOLUTIONS.counter(&[upstream, name, result]);
        NameMetrics {
            servers: NAME_SERVERS.gauge(&[upstream, name]),
            failed: of("fail"),
            resolved: of("success"),
        }
    }

    /// An answer has come, or none.
    pub fn count(&self, is_resolved: bool) {
        if is_resolved { &self.resolved } else { &self.failed }.increment(1);
    }
}
