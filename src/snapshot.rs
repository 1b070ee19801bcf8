//! What the control plane tells the workers, and what they tell it: the only state that the two
//! planes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::access_log::AccessLogSink;
use crate::capacity::Plan;
use crate::config::Config;
use crate::limits::Limits;
use crate::roster::Roster;
use crate::sys::listening::ListeningSocket;
use crate::tls::store::TlsStore;

/// What the workers are to do now. Immutable; the control plane publishes a new one through an
/// `arc_swap::ArcSwap` and wakes the workers.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Goes up by one with each change of anything but `stage`.
    pub generation: u64,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// What the process may use.
    pub plan: Arc<Plan>,
    /// The servers.
    pub roster: Arc<Roster>,
    /// What is used up of the limits of listeners and clients.
    pub limits: Arc<Limits>,
    /// With which settings TLS sessions begin.
    pub tls: Arc<TlsStore>,
    /// By worker, what it accepts from.
    pub sockets: Arc<Vec<Vec<ListeningSocket>>>,
    /// Where finished connections are logged.
    pub access_log: AccessLogSink,
    /// How far the process is in its life.
    pub stage: Stage,
}

/// How far the process is in its life.
///
/// ```text
/// Standby ──the predecessor hands over──▶ Serving ──TERM──▶ Draining{until} ──until──▶ (workers cut
///                                           │                  ▲                        what is left
///                                           └──▶ HandedOver{until} ──until─────────────▶ and end)
///                                                a successor is ready
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Everything is there, but the predecessor accepts still. Whatever happens to this process
    /// now, no client notices.
    Standby,
    /// Accepting and relaying.
    Serving,
    /// A successor holds the listening sockets too, and accepts. This process lets go of them and
    /// leaves what is in their backlogs to it; connections that exist go on, as with `Draining`,
    /// but one of HTTP that was promised to be kept serves one more request.
    HandedOver {
        /// When what is left is cut.
        until: Instant,
    },
    /// No new connections; those that exist may go on until the instant, and are cut then. A
    /// worker whose last connection has ended ends too.
    Draining {
        /// When what is left is cut.
        until: Instant,
    },
}

/// Gauges of one worker, written by it a few times a second and read by the control plane.
/// Each worker has an allocation of its own, so that no two share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerReport {
    /// Goes up each time the worker is woken by its waker: the proof that it still answers.
    pub heartbeat: AtomicU64,
    /// Open client connections.
    pub connections: AtomicU64,
    /// Those among them whose listener, upstream or server is no part of the configuration any
    /// more, so that they drain.
    pub connections_retired: AtomicU64,
    /// The generation of the snapshot that the worker goes by.
    pub generation: AtomicU64,
    /// Pipes that hold bytes of a flow.
    pub pipes_busy: AtomicU64,
    /// Pipes in the pool.
    pub pipes_idle: AtomicU64,
    /// Capacity of all pipes, in bytes.
    pub pipe_memory_bytes: AtomicU64,
    /// Bytes that pipes hold right now.
    pub pipe_held_bytes: AtomicU64,
    /// Bytes read but not yet written, where flows are copied.
    pub buffer_held_bytes: AtomicU64,
    /// 1 while accepting is paused by the connection limit or for want of descriptors.
    pub accept_paused: AtomicU64,
    /// Connections that were cut when the drain ran out of time.
    pub drain_cut: AtomicU64,
}

impl WorkerReport {
    /// Reads one of the gauges; they are independent of each other, so no ordering is needed.
    pub fn read(gauge: &AtomicU64) -> u64 {
        gauge.load(Ordering::Relaxed)
    }
}
