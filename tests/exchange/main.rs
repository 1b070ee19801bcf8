//! Whole exchanges over real sockets, with the real binary: clients and servers with manners of
//! every kind, and software of other projects.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod bad_clients;
mod bad_servers;
mod bodies;
mod books;
mod bulk;
mod curl;
mod drain;
mod early;
mod h11;
mod keep_alive;
mod pool;
mod routes;
mod smuggled;
mod streaming;
mod timeouts;
mod upgrade;

use support::proxy::{Proxy, logged};

/// Waits until no request is in flight: every exchange that began has ended.
fn await_none_in_flight(proxy: &Proxy) {
    proxy.await_metric("spliceway_http_requests_in_flight", &[], |count| count == 0.0);
}

/// Waits until so many requests have been given to servers, and then no connection to one is left.
/// The count comes first: before it is there, the connections need not be either.
fn await_none_connected(proxy: &Proxy, requests: f64) {
    proxy.await_metric("spliceway_upstream_requests_total", &[], |count| count == requests);
    proxy.await_metric("spliceway_upstream_connections", &[], |open| open == 0.0);
}
