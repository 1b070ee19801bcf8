//! A proxy as a child process: start it on its CPUs, wait until it listens, read its CPU time.

use std::cell::OnceCell;
use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machine::{Cpus, pin_this_thread};

/// How long a proxy may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// A running proxy; killed when dropped.
pub struct ProxyProcess {
    child: Child,
    /// It and its children, known once it is asked for: by then the load has warmed them up.
    family: OnceCell<Vec<u32>>,
    log: tempfile::NamedTempFile,
}

impl ProxyProcess {
    /// Runs `command` on the proxy's CPUs and waits until `address` is in state LISTEN.
    ///
    /// The child inherits the affinity of the thread that spawns it, so no code has to run
    /// between fork and exec.
    ///
    /// # Errors
    /// When the command cannot be run, ends, or does not listen in time; with what it printed.
    pub fn start(mut command: Command, address: SocketAddr, cpus: Cpus) -> io::Result<Self> {
        let log = tempfile::NamedTempFile::new()?;
        command.stdin(Stdio::null()).stdout(log.reopen()?).stderr(log.reopen()?);
        pin_this_thread(&cpus.proxy)?;
        let child = command.spawn();
        pin_this_thread(&cpus.ends)?;
        let mut process = ProxyProcess { child: child?, family: OnceCell::new(), log };
        let deadline = Instant::now() + START_PATIENCE;
        while !is_listening(address)? {
            if let Some(status) = process.child.try_wait()? {
                return Err(process.failure(&format!("ended with {status} before it listened")));
            }
            if Instant::now() > deadline {
                return Err(process.failure("did not listen in time"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(process)
    }

    fn failure(&self, what: &str) -> io::Error {
        let mut printed = String::new();
        if let Ok(mut log) = self.log.reopen() {
            // What cannot be read back cannot be shown either; the sentence stands without it.
            let _read = log.read_to_string(&mut printed);
        }
        let tail: Vec<&str> = printed.lines().rev().take(3).collect();
        io::Error::other(format!("the proxy {what}: {}", tail.join(" | ")))
    }

    fn family(&self) -> &[u32] {
        self.family.get_or_init(|| {
            let mut family = vec![self.child.id()];
            family.extend(children(self.child.id()));
            family
        })
    }

    /// CPU time of all threads of it and its children so far, from the scheduler's own nanosecond
    /// account (`/proc/PID/task/*/schedstat`), or from the clock ticks of `/proc/PID/stat` where
    /// the kernel keeps none.
    ///
    /// # Errors
    /// When neither can be read.
    pub fn cpu_time(&self) -> io::Result<CpuTime> {
        let ticks = self.family().iter().map(|id| ticks(*id)).sum::<io::Result<Duration>>()?;
        let precise = self.cpu_time_by_thread()?.map(|times| times.into_iter().sum());
        Ok(CpuTime { precise, ticks })
    }

    /// The same for each thread, in an order that stays; `None` where the scheduler keeps no
    /// account.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn cpu_time_by_thread(&self) -> io::Result<Option<Vec<Duration>>> {
        let mut times = Vec::new();
        for id in self.family() {
            for task in fs::read_dir(format!("/proc/{id}/task"))? {
                let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                    return Ok(None);
                };
                let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
                times.push(Duration::from_nanos(nanoseconds.unwrap_or(0)));
            }
        }
        Ok(times.iter().any(|time| *time > Duration::ZERO).then_some(times))
    }

    /// Memory of it and its children in KiB: their proportional set sizes, or their resident sets
    /// where the kernel does not tell those.
    ///
    /// # Errors
    /// When neither can be read.
    pub fn resident_kib(&self) -> io::Result<f64> {
        self.family().iter().map(|id| resident_kib(*id)).sum()
    }
}

/// The processes whose parent is `id`.
fn children(id: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|child| stat_field(*child, PARENT) == Some(u64::from(id))).collect()
}

/// Fields of `/proc/PID/stat` (proc_pid_stat(5)), counted from the state behind the name.
const PARENT: usize = 1;
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

fn stat_field(id: u32, field: usize) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The command's name, in brackets, may itself hold spaces: count from behind it.
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_whitespace().nth(field)?.parse().ok()
}

fn ticks(id: u32) -> io::Result<Duration> {
    let ticks = [USER_TICKS, SYSTEM_TICKS].map(|field| stat_field(id, field));
    let ticks: Option<u64> = ticks.into_iter().sum();
    let ticks = ticks.ok_or_else(|| io::Error::other(format!("process {id} tells no CPU time")))?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

fn resident_kib(id: u32) -> io::Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let field = |text: &str, name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    };
    field(&rollup, "Pss:")
        .or_else(|| field(&status, "VmRSS:"))
        .ok_or_else(|| io::Error::other("neither smaps_rollup nor status tells the memory"))
}

impl Drop for ProxyProcess {
    fn drop(&mut self) {
        let children = children(self.child.id());
        // All fail only for a process that has ended: what is wanted.
        let _killed = self.child.kill();
        let _status = self.child.wait();
        for id in children {
            let _killed = kill(Pid::from_raw(id as i32), Signal::SIGKILL);
        }
    }
}

/// CPU time by both accounts.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime {
    precise: Option<Duration>,
    ticks: Duration,
}

impl CpuTime {
    /// From `earlier` to now, by the better account.
    pub fn since(self, earlier: CpuTime) -> Duration {
        match (self.precise, earlier.precise) {
            (Some(now), Some(then)) => now.saturating_sub(then),
            _ => self.ticks.saturating_sub(earlier.ticks),
        }
    }

    /// How far the two accounts differ since `earlier`, beyond what clock ticks can tell: two
    /// ticks of 10 ms at each end.
    pub fn disagreement_since(self, earlier: CpuTime) -> Duration {
        let by_ticks = self.ticks.saturating_sub(earlier.ticks);
        let tolerance = Duration::from_millis(40);
        self.since(earlier).abs_diff(by_ticks).saturating_sub(tolerance)
    }
}

/// Whether an IPv4 socket in state LISTEN has this address. Asking the kernel's table, rather
/// than connecting, spares every proxy a connection that is no part of the load.
fn is_listening(address: SocketAddr) -> io::Result<bool> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let port = format!(":{:04X}", address.port());
    Ok(table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().unwrap_or_default();
        let state = fields.nth(1).unwrap_or_default();
        local.ends_with(&port) && state == "0A"
    }))
}

/// A loopback address whose port was free a moment ago.
///
/// # Errors
/// As bind(2).
pub fn free_address() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}
