//! From the first byte of a response to its whole head, and the head on its way to the client.

use std::io::IoSlice;

use crate::error::{CloseReason, Direction, FaultKind, Side};
use crate::exchange::Exchange;
use crate::exchange::body::Body;
use crate::exchange::progress::ResponseProgress;
use crate::http::framing::BodyLength;
use crate::http::head::{Parsed, Version};
use crate::http::reject::Rejection;
use crate::http::rewrite::{self, Delivery, ResponseRewrite};
use crate::io::http::connection::Used;
use crate::io::http::run::Turn;
use crate::io::kernel::Kernel;
use crate::relay::lane::Step;

const DOWN: Direction = Direction::Downstream;

impl<K: Kernel> Turn<'_, K> {
    /// Moves the response on.
    pub(super) fn advance_response(&mut self, exchange: &mut Exchange) {
        if exchange.progress.is_awaiting() && exchange.has_sent_head {
            self.read_response_head(exchange);
        }
        if let ResponseProgress::Delivering { .. } = exchange.progress.response() {
            self.pump(exchange, DOWN);
        }
    }

    /// Reads the head of the response, as far as it is here, and interim ones before it.
    fn read_response_head(&mut self, exchange: &mut Exchange) {
        while exchange.progress.is_awaiting()
            && exchange.has_sent_head
            && self.connection.relay.lane(DOWN).next() == Step::Boundary
        {
            if self.connection.unread[DOWN.index()].is_fresh() {
                self.with_unread(DOWN, |turn, bytes| turn.on_response_bytes(exchange, bytes));
                continue;
            }
            let lane = self.connection.relay.lane(DOWN);
            if lane.source_has_ended() {
                return self.on_server_lost(exchange, FaultKind::Other);
            }
            if !lane.may_read() || self.budget == 0 {
                return;
            }
            let max = self.response_read_bytes(exchange);
            self.receive_with(DOWN, max, |turn, bytes| turn.on_response_bytes(exchange, bytes));
        }
    }

    /// How much to read where the head of a response is awaited.
    fn response_read_bytes(&self, exchange: &Exchange) -> usize {
        let expectation = exchange.upstream.map(|it| self.desk.expectations[it.index()]);
        expectation.unwrap_or_default().head_read_bytes(self.relay_mode(exchange))
    }

    fn on_response_bytes(&mut self, exchange: &mut Exchange, bytes: &[u8]) -> Used {
        exchange.progress.saw_response();
        let Some(http) = self.http() else { return Used::up_to(bytes.len()) };
        match exchange.response.parse(bytes, &http.limits.head, &exchange.request) {
            Parsed::Partial => Used::NONE_YET,
            Parsed::Rejected(rejection) => {
                self.refuse_response(exchange, rejection);
                Used::up_to(bytes.len())
            }
            Parsed::Complete { length } if exchange.response.is_switch() => {
                self.switch(exchange, &bytes[length..]);
                Used::up_to(bytes.len())
            }
            Parsed::Complete { length } if exchange.response.is_interim() => {
                self.pass_interim(exchange);
                Used::up_to(length)
            }
            Parsed::Complete { length } => {
                Used::up_to(length + self.respond(exchange, &bytes[length..]))
            }
        }
    }

    /// A response tells of its server's health by its status.
    pub(super) fn observe_status(&mut self, exchange: &Exchange) {
        if let Some(upstream) = exchange.upstream {
            let ejection = &self.config.upstreams[upstream.index()].balancing.ejection;
            let succeeded = !ejection.status.contains(exchange.response.status());
            self.observe(exchange, succeeded);
        }
    }

    /// An interim response goes on by itself; to a client of HTTP/1.0 it must not (RFC 9110,
    /// section 15.2).
    fn pass_interim(&mut self, exchange: &Exchange) {
        if exchange.request.version() == Version::Http11 {
            let delivery = Delivery { body: BodyLength::None, keeps_alive: true };
            self.put_response_head(exchange, delivery, &[], &[], false);
        }
    }

    /// Gives the head of a response to the client, and with it what of the body is in `rest`.
    /// Returns how much of that was used.
    fn respond(&mut self, exchange: &mut Exchange, rest: &[u8]) -> usize {
        let Some(http) = self.http() else { return 0 };
        // A client that is still sending must know that nobody waits for the rest.
        let has_all = exchange.progress.has_sent_all();
        let keeps_client = exchange.keeps_client && has_all && !self.is_draining;
        let delivery = Delivery::new(&exchange.response, &exchange.request, keeps_client);
        let length = exchange.response.body();
        let body = Body::new(length, http.limits.chunk);
        let is_unwrapped = delivery.body != length;
        exchange.bodies[DOWN.index()] = if is_unwrapped { body.unwrapped() } else { body };
        exchange.keeps_client = delivery.keeps_alive;
        let mut tail = std::mem::take(&mut self.desk.tail);
        tail.clear();
        let taken = self.take_body(exchange, DOWN, rest, &mut tail);
        if let Some((_, verbatim)) = taken {
            self.observe_status(exchange);
            exchange.status = Some(exchange.response.status());
            exchange.times.response_at = Some(self.now);
            exchange.progress.responding(self.now);
            let more = self.goes_on_unseen(exchange, DOWN);
            self.put_response_head(exchange, delivery, &rest[..verbatim], &tail, more);
        }
        self.desk.tail = tail;
        taken.map_or(rest.len(), |(used, _)| used)
    }

    /// Writes the head of the response as the client gets it, and `body` behind it. `more` as for
    /// [`Turn::put_before`].
    pub(super) fn put_response_head(
        &mut self,
        exchange: &Exchange,
        delivery: Delivery,
        body: &[u8],
        tail: &[u8],
        more: bool,
    ) {
        let Some(http) = self.http() else { return };
        self.desk.refresh_date(self.now);
        let mut head = std::mem::take(&mut self.desk.head);
        let mut cookie = std::mem::take(&mut self.desk.cookie);
        head.clear();
        self.write_cookie(exchange, &mut cookie);
        let rewrite = ResponseRewrite {
            edits: self.edits(exchange, DOWN),
            via: http.forwarded.via,
            delivery,
            cookie: &cookie,
            date: self.desk.date(),
        };
        let context = self.context(exchange);
        rewrite::response(&exchange.response, &exchange.request, &rewrite, &context, &mut head);
        let parts = [IoSlice::new(&head), IoSlice::new(body), IoSlice::new(tail)];
        self.put_before(DOWN, &parts, more);
        (self.desk.head, self.desk.cookie) = (head, cookie);
    }

    /// The response cannot be understood beyond doubt.
    pub(super) fn refuse_response(&mut self, exchange: &mut Exchange, rejection: Rejection) {
        exchange.rejection = Some(rejection);
        self.observe(exchange, false);
        let reason = CloseReason::of_fault(Side::Upstream, FaultKind::Other);
        self.fail(exchange, rejection.status, reason);
    }
}
