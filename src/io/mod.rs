//! The data plane's I/O: from an event of the kernel to bytes moved.
//!
//! ```text
//! event_loop ── mio::Poll ──▶ worker ──▶ accept ──┬──▶ connect ──▶ drive ──┬──▶ account
//!                               │                 │                 │      │
//!                             timer               └──▶ http ────────┤──────┘
//!                                                       │           │
//!                                           upstream_pool    conduit ◀─ pipe_pool
//! ```
//!
//! All but `event_loop` and `linux` is generic over [`kernel::Kernel`] and runs in simulation.

pub mod accept;
pub mod admission;
pub mod adopt;
pub mod balancer;
pub mod channel;
pub mod conduit;
mod connect;
pub mod connection;
pub mod drive;
pub mod event_loop;
pub mod greeting;
pub mod handover;
pub mod handshake_gate;
pub mod http;
pub mod introduction;
pub mod kernel;
pub mod linux;
pub mod listener_settings;
pub mod pipe_pool;
mod queue;
pub mod record_buffers;
pub mod run_queue;
mod stage;
pub mod timer;
pub mod upstream_pool;
pub mod worker;
