//! Threads that do nothing, and take their share of the proxy's CPU by it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::sched::CpuSet;

use crate::rig::machine::pin_this_thread;

/// Busy threads; they end when dropped.
pub struct Competitors {
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Competitors {
    /// So many of them on `cpus`.
    pub fn start(cpus: CpuSet, threads: usize) -> Competitors {
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = |_| {
            let stopping = Arc::clone(&stopping);
            std::thread::spawn(move || {
                pin_this_thread(&cpus)?;
                while !stopping.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                Ok(())
            })
        };
        let threads = (0..threads).map(thread).collect();
        Competitors { stopping, threads }
    }
}

impl Drop for Competitors {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that could not be bound to the CPU has taken less of it, and the measurement
            // shows that the proxy could do more.
            let _ended = thread.join();
        }
    }
}
