//! The loop of the control plane: it waits for a signal, the end of a worker, or a timer, and
//! does what follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, sleep_until};

use super::certificates::{self, Cause, Certificates};
use super::command::{Asked, Command, Commander};
use super::drain::{DrainTimes, Phase};
use super::endpoints::Endpoints;
use super::health::HealthChecks;
use super::names::Names;
use super::notify::{Notifier, watchdog_interval};
use super::predecessor::{self, Predecessor};
use super::signals::{Request, Signals};
use super::standing::{LOOK_INTERVAL, Standings};
use super::state::State;
use super::upgrade::{self, Upgrade};
use super::worker::WorkerEnd;
use super::{ControlError, Ended, Lineage};
use crate::id::UpstreamId;
use crate::snapshot::Snapshot;
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
    pub(super) state: Arc<State>,
    signals: Signals,
    watched: Watched,
    standings: Standings,
    /// Each resolves to the worker's index and what it panicked with.
    ends: JoinSet<(usize, Result<(), String>)>,
    pub(super) notifier: Notifier,
    times: DrainTimes,
    pub(super) commander: Commander,
    commands: mpsc::Receiver<Asked>,
    pub(super) endpoints: Endpoints,
    pub(super) lineage: Lineage,
    /// Who accepts until it lets go; `None` once it has, and where there was none.
    pub(super) predecessor: Option<Predecessor>,
    /// A new process that gets ready.
    pub(super) upgrade: Option<Upgrade>,
    /// A successor serves.
    pub(super) has_handed_over: bool,
}

/// What the loop works with.
pub(super) struct Parts {
    pub(super) state: Arc<State>,
    pub(super) signals: Signals,
    pub(super) watched: Watched,
    pub(super) commander: Commander,
    pub(super) commands: mpsc::Receiver<Asked>,
    pub(super) endpoints: Endpoints,
    pub(super) lineage: Lineage,
    pub(super) predecessor: Option<Predecessor>,
}

impl Supervisor {
    /// Must be called within the runtime.
    pub(super) fn new(parts: Parts, ends: Vec<WorkerEnd>) -> Supervisor {
        let Parts { state, signals, watched, commander, commands, endpoints, lineage, predecessor } =
            parts;
        let process = &state.config.process;
        let times = DrainTimes { grace: process.drain_grace, timeout: process.drain_timeout };
        let ends = ends.into_iter().enumerate();
        let ends = ends.map(|(index, end)| async move { (index, end.wait().await) }).collect();
        let notifier = match predecessor {
            Some(_) => Notifier::aside(),
            None => Notifier::default(),
        };
        Supervisor {
            state,
            signals,
            watched,
            standings: Standings::default(),
            ends,
            notifier,
            times,
            commander,
            commands,
            endpoints,
            lineage,
            predecessor,
            upgrade: None,
            has_handed_over: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<Ended, ControlError> {
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
                Some(asked) = self.commands.recv() => self.take_command(asked),
                outcome = upgrade::outcome(&mut self.upgrade) => self.take_outcome(outcome),
                how = predecessor::lets_go(&mut self.predecessor) => self.succeed(how)?,
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
        self.endpoints.finish().await;
        Ok(if self.has_handed_over { Ended::HandedOver } else { Ended::Drained })
    }

    pub(super) fn phase(&self) -> Phase {
        self.state.life().phase
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        let before = std::mem::replace(&mut self.state.life().phase, phase);
        if before == phase {
            return;
        }
        if phase.is_ending() && !before.is_ending() {
            self.notifier.stopping();
        }
        if phase.cuts_at().is_some() {
            self.lineage.sockets.clear();
        }
        if let Some(stage) = phase.stage() {
            self.publish(|snapshot| snapshot.stage = stage);
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
            Request::Upgrade => self.begin_upgrade("USR2", None),
        }
    }

    fn take_command(&mut self, asked: Asked) {
        let Asked { command, reply } = asked;
        match command {
            Command::Upgrade => self.begin_upgrade("control socket", Some(reply)),
            Command::Server(order) => self.order_server(&order, reply),
        }
    }

    fn read_certificates(&mut self, cause: Cause) {
        if let Some(certificates) = &mut self.watched.certificates {
            certificates.reload(cause);
        }
    }

    fn end(&mut self, signal: &str) {
        self.cancel_upgrade();
        let (before, now) = (self.phase(), Instant::now());
        let after = before.told_to_end(now, self.times);
        let open = self.state.sum(|report| &report.connections);
        match after {
            _ if matches!(before, Phase::HandedOver { .. }) => self.log_drain(signal, open),
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
        if phase.cuts_at().is_some() {
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
        if self.phase().cuts_at().is_none() {
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
        if !self.state.pulse().all_have_answered() {
            return;
        }
        match &self.predecessor {
            None => self.serve(),
            Some(predecessor) => {
                predecessor.ready();
                self.enter(Phase::Standby);
            }
        }
    }

    pub(super) fn serve(&mut self) {
        self.enter(Phase::Serving);
        tracing::info!("ready");
        self.notifier.ready();
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
    match (phase, phase.cuts_at()) {
        (_, Some(until)) => sleep_until((until + CUT_TIME_MAX).into()).await,
        (Phase::Grace { until }, _) => sleep_until(until.into()).await,
        _ => std::future::pending().await,
    }
}
