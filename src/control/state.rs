//! What the control plane knows, for its own loop and for the admin endpoint. Only the thread of
//! the control plane ever locks, so no lock is ever waited for.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::drain::Phase;
use super::pulse::{Pulse, Silence};
use super::scrape::LastScrapes;
use super::worker::WorkerLink;
use crate::access_log::AccessLogSink;
use crate::capacity::Machine;
use crate::metrics::{ConfigMetrics, Exposition, ProcessMetrics};
use crate::snapshot::{Snapshot, WorkerReport};

/// A worker that has not answered for that long makes the process unready. Workers are asked once
/// a second and answer within one turn of their loop, which is bounded.
pub(super) const READY_SILENCE_MAX: Duration = Duration::from_secs(3);

/// Shared by the loop of the control plane and the connections of the admin endpoint.
#[derive(Debug)]
pub(super) struct State {
    pub(super) started: Instant,
    /// What is in force.
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) machine: Machine,
    /// Where the configuration comes from.
    pub(super) config_files: Vec<PathBuf>,
    /// For each listener, by its name, the addresses that were really bound.
    pub(super) addresses: Mutex<Vec<(String, Vec<String>)>>,
    pub(super) reloads: Mutex<Reloads>,
    pub(super) workers: Vec<WorkerLink>,
    pub(super) exposition: Exposition,
    pub(super) metrics: ProcessMetrics,
    pub(super) config_metrics: ConfigMetrics,
    /// Those that lines went to before: workers may have lines for them still.
    pub(super) access_logs_before: Mutex<AccessLogsBefore>,
    pub(super) pulse: Mutex<Pulse>,
    pub(super) life: Mutex<Life>,
    pub(super) last_scrapes: Mutex<LastScrapes>,
}

/// What changes in the course of the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) phase: Phase,
    /// Workers whose threads have not ended.
    pub(super) workers_running: usize,
}

/// What came of reloads.
#[derive(Debug, Clone, Default)]
pub(super) struct Reloads {
    /// The last one; `None` before the first.
    pub(super) last: Option<LastReload>,
    /// Until when connections of what earlier configurations had may go on, for each of them.
    pub(super) drains: Vec<Instant>,
}

/// What came of a reload.
#[derive(Debug, Clone)]
pub(super) struct LastReload {
    pub(super) at: jiff::Timestamp,
    /// What has changed, or why nothing has.
    pub(super) result: Result<String, String>,
}

/// Access logs that a reload has replaced.
#[derive(Debug, Default)]
pub(super) struct AccessLogsBefore {
    /// Kept until every worker has let go of them: the last one to do so waits for lines to be
    /// written, and that must be the control plane.
    pub(super) open: Vec<(u64, AccessLogSink)>,
    /// Lines that those lost which are closed.
    pub(super) dropped: u64,
}

impl AccessLogsBefore {
    /// Closes those that no worker has any more: all go by this generation.
    pub(super) fn close(&mut self, generation: u64) {
        let (over, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition::<Vec<_>, _>(|(successor, _)| *successor <= generation);
        self.dropped += over.iter().map(|(_, log)| log.dropped()).sum::<u64>();
        self.open = open;
    }
}

impl State {
    pub(super) fn reloads(&self) -> MutexGuard<'_, Reloads> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn addresses(&self) -> MutexGuard<'_, Vec<(String, Vec<String>)>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn access_logs_before(&self) -> MutexGuard<'_, AccessLogsBefore> {
        self.access_logs_before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Access log lines that were lost since the start.
    pub(super) fn access_log_dropped(&self) -> u64 {
        let before = self.access_logs_before();
        let open = before.open.iter().map(|(_, log)| log.dropped()).sum::<u64>();
        before.dropped + open + self.snapshot.load().access_log.dropped()
    }

    /// The generation that every worker goes by already, or a later one.
    pub(super) fn generation_of_all(&self) -> u64 {
        let generations = self.workers.iter().map(|it| WorkerReport::read(&it.report.generation));
        generations.min().unwrap_or(u64::MAX)
    }

    /// Configurations before the present one of which connections may be left.
    pub(super) fn generations_draining(&self, now: Instant) -> usize {
        let mut reloads = self.reloads();
        reloads.drains.retain(|until| *until > now);
        let is_over = self.generation_of_all() >= self.snapshot.load().generation
            && self.sum(|report| &report.connections_retired) == 0;
        if is_over { 0 } else { reloads.drains.len() }
    }

    pub(super) fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn last_scrapes(&self) -> MutexGuard<'_, LastScrapes> {
        self.last_scrapes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pulse, with every answer that has come in until now.
    pub(super) fn pulse(&self) -> MutexGuard<'_, Pulse> {
        let mut pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, worker) in self.workers.iter().enumerate() {
            pulse.heard(index, WorkerReport::read(&worker.report.heartbeat));
        }
        pulse
    }

    /// Whether clients should be sent here; if not, why.
    pub(super) fn readiness(&self) -> Result<(), String> {
        match self.life().phase {
            Phase::Starting => return Err("starting: not every worker has answered yet".to_owned()),
            Phase::Standby => return Err("standby: the predecessor accepts still".to_owned()),
            Phase::HandedOver { .. } => {
                return Err("handed over: a successor accepts".to_owned());
            }
            Phase::Grace { .. } => {
                return Err("draining: told to end, still accepting for process.drain_grace".into());
            }
            Phase::Draining { .. } => {
                return Err("draining: no new connections are accepted".to_owned());
            }
            Phase::Serving => {}
        }
        match self.pulse().longest_silence(Instant::now()) {
            Some(Silence { worker, lasts }) if lasts > READY_SILENCE_MAX => {
                Err(format!("worker {worker} has not answered for {} s", lasts.as_secs()))
            }
            _ => Ok(()),
        }
    }

    /// One gauge, all workers together.
    pub(super) fn sum(&self, gauge: impl Fn(&WorkerReport) -> &AtomicU64) -> u64 {
        self.workers.iter().map(|worker| WorkerReport::read(gauge(&worker.report))).sum()
    }

    /// Wakes every worker, so that it reads the snapshot and raises its heartbeat.
    pub(super) fn wake_workers(&self) {
        for (index, worker) in self.workers.iter().enumerate() {
            if let Err(error) = worker.waker.wake() {
                tracing::error!(worker = index, "cannot wake a worker: {error}");
            }
        }
    }
}
