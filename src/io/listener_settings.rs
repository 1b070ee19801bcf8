//! What a worker goes by for the connections of one listener.
//!
//! Each worker has a copy of its own, so that taking hold of it touches no memory that other
//! workers write to. A connection of HTTP holds the one that its exchange began with, and takes the
//! one that is in force then for its next; so what a route is cannot change under a request.

use std::sync::Arc;

use crate::capacity::{ListenerPlan, Plan, RelayPlan};
use crate::config::{Config, Http, Listener, Protocol, RelayMode};
use crate::error::FallbackReason;
use crate::id::RouteId;

/// The settings of a listener, and what follows from them on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// What the configuration says.
    pub listener: Listener,
    /// Which ways bytes take.
    pub plan: ListenerPlan,
}

impl ListenerSettings {
    /// Those of all listeners, by their ids. What has not changed since `previous` is the same.
    pub fn all(
        config: &Config,
        plan: &Plan,
        previous: &[Arc<ListenerSettings>],
    ) -> Vec<Arc<ListenerSettings>> {
        let now = config.listeners.iter().zip(&plan.listeners).enumerate();
        now.map(|(place, (listener, plan))| match previous.get(place) {
            Some(it) if it.listener == *listener && it.plan == *plan => Arc::clone(it),
            _ => Arc::new(ListenerSettings { listener: listener.clone(), plan: plan.clone() }),
        })
        .collect()
    }

    /// What only an HTTP listener has.
    pub fn http(&self) -> Option<&Http> {
        self.listener.http()
    }

    /// How the bytes of a connection travel, or those of a route.
    pub fn relay(&self, route: Option<RouteId>) -> &RelayPlan {
        let route = route.and_then(|route| self.plan.routes.get(route.index()));
        route.and_then(Option::as_ref).unwrap_or(&self.plan.relay)
    }

    /// The mode of a connection of TCP, whose TLS session with its client may end here.
    pub fn tcp_mode(&self, client_has_session: bool) -> RelayMode {
        let is_passed_through =
            !client_has_session && matches!(self.listener.protocol, Protocol::Sni(_));
        match self.plan.relay.mode {
            // Nothing is to be learnt of a flow that nobody here can read.
            RelayMode::Auto if is_passed_through => RelayMode::Splice,
            mode => mode,
        }
    }

    /// Why the bytes of a connection are copied although the config asks for splice.
    pub fn fallback(&self) -> Option<FallbackReason> {
        self.plan.relay.fallback
    }

    /// Whether a route of `other` is the same one here: nothing was put before it or taken away.
    pub fn has_routes_of(&self, other: &ListenerSettings) -> bool {
        let routers = self.http().zip(other.http());
        routers.is_none_or(|(one, other)| one.router == other.router)
    }
}
