//! The CPU time of threads, to the nanosecond (clock_gettime(2)).
//!
//! `getrusage` would not do: on kernels that account by ticks (`CONFIG_TICK_CPU_ACCOUNTING`, the
//! default) it tells what was spent up to the last tick or switch, 1 to 10 ms ago.

use std::io;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::ClockId;
use nix::unistd::Pid;

/// `CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED` of `include/linux/posix-timers_types.h`: the low bits
/// of the number that the clock of a thread has, above which stands its inverted identifier.
const THREAD_CLOCK: libc::clockid_t = 4 | 2;

/// What the calling thread has spent.
///
/// # Errors
/// As clock_gettime(2).
pub fn this_thread() -> io::Result<Duration> {
    time_of(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// What another thread of this process has spent.
///
/// # Errors
/// `EINVAL` when there is no such thread any more.
pub fn of_thread(thread: Pid) -> io::Result<Duration> {
    time_of(ClockId::from_raw(!thread.as_raw() << 3 | THREAD_CLOCK))
}

fn time_of(clock: ClockId) -> io::Result<Duration> {
    let time: TimeSpec = clock.now()?;
    Ok(Duration::from(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_the_same_time_by_both_names() {
        let before = this_thread().unwrap();
        let by_identifier = of_thread(nix::unistd::gettid()).unwrap();
        let after = this_thread().unwrap();
        assert!(before <= by_identifier && by_identifier <= after);
        assert!(before < after, "it counts nanoseconds, not ticks");
    }

    #[test]
    fn a_thread_that_has_ended_has_none() {
        let thread = std::thread::spawn(nix::unistd::gettid).join().unwrap();
        // The kernel may take a moment to forget it.
        while of_thread(thread).is_ok() {
            std::thread::yield_now();
        }
    }
}
