//! The control plane: signals, the admin endpoint, systemd, and the end of the process. It runs
//! on the main thread, in a tokio runtime of one thread, and may block itself but never a worker:
//! it reaches workers only through a published [`Snapshot`] and their wakers, and reads of them
//! only what they report.

mod admin;
mod certificates;
pub mod command;
mod command_routes;
mod config_watch;
mod drain;
mod endpoints;
mod file_watch;
mod handover;
mod health;
mod lineage;
mod names;
mod negotiation;
mod notify;
mod openmetrics;
mod operator;
mod predecessor;
mod probe;
mod pulse;
mod reload;
mod resolve;
mod routes;
mod scrape;
mod servers;
mod settling;
mod signals;
mod standing;
mod state;
mod status;
mod supervisor;
mod upgrade;
mod worker;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;

pub use self::admin::{
    CONNECTION_LIFE_MAX, CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_READ_TIMEOUT, HEADERS_MAX,
    KEEP_ALIVE_MAX,
};
pub use self::lineage::Lineage;
pub use self::operator::{Change, ServerOrder};
pub use self::probe::BODY_BYTES_MAX;
pub use self::reload::ConfigSource;
pub use self::resolve::SERVICE_TARGETS_MAX;
pub use self::upgrade::tell_failure;
pub use self::worker::WorkerHandle;

use self::certificates::Certificates;
use self::drain::Phase;
use self::endpoints::Endpoints;
use self::predecessor::Predecessor;
use self::pulse::Pulse;
use self::state::{Life, Reloads, State};
use self::supervisor::{Parts, Supervisor};
use crate::capacity::Machine;
use crate::listen::Bound;
use crate::metrics::{ConfigMetrics, Exposition, ProcessMetrics};
use crate::snapshot::{Snapshot, WorkerReport};
use crate::tls::keeper::Keeper;

/// The name of the control socket in the folder that a service manager has made for the process.
pub const SOCKET_NAME: &str = "control.sock";

/// The version that metrics and `/status` name.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All that the control plane works with.
#[derive(Debug)]
pub struct ControlPlane {
    /// Where the configuration comes from.
    pub source: ConfigSource,
    /// What was probed.
    pub machine: Machine,
    /// What the workers read.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The workers, which run already.
    pub workers: Vec<WorkerHandle>,
    /// What is listened on.
    pub bound: Bound,
    /// The socket of the admin endpoint, which listens already; `None` for none.
    pub admin: Option<std::net::TcpListener>,
    /// The control socket, which listens already; `None` for none.
    pub control: Option<std::os::unix::net::UnixListener>,
    /// What an upgrade needs.
    pub lineage: Lineage,
    /// Of the recorder that the handles in [`crate::metrics`] belong to.
    pub exposition: Exposition,
    /// The files of TLS, to be read again when they change.
    pub tls: Keeper,
}

/// Why the control plane ended other than by a drain.
#[derive(Debug)]
pub enum ControlError {
    /// The runtime or a signal handler could not be set up.
    Start(io::Error),
    /// The socket of the admin endpoint, or the control socket, could not be used.
    Admin(io::Error),
    /// A worker's thread panicked.
    WorkerPanicked {
        /// Which one, from 0.
        worker: usize,
        /// What it panicked with.
        message: String,
    },
    /// A worker's thread ended although nobody had told the process to end.
    WorkerEnded {
        /// Which one, from 0.
        worker: usize,
    },
    /// Workers went on after they should have cut their last connections.
    WorkersStuck {
        /// How many.
        workers: usize,
    },
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlError::Start(error) => write!(f, "the control plane cannot start: {error}"),
            ControlError::Admin(error) => {
                write!(
                    f,
                    "the admin endpoint (admin.bind) or the control socket (control.socket) cannot \
                     be served: {error}"
                )
            }
            ControlError::WorkerPanicked { worker, message } => write!(
                f,
                "worker {worker} panicked ({message}); this is a defect, please report it with \
                 the lines above"
            ),
            ControlError::WorkerEnded { worker } => {
                write!(f, "worker {worker} ended although the process was to serve")
            }
            ControlError::WorkersStuck { workers } => {
                write!(f, "{workers} worker(s) did not end after the drain; giving them up")
            }
        }
    }
}

impl std::error::Error for ControlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ControlError::Start(error) | ControlError::Admin(error) => Some(error),
            _ => None,
        }
    }
}

/// Runs until the process was told to end and all workers have ended. Signals are caught from
/// here on.
///
/// # Errors
/// When a worker dies or the control plane cannot start. Threads of other workers may still run
/// then; the process is to exit.
pub fn run(plane: ControlPlane) -> Result<(), ControlError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ControlError::Start)?;
    runtime.block_on(supervise(plane))
}

async fn supervise(plane: ControlPlane) -> Result<(), ControlError> {
    let signals = signals::Signals::catch().map_err(ControlError::Start)?;
    let (links, ends): (Vec<_>, Vec<_>) =
        plane.workers.into_iter().map(WorkerHandle::into_parts).unzip();
    let heartbeats = links.iter().map(|link| WorkerReport::read(&link.report.heartbeat));
    let config = Arc::clone(&plane.snapshot.load().config);
    let certificates = Certificates::watch(&config, plane.tls);
    let state = Arc::new(State {
        started: Instant::now(),
        snapshot: plane.snapshot,
        machine: plane.machine,
        config_files: plane.source.files.clone(),
        addresses: Mutex::new(plane.bound.addresses.clone()),
        reloads: Mutex::new(Reloads::default()),
        pulse: Mutex::new(Pulse::new(heartbeats)),
        life: Mutex::new(Life { phase: Phase::Starting, workers_running: links.len() }),
        last_scrapes: Mutex::default(),
        workers: links,
        exposition: plane.exposition,
        metrics: ProcessMetrics::new(VERSION),
        config_metrics: ConfigMetrics::new(),
        access_logs_before: Mutex::default(),
    });
    let predecessor = plane.lineage.predecessor;
    let predecessor = predecessor.map(Predecessor::new).transpose().map_err(ControlError::Start)?;
    let (commander, commands) = command::channel();
    let mut endpoints = Endpoints::new(plane.admin, plane.control);
    if predecessor.is_none() {
        endpoints.start(&state, &commander).map_err(ControlError::Admin)?;
    }
    let parts = Parts {
        state,
        signals,
        certificates,
        source: plane.source,
        sockets: plane.bound,
        commander,
        commands,
        endpoints,
        program: plane.lineage.program,
        predecessor,
    };
    Supervisor::new(parts, ends).run().await
}
