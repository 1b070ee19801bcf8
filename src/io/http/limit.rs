//! A request at the limits of its listener.

use std::time::Instant;

use crate::config::Http;
use crate::error::Direction;
use crate::exchange::Exchange;
use crate::io::http::run::Turn;
use crate::io::kernel::Kernel;
use crate::limits::Refusal;
use crate::limits::throttle::Throttle;

impl<'a, K: Kernel> Turn<'a, K> {
    /// Answers a request that may not go on: because of its connection, which was only let in to
    /// be told so, or because it is one too many. `rest` is what came behind its head; returns how
    /// much of that was used.
    pub(super) fn refuse_over_limit(
        &mut self,
        http: &Http,
        exchange: &mut Exchange,
        rest: &[u8],
    ) -> Option<usize> {
        let refusal = match self.connection.refusal {
            Some(refusal) => {
                exchange.keeps_client = false;
                refusal
            }
            None => self.limit_of_request(http, exchange)?,
        };
        let used = self.skip_body(exchange, rest);
        exchange.end = refusal.reason.close_reason();
        self.answer_refusal(exchange, refusal);
        Some(used)
    }

    fn limit_of_request(&mut self, http: &Http, exchange: &Exchange) -> Option<Refusal> {
        let connection = &*self.connection;
        let id = connection.listener;
        let limits = &self.config.listeners[id.index()].limits;
        if !limits.is_limited() {
            return None;
        }
        let peer = connection.client_address.map(|address| address.ip());
        let named = exchange.client.filter(|_| http.forwarded.names_clients(peer));
        let named = named.and_then(|client| client.ip);
        let account = &mut *self.account;
        let admission = &connection.admission;
        let admitted =
            self.limits.admit_request(id, limits, admission, named, self.now, |missed| {
                account.client_missed(id, missed);
            });
        let refusal = admitted.err()?;
        account.limit_refused(id, refusal.reason);
        Some(refusal)
    }

    /// What holds up the bytes of the connection now.
    pub(super) fn throttle(&self) -> Throttle<'a> {
        let listener = self.connection.listener;
        let limits = &self.config.listeners[listener.index()].limits;
        self.limits.throttle(listener, limits, &self.connection.admission, self.now)
    }

    /// A lane may not read before `until`.
    pub(super) fn pause(&mut self, direction: Direction, until: Instant) {
        self.connection.relay.lane_mut(direction).pause(until);
        self.account.paused(self.connection.listener, direction);
    }
}
