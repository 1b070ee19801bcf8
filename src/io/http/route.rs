//! What is to be done with a request whose head is whole.

use crate::config::{Action, Http, Route};
use crate::error::Direction;
use crate::exchange::Exchange;
use crate::exchange::body::Body;
use crate::http::field::Known;
use crate::http::framing::BodyLength;
use crate::http::reject::{RejectReason, Rejection};
use crate::http::request::RequestHead;
use crate::http::request_id::RequestId;
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
        if let Some(id) = self.trusted_request_id(http, &exchange.request) {
            exchange.request_id = id;
        }
        if exchange.request.host().is_empty() {
            exchange.local =
                self.kernel.local_address(&self.connection.client).map(|local| local.ip());
        }
        exchange.keeps_client = exchange.request.keeps_alive() && !self.is_draining;
        if let (BodyLength::Length(length), Some(max)) = (length, limits.request_body_max)
            && length > max
        {
            self.reject(exchange, Rejection::of_request(RejectReason::BodySize));
            return rest.len();
        }
        let route = match http.router.find(&exchange.request) {
            Ok(route) => route,
            Err(miss) => {
                let status = match miss {
                    Miss::Host => 421,
                    Miss::Path => 404,
                };
                let used = self.skip_body(exchange, rest);
                self.answer_status(exchange, status);
                return used;
            }
        };
        exchange.route = Some(route);
        match &http.route(route).action {
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

    /// The id that a trusted client has given.
    fn trusted_request_id(&self, http: &Http, request: &RequestHead) -> Option<RequestId> {
        let client = self.connection.client_address.map(|address| address.ip());
        let given = (http.forwarded.request_id && http.forwarded.trust.contains(client))
            .then(|| request.values(Known::XRequestId).next())
            .flatten();
        given.and_then(RequestId::accept)
    }

    /// The route of an exchange, once it is found.
    pub(super) fn route(&self, exchange: &Exchange) -> Option<&'a Route> {
        Some(self.http()?.route(exchange.route?))
    }
}
