//! Reads clock, CPU time, system calls and context switches around a piece of work.

use std::cell::Cell;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::measure::results::{Counted, Figures};
use crate::sys::calls::Calls;
use crate::sys::tracepoint::SystemCallCounter;

const GIB: f64 = (1 << 30) as f64;

/// What the kernel calls its threads that carry out what a ring cannot do at once. They are
/// threads of the process that owns the ring, but not the one that is measured.
const RING_WORKER: &str = "iou-wrk-";

/// Measures the thread that it was made on.
pub struct Meter {
    counter: Result<SystemCallCounter, String>,
    disagreement: Cell<f64>,
}

/// CPU time and context switches so far.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    cpu: Duration,
    switches: u64,
}

impl Meter {
    /// For the calling thread.
    pub fn new() -> Meter {
        Meter { counter: SystemCallCounter::open(), disagreement: Cell::new(0.0) }
    }

    /// Who counts system calls.
    pub fn counted(&self) -> Counted {
        match &self.counter {
            Ok(_) => Counted::ByTracepoint { disagreement: self.disagreement.get() },
            Err(because) => Counted::ByProgram { because: because.clone() },
        }
    }

    /// What `work` costs, which says how many bytes it has moved.
    ///
    /// # Errors
    /// Those of `work`, and where the system tells nothing of a thread (`RUSAGE_THREAD`).
    pub fn measure(&self, work: impl FnOnce(&mut Calls) -> io::Result<u64>) -> io::Result<Figures> {
        let mut calls = Calls::default();
        let before = spent()?;
        let calls_before = self.kernel_calls()?;
        let started = Instant::now();
        let bytes = work(&mut calls)?;
        let elapsed = started.elapsed();
        let calls_after = self.kernel_calls()?;
        let after = spent()?;
        let made = calls.made();
        let system_calls = match (calls_before, calls_after) {
            // The second reading was a call, and has counted itself.
            (Some(before), Some(after)) => {
                let counted = (after - before).saturating_sub(1);
                self.disagree(made, counted);
                counted
            }
            _ => made,
        };
        let gib = bytes as f64 / GIB;
        Ok(Figures {
            gib_per_second: gib / elapsed.as_secs_f64(),
            cpu_seconds_per_gib: after.cpu.saturating_sub(before.cpu).as_secs_f64() / gib,
            system_calls_per_gib: system_calls as f64 / gib,
            context_switches_per_gib: after.switches.saturating_sub(before.switches) as f64 / gib,
        })
    }

    fn kernel_calls(&self) -> io::Result<Option<u64>> {
        self.counter.as_ref().ok().map(SystemCallCounter::read).transpose()
    }

    fn disagree(&self, made: u64, counted: u64) {
        let share = made.abs_diff(counted) as f64 / counted.max(1) as f64;
        self.disagreement.set(self.disagreement.get().max(share));
    }
}

impl Default for Meter {
    fn default() -> Meter {
        Meter::new()
    }
}

/// Of this thread, and of the threads that the kernel runs for its rings.
fn spent() -> io::Result<Spent> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
    let workers = ring_workers();
    Ok(Spent {
        cpu: Duration::from_micros(microseconds.cast_unsigned()) + workers.cpu,
        switches: switches.cast_unsigned() + workers.switches,
    })
}

/// Nothing, where there is no /proc.
fn ring_workers() -> Spent {
    let mut sum = Spent::default();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        if !read("comm").starts_with(RING_WORKER) {
            continue;
        }
        // Time on a CPU in nanoseconds comes first (proc_pid_schedstat(5)).
        let nanoseconds = read("schedstat").split(' ').next().and_then(|it| it.parse().ok());
        sum.cpu += Duration::from_nanos(nanoseconds.unwrap_or(0));
        let status = read("status");
        let switches = status.lines().filter(|line| line.contains("ctxt_switches:"));
        sum.switches += switches
            .filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok())
            .sum::<u64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_what_was_done() {
        let meter = Meter::new();
        let figures = meter
            .measure(|calls| {
                for _ in 0..100 {
                    calls.count(nix::unistd::getppid);
                }
                Ok(1 << 30)
            })
            .unwrap();
        assert_eq!(figures.system_calls_per_gib, 100.0);
        assert!(figures.gib_per_second > 0.0);
        if let Counted::ByTracepoint { disagreement } = meter.counted() {
            assert_eq!(disagreement, 0.0);
        }
    }
}
