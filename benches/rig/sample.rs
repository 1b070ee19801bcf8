//! One measurement: a load on a fresh proxy, a warm-up, a window.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sched::CpuSet;

use super::arguments::Effort;
use super::contestant::Running;
use super::kind::{Figures, Kind};
use super::load::{Latencies, Load, PATIENCE};
use super::machine::Cpus;
use super::process::ProxyProcess;
use spliceway::statistics::percentile_microseconds;

/// How often it is looked whether a load has begun to arrive.
const FIRST_UNIT_PAUSE: Duration = Duration::from_millis(1);

/// What all samples of a run have in common.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    pub effort: Effort,
    /// The CPUs that this process may use.
    pub allowed: CpuSet,
}

impl Conditions {
    /// Who runs where, for a proxy with so many workers.
    pub fn cpus(&self, workers: usize) -> Cpus {
        Cpus::choose(&self.allowed, workers)
    }
}

/// What one measurement came to.
pub struct Sample {
    pub figures: Figures,
    /// By how much the kernel's two accounts of the proxy's CPU time differ beyond their
    /// resolution.
    pub cpu_disagreement: Duration,
}

/// What happened while the window was open.
pub struct Window {
    /// CPU time of the proxy, all threads; `None` where there is no proxy.
    pub cpu: Option<Duration>,
    pub cpu_disagreement: Duration,
    /// By the clock.
    pub elapsed: Duration,
    /// What arrived: bytes, round trips or connections.
    pub units: u64,
    /// Sorted, in nanoseconds.
    pub latencies: Latencies,
}

/// Warms `running` up with the load, then watches both for a window, and ends the load.
///
/// # Errors
/// When any end of the load failed, or nothing arrived.
pub fn watch(running: &Running, load: Load, effort: Effort) -> io::Result<Window> {
    let (window, _) = watch_and_look(running, load, effort, || Ok(()))?;
    Ok(window)
}

/// The same, with what `look` sees when the window opens and when it closes.
///
/// # Errors
/// Those of [`watch`] and of `look`.
pub fn watch_and_look<T>(
    running: &Running,
    load: Load,
    effort: Effort,
    look: impl Fn() -> io::Result<T>,
) -> io::Result<(Window, [T; 2])> {
    await_first_unit(&load);
    sleep(effort.warm_up);
    load.open_window();
    let cpu_time = || running.process.as_ref().map(ProxyProcess::cpu_time).transpose();
    let first_look = look()?;
    let (started, units_before) = (Instant::now(), load.units());
    let cpu_before = cpu_time()?;
    sleep(effort.window);
    let cpu_after = cpu_time()?;
    let (elapsed, units) = (started.elapsed(), load.units() - units_before);
    let looks = [first_look, look()?];
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
    Ok((Window { cpu, cpu_disagreement, elapsed, units, latencies }, looks))
}

/// Waits until something has arrived, for sessions may have to be established before; or until
/// nothing will.
fn await_first_unit(load: &Load) {
    let deadline = Instant::now() + PATIENCE;
    while load.units() == 0 && !load.has_ended() && Instant::now() < deadline {
        sleep(FIRST_UNIT_PAUSE);
    }
}

impl Window {
    /// CPU time of the proxy in seconds; NaN where there is none.
    pub fn cpu_seconds(&self) -> f64 {
        self.cpu.map_or(f64::NAN, |cpu| cpu.as_secs_f64())
    }

    /// Those of the latencies, in microseconds.
    pub fn percentiles<const N: usize>(&self, shares: [f64; N]) -> [f64; N] {
        shares.map(|share| percentile_microseconds(&self.latencies, share))
    }

    /// A sample of which this window is all.
    pub fn sample(&self, kind: impl Kind, values: Vec<f64>) -> Sample {
        Sample { figures: Figures::new(kind, values), cpu_disagreement: self.cpu_disagreement }
    }
}

/// Connections that are open before the idle ones are counted: what the first of them bring to
/// life in a proxy is not theirs.
const IDLE_WARM_UP: usize = 64;

/// What memory is given to come to rest.
const IDLE_PAUSE: Duration = Duration::from_millis(100);

/// KiB that each of `connections` resting ones costs `process`; `open` opens so many, with some
/// traffic on each, and keeps them.
///
/// # Errors
/// Those of `open`, and when the process is gone.
pub fn idle_kib(
    process: &ProxyProcess,
    connections: usize,
    mut open: impl FnMut(usize) -> io::Result<()>,
) -> io::Result<f64> {
    open(IDLE_WARM_UP)?;
    sleep(IDLE_PAUSE);
    let before = process.resident_kib()?;
    open(connections)?;
    sleep(IDLE_PAUSE);
    Ok((process.resident_kib()? - before) / connections as f64)
}
