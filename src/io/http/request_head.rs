//! From the first byte of a request to its whole head.

use crate::config::{Http, RelayMode};
use crate::error::{CloseReason, Direction, FaultKind};
use crate::exchange::Exchange;
use crate::exchange::phase::{End, Phase};
use crate::http::head::Parsed;
use crate::io::http::connection::Used;
use crate::io::http::run::{Next, Received, Turn};
use crate::io::kernel::Kernel;

impl<K: Kernel> Turn<'_, K> {
    /// Reads the head of the next request, as far as it is here.
    pub(super) fn read_request_head(&mut self, slot: &mut Option<Box<Exchange>>) -> Next {
        let direction = Direction::Upstream;
        let Some(http) = self.http() else {
            return self.end(End::cut(CloseReason::ClientError));
        };
        if self.connection.unread[direction.index()].is_fresh() {
            self.with_unread(direction, |turn, bytes| turn.on_request_bytes(http, slot, bytes));
            return Next::Go;
        }
        if self.connection.relay.lane(direction).may_read() {
            let mode = self.settings.plan.relay.mode;
            let max = self.connection.expectation.head_read_bytes(mode);
            self.receive_with(direction, max, |turn, bytes| {
                turn.on_request_bytes(http, slot, bytes)
            });
            return Next::Go;
        }
        let lane = self.connection.relay.lane(direction);
        match (lane.source_fault(), lane.source_has_ended(), slot) {
            // Between requests a client may go, and many do so without a word.
            (Some(FaultKind::Truncated), _, None) => self.end(End::orderly(CloseReason::Completed)),
            (Some(kind), ..) => self.end(End::cut(CloseReason::of_fault(direction.source(), kind))),
            (None, true, None) => self.end(End::orderly(CloseReason::Completed)),
            // Half a request is none. The answers before it are whole, and may still be on the way.
            (None, true, Some(_)) => self.end(End::orderly(CloseReason::ClientError)),
            (None, false, _) => Next::Wait,
        }
    }

    fn on_request_bytes(
        &mut self,
        http: &Http,
        slot: &mut Option<Box<Exchange>>,
        bytes: &[u8],
    ) -> Used {
        let timeouts = http.timeouts;
        if let Phase::Idle { until, is_first } = self.connection.phase {
            let until = if is_first { until } else { self.now + timeouts.request_head };
            self.connection.phase = Phase::Head { until };
        }
        let exchange = slot.get_or_insert_with(|| {
            self.account.exchange_began(self.connection.listener);
            self.connection.relay.restart(RelayMode::Copy, [None; 2]);
            self.connection.counted = Default::default();
            self.desk.take(timeouts, self.now)
        });
        match exchange.request.parse(bytes, &http.limits.head) {
            Parsed::Partial => Used::NONE_YET,
            Parsed::Complete { length } => {
                self.open_exchange(exchange);
                Used::up_to(length + self.begin(http, exchange, &bytes[length..]))
            }
            Parsed::Rejected(rejection) => {
                self.open_exchange(exchange);
                self.reject(exchange, rejection);
                Used::up_to(bytes.len())
            }
        }
    }

    fn open_exchange(&mut self, exchange: &mut Exchange) {
        self.connection.phase = Phase::Exchanging;
        exchange.times.head_at = Some(self.now);
    }

    /// Reads at most `max` bytes, and no more than there is bandwidth for, and has them used,
    /// together with those that wait already. What is not used waits on.
    pub(super) fn receive_with(
        &mut self,
        direction: Direction,
        max: usize,
        act: impl FnOnce(&mut Self, &[u8]) -> Used,
    ) {
        let throttle = self.throttle();
        let allowance = match throttle.reserve(direction, max) {
            Ok(allowance) => allowance,
            Err(until) => return self.pause(direction, until),
        };
        let received = self.receive(direction, allowance.bytes);
        throttle.settle(direction, allowance, received.bytes());
        let Received::Bytes(count) = received else { return };
        let index = direction.index();
        if !self.connection.unread[index].is_empty() {
            self.connection.unread[index].append(&self.supplies.scratch[..count]);
            return self.with_unread(direction, act);
        }
        // Nothing else needs the buffer before this is done: lanes run afterwards.
        let scratch = std::mem::take(&mut self.supplies.scratch);
        let used = act(self, &scratch[..count]);
        if used.bytes < count {
            let unread = &mut self.connection.unread[index];
            unread.append(&scratch[used.bytes..count]);
            unread.consume(Used { bytes: 0, ..used });
        }
        self.supplies.scratch = scratch;
    }

    /// Has the bytes that wait used.
    pub(super) fn with_unread(
        &mut self,
        direction: Direction,
        act: impl FnOnce(&mut Self, &[u8]) -> Used,
    ) {
        let index = direction.index();
        let mut unread = std::mem::take(&mut self.connection.unread[index]);
        unread.consume(act(self, unread.as_slice()));
        self.connection.unread[index] = unread;
        self.has_acted = true;
    }
}
