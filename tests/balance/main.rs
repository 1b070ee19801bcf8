//! Servers that are chosen, fail, come back and go: real ones, started and killed.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod backend;
mod ejection;
mod health;
mod limits;
mod name_server;
mod names;

mod retries;
mod shares;
mod sticky;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use backend::Backend;
use support::http::{Connection, get};
use support::proxy::{Launch, Proxy};

/// A proxy of HTTP with two workers in front of `servers`, each written as in the config, with
/// `settings` of the upstream.
fn proxy(servers: &[String], settings: &str) -> Proxy {
    launch(servers, settings).start()
}

fn launch(servers: &[String], settings: &str) -> Launch {
    Launch::configured(&format!(
        "[process]\nworkers = 2\n[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
         upstream = \"app\"\n[upstreams.app]\nservers = [{}]\n{settings}\n",
        servers.join(", ")
    ))
}

/// As many backends, called `a`, `b` and so on.
fn backends(count: u8) -> Vec<Backend> {
    (0..count).map(|index| Backend::start(&char::from(b'a' + index).to_string())).collect()
}

fn addresses(backends: &[Backend]) -> Vec<String> {
    backends.iter().map(Backend::quoted).collect()
}

/// The status and the body of the answer to one request over a connection of its own.
fn ask(proxy: &Proxy) -> (u16, String) {
    let mut client = Connection::open(&proxy.address());
    let answer = client.exchange(get("/"));
    (answer.status(), answer.text())
}

/// Who answers how many of `requests` requests, by name; failures by their status.
fn count(proxy: &Proxy, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let (status, name) = ask(proxy);
        let who = if status == 200 { name } else { status.to_string() };
        *counts.entry(who).or_default() += 1;
    }
    counts
}

/// What `/status` says of a server, by the name of its backend.
fn standing(proxy: &Proxy, backend: &Backend) -> String {
    let status: serde_json::Value =
        serde_json::from_str(&proxy.get("/status").unwrap().text()).unwrap();
    let servers = status["upstreams"][0]["servers"].as_array().unwrap();
    let address = backend.address().to_string();
    let server = servers.iter().find(|server| server["address"] == address.as_str()).unwrap();
    server["state"].as_str().unwrap().to_owned()
}

/// Waits until `/status` says so of a server, and the metric agrees.
fn await_standing(proxy: &Proxy, backend: &Backend, expected: &str) {
    support::eventually(&format!("{} is {expected}", backend.name()), || {
        (standing(proxy, backend) == expected).then_some(())
    });
    let address = backend.address().to_string();
    let up = if expected == "up" { 1.0 } else { 0.0 };
    proxy.await_metric("spliceway_upstream_up", &[("server", &address)], |value| value == up);
}
