//! Limits: who may come, how many at once, how often, and how many bytes; for all clients of a
//! listener together, and for each of them.
//!
//! ```text
//!   accepted, and known ──▶ admit ──▶ AccessList, ClientTable, listener ──▶ Admission, or a reason
//!   limits set later    ──▶ join  ──▶ the same Admission, with what they count
//!   request, head whole ──▶ admit_request ──▶ the same, and a time to come back
//!   lane, before a read ──▶ throttle ──▶ so many bytes, or a time to ask again
//!   connection, over    ──▶ leave
//! ```
//!
//! What is used up is shared by all workers and stands in atomics; what the limits are stands in
//! the configuration, and is read there at each look. So a reload changes limits at once, and
//! what was used up stays so.
//!
//! The client is looked at first, and gets back what it was given if the listener refuses: whoever
//! is over his own limits takes nothing from the others.

pub mod access;
pub mod bandwidth;
pub mod bucket;
pub mod prefix;
pub mod rate;
pub mod table;
pub mod throttle;

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use access::AccessList;
use bandwidth::Bandwidth;
use bucket::{Bucket, Nanos};
use prefix::ClientPrefix;
use rate::Rate;
use table::{Buckets, ClientTable, Found, PlaceId};
use throttle::Throttle;

use crate::error::LimitReason;
use crate::id::ListenerId;

/// What somebody may have: one client, or all of a listener's together. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Connections at once.
    pub connections: Option<u32>,
    /// New connections.
    pub connection_rate: Option<Rate>,
    /// Requests of HTTP.
    pub request_rate: Option<Rate>,
    /// Bytes, by [`crate::error::Direction::index`].
    pub bandwidth: [Option<Bandwidth>; 2],
}

impl Quota {
    /// Whether anything is limited.
    pub fn is_limited(&self) -> bool {
        *self != Quota::default()
    }

    /// Whether bytes are.
    fn has_bandwidth(&self) -> bool {
        self.bandwidth.iter().any(Option::is_some)
    }
}

/// The limits of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListenerLimits {
    /// For all clients together.
    pub all: Quota,
    /// For each client.
    pub client: Quota,
    /// What counts as one client.
    pub prefix: ClientPrefix,
    /// Who may come at all.
    pub access: AccessList,
}

/// Who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// A client, by its address; `None` for one without, on a unix socket.
    Client(Option<IpAddr>),
    /// A proxy that is trusted to name its clients: what is said of clients does not hold for it,
    /// but for those whom it names, request by request.
    Proxy,
}

/// What a connection has of the limits while it lasts. To be given to [`Limits::leave`].
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use = "what was taken must be given back"]
pub struct Admission {
    /// It is one of its listener's connections at once. Where those are not limited it is not, until
    /// [`Limits::join`].
    is_counted: bool,
    /// Its client's place in the table.
    place: Option<PlaceId>,
}

impl ListenerLimits {
    /// Whether anything is limited.
    pub fn is_limited(&self) -> bool {
        self.all.is_limited() || self.client.is_limited() || !self.access.is_open()
    }
}

impl Admission {
    /// Of a connection that no limit was asked for.
    pub const NONE: Admission = Admission { is_counted: false, place: None };
}

/// What became of a client's place in the table, where that is worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableMiss {
    /// Another client was forgotten for it before its rates were whole again.
    Evicted,
    /// There was none for it.
    Untracked,
}

impl TableMiss {
    /// Both, in the order in which arrays indexed by them hold them.
    pub const ALL: [TableMiss; 2] = [TableMiss::Evicted, TableMiss::Untracked];

    /// Where arrays keep this one.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The label of the metric.
    pub fn label(self) -> &'static str {
        match self {
            TableMiss::Evicted => "evicted",
            TableMiss::Untracked => "untracked",
        }
    }

    fn of(found: Found) -> Option<TableMiss> {
        match found {
            Found::Place { has_evicted: true, .. } => Some(TableMiss::Evicted),
            Found::Place { has_evicted: false, .. } => None,
            Found::Untracked => Some(TableMiss::Untracked),
        }
    }
}

/// Why somebody is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Which limit it is.
    pub reason: LimitReason,
    /// When to come back, where that is known.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    fn now(reason: LimitReason) -> Refusal {
        Refusal { reason, retry_after: None }
    }

    fn later(reason: LimitReason) -> impl FnOnce(Duration) -> Refusal {
        move |retry_after| Refusal { reason, retry_after: Some(retry_after) }
    }
}

/// What a listener's clients have together.
#[derive(Debug, Default)]
struct ListenerUsage {
    connections: AtomicU32,
    buckets: Buckets,
}

/// What is used up of all limits: of the process, shared by its workers.
#[derive(Debug)]
pub struct Limits {
    epoch: Instant,
    listeners: Box<[Arc<ListenerUsage>]>,
    clients: Arc<ClientTable>,
}

impl Limits {
    /// Nothing used up yet. `clients_max` is how many clients are remembered; the memory for that
    /// is taken only where a limit for each client is set. `seed` is what no client may know.
    pub fn new<'l>(
        listeners: impl IntoIterator<Item = &'l ListenerLimits>,
        clients_max: usize,
        seed: RandomState,
        now: Instant,
    ) -> Limits {
        let nothing = Limits {
            epoch: now,
            listeners: Box::default(),
            clients: ClientTable::new(0, seed).into(),
        };
        nothing.succeeded(listeners, clients_max)
    }

    /// The same, for a configuration that takes the place of the one in force: what is used up
    /// stays with its listener. A table that exists keeps its size.
    pub fn succeeded<'l>(
        &self,
        listeners: impl IntoIterator<Item = &'l ListenerLimits>,
        clients_max: usize,
    ) -> Limits {
        let mut has_clients = false;
        let usage = |(index, limits): (usize, &'l ListenerLimits)| {
            has_clients |= limits.client.is_limited();
            self.listeners.get(index).map(Arc::clone).unwrap_or_default()
        };
        let listeners = listeners.into_iter().enumerate().map(usage).collect();
        let clients = match has_clients && self.clients.capacity() == 0 {
            true => Arc::new(ClientTable::new(clients_max, self.clients.seed())),
            false => Arc::clone(&self.clients),
        };
        Limits { epoch: self.epoch, listeners, clients }
    }

    fn nanos(&self, now: Instant) -> Nanos {
        let since = now.saturating_duration_since(self.epoch);
        Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
    }

    fn instant(&self, nanos: Nanos) -> Instant {
        self.epoch + Duration::from_nanos(nanos)
    }

    fn listener(&self, listener: ListenerId) -> Option<&ListenerUsage> {
        self.listeners.get(listener.index()).map(AsRef::as_ref)
    }

    /// A connection is to begin: whether it may, and what must be given back at its end. The
    /// client's place is `missed` where that is worth counting.
    ///
    /// # Errors
    /// A limit.
    pub fn admit(
        &self,
        listener: ListenerId,
        limits: &ListenerLimits,
        visitor: Visitor,
        now: Instant,
        missed: impl FnOnce(TableMiss),
    ) -> Result<Admission, Refusal> {
        let ListenerLimits { all, client, prefix, access } = limits;
        let now = self.nanos(now);
        let mut admission = Admission::NONE;
        if let Visitor::Client(ip) = visitor {
            if !access.allows(ip) {
                return Err(Refusal::now(LimitReason::Denied));
            }
            if let Some(ip) = ip.filter(|_| client.is_limited()) {
                let found = self.clients.enter(listener, prefix.of(ip), client.connections, now);
                let found = found.map_err(|_| Refusal::now(LimitReason::ClientConnections))?;
                admission.place = place_of(found, missed);
            }
        }
        let buckets = admission.place.and_then(|place| self.clients.buckets(place));
        let own = buckets.map(|it| &it.connections);
        let reason = LimitReason::ClientConnectionRate;
        let admitted = take(client.connection_rate, own, now).map_err(Refusal::later(reason));
        let admitted = admitted.and_then(|()| {
            let admitted = self.admit_to_listener(listener, all, &mut admission, now);
            admitted.inspect_err(|_| give_back(client.connection_rate, own))
        });
        match admitted {
            Ok(()) => Ok(admission),
            Err(refusal) => {
                self.leave(listener, admission);
                Err(refusal)
            }
        }
    }

    /// A connection exists that began before all of these limits were set: it is counted from now
    /// on, and its bytes and requests are. Nobody is sent away in the middle, so there may be more
    /// than the limits say until some have ended.
    pub fn join(
        &self,
        listener: ListenerId,
        limits: &ListenerLimits,
        visitor: Visitor,
        admission: &mut Admission,
        now: Instant,
        missed: impl FnOnce(TableMiss),
    ) {
        let ListenerLimits { all, client, prefix, .. } = limits;
        if let (Some(_), false, Some(usage)) =
            (all.connections, admission.is_counted, self.listener(listener))
        {
            admission.is_counted = true;
            usage.connections.fetch_add(1, Ordering::Relaxed);
        }
        if let (Visitor::Client(Some(ip)), true, None) =
            (visitor, client.is_limited(), admission.place)
        {
            let now = self.nanos(now);
            // At the most that can be counted, as good as untracked.
            let found = self.clients.enter(listener, prefix.of(ip), None, now);
            admission.place = place_of(found.unwrap_or(Found::Untracked), missed);
        }
    }

    fn admit_to_listener(
        &self,
        listener: ListenerId,
        all: &Quota,
        admission: &mut Admission,
        now: Nanos,
    ) -> Result<(), Refusal> {
        let Some(usage) = self.listener(listener) else { return Ok(()) };
        if let Some(max) = all.connections {
            admission.is_counted = true;
            // A count and nothing else: no other memory is published with it. What is one too many
            // is given back with the admission.
            if usage.connections.fetch_add(1, Ordering::Relaxed) >= max {
                return Err(Refusal::now(LimitReason::Connections));
            }
        }
        take(all.connection_rate, Some(&usage.buckets.connections), now)
            .map_err(Refusal::later(LimitReason::ConnectionRate))
    }

    /// A connection is over, or did not begin.
    // By value: nobody gives back twice.
    #[allow(clippy::needless_pass_by_value)]
    pub fn leave(&self, listener: ListenerId, admission: Admission) {
        if let (true, Some(usage)) = (admission.is_counted, self.listener(listener)) {
            usage.connections.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(place) = admission.place {
            self.clients.leave(place);
        }
    }

    /// A request has come over a connection with this admission. `named` is the client whom a
    /// proxy names there; for the connection's own client, `None`.
    ///
    /// # Errors
    /// A limit.
    pub fn admit_request(
        &self,
        listener: ListenerId,
        limits: &ListenerLimits,
        admission: &Admission,
        named: Option<IpAddr>,
        now: Instant,
        missed: impl FnOnce(TableMiss),
    ) -> Result<(), Refusal> {
        let ListenerLimits { all, client, prefix, access } = limits;
        if named.is_some() && !access.allows(named) {
            return Err(Refusal::now(LimitReason::Denied));
        }
        if all.request_rate.is_none() && client.request_rate.is_none() {
            return Ok(());
        }
        let now = self.nanos(now);
        let named = named.filter(|_| client.request_rate.is_some());
        let place = named.map_or(admission.place, |ip| {
            place_of(self.clients.visit(listener, prefix.of(ip), now), missed)
        });
        let own = place.and_then(|place| self.clients.buckets(place)).map(|it| &it.requests);
        take(client.request_rate, own, now)
            .map_err(Refusal::later(LimitReason::ClientRequestRate))?;
        let shared = self.listener(listener).map(|usage| &usage.buckets.requests);
        take(all.request_rate, shared, now).map_err(|wait| {
            give_back(client.request_rate, own);
            Refusal::later(LimitReason::RequestRate)(wait)
        })
    }

    /// What holds up the bytes of a connection now.
    pub fn throttle(
        &self,
        listener: ListenerId,
        limits: &ListenerLimits,
        admission: &Admission,
        now: Instant,
    ) -> Throttle<'_> {
        if !limits.all.has_bandwidth() && !limits.client.has_bandwidth() {
            return Throttle::NONE;
        }
        let own = admission.place.and_then(|place| self.clients.buckets(place));
        let shared = self.listener(listener).map(|usage| &usage.buckets);
        Throttle::new(self, [(own, &limits.client), (shared, &limits.all)], now)
    }
}

/// The place that was found, if there is one. It is `missed` where that is worth counting.
fn place_of(found: Found, missed: impl FnOnce(TableMiss)) -> Option<PlaceId> {
    if let Some(miss) = TableMiss::of(found) {
        missed(miss);
    }
    match found {
        Found::Place { place, .. } => Some(place),
        Found::Untracked => None,
    }
}

fn take(rate: Option<Rate>, bucket: Option<&Bucket>, now: Nanos) -> Result<(), Duration> {
    rate.zip(bucket).map_or(Ok(()), |(rate, bucket)| rate.take(bucket, now))
}

fn give_back(rate: Option<Rate>, bucket: Option<&Bucket>) {
    if let Some((rate, bucket)) = rate.zip(bucket) {
        rate.give_back(bucket);
    }
}

#[cfg(test)]
mod tests;
