//! The independent proof of what splice mode claims: the kernel's own record of what `recv` and
//! `read` brought into the process, of how it called `splice`, and of the signals it ignores.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::origin::{Origin, Report, exchange};
use support::pattern::{digest, read_digest, write_pattern};
use support::proxy::{Launch, Proxy};
use support::stream::Stream;
use support::tools::{have, skip};
use support::{eventually, in_each_mode};

/// Each way.
const BYTES: u64 = 32 << 20;

/// What a trace says: bytes that entered the process from TCP sockets, bytes that `splice` took
/// from TCP sockets, and how many splices there were, whatever came of them.
#[derive(Debug, Default)]
struct Traced {
    read: u64,
    spliced: u64,
    splices: u64,
    /// Without `SPLICE_F_NONBLOCK`: a worker would wait for a pipe.
    blocking: u64,
    /// With `SPLICE_F_MORE`: the kernel would keep the last bytes of a message back.
    corked: u64,
}

/// A tracer attached to a running process; detaches when dropped.
struct Tracer(Child);

impl Tracer {
    /// Traces these calls, as strace names them. `None` where this user may not trace.
    fn attach(proxy: &Proxy, output: &Path, calls: &str) -> Option<Tracer> {
        let mut command = Command::new("strace");
        command.args(["-f", "-yy", "-e", &format!("trace={calls}")]);
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
        // The flags stand where the call begins, also of one that is finished on another line.
        if call.starts_with("splice(") {
            traced.splices += 1;
            traced.blocking += u64::from(!call.contains("SPLICE_F_NONBLOCK"));
            traced.corked += u64::from(call.contains("SPLICE_F_MORE"));
        }
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
    let calls = "recvfrom,recvmsg,recvmmsg,read,readv,splice";
    let Some(tracer) = Tracer::attach(&proxy, &output, calls) else {
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
    assert!(traced.splices > 0, "{traced:?}");
    assert_eq!(traced.blocking, 0, "{traced:?}: a splice that may wait stops its worker");
    assert_eq!(traced.corked, 0, "{traced:?}: a corked splice delays the end of a message");
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
    let traced = sum(
        "7  recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"ab\", 64, 0, NULL, NULL) = 2\n\
         7  splice(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, NULL, 4<pipe:[3]>, NULL, 64, SPLICE_F_MOVE|SPLICE_F_NONBLOCK) = 30\n\
         7  splice(3<pipe:[3]>, NULL, 9<TCP:[127.0.0.1:1->127.0.0.1:2]>, NULL, 64, SPLICE_F_MORE <unfinished ...>\n\
         7  <... splice resumed>) = 30\n\
         8  splice(3<pipe:[3]>, NULL, 9<TCP:[127.0.0.1:1->127.0.0.1:2]>, NULL, 64, SPLICE_F_NONBLOCK) = -1 EAGAIN (x)\n\
         7  read(5<anon_inode:[eventfd]>, \"x\", 8) = 8\n\
         8  read(9<TCPv6:[[::1]:1->[::1]:2]>,  <unfinished ...>\n\
         7  recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, 0x1, 64, 0, NULL, NULL) = -1 EAGAIN (x)\n\
         8  <... read resumed>\"y\", 8) = 5\n",
    );
    assert_eq!((traced.read, traced.spliced), (7, 30));
    assert_eq!((traced.splices, traced.blocking, traced.corked), (3, 1, 1));
}

/// Answers each request on a connection with the same few bytes, in one segment.
fn answer_requests(mut stream: Stream) -> Option<Report> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            read => request.extend_from_slice(&buffer[..read]),
        }
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").ok()?;
        }
    }
}

/// The least that a request can cost: each of its four messages is read or written once. There is
/// no read that only says that there is nothing, no look whether the server is still there, and
/// nothing is told to the kernel when a connection changes hands.
#[test]
fn a_request_costs_four_system_calls_and_a_share_of_the_waiting() {
    const REQUESTS: usize = 300;
    if !have("strace", "-V") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("trace");
    let origin = Origin::start(answer_requests);
    let address = origin.address().to_string();
    let arguments = ["http", "--listen", "127.0.0.1:0", "--to", &address, "--admin", "off"];
    let proxy = Launch::with_arguments(&arguments)
        .set("access_log.path", "off")
        .set("process.workers", "1");
    let proxy = proxy.start();
    let mut client = proxy.connect();
    let mut ask = || {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            let mut buffer = [0; 4096];
            let read = client.read(&mut buffer).unwrap();
            assert!(read > 0, "the proxy has closed");
            answer.extend_from_slice(&buffer[..read]);
        }
    };
    // The server's connection stands before the calls are counted.
    ask();
    let Some(tracer) = Tracer::attach(&proxy, &output, "all") else {
        skip("this user may not trace processes");
        return;
    };
    (0..REQUESTS).for_each(|_| ask());
    tracer.finish();
    let trace = std::fs::read_to_string(output).unwrap();
    let is_on_tcp = |line: &&str| line.contains("<TCP:[") && !line.contains("<... ");
    let on_tcp = trace.lines().filter(is_on_tcp).filter(|line| !line.contains("epoll_wait"));
    let count = on_tcp.clone().count();
    // A few more where a message comes in two segments.
    let at_most = 4 * REQUESTS + REQUESTS / 20;
    let last: Vec<&str> = on_tcp.skip(count.saturating_sub(8)).collect();
    assert!((4 * REQUESTS..=at_most).contains(&count), "{count} calls, the last: {last:#?}");
    let waits = trace.lines().filter(|line| line.contains("epoll_wait(")).count();
    assert!(waits <= 2 * REQUESTS + REQUESTS / 2, "{waits} waits for {REQUESTS} requests");
}

/// A mask of signals in `/proc/PID/status` (proc_pid_status(5)); the lowest bit is signal 1.
fn has_signal(proxy: &Proxy, mask: &str, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(mask)?.strip_prefix(':'));
    let mask = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
    mask & (1 << (signal as u32 - 1)) != 0
}

/// `send` can be told not to raise `SIGPIPE`, splice cannot: a write to a socket that is gone
/// would end the process, were the signal not ignored. The kernel raises it for certain when the
/// peer had ended its direction before it reset (a reset in `CLOSE_WAIT` is `EPIPE`).
#[test]
fn an_upstream_that_resets_while_the_proxy_writes_does_not_kill_it() {
    const ROUNDS: usize = 20;
    in_each_mode(|mode| {
        for ends_first in [true, false] {
            let origin = Origin::start(move |mut stream| {
                let mut greeting = [0; 4];
                stream.read_exact(&mut greeting).ok()?;
                if &greeting == b"ping" {
                    stream.write_all(&greeting).ok()?;
                    return None;
                }
                if ends_first {
                    stream.end_writing().ok()?;
                }
                // The proxy is in the middle of it.
                stream.read_exact(&mut vec![0; 1 << 20]).ok()?;
                stream.reset();
                None
            });
            let mut proxy = Launch::tcp(mode, &[origin.address()]).start();
            assert!(has_signal(&proxy, "SigIgn", Signal::SIGPIPE), "{mode}: SIGPIPE is ignored");
            assert!(!has_signal(&proxy, "SigIgn", Signal::SIGTERM), "{mode}: the mask is read");
            for _ in 0..ROUNDS {
                let mut client = proxy.connect();
                // It goes on until the reset has come through.
                let chunk = [b'x'; 64 << 10];
                while client.write_all(&chunk).is_ok() {}
            }
            proxy.await_closed("upstream_reset", ROUNDS as f64);
            let mut client = proxy.connect();
            client.write_all(b"ping").unwrap();
            client.read_exact(&mut [0; 4]).unwrap();
            assert!(proxy.is_running(), "{mode}");
        }
    });
}
