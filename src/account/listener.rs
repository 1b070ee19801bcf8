//! What a worker counts for one listener, whatever it speaks.

use std::time::Duration;

use super::count::{Count, Durations, Level, flush_all};
use super::http::HttpAccount;
use super::tls::TlsAccount;
use crate::config::{Config, Listener};
use crate::error::{CloseReason, FallbackReason, LimitReason};
use crate::limits::TableMiss;
use crate::metrics::{AcceptPause, CONNECTION_DURATION, ListenerMetrics};

#[derive(Debug)]
pub(super) struct ListenerAccount {
    metrics: ListenerMetrics,
    pub(super) relay_bytes: [[Count; 2]; 2],
    pub(super) fallbacks: [Count; FallbackReason::ALL.len()],
    pub(super) opened: Count,
    pub(super) open: Level,
    pub(super) closed: [Count; CloseReason::ALL.len()],
    pub(super) accept_paused: [Count; AcceptPause::ALL.len()],
    pub(super) limit_refusals: [Count; LimitReason::ALL.len()],
    pub(super) bandwidth_pauses: [Count; 2],
    pub(super) client_misses: [Count; TableMiss::ALL.len()],
    durations: Durations,
    /// `None` for a listener of plain text.
    pub(super) tls: Option<TlsAccount>,
    /// `None` for a listener of TCP.
    pub(super) http: Option<HttpAccount>,
}

impl ListenerAccount {
    pub(super) fn new(listener: &Listener, config: &Config) -> ListenerAccount {
        ListenerAccount {
            metrics: ListenerMetrics::new(&listener.name),
            relay_bytes: Default::default(),
            fallbacks: Default::default(),
            opened: Count::default(),
            open: Level::default(),
            closed: Default::default(),
            accept_paused: Default::default(),
            limit_refusals: Default::default(),
            bandwidth_pauses: Default::default(),
            client_misses: Default::default(),
            durations: Durations::new(&CONNECTION_DURATION),
            tls: listener.expects_tls().then(|| TlsAccount::new(&listener.name)),
            http: listener.http().map(|http| HttpAccount::new(&listener.name, http, config)),
        }
    }

    /// The same listener has other routes, perhaps.
    pub(super) fn adopt(&mut self, listener: &Listener, before: &Config, after: &Config) {
        if let (Some(account), Some(http)) = (&mut self.http, listener.http()) {
            account.adopt(&listener.name, http, before, after);
        }
    }

    /// A connection has ended after `total`.
    pub(super) fn closed(&mut self, reason: CloseReason, total: Duration) {
        self.closed[reason.index()].add(1);
        self.open.now -= 1;
        self.durations.record(total);
    }

    pub(super) fn flush(&mut self) {
        let metrics = &self.metrics;
        for (counts, counters) in self.relay_bytes.iter_mut().zip(&metrics.relay_bytes) {
            flush_all(counts, counters);
        }
        flush_all(&mut self.fallbacks, &metrics.fallbacks);
        flush_all(&mut self.closed, &metrics.closed);
        flush_all(&mut self.accept_paused, &metrics.accept_paused);
        flush_all(&mut self.limit_refusals, &metrics.limit_refusals);
        flush_all(&mut self.bandwidth_pauses, &metrics.bandwidth_pauses);
        flush_all(&mut self.client_misses, &metrics.client_misses);
        self.opened.flush(&metrics.opened);
        self.open.flush(&metrics.open);
        self.durations.flush(&metrics.duration);
        if let Some(tls) = &mut self.tls {
            tls.flush();
        }
        if let Some(http) = &mut self.http {
            http.flush();
        }
    }
}
