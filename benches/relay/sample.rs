//! One measurement: a fresh proxy, a warm-up, a window.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::arguments::Effort;
use crate::contestant::Contestant;
use crate::kind::Kind;
use crate::load::{Latencies, bind_origin};
use crate::machine::Cpus;

/// What happened while the window was open.
pub struct Sample {
    /// CPU time of the proxy's process, all threads.
    pub cpu: Duration,
    /// By how much the kernel's two accounts of it differ beyond their resolution.
    pub cpu_disagreement: Duration,
    /// By the clock.
    pub elapsed: Duration,
    /// What arrived: bytes, round trips or connections.
    pub units: u64,
    /// Sorted, in nanoseconds.
    pub latencies: Latencies,
}

/// Measures `contestant` once under one kind of load.
///
/// # Errors
/// When the proxy does not start, or any end of the load fails.
pub fn take(contestant: &Contestant, kind: Kind, effort: Effort, cpus: Cpus) -> io::Result<Sample> {
    let origin = bind_origin()?;
    let running = contestant.start(origin.local_addr()?, cpus)?;
    let load = kind.start(origin, running.address)?;
    sleep(effort.warm_up);
    load.open_window();
    let (started, units_before) = (Instant::now(), load.units());
    let cpu_before = running.process.cpu_time()?;
    sleep(effort.window);
    let cpu_after = running.process.cpu_time()?;
    let (elapsed, units) = (started.elapsed(), load.units() - units_before);
    load.close_window();
    let mut latencies = load.stop()?;
    latencies.sort_unstable();
    if units == 0 {
        return Err(io::Error::other("nothing arrived while the window was open"));
    }
    let (cpu, cpu_disagreement) =
        (cpu_after.since(cpu_before), cpu_after.disagreement_since(cpu_before));
    Ok(Sample { cpu, cpu_disagreement, elapsed, units, latencies })
}
