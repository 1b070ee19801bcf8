//! Handing over to a new binary, as the process sees it that runs: it starts the program once more
//! with everything that it listens on, waits until it hears that all is ready there, and only then
//! lets go.
//!
//! ```text
//!   this process                                        the new one
//!   start ──── LISTEN_FDS, spliceway.predecessor ────▶  config, sockets, workers
//!     │ ◀────────────────────────────────── READY ────  in standby: accepts nothing yet
//!   workers let go of the sockets
//!     │ ───── ACCEPT, what operators have ordered ────▶ serves
//!   tells systemd who is the main process
//!     │ ───── end of the connection ──────────────────▶ speaks to systemd
//!   drains
//! ```
//!
//! Before `READY` the new process has touched no client, so that whatever goes wrong with it costs
//! nobody anything: it is killed, and this one goes on. Should this process be killed, the new one
//! sees the end of the connection and serves.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::time::{Instant, sleep_until};

use super::command::Reply;
use super::operator::Bequest;
use crate::config::units::show_duration;
use crate::listen::PREDECESSOR;
use crate::sys::successor::Program;

/// What the new process says when it could serve.
pub(super) const READY: &[u8] = b"READY\n";

/// What it is told when it shall; behind it, as JSON in one line, what is known of servers.
pub(super) const ACCEPT: &[u8] = b"ACCEPT ";

/// How long that line may be: a socket takes it at once.
pub(super) const BEQUESTS_BYTES_MAX: usize = 64 * 1024;

/// What it says before the reason why it cannot.
pub(super) const FAILED: &[u8] = b"FAILED ";

/// How much it may say.
const WORDS_BYTES_MAX: usize = 4 * 1024;

/// A new process that is not ready yet.
#[derive(Debug)]
pub(super) struct Upgrade {
    child: Child,
    link: UnixStream,
    heard: Vec<u8>,
    deadline: Instant,
    timeout: Duration,
    /// Who waits for it.
    pub(super) reply: Option<Reply>,
}

/// What has become of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It could serve.
    Ready,
    /// It cannot, for this reason.
    Failed(String),
}

/// What an event says.
enum Event {
    Readable,
    Ended(Option<ExitStatus>),
    TimedOut,
}

impl Upgrade {
    /// Starts the program with `sockets`. Must be called within the runtime.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(super) fn start(
        program: &Program,
        sockets: Vec<(String, BorrowedFd<'_>)>,
        timeout: Duration,
        reply: Option<Reply>,
    ) -> Result<Upgrade, String> {
        let started = || -> std::io::Result<(Child, UnixStream)> {
            let (link, theirs) = std::os::unix::net::UnixStream::pair()?;
            link.set_nonblocking(true)?;
            let theirs = OwnedFd::from(theirs);
            let mut handed = sockets;
            handed.push((PREDECESSOR.to_owned(), theirs.as_fd()));
            let mut command = program.command(&handed)?;
            command.stdin(Stdio::null());
            let child = tokio::process::Command::from(command).spawn()?;
            Ok((child, UnixStream::from_std(link)?))
        };
        let (child, link) = started()
            .map_err(|error| format!("{} cannot be started: {error}", program.path.display()))?;
        let deadline = Instant::now() + timeout;
        Ok(Upgrade { child, link, heard: Vec::new(), deadline, timeout, reply })
    }

    /// The number of the new process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether the new process has not ended.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it is known what becomes of it. Nothing is lost when it is dropped while it
    /// waits.
    pub(super) async fn outcome(&mut self) -> Outcome {
        loop {
            let event = tokio::select! {
                _ = self.link.readable() => Event::Readable,
                ended = self.child.wait() => Event::Ended(ended.ok()),
                () = sleep_until(self.deadline) => Event::TimedOut,
            };
            match event {
                Event::Readable => {
                    let is_open = self.listen();
                    if self.heard.starts_with(READY) {
                        return Outcome::Ready;
                    }
                    if !is_open {
                        // Its last words may say why; its exit says the rest.
                        let ended = tokio::time::timeout_at(self.deadline, self.child.wait()).await;
                        return self.failed(ended.ok().and_then(Result::ok));
                    }
                }
                Event::Ended(status) => {
                    self.listen();
                    return self.failed(status);
                }
                Event::TimedOut => {
                    let problem = format!(
                        "it was not ready after {} (process.upgrade_timeout)",
                        show_duration(self.timeout)
                    );
                    return Outcome::Failed(problem);
                }
            }
        }
    }

    /// Reads what there is. Says whether more may come.
    fn listen(&mut self) -> bool {
        let mut bytes = [0; 512];
        loop {
            match self.link.try_read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) if self.heard.len() + count <= WORDS_BYTES_MAX => {
                    self.heard.extend_from_slice(&bytes[..count]);
                }
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    }

    fn failed(&self, status: Option<ExitStatus>) -> Outcome {
        let how = match status {
            Some(status) => format!("it ended ({status})"),
            None => "it broke off".to_owned(),
        };
        let words = self.heard.strip_prefix(FAILED).map(String::from_utf8_lossy);
        let words = words.as_deref().map(str::trim).filter(|words| !words.is_empty());
        Outcome::Failed(match words {
            Some(words) => format!("{how}: {words}"),
            None => format!("{how} before it was ready; its own messages say why"),
        })
    }

    /// Ends it. The connection stays open until it has ended: the end of that would tell it to
    /// serve.
    pub(super) fn cancel(mut self) {
        // It may have ended by itself.
        let _gone = self.child.start_kill().is_err();
        tokio::spawn(async move {
            let _status = self.child.wait().await;
            drop(self.link);
        });
    }

    /// Has the new process serve. `false`, and nothing has changed, if it has ended meanwhile.
    pub(super) fn has_it_accept(&mut self, bequests: &[Bequest]) -> bool {
        let line = accept_line(bequests);
        // Nothing was written before it: it fits as a whole.
        self.is_running() && self.link.try_write(&line).is_ok_and(|count| count == line.len())
    }

    /// Leaves it to itself, but for its exit status, which nobody else can take.
    pub(super) fn leave(self) {
        let Upgrade { mut child, link, .. } = self;
        drop(link);
        tokio::spawn(async move {
            let _status = child.wait().await;
        });
    }
}

/// With as many as there is room for: thousands of servers that are all down are not worth a
/// failure.
fn accept_line(bequests: &[Bequest]) -> Vec<u8> {
    let mut left = bequests.len();
    loop {
        // Names and numbers: nothing in it cannot be written as JSON.
        let json = serde_json::to_vec(&bequests[..left]).unwrap_or_else(|_| b"[]".to_vec());
        if json.len() < BEQUESTS_BYTES_MAX || left == 0 {
            if left < bequests.len() {
                tracing::warn!(
                    "the new process is not told of all servers that are down or under orders"
                );
            }
            return [ACCEPT, &json, b"\n"].concat();
        }
        left /= 2;
    }
}

/// Tells the predecessor, if there is one, why this process cannot take its place.
pub fn tell_failure(predecessor: Option<std::os::unix::net::UnixStream>, reason: &str) {
    let Some(mut link) = predecessor else { return };
    let end = reason.len().min(WORDS_BYTES_MAX - FAILED.len());
    let words = [FAILED, &reason.as_bytes()[..end]].concat();
    // It may be gone, or have given this process up; the log has the same words.
    let _unheard = std::io::Write::write_all(&mut link, &words).is_err();
}

/// Waits for [`Upgrade::outcome`]; forever where there is no upgrade under way.
pub(super) async fn outcome(upgrade: &mut Option<Upgrade>) -> Outcome {
    match upgrade {
        Some(upgrade) => upgrade.outcome().await,
        None => std::future::pending().await,
    }
}
