//! A control plane over workers that carry no traffic: threads that answer their waker, report
//! what a test wants, and end when they are told to drain and have no connections left.

use std::hash::RandomState;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use spliceway::access_log::AccessLogSink;
use spliceway::capacity::{ListenerPlan, Machine, Plan, RelayPlan};
use spliceway::config::balancing::Balancing;
use spliceway::config::names::Dns;
use spliceway::config::succession::Standing;
use spliceway::config::{
    AccessLog, Config, Control, ControlSocket, Listener, LogFormat, LogTarget, Pool, Process,
    Protocol, Relay, RelayMemory, RelayMode, ServerSettings, Timeouts, Upstream, Workers,
};
use spliceway::control::{self, ConfigSource, ControlError, ControlPlane, Lineage, WorkerHandle};
use spliceway::id::UpstreamId;
use spliceway::limits::{Limits, ListenerLimits};
use spliceway::listen::Bound;
use spliceway::metrics::{ListenerMetrics, Recorder};
use spliceway::roster::Roster;
use spliceway::snapshot::{Snapshot, Stage, WorkerReport};
use spliceway::tls::keeper::Keeper;

/// Nothing here takes that long unless it is broken.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A worker without traffic.
pub struct FakeWorker {
    pub report: Arc<WorkerReport>,
    pub waker: Arc<mio::Waker>,
    /// While set, the worker does not raise its heartbeat.
    pub mute: Arc<AtomicBool>,
    /// When set, the worker panics at its next wake.
    pub panics: Arc<AtomicBool>,
    /// When set, the worker ends at its next wake, whatever the stage.
    pub ends: Arc<AtomicBool>,
    /// While set, the worker does not see that it is to end.
    pub stays: Arc<AtomicBool>,
}

/// A control plane that runs on a thread of its own.
pub struct Plane {
    pub admin: SocketAddr,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub workers: Vec<FakeWorker>,
    pub thread: JoinHandle<Result<(), ControlError>>,
}

pub fn config(target: LogTarget, drain_grace: Duration, drain_timeout: Duration) -> Config {
    Config {
        process: Process {
            workers: Workers::Count(NonZeroUsize::new(2).unwrap()),
            connections_max: None,
            handshakes_max: NonZeroUsize::new(512).unwrap(),
            limited_clients_max: NonZeroUsize::new(1024).unwrap(),
            drain_grace,
            drain_timeout,
            upgrade_timeout: DEADLINE,
            upgrade_drain_timeout: DEADLINE,
            watch_config: false,
        },
        control: Control { socket: ControlSocket::Off, mode: 0o600 },
        admin: None,
        access_log: AccessLog { target, format: LogFormat::Json },
        dns: Dns::default(),
        memory: RelayMemory { pipe_memory_max: 1 << 28, buffer_memory_max: 1 << 28 },
        listeners: vec![Listener {
            name: "web".to_owned(),
            standing: Standing::Active,
            bind: vec!["127.0.0.1:0".parse().unwrap()],
            backlog: 1024,
            protocol: Protocol::Tcp(UpstreamId(0)),
            tls: None,
            proxy_protocol: None,
            limits: ListenerLimits::default(),
            relay: Relay { mode: RelayMode::Splice, pipe_size: 256 * 1024, low_water: None },
            timeouts: Timeouts {
                connect: Duration::from_secs(5),
                idle: Duration::from_secs(300),
                half_closed: Duration::from_secs(30),
                tls_handshake: Duration::from_secs(10),
                proxy_header: Duration::from_secs(5),
            },
            keepalive: None,
        }],
        upstreams: vec![Upstream {
            name: "app".to_owned(),
            standing: Standing::Active,
            balancing: Balancing::default(),
            names: Vec::new(),
            source: None,
            servers: ["127.0.0.1:9001", "unix:/run/app"]
                .map(|address| ServerSettings::new(address.parse().unwrap()))
                .to_vec(),
            pool: Pool { idle_max: 64, idle_timeout: Duration::from_secs(4) },
            tls: None,
            proxy_protocol: None,
        }],
    }
}

/// A plane that serves, with nothing to log.
pub fn serving() -> Plane {
    let plane = start(config(LogTarget::Off, Duration::ZERO, DEADLINE));
    plane.wait_until("/readyz", |answer| answer.status == 200);
    plane
}

/// Starts the plane and does not wait for it.
pub fn start(config: Config) -> Plane {
    let config = Arc::new(config);
    let keeper = Keeper::load(&config).unwrap();
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot {
        generation: 0,
        plan: Arc::new(plan()),
        roster: Arc::new(Roster::new(&config)),
        limits: Arc::new(Limits::new([], 0, RandomState::new(), Instant::now())),
        tls: keeper.store(),
        sockets: Arc::default(),
        access_log: AccessLogSink::open(&config.access_log.target).unwrap(),
        stage: Stage::Serving,
        config,
    }));
    let mut bound = Bound::default();
    bound.addresses.push(("web".to_owned(), vec!["127.0.0.1:4711".to_owned()]));
    let source = ConfigSource { files: Vec::new(), read: Box::new(|| Err(Vec::new())) };
    let (handles, workers): (Vec<_>, Vec<_>) = (0..2).map(|_| fake_worker(&snapshot)).unzip();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = listener.local_addr().unwrap();
    let published = Arc::clone(&snapshot);
    let thread = std::thread::spawn(move || {
        let recorder = Recorder::new();
        let exposition = recorder.exposition();
        metrics::with_local_recorder(&recorder, || {
            ListenerMetrics::new("web").relay_bytes[1][0].increment(12345);
            control::run(ControlPlane {
                source,
                machine: machine(),
                snapshot: published,
                workers: handles,
                bound,
                admin: Some(listener),
                control: None,
                lineage: Lineage::default(),
                exposition,
                tls: keeper,
            })
        })
    });
    Plane { admin, snapshot, workers, thread }
}

fn machine() -> Machine {
    Machine {
        kernel: "6.1.0-test".to_owned(),
        page_size: 4096,
        cpus: 2,
        splice: Ok(()),
        pipe_size_max: 1 << 20,
        pipe_user_pages_soft: 16384,
        pipe_limits_waived: false,
        descriptors_max: 1024,
    }
}

fn plan() -> Plan {
    Plan {
        workers: 2,
        connections_max: 400,
        pipe_memory_per_worker: 1 << 27,
        buffer_memory_per_worker: 1 << 27,
        listeners: vec![ListenerPlan {
            relay: RelayPlan {
                mode: RelayMode::Copy,
                pipe_size: 65536,
                fallback: None,
                reason: "splice is refused here".to_owned(),
            },
            routes: Vec::new(),
        }],
        pool_idle_max: vec![0],
        notes: vec!["a note".to_owned()],
    }
}

fn fake_worker(snapshot: &Arc<ArcSwap<Snapshot>>) -> (WorkerHandle, FakeWorker) {
    let mut poll = mio::Poll::new().unwrap();
    let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
    let report = Arc::new(WorkerReport::default());
    let [mute, panics, ends, stays] = [(); 4].map(|()| Arc::new(AtomicBool::new(false)));
    let fake = FakeWorker {
        report: Arc::clone(&report),
        waker: Arc::clone(&waker),
        mute: Arc::clone(&mute),
        panics: Arc::clone(&panics),
        ends: Arc::clone(&ends),
        stays: Arc::clone(&stays),
    };
    let (snapshot, reported) = (Arc::clone(snapshot), Arc::clone(&report));
    let body = move || {
        let mut events = mio::Events::with_capacity(8);
        loop {
            let draining = match snapshot.load().stage {
                _ if stays.load(Ordering::Relaxed) => None,
                Stage::Standby | Stage::Serving => None,
                Stage::HandedOver { until } | Stage::Draining { until } => {
                    Some(until.saturating_duration_since(Instant::now()))
                }
            };
            let connections = WorkerReport::read(&reported.connections);
            match draining {
                Some(left) if connections == 0 || left.is_zero() => {
                    reported.drain_cut.store(connections, Ordering::Relaxed);
                    return;
                }
                _ => {}
            }
            if let Err(error) = poll.poll(&mut events, draining) {
                assert_eq!(error.kind(), std::io::ErrorKind::Interrupted);
            }
            assert!(!panics.load(Ordering::Relaxed), "as the test asked");
            if ends.load(Ordering::Relaxed) {
                return;
            }
            if !events.is_empty() && !mute.load(Ordering::Relaxed) {
                reported.heartbeat.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let handle = WorkerHandle::spawn("fake-worker".to_owned(), waker, report, body).unwrap();
    (handle, fake)
}

/// What came back for a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Reads an answer until the other side ends the connection.
    pub fn read(socket: &mut TcpStream) -> Answer {
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// The value of a header, lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
    }
}

impl Plane {
    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.admin).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    /// Sends a request with these further header lines, each with its CRLF.
    pub fn request(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut socket = self.connect();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        write!(socket, "{head}{headers}\r\n").unwrap();
        Answer::read(&mut socket)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "")
    }

    /// Asks again and again until the answer is as wanted.
    pub fn wait_until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let start = Instant::now();
        loop {
            let answer = self.get(path);
            if wanted(&answer) {
                return answer;
            }
            assert!(start.elapsed() < DEADLINE, "{path} stays at {answer:?}");
            std::thread::yield_now();
        }
    }
}
