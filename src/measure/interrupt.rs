//! Ctrl-C in the middle: says that nothing is left, and ends by the signal.

use std::io::{self, Write};
use std::thread::Builder;

use nix::sys::signal::{SigSet, Signal, raise};

/// Signals that end the program early.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Keeps those signals, and the one for a file that grows too long, from all threads that are
/// started from now on. The latter then is an error of the write that met the limit.
///
/// # Errors
/// As pthread_sigmask(3).
pub fn hold() -> io::Result<SigSet> {
    let ending: SigSet = ENDING.into_iter().collect();
    let mut held = ending;
    held.add(Signal::SIGXFSZ);
    held.thread_block()?;
    Ok(ending)
}

/// Waits for them on a thread of its own. `clean_up` leaves the terminal as it was; the scratch
/// file and the load end with the process.
///
/// # Errors
/// No thread is to be had.
pub fn watch(ending: SigSet, clean_up: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let watch = move || {
        let Ok(signal) = ending.wait() else { return };
        clean_up();
        let line = "interrupted: the scratch file and the load are gone\n";
        // Where nobody reads it, nobody misses it.
        let _written = io::stderr().write_all(line.as_bytes());
        // The default action ends the process, and tells the shell by which signal.
        let _ended = ending.thread_unblock().and_then(|()| raise(signal));
    };
    Builder::new().name("signals".to_owned()).spawn(watch)?;
    Ok(())
}
