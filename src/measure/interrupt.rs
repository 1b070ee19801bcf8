//! Ctrl-C in the middle: says that nothing stays behind, and ends by the signal.

use std::io::{self, Write};
use std::thread::Builder;

use nix::sys::signal::{SigSet, Signal};

use crate::sys::signal::{end_by, is_ignored};

/// Keeps the signals that end the program early, and the one for a file that grows too long, from
/// all threads that are started from now on. The latter then is an error of the write that met
/// the limit. Gives the former, but for those that whoever started the program wants ignored:
/// `nohup`, or a shell without job control that starts it in the background.
///
/// # Errors
/// As sigaction(2) and pthread_sigmask(3).
pub fn hold() -> io::Result<SigSet> {
    let mut ending = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        if !is_ignored(signal)? {
            ending.add(signal);
        }
    }
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
        // Neither has a name or an owner beside the process, so this is no promise but a fact.
        let line = "interrupted: the scratch file and the load go with the process\n";
        // Where nobody reads it, nobody misses it.
        let _written = io::stderr().write_all(line.as_bytes());
        end_by(signal);
    };
    Builder::new().name("signals".to_owned()).spawn(watch)?;
    Ok(())
}
