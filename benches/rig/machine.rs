//! What the figures were measured on.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Kernel, processor, and how many CPUs there are to use.
#[derive(Debug, Clone)]
pub struct Machine {
    pub kernel: String,
    pub cpu: String,
    /// CPUs that this process may use.
    pub cpus: usize,
}

impl Machine {
    /// This one, of which `allowed` may be used.
    pub fn probe(allowed: &CpuSet) -> Machine {
        let kernel = nix::sys::utsname::uname()
            .map_or_else(|_| "unknown".into(), |name| name.release().to_string_lossy().into());
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo
            .lines()
            .find(|line| line.starts_with("model name"))
            .and_then(|line| line.split_once(": "))
            .map_or_else(|| std::env::consts::ARCH.into(), |(_, model)| model.trim().to_owned());
        Machine { kernel, cpu, cpus: members(allowed).len() }
    }

    /// Whether a proxy with so many workers has CPUs for itself, and both ends have others.
    pub fn keeps_apart(&self, workers: usize) -> bool {
        self.cpus > workers
    }
}

fn members(set: &CpuSet) -> Vec<usize> {
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
}

/// Who runs where.
#[derive(Debug, Clone, Copy)]
pub struct Cpus {
    /// The CPUs of the proxy under measurement.
    pub proxy: CpuSet,
    /// The CPUs of both ends.
    pub ends: CpuSet,
}

impl Cpus {
    /// The first CPUs that this process may use, one for each of the proxy's `workers`, and as
    /// many after them for the ends. With too few for that, all share all: CPU times still
    /// compare, throughput and latency do not.
    pub fn choose(allowed: &CpuSet, workers: usize) -> Cpus {
        let usable = members(allowed);
        let (proxy, rest) = usable.split_at(workers.min(usable.len()));
        if rest.is_empty() {
            return Cpus { proxy: *allowed, ends: *allowed };
        }
        let set = |cpus: &[usize]| {
            let mut set = CpuSet::new();
            // Cannot fail: each was found in a set of the same size.
            cpus.iter().for_each(|cpu| set.set(*cpu).unwrap_or_default());
            set
        };
        Cpus { proxy: set(proxy), ends: set(&rest[..workers.min(rest.len())]) }
    }

    /// How many threads each end of a load has: one for each CPU that is theirs alone.
    pub fn threads_of_each_end(&self) -> usize {
        if self.ends == self.proxy { 1 } else { members(&self.ends).len() }
    }
}

/// The CPUs that this process may use.
pub fn allowed_cpus() -> CpuSet {
    sched_getaffinity(Pid::from_raw(0)).unwrap_or_default()
}

/// Binds the calling thread, and what it will spawn, to `cpus`.
///
/// # Errors
/// As sched_setaffinity(2).
pub fn pin_this_thread(cpus: &CpuSet) -> std::io::Result<()> {
    Ok(sched_setaffinity(Pid::from_raw(0), cpus)?)
}
