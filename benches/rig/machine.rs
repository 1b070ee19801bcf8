//! What the figures were measured on.

use nix::sched::CpuSet;
use spliceway::sys::affinity::members;
pub use spliceway::sys::affinity::{Cpus, allowed_cpus, pin_this_thread};
use spliceway::sys::probe::cpu_model;

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
        Machine { kernel, cpu: cpu_model(), cpus: members(allowed).len() }
    }

    /// Whether a proxy with so many workers has CPUs for itself, and both ends have others.
    pub fn keeps_apart(&self, workers: usize) -> bool {
        self.cpus > workers
    }
}
