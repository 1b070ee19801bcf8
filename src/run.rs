//! From a valid configuration to a process that carries traffic, and back to an exit.
//!
//! ```text
//!   access log ─ metrics ─ bind ─ workers (a thread each) ─ control plane (this thread) ─ clean up
//! ```

use std::fmt;
use std::hash::RandomState;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use tracing::{error, info, warn};

use crate::access_log::{AccessLogError, AccessLogSink};
use crate::capacity::{Machine, Plan};
use crate::config::units::show_size;
use crate::config::{Config, Control, ControlSocket};
use crate::control::{self, ConfigSource, ControlError, ControlPlane, Lineage, WorkerHandle};
use crate::id::Token;
use crate::io::accept::ConnectionLimit;
use crate::io::drive::TURN_BYTES_MAX;
use crate::io::event_loop;
use crate::io::handover::{Crew, Member};
use crate::io::linux::Linux;
use crate::io::worker::{Setup, Worker};
use crate::limits::Limits;
use crate::listen::{self, BindError, Bound, Inheritance};
use crate::metrics;
use crate::roster::Roster;
use crate::secrets::Secrets;
use crate::snapshot::{Snapshot, Stage, WorkerReport};
use crate::sys::core_dump;
use crate::sys::listening::ListeningSocket;
use crate::sys::successor::Program;
use crate::tls::keeper::Keeper;

/// Why the process could not run, or did not end as it should.
#[derive(Debug)]
pub enum RunError {
    /// The access log cannot be opened.
    AccessLog(AccessLogError),
    /// An address cannot be bound.
    Bind(BindError),
    /// The system refuses what every process needs: threads, an epoll, a metrics recorder.
    Start(String),
    /// The control plane failed.
    Control(ControlError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::AccessLog(error) => error.fmt(f),
            RunError::Bind(error) => error.fmt(f),
            RunError::Start(problem) => write!(f, "cannot start: {problem}"),
            RunError::Control(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}

/// What a process begins with.
#[derive(Debug)]
pub struct Beginning {
    /// The configuration.
    pub config: Config,
    /// What the process may use.
    pub plan: Plan,
    /// What was probed.
    pub machine: Machine,
    /// The files of TLS that the configuration names, as they were read.
    pub tls: Keeper,
    /// The secrets that it names, the same.
    pub secrets: Secrets,
    /// What the configuration was read from.
    pub source: ConfigSource,
    /// What this process was handed.
    pub inheritance: Inheritance,
    /// The configuration is the embedded one, and whoever started it is told where to look.
    pub is_demo: bool,
}

/// Runs until the process was told to end and has drained.
///
/// # Errors
/// See [`RunError`].
pub fn run(beginning: Beginning) -> Result<(), RunError> {
    let Beginning { config, plan, machine, tls, secrets, source, mut inheritance, is_demo } =
        beginning;
    log_machine(&machine, &plan);
    if !tls.is_empty()
        && let Err(error) = core_dump::forbid()
    {
        warn!(%error, "core dumps cannot be turned off; one would hold private keys");
    }
    let access_log = AccessLogSink::open(&config.access_log.target).map_err(RunError::AccessLog)?;
    let exposition = metrics::install().map_err(|error| RunError::Start(error.to_string()))?;
    let mut bound =
        listen::bind(&config, plan.workers, &mut inheritance).map_err(RunError::Bind)?;
    let admin = listen::bind_admin(&config, &mut inheritance).map_err(RunError::Bind)?;
    let control =
        bind_control(&config.control, &mut inheritance, &mut bound).map_err(RunError::Bind)?;
    let lineage = lineage(&mut inheritance);
    log_addresses(&bound, admin.as_ref());
    for address in listen::leave(inheritance, &mut bound.files) {
        warn!(%address, "this process is handed a socket that no listener binds");
    }
    if is_demo {
        log_where_to_look(&bound, admin.as_ref());
    }

    let limits = Limits::new(
        config.listeners.iter().map(|listener| &listener.limits),
        config.process.limited_clients_max.get(),
        RandomState::new(),
        Instant::now(),
    );
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot {
        generation: 0,
        roster: Arc::new(Roster::new(&config)),
        config: Arc::new(config),
        plan: Arc::new(plan),
        limits: Arc::new(limits),
        tls: tls.store(),
        sockets: Arc::new(bound.workers.clone()),
        access_log,
        stage: match lineage.predecessor {
            Some(_) => Stage::Standby,
            None => Stage::Serving,
        },
    }));
    secrets.install(&snapshot.load().roster);
    let workers = start_workers(&snapshot).map_err(|error| RunError::Start(error.to_string()))?;
    let ended = control::run(ControlPlane {
        source,
        machine,
        snapshot,
        workers,
        bound,
        admin,
        control,
        lineage,
        exposition,
        tls,
    });
    ended.map_err(RunError::Control)
}

/// How to go on from here, and from where it came.
fn lineage(inheritance: &mut Inheritance) -> Lineage {
    let program = Program::of_this_process();
    let program = program.map_err(|error| {
        warn!(%error, "it cannot be told which program this is: it cannot be upgraded");
    });
    Lineage { program: program.ok(), predecessor: inheritance.take_predecessor() }
}

/// Where commands come in: `control.socket`, or the folder that a service manager has made for
/// this process (`RUNTIME_DIRECTORY`, systemd.exec(5)).
fn bind_control(
    settings: &Control,
    inheritance: &mut Inheritance,
    bound: &mut Bound,
) -> Result<Option<UnixListener>, BindError> {
    let path = match &settings.socket {
        ControlSocket::Off => None,
        ControlSocket::At(path) => Some(path.clone()),
        ControlSocket::Auto => std::env::var_os("RUNTIME_DIRECTORY").and_then(|folders| {
            let first = std::env::split_paths(&folders).next();
            first.map(|folder: PathBuf| folder.join(control::SOCKET_NAME))
        }),
    };
    let Some(path) = path else { return Ok(None) };
    let socket = listen::bind_control(&path, settings.mode, inheritance, &mut bound.files)?;
    info!(path = %path.display(), "control socket");
    Ok(Some(socket))
}

/// A thread for each worker that goes by what is in `snapshot`.
fn start_workers(snapshot: &Arc<ArcSwap<Snapshot>>) -> io::Result<Vec<WorkerHandle>> {
    let first = snapshot.load_full();
    let limit = Arc::new(ConnectionLimit::new(first.plan.connections_max));
    let crew = Arc::new(Crew::new(first.plan.workers));
    let workers = first.sockets.iter().enumerate().map(|(index, sockets)| {
        let setup = Setup {
            index,
            config: Arc::clone(&first.config),
            plan: Arc::clone(&first.plan),
            roster: Arc::clone(&first.roster),
            limit: Arc::clone(&limit),
            limits: Arc::clone(&first.limits),
            access_log: first.access_log.clone(),
            report: Arc::new(WorkerReport::default()),
            tls: Arc::clone(&first.tls),
            turn_bytes_max: TURN_BYTES_MAX,
        };
        start_worker(setup, sockets, &crew, Arc::clone(snapshot))
    });
    workers.collect()
}

fn start_worker(
    setup: Setup,
    sockets: &[ListeningSocket],
    crew: &Arc<Crew<OwnedFd>>,
    snapshot: Arc<ArcSwap<Snapshot>>,
) -> io::Result<WorkerHandle> {
    let poll = mio::Poll::new()?;
    let waker = mio::Waker::new(poll.registry(), mio::Token(Token::Waker.pack() as usize))?;
    let waker = Arc::new(waker);
    let report = Arc::clone(&setup.report);
    let name = format!("worker-{}", setup.index);
    let index = setup.index;
    let mut worker = Worker::new(setup, Linux::new(poll.registry().try_clone()?));
    let wake = Arc::clone(&waker);
    worker.join(Member::new(crew, index, move || {
        if let Err(error) = wake.wake() {
            error!(%error, "a worker cannot be woken");
        }
    }));
    worker.enter(snapshot.load().stage, std::time::Instant::now());
    for offer in event_loop::offers(sockets) {
        worker.add_socket(offer)?;
    }
    let seen = Arc::clone(&report);
    WorkerHandle::spawn(name, waker, report, move || {
        if let Err(error) = event_loop::run(poll, worker, index, &snapshot, &seen) {
            error!(%error, "a worker cannot wait for events");
        }
    })
}

/// What was probed, and what follows from it.
fn log_machine(machine: &Machine, plan: &Plan) {
    let splice = machine.splice.as_ref().map_or_else(String::as_str, |()| "works");
    info!(
        version = env!("CARGO_PKG_VERSION"),
        kernel = machine.kernel,
        splice,
        pipe_size_max = show_size(u64::from(machine.pipe_size_max)),
        pipe_user_pages_soft = machine.pipe_user_pages_soft,
        pipe_limits_waived = machine.pipe_limits_waived,
        descriptors_max = machine.descriptors_max,
        cpus = machine.cpus,
        "machine probed"
    );
    info!(
        workers = plan.workers,
        connections_max = plan.connections_max,
        pipe_memory_per_worker = show_size(plan.pipe_memory_per_worker),
        buffer_memory_per_worker = show_size(plan.buffer_memory_per_worker),
        "decided"
    );
    for note in &plan.notes {
        warn!("{note}");
    }
}

/// For somebody who has just typed the first command of the README.
fn log_where_to_look(bound: &Bound, admin: Option<&TcpListener>) {
    let address_of = |name: &str| {
        let listener = bound.addresses.iter().find(|(listener, _)| listener == name);
        listener.and_then(|(_, addresses)| addresses.first())
    };
    if let Some(web) = address_of("web") {
        info!("this is the demo; try: curl -o /dev/null http://{web}/bytes/1073741824");
    }
    if let Some(Ok(admin)) = admin.map(TcpListener::local_addr) {
        info!(
            "then see which way the bytes went: curl -s http://{admin}/metrics | grep relay_bytes"
        );
    }
}

fn log_addresses(bound: &Bound, admin: Option<&TcpListener>) {
    for (listener, addresses) in &bound.addresses {
        for address in addresses {
            info!(listener, address, "listening");
        }
    }
    if let Some(Ok(address)) = admin.map(TcpListener::local_addr) {
        info!(%address, "admin endpoint");
    }
}
