//! `101 Switching Protocols`: from here on, bytes are relayed whatever they mean (RFC 9110,
//! section 7.8).

use std::io::IoSlice;

use crate::error::Direction;
use crate::exchange::Exchange;
use crate::exchange::phase::Phase;
use crate::http::framing::BodyLength;
use crate::http::reject::{RejectReason, Rejection};
use crate::http::rewrite::Delivery;
use crate::io::http::run::Turn;
use crate::io::kernel::Kernel;
use crate::relay::lane::Extent;

impl<K: Kernel> Turn<'_, K> {
    /// Passes a switch on, and what came behind it. The request has asked for it, which was
    /// checked; it must be whole too, for the client could not tell the rest of its body from what
    /// comes then.
    pub(super) fn switch(&mut self, exchange: &mut Exchange, rest: &[u8]) {
        if !exchange.progress.has_sent_all() {
            return self.refuse_response(exchange, Rejection::of_response(RejectReason::Upgrade));
        }
        self.observe_status(exchange);
        exchange.status = Some(exchange.response.status());
        exchange.times.response_at = Some(self.now);
        exchange.progress.responding(self.now);
        let delivery = Delivery { body: BodyLength::None, keeps_alive: true };
        self.put_response_head(exchange, delivery, rest, &[], false);
        let early = std::mem::take(&mut self.connection.unread[Direction::Upstream.index()]);
        self.put(Direction::Upstream, &[IoSlice::new(early.as_slice())]);
        let mode = self.relay_mode(exchange);
        for direction in Direction::ALL {
            self.connection.relay.lane_mut(direction).begin(Extent::Stream, mode);
        }
        self.connection.phase = Phase::Upgraded;
    }
}
