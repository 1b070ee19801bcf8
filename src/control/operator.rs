//! What operators order of servers: to take one out, to drain it, to give it another weight. It
//! holds until the next order, whatever the configuration says; a reload and an upgrade keep it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::command::{Answer, Done, Refusal};
use crate::balance::candidate::WEIGHT_MAX;
use crate::config::Config;
use crate::health::checker::Health;
use crate::roster::state::Order;
use crate::roster::{Roster, Server, UpstreamRoster};

/// An order, as it comes over the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerOrder {
    /// The upstream's name.
    pub upstream: String,
    /// The server's name, or its address.
    pub server: String,
    /// What is to change.
    pub change: Change,
}

/// What is to change about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It gets its share again.
    Up,
    /// It gets nothing new but from clients that are bound to it by a cookie.
    Drain,
    /// It gets nothing new.
    Down,
    /// It gets this weight; `None` for the configured one.
    Weight(Option<u32>),
}

/// Carries an order out.
pub(super) fn carry_out(
    config: &Config,
    roster: &Roster,
    order: &ServerOrder,
    now: Instant,
) -> Answer {
    let ServerOrder { upstream, server, change } = order;
    let servers = find_upstream(config, roster, upstream)?;
    let found = find_server(servers, server).ok_or_else(|| {
        let names = members(servers).map(|it| &*it.settings.name).collect::<Vec<_>>();
        Refusal::Unknown(format!(
            "upstream {upstream} has no server {server}: it has {}",
            names.join(", ")
        ))
    })?;
    let (name, state) = (&found.settings.name, &found.state);
    let open = state.connections();
    let words = match *change {
        Change::Up => {
            state.set_order(Order::Up, now);
            "gets its share".to_owned()
        }
        Change::Drain => {
            state.set_order(Order::Drain, now);
            format!("drains; {open} connections to it are open")
        }
        Change::Down => {
            state.set_order(Order::Down, now);
            format!("gets nothing new; {open} connections to it are open")
        }
        Change::Weight(Some(weight)) if weight > WEIGHT_MAX => {
            return Err(Refusal::Unknown(format!(
                "{weight} is too large a weight: expected 0 to {WEIGHT_MAX}"
            )));
        }
        Change::Weight(weight) => {
            state.set_weight(weight);
            match weight {
                Some(weight) => format!("has the weight {weight}"),
                None => format!("has its configured weight, {}", found.settings.weight),
            }
        }
    };
    Ok(Done { message: format!("{upstream}/{name} {words}") })
}

fn find_upstream<'r>(
    config: &Config,
    roster: &'r Roster,
    name: &str,
) -> Result<&'r UpstreamRoster, Refusal> {
    let place = config.active_upstreams().find(|(_, upstream)| upstream.name == name);
    place.and_then(|(place, _)| roster.upstreams().get(place)).map(|it| &**it).ok_or_else(|| {
        let names: Vec<_> = config.active_upstreams().map(|(_, it)| &*it.name).collect();
        Refusal::Unknown(format!("there is no upstream {name}: there is {}", names.join(", ")))
    })
}

fn members(upstream: &UpstreamRoster) -> impl Iterator<Item = &Server> {
    upstream.members().iter().map(|id| &*upstream.servers()[id.index()])
}

/// By its name; by its address if none has that name.
fn find_server<'r>(upstream: &'r UpstreamRoster, wanted: &str) -> Option<&'r Server> {
    let named = members(upstream).find(|server| server.settings.name == wanted);
    named.or_else(|| members(upstream).find(|server| &*server.authority == wanted))
}

/// What of a server is not as a new process would have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bequest {
    upstream: String,
    server: String,
    order: Option<Change>,
    weight: Option<u32>,
    is_down: bool,
}

/// What a successor should know of servers: orders, and which ones fail their probes.
pub(super) fn bequests(config: &Config, roster: &Roster) -> Vec<Bequest> {
    let upstreams = config.active_upstreams();
    let upstreams =
        upstreams.filter_map(|(place, it)| Some((&*it.name, roster.upstreams().get(place)?)));
    upstreams
        .flat_map(|(name, servers)| members(servers).filter_map(|it| Bequest::of(name, it)))
        .collect()
}

impl Bequest {
    fn of(upstream: &str, server: &Server) -> Option<Bequest> {
        let state = &server.state;
        let bequest = Bequest {
            upstream: upstream.to_owned(),
            server: server.settings.name.clone(),
            order: match state.order() {
                Order::Up => None,
                Order::Drain => Some(Change::Drain),
                Order::Down => Some(Change::Down),
            },
            weight: state.weight(),
            is_down: state.health() == Health::Down,
        };
        let says_something = bequest.order.is_some() || bequest.weight.is_some() || bequest.is_down;
        says_something.then_some(bequest)
    }

    /// Puts it in force. A server that is there no more is no matter.
    pub(super) fn take(&self, config: &Config, roster: &Roster, now: Instant) {
        let changes = self.order.into_iter().chain(self.weight.map(|it| Change::Weight(Some(it))));
        for change in changes {
            let (upstream, server) = (self.upstream.clone(), self.server.clone());
            let order = ServerOrder { upstream, server, change };
            let _gone = carry_out(config, roster, &order, now).is_err();
        }
        let server = find_upstream(config, roster, &self.upstream).ok();
        let server = server.and_then(|upstream| find_server(upstream, &self.server));
        if let Some(server) = server
            && self.is_down
            && server.state.health() == Health::Unchecked
        {
            server.state.set_health(Health::Down, now);
        }
    }
}
