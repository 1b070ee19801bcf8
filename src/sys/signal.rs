//! What signals do to the process.

use std::io;

use nix::sys::signal::{SigHandler, SigSet, Signal, raise, signal};

/// Whether `signal` does nothing, as whoever started the process wanted it (`nohup`).
///
/// # Errors
/// As sigaction(2).
pub fn is_ignored(signal: Signal) -> io::Result<bool> {
    // SAFETY: all zeroes are a valid `sigaction`, which the call overwrites.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action nothing changes, and the old one is written to `action`.
    let outcome = unsafe { libc::sigaction(signal as i32, std::ptr::null(), &raw mut action) };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(action.sa_sigaction == libc::SIG_IGN)
}

/// Ends the process by `ending`, so that whoever waits for it is told by which signal.
pub fn end_by(ending: Signal) -> ! {
    // SAFETY: the default action is no code of this process.
    let _was = unsafe { signal(ending, SigHandler::SigDfl) };
    let _ended = SigSet::from_iter([ending]).thread_unblock().and_then(|()| raise(ending));
    // Reached only where the action is not to end, or the calls were refused.
    std::process::exit(128 + ending as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_known() {
        // The standard library has it ignored before `main`.
        assert!(is_ignored(Signal::SIGPIPE).unwrap());
        assert!(!is_ignored(Signal::SIGSEGV).unwrap());
    }
}
