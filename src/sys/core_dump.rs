//! Nothing of a process that holds private keys is left on a disk when it dies.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Below a page, so that no file is written; and the one value at which the kernel does not hand
/// the memory to a program either, whatever `core_pattern` says (core(5), `do_coredump` in the
/// kernel's fs/coredump.c).
const LIMIT: u64 = 1;

/// Turns core dumps off.
///
/// # Errors
/// The system refuses: a filter of system calls may, where limits are set from outside.
pub fn forbid() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    if soft > LIMIT {
        setrlimit(Resource::RLIMIT_CORE, LIMIT.min(hard), hard)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_core_is_left() {
        forbid().unwrap();
        assert!(getrlimit(Resource::RLIMIT_CORE).unwrap().0 <= LIMIT);
    }
}
