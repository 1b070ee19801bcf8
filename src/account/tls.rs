//! What a worker counts for the TLS sessions with one kind of peer.

use std::time::Duration;

use super::count::{Count, Durations, flush_all};
use crate::metrics::{HandshakeMetrics, TLS_HANDSHAKE_DURATION, TLS_VERSIONS, TlsMetrics};
use crate::tls::failure::TlsFailure;
use crate::tls::session::Agreement;

/// The sessions with the clients of one listener.
#[derive(Debug)]
pub(super) struct TlsAccount {
    pub(super) handshakes: HandshakeAccount,
    duration: metrics::Histogram,
    durations: Durations,
}

impl TlsAccount {
    pub(super) fn new(listener: &str) -> TlsAccount {
        let metrics = TlsMetrics::new(listener);
        TlsAccount {
            handshakes: HandshakeAccount::new(metrics.handshakes),
            duration: metrics.duration,
            durations: Durations::new(&TLS_HANDSHAKE_DURATION),
        }
    }

    pub(super) fn established(&mut self, agreement: &Agreement<'_>, took: Duration) {
        self.handshakes.established(agreement);
        self.durations.record(took);
    }

    pub(super) fn flush(&mut self) {
        self.handshakes.flush();
        self.durations.flush(&self.duration);
    }
}

/// Handshakes by what came of them.
#[derive(Debug)]
pub(super) struct HandshakeAccount {
    metrics: HandshakeMetrics,
    established: [[Count; 2]; 2],
    failures: [Count; TlsFailure::ALL.len()],
}

impl HandshakeAccount {
    pub(super) fn new(metrics: HandshakeMetrics) -> HandshakeAccount {
        HandshakeAccount { metrics, established: Default::default(), failures: Default::default() }
    }

    pub(super) fn established(&mut self, agreement: &Agreement<'_>) {
        let version = TLS_VERSIONS.iter().position(|version| *version == agreement.version);
        if let Some(version) = version {
            self.established[version][usize::from(agreement.is_resumed)].add(1);
        }
    }

    pub(super) fn failed(&mut self, failure: TlsFailure) {
        self.failures[failure.index()].add(1);
    }

    pub(super) fn flush(&mut self) {
        for (counts, counters) in self.established.iter_mut().zip(&self.metrics.established) {
            flush_all(counts, counters);
        }
        flush_all(&mut self.failures, &self.metrics.failures);
    }
}
