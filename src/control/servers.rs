//! What the control plane does for servers: it asks for their names, probes them, and looks whether
//! they get traffic. What that finds reaches workers through their states and through the roster.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::health::HealthChecks;
use super::names::Names;
use super::standing::Standings;
use crate::config::Config;
use crate::config::succession::PLACES_MAX;
use crate::id::UpstreamId;
use crate::roster::{Roster, Server};
use crate::snapshot::Snapshot;

/// All of it. It ends with its owner.
#[derive(Debug, Default)]
pub(super) struct Servers {
    checks: HealthChecks,
    names: Names,
    standings: Standings,
    /// Upstreams whose servers have changed so often that no place is left for others.
    postponed: BTreeSet<String>,
}

impl Servers {
    /// Goes by what is in force from now on. Must be called within the runtime.
    pub(super) fn apply(&mut self, snapshot: &Snapshot) {
        self.names.apply(&snapshot.config);
        self.checks.apply(&snapshot.config, &snapshot.roster, &snapshot.tls);
    }

    /// Waits until a name stands for other servers, and says of which upstream it is. Nothing is
    /// lost when it is dropped while it waits.
    pub(super) async fn changed(&mut self) -> String {
        self.names.changed().await
    }

    /// What follows when the names of an upstream stand for other servers; `None` if there is no
    /// such upstream any more.
    pub(super) fn resolved(&mut self, present: &Snapshot, upstream: &str) -> Option<Snapshot> {
        let found = present.config.active_upstreams().find(|(_, it)| it.name == upstream);
        let Some((place, settings)) = found else {
            self.postponed.remove(upstream);
            return None;
        };
        let servers = self.names.servers(settings);
        let places = present.roster.upstream(id(place)).servers();
        let now = Instant::now();
        let is_taken =
            |it: &Arc<Server>| it.standing.retired_until().is_none_or(|until| now < until);
        let taken = places.iter().filter(|it| is_taken(it)).count();
        if taken + servers.len() > PLACES_MAX {
            if self.postponed.insert(upstream.to_owned()) {
                tracing::warn!(upstream, "names change faster than connections drain; waiting");
            }
            return None;
        }
        self.postponed.remove(upstream);
        tracing::info!(upstream, servers = servers.len(), "names stand for other servers");
        let until = now + present.config.process.drain_timeout;
        let roster = present.roster.with_servers(id(place), &servers, now, until);
        let generation = present.generation + 1;
        Some(Snapshot { generation, roster: Arc::new(roster), ..present.clone() })
    }

    /// Upstreams whose servers are to be looked at again.
    pub(super) fn postponed(&self) -> Vec<String> {
        self.postponed.iter().cloned().collect()
    }

    /// Whether every name that is asked for has been answered once.
    pub(super) fn names_are_known(&self) -> bool {
        self.names.are_known()
    }

    /// The same roster with the servers for which names of `config` are known to stand.
    pub(super) fn with_names(&self, roster: Arc<Roster>, config: &Config) -> Arc<Roster> {
        let now = Instant::now();
        let until = now + config.process.drain_timeout;
        let named = config.active_upstreams().filter(|(_, upstream)| !upstream.names.is_empty());
        named.fold(roster, |roster, (place, upstream)| {
            let servers = self.names.servers(upstream);
            Arc::new(roster.with_servers(id(place), &servers, now, until))
        })
    }

    /// Looks whether servers get traffic, and after those that are gone.
    pub(super) fn look(&mut self, present: &Snapshot) {
        let now = Instant::now();
        present.roster.pardon_gone(now);
        self.standings.look(&present.config, &present.roster, now);
    }
}

fn id(place: usize) -> UpstreamId {
    UpstreamId(u32::try_from(place).unwrap_or(u32::MAX))
}
