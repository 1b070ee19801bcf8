//! What the control plane knows, for its own loop and for the admin endpoint. Only the thread of
//! the control plane ever locks, so no lock is ever waited for.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::drain::Phase;
use super::pulse::{Pulse, Silence};
use super::scrape::LastScrapes;
use super::worker::WorkerLink;
use crate::access_log::AccessLogSink;
use crate::capacity::{Machine, Plan};
use crate::config::Config;
use crate::metrics::{Exposition, ProcessMetrics};
use crate::snapshot::{Snapshot, WorkerReport};

/// A worker that has not answered for that long makes the process unready. Workers are asked once
/// a second and answer within one turn of their loop, which is bounded.
pub(super) const READY_SILENCE_MAX: Duration = Duration::from_secs(3);

/// Shared by the loop of the control plane and the connections of the admin endpoint.
#[derive(Debug)]
pub(super) struct State {
    pub(super) started: Instant,
    pub(super) config: Arc<Config>,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) machine: Machine,
    pub(super) plan: Plan,
    pub(super) bound: Vec<(String, Vec<String>)>,
    pub(super) workers: Vec<WorkerLink>,
    pub(super) exposition: Exposition,
    pub(super) metrics: ProcessMetrics,
    pub(super) access_log: AccessLogSink,
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

impl State {
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
