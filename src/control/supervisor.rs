//! The loop of the control plane: it waits for a signal, the end of a worker, or a timer, and
//! does what follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, sleep_until};

use super::ControlError;
use super::certificates::{self, Cause, Certificates};
use super::drain::{DrainTimes, Phase};
use super::health::HealthChecks;
use super::names::Names;
use super::notify::{Notifier, watchdog_interval};
use super::signals::{Request, Signals};
use super::standing::{LOOK_INTERVAL, Standings};
use super::state::State;
use super::worker::WorkerEnd;
use crate::id::UpstreamId;
use crate::snapshot::{Snapshot, Stage};
use crate::tls::store::TlsStore;

/// Workers are asked that often whether they still answer, or more often where the watchdog
/// wants it.
const PULSE_INTERVAL: Duration = Duration::from_secs(1);

/// How often to look, at the start only, whether all workers have answered.
const START_INTERVAL: Duration = Duration::from_millis(10);

/// `systemctl status` is brought up to date that often.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// How long workers may take to cut what is left and end.
const CUT_TIME_MAX: Duration = Duration::from_secs(5);

/// What goes on besides the workers. It ends with the supervisor.
pub(super) struct Watched {
    /// `None` where there is no TLS.
    pub(super) certificates: Option<Certificates>,
    pub(super) checks: HealthChecks,
    pub(super) names: Names,
    pub(super) tls: Arc<TlsStore>,
}

pub(super) struct Supervisor {
    state: Arc<State>,
    signals: Signals,
    watched: Watched,
    standings: Standings,
    /// Each resolves to the worker's index and what it panicked with.
    ends: JoinSet<(usize, Result<(), String>)>,
    notifier: Notifier,
    times: DrainTimes,
}

impl Supervisor {
    /// Must be called within the runtime.
    pub(super) fn new(
        state: Arc<State>,
        signals: Signals,
        watched: Watched,
        ends: Vec<WorkerEnd>,
    ) -> Supervisor {
        let process = &state.config.process;
        let times = DrainTimes { grace: process.drain_grace, timeout: process.drain_timeout };
        let ends = ends.into_iter().enumerate();
        let ends = ends.map(|(index, end)| async move { (index, end.wait().await) }).collect();
        let notifier = Notifier::default();
        let standings = Standings::default();
        Supervisor { state, signals, watched, standings, ends, notifier, times }
    }

    pub(super) async fn run(mut self) -> Result<(), ControlError> {
        let watchdog = watchdog_interval();
        let pulse_interval = watchdog.map_or(PULSE_INTERVAL, |half| PULSE_INTERVAL.min(half / 2));
        let mut pulse = ticks(pulse_interval);
        let mut start = ticks(START_INTERVAL);
        let mut status = ticks(STATUS_INTERVAL);
        let mut looks = ticks(LOOK_INTERVAL);
        let mut watchdog_ticks = watchdog.map(ticks);
        loop {
            let phase = self.phase();
            tokio::select! {
                Some(ended) = self.ends.join_next() => {
                    self.take_worker_end(ended)?;
                    if self.ends.is_empty() {
                        break;
                    }
                }
                request = self.signals.next() => self.take_request(request),
                cause = certificates::due(&mut self.watched.certificates) => self.read_certificates(cause),
                () = until_deadline(phase) => self.pass_deadline()?,
                _ = pulse.tick() => self.ask_workers(),
                _ = start.tick(), if phase == Phase::Starting => self.serve_once_all_answer(),
                _ = status.tick() => self.notify_status(),
                upstream = self.watched.names.changed() => self.change_servers(&upstream),
                _ = looks.tick() => self.look_at_servers(),
                Some(half) = tick_of(&mut watchdog_ticks) => self.notify_watchdog(half),
            }
        }
        let cut = self.state.sum(|report| &report.drain_cut);
        match cut {
            0 => tracing::info!("drained: every connection came to its end"),
            cut => tracing::warn!(cut, "drained: connections were cut because time was over"),
        }
        Ok(())
    }

    fn phase(&self) -> Phase {
        self.state.life().phase
    }

    fn enter(&mut self, phase: Phase) {
        let before = std::mem::replace(&mut self.state.life().phase, phase);
        if before == phase {
            return;
        }
        if phase.is_ending() && !before.is_ending() {
            self.notifier.stopping();
        }
        if let Phase::Draining { until } = phase {
            self.publish(|snapshot| snapshot.stage = Stage::Draining { until });
        }
        self.notify_status();
    }

    /// Has the workers go by another snapshot.
    fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = Snapshot::clone(&self.state.snapshot.load());
        change(&mut snapshot);
        self.state.snapshot.store(Arc::new(snapshot));
        self.state.wake_workers();
    }

    /// Names of an upstream stand for other servers.
    fn change_servers(&mut self, upstream: &str) {
        let config = &self.state.config;
        let Some(place) = config.upstreams.iter().position(|it| it.name == upstream) else {
            return;
        };
        let servers = self.watched.names.servers(&config.upstreams[place]);
        tracing::info!(upstream, servers = servers.len(), "names stand for other servers");
        let id = UpstreamId(u32::try_from(place).unwrap_or(u32::MAX));
        let now = Instant::now();
        let until = now + config.process.drain_timeout;
        self.publish(|snapshot| {
            snapshot.generation += 1;
            snapshot.roster = Arc::new(snapshot.roster.with_servers(id, &servers, now, until));
        });
        let snapshot = self.state.snapshot.load();
        self.watched.checks.apply(&self.state.config, &snapshot.roster, &self.watched.tls);
    }

    fn take_request(&mut self, request: Request) {
        match request {
            Request::End(signal) => self.end(signal),
            Request::ReopenLogs => match self.state.access_log.reopen() {
                Ok(()) => tracing::info!("USR1: log files were opened again"),
                Err(error) => tracing::error!("USR1: {error}; lines still go to the old file"),
            },
            Request::Reload => {
                tracing::warn!(
                    "HUP: this version cannot reload its config and goes on unchanged; restart \
                     it to apply a new one"
                );
                self.read_certificates(Cause::Asked);
            }
            Request::Upgrade => tracing::warn!(
                "USR2: this version cannot hand over to a new binary and goes on unchanged"
            ),
        }
    }

    fn read_certificates(&mut self, cause: Cause) {
        if let Some(certificates) = &mut self.watched.certificates {
            certificates.reload(cause);
        }
    }

    fn end(&mut self, signal: &str) {
        let (before, now) = (self.phase(), Instant::now());
        let after = before.told_to_end(now, self.times);
        let open = self.state.sum(|report| &report.connections);
        match after {
            _ if before.is_ending() => {
                tracing::warn!(connections = open, "{signal} again: ending at once");
            }
            Phase::Grace { .. } => tracing::info!(
                connections = open,
                "{signal}: not ready any more; still accepting for {:?}",
                self.times.grace
            ),
            _ => self.log_drain(signal, open),
        }
        self.enter(after);
    }

    fn log_drain(&self, cause: &str, open: u64) {
        tracing::info!(
            connections = open,
            "{cause}: accepting no more; connections may go on for {:?}",
            self.times.timeout
        );
    }

    /// What follows when the time of [`until_deadline`] has come.
    fn pass_deadline(&mut self) -> Result<(), ControlError> {
        let phase = self.phase();
        if let Phase::Draining { .. } = phase {
            return Err(ControlError::WorkersStuck { workers: self.ends.len() });
        }
        self.log_drain("grace is over", self.state.sum(|report| &report.connections));
        self.enter(phase.at(Instant::now(), self.times));
        Ok(())
    }

    fn take_worker_end(
        &mut self,
        ended: Result<(usize, Result<(), String>), tokio::task::JoinError>,
    ) -> Result<(), ControlError> {
        // A task that only waits neither panics nor is aborted.
        let (worker, result) = match ended {
            Ok(ended) => ended,
            Err(error) => return Err(ControlError::Start(std::io::Error::other(error))),
        };
        self.state.life().workers_running -= 1;
        if let Err(message) = result {
            return Err(ControlError::WorkerPanicked { worker, message });
        }
        if !matches!(self.phase(), Phase::Draining { .. }) {
            return Err(ControlError::WorkerEnded { worker });
        }
        self.state.pulse().ended(worker);
        Ok(())
    }

    fn ask_workers(&self) {
        let now = Instant::now();
        let mut pulse = self.state.pulse();
        for worker in 0..self.state.workers.len() {
            pulse.asked(worker, now);
        }
        drop(pulse);
        self.state.wake_workers();
    }

    fn serve_once_all_answer(&mut self) {
        if self.state.pulse().all_have_answered() {
            self.enter(Phase::Serving);
            tracing::info!("ready");
            self.notifier.ready();
        }
    }

    fn look_at_servers(&mut self) {
        let snapshot = self.state.snapshot.load();
        self.standings.look(&snapshot.config, &snapshot.roster, Instant::now());
    }

    fn notify_status(&mut self) {
        let (state, phase) = (&self.state, self.phase());
        self.notifier.status(format!(
            "{}: {} connections, {} pipes busy, {} idle",
            phase.label(),
            state.sum(|report| &report.connections),
            state.sum(|report| &report.pipes_busy),
            state.sum(|report| &report.pipes_idle),
        ));
    }

    /// Says that all is well only if every worker has answered since the last time.
    fn notify_watchdog(&mut self, half: Duration) {
        let silence = self.state.pulse().longest_silence(Instant::now());
        match silence {
            Some(silence) if silence.lasts >= half => tracing::error!(
                worker = silence.worker,
                "a worker has not answered for {:?}: not telling systemd's watchdog that all is \
                 well",
                silence.lasts
            ),
            _ => self.notifier.well(),
        }
    }
}

/// A timer that makes up for no tick that it missed.
fn ticks(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The next tick, with the interval; `None` where there is no timer.
async fn tick_of(ticks: &mut Option<Interval>) -> Option<Duration> {
    let ticks = ticks.as_mut()?;
    ticks.tick().await;
    Some(ticks.period())
}

/// Waits for the end of the grace, or for the time by which all workers must have ended; forever
/// where the phase ends by something else.
async fn until_deadline(phase: Phase) {
    match phase {
        Phase::Starting | Phase::Serving => std::future::pending().await,
        Phase::Grace { until } => sleep_until(until.into()).await,
        Phase::Draining { until } => sleep_until((until + CUT_TIME_MAX).into()).await,
    }
}
