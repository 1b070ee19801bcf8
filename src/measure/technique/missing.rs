//! Why a way is not to be had here, in words for people.

use std::fs;
use std::io;

use nix::Error as Errno;

use crate::measure::way::Method;

/// Why `method` failed.
pub(super) fn reason(method: Method, error: &io::Error) -> String {
    let errno = error.raw_os_error().map(Errno::from_raw);
    let is_refused = matches!(errno, Some(Errno::ENOSYS | Errno::EPERM | Errno::EACCES));
    match method {
        Method::Ring | Method::RingZeroCopy if is_refused => format!(
            "io_uring is not allowed here ({error}): {}, or a filter of system calls hides it",
            ring_setting()
        ),
        Method::RingZeroCopy if error.kind() == io::ErrorKind::Unsupported => {
            "this kernel has no zero-copy sends for io_uring; Linux 6.0 brought them".to_owned()
        }
        Method::Splice { .. } | Method::CoalescedSplice { .. } if is_refused => {
            format!("splice is not allowed here ({error}): a filter of system calls hides it")
        }
        Method::Sendfile if is_refused => {
            format!("sendfile is not allowed here ({error}): a filter of system calls hides it")
        }
        Method::DirectRead if errno == Some(Errno::EINVAL) => {
            "the scratch file's file system has no direct I/O; --scratch names another".to_owned()
        }
        _ => match error.kind() {
            io::ErrorKind::UnexpectedEof => "the load ended early".to_owned(),
            io::ErrorKind::WouldBlock => "nothing moved for ten seconds".to_owned(),
            _ => error.to_string(),
        },
    }
}

fn ring_setting() -> String {
    match fs::read_to_string("/proc/sys/kernel/io_uring_disabled") {
        Ok(value) => format!("kernel.io_uring_disabled = {}", value.trim()),
        Err(_) => "this kernel may lack it".to_owned(),
    }
}
