//! The process before this one, as this one sees it that was started to take its place. See
//! `control/upgrade.rs` for what is said.

use std::io;

use tokio::net::UnixStream;

use super::operator::Bequest;
use super::upgrade::{ACCEPT, BEQUESTS_BYTES_MAX, READY};

/// A process that waits to hand over to this one.
#[derive(Debug)]
pub(super) struct Predecessor {
    link: UnixStream,
    heard: Vec<u8>,
}

/// How it lets go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LetGo {
    /// It has said so, and what it knew of servers. It is gone a moment later.
    Told(Vec<Bequest>),
    /// It is gone.
    Gone,
}

impl Predecessor {
    /// Must be called within the runtime.
    ///
    /// # Errors
    /// The connection cannot be used.
    pub(super) fn new(link: std::os::unix::net::UnixStream) -> io::Result<Predecessor> {
        Ok(Predecessor { link: UnixStream::from_std(link)?, heard: Vec::new() })
    }

    /// Says that this process could serve.
    pub(super) fn ready(&self) {
        // A few bytes into an empty queue. If nobody is there to hear, `lets_go` says so.
        let _gone = self.link.try_write(READY).is_err();
    }

    /// Waits until it lets go. Nothing is lost when it is dropped while it waits.
    pub(super) async fn lets_go(&mut self) -> LetGo {
        loop {
            if self.link.readable().await.is_err() {
                return LetGo::Gone;
            }
            let mut bytes = [0; 4096];
            match self.link.try_read(&mut bytes) {
                Ok(0) => return LetGo::Gone,
                Ok(count) => self.heard.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return LetGo::Gone,
            }
            if let Some(line) = self.heard.strip_suffix(b"\n") {
                let json = line.strip_prefix(ACCEPT).unwrap_or_default();
                // One of another version may know other things: then nothing is taken over.
                let bequests = serde_json::from_slice(json).unwrap_or_default();
                // It is not heard again while its end is waited for.
                self.heard.clear();
                return LetGo::Told(bequests);
            }
            if self.heard.len() > ACCEPT.len() + BEQUESTS_BYTES_MAX {
                self.heard.clear();
                return LetGo::Told(Vec::new());
            }
        }
    }
}

/// Waits for [`Predecessor::lets_go`]; forever where there is none.
pub(super) async fn lets_go(predecessor: &mut Option<Predecessor>) -> LetGo {
    match predecessor {
        Some(predecessor) => predecessor.lets_go().await,
        None => std::future::pending().await,
    }
}
