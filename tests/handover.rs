//! A few connections that live long are spread evenly over the workers.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};

use nix::sys::signal::Signal;
use support::eventually;
use support::origin::{Origin, echo};
use support::proxy::{Launch, Proxy};
use support::stream::Stream;

const WORKERS: usize = 4;

fn ping(client: &mut Stream) {
    client.write_all(b"ping").unwrap();
    let mut answer = [0; 4];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ping");
}

/// Connections of each worker, as `/status` shows them.
fn by_worker(proxy: &Proxy) -> Vec<u64> {
    let status = proxy.get("/status").unwrap().text();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let workers = status["workers"].as_array().unwrap();
    workers.iter().map(|worker| worker["connections"].as_u64().unwrap()).collect()
}

fn await_spread(proxy: &Proxy, expected: u64) {
    eventually(&format!("{expected} connections for each worker"), || {
        by_worker(proxy).iter().all(|connections| *connections == expected).then_some(())
    });
}

#[test]
fn the_split_of_a_few_is_exact() {
    let origin = Origin::start(echo);
    let workers = WORKERS.to_string();
    let proxy = Launch::tcp("auto", &[origin.address()]).option("--workers", &workers).start();
    let open = |count: usize| -> Vec<Stream> {
        let open = |_| {
            let mut client = proxy.connect();
            ping(&mut client);
            client
        };
        (0..count).map(open).collect()
    };
    let mut clients = open(2 * WORKERS);
    await_spread(&proxy, 2);
    // What ends makes room with the worker that had it.
    clients.drain(..WORKERS);
    eventually("the gauges follow", || {
        (by_worker(&proxy).iter().sum::<u64>() == WORKERS as u64).then_some(())
    });
    clients.extend(open(2 * WORKERS));
    await_spread(&proxy, 3);
    clients.iter_mut().for_each(ping);
    drop(clients);
    await_spread(&proxy, 0);
}

#[test]
fn nothing_is_lost_when_workers_drain_as_connections_come() {
    let origin = Origin::start(echo);
    let workers = WORKERS.to_string();
    let mut proxy = Launch::tcp("auto", &[origin.address()]).option("--workers", &workers).start();
    let mut clients: Vec<Stream> = (0..40).map(|_| proxy.connect()).collect();
    proxy.signal(Signal::SIGTERM);
    // They were in a backlog or a mailbox; each is served all the same.
    clients.iter_mut().for_each(ping);
    drop(clients);
    assert!(proxy.wait().success());
}
