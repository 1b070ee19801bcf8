//! Answers of our own, and what becomes of an exchange that fails.

use std::time::Duration;

use crate::config::{Action, Redirect, Respond};
use crate::error::{CloseReason, Direction, FaultKind, LimitReason};
use crate::exchange::Exchange;
use crate::exchange::body::Body;
use crate::exchange::phase::Phase;
use crate::exchange::progress::Timeout;
use crate::http::answer::{Answer, Content, Page};
use crate::http::edits::FieldTemplate;
use crate::http::method::Method;
use crate::http::reject::Rejection;
use crate::io::http::run::Turn;
use crate::io::kernel::Kernel;
use crate::limits::Refusal;
use crate::relay::survivor::QueueWatch;

/// Memory in which heads are written that a worker keeps after a page that took more, in bytes.
const HEAD_BYTES_KEPT: usize = 64 * 1024;

impl<'a, K: Kernel> Turn<'a, K> {
    /// Answers with a status and an explanation.
    pub(super) fn answer_status(&mut self, exchange: &mut Exchange, status: u16) {
        self.answer(exchange, status, Content::Explanation);
    }

    /// Answers that a limit is reached, and when to come back.
    pub(super) fn answer_refusal(&mut self, exchange: &mut Exchange, refusal: Refusal) {
        let retry_after = match refusal.reason {
            LimitReason::Denied => None,
            _ => Some(refusal.retry_after.unwrap_or_default()),
        };
        let status = refusal.reason.status();
        self.write_answer(exchange, status, Content::Explanation, retry_after);
    }

    /// Answers where to go instead.
    pub(super) fn answer_redirect(&mut self, exchange: &mut Exchange, redirect: &Redirect) {
        self.answer(exchange, redirect.status, Content::Redirect { to: &redirect.to });
    }

    /// Answers what the route says.
    pub(super) fn answer_respond(&mut self, exchange: &mut Exchange, respond: &Respond) {
        let content = Content::Given { body: respond.body.as_bytes() };
        self.answer(exchange, respond.status, content);
    }

    /// Answers a request that no proxy may pass on any more (RFC 9110, section 7.6.2).
    pub(super) fn answer_last(&mut self, exchange: &mut Exchange) {
        let content = match exchange.request.method() {
            Method::Trace => Content::Echo,
            _ => Content::Methods,
        };
        self.answer(exchange, 200, content);
    }

    /// No more of the request is wanted. The client's connection goes on only if all of it was
    /// read.
    pub(super) fn end_request(&mut self, exchange: &mut Exchange) {
        if exchange.bodies[Direction::Upstream.index()].is_complete() {
            exchange.progress.sent_all(self.now);
        } else {
            exchange.keeps_client = false;
            exchange.progress.abandon(self.now);
        }
    }

    /// The head of an answer of our own is written next.
    pub(super) fn begin_answer(&mut self, exchange: &mut Exchange, status: u16) {
        self.end_request(exchange);
        self.connection.end_serving();
        exchange.keeps_client &= !self.is_draining;
        exchange.status = Some(status);
        exchange.bodies[Direction::Downstream.index()] = Body::default();
        exchange.progress.responding(self.now);
        self.desk.refresh_date(self.now);
    }

    pub(super) fn answer(&mut self, exchange: &mut Exchange, status: u16, content: Content<'_>) {
        self.write_answer(exchange, status, content, None);
    }

    fn write_answer(
        &mut self,
        exchange: &mut Exchange,
        status: u16,
        content: Content<'_>,
        retry_after: Option<Duration>,
    ) {
        self.begin_answer(exchange, status);
        let mut bytes = std::mem::take(&mut self.desk.head);
        bytes.clear();
        let fields = self.configured_fields(exchange, status, content);
        // Clients that are slow to take what is long may have taken all the memory there is for it.
        let has_room = self.supplies.stuck_bytes < self.supplies.stuck_bytes_max;
        let page = self.error_pages.find(self.connection.listener, status);
        let page = page
            .filter(|_| has_room)
            .map(|page| Page { media_type: page.media_type, body: &page.body });
        let (keeps_alive, date) = (exchange.keeps_client, self.desk.date());
        let answer = Answer { status, content, fields, page, retry_after, keeps_alive, date };
        answer.write(&exchange.request, &self.context(exchange), &mut bytes);
        self.put_own(&bytes, false);
        bytes.shrink_to(HEAD_BYTES_KEPT);
        self.desk.head = bytes;
    }

    /// What the route of an exchange adds to an answer: to one that it gives itself, and where it
    /// serves files to any.
    fn configured_fields(
        &self,
        exchange: &Exchange,
        status: u16,
        content: Content<'_>,
    ) -> &'a [FieldTemplate] {
        match (self.route(exchange).map(|route| &route.action), content) {
            (Some(Action::Redirect(redirect)), Content::Redirect { .. }) => &redirect.headers,
            (Some(Action::Respond(respond)), Content::Given { .. }) => &respond.headers,
            (Some(Action::Files(files)), _) => files.headers.of(status),
            _ => &[],
        }
    }

    /// Takes what of a request's body has come, which nobody wants, off the beginning of `rest`.
    /// Returns how much that was. A refused body is left to be thrown away.
    pub(super) fn skip_body(&mut self, exchange: &mut Exchange, rest: &[u8]) -> usize {
        let mut ignored = Vec::new();
        let body = &mut exchange.bodies[Direction::Upstream.index()];
        body.take(rest, &self.desk.no_edits, &mut ignored).map_or(0, |taken| taken.used)
    }

    /// The request is refused, and with it the connection: nobody knows where the next request
    /// would begin.
    pub(super) fn reject(&mut self, exchange: &mut Exchange, rejection: Rejection) {
        exchange.rejection = Some(rejection);
        exchange.keeps_client = false;
        self.fail(exchange, rejection.status, CloseReason::Rejected);
    }

    /// The client has ended its stream in the middle of a body.
    pub(super) fn on_request_truncated(&mut self, exchange: &mut Exchange) {
        exchange.keeps_client = false;
        self.fail(exchange, 400, CloseReason::ClientError);
    }

    /// The response cannot go on: what the client has of it must not look whole.
    fn cut_off(&mut self, reason: CloseReason) {
        let direction = Direction::Downstream;
        self.connection.relay.lane_mut(direction).fail_sink(FaultKind::Other);
        self.discard(direction);
        let listener = &self.settings.listener;
        let watch = QueueWatch::new(listener.timeouts.half_closed, self.now);
        self.connection.phase = Phase::Cutting { reason, watch };
    }

    /// Nothing has moved for too long.
    pub(super) fn on_timeout(&mut self, exchange: &mut Exchange, timeout: Timeout) {
        let holds = |direction| self.connection.relay.lane(direction).held() > 0;
        let is_servers = match timeout {
            // It does not take what the client has sent.
            Timeout::RequestBody => holds(Direction::Upstream),
            Timeout::ResponseHead => true,
            // Or the client does not take what there is for it.
            Timeout::ResponseBody => !holds(Direction::Downstream),
        };
        let (status, reason) = match timeout {
            Timeout::RequestBody if !is_servers => (408, CloseReason::RequestTimeout),
            _ => (504, CloseReason::ResponseTimeout),
        };
        let server = Self::server(exchange).filter(|_| self.connection.upstream.is_some());
        if let (true, Some((upstream, server))) = (is_servers, server) {
            self.account.server_failed(upstream, server, FaultKind::TimedOut);
            self.observe(exchange, false);
        }
        if timeout == Timeout::ResponseHead
            && exchange.progress.has_try_timeout()
            && self.send_again(exchange, FaultKind::TimedOut)
        {
            return;
        }
        self.fail(exchange, status, reason);
    }

    /// The exchange cannot come to its proper end: an answer of our own as long as nothing of
    /// another has gone out, else an end that nobody can take for one.
    pub(super) fn fail(&mut self, exchange: &mut Exchange, status: u16, reason: CloseReason) {
        exchange.end = reason;
        if !exchange.progress.is_awaiting() {
            return self.cut_off(reason);
        }
        self.drop_server(exchange);
        self.answer_status(exchange, status);
    }
}
