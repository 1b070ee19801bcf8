//! One measurement: a fresh proxy, a warm-up, a window.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::arguments::Effort;
use crate::contestant::{Contestant, Running};
use crate::kind::{Figures, Kind, Sender};
use crate::load::idle::Resting;
use crate::load::{Latencies, Load, Priority, bind_origin, bulk, connections, round_trips};
use crate::machine::Cpus;
use crate::process::ProxyProcess;
use crate::statistics::percentile_microseconds;

/// What one measurement came to.
pub struct Sample {
    pub figures: Figures,
    /// By how much the kernel's two accounts of the proxy's CPU time differ beyond their
    /// resolution.
    pub cpu_disagreement: Duration,
}

/// What happened while the window was open.
struct Window {
    /// CPU time of the proxy's process, all threads; `None` where there is no proxy.
    cpu: Option<Duration>,
    cpu_disagreement: Duration,
    /// By the clock.
    elapsed: Duration,
    /// What arrived: bytes, round trips or connections.
    units: u64,
    /// Sorted, in nanoseconds.
    latencies: Latencies,
}

/// Connections that are open before the idle ones are counted: what the first of them bring to
/// life in a proxy is not theirs.
const IDLE_WARM_UP: usize = 64;

/// What memory is given to come to rest.
const IDLE_PAUSE: Duration = Duration::from_millis(100);

const FAIRNESS_MESSAGE_BYTES: usize = 1024;

/// Measures `contestant` once under one kind of load.
///
/// # Errors
/// When the proxy does not start, or any end of the load fails.
pub fn take(contestant: &Contestant, kind: Kind, effort: Effort, cpus: Cpus) -> io::Result<Sample> {
    let origin = bind_origin()?;
    let running = contestant.start(origin.local_addr()?, cpus)?;
    match kind {
        Kind::Idle { connections } => idle(&origin, &running, kind, connections),
        Kind::Fairness { flows } => fairness(&origin, &running, kind, flows, effort),
        _ => {
            let load = start(kind, origin, running.address)?;
            let window = watch(&running, load, effort)?;
            Ok(Sample {
                figures: Figures::new(kind, window.values(kind)),
                cpu_disagreement: window.cpu_disagreement,
            })
        }
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

fn watch(running: &Running, load: Load, effort: Effort) -> io::Result<Window> {
    sleep(effort.warm_up);
    load.open_window();
    let cpu_time = || running.process.as_ref().map(ProxyProcess::cpu_time).transpose();
    let (started, units_before) = (Instant::now(), load.units());
    let cpu_before = cpu_time()?;
    sleep(effort.window);
    let cpu_after = cpu_time()?;
    let (elapsed, units) = (started.elapsed(), load.units() - units_before);
    load.close_window();
    let mut latencies = load.stop()?;
    latencies.sort_unstable();
    if units == 0 {
        return Err(io::Error::other("nothing arrived while the window was open"));
    }
    let spent = cpu_after.zip(cpu_before);
    let cpu = spent.map(|(after, before)| after.since(before));
    let disagreement = spent.map(|(after, before)| after.disagreement_since(before));
    let cpu_disagreement = disagreement.unwrap_or_default();
    Ok(Window { cpu, cpu_disagreement, elapsed, units, latencies })
}

impl Window {
    /// The figures of a load that is watched through one window.
    fn values(&self, kind: Kind) -> Vec<f64> {
        let cpu = self.cpu.map_or(f64::NAN, |cpu| cpu.as_secs_f64());
        let elapsed = self.elapsed.as_secs_f64();
        let units = self.units as f64;
        if matches!(kind, Kind::Bulk { .. }) {
            let gib = units / f64::from(1 << 30);
            return vec![cpu / gib, gib / elapsed];
        }
        let [p50, p99] = self.percentiles();
        vec![cpu / units * 1e6, units / elapsed, p50, p99]
    }

    fn percentiles(&self) -> [f64; 2] {
        [0.5, 0.99].map(|share| percentile_microseconds(&self.latencies, share))
    }
}

fn idle(
    origin: &TcpListener,
    running: &Running,
    kind: Kind,
    connections: usize,
) -> io::Result<Sample> {
    let process = running.process.as_ref();
    let process = process.ok_or_else(|| io::Error::other("without a proxy, no memory of it"))?;
    let mut resting = Resting::default();
    resting.open(origin, running.address, IDLE_WARM_UP)?;
    sleep(IDLE_PAUSE);
    let before = process.resident_kib()?;
    resting.open(origin, running.address, connections)?;
    sleep(IDLE_PAUSE);
    let after = process.resident_kib()?;
    let figures = Figures::new(kind, vec![(after - before) / connections as f64]);
    Ok(Sample { figures, cpu_disagreement: Duration::ZERO })
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
    let [alone_p50, alone_p99] = watch(running, ping_pong()?, effort)?.percentiles();
    let load = ping_pong()?;
    let bulk = bulk::start(origin, running.address, Sender::Origin, flows, Priority::Idle)?;
    let (started, bytes_before) = (Instant::now(), bulk.units());
    let beside = watch(running, load, effort)?;
    let gib = (bulk.units() - bytes_before) as f64 / f64::from(1 << 30);
    let gib_per_second = gib / started.elapsed().as_secs_f64();
    bulk.stop()?;
    let [p50, p99] = beside.percentiles();
    let values = vec![alone_p50, alone_p99, p50, p99, p99 / alone_p99, gib_per_second];
    let figures = Figures::new(kind, values);
    Ok(Sample { figures, cpu_disagreement: beside.cpu_disagreement })
}
