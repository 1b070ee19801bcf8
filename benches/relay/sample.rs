//! One measurement under each kind of load.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use super::contestant::Program;
use super::kind::Kind;
use super::load::connections;
use super::load::idle::Resting;
use crate::rig::arguments::Effort;
use crate::rig::contestant::{self, Running};
use crate::rig::kind::{Figures, Sender};
use crate::rig::load::{Load, Priority, bind_origin, bulk, round_trips};
use crate::rig::sample::{Conditions, Sample, Window, idle_kib, watch};

const FAIRNESS_MESSAGE_BYTES: usize = 1024;

/// Measures `program` once under one kind of load.
///
/// # Errors
/// When the proxy does not start, or any end of the load fails.
pub fn take(program: Program, kind: Kind, conditions: &Conditions) -> io::Result<Sample> {
    let origin = bind_origin()?;
    let running = contestant::start(program, origin.local_addr()?, conditions.cpus(1))?;
    match kind {
        Kind::Idle { connections } => idle(&origin, &running, kind, connections),
        Kind::Fairness { flows } => fairness(&origin, &running, kind, flows, conditions.effort),
        _ => {
            let load = start(kind, origin, running.address)?;
            let window = watch(&running, load, effort_for(kind, conditions.effort))?;
            Ok(window.sample(kind, values(kind, &window)))
        }
    }
}

/// Bulk gets more time: buffers, windows and the proxy's own judgement of a flow need a while, with
/// many flows above all.
fn effort_for(kind: Kind, effort: Effort) -> Effort {
    match kind {
        Kind::Bulk { .. } => {
            Effort { warm_up: effort.warm_up * 3, window: effort.window * 2, ..effort }
        }
        _ => effort,
    }
}

/// Puts the load on `proxy`; `origin` is where the proxy connects to.
fn start(kind: Kind, origin: TcpListener, proxy: SocketAddr) -> io::Result<Load> {
    match kind {
        Kind::Bulk { sender, connections } => {
            bulk::start(&origin, proxy, sender, connections, Priority::Normal)
        }
        Kind::RoundTrips { bytes, connections } => {
            round_trips::start(&origin, proxy, bytes, connections)
        }
        Kind::Connections { clients } => connections::start(origin, proxy, clients),
        Kind::Idle { .. } | Kind::Fairness { .. } => {
            Err(io::Error::other("this kind is more than a load and a window"))
        }
    }
}

/// The figures of a load that is watched through one window.
fn values(kind: Kind, window: &Window) -> Vec<f64> {
    let cpu = window.cpu_seconds();
    let elapsed = window.elapsed.as_secs_f64();
    let units = window.units as f64;
    if matches!(kind, Kind::Bulk { .. }) {
        let gib = units / f64::from(1 << 30);
        return vec![cpu / gib, gib / elapsed];
    }
    let [p50, p99] = window.percentiles([0.5, 0.99]);
    vec![cpu / units * 1e6, units / elapsed, p50, p99]
}

fn idle(
    origin: &TcpListener,
    running: &Running,
    kind: Kind,
    connections: usize,
) -> io::Result<Sample> {
    let mut resting = Resting::default();
    let open = |more| resting.open(origin, running.address, more);
    let kib = idle_kib(running.process()?, connections, open)?;
    Ok(Sample { figures: Figures::new(kind, vec![kib]), cpu_disagreement: Default::default() })
}

/// The same proxy twice: with the round trips alone, and with the bulk flows beside them.
fn fairness(
    origin: &TcpListener,
    running: &Running,
    kind: Kind,
    flows: usize,
    effort: Effort,
) -> io::Result<Sample> {
    // Longer than elsewhere: so many flows take a while to find their pace, and the slowest of a
    // hundred round trips has to be seen often enough.
    let effort = Effort { warm_up: effort.warm_up * 4, window: effort.window * 3, ..effort };
    let ping_pong = || round_trips::start(origin, running.address, FAIRNESS_MESSAGE_BYTES, 1);
    let percentiles = |window: &Window| window.percentiles([0.5, 0.99]);
    let [alone_p50, alone_p99] = percentiles(&watch(running, ping_pong()?, effort)?);
    let load = ping_pong()?;
    let bulk = bulk::start(origin, running.address, Sender::Origin, flows, Priority::Idle)?;
    let (started, bytes_before) = (Instant::now(), bulk.units());
    let beside = watch(running, load, effort)?;
    let gib = (bulk.units() - bytes_before) as f64 / f64::from(1 << 30);
    let gib_per_second = gib / started.elapsed().as_secs_f64();
    bulk.stop()?;
    let [p50, p99] = percentiles(&beside);
    let values = vec![alone_p50, alone_p99, p50, p99, p99 / alone_p99, gib_per_second];
    Ok(beside.sample(kind, values))
}
