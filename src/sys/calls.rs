//! Counts system calls at the place where they are made.

/// How many system calls were made so far.
#[derive(Debug, Default)]
pub struct Calls {
    made: u64,
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
}
