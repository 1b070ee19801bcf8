//! Whether servers get traffic: looked at a few times a second, each change said in the log, and
//! shown by metrics and `/status`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::balance::pick::Standing;
use crate::config::{Config, Upstream};
use crate::id::ServerId;
use crate::metrics::{ServerStandingMetrics, WaitingMetrics};
use crate::roster::{Roster, UpstreamRoster};

/// How often servers are looked at.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What was seen of the servers the last time.
#[derive(Debug, Default)]
pub(super) struct Standings {
    /// By the names of upstream and server.
    known: HashMap<(String, String), Known>,
    waiting: HashMap<String, WaitingMetrics>,
}

#[derive(Debug)]
struct Known {
    standing: Standing,
    ejections: u64,
    metrics: ServerStandingMetrics,
}

/// As `/status` and the log call it.
pub(super) fn label(standing: Standing) -> &'static str {
    match standing {
        Standing::Ready | Standing::Full => "up",
        Standing::Draining => "draining",
        Standing::Ejected => "ejected",
        Standing::Trial => "half_open",
        Standing::Down => "down",
        Standing::Withdrawn => "out_of_service",
    }
}

fn gets_traffic(standing: Standing) -> bool {
    matches!(standing, Standing::Ready | Standing::Full | Standing::Draining)
}

impl Standings {
    /// Looks at all servers.
    pub(super) fn look(&mut self, config: &Config, roster: &Roster, now: Instant) {
        let mut before = std::mem::take(&mut self.known);
        for (place, upstream) in config.active_upstreams() {
            let servers = &roster.upstreams()[place];
            for member in servers.members() {
                let server = &servers.servers()[member.index()];
                let key = (upstream.name.clone(), server.settings.name.clone());
                let seen = servers.standing(*member, &upstream.balancing, now);
                let ejections = server.state.ejections();
                let mut known = before.remove(&key).unwrap_or_else(|| Known {
                    standing: Standing::Ready,
                    ejections: 0,
                    metrics: ServerStandingMetrics::new(&key.0, &key.1),
                });
                known.tell(&key, seen, ejections);
                (known.standing, known.ejections) = (seen, ejections);
                known.metrics.up.set(if gets_traffic(seen) { 1.0 } else { 0.0 });
                known.metrics.active.set(f64::from(server.state.active()));
                known.metrics.ejections.absolute(ejections);
                self.known.insert(key, known);
            }
            let waiting = self.waiting.entry(upstream.name.clone());
            let waiting = waiting.or_insert_with(|| WaitingMetrics::new(&upstream.name));
            waiting.queued.set(f64::from(servers.state.waiting.count()));
        }
        for gone in before.into_values() {
            gone.metrics.up.set(0.0);
            gone.metrics.active.set(0.0);
        }
    }
}

impl Known {
    /// Says what has changed, but for what probes say, which is said where they are sent.
    fn tell(&self, (upstream, server): &(String, String), seen: Standing, ejections: u64) {
        if ejections > self.ejections {
            let times = ejections - self.ejections;
            tracing::warn!(upstream, server, times, "a server is ejected for its errors");
        }
        let is_ejected = |it| matches!(it, Standing::Ejected | Standing::Trial);
        if is_ejected(self.standing) && !is_ejected(seen) {
            tracing::info!(upstream, server, "a server is ejected no more");
        }
        let by_order = |it| matches!(it, Standing::Draining | Standing::Withdrawn);
        if by_order(self.standing) != by_order(seen) || by_order(seen) && seen != self.standing {
            tracing::info!(upstream, server, "a server is {} by order", label(seen));
        }
    }
}

/// A server, in `/status`.
#[derive(Debug, Serialize)]
pub(super) struct ServerStatus {
    name: String,
    address: String,
    /// `up`, `draining`, `ejected`, `half_open`, `down` or `out_of_service`.
    state: &'static str,
    /// What its probes say: `unchecked`, `up` or `down`.
    health: &'static str,
    /// What an operator has said: `up`, `drain` or `down`.
    order: &'static str,
    weight: u32,
    backup: bool,
    connections: u64,
    active: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_max: Option<u32>,
    ejections: u64,
}

/// The servers of an upstream that belong to it.
pub(super) fn servers(
    upstream: &Upstream,
    roster: &UpstreamRoster,
    now: Instant,
) -> Vec<ServerStatus> {
    let status = |id: &ServerId| {
        let server = &roster.servers()[id.index()];
        let state = &server.state;
        ServerStatus {
            name: server.settings.name.clone(),
            address: server.authority.to_string(),
            state: label(roster.standing(*id, &upstream.balancing, now)),
            health: state.health().label(),
            order: state.order().label(),
            weight: state.weight().unwrap_or(server.settings.weight),
            backup: server.settings.is_backup,
            connections: state.connections(),
            active: state.active(),
            connections_max: server.settings.connections_max.map(Into::into),
            ejections: state.ejections(),
        }
    };
    roster.members().iter().map(status).collect()
}
