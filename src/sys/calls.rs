//! Counts system calls at the place where they are made.

use std::time::Instant;

/// How many system calls were made so far.
#[derive(Debug, Default)]
pub struct Calls {
    made: u64,
    clock_readings: u64,
}

impl Calls {
    /// Makes a system call, and counts it.
    pub fn count<T>(&mut self, call: impl FnOnce() -> T) -> T {
        self.made += 1;
        call()
    }

    /// The number of calls so far.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Reads the clock on behalf of whoever measures. It counts apart: on most machines it is no
    /// system call (vdso(7)), and where it is one, it is not that of what is measured.
    pub fn now(&mut self) -> Instant {
        self.clock_readings += 1;
        Instant::now()
    }

    /// How often the clock was read.
    pub fn clock_readings(&self) -> u64 {
        self.clock_readings
    }
}
