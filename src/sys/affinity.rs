//! Which thread runs on which CPU, where something is measured.

use std::fs;
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

/// Where a single thread is measured, with a sender and a receiver beside it.
#[derive(Debug, Clone, Copy)]
pub struct Seats {
    /// The thread under measurement.
    pub measured: CpuSet,
    /// Where its bytes come from.
    pub sender: CpuSet,
    /// Where they go to.
    pub receiver: CpuSet,
    /// Whether the thread under measurement has a core for itself.
    pub keeps_apart: bool,
    /// Whether sender and receiver have one each, too.
    pub ends_apart: bool,
}

impl Seats {
    /// A core for each of the three where there are so many; with two the ends share one. Two
    /// hyper-threads of one core would slow each other down, and count as one CPU.
    pub fn choose(allowed: &CpuSet) -> Seats {
        Seats::on(allowed, &cores(&members(allowed), siblings))
    }

    fn on(allowed: &CpuSet, cores: &[usize]) -> Seats {
        let [measured, sender, receiver] = match *cores {
            [first, second, third, ..] => [first, second, third].map(one),
            [first, second] => [first, second, second].map(one),
            _ => [*allowed; 3],
        };
        let (keeps_apart, ends_apart) = (measured != sender, sender != receiver);
        Seats { measured, sender, receiver, keeps_apart, ends_apart }
    }
}

/// One CPU of each core: the first of those that share it.
fn cores(cpus: &[usize], siblings: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let mut cores: Vec<usize> = Vec::new();
    for cpu in cpus {
        let shared = siblings(*cpu);
        if !cores.iter().any(|core| shared.contains(core)) {
            cores.push(*cpu);
        }
    }
    cores
}

/// The CPUs that share a core with this one, in the form of sysfs ("0,32" or "0-1"); none where
/// the kernel does not say.
fn siblings(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    parse_list(&fs::read_to_string(path).unwrap_or_default())
}

fn parse_list(list: &str) -> Vec<usize> {
    let ranges = list.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    });
    ranges.flatten().collect()
}

fn one(cpu: usize) -> CpuSet {
    let mut set = CpuSet::new();
    // Cannot fail: it was found in a set of the same size.
    set.set(cpu).unwrap_or_default();
    set
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_one_core_count_once() {
        assert_eq!(parse_list("0,32\n"), [0, 32]);
        assert_eq!(parse_list("2-3"), [2, 3]);
        assert_eq!(parse_list(""), [0; 0]);
        let pairs = |cpu: usize| vec![cpu & !1, cpu | 1];
        assert_eq!(cores(&[0, 1, 2, 3, 5], pairs), [0, 2, 5]);
        assert_eq!(cores(&[0, 1, 2], |_| Vec::new()), [0, 1, 2], "where nothing is known");
    }

    #[test]
    fn each_end_has_a_core_where_there_are_three() {
        let allowed = CpuSet::new();
        let apart = |cores: &[usize]| {
            let seats = Seats::on(&allowed, cores);
            (seats.keeps_apart, seats.ends_apart)
        };
        assert_eq!(apart(&[0, 2, 4, 6]), (true, true));
        assert_eq!(apart(&[0, 2]), (true, false));
        assert_eq!(apart(&[0]), (false, false));
    }
}
