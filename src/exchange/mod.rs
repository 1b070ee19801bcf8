//! One exchange: a request and its response, without any I/O.
//!
//! ```text
//!   client's connection   Idle ─▶ Head ─▶ Exchanging ─▶ Idle …      phase
//!                                            │
//!                       request  ┌───────────┴──────────┐  response
//!                                ▼                      ▼
//!                  head ─ route ─ body          head ─ body          progress, body
//! ```
//!
//! An exchange does not know the connections that carry it, so that one may some day carry
//! several: HTTP/1.1 has them one after the other.

pub mod body;
pub mod phase;
pub mod progress;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::balance::sticky::Affinity;
use crate::config::HttpTimeouts;
use crate::error::CloseReason;
use crate::http::client::Client;
use crate::http::context::Scheme;
use crate::http::reject::Rejection;
use crate::http::request::RequestHead;
use crate::http::request_id::RequestId;
use crate::http::response::ResponseHead;
use crate::id::{RouteId, UpstreamId};

use body::Body;
use progress::Progress;

/// A request and its response.
#[derive(Debug)]
pub struct Exchange {
    /// The head of the request.
    pub request: RequestHead,
    /// The head of the response, or of the last interim one.
    pub response: ResponseHead,
    /// What is left of both bodies, by [`crate::error::Direction::index`].
    pub bodies: [Body; 2],
    /// What a lane was told to move of each body and has not been asked about.
    pub moving: [u64; 2],
    /// A part of each body was left to a lane already.
    pub moved_unseen: [bool; 2],
    /// The head of the request was given to the connection that it is sent over.
    pub has_sent_head: bool,
    /// How far both are.
    pub progress: Progress,
    /// The name of the request.
    pub request_id: RequestId,
    /// Who the client is, once the head of the request is whole.
    pub client: Option<Client>,
    /// The address that the client connected to, where the request names no host.
    pub local: Option<IpAddr>,
    /// The route that was found.
    pub route: Option<RouteId>,
    /// The upstream that the request is for, where it is not answered here.
    pub upstream: Option<UpstreamId>,
    /// What the client's cookie said of the server that it had.
    pub affinity: Option<Affinity>,
    /// The client's connection may carry another exchange after this one, as far as is known.
    pub keeps_client: bool,
    /// What the client was answered.
    pub status: Option<u16>,
    /// Why the request, or the response, was refused.
    pub rejection: Option<Rejection>,
    /// How it ended, once it was decided that it ends.
    pub end: CloseReason,
    /// When things happened.
    pub times: Times,
}

/// When things happened.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The first byte of the request was read.
    pub began_at: Instant,
    /// The head of the request was whole.
    pub head_at: Option<Instant>,
    /// A connection to a server was there for it.
    pub connected_at: Option<Instant>,
    /// The head of the response was whole.
    pub response_at: Option<Instant>,
}

impl Exchange {
    /// An exchange whose first byte came at `now`.
    pub fn new(timeouts: HttpTimeouts, now: Instant) -> Exchange {
        Exchange {
            request: RequestHead::default(),
            response: ResponseHead::default(),
            bodies: Default::default(),
            moving: [0; 2],
            moved_unseen: [false; 2],
            has_sent_head: false,
            progress: Progress::answered(timeouts, now),
            request_id: RequestId::default(),
            client: None,
            local: None,
            route: None,
            upstream: None,
            affinity: None,
            keeps_client: false,
            status: None,
            rejection: None,
            end: CloseReason::Completed,
            times: Times { began_at: now, head_at: None, connected_at: None, response_at: None },
        }
    }

    /// The same memory for another one.
    pub fn restart(&mut self, timeouts: HttpTimeouts, now: Instant) {
        let (mut request, mut response) =
            (std::mem::take(&mut self.request), std::mem::take(&mut self.response));
        request.clear();
        response.clear();
        *self = Exchange { request, response, ..Exchange::new(timeouts, now) };
    }

    /// Who the client is: the peer, as long as nothing else is known.
    pub fn client_or(&self, peer: Option<SocketAddr>) -> Client {
        self.client.unwrap_or_else(|| Client::of_peer(peer, Scheme::Http))
    }

    /// Bytes of memory that its heads hold.
    pub fn memory(&self) -> usize {
        self.request.memory() + self.response.memory()
    }
}
