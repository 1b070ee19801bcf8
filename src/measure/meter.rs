//! Reads clock, CPU time, system calls and context switches around a piece of work.

use std::cell::Cell;
use std::fs;
use std::io;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;

use crate::measure::results::{Counted, Figures};
use crate::sys::calls::Calls;
use crate::sys::thread_clock;
use crate::sys::tracepoint::SystemCallCounter;

const GIB: f64 = (1 << 30) as f64;

/// What the kernel calls its threads that carry out what a ring cannot do at once. They are
/// threads of the process that owns the ring, but not the one that is measured.
const RING_WORKER: &str = "iou-wrk-";

/// Measures the thread that it was made on.
pub struct Meter {
    counter: Result<SystemCallCounter, String>,
    /// System calls of its own between two readings of the counter.
    own_calls: u64,
    /// System calls that a reading of the clock is: none where the kernel has it in the vDSO.
    calls_of_clock: u64,
    /// By how many system calls the program's count and the kernel's were apart, and how many the
    /// kernel counted.
    apart: Cell<[u64; 2]>,
}

/// Who pays for the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payer {
    /// The thread itself.
    Thread,
    /// That, and the threads that the kernel runs for its rings.
    ThreadAndRingWorkers,
}

/// What a piece of work cost; those of several add up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    bytes: u64,
    elapsed: Duration,
    cpu: Duration,
    system_calls: u64,
    context_switches: u64,
}

impl Cost {
    /// As shares of a GiB; `None` where nothing was moved.
    pub fn figures(self) -> Option<Figures> {
        if self.bytes == 0 {
            return None;
        }
        let gib = self.bytes as f64 / GIB;
        let (elapsed, cpu) = (self.elapsed.as_secs_f64(), self.cpu.as_secs_f64());
        Some(Figures {
            gib_per_second: gib / elapsed,
            cpu_seconds_per_gib: cpu / gib,
            cpu_share: cpu / elapsed,
            system_calls_per_gib: self.system_calls as f64 / gib,
            context_switches_per_gib: self.context_switches as f64 / gib,
        })
    }

    /// How long it took.
    pub fn elapsed(self) -> Duration {
        self.elapsed
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.bytes += other.bytes;
        self.elapsed += other.elapsed;
        self.cpu += other.cpu;
        self.system_calls += other.system_calls;
        self.context_switches += other.context_switches;
    }
}

impl Meter {
    /// For the calling thread.
    pub fn new() -> Meter {
        let counter = SystemCallCounter::open();
        let mut meter = Meter { counter, own_calls: 0, calls_of_clock: 0, apart: Cell::default() };
        // Twice nothing, once with the clock read in between, tells what the meter itself costs.
        let calls_of = |meter: &Meter, clock_readings: usize| {
            let work = |calls: &mut Calls| {
                for _ in 0..clock_readings {
                    calls.now();
                }
                Ok(0)
            };
            meter.measure(Payer::Thread, work).map_or(0, |cost| cost.system_calls)
        };
        meter.own_calls = calls_of(&meter, 0);
        meter.calls_of_clock = calls_of(&meter, 1);
        meter.apart = Cell::default();
        meter
    }

    /// Who counts system calls.
    pub fn counted(&self) -> Counted {
        match &self.counter {
            Ok(_) => {
                let [apart, counted] = self.apart.get();
                Counted::ByTracepoint { disagreement: apart as f64 / counted.max(1) as f64 }
            }
            Err(because) => Counted::ByProgram { because: because.clone() },
        }
    }

    /// What `work` costs, which says how many bytes it has moved.
    ///
    /// The readings nest: what is dear to read is read first and last, so that it is no part of
    /// what is measured.
    ///
    /// # Errors
    /// Those of `work`, and where the system tells nothing of a thread (`RUSAGE_THREAD`).
    pub fn measure(
        &self,
        payer: Payer,
        work: impl FnOnce(&mut Calls) -> io::Result<u64>,
    ) -> io::Result<Cost> {
        let mut calls = Calls::default();
        let workers_before = RingWorker::all(payer);
        let switches_before = context_switches()?;
        let calls_before = self.kernel_calls()?;
        let cpu_before = thread_clock::this_thread()?;
        let started = Instant::now();
        let bytes = work(&mut calls)?;
        let elapsed = started.elapsed();
        let cpu_after = thread_clock::this_thread()?;
        let calls_after = self.kernel_calls()?;
        let switches_after = context_switches()?;
        let workers = RingWorker::spent_between(&workers_before, &RingWorker::all(payer));
        let system_calls = match (calls_before, calls_after) {
            (Some(before), Some(after)) => {
                let of_meter = self.own_calls + self.calls_of_clock * calls.clock_readings();
                let counted = (after - before).saturating_sub(of_meter);
                self.compare(calls.made(), counted);
                counted
            }
            _ => calls.made(),
        };
        Ok(Cost {
            bytes,
            elapsed,
            cpu: cpu_after.saturating_sub(cpu_before) + workers.cpu,
            system_calls,
            context_switches: switches_after.saturating_sub(switches_before) + workers.switches,
        })
    }

    fn kernel_calls(&self) -> io::Result<Option<u64>> {
        self.counter.as_ref().ok().map(SystemCallCounter::read).transpose()
    }

    fn compare(&self, made: u64, counted: u64) {
        let [apart, all] = self.apart.get();
        self.apart.set([apart + made.abs_diff(counted), all + counted]);
    }
}

impl Default for Meter {
    fn default() -> Meter {
        Meter::new()
    }
}

/// Of this thread so far, voluntary or not.
fn context_switches() -> io::Result<u64> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
    Ok(switches.cast_unsigned())
}

/// A thread that the kernel runs for a ring, and what it has spent so far.
#[derive(Debug, Clone, Copy, Default)]
struct RingWorker {
    thread: i32,
    cpu: Duration,
    switches: u64,
}

impl RingWorker {
    /// All that there are; none without /proc.
    fn all(payer: Payer) -> Vec<RingWorker> {
        if payer == Payer::Thread {
            return Vec::new();
        }
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let workers = tasks.filter_map(|task| {
            let read = |name: &str| fs::read_to_string(task.path().join(name)).ok();
            if !read("comm")?.starts_with(RING_WORKER) {
                return None;
            }
            let thread = task.file_name().to_str()?.parse().ok()?;
            let status = read("status")?;
            let switches = status.lines().filter(|line| line.contains("ctxt_switches:"));
            let switches =
                switches.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok());
            let cpu = thread_clock::of_thread(Pid::from_raw(thread)).ok()?;
            Some(RingWorker { thread, cpu, switches: switches.sum() })
        });
        workers.collect()
    }

    /// What those that are there now have spent since. One that has ended meanwhile had been idle
    /// for seconds, so nothing is missing of it.
    fn spent_between(before: &[RingWorker], now: &[RingWorker]) -> RingWorker {
        let mut sum = RingWorker::default();
        for now in now {
            let then = before.iter().find(|it| it.thread == now.thread).copied();
            let then = then.unwrap_or_default();
            sum.cpu += now.cpu.saturating_sub(then.cpu);
            sum.switches += now.switches.saturating_sub(then.switches);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(meter: &Meter, payer: Payer, work: impl FnOnce(&mut Calls)) -> Figures {
        let work = |calls: &mut Calls| {
            work(calls);
            Ok(1 << 30)
        };
        meter.measure(payer, work).unwrap().figures().unwrap()
    }

    #[test]
    fn what_is_counted_is_what_was_done() {
        let meter = Meter::new();
        // What the meter reads for itself is no part of it, however much that is.
        for payer in [Payer::Thread, Payer::ThreadAndRingWorkers] {
            let figures = figures(&meter, payer, |calls| {
                for _ in 0..100 {
                    calls.count(nix::unistd::getppid);
                    calls.now();
                }
            });
            assert_eq!(figures.system_calls_per_gib, 100.0);
            assert!(figures.gib_per_second > 0.0);
        }
        if let Counted::ByTracepoint { disagreement } = meter.counted() {
            assert_eq!(disagreement, 0.0);
        }
    }

    /// A clock that goes by ticks of 4 ms would miss most of it.
    #[test]
    fn two_milliseconds_of_work_are_not_less() {
        let (meter, spin) = (Meter::new(), Duration::from_millis(2));
        for _ in 0..5 {
            let figures = figures(&meter, Payer::Thread, |_| {
                let start = thread_clock::this_thread().unwrap();
                while thread_clock::this_thread().unwrap() - start < spin {}
            });
            assert!(figures.cpu_seconds_per_gib >= spin.as_secs_f64(), "{figures:?}");
        }
    }

    #[test]
    fn nothing_moved_has_no_figures() {
        assert!(Cost::default().figures().is_none());
    }

    /// One that was there before counts from then on, a new one from its start, and one that has
    /// ended takes nothing away.
    #[test]
    fn threads_of_rings_count_from_the_beginning_of_the_work() {
        let worker = |thread: i32, seconds: u64| RingWorker {
            thread,
            cpu: Duration::from_secs(seconds),
            switches: seconds,
        };
        let spent = RingWorker::spent_between(&[worker(1, 9), worker(2, 5)], &[worker(2, 6)]);
        assert_eq!((spent.cpu.as_secs(), spent.switches), (1, 1));
        let spent = RingWorker::spent_between(&[worker(2, 5)], &[worker(2, 5), worker(3, 4)]);
        assert_eq!((spent.cpu.as_secs(), spent.switches), (4, 4));
    }
}
