//! A client that is sent away before its connection begins.

use std::time::Instant;

use crate::account::Refused;
use crate::error::{CloseReason, LimitReason};
use crate::id::ConnectionId;
use crate::io::connection::Slot;
use crate::io::introduction;
use crate::io::kernel::Kernel;
use crate::io::worker::Worker;
use crate::proxy_protocol::header::HeaderProblem;
use crate::tls::failure::TlsFailure;

/// For a client that speaks HTTP where TLS is spoken.
const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 59\r\n\
    Connection: close\r\n\
    \r\n\
    This port speaks HTTPS, and the request came in plain text\n";

/// The fatal alert unrecognized_name (RFC 6066, section 3), in a record of plain text.
const UNKNOWN_NAME_ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

/// Reads, of a buffer each, of what a client has sent that nobody wants.
const DISCARDED_READS_MAX: usize = 4;

/// Why a client was sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No PROXY header that could be believed.
    ProxyHeader(HeaderProblem),
    /// The handshake.
    Tls(TlsFailure),
    /// A limit of its listener.
    Limit(LimitReason),
    /// No route is for what it asks for.
    UnknownName,
    /// The process ends.
    Drain,
}

impl Refusal {
    fn close_reason(self) -> CloseReason {
        match self {
            Refusal::ProxyHeader(problem) => match problem {
                HeaderProblem::Missing => CloseReason::ProxyHeaderMissing,
                HeaderProblem::TooLong => CloseReason::ProxyHeaderTooLong,
                HeaderProblem::Malformed => CloseReason::ProxyHeaderMalformed,
                HeaderProblem::Cut => CloseReason::ProxyHeaderCut,
                HeaderProblem::TimedOut => CloseReason::ProxyHeaderTimeout,
                HeaderProblem::Untrusted => CloseReason::ProxyUntrusted,
            },
            Refusal::Tls(_) => CloseReason::TlsHandshake,
            Refusal::Limit(reason) => reason.close_reason(),
            Refusal::UnknownName => CloseReason::UnknownName,
            Refusal::Drain => CloseReason::DrainTimeout,
        }
    }

    fn failure(self) -> Option<TlsFailure> {
        match self {
            Refusal::Tls(failure) => Some(failure),
            Refusal::ProxyHeader(_) | Refusal::Limit(_) | Refusal::UnknownName | Refusal::Drain => {
                None
            }
        }
    }

    /// What the client is told, if anything: a failed handshake has had its own alert.
    fn last_words(self) -> &'static [u8] {
        match self {
            Refusal::Tls(TlsFailure::PlainHttp) => PLAIN_HTTP_ANSWER,
            Refusal::UnknownName => UNKNOWN_NAME_ALERT,
            Refusal::ProxyHeader(_) | Refusal::Limit(_) | Refusal::Tls(_) | Refusal::Drain => &[],
        }
    }
}

impl<K: Kernel> Worker<K> {
    /// Sends a client away. What it has to be told goes out as far as the socket takes it.
    pub(super) fn refuse(&mut self, id: ConnectionId, refusal: Refusal, now: Instant) {
        let Some(Slot::Greeting(mut greeting)) = self.connections.try_remove(id.index as usize)
        else {
            return;
        };
        self.timers.disarm(id, &mut greeting.armed);
        self.leave_handshakes(&greeting.stage);
        let accepted = greeting.accepted;
        let total = now.saturating_duration_since(accepted.accepted_at);
        let refused = Refused {
            listener: accepted.listener,
            client: accepted.client_address,
            upstream: greeting.target,
            // Nothing was agreed on.
            tls: introduction::client_tls(None, accepted.introduction.as_deref()),
            failure: refusal.failure(),
            reason: refusal.close_reason(),
        };
        self.account.refused(&refused, total);
        match refusal {
            Refusal::Limit(_) => self.kernel.reset(accepted.client),
            _ => self.part_from(&accepted.client, refusal.last_words()),
        }
        self.on_place_free(accepted.listener, accepted.admission, now);
        self.call_waiting(now);
    }

    /// Says what is left to say, so that the client can hear it.
    fn part_from(&mut self, client: &K::Socket, words: &[u8]) {
        if !words.is_empty() {
            // Whoever does not even take this does not get it.
            let _sent = self.kernel.send(client, words).is_ok();
        }
        // With unread bytes the close would be a reset, which could overtake what was sent.
        for _ in 0..DISCARDED_READS_MAX {
            let read = self.kernel.recv(client, &mut self.supplies.scratch);
            if read.is_ok_and(|bytes| bytes == 0) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(PLAIN_HTTP_ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
