//! HTTP connections: what a worker does for an exchange.
//!
//! ```text
//!   events ─▶ run ──▶ request_head ──▶ route ──┬──▶ answer                    an answer of our own
//!              │                               └──▶ server ── pool, or connect
//!              │                                       │
//!              ├──▶ body (request)  ◀── rewritten head ┘
//!              ├──▶ response_head ──▶ rewritten head ──▶ body (response)
//!              │                └──▶ tunnel              a connection of TCP from here on
//!              ├──▶ drive: both lanes, as for TCP
//!              └──▶ close: the next request, lingering, or the end
//! ```
//!
//! What is decided stands in [`crate::exchange`] and [`crate::http`]; this carries it out, a file
//! for each box. Before a request goes anywhere, `limit` asks whether it may.

mod affinity;
mod answer;
mod body;
mod close;
pub mod connection;
pub mod desk;
mod limit;
mod request_head;
mod response_head;
mod route;
pub mod run;
mod server;
mod settle;
mod tunnel;
