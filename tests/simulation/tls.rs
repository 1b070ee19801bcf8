//! Channels with TLS on either side, or both, over the fake kernel: peers with a session of their
//! own, by the library's other interface, that send and read at random, short writes, spurious
//! events, slow sides, resets and truncation.
//!
//! After every step what is held is within bounds; every byte that can arrive does, and a stream
//! looks whole to its reader only if it is.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};
use spliceway::config::RelayMode;
use spliceway::error::{Direction, FallbackReason, Side};
use spliceway::id::{ConnectionId, Generation, Token};
use spliceway::io::channel::{Channel, Handshake};
use spliceway::io::conduit::{Conduit, Supplies};
use spliceway::io::drive::{Ends, drive};
use spliceway::limits::throttle::Throttle;
use spliceway::relay::{Progress, Relay};
use spliceway::tls::session::Session;

use crate::fake_kernel::{FakeKernel, FakePipe, FakeSocket};
use crate::for_seeds;
use crate::world::{Faults, Sabotage, World, byte_at};

const BYTES_MAX: usize = 200_000;
const STEPS_MAX: usize = 50_000;
/// What one direction may hold: what a read brings, sealed in records of a segment each.
const HELD_MAX: usize = 64 * 1024;

struct Settings {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let issued = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let certificate = issued.cert.der().clone();
        let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Settings { server: Arc::new(server), client: Arc::new(client) }
    })
}

fn name() -> ServerName<'static> {
    ServerName::try_from("a.example").unwrap()
}

/// How a peer ends what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// As it should.
    Proper,
    /// With a FIN and without close_notify, where there is a session.
    Truncated,
    /// With a reset.
    Reset,
}

/// Somebody behind a socket of the proxy.
struct Peer {
    socket: u32,
    session: Option<Connection>,
    stream: u64,
    to_send: usize,
    sent: usize,
    ending: Ending,
    has_ended: bool,
    received: usize,
    /// It has seen a proper end.
    saw_end: bool,
}

struct Pump {
    world: Rc<RefCell<World>>,
    kernel: FakeKernel,
    supplies: Supplies<FakeKernel>,
    sockets: [FakeSocket; 2],
    sessions: [Option<Session>; 2],
    conduits: [Conduit<FakePipe>; 2],
    relay: Relay,
    peers: [Peer; 2],
    hands_shaken: [bool; 2],
}

fn token(side: Side) -> Token {
    Token::Socket(ConnectionId { index: 0, generation: Generation::default() }, side)
}

impl Pump {
    fn new(seed: u64, faults: Faults, may_break: bool) -> Pump {
        let world = Rc::new(RefCell::new(World::new(seed, faults, Sabotage::None)));
        let mut kernel = FakeKernel { world: Rc::clone(&world) };
        let is_tls = [[true, false], [false, true], [true, true]][(seed % 3) as usize];
        let sockets = Side::ALL.map(|side| {
            let mut world = world.borrow_mut();
            world.speaks_http = true;
            let id = world.new_socket(side.index() as u64);
            let socket = world.socket(id);
            // No script plays: this file does.
            (socket.peer.to_send, socket.peer.read_max) = (0, 0);
            socket.send_buffer = socket.send_buffer.max(700);
            id
        });
        let peers = Side::ALL.map(|side| {
            let session = match side {
                Side::Client => ClientConnection::new(Arc::clone(&settings().client), name())
                    .map(Connection::Client),
                Side::Upstream => {
                    ServerConnection::new(Arc::clone(&settings().server)).map(Connection::Server)
                }
            };
            let mut world = world.borrow_mut();
            let endings = [Ending::Proper, Ending::Truncated, Ending::Reset];
            let ending = endings[if may_break { world.rng.usize(0..3) } else { 0 }];
            Peer {
                socket: sockets[side.index()],
                session: is_tls[side.index()].then(|| session.unwrap()),
                stream: side.index() as u64,
                to_send: world.rng.usize(0..BYTES_MAX),
                sent: 0,
                ending,
                has_ended: false,
                received: 0,
                saw_end: false,
            }
        });
        let sessions = Side::ALL.map(|side| {
            let session = match side {
                Side::Client => Session::server(Arc::clone(&settings().server)),
                Side::Upstream => Session::client(Arc::clone(&settings().client), name()),
            };
            is_tls[side.index()].then(|| session.unwrap())
        });
        let sockets = sockets.map(|id| FakeSocket::new(id, Rc::clone(&world)));
        for side in Side::ALL {
            use spliceway::io::kernel::Kernel;
            kernel.watch(&sockets[side.index()], token(side)).unwrap();
        }
        let mut relay = Relay::new(RelayMode::Splice, None);
        for side in Side::ALL.into_iter().filter(|side| is_tls[side.index()]) {
            relay.secure(side);
        }
        relay.fall_back(FallbackReason::Tls);
        Pump {
            world,
            kernel,
            supplies: Supplies::new(1 << 20, 1 << 18),
            sockets,
            sessions,
            conduits: [Conduit::Empty, Conduit::Empty],
            relay,
            peers,
            hands_shaken: is_tls.map(|is_tls| !is_tls),
        }
    }

    /// A turn of the proxy.
    fn turn(&mut self) {
        let edges = self.world.borrow_mut().take_edges();
        for (token, readiness) in edges {
            let Token::Socket(_, side) = token else { continue };
            self.relay.on_ready(side, readiness);
        }
        for side in Side::ALL {
            if self.hands_shaken[side.index()] {
                continue;
            }
            let mut channel = Channel {
                socket: &self.sockets[side.index()],
                session: self.sessions[side.index()].as_mut(),
            };
            match channel.shake_hands(&mut self.kernel, &mut self.supplies) {
                Handshake::Done => {
                    self.hands_shaken[side.index()] = true;
                    self.relay.lane_mut(Direction::from_source(side)).on_readable(true);
                }
                Handshake::Waiting => {}
                Handshake::Failed(failure) => panic!("the handshake failed: {failure}"),
            }
        }
        if self.hands_shaken != [true; 2] {
            return;
        }
        let [client, upstream] = &mut self.sessions;
        let mut ends = Ends {
            client: Channel { socket: &self.sockets[0], session: client.as_mut() },
            upstream: Some(Channel { socket: &self.sockets[1], session: upstream.as_mut() }),
            tokens: Side::ALL.map(token),
            conduits: &mut self.conduits,
            pipe_size: 1 << 16,
            turn_bytes_max: 30_000,
            throttle: Throttle::NONE,
        };
        while drive(&mut self.kernel, &mut self.supplies, &mut ends, &mut self.relay) {}
        for direction in Direction::ALL {
            let lane = self.relay.lane(direction);
            let totals = lane.totals();
            let delivered: u64 = totals.delivered.iter().sum();
            assert_eq!(totals.read, delivered + lane.held() as u64 + totals.discarded);
            assert_eq!(totals.delivered[0], 0, "nothing of it is spliced");
            assert!(lane.held() <= HELD_MAX, "{} bytes are held", lane.held());
        }
    }

    /// Both peers do something, or nothing.
    fn peers_act(&mut self, may_end: bool) {
        for side in Side::ALL {
            let mut world = self.world.borrow_mut();
            let (sends, reads) = (world.rng.u32(0..3) > 0, world.rng.u32(0..3) > 0);
            let amount = world.rng.usize(1..20_000);
            drop(world);
            let is_shaken = self.hands_shaken == [true; 2];
            let peer = &mut self.peers[side.index()];
            if reads {
                peer.read(&self.world, amount);
            }
            if sends {
                peer.send(&self.world, amount, is_shaken && may_end);
            }
        }
    }

    fn run(mut self) {
        for step in 0..STEPS_MAX {
            self.peers_act(true);
            self.turn();
            match self.relay.progress() {
                Progress::Completed => return self.check_whole(),
                Progress::Faulted { side, .. } => return self.check_cut(side),
                _ => {}
            }
            assert!(step + 1 < STEPS_MAX, "it never ends: {:?}", self.relay.steps());
        }
    }

    /// Everything has arrived, and both have seen it end.
    fn check_whole(&mut self) {
        for side in Side::ALL {
            let sent = self.peers[side.peer().index()].to_send;
            let peer = &mut self.peers[side.index()];
            for _ in 0..1000 {
                peer.read(&self.world, 20_000);
            }
            assert_eq!(peer.received, sent, "{side:?}");
            assert!(peer.saw_end || peer.session.is_none(), "{side:?} saw no end");
            let other = &self.peers[side.peer().index()];
            let is_proper = other.ending == Ending::Proper
                || (other.ending == Ending::Truncated
                    && (other.session.is_none() || self.peers[side.index()].has_ended));
            assert!(is_proper, "{side:?} saw the end of a stream that was cut");
        }
    }

    /// What `broken` had sent has been delivered, and its end does not look like one.
    fn check_cut(&mut self, broken: Side) {
        let reader = &mut self.peers[broken.peer().index()];
        for _ in 0..1000 {
            reader.read(&self.world, 20_000);
        }
        assert!(!reader.saw_end || reader.session.is_none(), "a stream that was cut looks whole");
        let (received, ending) = (reader.received, self.peers[broken.index()].ending);
        if ending == Ending::Truncated && !self.peers[broken.peer().index()].has_ended {
            assert_eq!(received, self.peers[broken.index()].sent, "what came before is delivered");
        }
    }
}

impl Peer {
    /// Sends some, and ends after the last.
    fn send(&mut self, world: &Rc<RefCell<World>>, amount: usize, may_send: bool) {
        if self.has_ended {
            return;
        }
        let mut records = Vec::new();
        let may_send = may_send && self.session.as_ref().is_none_or(|it| !it.is_handshaking());
        let count = if may_send { amount.min(self.to_send - self.sent) } else { 0 };
        let bytes: Vec<u8> =
            (self.sent..self.sent + count).map(|at| byte_at(self.stream, at)).collect();
        self.sent += count;
        let is_last = may_send && self.sent == self.to_send;
        match &mut self.session {
            Some(session) => {
                session.writer().write_all(&bytes).unwrap();
                if is_last && self.ending == Ending::Proper {
                    session.send_close_notify();
                }
                while session.wants_write() {
                    session.write_tls(&mut records).unwrap();
                }
            }
            None => records = bytes,
        }
        let mut world = world.borrow_mut();
        let piece = world.rng.usize(1..20_000);
        let socket = world.socket(self.socket);
        if socket.dead || socket.closed {
            return;
        }
        for segment in records.chunks(piece) {
            socket.incoming.push_back(segment.to_vec());
        }
        if is_last {
            self.has_ended = true;
            match self.ending {
                Ending::Reset => socket.peer_resets(),
                Ending::Proper | Ending::Truncated => socket.fin = true,
            }
        }
        socket.raise();
    }

    /// Reads some of what the proxy has sent.
    fn read(&mut self, world: &Rc<RefCell<World>>, amount: usize) {
        let mut world = world.borrow_mut();
        let socket = world.socket(self.socket);
        let count = amount.min(socket.outgoing.len());
        let bytes: Vec<u8> = socket.outgoing.drain(..count).collect();
        let is_over = socket.outgoing.is_empty() && socket.shut;
        socket.raise();
        drop(world);
        let mut plaintext = Vec::new();
        match &mut self.session {
            Some(session) => {
                let mut records = bytes.as_slice();
                while !records.is_empty() {
                    session.read_tls(&mut records).unwrap();
                    let state = session.process_new_packets().unwrap();
                    self.saw_end |= state.peer_has_closed();
                    let mut buffer = vec![0; state.plaintext_bytes_to_read()];
                    session.reader().read_exact(&mut buffer).unwrap();
                    plaintext.extend(buffer);
                }
            }
            None => {
                plaintext = bytes;
                self.saw_end |= is_over;
            }
        }
        for byte in plaintext {
            assert_eq!(byte, byte_at(1 - self.stream, self.received), "at {}", self.received);
            self.received += 1;
        }
    }
}

#[test]
fn tls_carries_every_byte_and_every_end() {
    for_seeds("tls_carries", 0..150, |seed| Pump::new(seed, Faults::NONE, false).run());
}

#[test]
fn tls_with_short_writes_and_spurious_events() {
    let faults = Faults { short_write: 300, spurious_event: 100, ..Faults::NONE };
    for_seeds("tls_with_short_writes", 0..150, |seed| Pump::new(seed, faults, false).run());
}

#[test]
fn tls_that_is_cut_or_reset_does_not_look_whole() {
    let faults = Faults { short_write: 200, ..Faults::NONE };
    for_seeds("tls_that_is_cut", 0..300, |seed| Pump::new(seed, faults, true).run());
}
