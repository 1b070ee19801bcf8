//! A load generator of somebody else's through the proxy: both directions, eight flows at once.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use spliceway::address::Address;
use support::proxy::{Launch, Proxy};
use support::stream::refusing;
use support::tools::have;

/// An iperf3 server on loopback; killed when dropped.
struct Server {
    child: Child,
    address: Address,
    listening: mpsc::Receiver<String>,
}

impl Server {
    fn start() -> Server {
        // iperf3 cannot take port 0 and say which it got; this one was free a moment ago.
        let address = refusing();
        let Address::Ip(socket) = &address else { unreachable!("a loopback port") };
        let mut command = Command::new("iperf3");
        command.args(["-s", "-B", "127.0.0.1", "--forceflush", "-p", &socket.port().to_string()]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (listens, listening) = mpsc::channel();
        // Goes on reading, so that the server never waits for its output to be taken.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok).filter(|line| line.contains("listening")) {
                let _nobody_asks_any_more = listens.send(line).is_err();
            }
        });
        Server { child, address, listening }
    }
}

impl Server {
    /// Waits until it listens, which it says anew after each run: in between it refuses.
    fn await_listening(&self) {
        self.listening.recv_timeout(support::PATIENCE).expect("iperf3 -s listens");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended: what is wanted.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

/// One run of the client; the bytes that arrived.
fn run(proxy: &Proxy, arguments: &[&str]) -> u64 {
    let Address::Ip(socket) = proxy.address() else { unreachable!("a loopback port") };
    let mut command = Command::new("iperf3");
    command.args(["-c", "127.0.0.1", "-p", &socket.port().to_string(), "-J", "-n", "256M"]);
    let output = command.args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(output.status.success() && report["error"].is_null(), "{arguments:?}: {text}");
    report["end"]["sum_received"]["bytes"].as_u64().unwrap()
}

fn check(mode: &str, expected_path: Option<&str>) {
    if !have("iperf3", "--version") {
        return;
    }
    let server = Server::start();
    let proxy = Launch::tcp(mode, &[&server.address]).start();
    let mut total = 0;
    for arguments in [&[][..], &["-R"], &["-P", "8"], &["-P", "8", "-R"]] {
        server.await_listening();
        let received = run(&proxy, arguments);
        // The sender stops when it has sent all; what is on its way then iperf3 does not count.
        assert!(received >= 64 << 20, "{mode} {arguments:?}: {received} bytes arrived");
        total += received;
    }
    let name = "spliceway_relay_bytes_total";
    proxy.await_metric(name, &[], |bytes| bytes >= total as f64);
    if let Some(path) = expected_path {
        let metrics = proxy.metrics();
        let (on_path, all) = (metrics.sum(name, &[("path", path)]), metrics.sum(name, &[]));
        assert_eq!(on_path, all, "{mode}: every byte went the way of the mode");
    }
}

#[test]
fn through_splice() {
    check("splice", Some("splice"));
}

#[test]
fn through_copy() {
    check("copy", Some("copy"));
}

#[test]
fn through_auto() {
    check("auto", None);
}
