//! The handles of what a worker counts about TLS.

use metrics::{Counter, Histogram};

use super::{TLS_HANDSHAKE_DURATION, TLS_HANDSHAKE_FAILURES, TLS_HANDSHAKES};
use crate::tls::failure::TlsFailure;

/// The versions of TLS, in the order in which arrays indexed by version hold them.
pub const TLS_VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// What a worker counts for one listener at which sessions end.
#[derive(Debug, Clone)]
pub struct TlsMetrics {
    /// [`TLS_HANDSHAKES`], by the place in [`TLS_VERSIONS`], then by whether a session was resumed.
    pub handshakes: [[Counter; 2]; 2],
    /// [`TLS_HANDSHAKE_FAILURES`], indexed by [`TlsFailure::index`].
    pub failures: [Counter; TlsFailure::ALL.len()],
    /// [`TLS_HANDSHAKE_DURATION`], in seconds.
    pub duration: Histogram,
}

impl TlsMetrics {
    /// The handles for the listener called `listener` in the config.
    pub fn new(listener: &str) -> TlsMetrics {
        TlsMetrics {
            handshakes: TLS_VERSIONS.map(|version| {
                ["no", "yes"].map(|resumed| TLS_HANDSHAKES.counter(&[listener, version, resumed]))
            }),
            failures: TlsFailure::ALL
                .map(|reason| TLS_HANDSHAKE_FAILURES.counter(&[listener, reason.label()])),
            duration: TLS_HANDSHAKE_DURATION.histogram(&[listener]),
        }
    }
}
