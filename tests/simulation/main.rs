//! A whole worker over a fake kernel, from seeds: the same seed gives the same run.
//!
//! After every turn the invariants of DESIGN hold; once the faults have stopped, every byte that
//! can arrive does, and every connection ends. To run one seed again, with what it prints:
//! `SPLICEWAY_SEED=1234 cargo test --test simulation`; to run more of them, for minutes or hours:
//! `SPLICEWAY_SEEDS=20000 cargo test --test simulation`.
//!
//! That the checks can fail is proved by [`sabotage`], which breaks the kernel's promises. Bugs
//! that were planted in the proxy by hand, and which check found each:
//!
//! | planted | found by |
//! |---|---|
//! | a lane clears its readable mark after every splice | a lane sleeps although its source is readable |
//! | a short copying read clears it although a FIN stands behind | the same |
//! | a turn that spends its budget does not queue itself | the same |
//! | a reset goes out without a look at the send queue | bytes before a reset arrive |
//! | a pipe with bytes in it goes back to the pool | a lane and its conduit disagree |
//! | a broken sink does not doom the source behind it | a stream that was cut does not look complete |
//! | an event of a connection that is over reaches the next one | every byte arrives |
//! | a retry keeps what events said of the attempt before | every byte arrives |
//!
//! Found by it, and fixed: the scratch buffer was still in use by one lane when the other lane of
//! the same connection read into it (a stream is wrong at some offset).

// A failed `unwrap` or `panic!` is how a test fails, and `pub` says what the files share.
#![allow(clippy::panic, clippy::unwrap_used, unreachable_pub)]

mod fake_kernel;
mod http;
mod http_peers;
mod http_plan;
mod http_wire;
mod limited;
mod reload;
mod tls;
mod world;

use std::cell::RefCell;
use std::num::{NonZeroU32, NonZeroUsize};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spliceway::access_log::AccessLogSink;
use spliceway::address::Address;
use spliceway::capacity::{ListenerPlan, Plan, RelayPlan};
use spliceway::config::balancing::{Balancing, Queue};
use spliceway::config::names::Dns;
use spliceway::config::succession::Standing;
use spliceway::config::{
    AccessLog, Config, Control, ControlSocket, Keepalive, Listener, LogFormat, LogTarget, Pool,
    Process, Protocol, Relay, RelayMemory, RelayMode, ServerSettings, Timeouts, Upstream, Workers,
};
use spliceway::error::{CloseReason, Direction, FaultKind, Side};
use spliceway::id::{ListenerId, SocketId, UpstreamId};
use spliceway::io::accept::ConnectionLimit;
use spliceway::io::adopt::Offer;
use spliceway::io::conduit::Conduit;
use spliceway::io::kernel::PipeState;
use spliceway::io::worker::{Setup, Wake, Worker};
use spliceway::limits::ListenerLimits;
use spliceway::relay::coalesce::PATIENCE;
use spliceway::roster::Roster;
use spliceway::session::Phase;
use spliceway::snapshot::WorkerReport;
use spliceway::tls::store::TlsStore;

use fake_kernel::{FakeKernel, FakeListener};
use limited::Bounds;
use reload::Reloads;
use world::{Faults, Sabotage, Shared, Socket, World};

const CLIENTS: usize = 12;
/// Small, so that flows prove themselves within a few tens of kilobytes.
const LOW_WATER: u32 = 1000;
const STEPS_WITH_FAULTS: usize = 300;
/// Steps after the faults in which everything must have ended.
const STEPS_TO_END_MAX: usize = 20_000;
/// Turns in a row without waiting; more is a spin.
const TURNS_IN_A_ROW_MAX: usize = 5_000;

fn config(mode: RelayMode) -> Config {
    let server = |port: u16| Address::Ip(([127, 0, 0, 1], port).into());
    Config {
        process: Process {
            workers: Workers::Auto,
            connections_max: None,
            handshakes_max: NonZeroUsize::new(512).unwrap(),
            limited_clients_max: NonZeroUsize::new(64).unwrap(),
            drain_grace: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            upgrade_timeout: Duration::from_secs(30),
            upgrade_drain_timeout: Duration::from_secs(30),
            watch_config: false,
        },
        admin: None,
        control: Control { socket: ControlSocket::Off, mode: 0o600 },
        access_log: AccessLog { target: LogTarget::Off, format: LogFormat::Json },
        dns: Dns::default(),
        memory: RelayMemory { pipe_memory_max: 1 << 20, buffer_memory_max: 1 << 18 },
        listeners: vec![Listener {
            name: "sim".into(),
            standing: Standing::Active,
            bind: vec![server(1)],
            backlog: 16,
            protocol: Protocol::Tcp(UpstreamId(0)),
            tls: None,
            proxy_protocol: None,
            limits: ListenerLimits::default(),
            relay: Relay { mode, pipe_size: 1 << 18, low_water: Some(LOW_WATER) },
            timeouts: Timeouts {
                connect: Duration::from_secs(5),
                idle: Duration::from_secs(3600),
                half_closed: Duration::from_secs(3600),
                tls_handshake: Duration::from_secs(10),
                proxy_header: Duration::from_secs(5),
            },
            keepalive: Some(Keepalive {
                idle: Duration::from_secs(60),
                interval: Duration::from_secs(10),
                probes: 6,
            }),
        }],
        upstreams: vec![Upstream {
            name: "up".into(),
            standing: Standing::Active,
            balancing: Balancing::default(),
            names: Vec::new(),
            source: None,
            servers: [server(2), server(3)].map(ServerSettings::new).to_vec(),
            pool: Pool { idle_max: 64, idle_timeout: Duration::from_secs(4) },
            tls: None,
            proxy_protocol: None,
        }],
    }
}

fn plan(mode: RelayMode) -> Plan {
    Plan {
        workers: 1,
        connections_max: CLIENTS / 2,
        // Room for three pipes, so that the fourth flow meets the bound.
        pipe_memory_per_worker: 3 << 18,
        buffer_memory_per_worker: 1 << 16,
        listeners: vec![ListenerPlan {
            relay: RelayPlan { mode, pipe_size: 1 << 18, fallback: None, reason: String::new() },
            routes: Vec::new(),
        }],
        pool_idle_max: vec![0],
        notes: Vec::new(),
    }
}

/// What each client and its server saw: bytes, and whether the end was a FIN.
type Seen = Vec<(u64, usize, usize, bool, bool)>;

struct Simulation {
    world: Shared,
    worker: Worker<FakeKernel>,
    roster: Arc<Roster>,
    now: Instant,
    bounds: Bounds,
    reloads: Option<Reloads>,
}

impl Simulation {
    fn new(seed: u64, mode: RelayMode, faults: Faults, sabotage: Sabotage) -> Simulation {
        Simulation::limited(seed, mode, faults, sabotage, ListenerLimits::default())
    }

    fn limited(
        seed: u64,
        mode: RelayMode,
        faults: Faults,
        sabotage: Sabotage,
        limits: ListenerLimits,
    ) -> Simulation {
        let mut world = World::new(seed, faults, sabotage);
        let mut config = config(mode);
        if seed.is_multiple_of(2) {
            // Clients wait for each other.
            let upstream = &mut config.upstreams[0];
            upstream.servers.iter_mut().for_each(|it| it.connections_max = NonZeroU32::new(1));
            upstream.balancing.queue = Queue { max: 100, timeout: Duration::from_secs(36_000) };
        }
        let bounds = Bounds::new(limits, &mut config, &mut world);
        let world = Rc::new(RefCell::new(world));
        let config = Arc::new(config);
        let roster = Arc::new(Roster::new(&config));
        let setup = Setup {
            index: 0,
            roster: Arc::clone(&roster),
            config,
            plan: Arc::new(plan(mode)),
            limit: Arc::new(ConnectionLimit::new(CLIENTS / 2)),
            limits: Arc::clone(&bounds.used),
            access_log: AccessLogSink::open(&LogTarget::Off).unwrap(),
            report: Arc::new(WorkerReport::default()),
            tls: Arc::new(TlsStore::empty()),
            turn_bytes_max: 20_000,
        };
        let mut worker = Worker::new(setup, FakeKernel { world: Rc::clone(&world) });
        let (id, listener) = (SocketId(0), ListenerId(0));
        let offer = Offer { id, socket: FakeListener, listener, is_unix: false };
        worker.add_socket(offer).unwrap();
        let now = bounds.began;
        Simulation { world, worker, roster, now, bounds, reloads: None }
    }

    fn with_reloads(mut self, mode: RelayMode) -> Simulation {
        let (roster, limits) = (Arc::clone(&self.roster), Arc::clone(&self.bounds.used));
        let with_mode = |mode| (config(mode), plan(mode));
        self.reloads = Some(Reloads::new(&config(mode), roster, limits, with_mode));
        self
    }

    /// Gives the worker its turns until it would sleep, and checks after each.
    fn pump(&mut self) {
        for _ in 0..TURNS_IN_A_ROW_MAX {
            let edges = self.world.borrow_mut().take_edges();
            for (token, readiness) in edges {
                self.worker.on_event(token, readiness);
            }
            self.worker.turn(self.now);
            self.check_books();
            self.bounds.check(&self.world.borrow(), self.now);
            if !self.world.borrow().has_edges() && self.worker.next_wake() != Wake::Now {
                return self.check_that_nothing_stalls();
            }
        }
        panic!("the worker spins: {:?}", self.worker.next_wake());
    }

    fn advance(&mut self) {
        let pause = self.world.borrow_mut().rng.u64(0..30);
        self.now += Duration::from_millis(pause);
    }

    /// Servers count exactly those who have them, and nobody has one who waits.
    fn check_places(&self) {
        let roster = self.reloads.as_ref().map_or(&self.roster, Reloads::roster);
        let servers = roster.upstream(UpstreamId(0));
        let mut active = vec![0; servers.servers().len()];
        let mut waiting = 0;
        for connection in self.worker.connections() {
            let session = &connection.session;
            waiting += u32::from(session.attempts().is_queued());
            if let (Some(server), false) = (session.server(), session.attempts().is_queued()) {
                active[server.index()] += 1;
            }
        }
        for (server, active) in servers.servers().iter().zip(active) {
            assert_eq!(server.state.active(), active);
            let max = server.settings.connections_max;
            assert!(max.is_none_or(|max| active <= max.get()), "connections_max is a bound");
        }
        assert_eq!(servers.state.waiting.count(), waiting);
    }

    /// Invariants 1 and 2, and the sums of what is held.
    fn check_books(&self) {
        self.check_places();
        let world = self.world.borrow();
        let (mut piped, mut stuck, mut pipes) = (0, 0, 0);
        for connection in self.worker.connections() {
            for direction in Direction::ALL {
                let lane = connection.session.relay().lane(direction);
                let conduit = &connection.conduits[direction.index()];
                let totals = lane.totals();
                let delivered: u64 = totals.delivered.iter().sum();
                let sum = delivered + lane.held() as u64 + totals.discarded;
                assert_eq!(totals.read, sum, "read = delivered + held + discarded");
                if lane.sink_fault().is_none() {
                    assert_eq!(lane.held(), conduit.held(), "lane and conduit agree");
                }
                let Some(upstream) = &connection.upstream else { continue };
                let socket = |side| match side {
                    Side::Client => &world.sockets[&connection.client.id],
                    Side::Upstream => &world.sockets[&upstream.id],
                };
                assert_eq!(totals.read, socket(direction.source()).taken as u64);
                assert_eq!(delivered, socket(direction.sink()).given as u64);
                match conduit {
                    Conduit::Empty => {}
                    Conduit::Pipe { pipe, .. } => {
                        assert!(pipe.held() > 0, "a flow holds a pipe only with bytes in it");
                        piped += pipe.held() as u64;
                        pipes += 1;
                    }
                    Conduit::Scratch { .. } => panic!("the scratch buffer outlived a turn"),
                    Conduit::Stuck { bytes, .. } => stuck += bytes.len() as u64,
                    Conduit::Sealed(sealed) => stuck += sealed.memory() as u64,
                }
            }
        }
        let supplies = self.worker.supplies();
        let usage = supplies.pipes.usage();
        assert_eq!((supplies.piped_bytes, supplies.stuck_bytes), (piped, stuck));
        assert_eq!(usage.busy, pipes);
        assert_eq!(usage.busy + usage.idle, world.pipes_open as u64);
        assert!(usage.memory_bytes <= 3 << 18, "relay.pipe_memory is a bound");
    }

    /// Invariant 4: what could move has an event coming, which the world would have pending, or
    /// is in the run queue, which is empty here.
    fn check_that_nothing_stalls(&self) {
        let world = self.world.borrow();
        for connection in self.worker.connections() {
            let Phase::Relaying = connection.session.phase() else { continue };
            let upstream = connection.upstream.as_ref().expect("a relay has two sockets");
            for direction in Direction::ALL {
                let lane = connection.session.relay().lane(direction);
                if lane.is_done() {
                    continue;
                }
                let id = |side| match side {
                    Side::Client => connection.client.id,
                    Side::Upstream => upstream.id,
                };
                let (source, sink) = (id(direction.source()), id(direction.sink()));
                let (source, sink) = (&world.sockets[&source], &world.sockets[&sink]);
                let is_free = sink.outgoing.len() * 3 <= sink.send_buffer * 2;
                if lane.held() > 0 {
                    assert!(!is_free, "a lane sleeps although its sink is writable");
                } else if let Some(until) = lane.paused_until() {
                    limited::check_pause(until, self.now, self.worker.next_wake());
                } else if lane.awaits_tail() {
                    let tail = Wake::At(self.now + PATIENCE);
                    let is_armed = matches!(
                        (self.worker.next_wake(), tail),
                        (Wake::At(next), Wake::At(latest)) if next <= latest
                    );
                    assert!(is_armed, "bytes are held back and nobody will look after them");
                } else if !lane.source_has_ended() {
                    assert!(
                        !source.is_readable(),
                        "a lane sleeps although its source is readable: {lane:?} {source:?}"
                    );
                }
            }
        }
    }

    fn run(mut self) -> Seen {
        for step in 0..STEPS_WITH_FAULTS {
            if step % 20 == 0 && step / 20 < CLIENTS {
                self.world.borrow_mut().client_connects();
            }
            self.world.borrow_mut().step();
            self.pump();
            self.advance();
            if let Some(reloads) = &mut self.reloads {
                reloads.step(step, &mut self.worker, self.now);
                self.check_books();
            }
        }
        self.world.borrow_mut().behave();
        for _ in 0..STEPS_TO_END_MAX {
            self.world.borrow_mut().step();
            self.pump();
            self.advance();
            let is_over = self.worker.connections().next().is_none()
                && self.world.borrow().backlog.is_empty()
                && self.world.borrow().sockets.values().all(|socket| socket.outgoing.is_empty());
            if is_over {
                self.world.borrow_mut().sockets.values_mut().for_each(Socket::look_for_fin);
                return self.check_the_end();
            }
        }
        panic!(
            "not over {STEPS_TO_END_MAX} steps after the faults stopped: {:#?}",
            self.worker.connections().next()
        );
    }

    fn check_the_end(&self) -> Seen {
        let account = self.worker.account();
        let closed: u64 =
            CloseReason::ALL.into_iter().map(|reason| account.closed_for(reason)).sum();
        assert_eq!(account.opened_in_all(), CLIENTS as u64);
        assert_eq!(closed, CLIENTS as u64, "each connection ends once");
        for reason in [CloseReason::IdleTimeout, CloseReason::HalfClosedTimeout] {
            assert_eq!(account.closed_for(reason), 0, "{reason} without a reason");
        }
        let world = self.world.borrow();
        assert!(world.sockets.values().all(|socket| socket.closed), "no descriptor is left");
        assert_eq!(world.pipes_open as u64, self.worker.supplies().pipes.usage().idle);

        let mut seen = Seen::new();
        for &client_id in world.clients.values() {
            let client = &world.sockets[&client_id];
            let server = world.pairs.get(&client_id).map(|id| &world.sockets[id]);
            let Some(server) = server.filter(|one| one.connect_outcome.is_ok() && !one.abandoned)
            else {
                assert!(client.saw_reset || client.dead, "nobody answered: a reset");
                continue;
            };
            // A client that went away before the server answered was never read from.
            let was_relayed = client.taken > 0 || server.taken > 0 || server.shut || client.shut;
            for (from, to) in [(client, server), (server, client)] {
                if !from.dead && !to.dead {
                    assert_eq!(
                        to.received,
                        from.peer.to_send,
                        "every byte arrives; ends: {:?}",
                        CloseReason::ALL.map(|reason| (reason.label(), account.closed_for(reason)))
                    );
                    assert!(to.saw_fin && !to.saw_reset, "and then the end");
                }
                if from.dead && !to.dead && was_relayed {
                    assert_eq!(to.received, from.peer.sent, "bytes before a reset arrive");
                    assert!(to.saw_reset || from.fin, "a stream that was cut is reset");
                    assert!(!to.shut || from.fin, "a stream that was cut does not look complete");
                }
            }
            let ends = (client.saw_fin, server.saw_fin);
            seen.push((client.stream, client.received, server.received, ends.0, ends.1));
        }
        seen.sort_unstable();
        seen
    }
}

/// Runs many seeds, or as many as the environment says, or the one that it names; a failure prints
/// its seed.
fn for_seeds(name: &str, seeds: std::ops::Range<u64>, run: impl Fn(u64)) {
    let number = |name| Some(std::env::var(name).ok()?.parse::<u64>().expect("a number"));
    let seeds = match (number("SPLICEWAY_SEED"), number("SPLICEWAY_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => seeds,
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed)));
        if let Err(panic) = outcome {
            eprintln!("{name} failed: SPLICEWAY_SEED={seed} cargo test --test simulation {name}");
            std::panic::resume_unwind(panic);
        }
    }
}

const MODES: [RelayMode; 3] = [RelayMode::Splice, RelayMode::Copy, RelayMode::Auto];

fn run_all_modes(seed: u64, faults: Faults) {
    for mode in MODES {
        Simulation::new(seed, mode, faults, Sabotage::None).run();
    }
}

#[test]
fn quiet_weather() {
    for_seeds("quiet_weather", 0..200, |seed| run_all_modes(seed, Faults::default()));
}

#[test]
fn short_writes_and_spurious_events() {
    let faults = Faults {
        short_splice: 300,
        short_write: 300,
        interrupted_splice: 300,
        spurious_event: 100,
        ..Faults::default()
    };
    for_seeds("short_writes_and_spurious_events", 0..200, |seed| run_all_modes(seed, faults));
}

/// Connections to servers that are gone by the next reload go on, and so do those to the listener,
/// whichever mode they are in.
#[test]
fn reloads_in_mid_flight() {
    let faults = Faults {
        short_splice: 200,
        short_write: 200,
        spurious_event: 100,
        connect_refused: 100,
        ..Faults::default()
    };
    for_seeds("reloads_in_mid_flight", 0..200, |seed| {
        for mode in MODES {
            Simulation::new(seed, mode, faults, Sabotage::None).with_reloads(mode).run();
        }
    });
}

#[test]
fn resets_in_mid_stream() {
    let faults = Faults { reset: 3, short_splice: 100, short_write: 100, ..Faults::default() };
    for_seeds("resets_in_mid_stream", 0..400, |seed| run_all_modes(seed, faults));
}

#[test]
fn servers_that_refuse_or_never_answer() {
    let faults = Faults {
        connect_refused: 300,
        connect_never: 200,
        accept_fails: 200,
        reset: 1,
        ..Faults::default()
    };
    for_seeds("servers_that_refuse_or_never_answer", 0..200, |seed| run_all_modes(seed, faults));
}

#[test]
fn no_pipe_to_be_had_and_splice_refused() {
    let faults = Faults {
        no_pipe: 300,
        small_pipe: 200,
        splice_refused: 300,
        short_splice: 200,
        spurious_event: 50,
        ..Faults::default()
    };
    for_seeds("no_pipe_to_be_had_and_splice_refused", 0..200, |seed| run_all_modes(seed, faults));
}

#[test]
fn splice_forbidden_in_mid_flight() {
    let faults = Faults { splice_forbidden: 20, short_write: 200, ..Faults::default() };
    for_seeds("splice_forbidden_in_mid_flight", 0..200, |seed| run_all_modes(seed, faults));
}

#[test]
fn everything_at_once() {
    let faults = Faults {
        short_splice: 150,
        short_write: 150,
        interrupted_splice: 50,
        spurious_event: 50,
        no_pipe: 100,
        small_pipe: 50,
        splice_refused: 50,
        splice_forbidden: 2,
        accept_fails: 100,
        connect_refused: 100,
        connect_never: 50,
        reset: 1,
    };
    for_seeds("everything_at_once", 0..400, |seed| run_all_modes(seed, faults));
}

/// The same script has the same result to see, whichever way the bytes travel.
#[test]
fn splice_copy_and_auto_are_equivalent() {
    for_seeds("splice_copy_and_auto_are_equivalent", 0..200, |seed| {
        let seen =
            MODES.map(|mode| Simulation::new(seed, mode, Faults::default(), Sabotage::None).run());
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0], seen[2]);
    });
}

/// The same seed gives the same run.
#[test]
fn a_run_can_be_repeated() {
    let faults = Faults { short_splice: 300, short_write: 300, reset: 2, ..Faults::default() };
    let run = || Simulation::new(7, RelayMode::Auto, faults, Sabotage::None).run();
    assert_eq!(run(), run());
}

/// What a panic said.
fn message_of(panic: Box<dyn std::any::Any + Send>) -> String {
    panic.downcast::<String>().map_or_else(
        |other| other.downcast::<&str>().map_or(String::new(), |text| (*text).to_owned()),
        |text| *text,
    )
}

/// The checks can fail: each break of the kernel's promises is found within a few seeds.
#[test]
fn sabotage_is_caught() {
    let check = |sabotage, mode, expected: &str| {
        let caught = (0..20).find_map(|seed| {
            let run = || Simulation::new(seed, mode, Faults::default(), sabotage).run();
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).err()?;
            Some(message_of(panic))
        });
        let message = caught.unwrap_or_else(|| panic!("{sabotage:?} was not caught"));
        assert!(message.contains(expected), "{sabotage:?} was caught by: {message}");
    };
    check(Sabotage::LoseAnEdge, RelayMode::Copy, "sleeps although its source is readable");
    check(Sabotage::StayDeaf, RelayMode::Copy, "sleeps although its source is readable");
    check(Sabotage::CorruptAByte, RelayMode::Splice, "is wrong at offset");
    check(Sabotage::SwapBytes, RelayMode::Copy, "is wrong at offset");
}

/// What cannot be reached by chance in a few thousand steps: connections that are cut by a drain.
#[test]
fn a_drain_cuts_what_is_left_and_says_so() {
    let mut simulation = Simulation::new(1, RelayMode::Splice, Faults::default(), Sabotage::None);
    for _ in 0..3 {
        simulation.world.borrow_mut().client_connects();
    }
    simulation.pump();
    let until = simulation.now + Duration::from_secs(30);
    simulation.worker.drain(until, simulation.now);
    assert!(!simulation.worker.is_drained());
    simulation.now = until;
    simulation.pump();
    assert!(simulation.worker.is_drained());
    assert_eq!(simulation.worker.account().closed_for(CloseReason::DrainTimeout), 3);
    let world = simulation.world.borrow();
    for client in world.clients.values() {
        assert!(world.sockets[client].saw_reset, "a stream that was cut does not look complete");
    }
}

#[test]
fn a_fault_is_named_for_its_side() {
    let mut simulation = Simulation::new(3, RelayMode::Copy, Faults::default(), Sabotage::None);
    simulation.world.borrow_mut().client_connects();
    for _ in 0..25 {
        simulation.pump();
        simulation.world.borrow_mut().step();
    }
    let (&client, &server) = simulation.world.borrow().pairs.iter().next().unwrap();
    assert!(simulation.worker.connections().next().is_some(), "still open: {client}");
    simulation.world.borrow_mut().socket(server).peer_resets();
    simulation.world.borrow_mut().behave();
    for _ in 0..2_000 {
        simulation.pump();
        simulation.world.borrow_mut().step();
        simulation.advance();
    }
    let account = simulation.worker.account();
    assert_eq!(account.closed_for(CloseReason::of_fault(Side::Upstream, FaultKind::Reset)), 1);
}

/// Keepalive costs four system calls, so a short connection goes without.
#[test]
fn a_connection_that_lasts_is_kept_alive() {
    let mut simulation = Simulation::new(3, RelayMode::Copy, Faults::default(), Sabotage::None);
    simulation.world.borrow_mut().client_connects();
    for _ in 0..25 {
        simulation.pump();
        simulation.world.borrow_mut().step();
    }
    let (_, &server) = simulation.world.borrow().pairs.iter().next().unwrap();
    assert!(!simulation.world.borrow().sockets[&server].keeps_alive);
    simulation.now += Duration::from_secs(6);
    simulation.pump();
    assert!(simulation.worker.connections().next().is_some(), "still open");
    assert!(simulation.world.borrow().sockets[&server].keeps_alive);
}
