//! What only an HTTP listener has.

use std::time::Duration;

use super::Relay;
use crate::id::{RouteId, UpstreamId};
use crate::route::Router;

/// What a listener with `protocol = "http"` has beyond one of TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Which of the routes a request takes.
    pub router: Router,
    /// `routes`, by [`RouteId`], in the order in which they were written. The last one stands for
    /// `upstream` of the listener, if it has one: it takes every request that no other route
    /// takes.
    pub routes: Vec<Route>,
    /// `[http]`, with what `[listeners.NAME.http]` overrides.
    pub limits: HttpLimits,
    /// The keys of `[timeouts]` that are of HTTP, with what `[listeners.NAME.timeouts]`
    /// overrides. A connection that was upgraded has those of TCP ([`super::Timeouts`]).
    pub timeouts: HttpTimeouts,
}

impl Http {
    /// A route that was found.
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.index()]
    }

    /// Where requests go that nothing but their arrival is asked of.
    pub fn upstream(&self) -> Option<UpstreamId> {
        let mut routes = self.router.patterns().iter().zip(&self.routes);
        routes.find_map(|(pattern, route)| match &route.action {
            Action::Forward(forward) if pattern.is_any() => Some(forward.upstream),
            _ => None,
        })
    }
}

/// What is done with the requests of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What is done.
    pub action: Action,
}

/// What is done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `upstream`: it is sent there.
    Forward(Forward),
}

/// How a request is sent on, and its response back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// `upstream`
    pub upstream: UpstreamId,
    /// `relay` of the listener, with what that of the route overrides.
    pub relay: Relay,
}

/// `[http]`: what a message may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// `request_body_max`, in bytes: a longer body is a 413. `None` for `"off"`.
    pub request_body_max: Option<u64>,
}

/// The keys of `[timeouts]` that are of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// `request_head`: from the first byte of a head, or from accept for the first one, to its
    /// end.
    pub request_head: Duration,
    /// `request_body`: without any progress of the request's body.
    pub request_body: Duration,
    /// `response_head`: from the end of the request to that of the response's head.
    pub response_head: Duration,
    /// `response_body`: without any progress of the response's body, be it for the server that
    /// does not send or for the client that does not read.
    pub response_body: Duration,
    /// `keep_alive`: how long a client may wait between a response and its next request.
    pub keep_alive: Duration,
    /// `lingering`: how long what a client still sends is read and thrown away after an answer
    /// that ended the connection early, so that the client can read that answer (RFC 9112,
    /// section 9.6).
    pub lingering: Duration,
}
