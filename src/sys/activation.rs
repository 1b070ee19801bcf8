//! Sockets that a service manager hands over (`LISTEN_FDS`, sd_listen_fds(3)).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Takes the listening sockets that the service manager passed to this process, made
/// non-blocking. A second call returns none, since the first one owns them.
///
/// # Errors
/// The variables are malformed, or name descriptors that are not open.
pub fn take_sockets() -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let descriptors = sd_notify::listen_fds()?;
    let sockets: Vec<OwnedFd> = descriptors
        // SAFETY: the service manager opened these for us and `listen_fds` has made sure that
        // they are open; TAKEN lets nobody own them twice.
        .map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) })
        .collect();
    for socket in &sockets {
        socket2::SockRef::from(socket).set_nonblocking(true)?;
    }
    Ok(sockets)
}
