//! From the first READY=1 to the last worker's end: signals, the drain, and what systemd hears.
//!
//! Signals and `NOTIFY_SOCKET` belong to a whole process, so each scenario runs in a process of
//! its own: the test starts this same binary again for one ignored test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
mod control_plane;

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Output};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use control_plane::{DEADLINE, Plane, config, start};
use nix::sys::signal::{Signal, raise};
use spliceway::config::LogTarget;
use spliceway::control::ControlError;
use spliceway::snapshot::Stage;

const NO_GRACE: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(600);

fn started(target: LogTarget, grace: Duration, timeout: Duration) -> Plane {
    let plane = start(config(target, grace, timeout));
    plane.wait_until("/readyz", |answer| answer.status == 200);
    plane
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Runs one ignored test of this file in a process of its own.
fn run_alone(scenario: &str, environment: &[(&str, &str)]) -> Output {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", scenario, "--ignored", "--nocapture", "--test-threads=1"])
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("1 passed"), "no such scenario: {scenario}\n{shown}");
    output
}

#[test]
fn signals_do_what_they_should() {
    run_alone("scenario_signals", &[]);
}

#[test]
#[ignore = "run by signals_do_what_they_should in a process of its own"]
fn scenario_signals() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let plane = started(LogTarget::File(log.clone()), LONG, LONG);
    std::fs::rename(&log, folder.path().join("access.1")).unwrap();
    raise(Signal::SIGUSR1).unwrap();
    wait_for("the log to be opened again", || log.exists());
    for harmless in [Signal::SIGHUP, Signal::SIGUSR2] {
        raise(harmless).unwrap();
        assert_eq!(plane.get("/readyz").status, 200, "{harmless}");
    }

    plane.workers[0].report.connections.store(1, Ordering::Relaxed);
    raise(Signal::SIGTERM).unwrap();
    let answer = plane.wait_until("/readyz", |answer| answer.status == 503);
    assert!(answer.body.starts_with("draining"), "{answer:?}");
    assert_eq!(plane.get("/healthz").status, 200);
    assert!(plane.get("/metrics").body.contains("spliceway_draining 1\n"));
    assert!(plane.get("/status").body.contains("\"stage\":\"grace\""));
    assert_eq!(plane.snapshot.load().stage, Stage::Serving, "accepting goes on in the grace");

    raise(Signal::SIGINT).unwrap();
    plane.thread.join().unwrap().unwrap();
    let cut = plane.workers[0].report.drain_cut.load(Ordering::Relaxed);
    assert_eq!(cut, 1, "a second signal cuts what is left");
    assert!(matches!(plane.snapshot.load().stage, Stage::Draining { .. }));
}

#[test]
fn a_drain_lets_connections_come_to_their_end() {
    run_alone("scenario_drain", &[]);
}

#[test]
#[ignore = "run by a_drain_lets_connections_come_to_their_end in a process of its own"]
fn scenario_drain() {
    let plane = started(LogTarget::Off, NO_GRACE, LONG);
    plane.workers[1].report.connections.store(1, Ordering::Relaxed);
    raise(Signal::SIGTERM).unwrap();
    // The idle worker ends at once, the other goes on, and the endpoint with it.
    plane.wait_until("/metrics", |answer| answer.body.contains("spliceway_workers 1\n"));
    assert!(plane.get("/status").body.contains("\"stage\":\"draining\""));
    assert!(!plane.thread.is_finished());
    plane.workers[1].report.connections.store(0, Ordering::Relaxed);
    plane.workers[1].waker.wake().unwrap();
    plane.thread.join().unwrap().unwrap();
    assert_eq!(plane.workers[1].report.drain_cut.load(Ordering::Relaxed), 0);
}

#[test]
fn a_drain_ends_in_time() {
    run_alone("scenario_drain_timeout", &[]);
}

#[test]
#[ignore = "run by a_drain_ends_in_time in a process of its own"]
fn scenario_drain_timeout() {
    let short = Duration::from_millis(50);
    let plane = started(LogTarget::Off, short, short);
    plane.workers[0].report.connections.store(2, Ordering::Relaxed);
    raise(Signal::SIGTERM).unwrap();
    plane.thread.join().unwrap().unwrap();
    assert_eq!(plane.workers[0].report.drain_cut.load(Ordering::Relaxed), 2);
}

#[test]
fn a_worker_that_does_not_end_is_given_up() {
    run_alone("scenario_stuck_worker", &[]);
}

#[test]
#[ignore = "run by a_worker_that_does_not_end_is_given_up in a process of its own"]
fn scenario_stuck_worker() {
    let plane = started(LogTarget::Off, NO_GRACE, LONG);
    plane.workers[1].stays.store(true, Ordering::Relaxed);
    raise(Signal::SIGTERM).unwrap();
    plane.wait_until("/readyz", |answer| answer.status == 503);
    raise(Signal::SIGTERM).unwrap();
    let error = plane.thread.join().unwrap().unwrap_err();
    assert!(matches!(error, ControlError::WorkersStuck { workers: 1 }), "{error:?}");
}

const LAST_WORD: &str = "X_TEST=over";

/// Every line that was sent before the last word.
fn listen(socket: &UnixDatagram) -> Vec<String> {
    let mut heard = Vec::new();
    let mut message = [0; 4096];
    loop {
        let length = socket.recv(&mut message).unwrap();
        let message = String::from_utf8_lossy(&message[..length]);
        if message == LAST_WORD {
            return heard;
        }
        heard.extend(message.lines().map(str::to_owned));
    }
}

#[test]
fn systemd_hears_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    // The kernel queues few datagrams (net.unix.max_dgram_qlen), so somebody has to read.
    let listening = std::thread::spawn(move || listen(&socket));
    let notify = path.to_str().unwrap();
    run_alone("scenario_systemd", &[("NOTIFY_SOCKET", notify), ("WATCHDOG_USEC", "200000")]);
    UnixDatagram::unbound().unwrap().send_to(LAST_WORD.as_bytes(), &path).unwrap();
    let heard = listening.join().unwrap();
    let position = |line: &str| {
        let position = heard.iter().position(|heard| heard == line);
        position.unwrap_or_else(|| panic!("{line} is not among {heard:#?}"))
    };
    let count = |line: &str| heard.iter().filter(|heard| *heard == line).count();
    assert!(position("READY=1") < position("STOPPING=1"), "{heard:#?}");
    assert_eq!((count("READY=1"), count("STOPPING=1")), (1, 1), "{heard:#?}");
    assert!(count("WATCHDOG=1") >= 3, "{heard:#?}");
    let serving = position("STATUS=serving: 0 connections, 0 pipes busy, 0 idle");
    let draining = position("STATUS=draining: 3 connections, 0 pipes busy, 0 idle");
    assert!(serving < draining, "{heard:#?}");
    // Sent by the scenario once a worker has been silent for longer than the watchdog allows.
    let silent = position("X_TEST=silent");
    let after = &heard[silent..];
    assert!(!after.iter().any(|line| line == "WATCHDOG=1"), "{heard:#?}");
}

#[test]
#[ignore = "run by systemd_hears_every_step in a process of its own"]
fn scenario_systemd() {
    let plane = started(LogTarget::Off, NO_GRACE, LONG);
    let asked = || plane.workers[0].report.heartbeat.load(Ordering::Relaxed);
    // At this watchdog's pace every worker is asked each 50 ms.
    let before = asked();
    wait_for("some pulses", || asked() > before + 10);
    plane.workers[1].mute.store(true, Ordering::Relaxed);
    let before = asked();
    // A word of praise may be under way for an answer that was given before: by now it is not.
    wait_for("the silence to be noticed", || asked() > before + 5);
    let mark = [sd_notify::NotifyState::Custom("X_TEST=silent")];
    sd_notify::notify(&mark).unwrap();
    let before = asked();
    wait_for("more pulses without a word to the watchdog", || asked() > before + 10);
    plane.workers[1].report.connections.store(3, Ordering::Relaxed);
    raise(Signal::SIGTERM).unwrap();
    plane.wait_until("/metrics", |answer| answer.body.contains("spliceway_workers 1\n"));
    raise(Signal::SIGTERM).unwrap();
    plane.thread.join().unwrap().unwrap();
}
