//! Descriptors that a service manager hands over, or a predecessor in its manner (`LISTEN_FDS`,
//! sd_listen_fds(3)).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// A descriptor that this process was started with.
#[derive(Debug)]
pub struct Handed {
    /// What `LISTEN_FDNAMES` calls it; `unknown` where nothing does.
    pub name: String,
    /// The descriptor, which is non-blocking and closed on exec.
    pub descriptor: OwnedFd,
}

/// Takes what was passed to this process. A second call returns nothing, since the first one owns
/// it all.
///
/// # Errors
/// The variables are malformed, or name descriptors that are not open.
pub fn take() -> io::Result<Vec<Handed>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let handed: Vec<Handed> = sd_notify::listen_fds_with_names()?
        .map(|(descriptor, name)| Handed {
            name,
            // SAFETY: whoever started this process opened these for it, and `listen_fds` has made
            // sure that they are open; TAKEN lets nobody own them twice.
            descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) },
        })
        .collect();
    for handed in &handed {
        socket2::SockRef::from(&handed.descriptor).set_nonblocking(true)?;
    }
    Ok(handed)
}
