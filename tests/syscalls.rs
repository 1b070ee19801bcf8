//! The independent proof of what splice mode claims: the kernel's own record of what `recv` and
//! `read` brought into the process.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::eventually;
use support::origin::{Origin, exchange};
use support::pattern::{digest, read_digest, write_pattern};
use support::proxy::{Launch, Proxy};
use support::tools::{have, skip};

/// Each way.
const BYTES: u64 = 32 << 20;

/// What a trace says: bytes that entered the process from TCP sockets, and bytes that `splice`
/// took from TCP sockets.
#[derive(Debug, Default)]
struct Traced {
    read: u64,
    spliced: u64,
}

/// A tracer attached to a running process; detaches when dropped.
struct Tracer(Child);

impl Tracer {
    /// `None` where this user may not trace.
    fn attach(proxy: &Proxy, output: &Path) -> Option<Tracer> {
        let mut command = Command::new("strace");
        command.args(["-f", "-yy", "-e", "trace=recvfrom,recvmsg,recvmmsg,read,readv,splice"]);
        command.arg("-o").arg(output).args(["-p", &proxy.pid().to_string()]);
        let tracer = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut tracer = Tracer(tracer);
        let attached = eventually("strace attaches or gives up", || {
            let gave_up = tracer.0.try_wait().unwrap().is_some();
            (gave_up || is_traced(proxy.pid())).then_some(!gave_up)
        });
        attached.then_some(tracer)
    }

    /// Detaches, so that the whole trace is written.
    fn finish(mut self) {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT).unwrap();
        eventually("strace detaches", || self.0.try_wait().unwrap());
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Both fail only when it has ended: what is wanted.
        let _killed = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Whether every thread of the process has a tracer.
fn is_traced(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.flatten().all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|pid| pid.trim() != "0")
    })
}

/// Sums a trace written with `-f -yy`, where each descriptor carries its socket:
/// `42 recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "..."..., 65536, 0, NULL, NULL) = 65536`.
fn sum(trace: &str) -> Traced {
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    let mut traced = Traced::default();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if call.contains("<unfinished ...>") {
            unfinished.insert(thread, call);
            continue;
        }
        let begun = if call.starts_with("<...") { unfinished.remove(thread) } else { Some(call) };
        let Some((name, arguments)) = begun.and_then(|begun| begun.split_once('(')) else {
            continue;
        };
        let result =
            call.rsplit_once("= ").and_then(|(_, result)| result.trim().parse::<u64>().ok());
        let source_is_tcp = arguments.split_once('>').is_some_and(|_| {
            let source = arguments.split(", ").next().unwrap_or_default();
            source.contains("<TCP")
        });
        match (name, result) {
            (_, None) => {}
            ("splice", Some(moved)) if source_is_tcp => traced.spliced += moved,
            ("splice", Some(_)) => {}
            (_, Some(count)) if source_is_tcp => traced.read += count,
            _ => {}
        }
    }
    traced
}

fn trace(mode: &str) -> Option<Traced> {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("trace");
    let origin = Origin::start(exchange(2, BYTES));
    let proxy = Launch::tcp(mode, &[origin.address()]).start();
    let Some(tracer) = Tracer::attach(&proxy, &output) else {
        skip("this user may not trace processes");
        return None;
    };
    let mut client = proxy.connect();
    let mut outgoing = client.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        write_pattern(&mut outgoing, 1, BYTES).and_then(|()| outgoing.end_writing())
    });
    let (received, ending) = read_digest(&mut client);
    ending.unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(received, digest(2, BYTES));
    assert_eq!(origin.report().received, digest(1, BYTES));
    tracer.finish();
    Some(sum(&std::fs::read_to_string(output).unwrap()))
}

#[test]
fn in_splice_mode_the_bytes_never_enter_the_process() {
    if !have("strace", "-V") {
        return;
    }
    let Some(traced) = trace("splice") else { return };
    assert!(traced.read < 64 << 10, "{traced:?}: bytes were read by the process");
    assert!(traced.spliced >= 2 * BYTES, "{traced:?}: not all went through splice");
}

/// The control: the same trace sees the bytes when they do enter the process.
#[test]
fn in_copy_mode_they_do() {
    if !have("strace", "-V") {
        return;
    }
    let Some(traced) = trace("copy") else { return };
    assert!(traced.read >= 2 * BYTES, "{traced:?}: the trace must see copied bytes");
    assert_eq!(traced.spliced, 0, "{traced:?}");
}

#[test]
fn a_trace_is_summed() {
    let traced =
        sum("7  recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"ab\", 64, 0, NULL, NULL) = 2\n\
         7  splice(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, NULL, 4<pipe:[3]>, NULL, 64, 0) = 30\n\
         7  splice(3<pipe:[3]>, NULL, 9<TCP:[127.0.0.1:1->127.0.0.1:2]>, NULL, 64, 0) = 30\n\
         7  read(5<anon_inode:[eventfd]>, \"x\", 8) = 8\n\
         8  read(9<TCPv6:[[::1]:1->[::1]:2]>,  <unfinished ...>\n\
         7  recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, 0x1, 64, 0, NULL, NULL) = -1 EAGAIN (x)\n\
         8  <... read resumed>\"y\", 8) = 5\n");
    assert_eq!((traced.read, traced.spliced), (7, 30));
}
