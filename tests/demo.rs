//! `spliceway run` without a file: a demo that needs nothing else on the machine.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};

use spliceway::address::Address;
use support::admin::get;
use support::proxy::{Launch, Proxy};
use support::stream::Stream;

/// The embedded default, on free ports.
fn demo() -> Proxy {
    Launch::with_arguments(&["run"])
        .environment("SPLICEWAY__LISTENERS__WEB__BIND", "127.0.0.1:0")
        .environment("SPLICEWAY__LISTENERS__ECHO__BIND", "127.0.0.1:0")
        .environment("SPLICEWAY__ADMIN__BIND", "127.0.0.1:0")
        .start()
}

#[test]
fn the_page_the_bytes_and_the_echo() {
    let proxy = demo();
    let Address::Ip(web) = proxy.address_of("web") else { panic!("the demo listens on TCP") };

    let page = get(web, "/").expect("the page answers");
    assert_eq!(page.status, 200);
    assert!(page.text().to_lowercase().contains("spliceway"), "{}", page.text());

    const BYTES: usize = 16 << 20;
    let bytes = get(web, &format!("/bytes/{BYTES}")).expect("/bytes/N answers");
    assert_eq!((bytes.status, bytes.body.len()), (200, BYTES));

    let mut echo = Stream::connect(&proxy.address_of("echo")).unwrap();
    echo.write_all(b"to and fro").unwrap();
    let mut answer = [0; 10];
    echo.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"to and fro");

    let name = "spliceway_relay_bytes_total";
    let labels = [("listener", "web"), ("direction", "downstream"), ("path", "splice")];
    // What came with the head of the response was read with it.
    const WITH_THE_HEAD: usize = 1 << 20;
    proxy.await_metric(name, &labels, |spliced| spliced >= (BYTES - WITH_THE_HEAD) as f64);
}

#[test]
fn the_admin_endpoint_answers() {
    let proxy = demo();
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/no", 404)] {
        assert_eq!(proxy.get(path).expect("the admin endpoint answers").status, status, "{path}");
    }
    let status = proxy.get("/status").unwrap().text();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    for key in ["version", "listeners", "workers", "pipes", "connections"] {
        assert!(!status[key].is_null(), "/status has no \"{key}\": {status:#}");
    }
}
