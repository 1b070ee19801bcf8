//! Whole exchanges of HTTP over the fake kernel: clients that pipeline and read slowly, servers
//! that break off, answer early or close what was kept.
//!
//! After every turn the books are right and nothing stalls; every response belongs to its request
//! and is exact to the byte, or is cut so that nobody can take it for whole; no request arrives
//! twice that must not, and nothing of a refused one arrives; once the faults have stopped,
//! everything comes to its end and nothing is left.
//!
//! Bugs that were planted in the proxy by hand, and which check found each:
//!
//! | planted | found by |
//! |---|---|
//! | what follows a refused part of a body is read as body | nonsense is answered, not cut off |
//! | half a request resets the connection | answers before it arrive whole |
//! | a drain forgets clients whose event has not come | what had come is answered |
//! | bytes read ahead are not counted | memory in the books is memory held |

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spliceway::access_log::AccessLogSink;
use spliceway::capacity::{ListenerPlan, Plan as MachinePlan, RelayPlan};
use spliceway::config::{
    Action, Config, Forward, Http, HttpLimits, HttpTimeouts, LogTarget, Protocol, Relay, RelayMode,
    Route,
};
use spliceway::error::{CloseReason, Direction, Side};
use spliceway::exchange::phase::Phase;
use spliceway::exchange::progress::{Progress, ResponseProgress};
use spliceway::http::client::ClientSource;
use spliceway::http::edits::HeaderEdits;
use spliceway::http::forwarded::{ForwardedPolicy, TrustedPeers};
use spliceway::http::host::HostPolicy;
use spliceway::http::limits::{ChunkLimits, HeadLimits};
use spliceway::http::prefix::PathEdit;
use spliceway::id::{ListenerId, SocketId, UpstreamId};
use spliceway::io::accept::ConnectionLimit;
use spliceway::io::adopt::Offer;
use spliceway::io::conduit::Conduit;
use spliceway::io::http::connection::{HttpConnection, Unread};
use spliceway::io::kernel::PipeState;
use spliceway::io::worker::{Setup, Wake, Worker};
use spliceway::limits::ListenerLimits;
use spliceway::relay::lane::Step;
use spliceway::roster::Roster;
use spliceway::route::{Pattern, Router};
use spliceway::snapshot::WorkerReport;
use spliceway::tls::store::TlsStore;

use crate::fake_kernel::{FakeKernel, FakeListener};
use crate::http_peers::{Client, Outcome};
use crate::http_plan::{Break, Flaw, Framing, Manners, Plan};
use crate::limited::Bounds;
use crate::reload::Reloads;
use crate::world::{Faults, Sabotage, Shared, Socket, World};
use crate::{LOW_WATER, MODES, for_seeds};

const CLIENTS: usize = 10;
const STEPS_WITH_FAULTS: usize = 300;
const STEPS_TO_END_MAX: usize = 20_000;
const TURNS_IN_A_ROW_MAX: usize = 5_000;
/// By seed: a turn may end anywhere.
const TURN_BYTES_MAX: [usize; 4] = [20_000, 500, 4_000, 150_000];
/// Shorter than most pauses of the world, so that both reuse and sweeping happen.
const IDLE_TIMEOUT: Duration = Duration::from_millis(400);

/// For peers that go on: nothing comes as late as this.
pub const PATIENT: Duration = Duration::from_secs(3600);
/// For peers that fall silent.
const IMPATIENT: Duration = Duration::from_secs(2);
/// After so long nobody who is silent is waited for: attempts to connect, an answer that tells of
/// them and is not read, a connection that lingers, and what is looked at twice; and all that
/// again for those who waited for a place meanwhile.
const SILENCE_MAX: Duration = Duration::from_secs(120);

fn config(mode: RelayMode, timeout: Duration) -> Config {
    let relay = Relay { mode, pipe_size: 1 << 18, low_water: Some(LOW_WATER * 40) };
    let forward = Forward {
        upstream: UpstreamId(0),
        relay,
        host: HostPolicy::Preserve,
        path: PathEdit::default(),
        request_headers: HeaderEdits::default(),
    };
    let http = Http {
        router: Router::new(vec![Pattern::default()]),
        routes: vec![Route {
            action: Action::Forward(forward),
            response_headers: HeaderEdits::default(),
        }],
        limits: HttpLimits {
            head: HeadLimits::default(),
            chunk: ChunkLimits::default(),
            request_body_max: None,
        },
        timeouts: HttpTimeouts {
            request_head: timeout,
            request_body: timeout,
            response_head: timeout,
            response_body: timeout,
            keep_alive: timeout,
            lingering: timeout,
        },
        forwarded: ForwardedPolicy {
            trust: TrustedPeers::default(),
            client: ClientSource::default(),
            x_forwarded: true,
            forwarded: false,
            via: true,
            request_id: true,
        },
    };
    let mut config = crate::config(mode);
    config.listeners[0].protocol = Protocol::Http(Box::new(http));
    config.listeners[0].relay = relay;
    config.listeners[0].timeouts.idle = timeout;
    config.listeners[0].timeouts.half_closed = timeout;
    config.upstreams[0].pool.idle_max = 2;
    config.upstreams[0].pool.idle_timeout = IDLE_TIMEOUT;
    config
}

fn machine_plan(mode: RelayMode) -> MachinePlan {
    let relay = RelayPlan { mode, pipe_size: 1 << 18, fallback: None, reason: String::new() };
    MachinePlan {
        listeners: vec![ListenerPlan { relay: relay.clone(), routes: vec![Some(relay)] }],
        pool_idle_max: vec![2],
        ..crate::plan(mode)
    }
}

/// For each client, what it got, and whether its connection ended in order.
pub type Seen = Vec<(u64, Vec<Outcome>, bool)>;

pub struct Simulation {
    world: Shared,
    worker: Worker<FakeKernel>,
    roster: Arc<Roster>,
    now: Instant,
    manners: Manners,
    bounds: Bounds,
    /// Faults may have hit anybody: less can be demanded.
    is_loose: bool,
    reloads: Option<Reloads>,
}

impl Simulation {
    fn new(
        seed: u64,
        mode: RelayMode,
        faults: Faults,
        manners: Manners,
        sabotage: Sabotage,
    ) -> Simulation {
        let limits = ListenerLimits::default();
        Simulation::limited(seed, mode, faults, manners, sabotage, PATIENT, limits)
    }

    fn with_timeout(
        seed: u64,
        mode: RelayMode,
        faults: Faults,
        manners: Manners,
        sabotage: Sabotage,
        timeout: Duration,
    ) -> Simulation {
        let limits = ListenerLimits::default();
        Simulation::limited(seed, mode, faults, manners, sabotage, timeout, limits)
    }

    pub fn limited(
        seed: u64,
        mode: RelayMode,
        faults: Faults,
        manners: Manners,
        sabotage: Sabotage,
        timeout: Duration,
        limits: ListenerLimits,
    ) -> Simulation {
        let mut world = World::new(seed, faults, sabotage);
        world.registry.manners = manners;
        world.registry.seed = seed;
        world.speaks_http = true;
        let mut config = config(mode, timeout);
        let bounds = Bounds::new(limits, &mut config, &mut world);
        let world = Rc::new(RefCell::new(world));
        let config = Arc::new(config);
        let roster = Arc::new(Roster::new(&config));
        let setup = Setup {
            index: 0,
            roster: Arc::clone(&roster),
            config,
            plan: Arc::new(machine_plan(mode)),
            limit: Arc::new(ConnectionLimit::new(CLIENTS / 2)),
            limits: Arc::clone(&bounds.used),
            access_log: AccessLogSink::open(&LogTarget::Off).unwrap(),
            report: Arc::new(WorkerReport::default()),
            tls: Arc::new(TlsStore::empty()),
            turn_bytes_max: TURN_BYTES_MAX[seed as usize % TURN_BYTES_MAX.len()],
        };
        let mut worker = Worker::new(setup, FakeKernel { world: Rc::clone(&world) });
        let (id, listener) = (SocketId(0), ListenerId(0));
        let offer = Offer { id, socket: FakeListener, listener, is_unix: false };
        worker.add_socket(offer).unwrap();
        let is_loose = faults.reset > 0 || faults.connect_refused > 0 || faults.connect_never > 0;
        let now = bounds.began;
        Simulation { world, worker, roster, now, manners, bounds, is_loose, reloads: None }
    }

    fn with_reloads(mut self, mode: RelayMode) -> Simulation {
        let (roster, limits) = (Arc::clone(&self.roster), Arc::clone(&self.bounds.used));
        let with_mode = |mode| (config(mode, PATIENT), machine_plan(mode));
        self.reloads = Some(Reloads::new(&config(mode, PATIENT), roster, limits, with_mode));
        self
    }

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
        panic!("the worker spins: {:#?}", self.worker.http_connections().collect::<Vec<_>>());
    }

    fn advance(&mut self) {
        let pause = self.world.borrow_mut().rng.u64(0..30);
        self.now += Duration::from_millis(pause);
    }

    fn check_books(&self) {
        let world = self.world.borrow();
        let (mut piped, mut stuck, mut pipes) = (0, 0, 0);
        for connection in self.worker.http_connections() {
            for direction in Direction::ALL {
                let lane = connection.relay.lane(direction);
                let conduit = &connection.conduits[direction.index()];
                let totals = lane.totals();
                let delivered: u64 = totals.delivered.iter().sum();
                let sum = delivered + lane.held() as u64 + totals.discarded;
                assert_eq!(totals.read, sum, "read = delivered + held + discarded");
                assert_eq!(lane.held(), conduit.held(), "lane and conduit agree");
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
            stuck += connection.unread.iter().map(Unread::memory).sum::<usize>() as u64;
            if let (Phase::Idle { .. }, false) = (connection.phase, connection.queued) {
                assert!(connection.exchange.is_none() && connection.upstream.is_none());
                let memory: usize = connection.unread.iter().map(Unread::memory).sum();
                assert_eq!(memory, 0, "between requests a connection holds no memory");
            }
        }
        for conduit in self.worker.connections().flat_map(|tunnel| &tunnel.conduits) {
            match conduit {
                Conduit::Pipe { pipe, .. } => {
                    piped += pipe.held() as u64;
                    pipes += 1;
                }
                Conduit::Stuck { bytes, .. } => stuck += bytes.len() as u64,
                Conduit::Sealed(sealed) => stuck += sealed.memory() as u64,
                Conduit::Empty | Conduit::Scratch { .. } => {}
            }
        }
        let account = self.worker.account();
        let begun = self.worker.http_connections().filter(|it| it.exchange.is_some()).count();
        let upgraded =
            self.worker.connections().filter(|tunnel| tunnel.upgraded_by.is_some()).count();
        assert_eq!(account.exchanges_in_flight(), (begun + upgraded) as i64);
        let supplies = self.worker.supplies();
        let usage = supplies.pipes.usage();
        assert_eq!((supplies.piped_bytes, supplies.stuck_bytes), (piped, stuck));
        assert_eq!(usage.busy, pipes);
        assert_eq!(usage.busy + usage.idle, world.pipes_open as u64);
        let serving = self.worker.http_connections().filter(|it| it.upstream.is_some()).count();
        let upstreams = self.worker.upstreams();
        assert_eq!(upstreams.len(), upstreams.idle() + serving, "each has an owner or is idle");
        assert!(upstreams.idle() <= 4, "pool.idle_max is a bound");
        let open = upstreams.connected() + self.worker.connections().count();
        assert_eq!(account.upstream_connections(), [open as i64, upstreams.idle() as i64]);
    }

    /// What could move has an event coming, which the world would have pending, or is in the run
    /// queue, which is empty here.
    fn check_that_nothing_stalls(&self) {
        let world = self.world.borrow();
        for connection in self.worker.http_connections() {
            let client = &world.sockets[&connection.client.id];
            let server = connection.upstream.and_then(|id| self.worker.upstreams().connection(id));
            let server = server.map(|server| &world.sockets[&server.socket.id]);
            for direction in Direction::ALL {
                let socket = |side| match side {
                    Side::Client => Some(client),
                    Side::Upstream => server,
                };
                let (source, sink) = (socket(direction.source()), socket(direction.sink()));
                let lane = connection.relay.lane(direction);
                if lane.held() > 0 {
                    let is_free =
                        sink.is_some_and(|it| it.outgoing.len() * 3 <= it.send_buffer * 2);
                    assert!(!is_free, "a lane sleeps although its sink is writable");
                    continue;
                }
                let wants = match lane.next() {
                    Step::Wait { readable, .. } => readable,
                    Step::Boundary => {
                        lane.paused_until().is_none() && wants_at_boundary(connection, direction)
                    }
                    Step::Pause { .. } => false,
                    Step::Done => false,
                    step => panic!("a lane sleeps before {step:?}"),
                };
                if let Some(until) = lane.paused_until() {
                    crate::limited::check_pause(until, self.now, self.worker.next_wake());
                }
                let is_worth = source.is_some_and(Socket::is_worth_reading);
                assert!(
                    !wants || !(is_worth || lane.source_has_ended()),
                    "{direction:?} sleeps although its source is readable: {connection:#?} {source:?}"
                );
            }
        }
    }

    pub fn run(mut self) -> Seen {
        for step in 0..STEPS_WITH_FAULTS {
            if step % 15 == 0 && step / 15 < CLIENTS {
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
            let is_over = self.worker.http_connections().next().is_none()
                && self.worker.connections().next().is_none()
                && self.worker.upstreams().is_empty()
                && self.world.borrow().backlog.is_empty()
                && self.world.borrow().http_clients().all(|(_, socket)| socket.outgoing.is_empty());
            if is_over {
                // The last bytes are looked at.
                for _ in 0..50 {
                    self.world.borrow_mut().step();
                }
                return self.check_the_end();
            }
        }
        panic!(
            "not over {STEPS_TO_END_MAX} steps after the faults stopped: {:#?}",
            self.worker.http_connections().next()
        );
    }

    fn check_the_end(&self) -> Seen {
        let account = self.worker.account();
        let closed: u64 =
            CloseReason::ALL.into_iter().map(|reason| account.closed_for(reason)).sum();
        assert_eq!(account.opened_in_all(), CLIENTS as u64);
        assert_eq!(closed, CLIENTS as u64, "each connection ends once");
        let world = self.world.borrow();
        assert!(world.sockets.values().all(|socket| socket.closed), "no descriptor is left");
        assert_eq!(world.pipes_open as u64, self.worker.supplies().pipes.usage().idle);
        let mut seen = Seen::new();
        for (client, socket) in world.http_clients() {
            self.judge(client, socket);
            seen.push((client.plans[0].key, client.outcomes.clone(), socket.saw_fin));
        }
        seen.sort_unstable_by_key(|(key, ..)| *key);
        seen
    }

    /// Whether what a client saw is what its requests allow.
    fn judge(&self, client: &Client, socket: &Socket) {
        for (plan, outcome) in client.plans.iter().zip(&client.outcomes) {
            let is_allowed = match outcome {
                Outcome::Served => may_be_served(plan),
                Outcome::Own(400) => plan.flaw != Flaw::None,
                Outcome::Own(502) => self.may_fail(plan),
                Outcome::Own(503 | 504) => self.is_loose,
                Outcome::Own(_) => false,
            };
            assert!(is_allowed, "{outcome:?} for {plan:?}");
        }
        let answered = client.outcomes.len();
        if answered == client.plans.len() {
            return self.judge_tunnel(client, socket);
        }
        let last = answered.checked_sub(1).map(|last| &client.plans[last]);
        let next = &client.plans[answered];
        let may_end = client.is_told_to_close || last.is_some_and(|plan| plan.is_early);
        let is_cut = socket.saw_reset || socket.dead;
        if client.is_in_response() || !may_end {
            assert!(
                self.may_be_cut(next),
                "no answer to {next:?} after {:?} and {last:?}: {client:?}",
                client.outcomes
            );
            let is_short = !matches!(next.response, Framing::UntilEnd(_));
            let is_none = matches!(next.flaw, Flaw::End(_));
            assert!(
                is_cut || is_short || is_none || self.is_loose,
                "a body that ends with its stream is cut"
            );
        }
    }

    /// After an upgrade every byte arrives, and then the end.
    fn judge_tunnel(&self, client: &Client, socket: &Socket) {
        let Some(plan) = client.plans.last() else { return };
        if let (Some([up, down]), Some(tunnel), false) =
            (plan.upgrade, &client.tunnel, self.is_loose)
        {
            let arrived = self.world.borrow().registry.tunnelled[&plan.key];
            assert_eq!((arrived, tunnel.received), (up, down), "every byte arrives");
            assert!(socket.saw_fin && !socket.saw_reset, "and then the end");
        }
    }

    /// Whether the proxy may say that the server has failed.
    fn may_fail(&self, plan: &Plan) -> bool {
        let is_unsafe = !plan.is_idempotent() || plan.body != Framing::None;
        let may_be_stale = self.manners.idle_close > 0 && is_unsafe;
        plan.breaks != Break::Never || self.is_loose || may_be_stale
    }

    /// Whether the client's connection may end in the middle of the response, or before it.
    fn may_be_cut(&self, plan: &Plan) -> bool {
        // A server that closes while the request still comes resets the connection by that.
        let is_endless = matches!(plan.response, Framing::UntilEnd(_));
        let resets = plan.is_early && is_endless && plan.body != Framing::None;
        // An answer that has begun cannot be taken back when the request turns out to be none.
        let is_no_request = match plan.flaw {
            Flaw::None | Flaw::Field => false,
            Flaw::Chunk(_) => plan.is_early,
            Flaw::End(_) => true,
        };
        plan.breaks != Break::Never || resets || is_no_request || self.is_loose
    }
}

/// Whether a whole response can be seen.
fn may_be_served(plan: &Plan) -> bool {
    match plan.breaks {
        Break::Never => plan.flaw == Flaw::None || (plan.is_early && plan.flaw != Flaw::Field),
        // Nobody can tell that this is not the end of it.
        Break::End(_) if matches!(plan.response, Framing::UntilEnd(_)) => true,
        Break::Reset(_) if matches!(plan.response, Framing::UntilEnd(_)) => {
            plan.method == "HEAD" || plan.response == Framing::None
        }
        Break::End(at) | Break::Reset(at) => at >= plan.response_length(),
    }
}

/// Whether the owner of a lane at a boundary would read from its source.
fn wants_at_boundary(connection: &HttpConnection<FakeKernel>, direction: Direction) -> bool {
    let progress = connection.exchange.as_ref().map(|exchange| &exchange.progress);
    match (connection.phase, direction) {
        (
            Phase::Idle { .. } | Phase::Head { .. } | Phase::Lingering { .. },
            Direction::Upstream,
        ) => true,
        (Phase::Exchanging, Direction::Upstream) => progress.is_some_and(Progress::is_sending),
        (Phase::Exchanging, Direction::Downstream) => {
            let exchange = connection.exchange.as_ref();
            progress.is_some_and(|it| it.response() != ResponseProgress::Delivered)
                && exchange.is_some_and(|exchange| exchange.has_sent_head)
        }
        _ => false,
    }
}

fn run_all_modes(seed: u64, faults: Faults, manners: Manners) {
    for mode in MODES {
        Simulation::new(seed, mode, faults, manners, Sabotage::None).run();
    }
}

pub const SHORT: Faults = Faults {
    short_splice: 200,
    short_write: 200,
    interrupted_splice: 200,
    spurious_event: 100,
    ..Faults::NONE
};

#[test]
fn http_in_quiet_weather() {
    let manners = Manners::default();
    for_seeds("http_in_quiet_weather", 0..200, |seed| run_all_modes(seed, Faults::NONE, manners));
}

#[test]
fn http_with_short_writes_and_spurious_events() {
    let manners = Manners { clients_half_close: true, ..Manners::default() };
    for_seeds("http_with_short_writes_and_spurious_events", 0..200, |seed| {
        run_all_modes(seed, SHORT, manners);
    });
}

#[test]
fn http_reloads_in_mid_flight() {
    let manners = Manners { clients_half_close: true, ..Manners::default() };
    for_seeds("http_reloads_in_mid_flight", 0..200, |seed| {
        for mode in MODES {
            Simulation::new(seed, mode, SHORT, manners, Sabotage::None).with_reloads(mode).run();
        }
    });
}

#[test]
fn http_servers_that_break_off() {
    let manners = Manners { servers_break: true, ..Manners::default() };
    for_seeds("http_servers_that_break_off", 0..300, |seed| run_all_modes(seed, SHORT, manners));
}

#[test]
fn http_early_answers_and_surplus() {
    let manners = Manners {
        servers_answer_early: true,
        servers_send_surplus: true,
        clients_half_close: true,
        ..Manners::default()
    };
    for_seeds("http_early_answers_and_surplus", 0..300, |seed| {
        run_all_modes(seed, SHORT, manners);
    });
}

#[test]
fn http_stale_connections_and_nonsense() {
    let manners = Manners {
        idle_close: 30,
        clients_send_nonsense: true,
        clients_break: true,
        ..Manners::default()
    };
    for_seeds("http_stale_connections_and_nonsense", 0..300, |seed| {
        run_all_modes(seed, SHORT, manners);
    });
}

#[test]
fn http_clients_that_wait_for_nothing() {
    let manners = Manners { all_hurry: true, ..Manners::default() };
    for_seeds("http_clients_that_wait_for_nothing", 0..60, |seed| {
        run_all_modes(seed, Faults::NONE, manners);
    });
}

#[test]
fn http_everything_at_once() {
    let faults = Faults {
        no_pipe: 100,
        small_pipe: 50,
        splice_refused: 50,
        splice_forbidden: 2,
        accept_fails: 100,
        connect_refused: 100,
        connect_never: 50,
        reset: 1,
        ..SHORT
    };
    let manners = Manners {
        servers_break: true,
        servers_answer_early: true,
        servers_send_surplus: true,
        idle_close: 20,
        clients_send_nonsense: true,
        clients_break: true,
        clients_half_close: true,
        clients_upgrade: true,
        all_hurry: false,
    };
    for_seeds("http_everything_at_once", 0..400, |seed| run_all_modes(seed, faults, manners));
}

#[test]
fn http_upgrades() {
    let manners = Manners { clients_upgrade: true, clients_half_close: true, ..Manners::default() };
    for_seeds("http_upgrades", 0..200, |seed| run_all_modes(seed, SHORT, manners));
}

/// A drain lets every exchange that has begun come to its end, keeps nothing that waits, and takes
/// no other.
#[test]
fn http_drains() {
    for_seeds("http_drains", 0..60, |seed| {
        let mut simulation = Simulation::new(
            seed,
            RelayMode::Auto,
            Faults::NONE,
            Manners::default(),
            Sabotage::None,
        );
        for step in 0..100 {
            if step < CLIENTS / 2 - 1 {
                simulation.world.borrow_mut().client_connects();
            }
            simulation.world.borrow_mut().step();
            simulation.pump();
            simulation.advance();
        }
        // What is in the kernel when the drain begins, the worker has not seen.
        simulation.world.borrow_mut().client_connects();
        for _ in 0..20 {
            simulation.world.borrow_mut().step();
        }
        let asking: Vec<u32> = simulation.world.borrow().clients_unread().collect();
        let until = simulation.now + Duration::from_secs(3600);
        simulation.worker.drain(until, simulation.now);
        simulation.world.borrow_mut().behave();
        assert_eq!(simulation.worker.upstreams().idle(), 0, "nothing waits any more");
        for _ in 0..STEPS_TO_END_MAX {
            simulation.world.borrow_mut().step();
            simulation.pump();
            assert_eq!(simulation.worker.upstreams().idle(), 0, "nothing is kept");
            simulation.advance();
            if simulation.worker.is_drained() && simulation.worker.upstreams().is_empty() {
                break;
            }
        }
        assert!(simulation.worker.is_drained());
        let account = simulation.worker.account();
        assert_eq!(account.closed_for(CloseReason::DrainTimeout), 0, "nobody was cut");
        for _ in 0..50 {
            simulation.world.borrow_mut().step();
        }
        let world = simulation.world.borrow();
        for (client, socket) in world.http_clients() {
            assert!(!socket.saw_reset && !client.is_in_response(), "what was begun is whole");
        }
        for (client, socket) in asking.iter().filter_map(|id| world.http_client(*id)) {
            let is_answered = !client.outcomes.is_empty();
            assert!(is_answered, "what had come is answered: {client:?} {socket:?}");
        }
    });
}

/// Everybody falls silent at once, wherever he is: nobody sends, reads or closes any more. Every
/// wait is bounded, so after a while nothing is left of it.
#[test]
fn http_peers_that_fall_silent() {
    let manners = Manners {
        servers_break: true,
        servers_answer_early: true,
        clients_send_nonsense: true,
        clients_break: true,
        clients_half_close: true,
        clients_upgrade: true,
        ..Manners::default()
    };
    let faults = Faults { connect_refused: 50, connect_never: 100, ..SHORT };
    for_seeds("http_peers_that_fall_silent", 0..200, |seed| {
        let (mode, none) = (MODES[seed as usize % MODES.len()], Sabotage::None);
        let mut simulation = Simulation::with_timeout(seed, mode, faults, manners, none, IMPATIENT);
        for step in 0..50 + seed as usize % 100 {
            if step % 10 == 0 {
                simulation.world.borrow_mut().client_connects();
            }
            simulation.world.borrow_mut().step();
            simulation.pump();
            simulation.advance();
        }
        let until = simulation.now + SILENCE_MAX;
        while simulation.now < until {
            simulation.advance();
            simulation.pump();
        }
        let worker = &simulation.worker;
        let left = worker.http_connections().next();
        let left = left.map(|it| (it.phase, &it.exchange, it.relay.clone()));
        assert!(left.is_none(), "it waits for ever: {left:#?}");
        assert!(worker.connections().next().is_none() && worker.upstreams().is_empty());
        assert_eq!(worker.account().exchanges_in_flight(), 0);
        let world = simulation.world.borrow();
        assert!(world.sockets.iter().all(|(id, socket)| socket.closed || world.waits(*id)));
    });
}

/// What clients see does not depend on the way of the bytes.
#[test]
fn http_is_the_same_in_every_mode() {
    for_seeds("http_is_the_same_in_every_mode", 0..100, |seed| {
        let seen = MODES.map(|mode| {
            let manners = Manners::default();
            Simulation::new(seed, mode, Faults::NONE, manners, Sabotage::None).run()
        });
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0], seen[2]);
    });
}

/// The checks can fail: each break of the kernel's promises is found within a few seeds.
#[test]
fn http_sabotage_is_caught() {
    let check = |sabotage, mode, manners: Manners, expected: &[&str]| {
        let caught = (0..60).find_map(|seed| {
            let run = || Simulation::new(seed, mode, Faults::NONE, manners, sabotage).run();
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).err()?;
            Some(crate::message_of(panic))
        });
        let message = caught.unwrap_or_else(|| panic!("{sabotage:?} was not caught"));
        let is_expected = expected.iter().any(|expected| message.contains(expected));
        assert!(is_expected, "{sabotage:?} was caught by: {message}");
    };
    let calm = Manners::default();
    let surplus = Manners { servers_send_surplus: true, ..calm };
    let sleeps = &["sleeps although its source is readable"];
    check(Sabotage::LoseAnEdge, RelayMode::Copy, calm, sleeps);
    check(Sabotage::CorruptAByte, RelayMode::Splice, calm, &["a body is wrong at offset"]);
    let of_another = &[
        "the response of another request",
        "a request on a connection that is over",
        "sleeps although its source is readable",
    ];
    check(Sabotage::HideSurplus, RelayMode::Splice, surplus, of_another);
}
