//! The handles of what a worker counts about TLS.

use metrics::{Counter, Histogram};

use super::{
    Family, TLS_HANDSHAKE_DURATION, TLS_HANDSHAKE_FAILURES, TLS_HANDSHAKES,
    UPSTREAM_TLS_HANDSHAKE_FAILURES, UPSTREAM_TLS_HANDSHAKES,
};
use crate::tls::failure::TlsFailure;

/// The versions of TLS, in the order in which arrays indexed by version hold them.
pub const TLS_VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// What a worker counts for one listener at which sessions end.
#[derive(Debug, Clone)]
pub struct TlsMetrics {
    /// Those of clients.
    pub handshakes: HandshakeMetrics,
    /// [`TLS_HANDSHAKE_DURATION`], in seconds.
    pub duration: Histogram,
}

impl TlsMetrics {
    /// The handles for the listener called `listener` in the config.
    pub fn new(listener: &str) -> TlsMetrics {
        TlsMetrics {
            handshakes: HandshakeMetrics::of_listener(listener),
            duration: TLS_HANDSHAKE_DURATION.histogram(&[listener]),
        }
    }
}

/// Handshakes with one kind of peer.
#[derive(Debug, Clone)]
pub struct HandshakeMetrics {
    /// Those that went well, by the place of their version in [`TLS_VERSIONS`], then by whether a
    /// session was resumed.
    pub established: [[Counter; 2]; 2],
    /// Those that came to nothing, indexed by [`TlsFailure::index`].
    pub failures: [Counter; TlsFailure::ALL.len()],
}

impl HandshakeMetrics {
    /// [`TLS_HANDSHAKES`] and [`TLS_HANDSHAKE_FAILURES`] for the listener called `listener` in the
    /// config.
    pub fn of_listener(listener: &str) -> HandshakeMetrics {
        HandshakeMetrics::new(&TLS_HANDSHAKES, &TLS_HANDSHAKE_FAILURES, &[listener])
    }

    /// [`UPSTREAM_TLS_HANDSHAKES`] and [`UPSTREAM_TLS_HANDSHAKE_FAILURES`] for `server`, as its
    /// address is written in the config, of `upstream`.
    pub fn of_server(upstream: &str, server: &str) -> HandshakeMetrics {
        HandshakeMetrics::new(
            &UPSTREAM_TLS_HANDSHAKES,
            &UPSTREAM_TLS_HANDSHAKE_FAILURES,
            &[upstream, server],
        )
    }

    fn new(established: &Family, failures: &Family, of: &[&str]) -> HandshakeMetrics {
        HandshakeMetrics {
            established: TLS_VERSIONS.map(|version| {
                ["no", "yes"]
                    .map(|resumed| established.counter(&[of, &[version, resumed]].concat()))
            }),
            failures: TlsFailure::ALL
                .map(|reason| failures.counter(&[of, &[reason.label()]].concat())),
        }
    }
}
