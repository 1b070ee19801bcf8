//! The servers that exist now. Workers know servers from here alone: they change when the
//! configuration does, and where names stand for them also without it.
//!
//! ```text
//!   Roster ─ by UpstreamId ─▶ UpstreamRoster ─ by ServerId ─▶ Server ─▶ ServerState
//!   all of it replaced at a change, what stays the same shared ┘          │
//!                            written by workers and control plane, kept ──┘
//! ```
//!
//! A server is the same one while its name and its address are; what is known of it follows the
//! address. Places are given as [`succession`] says, so an id that a connection holds stays right.

pub mod assign;
pub mod state;
#[cfg(test)]
mod together;

use std::sync::Arc;
use std::time::Instant;

use crate::address::Address;
use crate::balance::random;
use crate::config::succession::{self, Standing};
use crate::config::{Config, ServerSettings};
use crate::id::{ServerId, UpstreamId};

pub use state::{ServerState, UpstreamState};

/// The servers of all upstreams. Immutable but for each [`ServerState`].
#[derive(Debug, Default)]
pub struct Roster {
    upstreams: Vec<Arc<UpstreamRoster>>,
}

/// The servers of one upstream.
#[derive(Debug, Default)]
pub struct UpstreamRoster {
    /// By id; those that are retired as well.
    servers: Vec<Arc<Server>>,
    /// Those that get connections, in the order of the config.
    members: Box<[ServerId]>,
    /// What they share.
    pub state: Arc<UpstreamState>,
}

/// A server.
#[derive(Debug)]
pub struct Server {
    /// What the configuration says of it.
    pub settings: ServerSettings,
    /// Its address as text.
    pub authority: Box<str>,
    /// Its name, hashed.
    pub identity: u64,
    /// Whether it gets connections still.
    pub standing: Standing,
    /// What is known of it.
    pub state: Arc<ServerState>,
}

impl Roster {
    /// The servers that a configuration lists, of which nothing is known.
    pub fn new(config: &Config) -> Roster {
        let now = Instant::now();
        let upstreams = config.upstreams.iter();
        let nobody = UpstreamRoster::default();
        let of = |servers: &[ServerSettings]| Arc::new(nobody.followed_by(servers, now, now));
        Roster { upstreams: upstreams.map(|upstream| of(&upstream.servers)).collect() }
    }

    /// The roster after this one for a configuration that follows `before`. Servers that are gone
    /// may go on until `until`; those of an upstream that is gone stay as they are, since whoever
    /// was on the way to them needs them still.
    #[must_use]
    pub fn following(
        &self,
        before: &Config,
        after: &Config,
        now: Instant,
        until: Instant,
    ) -> Roster {
        let nobody = UpstreamRoster::default();
        let upstreams = after.upstreams.iter().enumerate().map(|(place, upstream)| {
            let was = before.upstreams.get(place).zip(self.upstreams.get(place));
            match was.filter(|(was, _)| was.name == upstream.name) {
                Some((_, servers)) if upstream.standing.is_retired() => Arc::clone(servers),
                // Servers whose settings are what they were have nothing to be made anew for.
                Some((was, servers)) if *was == *upstream => Arc::clone(servers),
                Some((_, servers)) => Arc::new(servers.followed_by(&upstream.servers, now, until)),
                None => Arc::new(nobody.followed_by(&upstream.servers, now, until)),
            }
        });
        Roster { upstreams: upstreams.collect() }
    }

    /// The roster after this one, in which the servers of an upstream are these. Those that are
    /// gone may go on until `until`.
    #[must_use]
    pub fn with_servers(
        &self,
        upstream: UpstreamId,
        servers: &[ServerSettings],
        now: Instant,
        until: Instant,
    ) -> Roster {
        let mut upstreams = self.upstreams.clone();
        if upstreams.len() <= upstream.index() {
            upstreams.resize_with(upstream.index() + 1, Arc::default);
        }
        let place = &mut upstreams[upstream.index()];
        *place = Arc::new(place.followed_by(servers, now, until));
        Roster { upstreams }
    }

    /// Servers that are ejected and belong to their upstream no more leave their places among the
    /// ejected to others. For a roster that is in force: one that is being made may come to
    /// nothing, or get them back.
    pub fn pardon_gone(&self, now: Instant) {
        for upstream in &self.upstreams {
            let ejected = upstream.servers.iter().filter(|server| server.state.is_ejected());
            for gone in ejected.filter(|server| !upstream.is_member(&server.state)) {
                gone.state.passive.pardon(&upstream.state.ejected, state::milliseconds(now));
            }
        }
    }

    /// The servers of an upstream.
    pub fn upstream(&self, upstream: UpstreamId) -> &Arc<UpstreamRoster> {
        &self.upstreams[upstream.index()]
    }

    /// A server.
    pub fn server(&self, upstream: UpstreamId, server: ServerId) -> &Arc<Server> {
        &self.upstream(upstream).servers[server.index()]
    }

    /// The member that an operator calls by these names.
    pub fn find(
        &self,
        config: &Config,
        upstream: &str,
        server: &str,
    ) -> Option<(UpstreamId, ServerId)> {
        let index = config.upstreams.iter().position(|it| it.name == upstream)?;
        let id = UpstreamId(u32::try_from(index).ok()?);
        let servers = self.upstreams.get(index)?;
        let is_named = |it: &&ServerId| servers.servers[it.index()].settings.name == server;
        Some((id, *servers.members.iter().find(is_named)?))
    }

    /// All upstreams, by their ids.
    pub fn upstreams(&self) -> &[Arc<UpstreamRoster>] {
        &self.upstreams
    }
}

impl UpstreamRoster {
    /// All servers by their ids, those that are retired as well.
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }

    /// Those that get connections, in the order of the config.
    pub fn members(&self) -> &[ServerId] {
        &self.members
    }

    fn followed_by(
        &self,
        wanted: &[ServerSettings],
        now: Instant,
        until: Instant,
    ) -> UpstreamRoster {
        fn key(settings: &ServerSettings) -> (&str, &Address) {
            (&settings.name, &settings.address)
        }
        let present: Vec<_> =
            self.servers.iter().map(|it| (key(&it.settings), it.standing)).collect();
        let keys: Vec<_> = wanted.iter().map(key).collect();
        let places = succession::places(&present, &keys, now);
        let mut servers: Vec<_> = self.servers.iter().map(|it| it.retired(until)).collect();
        for (settings, place) in wanted.iter().zip(&places) {
            let server = Arc::new(self.server(settings, now));
            match servers.get_mut(*place) {
                Some(taken) => *taken = server,
                // Places at the end are given in their order.
                None => servers.push(server),
            }
        }
        let id = |place: &usize| ServerId(u32::try_from(*place).unwrap_or(u32::MAX));
        let members: Box<[ServerId]> = places.iter().map(id).collect();
        UpstreamRoster { servers, members, state: Arc::clone(&self.state) }
    }

    fn is_member(&self, state: &Arc<ServerState>) -> bool {
        let mut members = self.members.iter().map(|member| &self.servers[member.index()]);
        members.any(|member| Arc::ptr_eq(&member.state, state))
    }

    /// A server as it is wanted, with what is known of its address.
    fn server(&self, settings: &ServerSettings, now: Instant) -> Server {
        let known = self.servers.iter().filter(|it| it.settings.address == settings.address);
        // Its own, if several have the address: connections are counted there. Of others, the one
        // that is in use knows more than one that was before it.
        let is_another = |it: &Arc<Server>| it.settings.name != settings.name;
        let known = known.min_by_key(|it| (is_another(it), it.standing.is_retired()));
        Server {
            settings: settings.clone(),
            authority: settings.address.to_string().into(),
            identity: random::hash(settings.name.as_bytes()),
            standing: Standing::Active,
            state: known.map_or_else(|| self.joining(now), |it| Arc::clone(&it.state)),
        }
    }
}

impl UpstreamRoster {
    /// What is known of a server that joins: among others, it has to warm up.
    fn joining(&self, now: Instant) -> Arc<ServerState> {
        let state = ServerState::default();
        if !self.servers.is_empty() {
            state.came_up(now);
        }
        Arc::new(state)
    }
}

impl Server {
    /// The same server, which is no part of the configuration any more.
    fn retired(self: &Arc<Server>, until: Instant) -> Arc<Server> {
        let standing = self.standing.retire(until);
        if standing == self.standing {
            return Arc::clone(self);
        }
        Arc::new(Server {
            settings: self.settings.clone(),
            authority: self.authority.clone(),
            identity: self.identity,
            standing,
            state: Arc::clone(&self.state),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const APP: UpstreamId = UpstreamId(0);

    fn servers(addresses: &[&str]) -> Vec<ServerSettings> {
        let server = |address: &&str| ServerSettings::new(address.parse().unwrap());
        addresses.iter().map(server).collect()
    }

    fn shown(roster: &Roster) -> Vec<(&str, bool)> {
        let servers = roster.upstream(APP).servers().iter();
        servers.map(|it| (&*it.authority, it.standing.is_retired())).collect()
    }

    #[test]
    fn ids_stay_and_so_does_what_is_known() {
        let (a, b, c) = ("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1");
        let start = Instant::now();
        let drain = Duration::from_secs(30);
        let at = |seconds| start + Duration::from_secs(seconds);
        let follow = |roster: &Roster, addresses: &[&str], seconds| {
            let now = at(seconds);
            roster.with_servers(APP, &servers(addresses), now, now + drain)
        };
        let first = follow(&Roster::default(), &[a, b], 0);
        first.server(APP, ServerId(1)).state.connected();
        assert_eq!(first.upstream(APP).members(), [ServerId(0), ServerId(1)]);

        let second = follow(&first, &[b, c], 1);
        assert_eq!(shown(&second), [(a, true), (b, false), (c, false)]);
        assert_eq!(second.upstream(APP).members(), [ServerId(1), ServerId(2)]);
        assert_eq!(second.server(APP, ServerId(1)).state.connections(), 1);

        let back = follow(&second, &[a], 2);
        assert_eq!(shown(&back), [(a, false), (b, true), (c, true)]);
        let later = follow(&back, &[a, "10.0.0.4:1"], 32);
        assert_eq!(shown(&later), [(a, false), ("10.0.0.4:1", false), (c, true)]);
        assert_eq!(later.server(APP, ServerId(1)).state.connections(), 0, "another one");
    }

    #[test]
    fn two_servers_at_one_address_stay_two() {
        let now = Instant::now();
        let mut wanted = servers(&["10.0.0.1:1", "10.0.0.1:1"]);
        for (server, name) in wanted.iter_mut().zip(["one", "two"]) {
            server.name = name.to_owned();
        }
        let first = Roster::default().with_servers(APP, &wanted, now, now);
        first.server(APP, ServerId(1)).state.connected();
        wanted[0].weight = 2;
        let second = first.with_servers(APP, &wanted, now, now + Duration::from_secs(1));
        let connections = |server| second.server(APP, ServerId(server)).state.connections();
        assert_eq!([connections(0), connections(1)], [0, 1]);
    }

    #[test]
    fn a_new_name_is_another_server_of_which_the_same_is_known() {
        let now = Instant::now();
        let first = Roster::default().with_servers(APP, &servers(&["10.0.0.1:1"]), now, now);
        first.server(APP, ServerId(0)).state.connected();
        let mut renamed = servers(&["10.0.0.1:1"]);
        renamed[0].name = "one".to_owned();
        let second = first.with_servers(APP, &renamed, now, now + Duration::from_secs(1));
        assert_eq!(second.upstream(APP).members(), [ServerId(1)]);
        assert!(second.server(APP, ServerId(0)).standing.is_retired());
        assert_eq!(second.server(APP, ServerId(1)).state.connections(), 1);
    }
}
