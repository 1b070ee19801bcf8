//! The handles of what a worker counts about HTTP.

use metrics::{Counter, Gauge, Histogram};

use super::code::Code;
use super::{HTTP_IN_FLIGHT, HTTP_REJECTED, HTTP_REQUEST_DURATION, HTTP_REQUESTS};
use crate::http::method::Method;
use crate::http::reject::RejectReason;

/// Which message of an exchange was refused: the label `message` of [`HTTP_REJECTED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The client's.
    Request,
    /// The server's.
    Response,
}

impl Message {
    /// Both, in the order in which arrays indexed by message hold them.
    pub const ALL: [Message; 2] = [Message::Request, Message::Response];

    /// Where arrays indexed by message keep this one.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The label of the metric.
    pub fn label(self) -> &'static str {
        match self {
            Message::Request => "request",
            Message::Response => "response",
        }
    }
}

/// What a worker counts for one listener of HTTP.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    /// [`HTTP_IN_FLIGHT`]; shared by all workers, so it is only ever incremented and decremented.
    pub in_flight: Gauge,
    /// [`HTTP_REJECTED`], indexed by [`Message::index`], then by [`RejectReason::index`].
    pub rejected: [[Counter; RejectReason::ALL.len()]; 2],
}

impl HttpMetrics {
    /// The handles for the listener called `listener` in the config.
    pub fn new(listener: &str) -> HttpMetrics {
        HttpMetrics {
            in_flight: HTTP_IN_FLIGHT.gauge(&[listener]),
            rejected: Message::ALL.map(|message| {
                RejectReason::ALL.map(|reason| {
                    HTTP_REJECTED.counter(&[listener, message.label(), reason.label()])
                })
            }),
        }
    }
}

/// What a worker counts for the requests of one listener that one upstream got, or none.
#[derive(Debug, Clone)]
pub struct RequestMetrics {
    listener: Box<str>,
    upstream: Box<str>,
    /// [`HTTP_REQUEST_DURATION`], in seconds.
    pub duration: Histogram,
}

impl RequestMetrics {
    /// The handles for a listener and an upstream by their names in the config; `None` for
    /// requests that this proxy answered by itself. To Prometheus, their empty label is a label
    /// that is not there.
    pub fn new(listener: &str, upstream: Option<&str>) -> RequestMetrics {
        let upstream = upstream.unwrap_or_default();
        let duration = HTTP_REQUEST_DURATION.histogram(&[listener, upstream]);
        RequestMetrics { listener: listener.into(), upstream: upstream.into(), duration }
    }

    /// [`HTTP_REQUESTS`] for a method and a code. There are hundreds of these, of which a few are
    /// met: each is made when it is first needed.
    pub fn requests(&self, method: Method, code: Code) -> Counter {
        HTTP_REQUESTS.counter(&[&self.listener, &self.upstream, method.label(), code.label()])
    }
}
