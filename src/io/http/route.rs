//! What is to be done with a request whose head is whole.

use crate::config::{Action, Http, Route};
use crate::error::Direction;
use crate::exchange::Exchange;
use crate::exchange::body::Body;
use crate::http::context::Scheme;
use crate::http::framing::BodyLength;
use crate::http::reject::{RejectReason, Rejection};
use crate::io::http::run::Turn;
use crate::io::kernel::Kernel;
use crate::route::Miss;

impl<'a, K: Kernel> Turn<'a, K> {
    /// Does what the route of a request says. `rest` is what came behind its head; returns how
    /// much of that was used.
    pub(super) fn begin(&mut self, http: &Http, exchange: &mut Exchange, rest: &[u8]) -> usize {
        let length = exchange.request.body();
        let limits = &http.limits;
        let body = Body::new(length, limits.chunk).limited(limits.request_body_max);
        exchange.bodies[Direction::Upstream.index()] = body;
        let (request, peer) = (&exchange.request, self.connection.client_address);
        let client = http.forwarded.client(request, peer, self.connection.scheme());
        // RFC 9110, section 7.4: what is asked for over TLS must not be had without.
        let is_misdirected = (request.scheme(), client.scheme) == (Scheme::Https, Scheme::Http);
        exchange.client = Some(client);
        if let Some(id) = http.forwarded.brought_request_id(request, peer.map(|it| it.ip())) {
            exchange.request_id = id;
        }
        if exchange.request.host().is_empty() {
            exchange.local =
                self.kernel.local_address(&self.connection.client).map(|local| local.ip());
        }
        exchange.keeps_client = exchange.request.keeps_alive() && !self.is_draining;
        if let Some(used) = self.refuse_over_limit(http, exchange, rest) {
            return used;
        }
        if let (BodyLength::Length(length), Some(max)) = (length, limits.request_body_max)
            && length > max
        {
            self.reject(exchange, Rejection::of_request(RejectReason::BodySize));
            return rest.len();
        }
        let route = match http.router.find(&exchange.request) {
            Ok(_) if is_misdirected => return self.answer_miss(exchange, 421, rest),
            Ok(route) => route,
            Err(Miss::Ambiguous) => {
                self.reject(exchange, Rejection::of_request(RejectReason::PathAmbiguous));
                return rest.len();
            }
            Err(Miss::Host) => return self.answer_miss(exchange, 421, rest),
            Err(Miss::Path) => return self.answer_miss(exchange, 404, rest),
        };
        exchange.route = Some(route);
        match &http.route(route).action {
            Action::Forward(_) if exchange.request.max_forwards() == Some(0) => {
                let used = self.skip_body(exchange, rest);
                self.answer_last(exchange);
                used
            }
            Action::Forward(forward) => self.forward(http, exchange, forward, rest),
            Action::Redirect(redirect) => {
                let used = self.skip_body(exchange, rest);
                self.answer_redirect(exchange, redirect);
                used
            }
            Action::Respond(respond) => {
                let used = self.skip_body(exchange, rest);
                self.answer_respond(exchange, respond);
                used
            }
        }
    }

    /// Answers a request that no route is for, or no server. Returns how much of `rest` was used.
    pub(super) fn answer_miss(
        &mut self,
        exchange: &mut Exchange,
        status: u16,
        rest: &[u8],
    ) -> usize {
        let used = self.skip_body(exchange, rest);
        self.answer_status(exchange, status);
        used
    }

    /// The route of an exchange, once it is found.
    pub(super) fn route(&self, exchange: &Exchange) -> Option<&'a Route> {
        Some(self.http()?.route(exchange.route?))
    }
}
