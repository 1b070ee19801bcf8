//! What the loop of the control plane does in an upgrade, on either side of it.

use std::sync::Arc;
use std::time::Instant;

use super::ControlError;
use super::command::{self, Done, Refusal, Reply};
use super::drain::Phase;
use super::operator::{self, Bequest, ServerOrder};
use super::predecessor::LetGo;
use super::supervisor::Supervisor;
use super::upgrade::{Outcome, Upgrade};
use crate::config::units::show_duration;

impl Supervisor {
    /// Starts a successor. `cause` is what has asked for it, in a word.
    pub(super) fn begin_upgrade(&mut self, cause: &str, reply: Option<Reply>) {
        if let Err(reason) = self.may_upgrade() {
            tracing::warn!("{cause}: no upgrade: {reason}");
            if let Some(reply) = reply {
                command::answer(reply, Err(Refusal::NotNow(reason)));
            }
            return;
        }
        let Some(program) = &self.program else { return };
        let config = Arc::clone(&self.state.snapshot.load().config);
        let mut sockets = self.sockets.named(&config);
        sockets.extend(self.endpoints.named());
        let timeout = config.process.upgrade_timeout;
        match Upgrade::start(program, sockets, timeout, None) {
            Ok(mut upgrade) => {
                tracing::info!(
                    program = %program.path.display(),
                    pid = upgrade.pid(),
                    "{cause}: a new process was started; it has {} to get ready",
                    show_duration(timeout)
                );
                upgrade.reply = reply;
                self.upgrade = Some(upgrade);
            }
            Err(reason) => self.upgrade_failed(&reason, reply),
        }
    }

    fn bequests(&self) -> Vec<Bequest> {
        let snapshot = self.state.snapshot.load();
        operator::bequests(&snapshot.config, &snapshot.roster)
    }

    fn may_upgrade(&self) -> Result<(), String> {
        if self.upgrade.is_some() {
            return Err("one is under way already".to_owned());
        }
        if self.predecessor.is_some() {
            return Err("the predecessor has not let go wholly; try again".to_owned());
        }
        if self.program.is_none() {
            return Err("it is not known how this process was started".to_owned());
        }
        if std::process::id() == 1 {
            return Err(
                "this process is number 1, with whose end a container ends: start another \
                        container"
                    .to_owned(),
            );
        }
        match self.phase() {
            Phase::Serving => Ok(()),
            phase => Err(format!("the process does not serve: {}", phase.label())),
        }
    }

    /// The new process is ready, or has failed.
    pub(super) fn take_outcome(&mut self, outcome: Outcome) {
        let Some(mut upgrade) = self.upgrade.take() else { return };
        let reply = upgrade.reply.take();
        let (pid, phase) = (upgrade.pid(), self.phase());
        let outcome = match outcome {
            Outcome::Ready if !upgrade.has_it_accept(&self.bequests()) => {
                Outcome::Failed("it ended when it was about to serve".to_owned())
            }
            outcome => outcome,
        };
        match (outcome, pid) {
            (Outcome::Ready, Some(pid)) => {
                debug_assert_eq!(phase, Phase::Serving, "the end cancels an upgrade");
                self.hand_over(pid);
                upgrade.leave();
                if let Some(reply) = reply {
                    let message =
                        format!("process {pid} serves now; process {} drains", std::process::id());
                    command::answer(reply, Ok(Done { message }));
                }
            }
            (Outcome::Ready, None) => self.upgrade_failed("it has ended", reply),
            (Outcome::Failed(reason), _) => {
                upgrade.cancel();
                self.upgrade_failed(&reason, reply);
            }
        }
    }

    fn upgrade_failed(&self, reason: &str, reply: Option<Reply>) {
        self.state.metrics.upgrades_failed.increment(1);
        tracing::error!("the upgrade has failed, and this process goes on: {reason}");
        if let Some(reply) = reply {
            let message = format!("{reason}; the old process goes on");
            command::answer(reply, Err(Refusal::Failed(message)));
        }
    }

    /// The successor accepts: this process lets go of everything that clients connect to.
    fn hand_over(&mut self, successor: u32) {
        let timeout = self.state.snapshot.load().config.process.upgrade_drain_timeout;
        let open = self.state.sum(|report| &report.connections);
        tracing::info!(
            connections = open,
            "process {successor} accepts now; connections of this one may go on for {}",
            show_duration(timeout)
        );
        self.notifier.step_aside(successor);
        self.endpoints.leave();
        std::mem::take(&mut self.sockets.files).leave();
        self.enter(Phase::HandedOver { until: Instant::now() + timeout });
    }

    /// The process is told to end while a new one starts: nobody is to serve.
    pub(super) fn cancel_upgrade(&mut self) {
        let Some(mut upgrade) = self.upgrade.take() else { return };
        let reply = upgrade.reply.take();
        upgrade.cancel();
        self.upgrade_failed("this process was told to end", reply);
    }

    /// This process fails. A new one that gets ready sees that and serves: what clients find it by
    /// is to stay.
    pub(super) fn leave_files_to_successor(&mut self) {
        if self.upgrade.as_mut().is_some_and(Upgrade::is_running) {
            tracing::warn!("this process fails in an upgrade: the new one is to take over");
            std::mem::take(&mut self.sockets.files).leave();
        }
    }

    /// An operator treats a server otherwise.
    pub(super) fn order_server(&self, order: &ServerOrder, reply: Reply) {
        let snapshot = self.state.snapshot.load();
        let done = operator::carry_out(&snapshot.config, &snapshot.roster, order, Instant::now());
        match &done {
            Ok(Done { message }) => tracing::info!("by order: {message}"),
            Err(refusal) => {
                tracing::warn!(?order, "an order that cannot be carried out: {refusal:?}");
            }
        }
        // Whoever waits for a server may find one now.
        self.state.wake_workers();
        command::answer(reply, done);
    }

    /// The predecessor has let go: clients are this process's from now on. Once it is gone as well,
    /// systemd knows which process is the main one, and listens to this one.
    pub(super) fn succeed(&mut self, how: LetGo) -> Result<(), ControlError> {
        // It has said so, or nobody else is left: either way nobody else removes the files.
        self.sockets.files.succeed();
        match how {
            LetGo::Told(bequests) => {
                let (now, snapshot) = (Instant::now(), self.state.snapshot.load());
                for bequest in &bequests {
                    bequest.take(&snapshot.config, &snapshot.roster, now);
                }
                tracing::info!(orders = bequests.len(), "took over from the predecessor");
                self.take_over()
            }
            LetGo::Gone => {
                self.predecessor = None;
                self.notifier.step_forward();
                match self.phase() {
                    Phase::Serving => {
                        self.notifier.ready();
                        Ok(())
                    }
                    phase if phase.is_ending() => {
                        self.notifier.stopping();
                        Ok(())
                    }
                    _ => {
                        tracing::warn!("the predecessor is gone; taking over");
                        self.take_over()
                    }
                }
            }
        }
    }

    fn take_over(&mut self) -> Result<(), ControlError> {
        if self.phase().is_ending() {
            return Ok(());
        }
        self.state.metrics.upgrades_succeeded.increment(1);
        self.endpoints.start(&self.state, &self.commander).map_err(ControlError::Admin)?;
        if self.phase() == Phase::Standby {
            self.serve();
        }
        Ok(())
    }
}
