//! The other side of the kernel: sockets, their peers, time and mischief, all from one seed.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use fastrand::Rng;
use spliceway::error::Side;
use spliceway::id::{ConnectionId, Token};
use spliceway::relay::Readiness;

use crate::http_peers::{Client, Peer, Registry, Server};
use crate::http_plan::{Flaw, Plan};

/// Requests of one client of HTTP, at most.
pub const REQUESTS_MAX: u64 = 6;

/// Errno values that the world reports.
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const EAGAIN: i32 = 11;
    pub const EINVAL: i32 = 22;
    pub const EMFILE: i32 = 24;
    pub const EPIPE: i32 = 32;
    pub const ENOSYS: i32 = 38;
    pub const ECONNABORTED: i32 = 103;
    pub const ECONNRESET: i32 = 104;
    pub const ENOTCONN: i32 = 107;
    pub const ECONNREFUSED: i32 = 111;
    pub const EHOSTUNREACH: i32 = 113;
}

/// How likely each fault is, of 1000 chances; all 0 once the faults have stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    pub short_splice: u32,
    pub short_write: u32,
    /// A splice into a socket that ends early although there is room, as a signal makes it.
    pub interrupted_splice: u32,
    pub spurious_event: u32,
    pub no_pipe: u32,
    pub small_pipe: u32,
    pub splice_refused: u32,
    pub splice_forbidden: u32,
    pub accept_fails: u32,
    pub connect_refused: u32,
    pub connect_never: u32,
    pub reset: u32,
}

impl Faults {
    pub const NONE: Faults = Faults {
        short_splice: 0,
        short_write: 0,
        interrupted_splice: 0,
        spurious_event: 0,
        no_pipe: 0,
        small_pipe: 0,
        splice_refused: 0,
        splice_forbidden: 0,
        accept_fails: 0,
        connect_refused: 0,
        connect_never: 0,
        reset: 0,
    };
}

/// A break of the kernel's own promises, planted to prove that the checks can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    None,
    /// One edge is never reported.
    LoseAnEdge,
    /// A socket whose reads are not heard stays so.
    StayDeaf,
    /// One byte changes in a pipe.
    CorruptAByte,
    /// Two bytes of a read change places.
    SwapBytes,
    /// A small read says that there is nothing, although there is.
    HideSurplus,
}

/// What a peer of the proxy still has in mind.
#[derive(Debug, Clone)]
pub struct Script {
    /// Bytes to send before the FIN.
    pub to_send: usize,
    /// Bytes sent so far.
    pub sent: usize,
    /// Segments are at most this large.
    pub segment_max: usize,
    /// It reads at most so much at a time; 0 while it does not read at all.
    pub read_max: usize,
    /// It has said that nothing more comes.
    pub has_finished: bool,
    /// Large segments and small ones by turns, eight of each: bulk and dialogue on one connection.
    pub alternates: bool,
    pub segments: usize,
    /// It waits for the other side's FIN before it sends its own.
    pub finishes_last: bool,
}

impl Script {
    /// The same peer without malice: it sends all it has, reads all it gets, and waits for nobody.
    fn behaving(self) -> Script {
        Script {
            read_max: 50_000,
            finishes_last: false,
            alternates: false,
            segment_max: 100_000,
            ..self
        }
    }
}

/// One socket of the proxy, with the peer behind it.
#[derive(Debug)]
pub struct Socket {
    pub token: Option<Token>,
    pub stream: u64,
    pub peer: Script,
    // From the peer to the proxy.
    /// Segments that the proxy has not read.
    pub incoming: VecDeque<Vec<u8>>,
    /// Where in the stream an urgent byte is: a read ends before it, and a splice never passes it.
    pub urgent: Option<usize>,
    pub fin: bool,
    /// The peer has reset: reads bring what is queued, then the error, then the end.
    pub error: Option<i32>,
    pub dead: bool,
    // From the proxy to the peer.
    pub outgoing: VecDeque<u8>,
    /// So many of the last of them wait for more. The real kernel lets go of them after 200 ms;
    /// here somebody who forgets them waits for ever.
    pub kept_back: usize,
    pub send_buffer: usize,
    /// Fewer bytes than this bring no event.
    pub low_water: usize,
    /// Bytes to read and the end of the stream are among its events.
    pub hears_reads: bool,
    pub shut: bool,
    /// What the peer has read, verified byte for byte as it comes.
    pub received: usize,
    /// The stream that the peer should see, with the offset that comes next.
    pub expected_stream: Option<u64>,
    pub saw_fin: bool,
    pub saw_reset: bool,
    /// Bytes that the proxy has taken from the socket.
    pub taken: usize,
    /// Bytes that the proxy has given to it.
    pub given: usize,
    /// The proxy has closed its descriptor.
    pub closed: bool,
    // Edges not yet reported.
    pub edge: Readiness,
    pub has_edge: bool,
    /// Splice does not work on this socket.
    pub refuses_splice: bool,
    /// Steps until a connect is decided; `None` once it is.
    pub connecting: Option<u32>,
    pub connect_outcome: Result<(), i32>,
    pub watched: bool,
    pub keeps_alive: bool,
    /// It was closed before its connect was decided.
    pub abandoned: bool,
    /// Who is behind it, where it speaks HTTP.
    pub http: Option<Peer>,
    /// The peer reads no more, and answers what comes with a reset.
    pub peer_closed: bool,
}

/// The pattern that stream `stream` has at `offset`.
pub fn byte_at(stream: u64, offset: usize) -> u8 {
    let mixed = (offset as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ stream.wrapping_mul(0xD1B5);
    (mixed >> 24) as u8 ^ mixed as u8
}

impl Socket {
    pub fn new(stream: u64, peer: Script, send_buffer: usize) -> Socket {
        Socket {
            token: None,
            stream,
            peer,
            incoming: VecDeque::new(),
            urgent: None,
            fin: false,
            error: None,
            dead: false,
            outgoing: VecDeque::new(),
            kept_back: 0,
            send_buffer,
            low_water: 1,
            hears_reads: true,
            shut: false,
            received: 0,
            expected_stream: None,
            saw_fin: false,
            saw_reset: false,
            taken: 0,
            given: 0,
            closed: false,
            edge: Readiness::default(),
            has_edge: false,
            refuses_splice: false,
            connecting: None,
            connect_outcome: Ok(()),
            watched: false,
            keeps_alive: false,
            abandoned: false,
            http: None,
            peer_closed: false,
        }
    }

    /// Takes up to `max` bytes, in the pieces that they came in.
    pub fn take(&mut self, max: usize) -> Option<Vec<u8>> {
        let mut segment = self.incoming.pop_front()?;
        let rest = segment.split_off(segment.len().min(max));
        if !rest.is_empty() {
            self.incoming.push_front(rest);
        }
        self.taken += segment.len();
        Some(segment)
    }

    /// Bytes before the urgent mark; none stands in the way if there is no mark.
    pub fn before_mark(&self) -> usize {
        self.urgent.map_or(usize::MAX, |mark| mark - self.taken)
    }

    /// Whether a read would bring anything but `EAGAIN`.
    pub fn is_readable(&self) -> bool {
        self.connecting.is_none()
            && (!self.incoming.is_empty() || self.fin || self.error.is_some() || self.dead)
    }

    /// Whether a write would bring anything but `EAGAIN`.
    pub fn is_writable(&self) -> bool {
        self.connecting.is_none()
            && (self.outgoing.len() < self.send_buffer || self.error.is_some() || self.dead)
    }

    /// Whether an event would call a read worth while.
    pub fn is_worth_reading(&self) -> bool {
        let queued: usize = self.incoming.iter().map(Vec::len).sum();
        let is_over = self.fin || self.error.is_some() || self.dead;
        self.connecting.is_none() && (queued >= self.low_water || is_over)
    }

    /// As epoll does it, an edge reports all that holds at the time, not only what changed.
    pub fn raise(&mut self) {
        if self.closed || !self.watched || (self.connecting.is_some()) {
            return;
        }
        let broken = self.error.is_some();
        let urgent = self.hears_reads && self.urgent.is_some();
        self.edge = Readiness {
            readable: self.hears_reads && self.is_worth_reading(),
            // tcp_poll: writable from a third of the buffer free on.
            writable: self.is_writable() && self.outgoing.len() * 3 <= self.send_buffer * 2,
            behind: self.hears_reads && (self.fin || self.dead) || broken || urgent,
            urgent,
            broken,
        };
        self.has_edge = self.hears_reads || self.edge != Readiness::default();
    }

    fn peer_sends(&mut self, rng: &mut Rng) {
        if self.peer.sent >= self.peer.to_send || self.dead {
            return;
        }
        let left = self.peer.to_send - self.peer.sent;
        let is_small = self.peer.alternates && self.peer.segments / 8 % 2 == 1;
        let longest = if is_small { 50 } else { self.peer.segment_max.min(left) };
        let length = rng.usize(1..=longest).min(left);
        self.peer.segments += 1;
        let segment = (self.peer.sent..self.peer.sent + length)
            .map(|offset| byte_at(self.stream, offset))
            .collect();
        self.incoming.push_back(segment);
        if rng.u32(0..40) == 0 {
            self.urgent = Some(rng.usize(self.peer.sent..self.peer.sent + length));
        }
        self.peer.sent += length;
        self.raise();
    }

    fn peer_finishes(&mut self) {
        let may = !self.peer.finishes_last || self.saw_fin;
        if self.peer.sent == self.peer.to_send && !self.peer.has_finished && !self.dead && may {
            self.peer.has_finished = true;
            self.fin = true;
            self.raise();
        }
    }

    pub fn peer_resets(&mut self) {
        if !self.dead && self.connecting.is_none() {
            self.dead = true;
            self.error = Some(errno::ECONNRESET);
            self.outgoing.clear();
            self.raise();
        }
    }

    /// The peer reads; what it gets must be what the other end of the relay sent.
    fn peer_reads(&mut self, rng: &mut Rng) {
        if self.dead || self.peer.read_max == 0 {
            return;
        }
        let count = rng.usize(1..=self.peer.read_max).min(self.visible());
        for byte in self.outgoing.drain(..count) {
            let stream = self.expected_stream.expect("bytes came from a relay");
            assert_eq!(
                byte,
                byte_at(stream, self.received),
                "stream {stream} is wrong at offset {}",
                self.received
            );
            self.received += 1;
        }
        if count > 0 && self.outgoing.len() * 3 <= self.send_buffer * 2 && !self.closed {
            self.raise();
        }
        self.look_for_fin();
    }

    /// Bytes that have left for the peer. An end of the stream takes along what waits.
    pub fn visible(&self) -> usize {
        let kept_back = if self.shut || self.closed { 0 } else { self.kept_back };
        self.outgoing.len() - kept_back.min(self.outgoing.len())
    }

    /// The peer sees the end once it has read everything before it.
    pub fn look_for_fin(&mut self) {
        if self.outgoing.is_empty() && (self.shut || self.closed) && !self.saw_reset && !self.dead {
            self.saw_fin = true;
        }
    }

    pub fn step(&mut self, registry: &mut Registry, rng: &mut Rng) {
        if let Some(steps) = &mut self.connecting {
            *steps = steps.saturating_sub(1);
            if *steps == 0 {
                self.connecting = None;
                if let Err(errno) = self.connect_outcome {
                    self.error = Some(errno);
                    self.dead = true;
                }
                self.raise();
            }
            return;
        }
        if let Some(mut peer) = self.http.take() {
            peer.step(self, registry, rng);
            self.http = Some(peer);
            return;
        }
        match rng.u32(0..10) {
            0..=3 => self.peer_sends(rng),
            4..=7 => self.peer_reads(rng),
            8 => self.peer_finishes(),
            _ => {}
        }
    }
}

/// The least send buffer once the faults have stopped: liveness is not to be shown a byte a step.
const SEND_BUFFER_BEHAVING: usize = 5_000;

/// The stream of the `count`-th client.
fn client_stream(count: u64) -> u64 {
    count * 2
}

/// What a server sends to the client whose stream is `client`.
fn server_stream(client: u64) -> u64 {
    client + 1
}

/// A client that has connected and was not accepted yet.
pub type Backlog = VecDeque<u32>;

/// Everything behind the kernel's interface.
#[derive(Debug)]
pub struct World {
    pub rng: Rng,
    pub faults: Faults,
    pub sabotage: Sabotage,
    pub sockets: BTreeMap<u32, Socket>,
    pub backlog: Backlog,
    pub listener_edge: bool,
    /// The client socket of each connection, by the id that the worker gave it.
    pub clients: BTreeMap<ConnectionId, u32>,
    /// The client and the server socket of each connection that got as far as a connect; the last
    /// attempt counts.
    pub pairs: BTreeMap<u32, u32>,
    seed: u64,
    clients_made: u64,
    behaves: bool,
    pub pipe_slots: usize,
    pub splice_forbidden: bool,
    pub pipes_open: usize,
    /// Calls since the last look, for the check that nothing spins.
    pub calls: usize,
    next_id: u32,
    pub speaks_http: bool,
    /// Clients have addresses of the internet: so many different ones, or none.
    pub addresses: u8,
    pub registry: Registry,
}

pub type Shared = Rc<RefCell<World>>;

impl World {
    pub fn new(seed: u64, faults: Faults, sabotage: Sabotage) -> World {
        let mut rng = Rng::with_seed(seed);
        let pipe_slots = rng.usize(1..=16);
        World {
            rng,
            faults,
            sabotage,
            sockets: BTreeMap::new(),
            backlog: VecDeque::new(),
            listener_edge: false,
            clients: BTreeMap::new(),
            pairs: BTreeMap::new(),
            seed,
            clients_made: 0,
            behaves: false,
            pipe_slots,
            splice_forbidden: false,
            pipes_open: 0,
            calls: 0,
            next_id: 0,
            speaks_http: false,
            addresses: 0,
            registry: Registry::default(),
        }
    }

    /// The address of the client with this socket.
    pub fn address_of(&self, id: u32) -> Option<SocketAddr> {
        let last = id.checked_rem(self.addresses.into())?;
        Some(SocketAddr::from(([192, 0, 2, last as u8], 5000)))
    }

    /// What the proxy has read from clients and from servers: all of them, or those of a client's
    /// address. Whose a server of HTTP is changes with each request, so it is nobody's.
    pub fn taken(&self, of: Option<SocketAddr>) -> [u64; 2] {
        let (mut clients, mut servers) = (0, 0);
        for client in self.clients.values() {
            if of.is_none() || self.address_of(*client) == of {
                clients += self.sockets[client].taken as u64;
                let server = self.pairs.get(client).map(|server| self.sockets[server].taken);
                servers += server.unwrap_or(0) as u64;
            }
        }
        if of.is_none() && self.speaks_http {
            let is_server = |socket: &&Socket| matches!(socket.http, Some(Peer::Server(_)));
            let of_servers = self.sockets.values().filter(is_server);
            servers = of_servers.map(|socket| socket.taken as u64).sum();
        }
        [clients, servers]
    }

    pub fn chance(&mut self, of_1000: u32) -> bool {
        of_1000 > 0 && self.rng.u32(0..1000) < of_1000
    }

    /// A socket of the proxy whose peer sends stream `stream`.
    pub fn new_socket(&mut self, stream: u64) -> u32 {
        self.next_id += 1;
        let smallest = if self.behaves { SEND_BUFFER_BEHAVING } else { 1 };
        let largest = [40_000, 40_000, 300_000][self.rng.usize(0..3)];
        let send_buffer = self.rng.usize(smallest..largest);
        let id = self.next_id;
        let mut socket = Socket::new(stream, self.script(stream), send_buffer);
        socket.refuses_splice = self.chance(self.faults.splice_refused);
        self.sockets.insert(id, socket);
        id
    }

    /// What the peer that sends `stream` will do: the same for the same seed, whatever else
    /// happens.
    pub fn script(&self, stream: u64) -> Script {
        let mut rng = Rng::with_seed(self.seed.wrapping_mul(1_000_003) ^ stream);
        let sizes = [0, 1, 100, 5_000, 40_000, 150_000];
        let to_send = sizes[rng.usize(0..sizes.len())];
        let segments = [1, 10, 1_500, 20_000, 70_000];
        // One-byte segments of a large stream would only cost time.
        let segment_max = segments[rng.usize(0..segments.len())].max(to_send / 200);
        let reads = [0, 7, 1_000, 30_000];
        let mut read_max = reads[rng.usize(0..reads.len())];
        if read_max == 7 && to_send > 5_000 {
            read_max = 1_000;
        }
        let script = Script {
            to_send: rng.usize(0..=to_send),
            sent: 0,
            segment_max,
            read_max,
            has_finished: false,
            finishes_last: rng.u32(0..3) == 0,
            alternates: rng.u32(0..3) == 0,
            segments: 0,
        };
        if self.behaves { script.behaving() } else { script }
    }

    pub fn client_connects(&mut self) {
        self.clients_made += 1;
        let id = self.new_socket(client_stream(self.clients_made));
        if self.speaks_http {
            let first = self.clients_made * REQUESTS_MAX;
            let requests = 1 + self.registry.plan(first).response_stream() % REQUESTS_MAX;
            let mut plans: Vec<_> =
                (first..first + requests).map(|key| self.registry.plan(key)).collect();
            // Nothing follows an upgrade, nor the end of the stream.
            let is_last = |plan: &Plan| plan.upgrade.is_some() || matches!(plan.flaw, Flaw::End(_));
            let last = plans.iter().position(is_last);
            plans.truncate(last.map_or(plans.len(), |last| last + 1));
            let client = Client::new(plans, &self.registry.manners, &mut self.rng);
            self.socket(id).http = Some(Peer::Client(client));
        }
        self.backlog.push_back(id);
        self.listener_edge = true;
    }

    /// One socket does something, or several.
    pub fn step(&mut self) {
        let mut rng = self.rng.fork();
        let spurious = self.faults.spurious_event;
        let reset = self.faults.reset;
        for socket in self.sockets.values_mut() {
            if socket.closed && socket.outgoing.is_empty() && (socket.saw_fin || socket.saw_reset) {
                continue;
            }
            socket.step(&mut self.registry, &mut rng);
            if spurious > 0 && rng.u32(0..1000) < spurious {
                socket.raise();
            }
            if reset > 0 && rng.u32(0..1000) < reset {
                socket.peer_resets();
            }
        }
    }

    /// Ends all mischief: what was promised is kept from now on.
    pub fn behave(&mut self) {
        self.faults = Faults::default();
        self.splice_forbidden = false;
        self.behaves = true;
        self.registry.manners.idle_close = 0;
        for socket in self.sockets.values_mut() {
            socket.peer = socket.peer.clone().behaving();
            if let Some(peer) = &mut socket.http {
                peer.behave();
            }
            socket.send_buffer = socket.send_buffer.max(SEND_BUFFER_BEHAVING);
            socket.raise();
            if socket.connecting.is_some() {
                socket.connecting = Some(1);
            }
        }
    }

    /// The worker watches a socket for a connection: now it is known whose bytes it should see.
    pub fn watched(&mut self, id: u32, connection: ConnectionId, side: Side) {
        match side {
            Side::Client => {
                self.clients.insert(connection, id);
            }
            Side::Upstream => {
                let client = self.clients[&connection];
                self.pairs.insert(client, id);
                let stream = self.socket(client).stream;
                let script = self.script(server_stream(stream));
                self.socket(client).expected_stream = Some(server_stream(stream));
                let server = self.socket(id);
                server.stream = server_stream(stream);
                server.peer = script;
                server.expected_stream = Some(stream);
            }
        }
    }

    /// The worker watches a connection to a server of HTTP.
    pub fn watched_server(&mut self, id: u32) {
        let mut server = Peer::Server(Server::new(&self.registry.manners, &mut self.rng));
        if self.behaves {
            server.behave();
        }
        self.socket(id).http = Some(server);
    }

    /// Whether a client was not accepted yet.
    pub fn waits(&self, id: u32) -> bool {
        self.backlog.contains(&id)
    }

    /// The clients whose first bytes nobody has read.
    pub fn clients_unread(&self) -> impl Iterator<Item = u32> {
        let is_unread = |socket: &Socket| socket.taken == 0 && !socket.incoming.is_empty();
        let clients = self.sockets.iter().filter(move |(_, socket)| is_unread(socket));
        clients.filter(|(_, it)| matches!(it.http, Some(Peer::Client(_)))).map(|(id, _)| *id)
    }

    /// A client that speaks HTTP.
    pub fn http_client(&self, id: u32) -> Option<(&Client, &Socket)> {
        let socket = &self.sockets[&id];
        match &socket.http {
            Some(Peer::Client(client)) => Some((client, socket)),
            _ => None,
        }
    }

    /// The clients that speak HTTP.
    pub fn http_clients(&self) -> impl Iterator<Item = (&Client, &Socket)> {
        self.sockets.values().filter_map(|socket| match &socket.http {
            Some(Peer::Client(client)) => Some((client, socket)),
            _ => None,
        })
    }

    pub fn socket(&mut self, id: u32) -> &mut Socket {
        self.sockets.get_mut(&id).expect("sockets are never forgotten")
    }

    pub fn has_edges(&self) -> bool {
        self.listener_edge || self.sockets.values().any(|socket| socket.has_edge && !socket.closed)
    }

    /// The edges to report, each once.
    pub fn take_edges(&mut self) -> Vec<(Token, Readiness)> {
        let mut edges = Vec::new();
        if std::mem::take(&mut self.listener_edge) {
            edges.push((Token::Listener(0), Readiness::default()));
        }
        for socket in self.sockets.values_mut() {
            if std::mem::take(&mut socket.has_edge) && !socket.closed {
                // epoll(7) looks again at what holds when the event is taken: an error that
                // somebody has read meanwhile is not reported any more.
                socket.raise();
                socket.has_edge = false;
                let token = socket.token.expect("only watched sockets have edges");
                edges.push((token, std::mem::take(&mut socket.edge)));
            }
        }
        // Events for connections that are over. (There are none for a failed attempt of one that
        // is not: the worker takes all events of a poll before it closes anything.)
        let stale = self.faults.spurious_event;
        for client in self.clients.values() {
            let socket = &self.sockets[client];
            if let (true, Some(token)) = (socket.closed, socket.token)
                && stale > 0
                && self.rng.u32(0..1000) < stale
            {
                let all = Readiness {
                    readable: true,
                    writable: true,
                    behind: true,
                    urgent: true,
                    broken: true,
                };
                edges.push((token, all));
            }
        }
        if self.sabotage == Sabotage::LoseAnEdge && !edges.is_empty() {
            let lost = self.rng.usize(0..edges.len());
            if edges[lost].1.readable {
                edges.remove(lost);
                self.sabotage = Sabotage::None;
            }
        }
        self.rng.shuffle(&mut edges);
        edges
    }
}
