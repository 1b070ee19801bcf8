//! Which thread runs on which CPU, where something is measured.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Who runs where.
#[derive(Debug, Clone, Copy)]
pub struct Cpus {
    /// The CPUs of what is measured: of a proxy, or of a single thread.
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
        if self.keeps_apart() { members(&self.ends).len() } else { 1 }
    }

    /// Whether what is measured has CPUs for itself.
    pub fn keeps_apart(&self) -> bool {
        self.ends != self.proxy
    }
}

/// The numbers of the CPUs in a set, ascending.
pub fn members(set: &CpuSet) -> Vec<usize> {
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
}

/// The CPUs that this process may use.
pub fn allowed_cpus() -> CpuSet {
    sched_getaffinity(Pid::from_raw(0)).unwrap_or_default()
}

/// Binds the calling thread, and what it will spawn, to `cpus`.
///
/// # Errors
/// As sched_setaffinity(2).
pub fn pin_this_thread(cpus: &CpuSet) -> io::Result<()> {
    Ok(sched_setaffinity(Pid::from_raw(0), cpus)?)
}
