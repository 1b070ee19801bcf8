//! The kernel's own count of the system calls of a thread (perf_event_open(2)).

use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Where the kernel says which number its tracepoint has, on newer and on older systems.
const IDS: [&str; 2] = [
    "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
    "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id",
];

/// `PERF_TYPE_TRACEPOINT` of `include/uapi/linux/perf_event.h`.
const TYPE_TRACEPOINT: u32 = 2;

/// `PERF_FLAG_FD_CLOEXEC` of the same.
const FLAG_CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;

/// `struct perf_event_attr` in its first version (`PERF_ATTR_SIZE_VER0`), which every kernel
/// takes.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    breakpoint_address: u64,
}

const ATTRIBUTES_SIZE: u32 = size_of::<Attributes>() as u32;
const _: () = assert!(ATTRIBUTES_SIZE == 64, "PERF_ATTR_SIZE_VER0");

/// Counts each system call that the thread which opened it begins.
#[derive(Debug)]
pub struct SystemCallCounter {
    event: OwnedFd,
}

impl SystemCallCounter {
    /// Counts for the calling thread, from now on.
    ///
    /// # Errors
    /// In words for people: the kernel has no such tracepoint, or does not let this user see it.
    pub fn open() -> Result<SystemCallCounter, String> {
        let id = IDS.iter().find_map(|path| fs::read_to_string(path).ok());
        let id = id.and_then(|id| id.trim().parse().ok());
        let config = id.ok_or("the tracepoint raw_syscalls:sys_enter cannot be read here")?;
        let attributes = Attributes {
            kind: TYPE_TRACEPOINT,
            size: ATTRIBUTES_SIZE,
            config,
            ..Attributes::default()
        };
        let (this_thread, any_cpu, no_group) = (0, -1, -1);
        // SAFETY: the kernel reads `size` bytes of the attributes, which are as many, and returns a
        // new descriptor or an error.
        let event = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                this_thread,
                any_cpu,
                no_group,
                FLAG_CLOSE_ON_EXEC,
            )
        };
        let event = i32::try_from(event).ok().filter(|event| *event >= 0);
        let event =
            event.ok_or_else(|| format!("perf_event_open: {}", io::Error::last_os_error()))?;
        // SAFETY: perf_event_open has just returned this descriptor, and nobody else knows it.
        Ok(SystemCallCounter { event: unsafe { OwnedFd::from_raw_fd(event) } })
    }

    /// System calls so far; the one that asks is among them.
    ///
    /// # Errors
    /// As read(2).
    pub fn read(&self) -> io::Result<u64> {
        let mut count = [0; 8];
        nix::unistd::read(&self.event, &mut count)?;
        Ok(u64::from_ne_bytes(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the kernel lets nobody count, there is nothing to test; a reason is given then.
    #[test]
    fn each_call_counts_once() {
        match SystemCallCounter::open() {
            Ok(counter) => {
                let before = counter.read().unwrap();
                for _ in 0..10 {
                    nix::unistd::getppid();
                }
                assert_eq!(counter.read().unwrap() - before, 11);
            }
            Err(reason) => assert!(!reason.is_empty()),
        }
    }
}
