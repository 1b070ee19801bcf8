//! Configurations that follow one another while a simulation runs: modes, timeouts, servers and
//! sockets change under connections in every phase, and nothing that is checked may notice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spliceway::access_log::AccessLogSink;
use spliceway::capacity::Plan;
use spliceway::config::{Config, LogTarget, RelayMode};
use spliceway::id::{ListenerId, SocketId};
use spliceway::io::adopt::Offer;
use spliceway::io::worker::Worker;
use spliceway::limits::Limits;
use spliceway::roster::Roster;
use spliceway::snapshot::{Snapshot, Stage};
use spliceway::tls::store::TlsStore;

use crate::MODES;
use crate::fake_kernel::{FakeKernel, FakeListener};

/// Steps between two reloads.
const INTERVAL: usize = 7;

/// Nobody is cut for what was removed: every byte is to arrive.
const DRAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// What is in force in a simulation.
pub struct Reloads {
    generation: u64,
    config: Arc<Config>,
    roster: Arc<Roster>,
    limits: Arc<Limits>,
    /// What a mode makes of the configuration.
    with_mode: Box<dyn Fn(RelayMode) -> (Config, Plan)>,
}

impl Reloads {
    /// With what the worker began with.
    pub fn new(
        config: &Config,
        roster: Arc<Roster>,
        limits: Arc<Limits>,
        with_mode: impl Fn(RelayMode) -> (Config, Plan) + 'static,
    ) -> Reloads {
        Reloads {
            generation: 0,
            config: Arc::new(config.clone()),
            roster,
            limits,
            with_mode: Box::new(with_mode),
        }
    }

    /// The servers in force.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// Every few steps another configuration.
    pub fn step(&mut self, step: usize, worker: &mut Worker<FakeKernel>, now: Instant) {
        if !step.is_multiple_of(INTERVAL) {
            return;
        }
        self.generation += 1;
        let round = self.generation as usize;
        let (mut config, plan) = (self.with_mode)(MODES[round % MODES.len()]);
        config.listeners[0].timeouts.connect += Duration::from_secs(self.generation % 3);
        if round % 2 == 1 {
            config.upstreams[0].servers.remove(0);
        }
        let config = config.following(&self.config, now, now + DRAIN).unwrap();
        let roster = self.roster.following(&self.config, &config, now, now + DRAIN);
        (self.config, self.roster) = (Arc::new(config), Arc::new(roster));
        let snapshot = Snapshot {
            generation: self.generation,
            config: Arc::clone(&self.config),
            plan: Arc::new(plan),
            roster: Arc::clone(&self.roster),
            limits: Arc::clone(&self.limits),
            tls: Arc::new(TlsStore::empty()),
            sockets: Arc::default(),
            access_log: AccessLogSink::open(&LogTarget::Off).unwrap(),
            stage: Stage::Serving,
        };
        // Another socket now and then: what is in the backlog of the one before is taken first.
        let (id, listener) = (SocketId(self.generation / 3), ListenerId(0));
        let offer = Offer { id, socket: FakeListener, listener, is_unix: false };
        worker.adopt(&snapshot, vec![offer], now);
    }
}
