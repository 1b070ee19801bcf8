//! The bodies of an exchange on their way, in either direction.

use std::io::IoSlice;

use crate::config::RelayMode;
use crate::error::{Direction, FaultKind};
use crate::exchange::Exchange;
use crate::http::reject::Rejection;
use crate::io::http::connection::Used;
use crate::io::http::run::Turn;
use crate::io::kernel::Kernel;
use crate::relay::lane::{Extent, Step};
use crate::relay::policy;

impl<K: Kernel> Turn<'_, K> {
    /// Moves the body of one direction on, as far as its lane is at a boundary.
    pub(super) fn pump(&mut self, exchange: &mut Exchange, direction: Direction) {
        let index = direction.index();
        let mode = self.relay_mode(exchange);
        // A body that is refused on the way moves no further.
        while exchange.progress.is_moving(direction)
            && self.connection.relay.lane(direction).next() == Step::Boundary
        {
            self.settle_moved(exchange, direction);
            let lane = self.connection.relay.lane(direction);
            let body = &mut exchange.bodies[index];
            if body.is_complete() || (lane.source_has_ended() && body.ended()) {
                return self.on_body_complete(exchange, direction);
            }
            if lane.source_has_ended() && self.connection.unread[index].is_empty() {
                return self.on_body_truncated(exchange, direction);
            }
            if !self.connection.unread[index].is_empty() {
                self.with_unread(direction, |turn, bytes| {
                    turn.on_body_bytes(exchange, direction, bytes)
                });
                continue;
            }
            let (left, were_moved) = (body.unseen(), exchange.moved_unseen[index]);
            if body.is_until_end() {
                return self.move_unseen(exchange, direction, Extent::UntilEnd, mode);
            }
            if policy::moves_unseen(mode, left, body.is_chunked()) {
                let extent = Extent::Message { left };
                return self.move_unseen(exchange, direction, extent, RelayMode::Splice);
            }
            if !lane.may_read() || self.budget == 0 {
                return;
            }
            let max = policy::body_read_bytes(were_moved, left);
            self.receive_with(direction, max, |turn, bytes| {
                turn.on_body_bytes(exchange, direction, bytes)
            });
        }
    }

    /// Whether more of a body is likely here, and will be moved unseen.
    pub(super) fn goes_on_unseen(&self, exchange: &Exchange, direction: Direction) -> bool {
        let body = &exchange.bodies[direction.index()];
        policy::moves_unseen(self.relay_mode(exchange), body.unseen(), body.is_chunked())
            && self.connection.unread[direction.index()].is_empty()
            && self.connection.relay.lane(direction).may_read()
    }

    /// Leaves the next part of a body to its lane.
    fn move_unseen(
        &mut self,
        exchange: &mut Exchange,
        direction: Direction,
        extent: Extent,
        mode: RelayMode,
    ) {
        if direction == Direction::Upstream {
            exchange.progress.sent_body();
        }
        if let Extent::Message { left } = extent {
            exchange.moving[direction.index()] = left;
        }
        exchange.moved_unseen[direction.index()] = true;
        self.connection.relay.lane_mut(direction).begin(extent, mode);
    }

    /// Takes note of what the lane has moved since it was told to.
    pub(super) fn settle_moved(&mut self, exchange: &mut Exchange, direction: Direction) {
        let index = direction.index();
        let begun = std::mem::take(&mut exchange.moving[index]);
        if let Extent::Message { left } = self.connection.relay.lane(direction).extent() {
            exchange.bodies[index].moved(begun.saturating_sub(left));
            let lane = self.connection.relay.lane_mut(direction);
            lane.begin(Extent::NONE, RelayMode::Copy);
        }
    }

    /// Passes on what belongs to a body of bytes that were read.
    fn on_body_bytes(
        &mut self,
        exchange: &mut Exchange,
        direction: Direction,
        bytes: &[u8],
    ) -> Used {
        let mut tail = std::mem::take(&mut self.desk.tail);
        tail.clear();
        let used = match self.take_body(exchange, direction, bytes, &mut tail) {
            Some((used, verbatim)) => {
                let parts = [IoSlice::new(&bytes[..verbatim]), IoSlice::new(&tail)];
                let more = self.goes_on_unseen(exchange, direction);
                self.put_before(direction, &parts, more);
                Used::up_to(used)
            }
            None => Used::up_to(bytes.len()),
        };
        self.desk.tail = tail;
        used
    }

    /// Takes what belongs to a body off the beginning of `bytes`; how many, and how many of them
    /// go on as they are. `None` if the body is refused.
    pub(super) fn take_body(
        &mut self,
        exchange: &mut Exchange,
        direction: Direction,
        bytes: &[u8],
        tail: &mut Vec<u8>,
    ) -> Option<(usize, usize)> {
        let edits = self.edits(exchange, direction);
        match exchange.bodies[direction.index()].take(bytes, edits, tail) {
            Ok(taken) => {
                if direction == Direction::Upstream && taken.used > 0 {
                    exchange.progress.sent_body();
                }
                Some((taken.used, taken.verbatim))
            }
            Err(reason) => {
                match direction {
                    Direction::Upstream => self.reject(exchange, Rejection::of_request(reason)),
                    Direction::Downstream => {
                        self.refuse_response(exchange, Rejection::of_response(reason));
                    }
                }
                None
            }
        }
    }

    fn on_body_complete(&mut self, exchange: &mut Exchange, direction: Direction) {
        self.has_acted = true;
        let body = &exchange.bodies[direction.index()];
        let (largest_part, of_chunk) = (body.largest_part(), body.is_chunked());
        match direction {
            Direction::Upstream => {
                self.connection.expectation.note(largest_part, of_chunk);
                exchange.progress.sent_all(self.now);
            }
            Direction::Downstream => {
                if let Some(upstream) = exchange.upstream {
                    self.desk.expectations[upstream.index()].note(largest_part, of_chunk);
                }
                exchange.progress.delivered_all();
            }
        }
    }

    /// The sender's stream has ended before its body has.
    fn on_body_truncated(&mut self, exchange: &mut Exchange, direction: Direction) {
        self.has_acted = true;
        match direction {
            Direction::Upstream => self.on_request_truncated(exchange),
            Direction::Downstream => self.on_server_lost(exchange, FaultKind::Other),
        }
    }
}
