//! What only an HTTP listener has.

use std::sync::Arc;
use std::time::Duration;

use super::Relay;
use super::files::{ErrorPage, Files};
use crate::http::edits::{FieldTemplate, HeaderEdits};
use crate::http::forwarded::ForwardedPolicy;
use crate::http::host::HostPolicy;
use crate::http::limits::{ChunkLimits, HeadLimits};
use crate::http::prefix::PathEdit;
use crate::http::template::Template;
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
    /// `[forwarded]`, with what `[listeners.NAME.forwarded]` overrides.
    pub forwarded: ForwardedPolicy,
    /// `error_pages`: what clients get in place of an explanation, the first that is for a status.
    pub error_pages: Vec<ErrorPage>,
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
    /// `response_headers` of the listener and over them those of the route. An answer of the
    /// route's own has them among its headers already.
    pub response_headers: HeaderEdits,
}

/// What is done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `upstream`: it is sent there.
    Forward(Forward),
    /// `redirect`: the client is told to go elsewhere.
    Redirect(Redirect),
    /// `respond`: it is answered here.
    Respond(Respond),
    /// `files`: it is answered with a file.
    Files(Arc<Files>),
}

impl Action {
    /// How a request is sent on, if it is.
    pub fn forward(&self) -> Option<&Forward> {
        match self {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(_) | Action::Respond(_) | Action::Files(_) => None,
        }
    }
}

/// How a request is sent on, and its response back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// `upstream`
    pub upstream: UpstreamId,
    /// `relay` of the listener, with what that of the route overrides.
    pub relay: Relay,
    /// `host_header` of the route, or of the listener.
    pub host: HostPolicy,
    /// `strip_prefix` and `replace_prefix`
    pub path: PathEdit,
    /// `request_headers` of the listener and over them those of the route.
    pub request_headers: HeaderEdits,
}

/// `redirect`: an answer that sends the client elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `to`: the value of `Location`.
    pub to: Template,
    /// `status`: 301, 302, 303, 307 or 308.
    pub status: u16,
    /// What `response_headers` set and add, but for `Location` and `Content-Type`, which are
    /// those of the redirect.
    pub headers: Vec<FieldTemplate>,
}

/// `respond`: an answer that is written in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// `status`: 200 to 599.
    pub status: u16,
    /// `headers`, and over them `response_headers`. None says how long the body is.
    pub headers: Vec<FieldTemplate>,
    /// `body`; empty for none, as it is for a status that has none.
    pub body: Box<str>,
}

/// `[http]`: what a message may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// `head_size`, `headers_max` and `target_size`
    pub head: HeadLimits,
    /// `chunk_extension_size` and `trailer_size`
    pub chunk: ChunkLimits,
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
