//! How far an exchange is: what of the request and of the response has moved, how long nothing
//! may, and what follows when a server fails.
//!
//! ```text
//!   request    Waiting ──a connection──▶ Sending ──its last byte is out──▶ Sent
//!                 ▲                       │   │
//!                 └──the connection died, ┘   └──nobody takes the rest──▶ Abandoned
//!                    safe to try again
//!
//!   response   Awaited ──its head──▶ Delivering ──its last byte is out──▶ Delivered
//! ```
//!
//! The two go on at the same time: a server may answer before it has the whole request. The
//! exchange is over when the response is delivered; a request that is not sent by then never
//! will be, and its connections are not used again.

use std::time::{Duration, Instant};

use crate::balance::attempts::{AfterFailure, Attempts};
use crate::config::HttpTimeouts;
use crate::error::{Direction, FaultKind};
use crate::id::ServerId;
use crate::relay::silence::{Look, QueueLook};

/// How far the request is; the diagram stands above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestProgress {
    /// Every server has as much to do as it may have.
    Queued {
        /// When it waits no longer.
        until: Instant,
    },
    /// No server has it: a connection is being made, or will be.
    Waiting {
        /// When the attempt counts as failed.
        until: Instant,
    },
    /// It is on its way to a server.
    Sending {
        /// When a byte of it was last sent.
        moved_at: Instant,
    },
    /// All of it is with the kernel, or the server will not have more of it.
    Sent {
        /// Since when.
        at: Instant,
    },
    /// The rest of it is not read.
    Abandoned {
        /// Since when.
        at: Instant,
    },
}

/// How far the response is; the diagram stands above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseProgress {
    /// Nothing of it has been given to the client.
    Awaited,
    /// Its head is given to the client, its body is on its way.
    Delivering {
        /// When a byte of it last moved.
        moved_at: Instant,
    },
    /// All of it is with the kernel.
    Delivered,
}

/// What a server that fails leaves to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterLoss {
    /// Make another connection and send the request again; to a server that has had it before
    /// only within the budget for retries.
    Retry {
        /// The server cannot have seen the request.
        is_unseen: bool,
    },
    /// Answer the client that there is no answer.
    Answer,
    /// Part of a response has been given to the client: cut it.
    Cut,
}

/// What has lasted too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing.
    Nothing,
    /// The wait for a server that has room.
    Queue,
    /// The attempt to connect.
    Connect,
    /// What moves in this direction; look at the send queue of its sink and tell
    /// [`Progress::send_queue`].
    Silence(Direction),
}

/// What ended an exchange by its silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// `timeouts.request_body`
    RequestBody,
    /// `timeouts.response_head`
    ResponseHead,
    /// `timeouts.response_body`
    ResponseBody,
}

/// How long each attempt at a server may take.
#[derive(Debug, Clone, Copy, Default)]
pub struct TryTimeouts {
    /// To connect.
    pub connect: Duration,
    /// To begin a response, while the request could be sent to another server instead. `None` for
    /// requests that must not be sent twice, or where no such time is set.
    pub response: Option<Duration>,
}

/// How far an exchange is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    request: RequestProgress,
    response: ResponseProgress,
    timeouts: HttpTimeouts,
    tries: TryTimeouts,
    /// `None` for a request that no server gets.
    attempts: Option<Attempts>,
    /// The connection had served a request before.
    is_reused: bool,
    /// Bytes of the request that the present connection has taken.
    sent: u64,
    /// Bytes of its body among those that no connection can get again.
    has_sent_body: bool,
    /// A byte of a response was seen.
    has_response: bool,
    /// Looks at the send queues, by direction.
    looks: [QueueLook; 2],
}

impl Progress {
    /// A request that is answered here, beginning at `now`.
    pub fn answered(timeouts: HttpTimeouts, now: Instant) -> Progress {
        Progress {
            request: RequestProgress::Waiting { until: now },
            response: ResponseProgress::Awaited,
            timeouts,
            tries: TryTimeouts::default(),
            attempts: None,
            is_reused: false,
            sent: 0,
            has_sent_body: false,
            has_response: false,
            looks: [QueueLook::default(); 2],
        }
    }

    /// A request that a server will get.
    pub fn forwarded(
        timeouts: HttpTimeouts,
        tries: TryTimeouts,
        attempts: Attempts,
        now: Instant,
    ) -> Progress {
        Progress {
            request: RequestProgress::Waiting { until: now + tries.connect },
            tries,
            attempts: Some(attempts),
            ..Progress::answered(timeouts, now)
        }
    }

    /// How far the request is.
    pub fn request(&self) -> RequestProgress {
        self.request
    }

    /// How far the response is.
    pub fn response(&self) -> ResponseProgress {
        self.response
    }

    /// The attempts to reach a server.
    pub fn attempts(&self) -> Option<&Attempts> {
        self.attempts.as_ref()
    }

    /// The server that counts the request, which is to be told that it is over. Answers once for
    /// each attempt.
    pub fn take_place(&mut self) -> Option<ServerId> {
        self.attempts.as_mut()?.take_place()
    }

    /// Whether the request waited in a queue, which is to be told that it does no more. Answers
    /// once.
    pub fn take_queued(&mut self) -> bool {
        self.attempts.as_mut().is_some_and(Attempts::take_queued)
    }

    /// Whether the request went over a connection that had served another one before.
    pub fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether the request is on its way to a server.
    pub fn is_sending(&self) -> bool {
        matches!(self.request, RequestProgress::Sending { .. })
    }

    /// Whether the message of this direction is on its way.
    pub fn is_moving(&self, direction: Direction) -> bool {
        match direction {
            Direction::Upstream => self.is_sending(),
            Direction::Downstream => matches!(self.response, ResponseProgress::Delivering { .. }),
        }
    }

    /// Whether no server has the request yet.
    pub fn is_waiting(&self) -> bool {
        matches!(self.request, RequestProgress::Waiting { .. })
    }

    /// Whether all of the request was read and sent.
    pub fn has_sent_all(&self) -> bool {
        matches!(self.request, RequestProgress::Sent { .. })
    }

    /// Whether nothing of a response has been given to the client.
    pub fn is_awaiting(&self) -> bool {
        self.response == ResponseProgress::Awaited
    }

    /// Whether the exchange is over.
    pub fn is_over(&self) -> bool {
        self.response == ResponseProgress::Delivered
    }

    /// Whether the request waits in a queue.
    pub fn is_queued(&self) -> bool {
        self.attempts.is_some_and(|attempts| attempts.is_queued())
    }

    // What happens.

    /// An attempt begins, on this server.
    pub fn assigned(&mut self, server: ServerId, now: Instant) {
        if let Some(attempts) = &mut self.attempts {
            attempts.begin(server, now);
        }
        self.request = RequestProgress::Waiting { until: now + self.tries.connect };
    }

    /// Every server has as much to do as it may have.
    pub fn queued(&mut self, until: Instant) {
        if let Some(attempts) = &mut self.attempts {
            attempts.queue();
        }
        self.request = RequestProgress::Queued { until };
    }

    /// A connection to a server stands; `is_reused` if it was there before.
    pub fn connected(&mut self, is_reused: bool, now: Instant) {
        debug_assert!(self.is_waiting());
        self.is_reused = is_reused;
        self.sent = 0;
        if let (Some(attempts), false) = (&mut self.attempts, is_reused) {
            attempts.succeeded(now);
        }
        self.request = RequestProgress::Sending { moved_at: now };
    }

    /// An attempt to connect has failed.
    pub fn connect_failed(&mut self) -> AfterFailure {
        self.attempts.as_mut().map_or(AfterFailure::GiveUp, Attempts::failed)
    }

    /// Bytes moved towards the server.
    pub fn sent(&mut self, bytes: u64, now: Instant) {
        self.sent += bytes;
        self.looks[Direction::Upstream.index()].clear();
        if let RequestProgress::Sending { moved_at } = &mut self.request {
            *moved_at = now;
        }
    }

    /// Bytes of the request's body were given away that are not kept.
    pub fn sent_body(&mut self) {
        self.has_sent_body = true;
    }

    /// The last byte of the request is out.
    pub fn sent_all(&mut self, now: Instant) {
        self.request = RequestProgress::Sent { at: now };
    }

    /// The rest of the request will not be sent.
    pub fn abandon(&mut self, now: Instant) {
        if !self.has_sent_all() {
            self.request = RequestProgress::Abandoned { at: now };
        }
    }

    /// Bytes of a response have come, be they a head or not.
    pub fn saw_response(&mut self) {
        self.has_response = true;
    }

    /// The head of the response, and with it the response, begins to go to the client.
    pub fn responding(&mut self, now: Instant) {
        self.has_response = true;
        self.response = ResponseProgress::Delivering { moved_at: now };
    }

    /// Bytes moved towards the client.
    pub fn delivered(&mut self, now: Instant) {
        self.looks[Direction::Downstream.index()].clear();
        if let ResponseProgress::Delivering { moved_at } = &mut self.response {
            *moved_at = now;
        }
    }

    /// The last byte of the response is out.
    pub fn delivered_all(&mut self) {
        self.response = ResponseProgress::Delivered;
    }

    /// The connection to the server has ended or failed before the response was whole. It is safe
    /// to send a request again of which nothing was answered and of whose body nothing is gone, if
    /// its method allows it (RFC 9110, section 9.2.2), or if the server cannot have seen it: a
    /// connection that was kept has died before it took a byte (RFC 9112, section 9.3.1).
    pub fn lost(&mut self, is_idempotent: bool) -> AfterLoss {
        if !self.is_awaiting() {
            return AfterLoss::Cut;
        }
        let is_untouched = self.is_reused && self.sent == 0;
        let is_safe = !self.has_response && !self.has_sent_body && (is_idempotent || is_untouched);
        let Some(attempts) = self.attempts.as_mut().filter(|_| is_safe) else {
            return AfterLoss::Answer;
        };
        // One that is kept may just have been closed: the server is as good as before.
        let next = match is_untouched {
            true => attempts.went_stale(),
            false => attempts.lost(),
        };
        match next {
            AfterFailure::Retry => AfterLoss::Retry { is_unseen: is_untouched },
            AfterFailure::GiveUp => AfterLoss::Answer,
        }
    }

    /// Whether the request could still be sent to another server, if its method allows it.
    fn may_retry(&self) -> bool {
        let is_whole = self.has_sent_all() && !self.has_sent_body && !self.has_response;
        is_whole && self.attempts.is_some_and(|attempts| attempts.may_retry())
    }

    /// Whether a server that has not begun its response in time may be given up for another one.
    pub fn has_try_timeout(&self) -> bool {
        self.tries.response.is_some() && self.may_retry()
    }

    // Deadlines.

    /// When [`Progress::expire`] should be called next.
    pub fn deadline(&self) -> Option<Instant> {
        let connect = match self.request {
            RequestProgress::Queued { until } => Some(until),
            RequestProgress::Waiting { until } => self.attempts.map(|_| until),
            _ => None,
        };
        let silent = Direction::ALL.map(|direction| self.silent_at(direction));
        [connect, silent[0], silent[1]].into_iter().flatten().min()
    }

    /// How long nothing may move in a direction, since when nothing has, and what it is called.
    fn silence(&self, direction: Direction) -> Option<(Instant, Duration, Timeout)> {
        let HttpTimeouts { request_body, response_head, response_body, .. } = self.timeouts;
        match (direction, self.request, self.response) {
            (Direction::Upstream, RequestProgress::Sending { moved_at }, _) => {
                Some((moved_at, request_body, Timeout::RequestBody))
            }
            (
                Direction::Upstream,
                RequestProgress::Sent { at } | RequestProgress::Abandoned { at },
                ResponseProgress::Awaited,
            ) => {
                let try_timeout = self.tries.response.filter(|_| self.may_retry());
                let silence = try_timeout.map_or(response_head, |it| it.min(response_head));
                Some((at, silence, Timeout::ResponseHead))
            }
            (Direction::Downstream, _, ResponseProgress::Delivering { moved_at }) => {
                Some((moved_at, response_body, Timeout::ResponseBody))
            }
            _ => None,
        }
    }

    fn silent_at(&self, direction: Direction) -> Option<Instant> {
        let (since, silence_max, _) = self.silence(direction)?;
        Some(self.looks[direction.index()].deadline(since + silence_max))
    }

    /// Time has passed.
    pub fn expire(&self, now: Instant) -> Overdue {
        match self.request {
            RequestProgress::Queued { until } if now >= until => return Overdue::Queue,
            RequestProgress::Waiting { until } if self.attempts.is_some() && now >= until => {
                return Overdue::Connect;
            }
            _ => {}
        }
        let is_due = |direction: &Direction| self.silent_at(*direction).is_some_and(|at| now >= at);
        Direction::ALL.into_iter().find(is_due).map_or(Overdue::Nothing, Overdue::Silence)
    }

    /// What the send queue of a direction's sink holds, after [`Overdue::Silence`]. Says what has
    /// timed out, if nobody is there.
    pub fn send_queue(
        &mut self,
        direction: Direction,
        left: usize,
        now: Instant,
    ) -> Option<Timeout> {
        let (_, silence_max, timeout) = self.silence(direction)?;
        match self.looks[direction.index()].seen(left, silence_max, now) {
            Look::Again => None,
            Look::Silent => Some(timeout),
            Look::Alive => {
                self.begin_silence(direction, now);
                None
            }
        }
    }

    /// What there may be to read is not read, because there is no bandwidth left for it: nobody is
    /// silent meanwhile.
    pub fn held_up(&mut self, now: Instant) {
        for direction in Direction::ALL {
            self.looks[direction.index()].clear();
            self.begin_silence(direction, now);
        }
    }

    /// If there is silence in a direction, it has begun just now.
    fn begin_silence(&mut self, direction: Direction, now: Instant) {
        match (direction, &mut self.request, &mut self.response) {
            (
                Direction::Upstream,
                RequestProgress::Sending { moved_at: since }
                | RequestProgress::Sent { at: since }
                | RequestProgress::Abandoned { at: since },
                _,
            )
            | (Direction::Downstream, _, ResponseProgress::Delivering { moved_at: since }) => {
                *since = now;
            }
            _ => {}
        }
    }
}

/// The status that tells a client that no server could be connected to (RFC 9110, section 15.6).
pub fn status_of_connect(kind: FaultKind) -> u16 {
    match kind {
        FaultKind::TimedOut => 504,
        // The server is there, and says what it should not.
        FaultKind::Tls | FaultKind::Truncated => 502,
        _ => 503,
    }
}

#[cfg(test)]
mod tests;
