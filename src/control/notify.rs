//! What systemd is told (sd_notify(3)); nothing, where it does not listen.

use std::time::Duration;

use sd_notify::NotifyState;

/// Speaks to the service manager. An error is logged once and does no harm: the proxy does not
/// depend on being heard. As with libsystemd, a manager that does not read for a while makes the
/// sender wait; that is the control plane alone, and workers go on.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    /// Another process is the service's main one, which alone is heard (`NotifyAccess=main`).
    is_aside: bool,
    status: String,
    complained: bool,
}

impl Notifier {
    /// For a process that is not the main one yet.
    pub(super) fn aside() -> Notifier {
        Notifier { is_aside: true, ..Notifier::default() }
    }

    /// This process is the main one now.
    pub(super) fn step_forward(&mut self) {
        self.is_aside = false;
        self.status.clear();
    }

    /// `MAINPID=`: that one is the main process now, and this one is heard no more.
    pub(super) fn step_aside(&mut self, successor: u32) {
        self.send(&[NotifyState::MainPid(successor)]);
        self.is_aside = true;
    }

    /// `READY=1`: clients may come.
    pub(super) fn ready(&mut self) {
        self.send(&[NotifyState::Ready]);
    }

    /// `RELOADING=1` with the time, which tells systemd's own reloads from others; to be followed
    /// by [`Notifier::ready`].
    pub(super) fn reloading(&mut self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!("systemd cannot be told of a reload: {error}"),
        }
    }

    /// `STOPPING=1`: the end has begun.
    pub(super) fn stopping(&mut self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// `STATUS=`: the line of `systemctl status`; sent when it is not the last one again.
    pub(super) fn status(&mut self, status: String) {
        if status != self.status {
            self.send(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// `WATCHDOG=1`: the process is well.
    pub(super) fn well(&mut self) {
        self.send(&[NotifyState::Watchdog]);
    }

    fn send(&mut self, states: &[NotifyState<'_>]) {
        if self.is_aside {
            return;
        }
        if let Err(error) = sd_notify::notify(states)
            && !std::mem::replace(&mut self.complained, true)
        {
            tracing::warn!("systemd cannot be notified at NOTIFY_SOCKET: {error}");
        }
    }
}

/// How often to say that all is well: at half of the time after which systemd gives up
/// (sd_watchdog_enabled(3)); `None` when it does not watch.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|time| time / 2).filter(|interval| !interval.is_zero())
}
