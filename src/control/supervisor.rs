//! The loop of the control plane: it waits for a signal, the end of a worker, or a timer, and
//! does what follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, sleep_until};

use super::ControlError;
use super::certificates::{Cause, Certificates};
use super::command::{Asked, Command, Commander, Commands, Done, Refusal, Reply, answer};
use super::config_watch::ConfigWatch;
use super::drain::{DrainTimes, Phase};
use super::endpoints::Endpoints;
use super::notify::{Notifier, watchdog_interval};
use super::predecessor::{self, Predecessor};
use super::reload::{self, ConfigSource, Prepared};
use super::servers::Servers;
use super::settling::{self, Settling};
use super::signals::{Request, Signals};
use super::standing::LOOK_INTERVAL;
use super::state::{LastReload, State};
use super::upgrade::{self, Upgrade};
use super::worker::WorkerEnd;
use crate::listen::Bound;
use crate::secrets::Secrets;
use crate::snapshot::Snapshot;
use crate::sys::successor::Program;

/// Workers are asked that often whether they still answer, or more often where the watchdog
/// wants it.
const PULSE_INTERVAL: Duration = Duration::from_secs(1);

/// How often to look, at the start only, whether all workers have answered.
const START_INTERVAL: Duration = Duration::from_millis(10);

/// `systemctl status` is brought up to date that often.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// How long workers may take to cut what is left and end.
const CUT_TIME_MAX: Duration = Duration::from_secs(5);

/// Configurations of which connections drain that are counted; the oldest are forgotten first.
const GENERATIONS_COUNTED_MAX: usize = 1000;

pub(super) struct Supervisor {
    pub(super) state: Arc<State>,
    signals: Signals,
    certificates: Certificates,
    servers: Servers,
    source: ConfigSource,
    config_watch: ConfigWatch,
    pub(super) sockets: Bound,
    pub(super) commander: Commander,
    commands: Commands,
    pub(super) endpoints: Endpoints,
    /// How to start the next process; `None` where that is not known.
    pub(super) program: Option<Program>,
    /// Who accepts until it lets go; `None` once it has, and where there was none.
    pub(super) predecessor: Option<Predecessor>,
    /// A new process that gets ready.
    pub(super) upgrade: Option<Upgrade>,
    /// A configuration that was published and is not taken by all workers.
    settling: Option<Settling>,
    /// Each resolves to the worker's index and what it panicked with.
    ends: JoinSet<(usize, Result<(), String>)>,
    pub(super) notifier: Notifier,
}

/// What the loop works with.
pub(super) struct Parts {
    pub(super) state: Arc<State>,
    pub(super) signals: Signals,
    pub(super) certificates: Certificates,
    pub(super) source: ConfigSource,
    pub(super) sockets: Bound,
    pub(super) commander: Commander,
    pub(super) commands: Commands,
    pub(super) endpoints: Endpoints,
    pub(super) program: Option<Program>,
    pub(super) predecessor: Option<Predecessor>,
}

impl Supervisor {
    /// Must be called within the runtime.
    pub(super) fn new(parts: Parts, ends: Vec<WorkerEnd>) -> Supervisor {
        let Parts {
            state,
            signals,
            certificates,
            source,
            sockets,
            commander,
            commands,
            endpoints,
            program,
            predecessor,
        } = parts;
        let is_watched = state.snapshot.load().config.process.watch_config;
        let config_watch = ConfigWatch::new(source.files.clone(), is_watched);
        note_success(&state);
        let ends = ends.into_iter().enumerate();
        let ends = ends.map(|(index, end)| async move { (index, end.wait().await) }).collect();
        let notifier = match predecessor {
            Some(_) => Notifier::aside(),
            None => Notifier::default(),
        };
        let mut servers = Servers::default();
        servers.apply(&state.snapshot.load());
        Supervisor {
            state,
            signals,
            certificates,
            servers,
            source,
            config_watch,
            sockets,
            commander,
            commands,
            endpoints,
            program,
            predecessor,
            upgrade: None,
            settling: None,
            ends,
            notifier,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), ControlError> {
        let ended = self.run_until_drained().await;
        if ended.is_err() {
            self.leave_files_to_successor();
            return ended;
        }
        let cut = self.state.sum(|report| &report.drain_cut);
        match cut {
            0 => tracing::info!("drained: every connection came to its end"),
            cut => tracing::warn!(cut, "drained: connections were cut because time was over"),
        }
        self.endpoints.finish().await;
        Ok(())
    }

    async fn run_until_drained(&mut self) -> Result<(), ControlError> {
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
                        return Ok(());
                    }
                }
                request = self.signals.next() => self.take_request(request),
                Some(asked) = self.commands.next() => self.take_command(asked),
                outcome = upgrade::outcome(&mut self.upgrade) => self.take_outcome(outcome),
                how = predecessor::lets_go(&mut self.predecessor) => self.succeed(how)?,
                () = self.config_watch.changed(), if phase == Phase::Serving => {
                    self.reload("the configuration has changed", None);
                }
                () = settling::over(self.settling.as_ref(), &self.state) => self.settle(),
                cause = self.certificates.due() => self.certificates.reload(cause),
                upstream = self.servers.changed() => self.change_servers(&upstream),
                _ = looks.tick() => self.look_at_servers(),
                () = until_deadline(phase) => self.pass_deadline()?,
                _ = pulse.tick() => self.ask_workers(),
                _ = start.tick(), if phase == Phase::Starting => self.serve_once_all_answer(),
                _ = status.tick() => {
                    self.notify_status();
                    self.state.exposition.forget_servers_gone();
                }
                Some(half) = tick_of(&mut watchdog_ticks) => self.notify_watchdog(half),
            }
        }
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
        if let Some(stage) = phase.stage() {
            let present = self.state.snapshot.load_full();
            let mut snapshot = Snapshot { stage, ..Snapshot::clone(&present) };
            if phase.cuts_at().is_some() {
                // Whoever has a socket keeps clients connecting to it: nobody here may.
                self.sockets.close();
                snapshot.sockets = Arc::default();
            }
            self.publish(snapshot);
        }
        self.notify_status();
    }

    fn take_request(&mut self, request: Request) {
        match request {
            Request::End(signal) => self.end(signal),
            Request::ReopenLogs => match self.state.snapshot.load().access_log.reopen() {
                Ok(()) => tracing::info!("USR1: log files were opened again"),
                Err(error) => tracing::error!("USR1: {error}; lines still go to the old file"),
            },
            Request::Reload => self.reload("HUP", None),
            Request::Upgrade => self.begin_upgrade("USR2", None),
        }
    }

    fn take_command(&mut self, asked: Asked) {
        let Asked { command, reply } = asked;
        match command {
            Command::Reload => self.reload("command", Some(reply)),
            Command::Upgrade => self.begin_upgrade("command", Some(reply)),
            Command::Server(order) => self.order_server(&order, reply),
        }
    }

    fn publish(&self, snapshot: Snapshot) {
        self.state.snapshot.store(Arc::new(snapshot));
        self.state.wake_workers();
    }

    /// Names of an upstream stand for other servers.
    fn change_servers(&mut self, upstream: &str) {
        let present = self.state.snapshot.load_full();
        if let Some(snapshot) = self.servers.resolved(&present, upstream) {
            self.servers.apply(&snapshot);
            self.publish(snapshot);
        }
    }

    fn look_at_servers(&mut self) {
        self.servers.look(&self.state.snapshot.load());
        for upstream in self.servers.postponed() {
            self.change_servers(&upstream);
        }
    }

    // Another configuration.

    /// Reads the configuration again, with all files that it names, and puts it in force. If
    /// anything is wrong with it, everything stays as it is.
    fn reload(&mut self, cause: &str, reply: Option<Reply>) {
        let obstacle = match self.upgrade {
            _ if self.phase().is_ending() => Some("the process ends"),
            // The new process has the sockets of now, and would not have those of then.
            Some(_) => Some("an upgrade is under way; try again when it is over"),
            None => None,
        };
        if let Some(reason) = obstacle {
            tracing::warn!("{cause}: no reload: {reason}");
            if let Some(reply) = reply {
                answer(reply, Err(Refusal::NotNow(reason.to_owned())));
            }
            return;
        }
        self.notifier.reloading();
        self.config_watch.note();
        let result = self.try_reload();
        self.certificates.reload(Cause::Asked);
        let at = jiff::Timestamp::now();
        self.state.reloads().last = Some(LastReload { at, result: result.clone() });
        match &result {
            Ok(changes) => {
                tracing::info!("{cause}: reloaded: {changes}");
                note_success(&self.state);
                self.state.config_metrics.succeeded.increment(1);
            }
            Err(problem) => {
                tracing::error!("{cause}: not reloaded, everything stays as it was: {problem}");
                self.state.config_metrics.last_reload_success.set(0.0);
                self.state.config_metrics.failed.increment(1);
            }
        }
        let what = result.map(|message| Done { message }).map_err(Refusal::Failed);
        match (&mut self.settling, reply) {
            (Some(settling), Some(reply)) => settling.tell(reply, what),
            (None, Some(reply)) => answer(reply, what),
            (_, None) => {}
        }
        if self.settling.is_none() {
            self.notify_reloaded();
        }
    }

    fn try_reload(&mut self) -> Result<String, String> {
        let config = (self.source.read)().map_err(|errors| reload::describe(&errors))?;
        let state = Arc::clone(&self.state);
        let present = state.snapshot.load_full();
        let Prepared { snapshot, tls, sockets, changes, drains_until } = reload::prepare(
            config,
            &present,
            &state.machine,
            &self.certificates,
            &self.sockets,
            Instant::now(),
        )?;
        let secrets = Secrets::read(&snapshot.config).map_err(|problems| {
            let line = |(key, problem): (String, String)| format!("{key}: {problem}");
            problems.into_iter().map(line).collect::<Vec<_>>().join("\n")
        })?;
        // Files may have changed where nothing else has.
        secrets.install(&present.roster);
        if !changes.is_any() {
            return Ok(changes.to_string());
        }
        // From here on nothing fails.
        for (listener, address) in &sockets.added {
            tracing::info!(listener, address, "listening");
        }
        for address in &sockets.removed {
            tracing::info!(address, "listening no more");
        }
        for note in snapshot.plan.notes.iter().filter(|it| !present.plan.notes.contains(it)) {
            tracing::warn!("{note}");
        }
        self.sockets.take_over(sockets);
        state.addresses().clone_from(&self.sockets.addresses);
        self.config_watch.switch(snapshot.config.process.watch_config);
        let tls = self.certificates.take_over(&snapshot.config, tls);
        if snapshot.config.access_log.target != present.config.access_log.target {
            let before = present.access_log.clone();
            state.access_logs_before().open.push((snapshot.generation, before));
        }
        if changes.retires() {
            let drains = &mut state.reloads().drains;
            drains.push(drains_until);
            let forgotten = drains.len().saturating_sub(GENERATIONS_COUNTED_MAX);
            drains.drain(..forgotten);
        }
        let generation = snapshot.generation;
        self.settling = Some(Settling::new(generation, self.settling.take()));
        let sockets = Arc::new(self.sockets.workers.clone());
        let roster = self.servers.with_names(snapshot.roster, &snapshot.config);
        secrets.install(&roster);
        let snapshot = Snapshot { tls, sockets, roster, ..snapshot };
        self.servers.apply(&snapshot);
        self.publish(snapshot);
        Ok(changes.to_string())
    }

    /// Every worker goes by the configuration in force.
    fn settle(&mut self) {
        let generation = self.state.generation_of_all();
        self.state.access_logs_before().close(generation);
        if let Some(settling) = self.settling.take() {
            settling.finish();
            self.notify_reloaded();
        }
    }

    /// The end of a reload; at the start, that comes with the end of the start.
    fn notify_reloaded(&mut self) {
        if self.phase() == Phase::Serving {
            self.notifier.ready();
        }
    }

    // The end.

    fn times(&self) -> DrainTimes {
        let process = &self.state.snapshot.load().config.process;
        DrainTimes { grace: process.drain_grace, timeout: process.drain_timeout }
    }

    fn end(&mut self, signal: &str) {
        self.cancel_upgrade();
        let (before, now) = (self.phase(), Instant::now());
        let after = before.told_to_end(now, self.times());
        let open = self.state.sum(|report| &report.connections);
        match after {
            _ if matches!(before, Phase::HandedOver { .. }) => self.log_drain(signal, open),
            _ if before.is_ending() => {
                tracing::warn!(connections = open, "{signal} again: ending at once");
            }
            Phase::Grace { .. } => tracing::info!(
                connections = open,
                "{signal}: not ready any more; still accepting for {:?}",
                self.times().grace
            ),
            _ => self.log_drain(signal, open),
        }
        self.enter(after);
    }

    fn log_drain(&self, cause: &str, open: u64) {
        tracing::info!(
            connections = open,
            "{cause}: accepting no more; connections may go on for {:?}",
            self.times().timeout
        );
    }

    /// What follows when the time of [`until_deadline`] has come.
    fn pass_deadline(&mut self) -> Result<(), ControlError> {
        let phase = self.phase();
        if phase.cuts_at().is_some() {
            return Err(ControlError::WorkersStuck { workers: self.ends.len() });
        }
        self.log_drain("grace is over", self.state.sum(|report| &report.connections));
        self.enter(phase.at(Instant::now(), self.times()));
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
            // Its servers are known, and it serves: nobody is in a hurry to know none.
            Some(_) if !self.servers.names_are_known() && self.may_wait_for_names() => {}
            Some(predecessor) => {
                predecessor.ready();
                self.enter(Phase::Standby);
            }
        }
    }

    /// A predecessor waits for `process.upgrade_timeout`. While nobody answers for half of it,
    /// names are given up for now, as at a start.
    fn may_wait_for_names(&self) -> bool {
        let timeout = self.state.snapshot.load().config.process.upgrade_timeout;
        self.state.started.elapsed() < timeout / 2
    }

    pub(super) fn serve(&mut self) {
        self.enter(Phase::Serving);
        tracing::info!("ready");
        self.notifier.ready();
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

/// A configuration was put in force.
fn note_success(state: &State) {
    let now = jiff::Timestamp::now().as_second();
    state.config_metrics.last_reload_success.set(1.0);
    state.config_metrics.last_reload_success_timestamp.set(now as f64);
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
