//! Clients and servers that speak HTTP over the sockets of the world.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::http_plan::{Break, Flaw, Framing, Manners, Plan, SURPLUS, plan, stream_bytes};
use crate::http_wire::{BodyReader, Head, Reading};
use crate::world::Socket;

/// What is behind a socket that speaks HTTP.
#[derive(Debug)]
pub enum Peer {
    Client(Client),
    Server(Server),
}

/// What all peers know.
#[derive(Debug, Default)]
pub struct Registry {
    pub seed: u64,
    pub manners: Manners,
    /// How often each request arrived whole at a server.
    pub served: BTreeMap<u64, u32>,
    /// What arrived at a server after an upgrade.
    pub tunnelled: BTreeMap<u64, usize>,
}

impl Registry {
    pub fn plan(&self, key: u64) -> Plan {
        plan(self.seed, key, &self.manners)
    }
}

impl Peer {
    pub fn step(&mut self, socket: &mut Socket, registry: &mut Registry, rng: &mut Rng) {
        if socket.connecting.is_some() || socket.dead {
            return;
        }
        match self {
            Peer::Client(client) => client.step(socket, rng),
            Peer::Server(server) => server.step(socket, registry, rng),
        }
    }

    /// No mischief from now on: it reads all it gets and sends all it has.
    pub fn behave(&mut self) {
        match self {
            Peer::Client(client) => client.pace = Pace::BEHAVING,
            Peer::Server(server) => {
                server.pace = Pace::BEHAVING;
                server.stops_reading = false;
            }
        }
    }
}

/// How much a peer sends and reads at a time, at most.
#[derive(Debug, Clone, Copy)]
struct Pace {
    segment: usize,
    read: usize,
}

impl Pace {
    const BEHAVING: Pace = Pace { segment: 100_000, read: 50_000 };

    fn new(rng: &mut Rng) -> Pace {
        Pace {
            segment: [1, 20, 1_500, 20_000, 70_000][rng.usize(0..5)],
            read: [0, 40, 1_000, 30_000][rng.usize(0..4)],
        }
    }

    /// Sends a segment of `outbox`.
    fn send(self, outbox: &mut Vec<u8>, socket: &mut Socket, rng: &mut Rng) {
        if outbox.is_empty() {
            return;
        }
        // One-byte segments of a large body would only cost time.
        let longest = self.segment.max(outbox.len() / 100).min(outbox.len());
        let segment = outbox.drain(..rng.usize(1..=longest)).collect();
        socket.incoming.push_back(segment);
        socket.raise();
    }

    /// Reads some of what the proxy has written.
    fn read(self, inbox: &mut Vec<u8>, socket: &mut Socket, rng: &mut Rng) {
        if self.read == 0 {
            return;
        }
        let longest = self.read.max(socket.outgoing.len() / 50);
        let count = rng.usize(1..=longest).min(socket.visible());
        inbox.extend(socket.outgoing.drain(..count));
        socket.received += count;
        if count > 0 && socket.outgoing.len() * 3 <= socket.send_buffer * 2 && !socket.closed {
            socket.raise();
        }
        socket.look_for_fin();
    }
}

/// What a client got for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The response of the server.
    Served,
    /// An answer of the proxy.
    Own(u16),
}

#[derive(Debug)]
pub struct Client {
    pub plans: Vec<Plan>,
    pub outcomes: Vec<Outcome>,
    /// A response said that the connection ends.
    pub is_told_to_close: bool,
    begun: usize,
    pipelines: bool,
    half_closes: bool,
    pace: Pace,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    response: Option<(Outcome, BodyReader)>,
    /// What comes after an upgrade.
    pub tunnel: Option<BodyReader>,
    has_finished: bool,
}

impl Client {
    pub fn new(plans: Vec<Plan>, manners: &Manners, rng: &mut Rng) -> Client {
        Client {
            plans,
            outcomes: Vec::new(),
            is_told_to_close: false,
            begun: 0,
            pipelines: manners.all_hurry || rng.bool(),
            half_closes: manners.clients_half_close && rng.bool(),
            pace: if manners.all_hurry { Pace::BEHAVING } else { Pace::new(rng) },
            outbox: Vec::new(),
            inbox: Vec::new(),
            response: None,
            tunnel: None,
            has_finished: false,
        }
    }

    /// Whether a part of a response is here that has not come to its end.
    pub fn is_in_response(&self) -> bool {
        self.response.is_some() || !self.inbox.is_empty() || self.tunnel.is_some()
    }

    fn step(&mut self, socket: &mut Socket, rng: &mut Rng) {
        let may_begin = self.pipelines || self.outcomes.len() == self.begun;
        if may_begin && self.begun < self.plans.len() && !self.is_told_to_close {
            let plan = &self.plans[self.begun];
            self.outbox.extend(plan.request_bytes());
            if let (Some([length, _]), true) = (plan.upgrade, plan.is_hasty) {
                self.outbox.extend(stream_bytes(plan.request_stream(), length));
            }
            self.begun += 1;
        }
        match rng.u32(0..10) {
            0..=4 => self.pace.send(&mut self.outbox, socket, rng),
            _ => {
                self.pace.read(&mut self.inbox, socket, rng);
                while self.read_response(socket) {}
            }
        }
        let has_sent = self.begun == self.plans.len() && self.outbox.is_empty();
        let has_all = self.outcomes.len() == self.plans.len() || self.is_told_to_close;
        let will_upgrade = self.plans.last().is_some_and(|plan| plan.upgrade.is_some());
        let has_sent = has_sent && (self.tunnel.is_some() || !will_upgrade || has_all);
        let is_over = (socket.saw_fin && self.tunnel.is_none())
            || (has_all && self.response.is_none() && has_sent);
        let is_short = matches!(self.plans.last(), Some(Plan { flaw: Flaw::End(_), .. }));
        if !self.has_finished && (is_over || (has_sent && (self.half_closes || is_short))) {
            self.has_finished = true;
            socket.fin = true;
            socket.raise();
        }
    }

    /// Reads on; says whether there may be more to read.
    fn read_response(&mut self, socket: &Socket) -> bool {
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.read(&mut self.inbox);
            return false;
        }
        let Some((outcome, body)) = &mut self.response else { return self.read_head() };
        body.read(&mut self.inbox);
        if body.reading == Reading::UntilEnd && socket.saw_fin {
            body.reading = Reading::Done;
        }
        if body.reading != Reading::Done {
            return false;
        }
        let plan = &self.plans[self.outcomes.len()];
        if *outcome == Outcome::Served && plan.method != "HEAD" {
            let is_short =
                matches!((plan.response, plan.breaks), (Framing::UntilEnd(_), Break::End(_)));
            assert!(
                body.received == plan.response.length() || is_short || plan.parts.len() > 1,
                "a response ends at {} and looks complete: {plan:?}",
                body.received
            );
        }
        self.outcomes.push(*outcome);
        self.response = None;
        !self.inbox.is_empty()
    }

    fn read_head(&mut self) -> bool {
        if self.inbox.is_empty() {
            return false;
        }
        let index = self.outcomes.len();
        assert!(index < self.begun, "an answer that nobody asked for: {:?}", self.inbox);
        assert!(!self.is_told_to_close, "an answer behind the last one");
        let plan = &self.plans[index];
        let Some(head) = Head::take(&mut self.inbox) else { return false };
        let status: u16 = head.start.split(' ').nth(1).expect("a status").parse().expect("one");
        if status == 103 {
            assert!(plan.has_interim && !plan.is_old, "an interim response: {plan:?}");
            return true;
        }
        if status == 101 {
            let [length, _] = plan.upgrade.expect("a switch that was asked for");
            if !plan.is_hasty {
                self.outbox.extend(stream_bytes(plan.request_stream(), length));
            }
            self.tunnel = Some(BodyReader::new(Reading::UntilEnd, Some(plan.response_stream())));
            self.outcomes.push(Outcome::Served);
            return true;
        }
        let key = head.value("x-key").map(|key| key.strip_prefix("/k/").unwrap_or(key));
        let key = key.map(|key| key.parse::<u64>().expect("a key"));
        let outcome = match key {
            None => Outcome::Own(status),
            Some(key) => {
                assert_eq!(key, plan.key, "the response of another request");
                assert_eq!(status, plan.status);
                Outcome::Served
            }
        };
        let has_body = plan.method != "HEAD" && !matches!(status, 204 | 304);
        let reading = if has_body { head.body(true) } else { Reading::Done };
        // What stands between several parts is looked at elsewhere.
        let is_whole = outcome == Outcome::Served && plan.parts.len() < 2;
        let stream = is_whole.then(|| plan.response_stream());
        let first = plan.parts.first().map_or(0, |[first, _]| *first);
        assert!(!plan.is_old || reading != Reading::Size, "chunks for HTTP/1.0");
        self.is_told_to_close = head.value("connection") == Some("close");
        if plan.is_old {
            assert!(self.is_told_to_close, "HTTP/1.0 is kept alive on request only");
        }
        self.response = Some((outcome, BodyReader::new(reading, stream).from(first)));
        true
    }
}

#[derive(Debug)]
pub struct Server {
    pace: Pace,
    stops_reading: bool,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    request: Option<(Plan, BodyReader)>,
    /// The request that it answers is here to its end.
    has_whole: bool,
    has_answered: bool,
    /// No other request may come: it said that it closes, or has sent too much.
    is_over: bool,
    has_served: bool,
    /// What comes after an upgrade, for the request of this key.
    tunnel: Option<(u64, BodyReader)>,
}

impl Server {
    pub fn new(manners: &Manners, rng: &mut Rng) -> Server {
        Server {
            pace: if manners.all_hurry { Pace::BEHAVING } else { Pace::new(rng) },
            stops_reading: rng.u32(0..4) == 0,
            outbox: Vec::new(),
            inbox: Vec::new(),
            request: None,
            has_whole: false,
            has_answered: false,
            is_over: false,
            has_served: false,
            tunnel: None,
        }
    }

    fn step(&mut self, socket: &mut Socket, registry: &mut Registry, rng: &mut Rng) {
        if socket.peer_closed {
            // What comes to a socket that is closed is answered by a reset.
            if !socket.outgoing.is_empty() {
                socket.peer_resets();
            }
            return;
        }
        match rng.u32(0..10) {
            0..=4 if !self.outbox.is_empty() => {
                self.pace.send(&mut self.outbox, socket, rng);
                let has_surplus = self.request.as_ref().is_some_and(|(plan, _)| plan.has_surplus);
                if self.outbox.is_empty() && has_surplus {
                    let last = socket.incoming.back_mut().expect("it was just sent");
                    last.extend_from_slice(SURPLUS);
                }
            }
            _ if self.stops_reading && self.has_answered => {}
            _ => {
                self.pace.read(&mut self.inbox, socket, rng);
                self.read_request(registry);
            }
        }
        if self.tunnel.is_some() {
            // Each side ends by itself.
            if self.outbox.is_empty() && !socket.fin {
                socket.fin = true;
                socket.raise();
            }
            return;
        }
        self.finish(socket);
        let is_idle = self.request.is_none() && self.inbox.is_empty() && self.has_served;
        if is_idle && rng.u32(0..1000) < registry.manners.idle_close {
            close(socket);
        }
    }

    fn read_request(&mut self, registry: &mut Registry) {
        if let Some((key, tunnel)) = &mut self.tunnel {
            tunnel.read(&mut self.inbox);
            registry.tunnelled.insert(*key, tunnel.received);
            return;
        }
        if self.request.is_none() {
            let Some(head) = Head::take(&mut self.inbox) else { return };
            assert!(!self.is_over, "a request on a connection that is over");
            let mut words = head.start.split(' ');
            let method = words.next().expect("a method");
            let path = words.next().expect("a path");
            let key = path.strip_prefix("/k/").expect("the path").parse().expect("a key");
            let plan = registry.plan(key);
            assert_eq!(method, plan.method);
            assert_eq!(head.value("host"), Some("sim"));
            assert!(plan.flaw != Flaw::Field, "nothing of a refused request goes on");
            if let Some([_, length]) = plan.upgrade {
                self.outbox.extend(plan.response_bytes());
                self.outbox.extend(stream_bytes(plan.response_stream(), length));
                let stream = Some(plan.request_stream());
                self.tunnel = Some((key, BodyReader::new(Reading::UntilEnd, stream)));
                registry.tunnelled.insert(key, 0);
                return;
            }
            let body = BodyReader::new(head.body(false), Some(plan.request_stream()));
            if plan.is_early {
                self.answer(&plan);
            }
            self.request = Some((plan, body));
        }
        let Some((plan, body)) = &mut self.request else { return };
        body.read(&mut self.inbox);
        if body.reading == Reading::Done && !std::mem::replace(&mut self.has_whole, true) {
            assert_eq!(body.received, plan.body.length(), "the whole body");
            assert_eq!(plan.flaw, Flaw::None, "what is refused never looks whole");
            let served = registry.served.entry(plan.key).or_default();
            *served += 1;
            assert!(*served == 1 || plan.is_idempotent(), "a POST arrives twice");
            let plan = plan.clone();
            if !plan.is_early {
                self.answer(&plan);
            }
        }
    }

    fn answer(&mut self, plan: &Plan) {
        self.outbox.extend(plan.response_bytes());
        self.has_answered = true;
        self.is_over = !plan.keeps_server();
    }

    /// Does what follows an answer that is out.
    fn finish(&mut self, socket: &mut Socket) {
        let Some((plan, body)) = &self.request else { return };
        if !self.has_answered || !self.outbox.is_empty() {
            return;
        }
        match plan.breaks {
            Break::Reset(_) => socket.peer_resets(),
            Break::End(_) => close(socket),
            Break::Never if plan.closes => close(socket),
            Break::Never if body.reading == Reading::Done => {
                self.request = None;
                self.has_whole = false;
                self.has_answered = false;
                self.has_served = true;
            }
            Break::Never => {}
        }
    }
}

fn close(socket: &mut Socket) {
    socket.fin = true;
    socket.peer_closed = true;
    socket.raise();
}
