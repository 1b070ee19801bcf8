//! What a worker counts for the TLS sessions of one listener.

use std::time::Duration;

use super::count::{Count, Durations, flush_all};
use crate::metrics::{TLS_HANDSHAKE_DURATION, TLS_VERSIONS, TlsMetrics};
use crate::tls::failure::TlsFailure;
use crate::tls::session::Agreement;

#[derive(Debug)]
pub(super) struct TlsAccount {
    metrics: TlsMetrics,
    handshakes: [[Count; 2]; 2],
    failures: [Count; TlsFailure::ALL.len()],
    durations: Durations,
}

impl TlsAccount {
    pub(super) fn new(listener: &str) -> TlsAccount {
        TlsAccount {
            metrics: TlsMetrics::new(listener),
            handshakes: Default::default(),
            failures: Default::default(),
            durations: Durations::new(&TLS_HANDSHAKE_DURATION),
        }
    }

    pub(super) fn established(&mut self, agreement: &Agreement<'_>, took: Duration) {
        let version = TLS_VERSIONS.iter().position(|version| *version == agreement.version);
        if let Some(version) = version {
            self.handshakes[version][usize::from(agreement.is_resumed)].add(1);
        }
        self.durations.record(took);
    }

    pub(super) fn failed(&mut self, failure: TlsFailure) {
        self.failures[failure.index()].add(1);
    }

    pub(super) fn flush(&mut self) {
        for (counts, counters) in self.handshakes.iter_mut().zip(&self.metrics.handshakes) {
            flush_all(counts, counters);
        }
        flush_all(&mut self.failures, &self.metrics.failures);
        self.durations.flush(&self.metrics.duration);
    }
}
