//! What the figures were measured on.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Kernel, processor, and how many CPUs there are.
#[derive(Debug, Clone)]
pub struct Machine {
    pub kernel: String,
    pub cpu: String,
    pub cpus: usize,
}

impl Machine {
    pub fn probe() -> Machine {
        let kernel = nix::sys::utsname::uname()
            .map_or_else(|_| "unknown".into(), |name| name.release().to_string_lossy().into());
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo
            .lines()
            .find(|line| line.starts_with("model name"))
            .and_then(|line| line.split_once(": "))
            .map_or_else(|| std::env::consts::ARCH.into(), |(_, model)| model.trim().to_owned());
        let cpus = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
        Machine { kernel, cpu, cpus }
    }
}

/// Who runs where.
#[derive(Debug, Clone, Copy)]
pub struct Cpus {
    /// The CPU of the proxy under measurement.
    pub proxy: usize,
    /// The CPU of both ends.
    pub ends: usize,
}

impl Cpus {
    /// The first two CPUs that this process may use. With only one, both halves share it: CPU
    /// times still compare, throughput and latency do not.
    pub fn choose() -> Cpus {
        let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        let mut usable = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
        let proxy = usable.next().unwrap_or(0);
        let ends = usable.next().unwrap_or(proxy);
        Cpus { proxy, ends }
    }

    /// Whether the proxy has a CPU for itself.
    pub fn are_apart(self) -> bool {
        self.proxy != self.ends
    }
}

/// Binds the calling thread, and what it will spawn, to one CPU.
///
/// # Errors
/// As sched_setaffinity(2).
pub fn pin_this_thread(cpu: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
