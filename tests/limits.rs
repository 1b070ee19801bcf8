//! At a limit the proxy degrades; it does not fall over, and it comes back.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

use spliceway::account::FLUSH_INTERVAL;
use support::origin::{Origin, echo, half_close_first};
use support::pattern::{Pattern, digest, read_digest};
use support::proxy::{Launch, Proxy, binary};
use support::stream::Stream;
use support::tools::{have, is_root, skip};
use support::{MODES, eventually, settled};

fn ping(client: &mut Stream) {
    client.write_all(b"ping").unwrap();
    let mut answer = [0; 4];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ping");
}

fn await_no_connections(proxy: &Proxy) {
    proxy.await_metric("spliceway_connections", &[], |open| open == 0.0);
}

#[test]
fn thousands_of_short_connections_leave_nothing_behind() {
    for mode in MODES {
        let origin = Origin::start(echo);
        let proxy = Launch::tcp(mode, &[origin.address()]).option("--workers", "1").start();
        let round = |connections: usize| {
            for _ in 0..connections {
                ping(&mut proxy.connect());
            }
            await_no_connections(&proxy);
        };
        // What the first connections bring to life (pools, buffers) stays, and is no leak.
        round(500);
        let (descriptors, resident) = (proxy.descriptors(), proxy.resident_kib());
        round(3000);
        let descriptors_after = eventually("descriptors are closed", || {
            let now = proxy.descriptors();
            (now <= descriptors + 2).then_some(now)
        });
        let grown = proxy.resident_kib().saturating_sub(resident);
        assert!(grown < 2048, "{mode}: {grown} KiB more; descriptors {descriptors_after}");
    }
}

#[test]
fn a_port_scan_and_random_bytes_leave_one_access_line_each() {
    const SCANS: usize = 200;
    for mode in MODES {
        let origin = Origin::start(echo);
        let proxy = Launch::tcp(mode, &[origin.address()]).start();
        let (errors_before, access_before) =
            (proxy.stderr_lines().len(), proxy.stdout_lines().len());
        for scan in 0..SCANS {
            let mut client = proxy.connect();
            if scan % 2 == 0 {
                client.reset();
                continue;
            }
            let mut noise = [0; 4096];
            Pattern::new(scan as u64).fill(&mut noise);
            client.write_all(&noise).unwrap();
            client.end_writing().unwrap();
            assert_eq!(read_digest(&mut client).0.bytes, noise.len() as u64, "{mode}");
        }
        let closed = "spliceway_connections_closed_total";
        // A connection that was reset before it was accepted may never be seen: accept(2) passes
        // it over. None is counted twice, and each that is counted has its line. The workers
        // report each in its own time, so the two are compared once neither changes any more.
        let mut last = (0, 0);
        let mut since = Instant::now();
        let (count, lines) = eventually("counts and lines come to rest", || {
            let lines = proxy.stdout_lines().len() - access_before;
            let now = (proxy.metrics().sum(closed, &[]) as usize, lines);
            if now != std::mem::replace(&mut last, now) {
                since = Instant::now();
            }
            (now.0 >= SCANS / 2 && since.elapsed() > 4 * FLUSH_INTERVAL).then_some(now)
        });
        assert!(count <= SCANS, "{mode}: {count} closed of {SCANS}");
        assert_eq!(lines, count, "{mode}: one line for each connection");
        assert_eq!(proxy.stderr_lines().len(), errors_before, "{mode}: nothing else is logged");
    }
}

#[test]
fn the_connection_limit_pauses_accepting_and_resumes() {
    for mode in MODES {
        let origin = Origin::start(echo);
        let proxy = Launch::tcp(mode, &[origin.address()])
            .option("--workers", "1")
            .set("process.connections_max", "4")
            .start();
        let mut admitted: Vec<Stream> = (0..4).map(|_| proxy.connect()).collect();
        admitted.iter_mut().for_each(ping);
        // The kernel completes this one, but nobody accepts it: the bytes wait.
        let mut waiting = proxy.connect();
        waiting.write_all(b"ping").unwrap();
        let ticks_before = cpu_ticks(&proxy);
        let reached = settled(|| origin.accepted() as u64);
        assert_eq!(reached, 4, "{mode}: no fifth connection reaches the origin");
        let spent = cpu_ticks(&proxy) - ticks_before;
        assert!(spent < 10, "{mode}: {spent} clock ticks of CPU for a pause: it spins");
        admitted.pop();
        let mut answer = [0; 4];
        waiting.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"ping", "{mode}: accepting goes on when there is room");
    }
}

/// CPU time of the process in clock ticks: utime and stime of proc_pid_stat(5).
fn cpu_ticks(proxy: &Proxy) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", proxy.pid())).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn descriptors_run_out_and_come_back() {
    if !have("prlimit", "--version") {
        return;
    }
    for mode in MODES {
        let origin = Origin::start(echo);
        let mut command = Command::new("prlimit");
        command.args(["--nofile=96:96", "--", binary()]);
        let proxy = Launch::tcp_under(command, "127.0.0.1:0", mode, &[origin.address()])
            .option("--workers", "1")
            .start();
        // Far more than the descriptors allow, at two for each connection; those that find no
        // room wait in the backlog.
        let mut crowd: Vec<Stream> = (0..120).map(|_| proxy.connect()).collect();
        crowd[..8].iter_mut().for_each(ping);
        let served = settled(|| origin.accepted() as u64);
        assert!(served < 48, "{mode}: {served} connections with 96 descriptors");
        let ticks_before = cpu_ticks(&proxy);
        crowd[..8].iter_mut().for_each(ping);
        settled(|| origin.accepted() as u64);
        let spent = cpu_ticks(&proxy) - ticks_before;
        assert!(spent < 10, "{mode}: {spent} clock ticks of CPU while nothing happens: it spins");
        drop(crowd);
        await_no_connections(&proxy);
        ping(&mut proxy.connect());
    }
}

/// As the unprivileged user that a unit runs it as: with more flows than `pipe-user-pages-soft`
/// allows pipes, some degrade, all go on, and the log and the counters say so.
#[test]
fn pipe_limits_of_an_unprivileged_user() {
    const NOBODY: u32 = 65534;
    // A pipe of a flow that is not known as bulk has 256 KiB; three quarters of the kernel's
    // default of 16384 pages are 192 of them.
    const FLOWS: usize = 200;
    // Just more than the queues around a pipe hold: all flows together stay below the kernel's
    // bound on TCP memory (`tcp_mem`), beyond which it drops segments and everything crawls.
    const BYTES: u64 = 19 << 18;
    if !is_root() {
        skip("only root can become another user");
        return;
    }
    // The build directory need not be open to everybody; a copy of the binary is.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let copy = directory.path().join("spliceway");
    std::fs::copy(binary(), &copy).unwrap();

    let origin = Origin::start(half_close_first(9, BYTES));
    let mut command = Command::new(&copy);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    let proxy = Launch::tcp_under(command, "127.0.0.1:0", "splice", &[origin.address()])
        .option("--workers", "1")
        .set("relay.pipe_size", "1MiB")
        .set("relay.pipe_memory", "1GiB")
        // The last one waits its turn to be read, with its upstream at its end already.
        .set("timeouts.half_closed", "10m")
        .start();
    let mut clients: Vec<Stream> = (0..FLOWS).map(|_| proxy.connect()).collect();
    // All are stuck, each with what a pipe could hold.
    eventually("all flows have begun", || (origin.accepted() == FLOWS).then_some(()));
    proxy.await_metric("spliceway_pipes", &[("state", "busy")], |busy| busy > 0.0);
    proxy.await_metric("spliceway_relay_fallbacks_total", &[], |fallbacks| fallbacks > 0.0);
    let printed = proxy.stderr_lines().join("\n");
    let note = "instead of relay.pipe_memory = 1GiB: fs.pipe-user-pages-soft allows this user";
    assert!(printed.contains(note), "nothing tells of the limit:\n{printed}");
    let expected = digest(9, BYTES);
    for client in &mut clients {
        client.end_writing().unwrap();
        let (received, ending) = read_digest(client);
        ending.unwrap();
        assert_eq!(received, expected);
    }
}
