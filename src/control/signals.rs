//! Signals, as the events that they stand for.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// TERM or INT: drain; the second time, end at once.
    End(&'static str),
    /// USR1: open log files again.
    ReopenLogs,
    /// HUP: read the config again.
    Reload,
    /// USR2: hand over to a new binary.
    Upgrade,
}

/// Catches the signals from its creation on. HUP, USR1 and USR2 would end a process that does
/// not catch them (signal(7)), so they are caught even where nothing comes of them.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// # Errors
    /// When the system refuses a handler.
    pub(super) fn catch() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one; nothing is lost when it is dropped while it waits.
    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::End("TERM"),
            _ = self.interrupt.recv() => Request::End("INT"),
            _ = self.user1.recv() => Request::ReopenLogs,
            _ = self.hangup.recv() => Request::Reload,
            _ = self.user2.recv() => Request::Upgrade,
        }
    }
}
