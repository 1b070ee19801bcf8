//! What this machine offers, found out once at the start.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::capacity::Machine;
use crate::sys::pipe::Pipe;

/// `fs.pipe-max-size` of a kernel that nobody has configured.
const PIPE_SIZE_MAX_DEFAULT: u32 = 1 << 20;

/// What `F_SETPIPE_SZ` takes at most (fcntl(2)).
const PIPE_SIZE_UNLIMITED: u32 = 1 << 31;

/// Pipe capacity for a trial splice: the kernel's own default.
const PROBE_PIPE_BYTES: u32 = 64 * 1024;

/// `CAP_SYS_ADMIN` and `CAP_SYS_RESOURCE` (capabilities(7)), either of which lifts the limit on
/// the pages that a user's pipes may have (pipe(7)).
const CAPABILITIES_WITHOUT_PIPE_LIMITS: [u32; 2] = [21, 24];

/// Raises the limit on descriptors to its hard limit and probes the machine.
///
/// # Errors
/// The kernel does not answer even the plainest questions (`uname`, `getrlimit`).
pub fn machine() -> io::Result<Machine> {
    let pipe_limit = |name: &str| read_number(&format!("/proc/sys/fs/{name}"));
    // Without /proc the kernel's defaults are the best guess.
    let pipe_size_limit = pipe_limit("pipe-max-size")
        .and_then(|bytes| u32::try_from(bytes).ok())
        .unwrap_or(PIPE_SIZE_MAX_DEFAULT);
    Ok(Machine {
        kernel: nix::sys::utsname::uname()?.release().to_string_lossy().into_owned(),
        page_size: page_size(),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        splice: try_splice().map_err(|error| error.to_string()),
        pipe_size_max: largest_pipe(pipe_size_limit),
        pipe_user_pages_soft: pipe_limit("pipe-user-pages-soft").unwrap_or(16_384),
        pipe_limits_waived: is_initial_user_namespace()
            && has_capability(&CAPABILITIES_WITHOUT_PIPE_LIMITS),
        descriptors_max: raise_descriptor_limit()?,
    })
}

/// The largest pipe that this process gets: the limit, or whatever it likes where the limit does
/// not bind it. Only a trial tells, since capabilities within a user namespace do not count.
fn largest_pipe(limit: u32) -> u32 {
    let twice = limit.saturating_mul(2);
    match Pipe::open(twice) {
        Ok(pipe) if pipe.capacity() >= twice => PIPE_SIZE_UNLIMITED,
        _ => limit,
    }
}

/// Whether the capabilities of this process are those that the kernel's limits ask for.
fn is_initial_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn page_size() -> u32 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|bytes| u32::try_from(bytes).ok())
        .unwrap_or(4096)
}

/// The processor's name, as `/proc/cpuinfo` has it; the architecture's where it has none.
pub fn cpu_model() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": "));
    model.map_or_else(|| std::env::consts::ARCH.into(), |(_, model)| model.trim().to_owned())
}

fn read_number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether any of the capabilities is effective for this process.
fn has_capability(any_of: &[u32]) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    any_of.iter().any(|capability| effective & (1 << capability) != 0)
}

fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => Ok(hard),
        Err(_) => Ok(soft),
    }
}

/// One byte from a TCP socket through a pipe to another one. Only a trial tells: a seccomp filter
/// refuses with an errno of its author's choice.
fn try_splice() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (receiver, _) = listener.accept()?;
    sender.write_all(b"x")?;
    let mut pipe = Pipe::open(PROBE_PIPE_BYTES)?;
    // The receiver blocks, so the byte is there when this returns.
    pipe.fill_from(receiver.as_fd(), 1)?;
    pipe.drain_to(receiver.as_fd())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_answers() {
        let machine = machine().unwrap();
        assert_eq!(machine.splice, Ok(()), "tests need a kernel that splices");
        assert!(machine.cpus >= 1 && machine.page_size >= 4096);
        assert!(machine.descriptors_max > 0 && !machine.kernel.is_empty());
    }
}
